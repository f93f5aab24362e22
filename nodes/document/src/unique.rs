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
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    key: Span,
    hash: u64,
    /// The number of the next member with this key.
    next: u32,
}

impl UniqueKeys {
    /// Forgets all keys, before the next object.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.table.clear();
    }

    /// Adds the key that begins at `start` and ends the text. If the object has it, a number is appended to it. The
    /// number takes the place of the last bytes of a key that would be longer than `max` bytes.
    pub fn add(&mut self, text: &mut Vec<u8>, start: usize, max: usize) {
        let key = text.get(start..).unwrap_or_default();
        let hash = XxHash64::oneshot(0, key);
        let Some(entry) = self.find(hash, key) else { return self.insert(hash, key) };
        let (base, mut number) = (entry.key, entry.next);
        let length = key.len();
        loop {
            text.truncate(start + length);
            let digits = number.checked_ilog10().unwrap_or_default() as usize + 1;
            text.truncate(start + before_char(text.get(start..).unwrap_or_default(), max.saturating_sub(digits + 1)));
            // Writing to a vector cannot fail.
            let _ = write!(text, "_{number}");
            number = number.saturating_add(1);
            let key = text.get(start..).unwrap_or_default();
            let new_hash = XxHash64::oneshot(0, key);
            // Numbers do not end: an object has fewer than 2³² members.
            if self.find(new_hash, key).is_none() {
                self.insert(new_hash, key);
                break;
            }
        }
        // The next member with the key does not try the same numbers again.
        if let Some(entry) = self.table.find_mut(hash, |entry| entry.key == base) {
            entry.next = number;
        }
    }

    fn find(&self, hash: u64, key: &[u8]) -> Option<Entry> {
        self.table.find(hash, |entry| entry.hash == hash && entry.key.of(&self.bytes) == key).copied()
    }

    fn insert(&mut self, hash: u64, key: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(key);
        let entry = Entry { key: Span::new(start, self.bytes.len()), hash, next: 2 };
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
        // One million equal keys take about as long as others.
        assert_eq!(unique(&vec!["a"; 1_000_000], 9).last().unwrap(), "a_1000000");
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
