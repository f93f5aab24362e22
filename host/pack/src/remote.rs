//! What a library asks of those who keep packs that came from registries.

use std::fmt;
use std::path::PathBuf;

use crate::digest::FileList;

/// What references to packs of registries begin with.
pub const REMOTE: &str = "oci://";

/// A pack that was pulled.
#[derive(Debug, Clone)]
pub struct Located {
    /// Its folder.
    pub folder: PathBuf,
    /// What the folder must hold, by the digest under which the pack was pulled.
    pub list: FileList,
    /// The reference, pinned to the digest of the image.
    pub pinned: String,
    /// The reference without tag and digest, as a trust policy names it.
    pub source: String,
}

/// Why a pack of a registry is not here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotLocated {
    /// What is wrong.
    pub message: String,
    /// True where the reference itself is wrong.
    pub is_malformed: bool,
    /// How to mend it.
    pub hint: Option<String>,
}

/// Those who keep packs that came from registries. They answer from what is here, without the network.
pub trait Remote: fmt::Debug + Send + Sync {
    /// Finds the pack of a reference that begins with [`REMOTE`].
    ///
    /// # Errors
    ///
    /// It is not here.
    fn locate(&self, reference: &str) -> Result<Located, NotLocated>;
}
