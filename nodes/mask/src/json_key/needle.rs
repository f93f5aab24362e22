//! What is searched for to find keys: several keys with the same ending take one search.

use memchr::memchr2_iter;

use super::{Spelling, is_joint};

/// Endings shorter than this are too common for one search to be worth it.
const SHORTEST_ENDING: usize = 5;

/// Letters, from those that are rare in English text, and so mostly in logs, to the common ones.
const FROM_RARE_TO_COMMON: &[u8; 26] = b"zqxjkvbpygwfmucldrhsnioate";

/// A search that finds some of the keys.
pub(super) struct Needle {
    pub(super) search: Search,
    spelling: Spelling,
    /// Indices of the keys.
    keys: Vec<usize>,
}

pub(super) enum Search {
    /// Two neighbouring bytes of the ending that all the keys have, and how many bytes it is from there to its end.
    Pair([u8; 2], usize),
    /// A letter of the key in both cases, and how many bytes of the key follow it.
    Letter([u8; 2], usize),
}

/// Makes as few searches as possible of the keys.
pub(super) fn needles(keys: &[Box<[u8]>], spelling: Spelling) -> Vec<Needle> {
    let mut groups: Vec<(Vec<u8>, Vec<usize>)> = Vec::new();
    let mut needles = Vec::new();
    for (index, key) in keys.iter().enumerate() {
        if let Some(search) = rare_letter(key).filter(|_| spelling != Spelling::Exact) {
            needles.push(Needle { search, spelling, keys: vec![index] });
            continue;
        }
        let shared = |ending: &[u8]| ending.iter().rev().zip(key.iter().rev()).take_while(|(a, b)| a == b).count();
        match groups.iter_mut().find(|(ending, _)| shared(ending) >= SHORTEST_ENDING) {
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
        keys,
    }));
    needles
}

/// How common a byte is: the more, the higher.
fn commonness(byte: u8) -> usize {
    match FROM_RARE_TO_COMMON.iter().position(|&l| l == byte.to_ascii_lowercase()) {
        Some(rank) if byte.is_ascii_uppercase() => rank / 2,
        Some(rank) => rank,
        None => FROM_RARE_TO_COMMON.len() / 2,
    }
}

/// The letter of a key that is rarest, or what it has instead of letters.
fn rare_letter(key: &[u8]) -> Option<Search> {
    let (at, byte) = key.iter().enumerate().min_by_key(|(_, b)| commonness(b.to_ascii_lowercase()))?;
    Some(Search::Letter([byte.to_ascii_lowercase(), byte.to_ascii_uppercase()], key.len() - at))
}

/// The pair of bytes in an ending that is rarest.
fn rare_pair(ending: &[u8]) -> Search {
    let pairs = ending.array_windows::<2>().enumerate();
    match pairs.min_by_key(|(_, [a, b])| commonness(*a) + commonness(*b)) {
        Some((at, pair)) => Search::Pair(*pair, ending.len() - at),
        // One byte; nothing shorter is an ending.
        None => {
            let byte = ending.first().copied().unwrap_or_default();
            Search::Letter([byte, byte], ending.len())
        }
    }
}

impl Needle {
    /// Calls back with start and end of every place where one of the keys stands in the text, in order of their ends,
    /// given the places of the pair.
    pub(super) fn each(&self, text: &[u8], keys: &[Box<[u8]>], pairs: &[usize], mut found: impl FnMut(usize, usize)) {
        let own = || self.keys.iter().filter_map(|&index| keys.get(index));
        let mut ending = |end: usize| {
            for key in own() {
                let Some(start) = end.checked_sub(key.len()) else { continue };
                if self.spelling.is_same(text.get(start..end).unwrap_or_default(), key) {
                    found(start, end);
                }
            }
        };
        match &self.search {
            Search::Pair(_, rest) => pairs.iter().for_each(|at| ending(at + rest)),
            Search::Letter([lower, upper], rest) => {
                let places = memchr2_iter(*lower, *upper, text);
                match own().next().filter(|_| self.spelling == Spelling::Any) {
                    Some(key) => places.filter_map(|at| spelled(text, at, key, *rest)).for_each(|(s, e)| found(s, e)),
                    None => places.for_each(|at| ending(at + rest)),
                }
            }
        }
    }
}

/// Start and end of a key in any spelling, of which the letter at `at` is the one that `rest` bytes are left from.
fn spelled(text: &[u8], at: usize, key: &[u8], rest: usize) -> Option<(usize, usize)> {
    let (before, after) = key.split_at_checked(key.len().checked_sub(rest)?)?;
    let (mut start, mut end) = (at, at);
    for wanted in before.iter().rev() {
        start = start.checked_sub(1 + joints(text.get(..start)?.iter().rev()))?;
        (text.get(start)?.to_ascii_lowercase() == *wanted).then_some(())?;
    }
    for wanted in after {
        end += 1 + if end == at { 0 } else { joints(text.get(end..)?.iter()) };
        (text.get(end - 1)?.to_ascii_lowercase() == *wanted).then_some(())?;
    }
    Some((start, end))
}

/// How many joints stand at the beginning: no more than two count as joints.
fn joints<'a>(bytes: impl Iterator<Item = &'a u8>) -> usize {
    bytes.take(2).take_while(|b| is_joint(**b)).count()
}
