//! The files of a pack in memory, and their canonical tar.
//!
//! The tar has one entry per file and nothing else, sorted by the bytes of the paths, with mode
//! 0644, owner 0 and time 0. [`crate::unpack`] compares the header of each entry with the canonical
//! one. So it refuses links, other owners, data after the end, and everything else that a list of
//! files does not show.

use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use tar::Builder;
use wattle_pack::PackBytes;
use wattle_pack::digest::{FileList, FileListError};

use crate::unpack::{self, Paths};

/// Maximum number of files of a pack in an archive.
pub const MAX_FILES: usize = 4096;
/// Maximum size of all files together, in bytes.
pub const MAX_BYTES: u64 = 256 << 20;
/// Maximum length of a path, in bytes.
pub const MAX_PATH: usize = 240;

/// Paths with `/`, and contents.
pub type Files = PackBytes;

/// An error in the files of a pack, or in their tar.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// A file cannot be read, or the tar is damaged.
    #[error("{what}: {error}")]
    Unreadable {
        /// What cannot be read.
        what: String,
        /// Cause.
        error: io::Error,
    },
    /// The folder contains something that a pack cannot contain.
    #[error(transparent)]
    List(#[from] FileListError),
    /// An entry that is not a regular file.
    #[error("`{}` is {kind}; only regular files are allowed", path.escape_debug())]
    NotAFile {
        /// The path in the tar.
        path: String,
        /// Kind of the entry, such as `a hard link`.
        kind: &'static str,
    },
    /// A path that leads outside of the folder, or that is not printable.
    #[error("bad path `{}`; it must be relative, without `..`, and printable", .0.escape_debug())]
    BadPath(String),
    /// Two entries with the same path, also if they differ by case only, or a file that is also a
    /// folder.
    #[error("`{}` and `{}` are the same file on some machines", .0.escape_debug(), .1.escape_debug())]
    SamePath(String, String),
    /// A limit is exceeded.
    #[error("more than {0}")]
    TooLarge(&'static str),
    /// The tar is not canonical.
    #[error("not in the form that `wattle pack archive` writes, from byte {0} on")]
    NotCanonical(usize),
}

impl FilesError {
    pub(crate) fn unreadable(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |error| Self::Unreadable { what, error }
    }
}

/// Reads the files of a pack's folder, with the list and its signature if they exist.
///
/// # Errors
///
/// The folder cannot be read, or contains something that a pack cannot contain.
pub fn read_folder(folder: &Path) -> Result<Files, FilesError> {
    let files = wattle_pack::read_files(folder)?;
    check(&files)?;
    Ok(files)
}

/// Checks the paths, the number and the size of files.
pub(crate) fn check(files: &Files) -> Result<(), FilesError> {
    let mut paths = Paths::default();
    files.iter().try_for_each(|(path, bytes)| paths.add(path, bytes.len() as u64))
}

/// Returns the list of the files, without the list and the signature themselves. The digest of the
/// list is the digest of the pack.
///
/// # Errors
///
/// A path cannot be part of a pack.
pub fn list(files: &Files) -> Result<FileList, FileListError> {
    FileList::of_files(files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())))
}

/// Creates a new file with mode 0600, independent of the umask. Fails if it exists.
pub(crate) fn create_private(path: &Path) -> io::Result<File> {
    File::options().write(true).create_new(true).mode(0o600).open(path)
}

/// Writes a new file with mode 0600 and syncs it. Fails if it exists.
pub(crate) fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = create_private(path)?;
    io::Write::write_all(&mut file, bytes)?;
    file.sync_all()
}

/// Writes the canonical tar of files.
///
/// # Errors
///
/// A path is too long for the format.
pub fn to_tar(files: &Files) -> Result<Vec<u8>, FilesError> {
    let mut tar = Builder::new(Vec::new());
    for (path, bytes) in files {
        let wrong = || format!("`{path}`");
        let mut header = unpack::header(bytes.len() as u64);
        tar.append_data(&mut header, path, bytes.as_slice()).map_err(FilesError::unreadable(wrong()))?;
    }
    tar.into_inner().map_err(FilesError::unreadable("the tar"))
}

/// Reads the files of a canonical tar.
///
/// # Errors
///
/// The tar is not canonical, exceeds a limit, or contains bad paths or anything but regular files.
pub fn from_tar(mut tar: &[u8]) -> Result<Files, FilesError> {
    let mut files = Files::new();
    unpack::unpack(&mut tar, &mut files)?;
    Ok(files)
}
