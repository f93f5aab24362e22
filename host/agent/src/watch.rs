//! Noticing that a file of the configuration changed.
//!
//! Folders are watched rather than files, because editors replace a file by renaming another over it. A change counts
//! once nothing has happened for a moment, so that a save of several steps, or a folder copied file by file, is one.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use parking_lot::Mutex;
use tokio::sync::Notify;

/// How long it must be quiet after a change.
const QUIET: Duration = Duration::from_millis(60);

/// Watches the files of a plan.
pub(crate) struct Watch {
    watcher: RecommendedWatcher,
    folders: BTreeSet<PathBuf>,
    files: Arc<Mutex<BTreeSet<PathBuf>>>,
    changed: Arc<Notify>,
}

impl Watch {
    pub(crate) fn new() -> notify::Result<Self> {
        let files: Arc<Mutex<BTreeSet<PathBuf>>> = Arc::default();
        let changed = Arc::new(Notify::new());
        let (known, signal) = (files.clone(), changed.clone());
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            let Ok(event) = event else {
                // The queue of the kernel ran over: something changed, though nobody knows what.
                signal.notify_one();
                return;
            };
            if matches!(event.kind, EventKind::Access(_)) {
                return;
            }
            let known = known.lock();
            let concerns = |path: &PathBuf| known.contains(path) || path.parent().is_some_and(|p| known.contains(p));
            if event.paths.iter().any(concerns) {
                signal.notify_one();
            }
        })?;
        Ok(Self { watcher, folders: BTreeSet::new(), files, changed })
    }

    /// Watches these files and folders from now on. One that does not exist is noticed when it comes.
    pub(crate) fn set(&mut self, files: &BTreeSet<PathBuf>) {
        let mut all = BTreeSet::new();
        let mut folders = BTreeSet::new();
        for file in files {
            let file = absolute(file);
            let folder =
                if file.is_dir() { Some(file.as_path()) } else { file.ancestors().skip(1).find(|p| p.is_dir()) };
            folders.extend(folder.map(Path::to_path_buf));
            // Until the folder of a file exists, what appears on the way to it matters.
            all.extend(file.ancestors().skip(1).take_while(|p| !p.is_dir()).map(Path::to_path_buf));
            all.insert(file);
        }
        *self.files.lock() = all;
        for gone in self.folders.difference(&folders) {
            let _ = self.watcher.unwatch(gone);
        }
        for new in folders.difference(&self.folders) {
            if let Err(error) = self.watcher.watch(new, RecursiveMode::NonRecursive) {
                tracing::warn!(folder = %new.display(), %error, "folder cannot be watched; changes in it need SIGHUP");
            }
        }
        self.folders = folders;
    }

    /// Notices also what was written or renamed after a moment, but before it was watched.
    pub(crate) fn catch_up(&self, moment: SystemTime) {
        let changed = |file: &PathBuf| {
            let metadata = file.metadata().ok().filter(std::fs::Metadata::is_file)?;
            // A file that is renamed keeps the time at which it was written, but not this one.
            let nanoseconds = u32::try_from(metadata.ctime_nsec()).ok()?;
            let since = Duration::new(u64::try_from(metadata.ctime()).ok()?, nanoseconds);
            Some(SystemTime::UNIX_EPOCH + since)
        };
        if self.files.lock().iter().filter_map(changed).any(|at| at > moment) {
            self.changed.notify_one();
        }
    }

    /// Waits for a change, and until it is quiet after it.
    ///
    /// # Cancel safety
    ///
    /// A change may be forgotten if the wait is cancelled after it; the caller reloads in that case anyway.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
        while tokio::time::timeout(QUIET, self.changed.notified()).await.is_ok() {}
    }
}

/// The path as events name it: absolute, with links in its folder resolved.
fn absolute(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    match (path.parent().and_then(|p| p.canonicalize().ok()), path.file_name()) {
        (Some(folder), Some(name)) => folder.join(name),
        _ => path,
    }
}
