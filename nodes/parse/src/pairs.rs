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

/// A key with its value, and where the same key comes again.
#[derive(Clone, Copy, Debug)]
struct Pair {
    key: Piece,
    value: Piece,
    /// An earlier pair has the key.
    is_later: bool,
    /// Number of the next pair with the key.
    next: Option<usize>,
}

/// The pairs of one row, in order.
#[derive(Debug, Default)]
pub(crate) struct Pairs {
    pairs: Vec<Pair>,
    made: Vec<u8>,
    /// Numbers of the pairs, sorted by key and then by number; only where there are many.
    order: Vec<usize>,
}

/// The values of a key, in the order of the row; there is at least one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Values<'a> {
    pairs: &'a [Pair],
    first: Pair,
    text: &'a [u8],
    made: &'a [u8],
}

impl<'a> Values<'a> {
    pub(crate) fn first(self) -> &'a [u8] {
        self.first.value.get(self.text, self.made)
    }

    /// Writes the value, or an array of them if there are several.
    pub(crate) fn write(self, out: &mut Vec<u8>, mut write: impl FnMut(&[u8], &mut Vec<u8>)) {
        let Some(mut next) = self.first.next else { return write(self.first(), out) };
        out.push(b'[');
        write(self.first(), out);
        while let Some(pair) = self.pairs.get(next) {
            out.push(b',');
            write(pair.value.get(self.text, self.made), out);
            let Some(after) = pair.next else { break };
            next = after;
        }
        out.push(b']');
    }
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
        self.pairs.push(Pair { key, value, is_later: false, next: None });
    }

    /// Adds a pair whose texts are made.
    pub(crate) fn add_made(&mut self, key: &[u8], value: impl FnOnce(&mut Vec<u8>)) {
        let key = self.make(|out| put(key, out));
        let value = self.make(value);
        self.add(key, value);
    }

    /// The value of a key; of several, the first.
    pub(crate) fn find<'a>(&'a self, text: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
        let pair = self.pairs.iter().find(|pair| pair.key.get(text, &self.made) == key)?;
        Some(pair.value.get(text, &self.made))
    }

    /// The value of a key that occurs once.
    pub(crate) fn only<'a>(&'a self, text: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
        let mut values = self.pairs.iter().filter(|pair| pair.key.get(text, &self.made) == key);
        let pair = values.next()?;
        values.next().is_none().then(|| pair.value.get(text, &self.made))
    }

    /// Calls `found` with each key and its values, in the order in which the keys come first. Call it once, after the last
    /// pair.
    pub(crate) fn each(
        &mut self,
        text: &[u8],
        mut found: impl FnMut(&[u8], Values<'_>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        self.link(text);
        let Self { pairs, made, .. } = self;
        for first in pairs.iter().filter(|pair| !pair.is_later) {
            found(first.key.get(text, made), Values { pairs, first: *first, text, made })?;
        }
        Ok(())
    }

    /// Finds the pairs with equal keys.
    fn link(&mut self, text: &[u8]) {
        let Self { pairs, made, order } = self;
        if pairs.len() > FEW {
            order.clear();
            order.extend(0..pairs.len());
            let key = |number: usize| pairs.get(number).map(|pair| pair.key.get(text, made));
            order.sort_unstable_by(|&a, &b| key(a).cmp(&key(b)).then(a.cmp(&b)));
            for numbers in order.windows(2) {
                let &[before, number] = numbers else { continue };
                let key = |number: usize| pairs.get(number).map(|pair| pair.key.get(text, made));
                if key(before) == key(number) {
                    join(pairs, before, number);
                }
            }
            return;
        }
        let mut seen = 0_u64;
        for number in 0..pairs.len() {
            let Some((pair, before)) = pairs.get(..=number).and_then(<[_]>::split_last) else { break };
            // Most keys differ from all others in length or in an end, and then nothing is compared.
            let key = pair.key.get(text, made);
            let bit = 1 << (trait_of(key) & 63);
            let is_new = seen & bit == 0;
            seen |= bit;
            if !is_new && let Some(before) = before.iter().rposition(|pair| pair.key.get(text, made) == key) {
                join(pairs, before, number);
            }
        }
    }

    /// Writes the pairs as members. Of equal keys the first counts.
    pub(crate) fn write(&mut self, text: &[u8], types: &Types, object: &mut Object<'_>) -> Result<(), Fault> {
        self.each(text, |key, values| {
            write_clean(key, object.out);
            object.out.push(b':');
            match types.get(key) {
                None => write_clean(values.first(), object.out),
                Some((name, wanted)) => write_value(values.first(), Some(*wanted), object.out)
                    .map_err(|wrong| crate::format::wrong_type(name, wrong))?,
            }
            object.out.push(b',');
            Ok(())
        })
    }

    /// Writes the pairs as members. Equal keys become one with an array of their values.
    pub(crate) fn write_all(&mut self, text: &[u8], object: &mut Object<'_>) -> Result<(), Fault> {
        self.each(text, |key, values| {
            write_clean(key, object.out);
            object.out.push(b':');
            values.write(object.out, write_clean);
            object.out.push(b',');
            Ok(())
        })
    }
}

/// Makes a pair the next one with the key of another one.
fn join(pairs: &mut [Pair], before: usize, number: usize) {
    if let Some(pair) = pairs.get_mut(number) {
        pair.is_later = true;
    }
    if let Some(pair) = pairs.get_mut(before) {
        pair.next = Some(number);
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
            .each(b"", |key, values| {
                let mut written = [key, b"="].concat();
                values.write(&mut written, |value, out| out.extend_from_slice(value));
                found.push(String::from_utf8_lossy(&written).into_owned());
                Ok(())
            })
            .unwrap();
        found
    }

    #[test]
    fn equal_keys_come_together_among_few_and_among_many() {
        for count in [3, 31, 33, 200] {
            let keys: Vec<String> = (0..count).map(|number| format!("k{}", number % 29)).collect();
            let expected: Vec<String> = (0..count.min(29))
                .map(|number| match (number..count).step_by(29).map(|value| value.to_string()).collect::<Vec<_>>() {
                    all if all.len() == 1 => format!("k{number}={number}"),
                    all => format!("k{number}=[{}]", all.join(",")),
                })
                .collect();
            assert_eq!(written(&keys), expected);
        }
    }
}
