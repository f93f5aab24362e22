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

/// Why a text is not the signature of a pack's file list. The text continues a sentence about the
/// signature.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SignatureError {
    #[error("it is not in minisign's format")]
    Format,
    #[error("its first line is not one that minisign writes")]
    Comment,
    #[error("it does not have four lines")]
    Lines,
    #[error("its base64 is not canonical")]
    Base64,
    #[error("it names no key")]
    NoKey,
    #[error("it was not made for this list of files")]
    Mismatch,
    #[error("it was made with another key")]
    OtherKey,
    /// Another error of the library.
    #[error("{0}")]
    Other(String),
}

impl From<Error> for SignatureError {
    fn from(error: Error) -> Self {
        match error {
            Error::InvalidEncoding => Self::Format,
            Error::InvalidSignature => Self::Mismatch,
            Error::UnexpectedKeyId => Self::OtherKey,
            other => Self::Other(other.to_string().to_lowercase()),
        }
    }
}

/// A well-formed signature; its signer is not verified yet.
pub(crate) struct PackSignature {
    signature: Signature,
    /// ID of the key that it names.
    pub(crate) key_id: String,
}

impl PackSignature {
    /// Parses the text of a `.minisig` file.
    pub(crate) fn parse(text: &str) -> Result<Self, SignatureError> {
        let signature = Signature::decode(text)?;
        let comment = signature.untrusted_comment().strip_prefix("untrusted comment: ").unwrap_or_default();
        if !COMMENTS.contains(&comment) {
            return Err(SignatureError::Comment);
        }
        let lines: Vec<&str> = text.split('\n').collect();
        let [_, line, _, global, ""] = lines.as_slice() else { return Err(SignatureError::Lines) };
        // Strict decoding refuses unused bits at the end of base64, which would be a second form of
        // the same signature.
        if [line, global].iter().any(|line| STANDARD.decode(line).is_err()) {
            return Err(SignatureError::Base64);
        }
        let key_id = key_id(line).ok_or(SignatureError::NoKey)?;
        Ok(Self { signature, key_id })
    }

    /// Checks that a key signed this text.
    pub(crate) fn check(&self, text: &str, key: &TrustedKey) -> Result<(), SignatureError> {
        Ok(key.public().verify(text.as_bytes(), &self.signature, false)?)
    }
}
