//! The searches that find keys: one search covers several keys with the same ending.

use super::{Spelling, is_joint};
use crate::scan::{Class, Places, Window};

/// What can follow a letter of a key in any spelling, other than the next letter: the first byte of
/// separators, in the sense of [`joints_after`].
const AFTER_LETTER: &[u8] = b"_- \x1b\\%";
/// The last bytes of separators, in the sense of [`joint_before`].
const BEFORE_LETTER: &[u8] = b"_- m0dDfF";
/// The first bytes of a percent escape.
const BEGINS_ESCAPE: &[u8] = b"%";
/// The last bytes of a percent escape.
const ENDS_ESCAPE: &[u8] = b"0123456789abcdefABCDEF";

/// Shorter endings are too common for one search to be faster.
const MIN_ENDING: usize = 5;

/// The longest colour sequence, in any spelling.
const MAX_COLOUR: usize = 40;

/// Maximum number of adjacent separators.
const JOINTS: usize = 2;

/// Maximum number of times that punctuation in a key can be percent-encoded.
const MAX_ESCAPE: usize = 4;

/// Letters from the rarest to the most common in English text, and so in most logs.
const FROM_RARE_TO_COMMON: &[u8; 26] = b"zqxjkvbpygwfmucldrhsnioate";

/// A search that finds some of the keys.
pub(super) struct Needle {
    search: Search,
    spelling: Spelling,
    /// Indices of the keys.
    keys: Vec<usize>,
    /// Whether the keys contain punctuation, which can be percent-encoded.
    is_encodable: bool,
}

#[derive(PartialEq, Eq)]
enum Search {
    /// Two adjacent bytes of the common ending of all keys, and the number of bytes from there to
    /// its end.
    Pair([u8; 2], usize),
    /// A letter of the key in both cases, and the number of bytes of the key after it.
    Letter([u8; 2], usize),
}

/// Groups the keys into as few searches as possible.
pub(super) fn needles(all: &[Box<[u8]>], spelling: Spelling) -> Vec<Needle> {
    let mut groups: Vec<(Vec<u8>, Vec<usize>)> = Vec::new();
    let mut needles: Vec<Needle> = Vec::new();
    for (index, key) in all.iter().enumerate() {
        if let Some(search) = rare_letter(key).filter(|_| spelling != Spelling::Exact) {
            let is_encodable = key.iter().any(|b| is_punctuation(*b));
            // Keys in any spelling are compared around the letter, so one pass serves all keys that
            // share it.
            let is_same = |needle: &&mut Needle| spelling == Spelling::Any && needle.search == search;
            match needles.iter_mut().find(is_same) {
                Some(needle) => needle.keys.push(index),
                None => needles.push(Needle { search, spelling, keys: vec![index], is_encodable }),
            }
            continue;
        }
        let shared = |ending: &[u8]| ending.iter().rev().zip(key.iter().rev()).take_while(|(a, b)| a == b).count();
        match groups.iter_mut().find(|(ending, _)| shared(ending) >= MIN_ENDING) {
            Some((ending, members)) => {
                ending.drain(..ending.len() - shared(ending));
                members.push(index);
            }
            None => groups.push((key.to_vec(), vec![index])),
        }
    }
    needles.extend(groups.into_iter().map(|(ending, keys)| Needle {
        search: rare_pair(&ending),
        spelling: Spelling::Exact,
        is_encodable: keys.iter().filter_map(|&index| all.get(index)).any(|key| key.iter().any(|b| is_punctuation(*b))),
        keys,
    }));
    needles
}

/// How common a byte is; higher is more common.
fn commonness(byte: u8) -> usize {
    match FROM_RARE_TO_COMMON.iter().position(|&l| l == byte.to_ascii_lowercase()) {
        Some(rank) if byte.is_ascii_uppercase() => rank / 2,
        Some(rank) => rank,
        None => FROM_RARE_TO_COMMON.len() / 2,
    }
}

/// The rarest letter of a key, or a replacement for it in keys without letters.
fn rare_letter(key: &[u8]) -> Option<Search> {
    let rank = |b: u8| (is_punctuation(b), commonness(b.to_ascii_lowercase()));
    let (at, byte) = key.iter().enumerate().min_by_key(|(_, b)| rank(**b))?;
    Some(Search::Letter([byte.to_ascii_lowercase(), byte.to_ascii_uppercase()], key.len() - at))
}

/// The rarest pair of bytes in an ending.
fn rare_pair(ending: &[u8]) -> Search {
    let pairs = ending.array_windows::<2>().enumerate();
    // Punctuation can be an escape.
    let rank = |[a, b]: &[u8; 2]| (is_punctuation(*a) || is_punctuation(*b), commonness(*a) + commonness(*b));
    let letters = ending.iter().enumerate().filter(|(_, b)| !is_punctuation(**b));
    let is_broken = |pair: &[u8; 2]| pair.iter().any(|b| is_punctuation(*b));
    match pairs.min_by_key(|(_, pair)| rank(pair)) {
        Some((at, pair)) if !is_broken(pair) => Search::Pair(*pair, ending.len() - at),
        pair => match (letters.min_by_key(|(_, b)| commonness(**b)), pair) {
            (Some((at, &byte)), _) => Search::Letter([byte, byte], ending.len() - at),
            (None, Some((at, pair))) => Search::Pair(*pair, ending.len() - at),
            // One byte; endings are never shorter.
            (None, None) => {
                let byte = ending.first().copied().unwrap_or_default();
                Search::Letter([byte, byte], ending.len())
            }
        },
    }
}

impl Needle {
    /// Describes the surroundings of the pair or letter, whose place it reports.
    pub(super) fn window(&self, all: &[Box<[u8]>]) -> Window {
        match &self.search {
            Search::Pair([first, second], rest) => {
                // The ending, and so the byte after the pair, is the same in all keys.
                let third =
                    self.beside(all, [AFTER_LETTER, BEGINS_ESCAPE], |key| key.get(key.len().checked_sub(*rest)? + 2));
                Window::new([Class::of(&[*first]), Class::of(&[*second]), third], 0)
            }
            Search::Letter(letter, rest) => {
                let at = |key: &[u8]| key.len().checked_sub(*rest);
                let letter = Class::of(letter);
                let after = self.beside(all, [AFTER_LETTER, BEGINS_ESCAPE], |key| key.get(at(key)? + 1));
                if self.keys(all).any(|key| key.len() == *rest) {
                    return Window::new([letter, after, Class::ANY], 0);
                }
                let before = self.beside(all, [BEFORE_LETTER, ENDS_ESCAPE], |key| key.get(at(key)?.checked_sub(1)?));
                Window::new([before, letter, after], 1)
            }
        }
    }

    /// The bytes that a text can contain beside the pair or letter, given the byte of each key.
    /// It can be one of the bytes of separators instead in any spelling, or of escapes.
    fn beside<'k>(
        &self,
        all: &'k [Box<[u8]>],
        [joints, escape]: [&[u8]; 2],
        byte_of: impl Fn(&'k [u8]) -> Option<&'k u8>,
    ) -> Class {
        let classes = self.keys(all).map(|key| match byte_of(key) {
            None => Class::ANY,
            Some(byte) => match self.spelling {
                Spelling::Any => Class::letter(*byte).or(&Class::of(joints)),
                _ if is_punctuation(*byte) => Class::of(&[*byte]).or(&Class::of(escape)),
                Spelling::Exact => Class::of(&[*byte]),
                Spelling::IgnoreCase => Class::letter(*byte),
            },
        });
        classes.reduce(|one, other| one.or(&other)).unwrap_or(Class::ANY)
    }

    fn keys<'k>(&self, all: &'k [Box<[u8]>]) -> impl Iterator<Item = &'k [u8]> {
        self.keys.iter().filter_map(|&index| all.get(index)).map(|key| &**key)
    }

    /// Calls back with start and end of every occurrence of a key, in order of their ends, given
    /// the places of the pair or letter.
    pub(super) fn each(
        &self,
        text: &[u8],
        keys: &[Box<[u8]>],
        places: Places<'_>,
        mut found: impl FnMut(usize, usize),
    ) {
        let (bytes, rest) = match self.search {
            Search::Pair([first, _], rest) => ([first; 2], rest),
            Search::Letter(letter, rest) => (letter, rest),
        };
        self.each_at(text, keys, rest, places.iter(text, bytes), &mut found);
    }

    fn each_at(
        &self,
        text: &[u8],
        keys: &[Box<[u8]>],
        rest: usize,
        places: impl Iterator<Item = usize>,
        found: &mut impl FnMut(usize, usize),
    ) {
        for at in places {
            if self.spelling == Spelling::Any {
                self.keys(keys).filter_map(|key| spelled(text, at, key, rest)).for_each(|(s, e)| found(s, e));
                continue;
            }
            let end = at + rest;
            for key in self.keys(keys) {
                let start = end.checked_sub(key.len());
                match start.filter(|start| self.spelling.is_same(text.get(*start..end).unwrap_or_default(), key)) {
                    Some(start) => found(start, end),
                    None if self.is_encodable => {
                        encoded(text, at, key, rest, self.spelling).into_iter().for_each(|(s, e)| found(s, e));
                    }
                    None => {}
                }
            }
        }
    }
}

/// Whether a byte of a key may be percent-encoded.
fn is_punctuation(byte: u8) -> bool {
    byte.is_ascii() && !byte.is_ascii_alphanumeric()
}

/// Start and end of a key with percent-encoded punctuation. The byte at `at` is followed by `rest`
/// more bytes of the key.
fn encoded(text: &[u8], at: usize, key: &[u8], rest: usize, spelling: Spelling) -> Option<(usize, usize)> {
    let (before, after) = key.split_at_checked(key.len().checked_sub(rest)?)?;
    let is_same = |found: u8, wanted: u8| spelling.is_same(&[found], &[wanted]);
    let (mut start, mut end) = (at, at);
    for &wanted in after {
        let found = *text.get(end)?;
        end += if is_same(found, wanted) {
            1
        } else {
            escape(text, end).filter(|(byte, _)| *byte == wanted && is_punctuation(wanted))?.1
        };
    }
    for &wanted in before.iter().rev() {
        start = start.checked_sub(1)?;
        if !is_same(*text.get(start)?, wanted) {
            start = escape_before(text, start + 1).filter(|(byte, _)| *byte == wanted && is_punctuation(wanted))?.1;
        }
    }
    Some((start, end))
}

/// The percent escape that begins here: its byte and its length.
fn escape(text: &[u8], at: usize) -> Option<(u8, usize)> {
    let rest = text.get(at..)?.strip_prefix(b"%")?;
    let again = 2 * rest.as_chunks::<2>().0.iter().take(MAX_ESCAPE).take_while(|digits| *digits == b"25").count();
    let digits = str::from_utf8(rest.get(again..again + 2)?).ok()?;
    Some((u8::from_str_radix(digits, 16).ok()?, 3 + again))
}

/// The percent escape that ends here: its byte and its start.
fn escape_before(text: &[u8], end: usize) -> Option<(u8, usize)> {
    let mut start = end.checked_sub(2)?;
    for _ in 0..=MAX_ESCAPE {
        if text.get(start.checked_sub(1)?) == Some(&b'%') {
            return escape(text, start - 1).map(|(byte, _)| (byte, start - 1));
        }
        start = start.checked_sub(2).filter(|again| text.get(*again..start) == Some(b"25"))?;
    }
    None
}

/// Start and end of a key in any spelling. The letter at `at` is followed by `rest` more bytes of
/// the key.
fn spelled(text: &[u8], at: usize, key: &[u8], rest: usize) -> Option<(usize, usize)> {
    let (before, after) = key.split_at_checked(key.len().checked_sub(rest)?)?;
    let (mut start, mut end) = (at, at);
    for wanted in before.iter().rev() {
        let is_next = |start: usize| text.get(start).is_some_and(|b| b.to_ascii_lowercase() == *wanted);
        start = match start.checked_sub(1)? {
            // The digit of an escape is not a letter of a key.
            next if is_next(next) && joint_before(text, start).is_none() => next,
            _ => joints_before(text, start).checked_sub(1).filter(|next| is_next(*next))?,
        };
    }
    for wanted in after {
        let is_next = |end: usize| text.get(end).is_some_and(|b| b.to_ascii_lowercase() == *wanted);
        end = if end == at || is_next(end) { end } else { joints_after(text, end) };
        if !is_next(end) {
            return None;
        }
        end += 1;
    }
    Some((start, end))
}

/// Where the separators that begin here end; only a few count as separators.
fn joints_after(text: &[u8], mut at: usize) -> usize {
    for _ in 0..JOINTS {
        let end = match text.get(at) {
            Some(byte) if is_joint(*byte) => Some(at + 1),
            Some(0x1b | b'\\') => colour_after(text, at),
            Some(b'%') => escape(text, at).filter(|(byte, _)| is_joint(*byte)).map(|(_, length)| at + length),
            _ => None,
        };
        let Some(end) = end else { break };
        at = end;
    }
    at
}

/// Where the separators that end here begin; only a few count as separators.
fn joints_before(text: &[u8], mut at: usize) -> usize {
    for _ in 0..JOINTS {
        let Some(start) = joint_before(text, at) else { break };
        at = start;
    }
    at
}

/// Where the colour sequence that begins here ends. It begins with the escape character or its
/// code.
pub(super) fn colour_after(text: &[u8], at: usize) -> Option<usize> {
    if !matches!(text.get(at)?, 0x1b | b'\\') {
        return None;
    }
    let window = text.get(at..text.len().min(at + MAX_COLOUR))?;
    let bracket = memchr::memchr(b'[', window)?;
    let is_escape = ends_with_escape(window.get(..bracket)?) == Some(0);
    let numbers = window.get(bracket + 1..)?.iter().take_while(|b| b.is_ascii_digit() || **b == b';').count();
    let end = bracket + 1 + numbers;
    (is_escape && window.get(end) == Some(&b'm')).then_some(at + end + 1)
}

/// Where the colour sequence that ends here begins.
pub(super) fn colour_before(text: &[u8], at: usize) -> Option<usize> {
    let before = text.get(at.saturating_sub(MAX_COLOUR)..at)?.strip_suffix(b"m")?;
    let numbers = before.iter().rev().take_while(|b| b.is_ascii_digit() || **b == b';').count();
    let before = before.get(..before.len() - numbers)?.strip_suffix(b"[")?;
    ends_with_escape(before).map(|start| at - 2 - numbers - before.len() + start)
}

/// Where the escape character at the end of a text begins, in any spelling.
fn ends_with_escape(text: &[u8]) -> Option<usize> {
    let spellings = [&b"\x1b"[..], b"u001b", b"u001B", b"x1b", b"x1B", b"033", b"e"];
    let (index, rest) =
        spellings.iter().enumerate().find_map(|(index, spelled)| Some((index, text.strip_suffix(*spelled)?)))?;
    let backslashes = rest.iter().rev().take_while(|b| **b == b'\\').count();
    match index {
        0 => Some(rest.len()),
        _ => (backslashes > 0).then(|| rest.len() - backslashes),
    }
}

/// Where the separator that ends here begins.
fn joint_before(text: &[u8], at: usize) -> Option<usize> {
    match text.get(at.checked_sub(1)?)? {
        b'm' => colour_before(text, at),
        byte if is_joint(*byte) => at.checked_sub(1),
        // `%20`, `%2D`, `%5F`.
        b'0' | b'd' | b'D' | b'f' | b'F' => {
            escape_before(text, at).filter(|(byte, _)| is_joint(*byte)).map(|(_, start)| start)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::Scan;
    use proptest::prelude::*;

    /// The keys that a search finds if it looks at every place of its pair or letter.
    fn slow(needle: &Needle, text: &[u8], keys: &[Box<[u8]>]) -> Vec<(usize, usize)> {
        let is_place = |at: &usize| match &needle.search {
            Search::Pair(pair, _) => text[*at..].starts_with(pair),
            Search::Letter(letter, _) => letter.contains(&text[*at]),
        };
        let places: Vec<usize> = (0..text.len()).filter(is_place).collect();
        let mut found = Vec::new();
        let (Search::Pair(_, rest) | Search::Letter(_, rest)) = needle.search;
        needle.each_at(text, keys, rest, places.into_iter(), &mut |start, end| found.push((start, end)));
        found
    }

    proptest! {
        /// The window of a needle excludes no place where it finds a key.
        #[test]
        fn windows_find_the_same_keys(
            pieces in proptest::collection::vec(proptest::sample::select(vec![
                "acces", "s", "Key", "key", "K", "EY", "k", "e", "y", "id", "ID", "x", "z", "X-Amz", "Amz", "-", "_", " ", "%20",
                "%2D", "%252d", "%5F", "\x1b[31m", "\\u001b[0m", "\\e[m", "\\", "\"", ":", "m", "0", "d", "F", "aa", "aab", "/", "%2F",
            ]), 0..12),
            times in proptest::sample::select(vec![1_usize, 1, 80]),
            spelling in proptest::sample::select(vec![Spelling::Exact, Spelling::IgnoreCase, Spelling::Any]),
        ) {
            let keys = ["accessKey", "key", "keyId", "X-Amz", "x", "aab", "kK", "a/key", "md", "yk", "//", "key_", "-x"];
            let keys: Vec<Box<[u8]>> = keys.iter().map(|key| spelling.of(key.as_bytes())).collect();
            // Repeated, some windows match too often to list their places.
            let text = pieces.concat().repeat(times).into_bytes();
            let needles = needles(&keys, spelling);
            let windows: Vec<Window> = needles.iter().map(|needle| needle.window(&keys)).collect();
            let mut scan = Scan::new(&windows);
            for (needle, places) in needles.iter().zip(scan.find(&text)) {
                let mut found = Vec::new();
                needle.each(&text, &keys, places, |start, end| found.push((start, end)));
                prop_assert_eq!(found, slow(needle, &text, &keys));
            }
        }
    }
}
