//! An index of the keys of one large object, so that each change of it does not look at all members.

use crate::documents::Documents;
use crate::node::{NONE, Place, REMOVED};

/// Up to so many members, looking at all of them costs less than the index.
pub(crate) const MAX_SCANNED: u32 = 32;

/// The numbers of the members of an object by the hashes of their keys. An entry is verified before it is used, so a member
/// that was removed or renamed keeps its old entry.
#[derive(Debug)]
pub(crate) struct Index {
    object: u32,
    /// A power of two of places, `NONE` where they are free.
    table: Vec<u32>,
    used: usize,
}

impl Default for Index {
    fn default() -> Self {
        Self { object: NONE, table: Vec::new(), used: 0 }
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

    fn slot(&self, hash: u32, probe: usize) -> Option<usize> {
        // Hashes end with a multiplication, so their upper bits are the best.
        let start = (hash >> 8) as usize;
        Some(start.wrapping_add(probe) & self.table.len().checked_sub(1)?)
    }

    fn add(&mut self, number: u32, hash: u32) {
        for probe in 0..self.table.len() {
            let slot = self.slot(hash, probe).and_then(|slot| self.table.get_mut(slot));
            if let Some(slot) = slot.filter(|slot| **slot == NONE) {
                *slot = number;
                self.used += 1;
                return;
            }
        }
    }
}

impl Documents {
    /// The first member with this key, by the index of the object.
    #[cold]
    pub(crate) fn search_index(&mut self, object: Place, hash: u32, key: &[u8]) -> Option<Place> {
        if !self.index.belongs_to(object) {
            self.make_index(object);
        }
        let mut found = NONE;
        for probe in 0..self.index.table.len() {
            let number = *self.index.table.get(self.index.slot(hash, probe)?)?;
            if number == NONE {
                break;
            }
            // The order of members is that of their numbers, and the first of equal keys counts.
            if number < found
                && self.node(number).is_some_and(|member| !member.has(REMOVED) && self.is_key(member, hash, key))
            {
                found = number;
            }
        }
        (found != NONE).then_some(Place(found))
    }

    /// Adds a member whose key is new to the index, if it is that of the object.
    pub(crate) fn index_member(&mut self, object: Place, number: u32, hash: u32) {
        if self.index.belongs_to(object) {
            if (self.index.used + 1) * 2 > self.index.table.len() {
                self.index.clear();
            } else {
                self.index.add(number, hash);
            }
        }
    }

    fn make_index(&mut self, object: Place) {
        let Some(list) = self.node(object.0).and_then(|node| self.list(node)).copied() else { return };
        let mut index = std::mem::take(&mut self.index);
        index.table.clear();
        // Room for as many renamed members, so that an index that is full has paid for the next one.
        index.table.resize((list.total as usize * 4).next_power_of_two(), NONE);
        index.used = 0;
        index.object = object.0;
        let mut number = list.first;
        while let Some(member) = self.node(number) {
            index.add(number, member.hash);
            number = member.next;
        }
        self.index = index;
    }
}
