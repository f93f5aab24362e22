//! The interface between a library and the store of packs from registries.

use std::fmt;
use std::path::PathBuf;

use crate::digest::FileList;

/// Prefix of references to packs of registries.
pub const REMOTE: &str = "oci://";

/// A pulled pack.
#[derive(Debug, Clone)]
pub struct Located {
    /// Its folder.
    pub folder: PathBuf,
    /// File list that the folder must match, verified by the digest of the pulled image.
    pub list: FileList,
    /// The reference, pinned to the digest of the image.
    pub pinned: String,
    /// The reference without tag and digest, as a trust policy names it.
    pub source: String,
}

/// Why a pack of a registry is not available.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotLocated {
    /// Description of the problem.
    pub message: String,
    /// Whether the reference itself is malformed.
    pub is_malformed: bool,
    /// How to fix it.
    pub hint: Option<String>,
}

/// A store of packs from registries. It uses only what was pulled before, without network access.
pub trait Remote: fmt::Debug + Send + Sync {
    /// Finds the pack of a reference that begins with [`REMOTE`].
    ///
    /// # Errors
    ///
    /// The pack was not pulled, or the reference is malformed.
    fn locate(&self, reference: &str) -> Result<Located, NotLocated>;
}
