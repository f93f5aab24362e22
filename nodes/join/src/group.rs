//! Joined events that are open.

use std::collections::HashMap;

use wattle_keyed::{HashedKey, KeyHash};

use crate::step::State;

/// A joined event that is not complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    /// Its number in the order in which they began.
    pub(crate) number: u64,
    pub(crate) key: KeyHash,
    pub(crate) state: State,
    /// Time of the tick after its last row; none until then.
    pub(crate) touched: Option<i64>,
    /// Number of rows.
    pub(crate) events: u64,
    /// Bytes of their texts.
    pub(crate) bytes: usize,
    /// The rows of earlier batches.
    pub(crate) held: Option<Box<Held>>,
    /// The rows of this batch, a linked list.
    pub(crate) first: u32,
    pub(crate) last: u32,
    pub(crate) count: u32,
}

/// What stays of the rows that ended in the memory of the node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Held {
    /// Their texts.
    pub(crate) text: Vec<u8>,
    /// The body of the first row, if the text is not the body.
    pub(crate) body: Vec<u8>,
    /// Attributes of the first row as JSON; empty for none.
    pub(crate) attributes: Vec<u8>,
    /// Resource of the first row as JSON; empty for none.
    pub(crate) resource: Vec<u8>,
    /// Time of the first row.
    pub(crate) timestamp: Option<i64>,
}

/// Bytes of a group beside its texts: what a map entry and four vectors take.
const OVERHEAD_BYTES: usize = 256;

impl Group {
    pub(crate) const fn new(number: u64, key: KeyHash, state: State, row: u32, bytes: usize) -> Self {
        let (first, last, count) = (row, row, 1);
        Self { number, key, state, touched: None, events: 1, bytes, held: None, first, last, count }
    }

    /// Bytes that count as memory.
    pub(crate) fn size(&self) -> usize {
        let held = self
            .held
            .as_ref()
            .map_or(0, |held| held.text.len() + held.body.len() + held.attributes.len() + held.resource.len());
        held + OVERHEAD_BYTES
    }
}

/// A joined event that has ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) group: Group,
    /// Its last row has arrived.
    pub(crate) is_whole: bool,
}

/// The open joined events, one for each key.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    open: HashMap<KeyHash, Group, HashedKey>,
    /// Number of the next one.
    pub(crate) number: u64,
    /// Bytes of all.
    memory: usize,
}

impl Groups {
    pub(crate) fn get_mut(&mut self, key: KeyHash) -> Option<&mut Group> {
        self.open.get_mut(&key)
    }

    /// Opens a group with one row of the batch.
    pub(crate) fn begin(&mut self, key: KeyHash, state: State, row: u32, bytes: usize) {
        let group = Group::new(self.number, key, state, row, bytes);
        self.number = self.number.saturating_add(1);
        self.insert(group);
    }

    /// Adds a group whose key is not open.
    pub(crate) fn insert(&mut self, group: Group) {
        self.memory += group.size();
        self.open.insert(group.key, group);
    }

    pub(crate) fn remove(&mut self, key: KeyHash) -> Option<Group> {
        let group = self.open.remove(&key)?;
        self.memory = self.memory.saturating_sub(group.size());
        Some(group)
    }

    /// Changes what a group holds.
    pub(crate) fn hold(&mut self, key: KeyHash, change: impl FnOnce(&mut Group)) {
        let Some(group) = self.open.get_mut(&key) else { return };
        let before = group.size();
        change(group);
        self.memory = (self.memory + group.size()).saturating_sub(before);
    }

    pub(crate) fn contains(&self, key: KeyHash) -> bool {
        self.open.contains_key(&key)
    }

    /// All groups in the order in which they began.
    pub(crate) fn sorted(&self) -> Vec<&Group> {
        let mut all: Vec<&Group> = self.open.values().collect();
        all.sort_unstable_by_key(|group| group.number);
        all
    }

    /// Removes the groups for which `ends` holds, in the order in which they began.
    pub(crate) fn remove_if(&mut self, ends: impl Fn(&Group) -> bool) -> Vec<Group> {
        let keys: Vec<(u64, KeyHash)> =
            self.open.values().filter(|group| ends(group)).map(|group| (group.number, group.key)).collect();
        self.remove_all(keys)
    }

    /// Removes the oldest groups until at most this many with this many bytes are left.
    pub(crate) fn remove_beyond(&mut self, max_open: usize, max_memory: usize) -> Vec<Group> {
        if self.open.len() <= max_open && self.memory <= max_memory {
            return Vec::new();
        }
        let mut oldest: Vec<(u64, KeyHash, usize)> =
            self.open.values().map(|group| (group.number, group.key, group.size())).collect();
        oldest.sort_unstable();
        let (mut left, mut memory) = (self.open.len(), self.memory);
        let beyond = oldest.into_iter().take_while(|(_, _, size)| {
            let is_beyond = left > max_open || memory > max_memory;
            left -= 1;
            memory = memory.saturating_sub(*size);
            is_beyond
        });
        let keys = beyond.map(|(number, key, _)| (number, key)).collect();
        self.remove_all(keys)
    }

    fn remove_all(&mut self, mut keys: Vec<(u64, KeyHash)>) -> Vec<Group> {
        keys.sort_unstable();
        keys.into_iter().filter_map(|(_, key)| self.remove(key)).collect()
    }

    /// Notes the time of a tick in the groups that got a row since the last one.
    pub(crate) fn touch(&mut self, now: i64) {
        for group in self.open.values_mut() {
            group.touched.get_or_insert(now);
        }
    }
}
