//! A map by keys of limited size, in the order in which the keys came.

use std::collections::HashMap;

use crate::keys::{HashedKey, KeyHash};

/// Values by key. Its order does not depend on a hash, so results and snapshots are the same in every run.
#[derive(Debug)]
pub struct Tally<V> {
    places: HashMap<KeyHash, usize, HashedKey>,
    entries: Vec<(KeyHash, V)>,
    max_keys: usize,
}

impl<V> Tally<V> {
    /// A map of at most this many keys.
    #[must_use]
    pub fn new(max_keys: usize) -> Self {
        Self { places: HashMap::default(), entries: Vec::new(), max_keys }
    }

    /// The value of a key, made if it is missing; none if the map is full.
    pub fn entry(&mut self, key: KeyHash, make: impl FnOnce() -> V) -> Option<&mut V> {
        let place = match self.places.get(&key) {
            Some(place) => *place,
            None if self.entries.len() >= self.max_keys => return None,
            None => {
                self.places.insert(key, self.entries.len());
                self.entries.push((key, make()));
                self.entries.len() - 1
            }
        };
        self.entries.get_mut(place).map(|(_, value)| value)
    }

    /// The value of a key.
    pub fn get_mut(&mut self, key: KeyHash) -> Option<&mut V> {
        let place = *self.places.get(&key)?;
        self.entries.get_mut(place).map(|(_, value)| value)
    }

    /// All keys and values in their order.
    pub fn entries(&self) -> &[(KeyHash, V)] {
        &self.entries
    }

    /// Removes all.
    pub fn take(&mut self) -> Vec<(KeyHash, V)> {
        self.places.clear();
        std::mem::take(&mut self.entries)
    }

    /// Removes those for which `ends` holds, and returns them in their order.
    pub fn take_if(&mut self, mut ends: impl FnMut(&V) -> bool) -> Vec<(KeyHash, V)> {
        let first = self.entries.iter().position(|(_, value)| ends(value));
        let Some(first) = first else { return Vec::new() };
        let mut taken = Vec::new();
        for (place, (key, value)) in std::mem::take(&mut self.entries).into_iter().enumerate() {
            if place >= first && ends(&value) {
                self.places.remove(&key);
                taken.push((key, value));
            } else {
                self.places.insert(key, self.entries.len());
                self.entries.push((key, value));
            }
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_kept_by_key_in_their_order_up_to_a_limit() {
        let mut tally = Tally::new(3);
        for key in [5, 3, 5, 9, 7, 3] {
            if let Some(count) = tally.entry(key, || 0) {
                *count += 1;
            }
        }
        assert_eq!(tally.entries(), [(5, 2), (3, 2), (9, 1)]);
        assert_eq!(tally.take_if(|count| *count == 7), []);
        assert_eq!(tally.take_if(|count| *count == 1), [(9, 1)]);
        assert_eq!(tally.take_if(|count| *count == 2).len(), 2);
        assert_eq!(tally.get_mut(5), None);
        *tally.entry(7, || 0).unwrap() += 1;
        assert_eq!(tally.get_mut(7), Some(&mut 1));
        assert_eq!((tally.take(), tally.get_mut(7)), (vec![(7, 1)], None));
    }
}
