//! The key-value store of one node. Its instances on all workers share it, and it lives as long as
//! the agent.

use std::collections::HashMap;

use bytes::Bytes;
use parking_lot::Mutex;
use wattle_plan::KvGrant;

use crate::values::{TooLarge, Values, ValuesBuilder};

/// Fixed cost of an entry in bytes, so that the number of empty entries is bounded too.
const ENTRY_BYTES: usize = 64;

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

/// How to revert one change of a key.
#[derive(Debug)]
enum Undo {
    /// Subtracts the added amount, so that later additions of other workers stay. Removes the key
    /// if the change created it.
    Add { key: Bytes, amount: i64, made: bool },
    /// Restores the old value, unless another worker has changed the key since.
    Set { key: Bytes, old: Option<Bytes>, new: Option<Bytes> },
}

/// The changes of a call, which are reverted if the call faults.
#[derive(Debug, Default)]
pub struct Changes(Vec<Undo>);

/// The store of one node.
#[derive(Debug, Default)]
pub struct Store {
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    values: HashMap<Bytes, Bytes>,
    /// Bytes of keys and values, plus the fixed cost of each entry.
    bytes: usize,
}

impl Entries {
    fn put(&mut self, key: &[u8], value: Bytes) {
        self.bytes += value.len();
        match self.values.get_mut(key) {
            Some(old) => {
                self.bytes = self.bytes.saturating_sub(old.len());
                *old = value;
            }
            None => {
                self.bytes += key.len() + ENTRY_BYTES;
                self.values.insert(Bytes::copy_from_slice(key), value);
            }
        }
    }

    fn remove(&mut self, key: &[u8]) -> Option<(Bytes, Bytes)> {
        let (key, value) = self.values.remove_entry(key)?;
        self.bytes = self.bytes.saturating_sub(key.len() + value.len() + ENTRY_BYTES);
        Some((key, value))
    }

    /// Returns the value of a key as a number.
    fn number(&self, key: &[u8]) -> Option<i64> {
        std::str::from_utf8(self.values.get(key)?).ok()?.parse().ok()
    }

    /// Checks that the grant allows all these changes.
    fn check(&self, grant: &KvGrant, changes: &HashMap<&[u8], &[u8]>) -> Result<(), KvError> {
        let (mut keys, mut bytes, mut freed) = (self.values.len(), self.bytes, 0);
        for (&key, value) in changes {
            bytes = bytes.saturating_add(value.len());
            match self.values.get(key) {
                Some(old) => freed += old.len(),
                None => {
                    keys += 1;
                    bytes = bytes.saturating_add(key.len() + ENTRY_BYTES);
                }
            }
        }
        let bytes = bytes.saturating_sub(freed) as u64;
        if keys as u64 > grant.max_keys {
            return Err(KvError::MaxKeys { keys, max: grant.max_keys });
        }
        if bytes > grant.max_bytes {
            return Err(KvError::MaxSize { bytes, max: grant.max_bytes });
        }
        Ok(())
    }
}

impl Store {
    /// Creates a store with these keys and values.
    pub fn with(values: &[(String, String)]) -> Self {
        let mut entries = Entries::default();
        values.iter().for_each(|(key, value)| entries.put(key.as_bytes(), Bytes::copy_from_slice(value.as_bytes())));
        Self { entries: Mutex::new(entries) }
    }

    /// Checks that a grant allows the keys and values.
    ///
    /// # Errors
    ///
    /// There are too many, or they are too large.
    pub fn check(&self, grant: &KvGrant) -> Result<(), KvError> {
        self.entries.lock().check(grant, &HashMap::new())
    }

    /// Returns the value of each key, if any.
    ///
    /// # Errors
    ///
    /// The values have more than `max_bytes` in total.
    pub fn get(&self, keys: &Values, max_bytes: usize) -> Result<Values, TooLarge> {
        let entries = self.entries.lock();
        let mut found = ValuesBuilder::with_rows(keys.rows());
        for key in keys.iter() {
            let value = key.and_then(|key| entries.values.get(key));
            found.push(value.map(|value| &**value), max_bytes)?;
        }
        Ok(found.finish())
    }

    /// Sets the value of each key, and skips rows without a key or a value. The last of several
    /// values of a key counts.
    ///
    /// # Errors
    ///
    /// The grant would be exceeded. Then nothing is set.
    pub fn set(&self, grant: &KvGrant, keys: &Values, values: &Values, undo: &mut Changes) -> Result<(), KvError> {
        if keys.rows() != values.rows() {
            return Err(KvError::Values { keys: keys.rows(), values: values.rows() });
        }
        let changes: HashMap<&[u8], &[u8]> =
            keys.iter().zip(values.iter()).filter_map(|(key, value)| key.zip(value)).collect();
        let mut entries = self.entries.lock();
        entries.check(grant, &changes)?;
        for (key, value) in changes {
            let new = Bytes::copy_from_slice(value);
            let old = entries.values.get(key).cloned();
            undo.0.push(Undo::Set { key: Bytes::copy_from_slice(key), old, new: Some(new.clone()) });
            entries.put(key, new);
        }
        Ok(())
    }

    /// Adds to the value of each key as a number, starting from 0 for an absent key, and returns
    /// the sums. A row without a key has the sum 0. The operation is atomic, and sums saturate at
    /// 64 bits.
    ///
    /// # Errors
    ///
    /// A value is not a number, or the grant would be exceeded. Then nothing is changed.
    pub fn add(
        &self,
        grant: &KvGrant,
        keys: &Values,
        amounts: &[i64],
        undo: &mut Changes,
    ) -> Result<Vec<i64>, KvError> {
        if keys.rows() != amounts.len() {
            return Err(KvError::Amounts { keys: keys.rows(), amounts: amounts.len() });
        }
        let mut entries = self.entries.lock();
        let mut totals: HashMap<&[u8], i64> = HashMap::new();
        let mut sums = Vec::with_capacity(amounts.len());
        for (key, amount) in keys.iter().zip(amounts) {
            let Some(key) = key else {
                sums.push(0);
                continue;
            };
            let before = match (totals.get(key), entries.values.get(key)) {
                (Some(total), _) => *total,
                (None, Some(value)) => std::str::from_utf8(value)
                    .ok()
                    .and_then(|text| text.parse().ok())
                    .ok_or_else(|| KvError::NotANumber(String::from_utf8_lossy(key).into_owned()))?,
                (None, None) => 0,
            };
            let sum = before.saturating_add(*amount);
            totals.insert(key, sum);
            sums.push(sum);
        }
        let texts: Vec<(&[u8], String)> = totals.into_iter().map(|(key, total)| (key, total.to_string())).collect();
        entries.check(grant, &texts.iter().map(|(key, text)| (*key, text.as_bytes())).collect())?;
        for (key, text) in texts {
            let before = entries.number(key);
            let amount = text.parse::<i64>().unwrap_or_default().saturating_sub(before.unwrap_or_default());
            undo.0.push(Undo::Add { key: Bytes::copy_from_slice(key), amount, made: before.is_none() });
            entries.put(key, Bytes::from(text));
        }
        Ok(sums)
    }

    /// Removes keys.
    pub fn delete(&self, keys: &Values, undo: &mut Changes) {
        let mut entries = self.entries.lock();
        for key in keys.iter().flatten() {
            if let Some((key, value)) = entries.remove(key) {
                undo.0.push(Undo::Set { key, old: Some(value), new: None });
            }
        }
    }

    /// Reverts changes, the last one first. Changes of other workers stay: sums lose only the
    /// amount that was added here, and a key that has another value now keeps it.
    pub fn revert(&self, changes: Changes) {
        let mut entries = self.entries.lock();
        for undo in changes.0.into_iter().rev() {
            match undo {
                Undo::Add { key, amount, made } => {
                    let Some(now) = entries.number(&key) else { continue };
                    let before = now.saturating_sub(amount);
                    if made && before == 0 {
                        entries.remove(&key);
                    } else {
                        entries.put(&key, before.to_string().into());
                    }
                }
                Undo::Set { key, old, new } if entries.values.get(&key) == new.as_ref() => match old {
                    Some(old) => entries.put(&key, old),
                    None => _ = entries.remove(&key),
                },
                Undo::Set { .. } => {}
            }
        }
    }

    /// Returns the number of keys, and the bytes that count against the grant.
    pub fn usage(&self) -> (usize, usize) {
        let entries = self.entries.lock();
        (entries.values.len(), entries.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(rows: &[&str]) -> Values {
        let mut builder = ValuesBuilder::with_rows(rows.len());
        rows.iter().for_each(|row| builder.push(Some(row.as_bytes()), usize::MAX).unwrap());
        builder.finish()
    }

    fn texts(values: &Values) -> Vec<Option<String>> {
        values.iter().map(|row| row.map(|row| String::from_utf8_lossy(row).into_owned())).collect()
    }

    #[test]
    fn a_value_exists_until_it_is_deleted() {
        let (store, grant) = (Store::default(), KvGrant::default());
        store.set(&grant, &values(&["a", "b", "a"]), &values(&["1", "", "2"]), &mut Changes::default()).unwrap();
        let found = store.get(&values(&["b", "a", "c"]), 10).unwrap();
        assert_eq!(texts(&found), [Some(String::new()), Some("2".into()), None]);
        assert_eq!(store.usage(), (2, 2 * ENTRY_BYTES + 3));
        store.delete(&values(&["a", "x"]), &mut Changes::default());
        assert_eq!(texts(&store.get(&values(&["a"]), 10).unwrap()), [None]);
        store.delete(&values(&["b"]), &mut Changes::default());
        assert_eq!(store.usage(), (0, 0));
    }

    #[test]
    fn nothing_is_set_if_the_total_exceeds_the_grant() {
        let store = Store::default();
        let grant = KvGrant { max_bytes: 2 * (ENTRY_BYTES as u64 + 2), max_keys: 2 };
        store.set(&grant, &values(&["a", "b"]), &values(&["1", "1"]), &mut Changes::default()).unwrap();
        let more = store.set(&grant, &values(&["a", "c"]), &values(&["2", "2"]), &mut Changes::default()).unwrap_err();
        assert_eq!(more.to_string(), "3 keys would be kept; 2 are granted (`max_keys`)");
        let longer = store.set(&grant, &values(&["a"]), &values(&["22"]), &mut Changes::default()).unwrap_err();
        assert_eq!(longer.to_string(), "133 bytes would be kept; 132 are granted (`max_size`)");
        assert_eq!(texts(&store.get(&values(&["a", "c"]), 10).unwrap()), [Some("1".into()), None]);
        // One entry takes the space of the other.
        store.set(&grant, &values(&["a", "b"]), &values(&["22", ""]), &mut Changes::default()).unwrap();
        assert_eq!(store.usage(), (2, 132));
        assert!(store.get(&values(&["a", "a"]), 3).is_err(), "answers are bounded too");
    }

    #[test]
    fn counters_add_up_over_threads() {
        let (store, grant) = (Store::default(), KvGrant::default());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..500 {
                        store.add(&grant, &values(&["n", "m", "n"]), &[1, -1, 1], &mut Changes::default()).unwrap();
                    }
                });
            }
        });
        assert_eq!(texts(&store.get(&values(&["n", "m"]), 10).unwrap()), [Some("4000".into()), Some("-2000".into())]);
        assert_eq!(
            store.add(&grant, &values(&["n", "n"]), &[1, i64::MAX], &mut Changes::default()).unwrap(),
            [4001, i64::MAX]
        );
        store.set(&grant, &values(&["t"]), &values(&["two"]), &mut Changes::default()).unwrap();
        assert_eq!(
            store.add(&grant, &values(&["x", "t"]), &[1, 1], &mut Changes::default()),
            Err(KvError::NotANumber("t".into()))
        );
        assert_eq!(texts(&store.get(&values(&["x"]), 10).unwrap()), [None]);
    }

    #[test]
    fn changes_of_a_faulted_call_are_rolled_back_and_those_of_others_stay() {
        let (store, grant) = (Store::default(), KvGrant::default());
        let mut others = Changes::default();
        store.add(&grant, &values(&["n"]), &[5], &mut others).unwrap();
        store.set(&grant, &values(&["kept", "shared"]), &values(&["old", "old"]), &mut others).unwrap();
        let before = store.usage();
        let mut own = Changes::default();
        store.add(&grant, &values(&["n", "new", "n"]), &[1, 7, 1], &mut own).unwrap();
        store.add(&grant, &values(&["n"]), &[1], &mut own).unwrap();
        store.set(&grant, &values(&["kept", "shared", "made"]), &values(&["x", "y", "z"]), &mut own).unwrap();
        store.delete(&values(&["kept", "absent"]), &mut own);
        // Another worker changes the key in between.
        store.add(&grant, &values(&["n"]), &[100], &mut others).unwrap();
        store.set(&grant, &values(&["shared"]), &values(&["foreign"]), &mut others).unwrap();
        store.revert(own);
        let found = store.get(&values(&["n", "new", "kept", "shared", "made"]), 100).unwrap();
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(texts(&found), [text("105"), None, text("old"), text("foreign"), None]);
        assert_eq!(store.usage(), (before.0, before.1 + "105".len() - "5".len() + "foreign".len() - "old".len()));
    }
}
