//! Public keys and signatures in minisign's format: Ed25519 over the text of a pack's file list.
//!
//! minisign was chosen for three reasons. Checking a signature needs no service, no clock and no
//! network, which an agent at the edge may not have. Every distribution has its tools. The library
//! that checks is small enough to read (`minisign-verify`, without dependencies). sigstore's
//! bundles would add some 200 crates and a trust root that must be kept up to date.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use minisign_verify::{Error, Signature};
use wattle_plan::{TrustedKey, key_id};

/// The first line of a signature file is not signed. Only these texts are accepted, so that every
/// byte of a signature is fixed.
const COMMENTS: [&str; 2] = ["signature from minisign secret key", "signature from rsign secret key"];

/// A well-formed signature; its signer is not verified yet.
pub(crate) struct PackSignature {
    signature: Signature,
    /// ID of the key that it names.
    pub(crate) key_id: String,
}

impl PackSignature {
    /// Parses the text of a `.minisig` file; the error describes the problem.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let signature = Signature::decode(text).map_err(|error| in_words(&error))?;
        let comment = signature.untrusted_comment().strip_prefix("untrusted comment: ").unwrap_or_default();
        if !COMMENTS.contains(&comment) {
            return Err("its first line is not one that minisign writes".to_owned());
        }
        let lines: Vec<&str> = text.split('\n').collect();
        let [_, line, _, global, ""] = lines.as_slice() else { return Err("it does not have four lines".to_owned()) };
        // Strict decoding refuses unused bits at the end of base64, which would be a second form of
        // the same signature.
        if [line, global].iter().any(|line| STANDARD.decode(line).is_err()) {
            return Err("its base64 is not canonical".to_owned());
        }
        let key_id = key_id(line).ok_or("it names no key")?;
        Ok(Self { signature, key_id })
    }

    /// Checks that a key signed this text.
    pub(crate) fn check(&self, text: &str, key: &TrustedKey) -> Result<(), String> {
        key.public().verify(text.as_bytes(), &self.signature, false).map_err(|error| in_words(&error))
    }
}

fn in_words(error: &Error) -> String {
    match error {
        Error::InvalidEncoding => "it is not in minisign's format".to_owned(),
        Error::InvalidSignature => "it was not made for this list of files".to_owned(),
        Error::UnexpectedKeyId => "it was made with another key".to_owned(),
        other => other.to_string().to_lowercase(),
    }
}
