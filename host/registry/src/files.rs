//! The files of a pack in memory, and the one tar that they make.
//!
//! The tar has an entry for each file and nothing else, in the order of the bytes of the paths, with mode 0644, owner 0
//! and time 0. Whoever reads one makes it anew of what it read and compares: links, other owners, data behind the end
//! and everything else that a list of files does not show is refused that way, whatever it is.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read as _};
use std::path::Path;

use tar::{Archive, Builder, EntryType, Header};
use wattle_pack::PackBytes;
use wattle_pack::digest::{FileList, FileListError, is_path};

/// Most files of a pack that travels.
pub const MOST_FILES: usize = 4096;
/// Most bytes that they may have together.
pub const MOST_BYTES: u64 = 256 << 20;
/// Longest path of a file, in bytes.
pub const LONGEST_PATH: usize = 240;

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
    #[error("not in the form that `wattle pack pack` writes, from byte {0} on")]
    NotCanonical(usize),
}

impl FilesError {
    fn unreadable(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
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
    let mut files = Files::new();
    let mut total = 0;
    for (path, bytes) in wattle_pack::read_files(folder)? {
        total += bytes.len() as u64;
        add(&mut files, path, bytes, total)?;
    }
    Ok(files)
}

/// Lists the files without the list and the signature; its digest is the digest of the pack.
///
/// # Errors
///
/// A path cannot be part of a pack.
pub fn list(files: &Files) -> Result<FileList, FileListError> {
    FileList::of_files(files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())))
}

/// Writes files to a folder that is new or empty, each synced.
///
/// # Errors
///
/// The system refuses.
pub fn write_folder(files: &Files, folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    for (path, bytes) in files {
        let path = folder.join(path);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        write_synced(&path, bytes)?;
    }
    Ok(())
}

/// Writes a file that must be new, and syncs it.
pub(crate) fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = std::fs::File::create_new(path)?;
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
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        tar.append_data(&mut header, path, bytes.as_slice()).map_err(FilesError::unreadable(wrong()))?;
    }
    tar.into_inner().map_err(FilesError::unreadable("the tar"))
}

/// Reads the files of a tar that [`to_tar`] made, and refuses every other.
///
/// # Errors
///
/// The tar holds something else than plain files with good paths, too much, or is not in the one form.
pub fn from_tar(tar: &[u8]) -> Result<Files, FilesError> {
    let mut files = Files::new();
    let mut total = 0;
    for entry in Archive::new(tar).entries().map_err(FilesError::unreadable("the tar"))? {
        let mut entry = entry.map_err(FilesError::unreadable("the tar"))?;
        let path = String::from_utf8(entry.path_bytes().into_owned());
        let path = path.map_err(|error| FilesError::BadPath(String::from_utf8_lossy(error.as_bytes()).into_owned()))?;
        let kind = entry.header().entry_type();
        if kind != EntryType::Regular {
            return Err(FilesError::NotAFile { path, kind: name_of(kind) });
        }
        total += entry.size();
        if total > MOST_BYTES {
            return Err(FilesError::TooLarge("256 MiB"));
        }
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(FilesError::unreadable(format!("`{path}`")))?;
        add(&mut files, path, bytes, total)?;
    }
    let folded = fold(&files);
    if let Some((one, other)) = folded {
        return Err(FilesError::SamePath(one, other));
    }
    let canonical = to_tar(&files)?;
    if canonical != tar {
        let same = canonical.iter().zip(tar).take_while(|(ours, theirs)| ours == theirs).count();
        return Err(FilesError::NotCanonical(same));
    }
    Ok(files)
}

fn add(files: &mut Files, path: String, bytes: Vec<u8>, total: u64) -> Result<(), FilesError> {
    if !is_path(&path) || path.len() > LONGEST_PATH {
        return Err(FilesError::BadPath(path));
    }
    if files.len() >= MOST_FILES {
        return Err(FilesError::TooLarge("4,096 files"));
    }
    if total > MOST_BYTES {
        return Err(FilesError::TooLarge("256 MiB"));
    }
    if files.contains_key(&path) {
        return Err(FilesError::SamePath(path.clone(), path));
    }
    files.insert(path, bytes);
    Ok(())
}

/// Finds two paths that are one where case does not count, or a file that another path has as a folder.
pub(crate) fn fold(files: &Files) -> Option<(String, String)> {
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    for path in files.keys() {
        if let Some(other) = seen.insert(path.to_lowercase(), path) {
            return Some((other.to_owned(), path.clone()));
        }
    }
    let mut folders = BTreeSet::new();
    for path in files.keys() {
        for (at, _) in path.match_indices('/') {
            let folder = path.get(..at).unwrap_or_default();
            if let Some(file) = seen.get(&folder.to_lowercase()) {
                return Some(((*file).to_owned(), path.clone()));
            }
            folders.insert(folder);
        }
    }
    // Folders that differ by case only would be one folder somewhere.
    let mut lower: BTreeMap<String, &str> = BTreeMap::new();
    for folder in folders {
        if let Some(other) = lower.insert(folder.to_lowercase(), folder) {
            return Some((other.to_owned(), folder.to_owned()));
        }
    }
    None
}

fn name_of(kind: EntryType) -> &'static str {
    match kind {
        EntryType::Symlink => "a symbolic link",
        EntryType::Link => "a hard link",
        EntryType::Directory => "a folder entry",
        EntryType::Char | EntryType::Block => "a device",
        EntryType::Fifo => "a pipe",
        EntryType::GNUSparse => "a sparse file",
        EntryType::XGlobalHeader | EntryType::XHeader => "an extended header",
        _ => "an entry of a strange type",
    }
}
