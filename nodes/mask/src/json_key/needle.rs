//! What is searched for to find keys: several keys with the same ending take one search.

use memchr::memchr2_iter;
use memchr::memmem::{Finder, FinderBuilder};

/// Endings shorter than this are too common for one search to be worth it.
const SHORTEST_ENDING: usize = 5;

/// A search that finds some of the keys.
pub(super) struct Needle {
    search: Search,
    /// Indices of the keys.
    keys: Vec<usize>,
}

enum Search {
    /// The ending that all the keys have.
    Ending(Box<Finder<'static>>),
    /// A letter of the key in both cases, and how many bytes of the key follow it.
    Letter([u8; 2], usize),
}

/// Makes as few searches as possible of the keys.
pub(super) fn needles(keys: &[Box<[u8]>], ignore_case: bool) -> Vec<Needle> {
    let mut groups: Vec<(Vec<u8>, Vec<usize>)> = Vec::new();
    let mut needles = Vec::new();
    for (index, key) in keys.iter().enumerate() {
        if let Some(search) = rare_letter(key).filter(|_| ignore_case) {
            needles.push(Needle { search, keys: vec![index] });
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
    needles.extend(groups.into_iter().map(|(ending, keys)| {
        let search = Search::Ending(Box::new(FinderBuilder::new().build_forward(&ending).into_owned()));
        Needle { search, keys }
    }));
    needles
}

/// The letter of a key that is rarest in English text, and so mostly in logs.
fn rare_letter(key: &[u8]) -> Option<Search> {
    const FROM_RARE_TO_COMMON: &[u8; 26] = b"zqxjkvbpygwfmucldrhsnioate";
    let rank = |byte: u8| FROM_RARE_TO_COMMON.iter().position(|&l| l == byte.to_ascii_lowercase());
    let (at, byte) = key.iter().enumerate().filter(|(_, b)| b.is_ascii_alphabetic()).min_by_key(|(_, b)| rank(**b))?;
    Some(Search::Letter([byte.to_ascii_lowercase(), byte.to_ascii_uppercase()], key.len() - at))
}

impl Needle {
    /// Calls back with start and end of every place where one of the keys stands in the text, in order of their ends.
    pub(super) fn each(&self, text: &[u8], keys: &[Box<[u8]>], mut found: impl FnMut(usize, usize)) {
        let mut keys = |end: usize, ignore_case: bool| {
            for key in self.keys.iter().filter_map(|&index| keys.get(index)) {
                let Some(start) = end.checked_sub(key.len()) else { continue };
                let place = text.get(start..end).unwrap_or_default();
                if place == &**key || (ignore_case && place.eq_ignore_ascii_case(key)) {
                    found(start, end);
                }
            }
        };
        match &self.search {
            Search::Ending(finder) => {
                let length = finder.needle().len();
                let mut from = 0;
                // Not `find_iter`: an ending may overlap itself.
                while let Some(at) = text.get(from..).and_then(|rest| finder.find(rest)) {
                    keys(from + at + length, false);
                    from += at + 1;
                }
            }
            Search::Letter([lower, upper], rest) => {
                memchr2_iter(*lower, *upper, text).for_each(|at| keys(at + rest, true));
            }
        }
    }
}
