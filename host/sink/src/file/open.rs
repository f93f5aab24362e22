//! Opening a file so that what follows fits to what is there.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;

use super::options::Settings;
use super::rotate::set_aside;

/// Which file it is, whatever its name.
pub(crate) type Identity = (u64, u64);

/// A file that was opened.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) file: File,
    pub(crate) identity: Identity,
    /// It is a file, not a device or a pipe.
    pub(crate) regular: bool,
    pub(crate) size: u64,
    /// How long ago it was made.
    pub(crate) age: Duration,
    /// Its last event is torn.
    pub(crate) torn: bool,
    /// Folders with a new entry, which must be synced before the file is safe.
    pub(crate) folders: Vec<PathBuf>,
}

/// Opens a file for adding to it, and makes it and its folders if need be. A compressed file whose end is missing is
/// set aside first.
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
                "end of compressed file is missing or not this sink's, file was set aside and a new one begins"
            );
            (file, folders) = open_or_create(path)?;
            metadata = file.metadata()?;
        }
    }
    if torn {
        tracing::warn!(path = %path.display(), "file ends in the middle of an event, a line break is added after it");
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

/// Which file a path names now.
pub(crate) fn identity_at(path: &Path) -> Option<Identity> {
    std::fs::metadata(path).ok().map(|metadata| identity(&metadata))
}

fn identity(metadata: &Metadata) -> Identity {
    (metadata.dev(), metadata.ino())
}

fn age(metadata: &Metadata) -> Duration {
    // Not every file system keeps the time of birth.
    let born = metadata.created().or_else(|_| metadata.modified());
    born.ok().and_then(|born| born.elapsed().ok()).unwrap_or_default()
}

pub(crate) fn open_or_create(path: &Path) -> io::Result<(File, Vec<PathBuf>)> {
    match OpenOptions::new().append(true).open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        done => return done.map(|file| (file, Vec::new())),
    }
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut folders = vec![parent.to_owned()];
    for folder in parent.ancestors() {
        // A folder that has to be made is a new entry of the one above it.
        if folder.as_os_str().is_empty() || folder.is_dir() {
            break;
        }
        if let Some(above) = folder.parent() {
            folders.push(if above.as_os_str().is_empty() { PathBuf::from(".") } else { above.to_owned() });
        }
    }
    std::fs::create_dir_all(parent)?;
    let file = OpenOptions::new().append(true).create(true).open(path)?;
    Ok((file, folders))
}

/// Whether a file of this size ends with these bytes; none if it cannot be read.
pub(crate) fn ends_with(path: &Path, size: u64, end: &[u8]) -> Option<bool> {
    let Some(start) = size.checked_sub(end.len() as u64) else { return Some(false) };
    let mut last = vec![0; end.len()];
    File::open(path).and_then(|file| file.read_exact_at(&mut last, start)).ok()?;
    Some(last == end)
}
