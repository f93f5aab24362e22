//! One pass over a text for everything that the rules look for.
//!
//! Each rule describes what it looks for as a [`Window`]: three adjacent classes of bytes. The pass
//! tests 16 places at a time against all windows: two lookups by the halves of a byte (nibbles)
//! show which of eight buckets of windows allow it, and a place remains if one bucket allows all
//! three bytes. The places that remain are compared with the exact classes. One search per rule
//! took as long as everything else in the node, several times over.
//!
//! A few pairs of bytes are cheaper to compare directly ([`pairs`]).

mod class;
mod pairs;

#[cfg(test)]
mod tests;

use memchr::memchr2_iter;
use wide::bytemuck::cast;
use wide::{u8x16, u16x8};

pub(crate) use class::{Class, Window};

/// Bytes per step.
const STEP: usize = 64;
/// A step and the bytes after it, which the last windows of the step include.
const BLOCK: usize = STEP + 2;
/// Bits of a byte in the nibble tables.
const BUCKETS: usize = 8;
/// At most one place is listed for so many bytes of text, on average.
const BYTES_PER_PLACE: usize = 32;
/// So many places are always listed.
const MIN_LISTED: usize = 64;
/// Windows per pass: bits of a set of windows.
const AT_ONCE: usize = 64;

/// A search for windows.
pub(crate) struct Scan {
    search: Search,
    /// For each window.
    lists: Vec<List>,
}

/// The places of a window.
struct List {
    offset: isize,
    places: Vec<usize>,
    /// Whether there were too many places to list.
    is_full: bool,
}

/// Where to look for something.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Places<'p> {
    listed: &'p [usize],
    /// Whether there are too many places to list.
    is_full: bool,
}

impl<'p> Places<'p> {
    /// The places in order, each with one of these bytes. If there are too many to list, these are
    /// all such places of the text, also where the window does not match.
    pub(crate) fn iter<'t>(self, text: &'t [u8], [one, other]: [u8; 2]) -> impl Iterator<Item = usize> + use<'p, 't> {
        let rest = if self.is_full { text } else { &[] };
        self.listed.iter().copied().chain(memchr2_iter(one, other, rest))
    }
}

enum Search {
    /// Few windows: the pair that each begins with, and what follows it.
    Pairs(Vec<[u8; 2]>, Vec<Class>),
    Nibbles(Vec<Group>),
}

/// Up to 64 windows.
struct Group {
    /// For each byte of a window, the buckets by the low and by the high half of the byte.
    nibbles: [[u8x16; 2]; 3],
    /// For each byte of a window, the set of windows that allow this value.
    exact: Box<[[u64; 256]; 3]>,
    /// The same for a byte after the end of the text.
    beyond: [u64; 3],
}

impl Scan {
    /// Prepares the search for these windows.
    pub(crate) fn new(windows: &[Window]) -> Self {
        let pairs: Option<Vec<[u8; 2]>> = windows.iter().map(Window::pair).collect();
        let search = match pairs.filter(|pairs| pairs.len() <= pairs::AT_ONCE) {
            Some(pairs) => {
                Search::Pairs(pairs, windows.iter().map(|Window { classes: [.., third], .. }| third.clone()).collect())
            }
            None => Search::Nibbles(windows.chunks(AT_ONCE).map(Group::new).collect()),
        };
        let list = |window: &Window| List { offset: window.offset, places: Vec::new(), is_full: false };
        Self { search, lists: windows.iter().map(list).collect() }
    }

    /// Searches a text. Returns the places of each window in order: where it matches, plus its
    /// offset.
    pub(crate) fn find(&mut self, text: &[u8]) -> impl Iterator<Item = Places<'_>> {
        let Self { search, lists } = self;
        for list in lists.iter_mut() {
            list.places.clear();
            list.is_full = false;
        }
        // Text without such a limit could take more memory for its places than for itself.
        let most = MIN_LISTED.max(text.len() / BYTES_PER_PLACE);
        let mut found = |index: usize, at: usize| {
            let Some(List { offset, places, is_full }) = lists.get_mut(index) else { return };
            if *is_full {
                return;
            }
            places.extend(at.checked_add_signed(*offset));
            if places.len() > most {
                places.clear();
                *is_full = true;
            }
        };
        match search {
            Search::Pairs(pairs, thirds) => pairs::find(text, pairs, |index, at| {
                if thirds.get(index).is_some_and(|third| third.allows(text.get(at + 2))) {
                    found(index, at);
                }
            }),
            Search::Nibbles(groups) => {
                for (group, first) in groups.iter().zip((0..).step_by(AT_ONCE)) {
                    group.find(text, |index, at| found(first + index, at));
                }
            }
        }
        self.lists.iter().map(|list| Places { listed: &list.places, is_full: list.is_full })
    }
}

impl Group {
    fn new(windows: &[Window]) -> Self {
        let mut exact = Box::new([[0; 256]; 3]);
        let mut beyond = [0; 3];
        let mut tables = [[[0_u8; 16]; 2]; 3];
        for ((index, window), bucket) in windows.iter().enumerate().zip(class::buckets(windows, BUCKETS)) {
            for (((class, exact), beyond), [low, high]) in
                window.classes.iter().zip(&mut *exact).zip(&mut beyond).zip(&mut tables)
            {
                for byte in class.bytes() {
                    let halves = [(low.get_mut(usize::from(byte & 15))), (high.get_mut(usize::from(byte >> 4)))];
                    halves.into_iter().flatten().for_each(|half| *half |= 1 << bucket);
                    exact.get_mut(usize::from(byte)).into_iter().for_each(|set| *set |= 1 << index);
                }
                *beyond |= u64::from(class.is_any()) << index;
            }
        }
        Self { nibbles: tables.map(|table| table.map(u8x16::from)), exact, beyond }
    }

    fn find(&self, text: &[u8], mut found: impl FnMut(usize, usize)) {
        let mut at = next_block(text, 0, &self.nibbles);
        while let Some(block) = text.get(at..).and_then(|rest| rest.first_chunk::<BLOCK>()) {
            let mut mask = places(block, &self.nibbles);
            while mask != 0 {
                self.compare(text, at + mask.trailing_zeros() as usize, &mut found);
                mask &= mask - 1;
            }
            at = next_block(text, at + STEP, &self.nibbles);
        }
        (at..text.len()).for_each(|at| self.compare(text, at, &mut found));
    }

    /// Calls back with the windows that match here.
    #[inline(always)]
    fn compare(&self, text: &[u8], at: usize, found: &mut impl FnMut(usize, usize)) {
        let mut set = u64::MAX;
        for ((at, exact), beyond) in (at..).zip(&*self.exact).zip(self.beyond) {
            set &= text.get(at).map_or(beyond, |byte| exact.get(usize::from(*byte)).copied().unwrap_or_default());
        }
        while set != 0 {
            found(set.trailing_zeros() as usize, at);
            set &= set - 1;
        }
    }
}

/// The first block from a place on that contains a candidate, or the rest of the text.
///
/// This loop is a separate function: in a larger one, the compiler of the sandbox keeps its vectors
/// on the stack.
#[inline(never)]
fn next_block(text: &[u8], mut at: usize, nibbles: &[[u8x16; 2]; 3]) -> usize {
    let nibbles = *nibbles;
    while let Some(block) = text.get(at..).and_then(|rest| rest.first_chunk::<BLOCK>()) {
        let mut any = u8x16::ZERO;
        for lane in &lanes(block) {
            any |= candidates(lane, &nibbles);
        }
        if any.simd_eq(u8x16::ZERO).to_bitmask() != 0xffff {
            break;
        }
        at += STEP;
    }
    at
}

/// The candidates of a block, one bit for each. A separate function for the same reason.
#[inline(never)]
fn places(block: &[u8; BLOCK], nibbles: &[[u8x16; 2]; 3]) -> u64 {
    let nibbles = *nibbles;
    let none = lanes(block)
        .iter()
        .rev()
        .fold(0, |none, lane| none << 16 | u64::from(candidates(lane, &nibbles).simd_eq(u8x16::ZERO).to_bitmask()));
    !none
}

/// Four times sixteen bytes, each with the sixteen bytes one and two places later.
#[inline(always)]
fn lanes(block: &[u8; BLOCK]) -> [[u8x16; 3]; 4] {
    [lane::<0>(block), lane::<16>(block), lane::<32>(block), lane::<48>(block)]
}

#[inline(always)]
fn lane<const START: usize>(block: &[u8; BLOCK]) -> [u8x16; 3] {
    let load = |start: usize| block.get(start..).and_then(|rest| rest.first_chunk::<16>()).copied().unwrap_or_default();
    [u8x16::from(load(START)), u8x16::from(load(START + 1)), u8x16::from(load(START + 2))]
}

/// For each place, the buckets that allow its bytes.
#[inline(always)]
fn candidates([first, second, third]: &[u8x16; 3], [a, b, c]: &[[u8x16; 2]; 3]) -> u8x16 {
    allowed(*first, a) & allowed(*second, b) & allowed(*third, c)
}

/// For each byte, the buckets that allow both of its halves.
#[inline(always)]
fn allowed(bytes: u8x16, [low, high]: &[u8x16; 2]) -> u8x16 {
    let half = u8x16::splat(15);
    let upper: u8x16 = cast(cast::<u8x16, u16x8>(bytes) >> 4_u32);
    low.shuffle_zeroing(bytes & half) & high.shuffle_zeroing(upper & half)
}
