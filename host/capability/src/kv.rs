//! The key-value store of one node. Its instances on all workers share it, and it lives as long as
//! the agent. With a durable grant, its values are also in a log in the data folder, which the next
//! start reads.
//!
//! A call stages its changes ([`Staged`]), reads them, and commits them at its end if it succeeds. A sum
//! is committed as the amount that the call added, so that no addition of another worker is lost.
//!
//! # The quota
//!
//! A change reserves its room when it is staged, and fails if the values and all reservations would
//! exceed the grant. So a commit needs no more than was reserved, and always takes effect, with one
//! exception: if another call has deleted or shortened a value meanwhile, the new value needs more room
//! than the growth that was reserved. It is stored all the same, since the node was already informed
//! that it is. Then the store can exceed the grant by the size of the value that the other call freed,
//! and refuses changes until it is below the grant again.

mod durable;
mod entries;
mod log;
mod staged;

pub use self::log::VERSION as KV_VERSION;

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use wattle_plan::KvGrant;

use self::durable::KvLog;
pub use self::durable::KvUsage;
use self::entries::Entries;
pub use self::staged::Staged;
use self::staged::{Change, number};
use crate::values::{TooLarge, Values, ValuesBuilder};

/// Why a call of `kv` failed. Such a call changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KvError {
    /// The values are not as many as the keys.
    #[error("{keys} keys and {values} values")]
    Values {
        /// Number of keys.
        keys: usize,
        /// Number of values.
        values: usize,
    },
    /// The amounts are not as many as the keys.
    #[error("{keys} keys and {amounts} amounts")]
    Amounts {
        /// Number of keys.
        keys: usize,
        /// Number of amounts.
        amounts: usize,
    },
    /// The store would have more keys than granted.
    #[error("{keys} keys would be kept; {max} are granted (`max_keys`)")]
    MaxKeys {
        /// Number of keys after the call.
        keys: usize,
        /// Granted number.
        max: u64,
    },
    /// The store would have more bytes than granted.
    #[error("{bytes} bytes would be kept; {max} are granted (`max_size`)")]
    MaxSize {
        /// Bytes after the call.
        bytes: u64,
        /// Granted bytes.
        max: u64,
    },
    /// The value of a key is text, so no amount can be added.
    #[error("the value of `{0}` is not a number")]
    NotANumber(
        /// The key.
        String,
    ),
}

/// The store of one node.
#[derive(Debug, Default)]
pub struct Store {
    entries: Mutex<Entries>,
    log: KvLog,
}

/// Expired values that a call removes for each of its keys, at least.
const SWEPT_PER_KEY: usize = 2;

impl Store {
    /// Creates a store with these keys and values.
    pub(crate) fn with(values: &[(String, String)]) -> Self {
        let mut entries = Entries::default();
        for (key, value) in values {
            entries.put(&Bytes::copy_from_slice(key.as_bytes()), Bytes::copy_from_slice(value.as_bytes()), None);
        }
        Self { entries: Mutex::new(entries), ..Self::default() }
    }

    /// Checks that a grant allows the keys and values.
    ///
    /// # Errors
    ///
    /// There are too many, or they are too large.
    pub(crate) fn check(&self, grant: &KvGrant) -> Result<(), KvError> {
        self.entries.lock().check_kept(grant)
    }

    /// Returns the value of each key, if any, as the call sees it. `now` is in milliseconds since 1970,
    /// as everywhere here.
    ///
    /// # Errors
    ///
    /// The values have more than `max_bytes` in total.
    pub(crate) fn get(&self, keys: &Values, now: u64, max_bytes: usize, staged: &Staged) -> Result<Values, TooLarge> {
        let mut entries = self.entries.lock();
        entries.sweep(now, SWEPT_PER_KEY * keys.rows());
        let mut found = ValuesBuilder::with_rows(keys.rows());
        for key in keys.iter() {
            let Some(key) = key else {
                found.push(None, max_bytes)?;
                continue;
            };
            let stored = entries.get(key, now);
            match staged.get(key) {
                None => found.push(stored.map(|value| &**value), max_bytes)?,
                Some(Change::Set { value, until }) => {
                    let is_live = until.is_none_or(|until| until > now);
                    found.push(is_live.then_some(&**value), max_bytes)?;
                }
                Some(Change::Delete) => found.push(None, max_bytes)?,
                Some(Change::Add(amount)) => {
                    let sum = stored.map_or(Some(0), number).map(|stored| stored.saturating_add(*amount).to_string());
                    // Another worker has replaced the number by a text, which stays.
                    let value = sum.as_ref().map(String::as_bytes).or(stored.map(|value| &**value));
                    found.push(value, max_bytes)?;
                }
            }
        }
        Ok(found.finish())
    }

    /// Sets the value of each key, for `ttl` milliseconds if given, and skips rows without a key or a
    /// value. The last of several values of a key counts.
    ///
    /// # Errors
    ///
    /// The grant would be exceeded. Then nothing is set.
    pub(crate) fn set(
        self: &Arc<Self>,
        grant: &KvGrant,
        keys: &Values,
        values: &Values,
        ttl: Option<u64>,
        now: u64,
        staged: &mut Staged,
    ) -> Result<(), KvError> {
        if keys.rows() != values.rows() {
            return Err(KvError::Values { keys: keys.rows(), values: values.rows() });
        }
        let until = ttl.map(|ttl| now.saturating_add(ttl));
        let pairs: HashMap<&[u8], &[u8]> =
            keys.iter().zip(values.iter()).filter_map(|(key, value)| key.zip(value)).collect();
        let changes = pairs.into_iter().map(|(key, value)| (key, Change::set(value, until)));
        self.stage(&mut self.entries.lock(), grant, changes.collect(), now, staged)
    }

    /// Adds to the value of each key as a number, starting from 0 for an absent key, and returns the
    /// sums. A row without a key has the sum 0. Sums saturate at 64 bits. A value that expires keeps its
    /// end.
    ///
    /// # Errors
    ///
    /// A value is not a number, or the grant would be exceeded. Then nothing is changed.
    pub(crate) fn add(
        self: &Arc<Self>,
        grant: &KvGrant,
        keys: &Values,
        amounts: &[i64],
        now: u64,
        staged: &mut Staged,
    ) -> Result<Vec<i64>, KvError> {
        if keys.rows() != amounts.len() {
            return Err(KvError::Amounts { keys: keys.rows(), amounts: amounts.len() });
        }
        let mut entries = self.entries.lock();
        let mut changes: HashMap<&[u8], Change> = HashMap::new();
        let mut sums = Vec::with_capacity(amounts.len());
        for (key, amount) in keys.iter().zip(amounts) {
            let Some(key) = key else {
                sums.push(0);
                continue;
            };
            let text = || KvError::NotANumber(String::from_utf8_lossy(key).into_owned());
            let (sum, change) = match changes.get(key).or(staged.get(key)) {
                Some(Change::Set { value, until }) if until.is_none_or(|until| until > now) => {
                    let sum = number(value).ok_or_else(text)?.saturating_add(*amount);
                    (sum, Change::set(sum.to_string().as_bytes(), *until))
                }
                Some(Change::Set { .. } | Change::Delete) => {
                    (*amount, Change::set(amount.to_string().as_bytes(), None))
                }
                added => {
                    let before = if let Some(Change::Add(before)) = added { *before } else { 0 };
                    let stored = entries.get(key, now).map_or(Some(0), number).ok_or_else(text)?;
                    let all = before.saturating_add(*amount);
                    (stored.saturating_add(all), Change::Add(all))
                }
            };
            sums.push(sum);
            changes.insert(key, change);
        }
        self.stage(&mut entries, grant, changes.into_iter().collect(), now, staged)?;
        Ok(sums)
    }

    /// Removes keys.
    pub(crate) fn delete(self: &Arc<Self>, keys: &Values, now: u64, staged: &mut Staged) {
        let mut entries = self.entries.lock();
        for key in keys.iter().flatten() {
            let growth = entries.growth(key, &Change::Delete, now);
            staged.put(self, &mut entries, key, Change::Delete, growth);
        }
    }

    /// Stages changes of different keys, or none of them if the grant would be exceeded.
    fn stage(
        self: &Arc<Self>,
        entries: &mut Entries,
        grant: &KvGrant,
        changes: Vec<(&[u8], Change)>,
        now: u64,
        staged: &mut Staged,
    ) -> Result<(), KvError> {
        entries.sweep(now, SWEPT_PER_KEY * changes.len());
        let mut growths;
        loop {
            growths = changes.iter().map(|(key, change)| entries.growth(key, change, now)).collect::<Vec<_>>();
            let mut own = staged.growth();
            for ((key, _), growth) in changes.iter().zip(&growths) {
                own = own.plus(*growth).minus(staged.growth_of(key));
            }
            let Err(error) = entries.check(grant, staged.growth(), own) else { break };
            // Expired values may be all that is too much. Each is removed once.
            if entries.sweep(now, usize::MAX) == 0 {
                return Err(error);
            }
        }
        for ((key, change), growth) in changes.into_iter().zip(growths) {
            staged.put(self, entries, key, change, growth);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
