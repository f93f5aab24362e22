//! The changes of one call, which only this call sees until they are committed.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use super::Store;
use super::entries::{Entries, Growth};

/// A change of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Sets a value.
    Set {
        value: Bytes,
        /// End of the value in milliseconds since 1970.
        until: Option<u64>,
    },
    /// Removes the key.
    Delete,
    /// Adds to the number that the key has when the change is committed.
    Add(i64),
}

impl Change {
    pub(super) fn set(value: &[u8], until: Option<u64>) -> Self {
        Self::Set { value: Bytes::copy_from_slice(value), until }
    }
}

/// Returns a value as a number.
pub(super) fn number(value: &Bytes) -> Option<i64> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// The changes of a call of a node. Dropping them discards them.
#[derive(Debug, Default)]
pub struct Staged {
    /// Set with the first change.
    store: Option<Arc<Store>>,
    changes: HashMap<Bytes, (Change, Growth)>,
    growth: Growth,
}

impl Staged {
    pub(super) fn get(&self, key: &[u8]) -> Option<&Change> {
        self.changes.get(key).map(|(change, _)| change)
    }

    /// By how much all changes make the store grow.
    pub(super) fn growth(&self) -> Growth {
        self.growth
    }

    /// By how much the change of a key makes the store grow.
    pub(super) fn growth_of(&self, key: &[u8]) -> Growth {
        self.changes.get(key).map_or(Growth::default(), |(_, growth)| *growth)
    }

    /// Stages a change of a key, in place of an earlier one, and reserves its room.
    pub(super) fn put(
        &mut self,
        store: &Arc<Store>,
        entries: &mut Entries,
        key: &[u8],
        change: Change,
        growth: Growth,
    ) {
        self.store.get_or_insert_with(|| store.clone());
        let own = self.growth.plus(growth).minus(self.growth_of(key));
        entries.reserve(self.growth, own);
        self.growth = own;
        match self.changes.get_mut(key) {
            Some(staged) => *staged = (change, growth),
            None => _ = self.changes.insert(Bytes::copy_from_slice(key), (change, growth)),
        }
    }

    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Makes all changes at once. Returns the number of amounts that could not be added, because
    /// another worker has meanwhile replaced the number by a text. `written` runs when the changes are
    /// on disk, or at once if the store is only in memory.
    #[must_use]
    pub fn commit(mut self, now: u64, written: impl FnOnce() + Send + 'static) -> usize {
        let Some(store) = self.store.take() else {
            written();
            return 0;
        };
        let mut entries = store.entries.lock();
        entries.reserve(self.growth, Growth::default());
        let conflicts =
            self.changes.drain().map(|(key, (change, _))| usize::from(!entries.apply(&key, change, now))).sum();
        let written = entries.wait_for_disk(written);
        // It may run code of the source.
        drop(entries);
        match written {
            Some(written) => written(),
            None => store.log.wake(),
        }
        conflicts
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if let Some(store) = self.store.take() {
            store.entries.lock().reserve(self.growth, Growth::default());
        }
    }
}
