//! Public keys and signatures in the format of minisign: Ed25519 over the text of a pack's list of files.
//!
//! minisign was chosen because a signature needs no service, no clock and no network to be checked, which an agent at
//! the edge may not have; because its tools are in every distribution; and because the library that checks is small
//! enough to read (`minisign-verify`, without dependencies). sigstore's bundles bring some 200 crates and a trust root
//! that has to be kept up to date.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use minisign_verify::{Error, Signature};
use wattle_plan::{TrustedKey, key_id};

/// What nothing signs in front of a signature; these texts and no others, so that no byte of a signature is free.
const COMMENTS: [&str; 2] = ["signature from minisign secret key", "signature from rsign secret key"];

/// A signature that is written as it must be; nothing is known of who made it.
pub(crate) struct PackSignature {
    signature: Signature,
    /// Id of the key that it names.
    pub(crate) key_id: String,
}

impl PackSignature {
    /// Reads the text of a `.minisig` file; the error says what is wrong.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let signature = Signature::decode(text).map_err(|error| in_words(&error))?;
        let comment = signature.untrusted_comment().strip_prefix("untrusted comment: ").unwrap_or_default();
        if !COMMENTS.contains(&comment) {
            return Err("its first line is none that minisign writes by itself".to_owned());
        }
        let lines: Vec<&str> = text.split('\n').collect();
        let [_, line, _, global, ""] = lines.as_slice() else { return Err("it has not four lines".to_owned()) };
        // Strict: bits behind the end of what base64 holds are no free ones either.
        if [line, global].iter().any(|line| STANDARD.decode(line).is_err()) {
            return Err("its base64 is not in the one form".to_owned());
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
        Error::InvalidEncoding => "it is not written as minisign writes signatures".to_owned(),
        Error::InvalidSignature => "it does not belong to the list of files".to_owned(),
        Error::UnexpectedKeyId => "it was made with another key".to_owned(),
        other => other.to_string().to_lowercase(),
    }
}
