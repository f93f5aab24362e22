//! Installs packs into a library folder and removes them, atomically.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::digest::{FileList, FileListError, LIST_FILE};
use crate::library::PackFiles;
use wattle_diagnostics::Invalid;

/// Result of an installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// Folder of the pack.
    pub folder: PathBuf,
    /// Name and version.
    pub id: String,
    /// Digest of its file list.
    pub digest: String,
    /// False if the same pack was already installed.
    pub is_new: bool,
}

/// Why a pack was not installed or not removed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The manifest of the pack is invalid.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// Its files cannot be listed.
    #[error(transparent)]
    Files(#[from] FileListError),
    /// The library has another pack with the same name and version.
    #[error(
        "`{}` has the digest `{there}`, and the pack to install has `{wanted}`: give the new pack another version, or remove the installed one",
        folder.display()
    )]
    Different {
        /// Folder of the installed pack.
        folder: PathBuf,
        /// Digest of the installed pack.
        there: String,
        /// Digest of the pack to install.
        wanted: String,
    },
    /// The copy differs from the pack that was read.
    #[error("the pack changed during the copy; install it again")]
    Changed,
    /// A folder cannot be written.
    #[error("`{}`: {error}", path.display())]
    Io {
        /// Path of the folder.
        path: PathBuf,
        /// Cause.
        error: io::Error,
    },
}

/// Copies the files of a pack into a library folder as `<name>/<version>`, with its file list and
/// signatures if it has them.
///
/// The installation is atomic: at any instant the version is there completely or not at all. Below
/// a folder that is closed to other users, such as the data folder of an agent, all new files are
/// closed to them as well.
///
/// # Errors
///
/// Another pack has its place, the files differ from those of the list, or the folder cannot be
/// written.
pub fn install(
    files: &PackFiles,
    list: &FileList,
    name: &str,
    version: &str,
    folder: &Path,
) -> Result<Installed, InstallError> {
    let (id, digest) = (format!("{name}@{version}"), list.digest());
    let parent = folder.join(name);
    let target = parent.join(version);
    if target.exists() {
        let there = FileList::of_folder(&target)?.digest();
        if there != digest {
            return Err(InstallError::Different { folder: target, there, wanted: digest });
        }
        return Ok(Installed { folder: target, id, digest, is_new: false });
    }
    let modes = Modes::below(folder);
    modes.create_folder(&parent).map_err(|error| io_error(&parent, error))?;
    // A hidden name is not a version, so no reader takes a partial copy for a pack.
    let partial = parent.join(format!(".installing-{}-{}", version, std::process::id()));
    let copied = copy(files, list, &partial, modes).and_then(|()| {
        if FileList::of_folder(&partial)?.digest() != digest {
            return Err(InstallError::Changed);
        }
        fs::rename(&partial, &target).map_err(|error| io_error(&target, error))
    });
    if copied.is_err() {
        let _ = fs::remove_dir_all(&partial);
    }
    copied.map(|()| Installed { folder: target, id, digest, is_new: true })
}

/// Removes a version from a library folder.
///
/// # Errors
///
/// The version is not installed, or cannot be removed.
pub fn remove(folder: &Path, name: &str, version: &str) -> Result<PathBuf, InstallError> {
    let target = folder.join(name).join(version);
    let gone = folder.join(name).join(format!(".removing-{version}-{}", std::process::id()));
    // Rename first: if the deletion then fails, the remains are no longer a pack.
    fs::rename(&target, &gone).map_err(|error| io_error(&target, error))?;
    fs::remove_dir_all(&gone).map_err(|error| io_error(&gone, error))?;
    // Remove the folder of the name if this was its last version.
    let _ = fs::remove_dir(folder.join(name));
    Ok(target)
}

/// Modes of new files and folders, before the umask.
#[derive(Clone, Copy)]
struct Modes {
    folders: u32,
    files: u32,
}

impl Modes {
    /// Private if the nearest existing folder is private, since a umask may leave everything open.
    fn below(folder: &Path) -> Self {
        let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
        let nearest = absolute.ancestors().find_map(|folder| fs::metadata(folder).ok());
        match nearest.is_some_and(|folder| folder.mode() & 0o077 == 0) {
            true => Self { folders: 0o700, files: 0o600 },
            false => Self { folders: 0o777, files: 0o666 },
        }
    }

    fn create_folder(self, folder: &Path) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(self.folders).create(folder)
    }

    fn create_file(self, path: &Path) -> io::Result<fs::File> {
        fs::File::options().write(true).create(true).truncate(true).mode(self.files).open(path)
    }
}

fn copy(files: &PackFiles, list: &FileList, to: &Path, modes: Modes) -> Result<(), InstallError> {
    let _ = fs::remove_dir_all(to);
    modes.create_folder(to).map_err(|error| io_error(to, error))?;
    let signatures = files.list("").into_iter().filter(|name| name.starts_with(LIST_FILE));
    let paths = list.iter().map(|(path, _)| path.to_owned()).chain(signatures);
    for path in paths {
        let target = to.join(&path);
        if let Some(parent) = target.parent() {
            modes.create_folder(parent).map_err(|error| io_error(parent, error))?;
        }
        // A file can be large, so copy it in pieces, and compare the copy with the digest.
        let mut source: Box<dyn io::Read> = match files.folder() {
            Some(_) => Box::new(open_plain(&files.path(&path)).map_err(|error| io_error(&files.path(&path), error))?),
            None => {
                let bytes = files.read(&path).map_err(|error| io_error(&files.path(&path), error))?;
                Box::new(io::Cursor::new(bytes))
            }
        };
        let mut write = || -> io::Result<()> {
            let mut file = modes.create_file(&target)?;
            io::copy(&mut source, &mut file)?;
            file.sync_all()
        };
        write().map_err(|error| io_error(&target, error))?;
    }
    Ok(())
}

/// Opens a file; refuses anything that could block or be endless.
fn open_plain(path: &Path) -> io::Result<fs::File> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a plain file"));
    }
    fs::File::open(path)
}

fn io_error(path: &Path, error: io::Error) -> InstallError {
    InstallError::Io { path: path.to_owned(), error }
}
