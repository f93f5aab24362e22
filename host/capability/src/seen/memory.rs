//! The claims of one node in memory: a ring of records in the order of their claims, and a hash table
//! of their positions.
//!
//! A record has 32 bytes and a place in the table about 10, so a million claims take 44 MB: the ring
//! grows by doubling, to 2^20 records of 32 bytes, and the table to 2^21 places of 5 bytes.
//!
//! Claims that one call makes at once are next to each other, so a range of serial numbers is all that
//! the call must remember.

use std::collections::VecDeque;
use std::ops::Range;

use hashbrown::HashTable;

/// The hash of a key.
///
/// The first 128 bits of BLAKE3. With a million claims, the probability that a new key collides with
/// one of them is 3 in 10^33; no one can make a key that collides with a given one.
pub(crate) type Hash = u128;

/// A claim that was made firm, as the log stores it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Firm {
    pub(crate) key: Hash,
    /// End of the claim, in milliseconds since 1970.
    pub(crate) until: u64,
}

#[derive(Clone, Copy, Debug)]
struct Record {
    key: Hash,
    /// Grows with each claim.
    serial: u64,
    /// End of the claim in milliseconds since 1970, above the flags.
    packed: u64,
}

/// The claim was removed; its place in the ring is unused.
const REMOVED: u64 = 1;
const FIRM: u64 = 2;
/// The grant ends the claim before the node would.
const CUT: u64 = 4;
const FLAG_BITS: u32 = 3;

impl Record {
    fn is(&self, flag: u64) -> bool {
        self.packed & flag != 0
    }

    fn until(&self) -> u64 {
        self.packed >> FLAG_BITS
    }
}

/// How long a claim lasts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    /// The present, in milliseconds since 1970.
    pub(crate) now: u64,
    /// The end of the claim.
    pub(crate) until: u64,
    /// Whether the grant ends it before the node would.
    pub(crate) is_cut: bool,
}

/// Removed places that are kept before the ring is compacted, so that a small ring is not compacted
/// all the time.
const SLACK: usize = 1024;

/// The claims.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    ring: VecDeque<Record>,
    /// Position of the first record of the ring; wraps around.
    first: u32,
    /// Positions of records that are not removed.
    table: HashTable<u32>,
    /// Serial number of the next claim.
    next: u64,
    /// Claims that the grant ended since the last call of `take_forgotten`.
    forgotten: u64,
}

/// BLAKE3 distributes its bits evenly, so any of them serve the table.
#[expect(clippy::cast_possible_truncation, reason = "some of the bits")]
fn short(key: Hash) -> u64 {
    key as u64
}

impl Memory {
    /// Number of claims, including expired ones that still take space.
    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// Serial number of the next claim.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// Bytes of all claims.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.ring.capacity() * size_of::<Record>() + self.table.allocation_size()
    }

    /// Returns how many claims the grant ended since the last call.
    pub(crate) fn take_forgotten(&mut self) -> u64 {
        std::mem::take(&mut self.forgotten)
    }

    fn index_of(&self, key: Hash) -> Option<usize> {
        let Self { ring, first, table, .. } = self;
        let is =
            |position: &u32| ring.get(position.wrapping_sub(*first) as usize).is_some_and(|record| record.key == key);
        table.find(short(key), is).map(|position| position.wrapping_sub(*first) as usize)
    }

    /// Claims a key, and forgets the oldest claims if there would be more than `max`. Returns whether
    /// the key is new.
    pub(crate) fn claim(&mut self, key: Hash, span: Span, max: usize) -> bool {
        if let Some(index) = self.index_of(key) {
            let Some(record) = self.ring.get(index).filter(|record| record.until() <= span.now) else {
                return false;
            };
            self.forgotten += u64::from(record.is(CUT));
            self.remove(index);
        }
        self.push(key, span, max, 0);
        true
    }

    /// Adds a firm claim that the log had, unless the key has a claim that lasts longer.
    pub(crate) fn restore(&mut self, firm: Firm, span: Span, max: usize) {
        match self.index_of(firm.key) {
            Some(index) if self.ring.get(index).is_some_and(|record| record.until() < span.until) => self.remove(index),
            Some(_) => return,
            None => {}
        }
        self.push(firm.key, span, max, FIRM);
    }

    fn push(&mut self, key: Hash, span: Span, max: usize, flags: u64) {
        // Two, so that the unused places at the start become fewer.
        for _ in 0..2 {
            self.drop_first(span.now);
        }
        while self.table.len() >= max.max(1) {
            self.forget_first(span.now);
        }
        self.compact();
        let Self { ring, first, table, .. } = self;
        let Ok(index) = u32::try_from(ring.len()) else { return };
        let flags = flags | if span.is_cut { CUT } else { 0 };
        let packed = span.until.min(u64::MAX >> FLAG_BITS) << FLAG_BITS | flags;
        ring.push_back(Record { key, serial: self.next, packed });
        self.next += 1;
        let hash =
            |position: &u32| ring.get(position.wrapping_sub(*first) as usize).map_or(0, |record| short(record.key));
        table.insert_unique(short(key), first.wrapping_add(index), hash);
    }

    /// Makes claims firm and passes them to `each`, without those that were removed or replaced.
    pub(crate) fn make_firm(&mut self, serials: &Range<u64>, mut each: impl FnMut(Firm)) {
        let start = self.ring.partition_point(|record| record.serial < serials.start);
        for record in self.ring.iter_mut().skip(start).take_while(|record| record.serial < serials.end) {
            if !record.is(REMOVED) {
                record.packed |= FIRM;
                each(Firm { key: record.key, until: record.until() });
            }
        }
    }

    /// Removes claims.
    pub(crate) fn unclaim(&mut self, serials: &Range<u64>) {
        let start = self.ring.partition_point(|record| record.serial < serials.start);
        for index in start..self.ring.len() {
            match self.ring.get(index) {
                Some(record) if record.serial >= serials.end => break,
                Some(record) if record.is(REMOVED) => {}
                _ => self.remove(index),
            }
        }
        // Usually these are the latest claims.
        while self.ring.back().is_some_and(|record| record.is(REMOVED)) {
            self.ring.pop_back();
        }
        self.compact();
    }

    /// Appends up to `count` firm claims from this serial number on, and returns the serial number to
    /// continue with; `None` at the end.
    pub(crate) fn firm_from(&self, serial: u64, now: u64, count: usize, claims: &mut Vec<Firm>) -> Option<u64> {
        let start = self.ring.partition_point(|record| record.serial < serial);
        let end = start.saturating_add(count).min(self.ring.len());
        let wanted = |record: &&Record| record.is(FIRM) && !record.is(REMOVED) && record.until() > now;
        let found = self.ring.range(start..end).filter(wanted);
        claims.extend(found.map(|record| Firm { key: record.key, until: record.until() }));
        self.ring.get(end).map(|record| record.serial)
    }

    /// Drops the first record if it is removed or has expired.
    fn drop_first(&mut self, now: u64) {
        if self.ring.front().is_some_and(|record| record.is(REMOVED) || record.until() <= now) {
            self.forget_first(now);
        }
    }

    /// Drops the first record, and counts it if the grant ends its claim.
    fn forget_first(&mut self, now: u64) {
        let Some(record) = self.ring.front().copied() else { return };
        if !record.is(REMOVED) {
            self.forgotten += u64::from(record.is(CUT) || record.until() > now);
            self.remove(0);
        }
        self.ring.pop_front();
        self.first = self.first.wrapping_add(1);
    }

    /// Removes the claim at this index; its place in the ring stays.
    fn remove(&mut self, index: usize) {
        let Self { ring, first, table, .. } = self;
        let Some(record) = ring.get_mut(index) else { return };
        record.packed |= REMOVED;
        let is = |position: &u32| position.wrapping_sub(*first) as usize == index;
        if let Ok(entry) = table.find_entry(short(record.key), is) {
            entry.remove();
        }
    }

    /// Frees the places of removed records when they are more than half.
    fn compact(&mut self) {
        if self.ring.len() <= 2 * self.table.len() + SLACK {
            return;
        }
        self.ring.retain(|record| !record.is(REMOVED));
        self.first = 0;
        self.table.clear();
        let Self { ring, table, .. } = self;
        for (position, record) in (0..).zip(ring.iter()) {
            let hash = |position: &u32| ring.get(*position as usize).map_or(0, |record| short(record.key));
            table.insert_unique(short(record.key), position, hash);
        }
    }
}
