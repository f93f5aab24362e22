//! Keys of an object that is being written, none of which occurs twice.

use std::io::Write as _;

use hashbrown::HashTable;
use twox_hash::XxHash64;

use crate::content::Span;

/// The keys of one object so far. The first member with a key has it; each further one gets a number after it: `a`,
/// `a_2`, `a_3`. So no member is lost, and no reader of the object sees one of two members with the same key.
#[derive(Debug, Default)]
pub struct UniqueKeys {
    bytes: Vec<u8>,
    table: HashTable<Entry>,
    counters: HashTable<Counter>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    key: Span,
    hash: u64,
    /// All numbers of fewer digits after this key are taken.
    digits: u32,
}

/// The next number of so many digits after a stem: a key, or the beginning of one that is too long with a number. The next
/// member that needs one does not try the same numbers again, so the time for all keys is that of their bytes.
#[derive(Clone, Copy, Debug)]
struct Counter {
    stem: Span,
    digits: u32,
    hash: u64,
    next: u64,
}

impl UniqueKeys {
    /// Forgets all keys, before the next object.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.table.clear();
        self.counters.clear();
    }

    /// Adds the key that begins at `start` and ends the text. If the object has it, a number is appended to it. The
    /// number takes the place of the last bytes of a key that would be longer than `max` bytes.
    pub fn add(&mut self, text: &mut Vec<u8>, start: usize, max: usize) {
        let key = text.get(start..).unwrap_or_default();
        let hash = XxHash64::oneshot(0, key);
        let Some(entry) = self.find(hash, key) else { return self.insert(hash, key) };
        // Numbers do not end: an object has fewer than 2³² members.
        for digits in entry.digits..=10 {
            let length = before_char(entry.key.of(&self.bytes), max.saturating_sub(digits as usize + 1));
            let stem = Span::new(entry.key.start as usize, entry.key.start as usize + length);
            if self.add_number(text, start, stem, digits) {
                let is_key = |other: &Entry| other.key == entry.key;
                self.table.find_mut(hash, is_key).into_iter().for_each(|entry| entry.digits = digits);
                return;
            }
        }
    }

    /// Writes and adds a stem with the first free number of so many digits. Returns whether there is one.
    fn add_number(&mut self, text: &mut Vec<u8>, start: usize, stem: Span, digits: u32) -> bool {
        let hash = XxHash64::oneshot(digits.into(), stem.of(&self.bytes));
        let same = |counter: &Counter, bytes: &[u8]| {
            counter.hash == hash && counter.digits == digits && counter.stem.of(bytes) == stem.of(bytes)
        };
        // The first member has no number, and the next one is the second.
        let first = if digits == 1 { 2 } else { 10_u64.pow(digits - 1) };
        let counter = self.counters.find(hash, |counter| same(counter, &self.bytes));
        let mut next = counter.map_or(first, |counter| counter.next);
        let mut is_free = false;
        while next < 10_u64.pow(digits) && !is_free {
            text.truncate(start);
            text.extend_from_slice(stem.of(&self.bytes));
            // Writing to a vector cannot fail.
            let _ = write!(text, "_{next}");
            next += 1;
            let key = text.get(start..).unwrap_or_default();
            let new_hash = XxHash64::oneshot(0, key);
            is_free = self.find(new_hash, key).is_none();
            if is_free {
                self.insert(new_hash, key);
            }
        }
        let Self { bytes, counters, .. } = self;
        match counters.find_mut(hash, |counter| same(counter, bytes)) {
            Some(counter) => counter.next = next,
            None => {
                counters.insert_unique(hash, Counter { stem, digits, hash, next }, |counter| counter.hash);
            }
        }
        is_free
    }

    fn find(&self, hash: u64, key: &[u8]) -> Option<Entry> {
        self.table.find(hash, |entry| entry.hash == hash && entry.key.of(&self.bytes) == key).copied()
    }

    fn insert(&mut self, hash: u64, key: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(key);
        let entry = Entry { key: Span::new(start, self.bytes.len()), hash, digits: 1 };
        self.table.insert_unique(hash, entry, |entry| entry.hash);
    }
}

/// The end of the last character that ends within the first `max` bytes.
fn before_char(text: &[u8], max: usize) -> usize {
    let is_inside = |at: usize| text.get(at).is_some_and(|byte| byte & 0xc0 == 0x80);
    (0..=max.min(text.len())).rev().find(|at| !is_inside(*at)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn unique(keys: &[&str], max: usize) -> Vec<String> {
        let mut unique = UniqueKeys::default();
        let mut text = b"before".to_vec();
        let add = |key: &&str| {
            text.truncate(6);
            text.extend_from_slice(key.as_bytes());
            unique.add(&mut text, 6, max);
            String::from_utf8(text[6..].to_vec()).unwrap()
        };
        keys.iter().map(add).collect()
    }

    #[test]
    fn further_members_with_a_key_get_numbers() {
        assert_eq!(unique(&["a", "b", "a", "a"], 9), ["a", "b", "a_2", "a_3"]);
        assert_eq!(unique(&["a_2", "a", "a", "a_2"], 9), ["a_2", "a", "a_3", "a_2_2"]);
        assert_eq!(unique(&["abcd", "abcd", "abc"], 4), ["abcd", "ab_2", "abc"]);
        assert_eq!(unique(&["aé", "aé"], 4), ["aé", "a_2"]);
        assert_eq!(unique(&["", ""], 4), ["", "_2"]);
        // Many equal keys take about as long as others.
        assert_eq!(unique(&vec!["a"; 200_000], 9).last().unwrap(), "a_200000");
        // So do pairs of equal keys that differ only in what a number takes the place of.
        let keys: Vec<String> = (0..50_000).map(|number| format!("abcdef{number:06}")).collect();
        let pairs: Vec<&str> = keys.iter().flat_map(|key| [key.as_str(), key]).collect();
        let made = unique(&pairs, 12);
        assert_eq!(
            (made[1].as_str(), made[2].as_str(), made[3].as_str()),
            ("abcdef0000_2", "abcdef000001", "abcdef0000_3")
        );
        assert_eq!(made.iter().collect::<HashSet<_>>().len(), pairs.len());
        // And members that have the numbers already.
        let mut keys: Vec<String> = (2..100_000).map(|number| format!("a_{number}")).collect();
        keys.resize(200_000, "a".to_owned());
        let made = unique(&keys.iter().map(String::as_str).collect::<Vec<_>>(), 12);
        assert_eq!(
            (made[99_998].as_str(), made[99_999].as_str(), made[199_999].as_str()),
            ("a", "a_100000", "a_200000")
        );
    }

    proptest! {
        #[test]
        fn no_key_occurs_twice(keys in prop::collection::vec("[ab_2é]{0,4}", 0..40), max in 4_usize..9) {
            let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
            let made = unique(&keys, max);
            prop_assert_eq!(made.iter().collect::<HashSet<_>>().len(), keys.len());
            let mut seen = HashSet::new();
            for (key, made) in keys.iter().zip(&made) {
                prop_assert!(made.len() <= max.max(key.len()));
                // A key that none before it became stays.
                prop_assert!(made == key || seen.contains(*key), "{} {}", key, made);
                seen.insert(made.clone());
            }
        }
    }
}
