//! Checks a text in blocks of 64 bytes, without a branch per token.
//!
//! JSON is valid if each token may follow the one before it, keys are where they must be, and
//! brackets match. Which token may follow depends on four cases only: a key, a value, a colon, or a
//! comma or the end of the container. So each rule is a mask: the places after tokens of one kind,
//! moved over white space by the carry of an addition. Only brackets, numbers, words and rare
//! escapes are visited one by one. Masks of quotes and backslashes find strings, as in stage 1 of
//! simdjson; masks for the grammar replace its stage 2.

use super::nest::Nest;
use crate::block::{BLOCK, Block, Strings};
use crate::classes::{Classes, Classify, Work};
use crate::scan::{literal, number, white};
use crate::text::escape_at;

/// Returns whether `text`, which begins with a bracket, is exactly one array or object.
pub(super) fn valid(text: &[u8], max_depth: usize) -> bool {
    crate::classes::dispatch(Judge { text, max_depth }).is_some()
}

/// Runs [`valid`] with each instruction set that this processor has.
#[cfg(test)]
pub(super) fn valid_in_every_way(text: &[u8], max_depth: usize) -> Vec<bool> {
    crate::classes::in_every_way(|| Judge { text, max_depth }).into_iter().map(|valid| valid.is_some()).collect()
}

struct Judge<'a> {
    text: &'a [u8],
    max_depth: usize,
}

impl Work for Judge<'_> {
    /// `None` if the text is invalid.
    type Answer = Option<()>;

    #[inline(always)]
    fn run(self, classify: impl Classify) -> Option<()> {
        let Self { text, max_depth } = self;
        let mut state = State::new(max_depth);
        let (blocks, rest) = text.as_chunks::<BLOCK>();
        let mut at = 0;
        for block in blocks {
            state.block(text, at, block, classify(block))?;
            at += BLOCK;
        }
        if !rest.is_empty() {
            let mut block = [b' '; BLOCK];
            block.get_mut(..rest.len())?.copy_from_slice(rest);
            state.block(text, at, &block, classify(&block))?;
        }
        // The container of an unclosed string is still open, so the depth covers strings too.
        let is_complete = state.nest.depth == 0 && (state.not_ascii == 0 || std::str::from_utf8(text).is_ok());
        is_complete.then_some(())
    }
}

/// State that a block inherits from the blocks before it.
#[derive(Clone)]
pub(super) struct State {
    pub(super) nest: Nest,
    strings: Strings,
    /// 1 if the block begins inside a key.
    in_key: u64,
    /// 1 if the block begins inside a number or a word.
    in_scalar: u64,
    /// Escapes before this offset are already checked.
    escapes_to: usize,
    pub(super) not_ascii: u64,
    /// After an opening bracket or a comma: a key or an element follows, or a closing bracket.
    begin: Behind,
    /// After a key: a colon follows.
    key: Behind,
    /// After a colon: a value follows.
    colon: Behind,
    /// After an opening bracket or a value: a closing bracket follows, or, after a value, a comma.
    end: Behind,
}

/// 1 if the block begins after such a token, with only white space between.
#[derive(Clone, Copy)]
struct Behind(u64);

impl Behind {
    /// Returns the places after tokens that end at the bits of `last` or before those of `next`,
    /// with white space skipped.
    #[inline(always)]
    fn of(&mut self, last: u64, next: u64, white: u64) -> u64 {
        let next = last << 1 | next | self.0;
        // Adding a bit to the first byte of a run of white space carries it to the place after the
        // run.
        let (passed, over) = white.overflowing_add(next & white);
        self.0 = last >> 63 | u64::from(over);
        (next | passed) & !white
    }
}

/// The tokens of a block. For strings: both quotes, and the bytes before the closing quotes. For
/// numbers and words: the first bytes, and the places after them.
struct Tokens {
    inside: u64,
    quotes: u64,
    open: u64,
    close: u64,
    colons: u64,
    commas: u64,
    scalar_starts: u64,
    scalar_ends: u64,
}

impl State {
    pub(super) fn new(max_depth: usize) -> Self {
        Self {
            nest: Nest::new(max_depth),
            strings: Strings::default(),
            in_key: 0,
            in_scalar: 0,
            escapes_to: 0,
            not_ascii: 0,
            begin: Behind(0),
            key: Behind(0),
            // The whole text is a value, as if a colon were before it.
            colon: Behind(1),
            end: Behind(0),
        }
    }

    /// The same state for a check that goes on from here.
    pub(super) fn fork(&self) -> Self {
        Self { nest: self.nest.fork(), ..*self }
    }

    /// Checks the block at `at`; returns `None` if it is invalid.
    #[inline(always)]
    pub(super) fn block(&mut self, text: &[u8], at: usize, block: &[u8; BLOCK], classes: Classes) -> Option<()> {
        self.not_ascii |= classes.not_ascii;
        let escaped = self.strings.escaped(classes.backslashes);
        let quotes = classes.quotes & !escaped;
        let inside = self.strings.inside_of(quotes);
        let outside = !inside;
        if escaped != 0 {
            self.escapes(text, at, escaped & inside & !(classes.backslashes | classes.quotes))?;
        }
        let white = classes.low & outside;
        let control = classes.low & !classes.space;
        // Strings must not contain control characters; outside of strings only white space may be
        // among them.
        if control != 0 && control & !(Block::load(block).white() & outside) != 0 {
            return None;
        }
        let (open, close) = (classes.open & outside, classes.close & outside);
        let (colons, commas) = (classes.colons & outside, classes.commas & outside);
        let scalars = !(inside | quotes | colons | commas | open | close | white);
        let before_is_scalar = scalars << 1 | self.in_scalar;
        self.in_scalar = scalars >> 63;
        let scalar_starts = scalars & !before_is_scalar;
        Self::scalars(text, at, scalar_starts)?;
        let in_object = self.brackets(text, at, open, close)?;
        let tokens = Tokens {
            inside,
            quotes,
            open,
            close,
            colons,
            commas,
            scalar_starts,
            scalar_ends: before_is_scalar & !scalars,
        };
        // Compact text has no white space. Skipping it would cost a tenth of the speed.
        if white == 0 { self.grammar(&tokens, in_object, 0) } else { self.grammar(&tokens, in_object, white) }
    }

    /// If the outermost container closes in this block, returns how many bytes of the block belong
    /// to the document.
    #[inline(always)]
    pub(super) fn closes_in(&self, classes: &Classes) -> Option<usize> {
        let mut depth = self.nest.depth;
        if (classes.close.count_ones() as usize) < depth {
            return None;
        }
        let mut strings = self.strings;
        let escaped = strings.escaped(classes.backslashes);
        let outside = !strings.inside_of(classes.quotes & !escaped);
        let (mut open, mut close) = (classes.open & outside, classes.close & outside);
        while close != 0 {
            let lowest = close & close.wrapping_neg();
            let before = open & (lowest - 1);
            depth += before.count_ones() as usize;
            if depth <= 1 {
                return Some(lowest.trailing_zeros() as usize + 1);
            }
            depth -= 1;
            open ^= before;
            close ^= lowest;
        }
        None
    }

    /// Checks the order of tokens.
    #[inline(always)]
    fn grammar(&mut self, tokens: &Tokens, in_object: u64, white: u64) -> Option<()> {
        let &Tokens { inside, quotes, open, close, colons, commas, scalar_starts, scalar_ends } = tokens;
        let outside = !inside;
        let begin = self.begin.of(open | commas, 0, white);
        let value = self.colon.of(colons, 0, white) | begin & !in_object;
        let (string_starts, string_ends) = (quotes & inside, quotes & outside);
        // Adding a bit to the first byte of a string carries it to the closing quote.
        let keys = string_starts & begin & in_object;
        let (key_ends, over) = inside.overflowing_add(keys | self.in_key);
        self.in_key = u64::from(over);
        let key_ends = key_ends & outside;
        let colon = self.key.of(key_ends, 0, white);
        let end = self.end.of(string_ends & !key_ends | close | open, scalar_ends, white);

        let wrong = string_starts & !(begin | value)
            | (scalar_starts | open) & !value
            | colons & !colon
            | commas & (begin | !end)
            | close & !end;
        (wrong == 0).then_some(())
    }

    /// Checks escapes other than those of quotes and backslashes; `places` are the bytes after
    /// their backslashes.
    #[inline(always)]
    fn escapes(&mut self, text: &[u8], at: usize, mut places: u64) -> Option<()> {
        while places != 0 {
            let place = at + places.trailing_zeros() as usize;
            // The second half of a surrogate pair was checked with the first.
            if place >= self.escapes_to {
                self.escapes_to = escape_at(text, place - 1).ok()?.1;
            }
            places &= places - 1;
        }
        Some(())
    }

    /// Opens and closes containers. Returns the bytes whose innermost container is an object.
    #[inline(always)]
    fn brackets(&mut self, text: &[u8], at: usize, open: u64, close: u64) -> Option<u64> {
        let mut in_object = self.nest.in_object_mask();
        let mut both = open | close;
        while both != 0 {
            let place = both.trailing_zeros();
            let byte = text.get(at + place as usize)?;
            if open >> place & 1 == 1 {
                self.nest.push(*byte == b'{', at + place as usize).ok()?;
            } else {
                if self.nest.depth == 0 || self.nest.in_object() != (*byte == b'}') {
                    return None;
                }
                let after = self.nest.pop(at + place as usize);
                if self.nest.depth == 0 && white(text, after) != text.len() {
                    return None;
                }
            }
            let upto = both ^ both.wrapping_sub(1);
            in_object = in_object & upto | self.nest.in_object_mask() & !upto;
            both &= both - 1;
        }
        Some(in_object)
    }

    /// Checks numbers and words.
    #[inline(always)]
    fn scalars(text: &[u8], at: usize, mut starts: u64) -> Option<()> {
        while starts != 0 {
            let start = at + starts.trailing_zeros() as usize;
            let end = match text.get(start)? {
                b'-' | b'0'..=b'9' => number(text, start),
                _ => literal(text, start),
            };
            if !matches!(text.get(end.ok()?), None | Some(b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t')) {
                return None;
            }
            starts &= starts - 1;
        }
        Some(())
    }
}
