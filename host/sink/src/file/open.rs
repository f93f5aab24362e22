//! Opens an output file and repairs its end, so that new events can follow.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;

use super::options::Settings;
use super::rotate::set_aside;
use crate::append::{ends_with, open_or_create};

/// Device and inode: identifies a file independently of its name.
pub(crate) type Identity = (u64, u64);

/// An open file.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) file: File,
    pub(crate) identity: Identity,
    /// Whether it is a regular file, not a device or a pipe.
    pub(crate) regular: bool,
    pub(crate) size: u64,
    /// Time since it was created.
    pub(crate) age: Duration,
    /// Whether its last event is incomplete.
    pub(crate) torn: bool,
    /// Folders with a new entry. They must be synced before the file survives a loss of power.
    pub(crate) folders: Vec<PathBuf>,
}

/// Opens a file to append to it, and creates it and its folders if they do not exist. A compressed
/// file without its end mark is renamed first.
pub(crate) fn open(path: &Path, settings: &Settings, truncate: bool) -> io::Result<Opened> {
    let (mut file, mut folders) = open_or_create(path)?;
    let mut metadata = file.metadata()?;
    if truncate && metadata.is_file() {
        file.set_len(0)?;
        metadata = file.metadata()?;
    }
    let mut torn = false;
    if metadata.is_file() && metadata.len() > 0 {
        let mark = settings.compression.end_mark();
        if mark.is_empty() {
            torn = settings.lines && ends_with(path, metadata.len(), b"\n") == Some(false);
        } else if ends_with(path, metadata.len(), mark) != Some(true) {
            let aside = set_aside(path, Timestamp::now())?;
            tracing::warn!(
                path = %path.display(),
                aside = %aside.display(),
                "compressed file has no end mark of this sink; the file was renamed and a new one is created"
            );
            (file, folders) = open_or_create(path)?;
            metadata = file.metadata()?;
        }
    }
    if torn {
        tracing::warn!(path = %path.display(), "file ends with an incomplete event; adding a line break after it");
    }
    Ok(Opened {
        file,
        identity: identity(&metadata),
        regular: metadata.is_file(),
        size: metadata.len(),
        age: age(&metadata),
        torn,
        folders,
    })
}

/// The identity of the file that a path names now.
pub(crate) fn identity_at(path: &Path) -> Option<Identity> {
    std::fs::metadata(path).ok().map(|metadata| identity(&metadata))
}

fn identity(metadata: &Metadata) -> Identity {
    (metadata.dev(), metadata.ino())
}

fn age(metadata: &Metadata) -> Duration {
    // Not every file system records the creation time.
    let born = metadata.created().or_else(|_| metadata.modified());
    born.ok().and_then(|born| born.elapsed().ok()).unwrap_or_default()
}
