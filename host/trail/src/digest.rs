//! A digest, and its signature.

use data_encoding::HEXLOWER_PERMISSIVE;
use serde::{Deserialize, Serialize};

use crate::hash::Hash;
use crate::keys::PublicKeys;
use crate::report::Problem;

/// Names of algorithms, of which CloudTrail has one each.
const SIGNATURE_ALGORITHM: &str = "SHA256withRSA";
const HASH_ALGORITHM: &str = "SHA-256";

/// Why a text is not a digest.
#[derive(Debug, thiserror::Error)]
pub enum DigestError {
    /// It is not JSON, or lacks a field.
    #[error("it is not a digest: {0}")]
    Form(#[from] serde_json::Error),
    /// It uses an algorithm that this version does not know.
    #[error("it uses the unknown algorithm `{0}`")]
    Algorithm(String),
}

/// A digest of the log files of one region and hour.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Digest {
    /// The account.
    pub aws_account_id: String,
    /// Begin of the hour, RFC 3339.
    pub digest_start_time: String,
    /// Its end.
    pub digest_end_time: String,
    /// Where the digest is.
    pub digest_s3_bucket: String,
    /// The key of the digest.
    pub digest_s3_object: String,
    /// The key that signed it.
    pub digest_public_key_fingerprint: String,
    /// `SHA256withRSA`.
    pub digest_signature_algorithm: String,
    /// Where the digest before is; `None` for the first one of a trail.
    pub previous_digest_s3_bucket: Option<String>,
    /// Its key.
    pub previous_digest_s3_object: Option<String>,
    /// The SHA-256 of its uncompressed bytes in hexadecimal digits.
    pub previous_digest_hash_value: Option<String>,
    /// `SHA-256`.
    pub previous_digest_hash_algorithm: Option<String>,
    /// Its signature in hexadecimal digits.
    pub previous_digest_signature: Option<String>,
    /// The log files that were delivered in this hour.
    pub log_files: Vec<LogFile>,
}

/// A log file as a digest lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogFile {
    /// Its bucket.
    pub s3_bucket: String,
    /// Its key.
    pub s3_object: String,
    /// The SHA-256 of its uncompressed bytes in hexadecimal digits.
    pub hash_value: String,
    /// `SHA-256`.
    pub hash_algorithm: String,
}

/// Why a signature proves nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignatureProblem {
    /// The keys lack the one with this fingerprint.
    UnknownKey(String),
    /// The key did not sign this text.
    Wrong,
}

impl Digest {
    /// Reads the uncompressed bytes of a digest.
    ///
    /// # Errors
    ///
    /// They are not a digest.
    pub fn parse(bytes: &[u8]) -> Result<Self, DigestError> {
        let digest: Self = serde_json::from_slice(bytes)?;
        let hashes = digest.log_files.iter().map(|file| &file.hash_algorithm);
        let unknown =
            hashes.chain(&digest.previous_digest_hash_algorithm).find(|algorithm| *algorithm != HASH_ALGORITHM);
        let unknown = unknown
            .or((digest.digest_signature_algorithm != SIGNATURE_ALGORITHM)
                .then_some(&digest.digest_signature_algorithm));
        match unknown.cloned() {
            Some(algorithm) => Err(DigestError::Algorithm(algorithm)),
            None => Ok(digest),
        }
    }

    /// What AWS signs. `hash` is that of the uncompressed bytes of the digest.
    pub fn signed_text(&self, hash: Hash) -> String {
        let Self { digest_end_time, digest_s3_bucket, digest_s3_object, .. } = self;
        let previous = self.previous_digest_signature.as_deref().unwrap_or("null");
        format!("{digest_end_time}\n{digest_s3_bucket}/{digest_s3_object}\n{hash}\n{previous}")
    }

    /// Checks the signature of the digest, hexadecimal digits.
    ///
    /// # Errors
    ///
    /// What is wrong.
    pub fn check_signature(&self, hash: Hash, signature: &str, keys: &PublicKeys) -> Result<(), SignatureProblem> {
        let fingerprint = &self.digest_public_key_fingerprint;
        let signature = HEXLOWER_PERMISSIVE.decode(signature.trim().as_bytes()).map_err(|_| SignatureProblem::Wrong)?;
        match keys.verify(fingerprint, self.signed_text(hash).as_bytes(), &signature) {
            None => Err(SignatureProblem::UnknownKey(fingerprint.clone())),
            Some(false) => Err(SignatureProblem::Wrong),
            Some(true) => Ok(()),
        }
    }
}

impl Digest {
    /// What is wrong if an object with this key is the digest.
    pub fn place_problem(&self, key: &str) -> Option<Problem> {
        (self.digest_s3_object != key).then(|| Problem::MovedDigest { key: self.digest_s3_object.clone() })
    }

    /// What is wrong with the signature of the digest, if there is one. `hash` is that of the uncompressed bytes.
    pub fn signature_problem(&self, hash: Hash, signature: Option<&str>, keys: &PublicKeys) -> Option<Problem> {
        let Some(signature) = signature else { return Some(Problem::NoSignature) };
        match self.check_signature(hash, signature, keys) {
            Ok(()) => None,
            Err(SignatureProblem::Wrong) => Some(Problem::AlteredDigest),
            Err(SignatureProblem::UnknownKey(fingerprint)) => Some(Problem::UnknownKey { fingerprint }),
        }
    }

    /// What is wrong if the digest before has this hash.
    pub fn previous_problem(&self, hash: Hash) -> Option<Problem> {
        let expected = self.previous_digest_hash_value.as_deref().and_then(Hash::from_hex);
        let previous = self.previous_digest_s3_object.clone().unwrap_or_default();
        (expected != Some(hash)).then_some(Problem::BrokenChain { previous })
    }
}

impl LogFile {
    /// What is wrong if the uncompressed bytes of the file have this hash.
    pub fn problem(&self, sha256: Hash) -> Option<Problem> {
        let key = self.s3_object.clone();
        (Hash::from_hex(&self.hash_value) != Some(sha256)).then_some(Problem::AlteredFile { key, sha256 })
    }
}
