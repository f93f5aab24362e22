//! Decides when a change of files is complete.
//!
//! An editor saves in several steps, and a folder is copied file by file. The agent must reload
//! once, at the end, and soon.
//!
//! - A file that is open for writing is not complete until its writer closes it. After a timeout it counts as complete.
//! - A configuration that is renamed into place is complete at once. If it is invalid, other files may belong to the
//!   change, so the caller waits for them as in all other cases.
//! - All other changes are complete when no step follows for a moment.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Time without a step after which a change is complete.
const QUIET: Duration = Duration::from_millis(60);
/// The same after a rename of the configuration alone.
const QUIET_AFTER_RENAME: Duration = Duration::from_millis(5);
/// The same while a file is open for writing.
const OPEN: Duration = Duration::from_secs(1);

/// What happened to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// It was created or written to, and is still open.
    Written,
    /// It was closed after that.
    Closed,
    /// It was renamed into place.
    RenamedTo,
    /// It was removed or renamed.
    Gone,
    /// Another change, such as of its mode.
    Changed,
}

/// Files that changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// The files; an empty path stands for unknown files.
    pub files: BTreeSet<PathBuf>,
    /// Whether other files may follow if the configuration is invalid now.
    pub is_early: bool,
}

/// The steps since the last change was taken.
pub(crate) struct Debounce {
    alone: BTreeSet<PathBuf>,
    files: BTreeSet<PathBuf>,
    open: BTreeSet<PathBuf>,
    last: Option<Instant>,
    /// Whether only files of `alone`, or in its folders, changed, by renames.
    is_rename: bool,
}

impl Debounce {
    pub(crate) fn new(alone: BTreeSet<PathBuf>) -> Self {
        Self { alone, files: BTreeSet::new(), open: BTreeSet::new(), last: None, is_rename: true }
    }

    /// Whether this is a file of the configuration that was named, or a named folder.
    pub(crate) fn is_alone(&self, path: &Path) -> bool {
        self.alone.contains(path)
    }

    pub(crate) fn note(&mut self, at: Instant, step: Step, path: PathBuf) {
        match step {
            Step::Written => _ = self.open.insert(path.clone()),
            Step::Closed | Step::RenamedTo | Step::Gone => _ = self.open.remove(&path),
            Step::Changed => {}
        }
        let is_alone = self.is_alone(&path) || path.parent().is_some_and(|folder| self.is_alone(folder));
        self.is_rename &= is_alone && step == Step::RenamedTo;
        self.files.insert(path);
        self.last = Some(at);
    }

    /// Time at which the change is complete if no step follows; `None` without a change.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let quiet = match (self.open.is_empty(), self.is_rename) {
            (false, _) => OPEN,
            (true, true) => QUIET_AFTER_RENAME,
            (true, false) => QUIET,
        };
        self.last.map(|last| last + quiet)
    }

    pub(crate) fn take(&mut self) -> Change {
        let is_early = std::mem::replace(&mut self.is_rename, true);
        self.open.clear();
        self.last = None;
        Change { files: std::mem::take(&mut self.files), is_early }
    }

    /// Continues with a change as if its last step were now.
    pub(crate) fn put_back(&mut self, now: Instant, change: Change) {
        self.files.extend(change.files);
        self.is_rename = false;
        self.last = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "/etc/wattle/agent.toml";
    const PACK: &str = "/etc/wattle/pack/pack.toml";

    /// Milliseconds after the last step at which a change counts.
    fn quiet_after(steps: &[(Step, &str)]) -> u128 {
        let mut debounce = Debounce::new(BTreeSet::from([CONFIG.into()]));
        let now = Instant::now();
        assert_eq!(debounce.deadline(), None);
        for (step, path) in steps {
            debounce.note(now, *step, path.into());
        }
        let quiet = debounce.deadline().unwrap().duration_since(now).as_millis();
        let paths: BTreeSet<PathBuf> = steps.iter().map(|(_, path)| path.into()).collect();
        assert_eq!(debounce.take().files, paths);
        assert_eq!(debounce.deadline(), None);
        quiet
    }

    #[test]
    fn a_change_is_complete_the_sooner_the_more_certain_it_is() {
        use Step::{Changed, Closed, Gone, RenamedTo, Written};
        for (steps, expected) in [
            (&[(RenamedTo, CONFIG)] as &[_], QUIET_AFTER_RENAME),
            (&[(RenamedTo, CONFIG), (Changed, CONFIG)], QUIET),
            (&[(RenamedTo, PACK)], QUIET),
            (&[(RenamedTo, CONFIG), (Written, PACK)], OPEN),
            (&[(Written, CONFIG)], OPEN),
            (&[(Written, CONFIG), (Written, CONFIG), (Closed, CONFIG)], QUIET),
            (&[(Written, CONFIG), (Written, PACK), (Closed, CONFIG)], OPEN),
            (&[(Written, CONFIG), (Changed, CONFIG)], OPEN),
            (&[(Written, CONFIG), (Gone, CONFIG)], QUIET),
        ] {
            assert_eq!(quiet_after(steps), expected.as_millis(), "{steps:?}");
        }
    }

    #[test]
    fn an_invalid_change_waits_as_long_as_any_other() {
        let mut debounce = Debounce::new(BTreeSet::from([CONFIG.into()]));
        let now = Instant::now();
        debounce.note(now, Step::RenamedTo, CONFIG.into());
        let change = debounce.take();
        assert!(change.is_early);
        debounce.put_back(now, change);
        debounce.note(now, Step::RenamedTo, CONFIG.into());
        assert_eq!(debounce.deadline(), Some(now + QUIET));
        let change = debounce.take();
        assert!(!change.is_early && change.files.contains(&PathBuf::from(CONFIG)));
    }
}
