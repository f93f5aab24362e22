//! What a verification found.

use serde::Serialize;

use crate::hash::Hash;

/// What is wrong with a digest, or with a file that it lists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "problem", rename_all = "snake_case")]
pub enum Problem {
    /// The bytes are not what AWS signed.
    AlteredDigest,
    /// The file cannot be read as a digest.
    UnreadableDigest {
        /// Why.
        reason: String,
    },
    /// The digest is not where it says.
    MovedDigest {
        /// The key that it gives.
        key: String,
    },
    /// There is no signature: neither in a file beside it nor in the next digest.
    NoSignature,
    /// The public keys lack the one that signed it.
    UnknownKey {
        /// Its fingerprint.
        fingerprint: String,
    },
    /// The digest before has another SHA-256 than this one says.
    BrokenChain {
        /// The key of the digest before.
        previous: String,
    },
    /// The digest before is missing, though there are earlier ones.
    MissingDigest {
        /// Its key.
        key: String,
    },
    /// A log file is missing.
    MissingFile {
        /// Its key.
        key: String,
    },
    /// A log file has another SHA-256 than the digest says.
    AlteredFile {
        /// Its key.
        key: String,
        /// The SHA-256 that it has.
        #[serde(serialize_with = "text")]
        sha256: Hash,
    },
    /// A log file cannot be read.
    UnreadableFile {
        /// Its key.
        key: String,
        /// Why.
        reason: String,
    },
}

fn text<S: serde::Serializer>(hash: &Hash, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(hash)
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AlteredDigest => f.write_str("altered digest: its signature does not fit its content"),
            Self::UnreadableDigest { reason } => write!(f, "unreadable digest: {reason}"),
            Self::MovedDigest { key } => write!(f, "moved digest: it belongs to `{key}`"),
            Self::NoSignature => f.write_str("unverifiable: no signature beside it, and no later digest that has it"),
            Self::UnknownKey { fingerprint } => {
                write!(f, "unverifiable: the public keys lack the one with the fingerprint {fingerprint}")
            }
            Self::BrokenChain { previous } => write!(f, "broken chain: `{previous}` is not the digest before it"),
            Self::MissingDigest { key } => write!(f, "missing digest: `{key}`"),
            Self::MissingFile { key } => write!(f, "missing file: `{key}`"),
            Self::AlteredFile { key, sha256 } => write!(f, "altered file: `{key}`, its SHA-256 is {sha256}"),
            Self::UnreadableFile { key, reason } => write!(f, "unreadable file: `{key}`: {reason}"),
        }
    }
}

/// What a digest proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The digest and all files that it lists are as AWS delivered them.
    Verified,
    /// Nothing is known to be wrong, but the signature cannot be checked.
    Unverifiable,
    /// Something was changed or is missing.
    Failed,
}

impl Verdict {
    /// What a digest with these problems proves.
    pub fn of(problems: &[Problem]) -> Self {
        let of = |problem: &Problem| match problem {
            Problem::NoSignature | Problem::UnknownKey { .. } => Self::Unverifiable,
            _ => Self::Failed,
        };
        problems.iter().map(of).max().unwrap_or(Self::Verified)
    }
}

/// The result for one digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DigestReport {
    /// Its key.
    pub key: String,
    /// Begin of its hour; empty if it is unreadable.
    pub start: String,
    /// End of its hour.
    pub end: String,
    /// Number of log files that it lists.
    pub files: usize,
    /// What is wrong.
    pub problems: Vec<Problem>,
}

impl DigestReport {
    /// What it proves.
    pub fn verdict(&self) -> Verdict {
        Verdict::of(&self.problems)
    }
}

/// The result for a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The digests, by key.
    pub digests: Vec<DigestReport>,
    /// Keys of log files that no digest lists: those of the last hour, or files that were added later.
    pub unlisted: Vec<String>,
}
