//! The data folder: private to the user of the agent, for one agent at a time.

mod formats;

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// The lock file in the data folder.
const LOCK: &str = "lock";

/// Why the agent cannot use a data folder.
#[derive(Debug, thiserror::Error)]
pub enum DataFolderError {
    /// It cannot be created.
    #[error("data folder `{}` cannot be created: {error}; {HINT}", .path.display())]
    Create {
        /// The data folder.
        path: PathBuf,
        /// The error of the system.
        error: io::Error,
    },
    /// It cannot be locked.
    #[error("data folder `{}` cannot be locked: {error}; {HINT}", .path.display())]
    Lock {
        /// The data folder.
        path: PathBuf,
        /// The error of the system.
        error: io::Error,
    },
    /// A newer agent wrote to it, in a format that this agent does not read.
    #[error(
        "`{}` holds {contents} in version {version} of the format, and this agent reads up to {known}: a newer agent wrote \
         it. Nothing was changed; start the newer agent again and let it drain, set [agent] data_dir to another folder, or \
         move the file away, which loses what it holds",
        .path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// What it holds.
        contents: &'static str,
        /// Version of its format.
        version: u64,
        /// Newest version that this agent reads.
        known: u64,
    },
    /// Another agent uses it.
    #[error(
        "data folder `{}` is used by another agent; stop that one, or set [agent] data_dir to another folder",
        .path.display()
    )]
    InUse {
        /// The data folder.
        path: PathBuf,
    },
}

const HINT: &str = "set [agent] data_dir or WATTLE_DATA_DIR to a folder that this user may write";

/// Creates the data folder with mode 0700, or restricts it, and keeps a second agent out of it for
/// as long as the file lives.
///
/// # Errors
///
/// The folder cannot be created or locked, another agent uses it, or a newer agent wrote files that this one does not read.
pub fn lock(data_dir: &Path) -> Result<File, DataFolderError> {
    let path = || data_dir.to_owned();
    create(data_dir).map_err(|error| DataFolderError::Create { path: path(), error })?;
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(data_dir.join(LOCK));
    let file = file.map_err(|error| DataFolderError::Lock { path: path(), error })?;
    match file.try_lock() {
        Ok(()) => {}
        Err(fs::TryLockError::WouldBlock) => return Err(DataFolderError::InUse { path: path() }),
        Err(fs::TryLockError::Error(error)) => return Err(DataFolderError::Lock { path: path(), error }),
    }
    // With another mode, any user could hold the lock.
    if let Ok(metadata) = file.metadata()
        && is_ours(&metadata, data_dir)
        && let Err(error) = file.set_permissions(Permissions::from_mode(0o600))
    {
        tracing::warn!(%error, "cannot set the mode of the lock file to 0600; other users can lock it");
    }
    match formats::newer(data_dir) {
        Some(formats::Newer { path, contents, version, known }) => {
            Err(DataFolderError::Newer { path, contents, version, known })
        }
        None => Ok(file),
    }
}

fn create(data_dir: &Path) -> io::Result<()> {
    if let Some(parent) = data_dir.parent() {
        fs::create_dir_all(parent)?;
    }
    match DirBuilder::new().mode(0o700).create(data_dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        created => return created,
    }
    let metadata = fs::metadata(data_dir)?;
    if !metadata.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    tighten(data_dir, &metadata);
    Ok(())
}

/// Restricts a data folder that is open to other users. A failure is only logged.
fn tighten(data_dir: &Path, metadata: &Metadata) {
    let mode = metadata.mode() & 0o7777;
    let path = data_dir.display();
    // A folder with the sticky bit, such as /tmp, is shared on purpose, and so is the root folder.
    let is_shared = mode & 0o1000 != 0 || data_dir.parent().is_none();
    if mode & 0o077 == 0 {
        return;
    }
    if is_shared || !is_ours(metadata, data_dir) {
        if mode & 0o007 != 0 {
            tracing::warn!(
                %path, mode = %format_args!("{mode:04o}"),
                "other users can open the data folder, and the agent must not change its mode; use a separate folder"
            );
        }
        return;
    }
    match fs::set_permissions(data_dir, Permissions::from_mode(mode & !0o077)) {
        Ok(()) => tracing::warn!(
            %path, before = %format_args!("{mode:04o}"), after = %format_args!("{:04o}", mode & !0o077),
            "the data folder was open to other users; changed its mode"
        ),
        Err(error) => {
            tracing::warn!(%path, %error, "the data folder is open to other users; cannot change its mode")
        }
    }
}

/// Whether this user owns the data folder or a file in it. It is not enough to try changing the
/// mode, because root can change the mode of any folder.
fn is_ours(metadata: &Metadata, data_dir: &Path) -> bool {
    let own = tempfile::tempfile_in(data_dir).and_then(|file| file.metadata());
    own.is_ok_and(|own| own.uid() == metadata.uid())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn a_new_data_folder_and_its_lock_are_private() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("parent/data");
        let _lock = lock(&folder).ok().unwrap();
        assert_eq!(mode(&folder), 0o700);
        assert_eq!(mode(&folder.join(LOCK)), 0o600);
        assert!(lock(&folder).is_err_and(|error| matches!(error, DataFolderError::InUse { .. })));
    }

    #[test]
    fn a_data_folder_of_this_user_is_restricted_and_keeps_its_content() {
        let place = tempfile::tempdir().unwrap();
        for wide in [0o777, 0o755, 0o750, 0o2775] {
            let folder = place.path().join(format!("{wide:o}"));
            fs::create_dir(&folder).unwrap();
            fs::write(folder.join(LOCK), "").unwrap();
            fs::set_permissions(folder.join(LOCK), Permissions::from_mode(0o666)).unwrap();
            fs::set_permissions(&folder, Permissions::from_mode(wide)).unwrap();
            drop(lock(&folder).ok().unwrap());
            assert_eq!(mode(&folder) & 0o777, 0o700, "{wide:o}");
            assert_eq!(mode(&folder.join(LOCK)), 0o600, "{wide:o}");
        }
    }

    #[test]
    fn a_shared_folder_with_the_sticky_bit_keeps_its_mode() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("shared");
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, Permissions::from_mode(0o1777)).unwrap();
        let _lock = lock(&folder).ok().unwrap();
        assert_eq!(mode(&folder), 0o1777);
    }
}
