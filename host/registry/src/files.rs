//! The files of a pack in memory, and the one tar that they make.
//!
//! The tar has an entry for each file and nothing else, in the order of the bytes of the paths, with mode 0644, owner 0
//! and time 0. [`crate::unpack`] reads one and compares each header with the one that belongs to the entry: links, other
//! owners, data behind the end and everything else that a list of files does not show is refused that way.

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
/// Longest path of a file, in bytes.
pub const MAX_PATH: usize = 240;

/// Paths with `/`, and contents.
pub type Files = PackBytes;

/// Why files cannot be a pack, or a tar is not the one of a pack.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// A file cannot be read, or the tar is damaged.
    #[error("{what}: {error}")]
    Unreadable {
        /// What could not be read.
        what: String,
        /// Why.
        error: io::Error,
    },
    /// The folder holds something that no pack holds.
    #[error(transparent)]
    List(#[from] FileListError),
    /// An entry that is no plain file.
    #[error("`{}` is {kind}; only plain files are allowed", path.escape_debug())]
    NotAFile {
        /// The path as the tar has it.
        path: String,
        /// Such as `a link`.
        kind: &'static str,
    },
    /// A path that leads outside, or that cannot be shown.
    #[error("bad path `{}`; it must be relative, without `..`, and printable", .0.escape_debug())]
    BadPath(String),
    /// Two entries with one path, also where only the case of letters tells them apart, or a file that is a folder too.
    #[error("`{}` and `{}` are the same file on some machines", .0.escape_debug(), .1.escape_debug())]
    SamePath(String, String),
    /// More than a pack may have.
    #[error("more than {0}")]
    TooLarge(&'static str),
    /// It holds these files, but not in the one form.
    #[error("not in the form that `wattle pack archive` writes, from byte {0} on")]
    NotCanonical(usize),
}

impl FilesError {
    pub(crate) fn unreadable(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |error| Self::Unreadable { what, error }
    }
}

/// Reads the files of a pack's folder, with the list and its signature where they are there.
///
/// # Errors
///
/// The folder cannot be read, or holds what no pack holds.
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

/// Lists the files without the list and the signature; its digest is the digest of the pack.
///
/// # Errors
///
/// A path cannot be part of a pack.
pub fn list(files: &Files) -> Result<FileList, FileListError> {
    FileList::of_files(files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())))
}

/// Creates a file that must be new, for its owner alone, whatever the umask is.
pub(crate) fn create_private(path: &Path) -> io::Result<File> {
    File::options().write(true).create_new(true).mode(0o600).open(path)
}

/// Writes a file that must be new, for its owner alone, and syncs it.
pub(crate) fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = create_private(path)?;
    io::Write::write_all(&mut file, bytes)?;
    file.sync_all()
}

/// Makes the tar of files.
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

/// Reads the files of a tar that [`to_tar`] made, and refuses every other.
///
/// # Errors
///
/// The tar holds something else than plain files with good paths, too much, or is not in the one form.
pub fn from_tar(mut tar: &[u8]) -> Result<Files, FilesError> {
    let mut files = Files::new();
    unpack::unpack(&mut tar, &mut files)?;
    Ok(files)
}
