//! An index of the keys of one large object, so that each change of it does not look at all members.
//!
//! It has its own hash of whole keys: the hash of a node looks at eight bytes, and keys such as `user_000001_name` have the
//! same in all of them.

use std::collections::VecDeque;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Slot;
use twox_hash::XxHash64;

use crate::documents::Documents;
use crate::key::hash as short_hash;
use crate::node::{NONE, Place, REMOVED};

/// Up to so many members, looking at all of them costs less than the index.
pub(crate) const MAX_SCANNED: u32 = 32;

/// The numbers of the members of an object by their keys, without those that were removed.
#[derive(Debug)]
pub(crate) struct Index {
    object: u32,
    table: HashTable<Entry>,
}

#[derive(Debug)]
struct Entry {
    hash: u64,
    /// The first member with the key, which counts.
    first: u32,
    /// Further members with the same key, in order.
    others: VecDeque<u32>,
}

impl Default for Index {
    fn default() -> Self {
        Self { object: NONE, table: HashTable::new() }
    }
}

impl Index {
    /// Forgets the object.
    pub(crate) fn clear(&mut self) {
        self.object = NONE;
    }

    /// Whether it is the index of this object.
    pub(crate) const fn belongs_to(&self, object: Place) -> bool {
        self.object == object.0
    }
}

fn hash(key: &[u8]) -> u64 {
    XxHash64::oneshot(0, key)
}

impl Documents {
    /// The first member with this key, by the index of the object.
    #[cold]
    pub(crate) fn search_index(&mut self, object: Place, key: &[u8]) -> Option<Place> {
        self.make_index(object);
        let hash = hash(key);
        self.index.table.find(hash, |entry| self.is_entry(entry, hash, key)).map(|entry| Place(entry.first))
    }

    /// Adds a member whose key no other member has, if it is the index of the object.
    pub(crate) fn index_member(&mut self, object: Place, number: u32, key: &[u8]) {
        if self.index.belongs_to(object) {
            let entry = Entry { hash: hash(key), first: number, others: VecDeque::new() };
            self.index.table.insert_unique(entry.hash, entry, |entry| entry.hash);
        }
    }

    /// Takes a member out before it is removed or gets another key, if it is the index of its object.
    pub(crate) fn unindex_member(&mut self, member: Place) {
        if self.parent(member).is_none_or(|object| !self.index.belongs_to(object)) {
            return;
        }
        let (mut table, mut memory) = (std::mem::take(&mut self.index.table), Vec::new());
        let key = self.key(member, &mut memory);
        let hash = hash(key);
        if let Ok(mut found) = table.find_entry(hash, |entry| self.is_entry(entry, hash, key)) {
            let entry = found.get_mut();
            if entry.first != member.0 {
                entry.others.retain(|other| *other != member.0);
            } else if let Some(next) = entry.others.pop_front() {
                entry.first = next;
            } else {
                found.remove();
            }
        }
        self.index.table = table;
    }

    /// Takes all other members with the key of a member out, in any order.
    pub(crate) fn unindex_others(&mut self, object: Place, member: u32) -> VecDeque<u32> {
        self.make_index(object);
        let (mut table, mut memory) = (std::mem::take(&mut self.index.table), Vec::new());
        let key = self.key(Place(member), &mut memory);
        let hash = hash(key);
        let entry = table.find_mut(hash, |entry| self.is_entry(entry, hash, key));
        let others = entry.map(|entry| {
            let mut others = std::mem::take(&mut entry.others);
            others.push_front(std::mem::replace(&mut entry.first, member));
            others.retain(|other| *other != member);
            others
        });
        self.index.table = table;
        others.unwrap_or_default()
    }

    fn is_entry(&self, entry: &Entry, hash: u64, key: &[u8]) -> bool {
        entry.hash == hash && self.node(entry.first).is_some_and(|member| self.is_key(member, short_hash(key), key))
    }

    fn make_index(&mut self, object: Place) {
        if self.index.belongs_to(object) {
            return;
        }
        let Some(list) = self.node(object.0).and_then(|node| self.list(node)).copied() else { return };
        let mut table = std::mem::take(&mut self.index.table);
        table.clear();
        table.reserve(list.total as usize, |entry| entry.hash);
        let mut memory = Vec::new();
        let mut number = list.first;
        while let Some(member) = self.node(number) {
            if !member.has(REMOVED) {
                let key = self.key(Place(number), &mut memory);
                let hash = hash(key);
                match table.entry(hash, |entry| self.is_entry(entry, hash, key), |entry| entry.hash) {
                    Slot::Occupied(mut found) => found.get_mut().others.push_back(number),
                    Slot::Vacant(free) => {
                        free.insert(Entry { hash, first: number, others: VecDeque::new() });
                    }
                }
            }
            number = member.next;
        }
        self.index = Index { object: object.0, table };
    }
}
