//! A TLS configuration that follows the files that it is made of.
//!
//! Files are compared by their metadata, through symbolic links. So a file that is replaced counts as changed, and so does a
//! link that points to another file, as certbot and Kubernetes exchange them.

use std::fmt;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::config::TlsConfigError;

/// A TLS configuration that is created again when its files change. While they cannot be used, it stays as it is.
///
/// The owner decides when the files are checked, and logs the result: it knows on whose behalf.
pub struct Reloaded<C> {
    files: Vec<PathBuf>,
    create: Box<dyn Fn() -> Result<C, TlsConfigError> + Send + Sync>,
    /// State of the files when they were last read.
    read: Mutex<Vec<Option<Stamp>>>,
    config: watch::Sender<Arc<C>>,
}

/// Metadata that changes when the contents of a file change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    /// Copying tools can set the other time to an earlier one, but not this one.
    changed: (i64, i64),
}

impl From<Metadata> for Stamp {
    fn from(metadata: Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

fn stamps(files: &[PathBuf]) -> Vec<Option<Stamp>> {
    files.iter().map(|path| std::fs::metadata(path).ok().map(Stamp::from)).collect()
}

impl<C> fmt::Debug for Reloaded<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reloaded").field("files", &self.files).finish_non_exhaustive()
    }
}

impl<C: Send + Sync + 'static> Reloaded<C> {
    /// Creates the first configuration. `create` reads `files`.
    ///
    /// # Errors
    ///
    /// Those of `create`.
    pub fn new<'f>(
        files: impl Iterator<Item = &'f PathBuf>,
        create: impl Fn() -> Result<C, TlsConfigError> + Send + Sync + 'static,
    ) -> Result<Self, TlsConfigError> {
        let files: Vec<PathBuf> = files.cloned().collect();
        // Taken before the files are read, so that a change in between is detected.
        let read = Mutex::new(stamps(&files));
        let config = watch::Sender::new(Arc::new(create()?));
        Ok(Self { files, create: Box::new(create), read, config })
    }

    /// The configuration for a new connection, from the files as they were when they were last checked.
    fn current(&self) -> Arc<C> {
        self.config.borrow().clone()
    }

    /// Reads the files again if they have changed. Returns whether they can be used; `None` if they have not changed since
    /// the last call.
    fn refresh(&self) -> Option<Result<(), TlsConfigError>> {
        // If another thread is checking the files, this one does not wait for a slow file system.
        let mut read = self.read.try_lock()?;
        let now = stamps(&self.files);
        if *read == now {
            return None;
        }
        // Set even if the files cannot be used. They are read again after the next change.
        *read = now;
        Some((self.create)().map(|config| {
            self.config.send_replace(Arc::new(config));
        }))
    }

    /// The configuration for a new connection, from the files as they are now. Gives the result of a change to `report`, on
    /// another thread: it is called even if the caller no longer waits.
    pub async fn refreshed(
        self: &Arc<Self>,
        report: impl FnOnce(Result<(), TlsConfigError>) + Send + 'static,
    ) -> Arc<C> {
        let this = self.clone();
        let check = move || this.refresh().map(report);
        let _ = tokio::task::spawn_blocking(check).await;
        self.current()
    }

    /// Checks the files at this interval, and gives the result of each change to `report`. Returns when there is a new
    /// configuration, also if another task created it; never if there are no files.
    pub async fn changed(
        self: &Arc<Self>,
        interval: Duration,
        report: impl Fn(Result<(), TlsConfigError>) + Clone + Send + 'static,
    ) {
        let mut config = self.config.subscribe();
        if self.files.is_empty() {
            return std::future::pending().await;
        }
        loop {
            tokio::select! {
                // The sender lives in `self`, so this cannot be an error.
                _ = config.changed() => return,
                () = tokio::time::sleep(interval) => {}
            }
            self.refreshed(report.clone()).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A configuration that is the text of the first file, which must not be empty.
    fn text_of(files: &[PathBuf]) -> Reloaded<String> {
        let first = files[0].clone();
        Reloaded::new(files.iter(), move || {
            let text = std::fs::read_to_string(&first).unwrap_or_default();
            if text.is_empty() { Err(TlsConfigError::NoKey(first.clone())) } else { Ok(text) }
        })
        .unwrap()
    }

    #[test]
    fn a_change_is_reported_once_and_unusable_files_change_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, "one").unwrap();
        let followed = text_of(&[path.clone(), folder.path().join("never")]);
        assert!(followed.refresh().is_none());
        std::fs::write(&path, "").unwrap();
        assert!(followed.refresh().unwrap().is_err());
        assert!(followed.refresh().is_none(), "each change is reported once");
        assert_eq!(*followed.current(), "one");
        std::fs::remove_file(&path).unwrap();
        assert!(followed.refresh().unwrap().is_err());
        std::fs::write(&path, "two").unwrap();
        assert!(followed.refresh().unwrap().is_ok());
        assert_eq!(*followed.current(), "two");
        // Same size, and the time of modification of the file before. Kernels count the times of files in steps of up to
        // 10 ms.
        std::thread::sleep(Duration::from_millis(20));
        let modified = std::fs::metadata(&path).unwrap().modified().unwrap();
        std::fs::write(&path, "six").unwrap();
        std::fs::File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
        assert!(followed.refresh().unwrap().is_ok());
        assert_eq!(*followed.current(), "six");
    }

    /// Kubernetes mounts a secret as links to `..data/NAME`, and exchanges the link `..data`.
    #[test]
    fn a_link_that_points_elsewhere_is_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for (version, text) in [("..1", "old"), ("..2", "new")] {
            std::fs::create_dir(at(version)).unwrap();
            std::fs::write(at(version).join("tls.crt"), text).unwrap();
        }
        std::os::unix::fs::symlink("..1", at("..data")).unwrap();
        std::os::unix::fs::symlink("..data/tls.crt", at("tls.crt")).unwrap();
        let followed = text_of(&[at("tls.crt")]);
        std::os::unix::fs::symlink("..2", at("..data_tmp")).unwrap();
        std::fs::rename(at("..data_tmp"), at("..data")).unwrap();
        assert!(followed.refresh().unwrap().is_ok());
        assert_eq!(*followed.current(), "new");
    }
}
