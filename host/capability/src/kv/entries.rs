//! The committed values of a store, and the room that calls have reserved.

use std::collections::{BTreeSet, HashMap, HashSet};

use bytes::Bytes;
use wattle_plan::KvGrant;

use super::KvError;
use super::staged::{Change, number};

/// Fixed cost of an entry in bytes, so that the number of empty entries is bounded too.
pub(super) const ENTRY_BYTES: usize = 64;
/// Cost of the end of a value, in bytes.
pub(super) const END_BYTES: usize = 48;
/// Largest size of a number as text.
pub(super) const NUMBER_BYTES: usize = 20;

/// By how much changes make the store grow; negative if they make it smaller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Growth {
    keys: i64,
    bytes: i64,
}

impl Growth {
    pub(super) fn plus(self, other: Self) -> Self {
        Self { keys: self.keys.saturating_add(other.keys), bytes: self.bytes.saturating_add(other.bytes) }
    }

    pub(super) fn minus(self, other: Self) -> Self {
        Self { keys: self.keys.saturating_sub(other.keys), bytes: self.bytes.saturating_sub(other.bytes) }
    }

    /// The room to reserve: a call that makes the store smaller does not give room to others before
    /// it is committed.
    fn room(self) -> Self {
        Self { keys: self.keys.max(0), bytes: self.bytes.max(0) }
    }

    /// An entry.
    fn of(size: usize) -> Self {
        Self { keys: 1, bytes: i64::try_from(size).unwrap_or(i64::MAX) }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Value {
    pub(super) bytes: Bytes,
    /// In milliseconds since 1970.
    pub(super) until: Option<u64>,
}

/// What runs when changes are on disk.
type Written = Box<dyn FnOnce() + Send>;

/// Changes that are not on disk yet.
#[derive(Default)]
pub(super) struct Unwritten {
    /// The changed keys.
    pub(super) keys: HashSet<Bytes>,
    /// What runs when they are on disk.
    pub(super) waiting: Vec<Written>,
}

impl std::fmt::Debug for Unwritten {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Unwritten").field("keys", &self.keys.len()).field("waiting", &self.waiting.len()).finish()
    }
}

fn size(key: &[u8], value_bytes: usize, has_end: bool) -> usize {
    let end_bytes = if has_end { END_BYTES } else { 0 };
    key.len() + value_bytes + ENTRY_BYTES + end_bytes
}

/// The committed values.
#[derive(Debug, Default)]
pub(super) struct Entries {
    values: HashMap<Bytes, Value>,
    /// Ends of the values that expire.
    ends: BTreeSet<(u64, Bytes)>,
    /// Bytes of keys and values, plus the fixed costs.
    bytes: usize,
    /// Room that calls have reserved.
    reserved: Growth,
    /// `None` if the store is only in memory.
    unwritten: Option<Unwritten>,
}

impl Entries {
    /// The value of a key, unless it has expired.
    pub(super) fn get(&self, key: &[u8], now: u64) -> Option<&Bytes> {
        let value = self.values.get(key).filter(|value| value.until.is_none_or(|until| until > now))?;
        Some(&value.bytes)
    }

    pub(super) fn put(&mut self, key: &Bytes, bytes: Bytes, until: Option<u64>) {
        self.remove(key);
        self.bytes += size(key, bytes.len(), until.is_some());
        if let Some(until) = until {
            self.ends.insert((until, key.clone()));
        }
        self.values.insert(key.clone(), Value { bytes, until });
    }

    pub(super) fn remove(&mut self, key: &[u8]) {
        let Some((key, value)) = self.values.remove_entry(key) else { return };
        self.bytes = self.bytes.saturating_sub(size(&key, value.bytes.len(), value.until.is_some()));
        if let Some(until) = value.until {
            self.ends.remove(&(until, key));
        }
    }

    /// Removes up to `most` expired values. Returns their number.
    pub(super) fn sweep(&mut self, now: u64, most: usize) -> usize {
        let mut removed = 0;
        while removed < most && self.ends.first().is_some_and(|(until, _)| *until <= now) {
            if let Some((_, key)) = self.ends.pop_first() {
                self.remove(&key);
                removed += 1;
            }
        }
        removed
    }

    /// By how much a change would make the store grow.
    pub(super) fn growth(&self, key: &[u8], change: &Change, now: u64) -> Growth {
        let stored = self.values.get(key);
        let before =
            stored.map_or(Growth::default(), |old| Growth::of(size(key, old.bytes.len(), old.until.is_some())));
        let after = match change {
            Change::Delete => Growth::default(),
            Change::Set { value, until } => Growth::of(size(key, value.len(), until.is_some())),
            Change::Add(_) => {
                let has_end = stored.and_then(|old| old.until).is_some_and(|until| until > now);
                // Additions of others can make the number longer before this one is committed.
                Growth::of(size(key, NUMBER_BYTES, has_end))
            }
        };
        after.minus(before)
    }

    /// Checks that the grant allows a call to grow from one reservation to another.
    pub(super) fn check(&self, grant: &KvGrant, from: Growth, to: Growth) -> Result<(), KvError> {
        let (from, to) = (from.room(), to.room());
        let all = self.reserved.minus(from).plus(to);
        let total =
            |kept: usize, reserved: i64| (kept as u64).saturating_add(u64::try_from(reserved).unwrap_or_default());
        // A call that only makes the store smaller is always allowed.
        if to.keys > from.keys {
            check_keys(grant, total(self.values.len(), all.keys))?;
        }
        if to.bytes > from.bytes {
            check_bytes(grant, total(self.bytes, all.bytes))?;
        }
        Ok(())
    }

    /// Checks that the grant allows the committed values.
    pub(super) fn check_kept(&self, grant: &KvGrant) -> Result<(), KvError> {
        check_keys(grant, self.values.len() as u64)?;
        check_bytes(grant, self.bytes as u64)
    }

    /// Replaces the reservation of a call by another one.
    pub(super) fn reserve(&mut self, from: Growth, to: Growth) {
        self.reserved = self.reserved.minus(from.room()).plus(to.room());
    }

    /// Applies a change. Returns false if an amount cannot be added, because another worker has
    /// replaced the number by a text; the text stays.
    pub(super) fn apply(&mut self, key: &Bytes, change: Change, now: u64) -> bool {
        if let Some(unwritten) = &mut self.unwritten {
            unwritten.keys.insert(key.clone());
        }
        match change {
            Change::Set { value, until } => self.put(key, value, until),
            Change::Delete => self.remove(key),
            Change::Add(amount) => {
                let until = self.values.get(key).and_then(|value| value.until).filter(|until| *until > now);
                let Some(stored) = self.get(key, now).map_or(Some(0), number) else { return false };
                self.put(key, stored.saturating_add(amount).to_string().into(), until);
            }
        }
        true
    }

    /// Records changes from now on, for the log.
    pub(super) fn record(&mut self) {
        self.unwritten.get_or_insert_default();
    }

    /// Has `written` run when all changes so far are on disk; returns it if the store is only in
    /// memory.
    pub(super) fn wait_for_disk<F: FnOnce() + Send + 'static>(&mut self, written: F) -> Option<F> {
        match &mut self.unwritten {
            Some(unwritten) => {
                unwritten.waiting.push(Box::new(written));
                None
            }
            None => Some(written),
        }
    }

    /// Takes the changes that are not on disk yet.
    pub(super) fn take_unwritten(&mut self) -> Unwritten {
        self.unwritten.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Takes changes back that could not be written.
    pub(super) fn put_back(&mut self, mut failed: Unwritten) {
        if let Some(unwritten) = &mut self.unwritten {
            failed.keys.extend(unwritten.keys.drain());
            failed.waiting.append(&mut unwritten.waiting);
            *unwritten = failed;
        }
    }

    /// Whether changes are not on disk yet.
    pub(super) fn has_unwritten(&self) -> bool {
        self.unwritten.as_ref().is_some_and(|unwritten| !unwritten.keys.is_empty() || !unwritten.waiting.is_empty())
    }

    /// The value of a key, also if it has expired.
    pub(super) fn value(&self, key: &Bytes) -> Option<&Value> {
        self.values.get(key)
    }

    /// All values.
    pub(super) fn all(&self) -> impl Iterator<Item = (&Bytes, &Value)> {
        self.values.iter()
    }

    /// Returns the number of keys, and the bytes that count against the grant.
    pub(super) fn usage(&self) -> (usize, usize) {
        (self.values.len(), self.bytes)
    }

    #[cfg(test)]
    pub(super) fn is_unreserved(&self) -> bool {
        self.reserved == Growth::default()
    }
}

fn check_keys(grant: &KvGrant, keys: u64) -> Result<(), KvError> {
    let max = grant.max_keys;
    if keys > max { Err(KvError::MaxKeys { keys: usize::try_from(keys).unwrap_or(usize::MAX), max }) } else { Ok(()) }
}

fn check_bytes(grant: &KvGrant, bytes: u64) -> Result<(), KvError> {
    let max = grant.max_bytes;
    if bytes > max { Err(KvError::MaxSize { bytes, max }) } else { Ok(()) }
}
