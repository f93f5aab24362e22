//! How far a bucket was read, per prefix, in a bounded amount of state.
//!
//! A mark is a key up to which every object was read. It stays behind the newest keys for a while, because objects with
//! the same time in their keys arrive in any order. The keys after the mark that were read are kept one by one.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How long after its last change an object stays after the mark. S3 delivers objects of one minute within this time.
const SETTLE: Duration = Duration::from_mins(30);

/// Maximum number of keys after the mark. If more objects are that new, the mark moves on all the same.
const MAX_RECENT: usize = 50_000;

/// Maximum number of keys that could not be read and that the mark has passed. With more, listing waits.
pub(super) const MAX_STUCK: usize = 1000;

/// The saved state of one prefix.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Mark {
    pub(super) bucket: String,
    pub(super) prefix: String,
    /// The time range of a backfill, as it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) from: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) to: Option<Timestamp>,
    /// Whether the backfill of the prefix is complete.
    #[serde(default)]
    pub(super) finished: bool,
    /// Every key up to here was read, except for those in `stuck`.
    pub(super) last: Option<String>,
    /// Keys after `last` that were read, with their last change in seconds since the epoch.
    #[serde(default)]
    pub(super) recent: BTreeMap<String, i64>,
    /// Keys up to `last` that could not be read yet.
    #[serde(default)]
    pub(super) stuck: BTreeSet<String>,
}

/// What is known about an object after the mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    Reading,
    Done,
    /// It could not be read, and is tried again.
    Failed,
}

/// The state of one prefix while the source runs.
#[derive(Debug)]
pub(super) struct Prefix {
    mark: Mark,
    /// Objects after the mark, with their last change in seconds since the epoch.
    known: BTreeMap<String, (Known, i64)>,
    /// Every key after the mark and up to this one was listed by this process. After a restart, objects between the keys
    /// in `recent` may have been in work.
    listed_to: Option<String>,
    settle: Duration,
    pub(super) has_changed: bool,
}

impl Prefix {
    /// Continues at a saved mark. A backfill reads old objects, which do not have to settle.
    pub(super) fn new(mut mark: Mark, is_backfill: bool) -> Self {
        let known = std::mem::take(&mut mark.recent).into_iter().map(|(key, at)| (key, (Known::Done, at))).collect();
        let settle = if is_backfill { Duration::ZERO } else { SETTLE };
        Self { mark, known, listed_to: None, settle, has_changed: false }
    }

    pub(super) fn name(&self) -> &str {
        &self.mark.prefix
    }

    pub(super) fn mark(&self) -> &Mark {
        &self.mark
    }

    /// The state to save.
    pub(super) fn snapshot(&self) -> Mark {
        let done = self.known.iter().filter(|(_, (known, _))| *known == Known::Done);
        Mark { recent: done.map(|(key, (_, at))| (key.clone(), *at)).collect(), ..self.mark.clone() }
    }

    /// Begins an object that was listed. False if it was read, or is being read.
    pub(super) fn begin(&mut self, key: &str, modified: Option<Timestamp>) -> bool {
        // The mark can have moved since the request for this page.
        if self.mark.last.as_deref().is_some_and(|last| key <= last) {
            return false;
        }
        if self.listed_to.as_deref().is_none_or(|listed| key > listed) {
            self.listed_to = Some(key.to_owned());
        }
        let modified = modified.map_or(0, Timestamp::as_second);
        match self.known.get_mut(key) {
            Some((known, at)) if *known == Known::Failed || (*known == Known::Done && *at != modified) => {
                (*known, *at) = (Known::Reading, modified);
                true
            }
            Some(_) => false,
            None => {
                self.known.insert(key.to_owned(), (Known::Reading, modified));
                true
            }
        }
    }

    /// Passes an object that does not have to be read.
    pub(super) fn pass(&mut self, key: &str, modified: Option<Timestamp>) {
        if self.begin(key, modified) {
            self.end(key, true);
        }
    }

    /// Ends an object.
    pub(super) fn end(&mut self, key: &str, is_done: bool) {
        self.has_changed = true;
        if let Some((known, _)) = self.known.get_mut(key) {
            *known = if is_done { Known::Done } else { Known::Failed };
        } else if is_done {
            self.mark.stuck.remove(key);
        }
    }

    /// Keys before the mark that could not be read yet.
    pub(super) fn stuck(&self) -> Vec<String> {
        self.mark.stuck.iter().cloned().collect()
    }

    /// Whether nothing has to be read or tried again.
    pub(super) fn is_done(&self) -> bool {
        self.mark.stuck.is_empty() && self.known.values().all(|(known, _)| *known == Known::Done)
    }

    pub(super) fn finish(&mut self) {
        self.mark.finished = true;
        self.has_changed = true;
    }

    /// Moves the mark over all settled objects that are not being read. Returns false if too many could not be read.
    pub(super) fn advance(&mut self, now: Timestamp) -> bool {
        let settle = i64::try_from(self.settle.as_secs()).unwrap_or(i64::MAX);
        let settled = now.as_second().saturating_sub(settle);
        let mut excess = self.known.len().saturating_sub(MAX_RECENT);
        while let Some(first) = self.known.first_entry() {
            let (known, modified) = *first.get();
            let is_listed = self.listed_to.as_ref().is_some_and(|listed| first.key() <= listed);
            if !is_listed || known == Known::Reading || (modified > settled && excess == 0) {
                break;
            }
            if known == Known::Failed {
                if self.mark.stuck.len() >= MAX_STUCK {
                    return false;
                }
                self.mark.stuck.insert(first.key().clone());
            }
            excess = excess.saturating_sub(1);
            self.mark.last = Some(first.remove_entry().0);
            self.has_changed = true;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: i64 = 1_000_000;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn later() -> Timestamp {
        at(OLD + 3600)
    }

    #[test]
    fn the_mark_passes_settled_objects_and_remembers_the_others() {
        let mut prefix = Prefix::new(Mark::default(), false);
        for (key, modified) in [("a", OLD), ("b", OLD), ("c", OLD), ("d", OLD + 3000)] {
            assert!(prefix.begin(key, Some(at(modified))));
        }
        for (key, is_done) in [("a", true), ("c", true), ("d", true)] {
            prefix.end(key, is_done);
        }
        assert!(prefix.advance(later()));
        assert_eq!(prefix.mark().last.as_deref(), Some("a"), "`b` is being read");
        prefix.end("b", false);
        assert!(prefix.advance(later()) && !prefix.is_done());
        let saved = prefix.snapshot();
        assert_eq!((saved.last.as_deref(), saved.stuck.len()), (Some("c"), 1));
        assert!(!prefix.begin("a", Some(at(OLD))), "a page that was requested before the mark moved");
        assert_eq!(saved.recent.keys().collect::<Vec<_>>(), ["d"], "it is too new");
        let mut again = Prefix::new(saved.clone(), false);
        assert!(again.advance(at(OLD + 9999)));
        assert_eq!(again.mark().last, saved.last, "a key before `d` may have been in work before the restart");
        assert!(!again.begin("d", Some(at(OLD + 3000))), "it was read before the restart");
        assert!(again.begin("c2", Some(at(OLD + 3500))), "it arrived late, before `d`");
        again.end("b", true);
        assert_eq!(again.stuck(), [""; 0]);
        assert!(again.begin("d", Some(at(OLD + 3400))), "it was overwritten");
    }

    #[test]
    fn state_is_bounded() {
        let mut prefix = Prefix::new(Mark::default(), false);
        for number in 0..MAX_RECENT + 10 {
            prefix.pass(&format!("{number:06}"), Some(later()));
        }
        assert!(prefix.advance(later()));
        assert_eq!(prefix.snapshot().recent.len(), MAX_RECENT);
        let mut prefix = Prefix::new(Mark::default(), true);
        for number in 0..=MAX_STUCK {
            let key = format!("{number:06}");
            prefix.begin(&key, Some(at(OLD)));
            prefix.end(&key, false);
        }
        assert!(!prefix.advance(later()), "listing must wait");
        assert_eq!(prefix.snapshot().stuck.len(), MAX_STUCK);
    }
}
