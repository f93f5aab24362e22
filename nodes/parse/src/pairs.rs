//! Keys and values of a row whose keys are not known beforehand.

use crate::format::Fault;
use crate::object::{Object, put, write_clean};
use wattle_convert::{Type, write_value};

/// Up to so many keys are compared one by one; more are sorted, so that time stays in proportion to the text.
const FEW: usize = 32;

/// A part of the row's text, or a text that was made from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Piece {
    start: usize,
    end: usize,
    is_made: bool,
}

impl Piece {
    /// The bytes from `start` up to `end` of the row's text.
    pub(crate) const fn of(start: usize, end: usize) -> Self {
        Self { start, end, is_made: false }
    }

    fn get<'a>(self, text: &'a [u8], made: &'a [u8]) -> &'a [u8] {
        (if self.is_made { made } else { text }).get(self.start..self.end).unwrap_or_default()
    }
}

/// Types by key.
#[derive(Debug, Default)]
pub(crate) struct Types(Vec<(String, Type)>);

impl Types {
    pub(crate) fn new(types: impl IntoIterator<Item = (String, Type)>) -> Self {
        let mut types: Vec<_> = types.into_iter().collect();
        types.sort_by(|a, b| a.0.cmp(&b.0));
        Self(types)
    }

    pub(crate) fn get(&self, key: &[u8]) -> Option<&(String, Type)> {
        let place = self.0.binary_search_by(|(name, _)| name.as_bytes().cmp(key)).ok()?;
        self.0.get(place)
    }
}

/// The pairs of one row, in order. Of equal keys the first counts, as everywhere.
#[derive(Debug, Default)]
pub(crate) struct Pairs {
    pairs: Vec<(Piece, Piece)>,
    made: Vec<u8>,
    /// Numbers of the pairs, sorted by key and then by number; only where there are many.
    order: Vec<usize>,
}

impl Pairs {
    pub(crate) fn clear(&mut self) {
        self.pairs.clear();
        self.made.clear();
    }

    /// Keeps a text that is no part of the row's text.
    pub(crate) fn make(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Piece {
        let start = self.made.len();
        write(&mut self.made);
        Piece { start, end: self.made.len(), is_made: true }
    }

    pub(crate) fn add(&mut self, key: Piece, value: Piece) {
        self.pairs.push((key, value));
    }

    /// Adds a pair whose texts are made.
    pub(crate) fn add_made(&mut self, key: &[u8], value: impl FnOnce(&mut Vec<u8>)) {
        let key = self.make(|out| put(key, out));
        let value = self.make(value);
        self.add(key, value);
    }

    /// The value of a key.
    pub(crate) fn find<'a>(&'a self, text: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
        let (_, value) = self.pairs.iter().find(|(name, _)| name.get(text, &self.made) == key)?;
        Some(value.get(text, &self.made))
    }

    /// Calls `found` with the key and the value of each pair whose key no earlier pair has.
    pub(crate) fn each(
        &mut self,
        text: &[u8],
        mut found: impl FnMut(&[u8], &[u8]) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let Self { pairs, made, order } = self;
        let is_many = pairs.len() > FEW;
        if is_many {
            order.clear();
            order.extend(0..pairs.len());
            let key = |&number: &usize| pairs.get(number).map(|(key, _)| key.get(text, made));
            order.sort_unstable_by(|a, b| key(a).cmp(&key(b)).then(a.cmp(b)));
            order.dedup_by(|a, b| key(a) == key(b));
            order.sort_unstable();
        }
        let mut seen = 0_u64;
        let mut firsts = order.iter().copied().peekable();
        for (number, (key, value)) in pairs.iter().enumerate() {
            let key = key.get(text, made);
            if is_many {
                if firsts.next_if_eq(&number).is_none() {
                    continue;
                }
            } else {
                // Most keys differ from all others in length or in an end, and then nothing is compared.
                let bit = 1 << (trait_of(key) & 63);
                let before = pairs.get(..number).unwrap_or_default();
                if seen & bit != 0 && before.iter().any(|(other, _)| other.get(text, made) == key) {
                    continue;
                }
                seen |= bit;
            }
            found(key, value.get(text, made))?;
        }
        Ok(())
    }

    /// Writes the pairs as members.
    pub(crate) fn write(&mut self, text: &[u8], types: &Types, object: &mut Object<'_>) -> Result<(), Fault> {
        self.each(text, |key, value| {
            write_clean(key, object.out);
            object.out.push(b':');
            match types.get(key) {
                None => write_clean(value, object.out),
                Some((name, wanted)) => write_value(value, Some(*wanted), object.out)
                    .map_err(|wrong| crate::format::wrong_type(name, wrong))?,
            }
            object.out.push(b',');
            Ok(())
        })
    }
}

/// A number that differs for most keys.
fn trait_of(key: &[u8]) -> usize {
    let end = |byte: Option<&u8>| byte.copied().map_or(0, usize::from);
    key.len() * 5 + end(key.first()) * 3 + end(key.last())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(keys: &[String]) -> Vec<String> {
        let mut pairs = Pairs::default();
        for (number, key) in keys.iter().enumerate() {
            pairs.add_made(key.as_bytes(), |out| out.extend_from_slice(number.to_string().as_bytes()));
        }
        let mut found = Vec::new();
        pairs
            .each(b"", |key, value| {
                found.push(String::from_utf8_lossy(&[key, b"=", value].concat()).into_owned());
                Ok(())
            })
            .unwrap();
        found
    }

    #[test]
    fn the_first_of_equal_keys_counts_among_few_and_among_many() {
        for count in [3, 31, 33, 200] {
            let keys: Vec<String> = (0..count).map(|number| format!("k{}", number % 29)).collect();
            let expected: Vec<String> = (0..count.min(29)).map(|number| format!("k{number}={number}")).collect();
            assert_eq!(written(&keys), expected);
        }
    }
}
