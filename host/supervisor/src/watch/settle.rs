//! When a change of files is whole.
//!
//! A save is several steps, and a folder is copied file by file; one reload of the state at their end is wanted, soon.
//!
//! - A file that is open and being written is not whole; its writer closes it. One that is never closed is given up on.
//! - A configuration that is renamed into its place is whole, and is all that changed: nearly nothing to wait for. Should
//!   it be invalid all the same, something else belongs to it, so the caller waits as for everything else.
//! - Everything else counts once it is quiet for a moment.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long it must be quiet after a change.
const QUIET: Duration = Duration::from_millis(60);
/// The same after the configuration alone was renamed into its place.
const QUIET_AFTER_RENAME: Duration = Duration::from_millis(5);
/// How long a file may be open without being written to.
const OPEN: Duration = Duration::from_secs(1);

/// What happened to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// It was made or written to, and is still open.
    Written,
    /// It was closed after that.
    Closed,
    /// It came into its place as a whole.
    RenamedTo,
    /// It went away.
    Gone,
    /// Something else: its mode changed.
    Changed,
}

/// Files that changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Which; a path that is empty stands for nobody knows what.
    pub files: BTreeSet<PathBuf>,
    /// Whether more may follow if what is there now makes no sense.
    pub is_early: bool,
}

/// What has happened since the last change was taken.
pub(crate) struct Settle {
    alone: PathBuf,
    files: BTreeSet<PathBuf>,
    open: BTreeSet<PathBuf>,
    last: Option<Instant>,
    /// Whether nothing but the file `alone` changed, and that by a rename.
    is_rename: bool,
}

impl Settle {
    pub(crate) fn new(alone: PathBuf) -> Self {
        Self { alone, files: BTreeSet::new(), open: BTreeSet::new(), last: None, is_rename: true }
    }

    pub(crate) fn note(&mut self, at: Instant, step: Step, path: PathBuf) {
        match step {
            Step::Written => _ = self.open.insert(path.clone()),
            Step::Closed | Step::RenamedTo | Step::Gone => _ = self.open.remove(&path),
            Step::Changed => {}
        }
        self.is_rename &= path == self.alone && step == Step::RenamedTo;
        self.files.insert(path);
        self.last = Some(at);
    }

    /// When the change is whole if nothing further happens; `None` while there is none.
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

    /// Goes on with a change as if its last step had been now.
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
        let mut settle = Settle::new(CONFIG.into());
        let now = Instant::now();
        assert_eq!(settle.deadline(), None);
        for (step, path) in steps {
            settle.note(now, *step, path.into());
        }
        let quiet = settle.deadline().unwrap().duration_since(now).as_millis();
        let paths: BTreeSet<PathBuf> = steps.iter().map(|(_, path)| path.into()).collect();
        assert_eq!(settle.take().files, paths);
        assert_eq!(settle.deadline(), None);
        quiet
    }

    #[test]
    fn a_change_counts_the_sooner_the_surer_it_is_whole() {
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
    fn a_change_that_made_no_sense_waits_as_long_as_any_other() {
        let mut settle = Settle::new(CONFIG.into());
        let now = Instant::now();
        settle.note(now, Step::RenamedTo, CONFIG.into());
        let change = settle.take();
        assert!(change.is_early);
        settle.put_back(now, change);
        settle.note(now, Step::RenamedTo, CONFIG.into());
        assert_eq!(settle.deadline(), Some(now + QUIET));
        let change = settle.take();
        assert!(!change.is_early && change.files.contains(&PathBuf::from(CONFIG)));
    }
}
