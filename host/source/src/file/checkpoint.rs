//! The saved state of a file.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize, Serializer};

use super::identity::{FileId, Fingerprint, Proof, Version};
use crate::positions;

/// The saved positions of a source.
pub(crate) type Store = positions::Store<Entry>;

/// Saved positions of earlier runs.
pub(crate) type Saved = positions::Saved<Entry>;

/// State of a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Entry {
    #[serde(flatten)]
    pub(crate) id: FileId,
    pub(crate) fingerprint: Fingerprint,
    /// Path where the file was last seen, as far as JSON can express it.
    #[serde(serialize_with = "lossy")]
    pub(crate) path: PathBuf,
    /// Everything before this decompressed byte is delivered.
    pub(crate) position: u64,
    /// Everything before this decompressed byte went to the output at least once; less than the
    /// position if an agent that did not save it wrote the entry.
    #[serde(default)]
    pub(crate) offered: u64,
    /// Proof of the bytes before the position up to which the file was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) proof: Option<Proof>,
    /// Birth time of the inode in nanoseconds since the epoch, if the file system has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) born: Option<i64>,
    /// End of the file, once it was read completely.
    pub(crate) end: Option<u64>,
    /// The data after `end` cannot be read.
    pub(crate) failed: bool,
    /// The file existed before the source, and the options say to start at the end.
    pub(crate) passed_over: bool,
    /// Version of the file that `end` applies to.
    pub(crate) read: Version,
    /// When the file was last seen, in seconds since the epoch.
    pub(crate) seen: u64,
}

impl Entry {
    /// Returns whether nothing is left to read unless the file changes.
    pub(crate) fn is_done(&self) -> bool {
        self.end == Some(self.position)
    }
}

fn lossy<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}
