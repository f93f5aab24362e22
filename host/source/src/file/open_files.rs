//! The files that stay open, in the order of their last use.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::track::Key;

/// The files that stay open. The one that was not used for the longest time is found without a look at the others: a source
/// with more files than it may keep open closes one for each that it opens.
#[derive(Debug, Default)]
pub(super) struct OpenFiles {
    used_at: BTreeMap<Key, Instant>,
    by_use: BTreeSet<(Instant, Key)>,
}

impl OpenFiles {
    /// Adds a file that was last used at this time.
    pub(super) fn insert(&mut self, key: Key, used_at: Instant) {
        self.remove(key);
        self.used_at.insert(key, used_at);
        self.by_use.insert((used_at, key));
    }

    pub(super) fn remove(&mut self, key: Key) {
        if let Some(used_at) = self.used_at.remove(&key) {
            self.by_use.remove(&(used_at, key));
        }
    }

    pub(super) fn contains(&self, key: Key) -> bool {
        self.used_at.contains_key(&key)
    }

    pub(super) fn len(&self) -> usize {
        self.used_at.len()
    }

    /// The files in the order in which the source found them.
    pub(super) fn keys(&self) -> impl Iterator<Item = Key> {
        self.used_at.keys().copied()
    }

    /// The files, the one that was not used for the longest time first.
    pub(super) fn oldest_first(&self) -> impl Iterator<Item = Key> {
        self.by_use.iter().map(|(_, key)| *key)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn files_are_in_the_order_of_their_last_use() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut open = OpenFiles::default();
        open.insert(1, at(3));
        open.insert(2, at(1));
        open.insert(3, at(2));
        assert_eq!(open.oldest_first().collect::<Vec<_>>(), [2, 3, 1]);
        // A file that is used again has one place.
        open.insert(2, at(4));
        open.remove(3);
        assert_eq!(open.oldest_first().collect::<Vec<_>>(), [1, 2]);
        assert_eq!((open.keys().collect::<Vec<_>>(), open.len()), (vec![1, 2], 2));
        assert!(open.contains(1) && !open.contains(3));
    }
}
