//! Watches the files of the configuration.
//!
//! It watches folders and not files, because editors replace a file by renaming another one over
//! it. [`debounce`] decides when a change is complete.

mod debounce;

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use notify::event::{AccessKind, AccessMode, CreateKind, ModifyKind, RenameMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use parking_lot::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

pub use self::debounce::Change;
use self::debounce::{Debounce, Step};

/// Watches the files of a plan.
pub struct Watch {
    watcher: RecommendedWatcher,
    folders: BTreeSet<PathBuf>,
    files: Arc<Mutex<BTreeSet<PathBuf>>>,
    steps: UnboundedReceiver<(Instant, Step, PathBuf)>,
    debounce: Debounce,
}

impl Watch {
    /// A watch without files. `alone` are the files that are often saved by themselves, and folders with such files: the
    /// configuration.
    ///
    /// # Errors
    ///
    /// The system cannot watch files.
    pub fn new(alone: &[PathBuf]) -> notify::Result<Self> {
        let files: Arc<Mutex<BTreeSet<PathBuf>>> = Arc::default();
        let (sender, steps) = unbounded_channel();
        let known = files.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            let now = Instant::now();
            let Ok(event) = event else {
                // The queue of the kernel overflowed: some file changed, but it is unknown which
                // one.
                let _ = sender.send((now, Step::Changed, PathBuf::new()));
                return;
            };
            let Some(step) = step(event.kind) else { return };
            let known = known.lock();
            let concerns = |path: &PathBuf| known.contains(path) || path.parent().is_some_and(|p| known.contains(p));
            for path in event.paths.into_iter().filter(concerns) {
                let _ = sender.send((now, step, path));
            }
        })?;
        Ok(Self {
            watcher,
            folders: BTreeSet::new(),
            files,
            steps,
            debounce: Debounce::new(alone.iter().map(|path| absolute(path)).collect()),
        })
    }

    /// Replaces the watched files and folders. Those that do not exist yet count as changed when
    /// they appear.
    pub fn set(&mut self, files: &BTreeSet<PathBuf>) {
        let mut all = BTreeSet::new();
        let mut folders = BTreeSet::new();
        let links: BTreeSet<PathBuf> = files.iter().flat_map(|file| links(file)).collect();
        for file in files.iter().chain(&links) {
            let file = absolute(file);
            let folder =
                if file.is_dir() { Some(file.as_path()) } else { file.ancestors().skip(1).find(|p| p.is_dir()) };
            folders.extend(folder.map(Path::to_path_buf));
            // Until the folder of a file exists, a new folder on its path is a change.
            all.extend(file.ancestors().skip(1).take_while(|p| !p.is_dir()).map(Path::to_path_buf));
            all.insert(file);
        }
        *self.files.lock() = all;
        for gone in self.folders.difference(&folders) {
            let _ = self.watcher.unwatch(gone);
        }
        for new in folders.difference(&self.folders) {
            if let Err(error) = self.watcher.watch(new, RecursiveMode::NonRecursive) {
                tracing::warn!(folder = %new.display(), %error, "cannot watch folder; send SIGHUP after changes in it");
            }
        }
        self.folders = folders;
    }

    /// Adds files that were written or renamed after a moment but before they were watched.
    pub(crate) fn catch_up(&mut self, moment: SystemTime) {
        let changed = |file: &PathBuf| {
            // A link with another target is a change, whatever the age of the target.
            let metadata = file.symlink_metadata().ok()?;
            // A new file changes the folder, and so does a removed one. Other folders than those of the configuration also
            // change for other reasons.
            let counts = metadata.is_file() || metadata.is_symlink() || self.debounce.is_alone(file);
            let metadata = Some(metadata).filter(|_| counts)?;
            // A rename keeps the modification time of a file and sets this one.
            let nanoseconds = u32::try_from(metadata.ctime_nsec()).ok()?;
            let since = Duration::new(u64::try_from(metadata.ctime()).ok()?, nanoseconds);
            Some(SystemTime::UNIX_EPOCH + since)
        };
        let files = self.files.lock();
        let found: Vec<PathBuf> =
            files.iter().filter(|file| changed(file).is_some_and(|at| at > moment)).cloned().collect();
        drop(files);
        for file in found {
            // A writer may still have it open; a folder is never closed.
            let step = if file.is_dir() { Step::Changed } else { Step::Written };
            self.debounce.note(Instant::now(), step, file);
        }
    }

    /// Waits for a change and until it is complete, see [`debounce`].
    ///
    /// # Cancel safety
    ///
    /// No change is lost if the wait is cancelled.
    pub async fn changed(&mut self) -> Change {
        loop {
            let until = self.debounce.deadline();
            let complete = async {
                match until {
                    Some(until) => tokio::time::sleep_until(until.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                // The watcher holds the sender, so this never returns `None`.
                Some((at, step, path)) = self.steps.recv() => {
                    self.enter(&path);
                    self.debounce.note(at, step, path);
                }
                () = complete => return self.debounce.take(),
            }
        }
    }

    /// Watches a new folder inside a watched one until the next call of [`Self::set`].
    fn enter(&mut self, path: &Path) {
        if !path.is_dir() || !self.folders.insert(path.to_path_buf()) {
            return;
        }
        self.files.lock().insert(path.to_path_buf());
        // The folder may already be removed again.
        let _ = self.watcher.watch(path, RecursiveMode::NonRecursive);
        for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
            self.enter(&entry.path());
        }
    }

    /// Continues to wait after an incomplete change.
    pub(crate) fn wait_for_more(&mut self, change: Change) {
        self.debounce.put_back(Instant::now(), change);
    }
}

/// The step that an event stands for; `None` if it changes nothing.
fn step(kind: EventKind) -> Option<Step> {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => Some(Step::Closed),
        EventKind::Access(_) | EventKind::Modify(ModifyKind::Name(RenameMode::Both)) => None,
        EventKind::Create(CreateKind::File) | EventKind::Modify(ModifyKind::Data(_)) => Some(Step::Written),
        EventKind::Modify(ModifyKind::Name(RenameMode::To)) => Some(Step::RenamedTo),
        EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_)) => Some(Step::Gone),
        _ => Some(Step::Changed),
    }
}

/// Maximum number of links in a path, as in the kernel.
const MAX_LINKS: usize = 40;

/// The links in a path, and the file at the end. A Kubernetes volume changes by replacing a link in
/// a parent folder.
fn links(path: &Path) -> Vec<PathBuf> {
    let Ok(path) = std::path::absolute(path) else { return Vec::new() };
    let mut found = Vec::new();
    let mut at = PathBuf::new();
    let parts = |path: &Path| path.components().rev().map(|part| part.as_os_str().to_owned()).collect::<Vec<_>>();
    let mut rest = parts(&path);
    while let Some(part) = rest.pop() {
        if part == ".." {
            at.pop();
            continue;
        }
        let next = at.join(part);
        match std::fs::read_link(&next) {
            Ok(target) if found.len() < MAX_LINKS => {
                rest.extend(parts(&target));
                found.push(next);
            }
            _ => at = next,
        }
    }
    if !found.is_empty() {
        found.push(at);
    }
    found
}

/// The path as in events: absolute, with the links of its folder resolved.
fn absolute(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    match (path.parent().and_then(|p| p.canonicalize().ok()), path.file_name()) {
        (Some(folder), Some(name)) => folder.join(name),
        _ => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[tokio::test]
    async fn a_file_that_appears_in_a_folder_before_it_is_watched_is_a_change() {
        let root = tempfile::tempdir().unwrap();
        let (folder, other) = (root.path().join("conf.d"), root.path().join("pack"));
        for path in [&folder, &other] {
            std::fs::create_dir(path).unwrap();
        }
        // Times of files have the resolution of the kernel's clock.
        tokio::time::sleep(Duration::from_millis(20)).await;
        let loading = SystemTime::now();
        tokio::time::sleep(Duration::from_millis(20)).await;
        std::fs::write(folder.join("new.toml"), "").unwrap();
        std::fs::write(other.join("new.toml"), "").unwrap();
        let mut watch = Watch::new(std::slice::from_ref(&folder)).unwrap();
        watch.set(&BTreeSet::from([folder.clone(), other]));
        watch.catch_up(loading);
        assert_eq!(watch.changed().await.files, BTreeSet::from([absolute(&folder)]));
    }

    #[test]
    fn every_link_on_the_way_to_a_file_is_watched() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        let at = |name: &str| root.join(name);
        std::fs::create_dir(at("v1")).unwrap();
        std::fs::write(at("v1/ca.pem"), "").unwrap();
        symlink("v1", at("..data")).unwrap();
        symlink("..data/ca.pem", at("ca.pem")).unwrap();
        assert_eq!(links(&at("ca.pem")), [at("ca.pem"), at("..data"), at("v1/ca.pem")]);
        assert!(links(&at("v1/ca.pem")).is_empty() && links(&at("none")).is_empty());
        symlink("loop", at("loop")).unwrap();
        assert_eq!(links(&at("loop")).len(), MAX_LINKS + 1);
    }
}
