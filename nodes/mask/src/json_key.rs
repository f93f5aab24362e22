//! Finds the values of JSON keys in any text: complete documents, records, log lines that contain
//! JSON, truncated documents; compact or pretty; escaped in nested strings to any depth; written
//! with `\u` escapes.
//!
//! Nothing is parsed. The search looks for keys in the whole column with SIMD, and reads the text
//! as JSON only around a match. The number of backslashes before a quote shows how often the text
//! was escaped ([`raw`]). The same pass finds suspicious `\u` escapes, which raw reading cannot
//! handle; around those, the text is decoded ([`decoded`]). Both readers give the same tokens to
//! the same grammar ([`value`]).
//!
//! A key name that is not a key of JSON can belong to another notation, which [`tolerant`] reads.
//!
//! # Invariants
//!
//! - A value is masked if any reader that decodes the text often enough would find it under the
//!   key.
//! - A value without an end is masked up to the end of the enclosing string, or of the row.
//! - The work is linear in the text, for any text: a masked value is not read again for the same
//!   rule, and the decoder visits a place at most twice.

mod decoded;
mod needle;
pub(crate) mod quotes;
mod raw;
mod reader;
mod suspect;
mod tolerant;
mod unit;
mod value;

#[cfg(test)]
mod tests;

use decoded::{DecodedReader, outside_escapes};
use needle::Needle;
use quotes::{backslashes_after, backslashes_before, depth_of, length_of};
use raw::RawReader;
use reader::{Reader, What};
use suspect::Suspects;
use tolerant::Bounds;
use value::{After, Found, after_key};

use crate::column::{Rows, Walk};
use crate::scan::{Class, Places, Window};
use crate::span::Span;

/// How far from an escape the rest of a key can begin or end, in addition to the length of the key.
/// An escape of an escape of an escape takes several bytes.
const MARGIN: usize = 128;

/// Maximum number of spaces at an edge of a key.
const MAX_EDGE: usize = 64;

/// The keys of all rules.
pub(crate) struct KeySearch {
    rules: Vec<KeyRule>,
    suspects: Suspects,
    longest: usize,
    buffers: Buffers,
}

/// The keys of one rule.
pub(crate) struct KeyRule {
    /// Index of the rule.
    rule: usize,
    /// The keys, none of them empty, in the form of [`Spelling::of`].
    keys: Vec<Box<[u8]>>,
    /// Which spellings of the keys match.
    spelling: Spelling,
    needles: Vec<Needle>,
}

/// Which spellings of a key match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spelling {
    /// Only the given spelling.
    Exact,
    /// ASCII letters in either case.
    IgnoreCase,
    /// Letters in either case, with or without separators between words (`_`, `-`, space).
    Any,
}

impl Spelling {
    /// The key in the form in which this spelling compares keys.
    pub(crate) fn of(self, key: &[u8]) -> Box<[u8]> {
        match self {
            Self::Exact | Self::IgnoreCase => key.into(),
            Self::Any => key.iter().filter(|&&b| !is_joint(b)).map(u8::to_ascii_lowercase).collect(),
        }
    }

    /// Whether two keys are equal; the second one is in the form of [`of`](Self::of).
    fn is_same(self, key: &[u8], wanted: &[u8]) -> bool {
        match self {
            Self::Exact => key == wanted,
            Self::IgnoreCase => key.eq_ignore_ascii_case(wanted),
            Self::Any => key.iter().filter(|&&b| !is_joint(b)).map(u8::to_ascii_lowercase).eq(wanted.iter().copied()),
        }
    }
}

/// Whether a byte can separate the words of a key.
fn is_joint(byte: u8) -> bool {
    matches!(byte, b'_' | b'-' | b' ')
}

/// Memory that is reused for each column.
#[derive(Default)]
struct Buffers {
    suspects: Vec<usize>,
    found: Vec<Found>,
    unread: Vec<Unread>,
    recent: Vec<u8>,
    bounds: Bounds,
    matches: Matches,
}

/// What the matches of a column read, to tell whether one can depend on the replacement of another.
#[derive(Default)]
struct Matches {
    /// The text of each key with its value.
    read: Vec<(usize, usize)>,
    /// Whether a match reads further than that: a container, a decoded text, or another notation than JSON.
    any_wide: bool,
}

impl Matches {
    fn clear(&mut self) {
        self.read.clear();
        self.any_wide = false;
    }

    /// Whether no match reads what another one masks.
    fn are_independent(&mut self) -> bool {
        if self.any_wide {
            return false;
        }
        self.read.sort_unstable();
        self.read.array_windows().all(|[(_, end), (start, _)]| end <= start)
    }
}

/// A part of the text that must be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Unread {
    /// The first place that cannot be read raw.
    at: usize,
    /// The part extends at least to here.
    until: usize,
}

impl KeyRule {
    /// Prepares a rule.
    pub(crate) fn new(rule: usize, keys: Vec<Box<[u8]>>, spelling: Spelling) -> Self {
        let needles = needle::needles(&keys, spelling);
        Self { rule, keys, spelling, needles }
    }

    fn is_key(&self, key: &[u8], wanted: &[u8]) -> bool {
        self.spelling.is_same(key, wanted)
    }
}

impl KeySearch {
    /// Prepares the search, if there is anything to search for.
    pub(crate) fn new(rules: Vec<KeyRule>) -> Option<Self> {
        let keys = || rules.iter().flat_map(|r| r.keys.iter().map(|k| &**k));
        let longest = 2 * keys().map(<[u8]>::len).max()?;
        let any_joint = rules.iter().any(|r| r.spelling == Spelling::Any);
        // The separators in a key can also be escapes.
        let joints = any_joint.then_some(&b"_- "[..]);
        let suspects = Suspects::new(keys().chain(joints));
        Some(Self { suspects, longest, rules, buffers: Buffers::default() })
    }

    /// Whether no match of the latest search read what another one masks, so that rules that are applied one after the
    /// other find the same.
    pub(crate) fn are_independent(&mut self) -> bool {
        self.buffers.matches.are_independent()
    }

    /// What [`find`](Self::find) needs the places of: suspicious escapes, then needles.
    pub(crate) fn windows(&self) -> impl Iterator<Item = Window> {
        let suspects = self.suspects.pairs().iter().map(|pair| {
            let [first, second] = pair.map(|byte| Class::of(&[byte]));
            Window::new([first, second, Class::ANY], 0)
        });
        let needles = self.rules.iter().flat_map(|rule| rule.needles.iter().map(|needle| needle.window(&rule.keys)));
        suspects.chain(needles)
    }

    /// Appends the values of the keys in all rows. Takes the places of its windows from the
    /// iterator. Calls back for rows that are escaped too often to search completely.
    pub(crate) fn find<'p>(
        &mut self,
        column: Rows<'_>,
        places: &mut impl Iterator<Item = Places<'p>>,
        out: &mut Vec<Span>,
        mut too_deep: impl FnMut(usize),
    ) {
        let Self { rules, suspects, longest, buffers } = self;
        buffers.suspects.clear();
        buffers.bounds.clear();
        buffers.matches.clear();
        let suspicious = suspects.pairs().len();
        for (&[first, second], places) in suspects.pairs().iter().zip(places.by_ref()) {
            let is_suspect =
                |at: &usize| column.bytes.get(at + 1) == Some(&second) && suspects.is_suspect(column.bytes, *at);
            buffers.suspects.extend(places.iter(column.bytes, [first; 2]).filter(is_suspect));
        }
        if suspicious > 1 {
            buffers.suspects.sort_unstable();
        }
        for rule in rules {
            buffers.unread.clear();
            buffers.unread.extend(buffers.suspects.iter().map(|&at| Unread { at, until: at }));
            for needle in &rule.needles {
                find_raw(rule, needle, places.next().unwrap_or_default(), column, buffers, out);
            }
            if !buffers.unread.is_empty() {
                buffers.matches.any_wide = true;
                buffers.unread.sort_unstable_by_key(|u| u.at);
                find_decoded(rule, *longest, column, buffers, out, &mut too_deep);
            }
        }
    }
}

fn spans(rule: usize, found: &mut Vec<Found>, out: &mut Vec<Span>) {
    out.extend(found.drain(..).map(|f| Span { start: f.start, end: f.end, rule, place: f.place }));
}

/// Finds the keys of one needle, whose pair or letter occurs at these places, in the raw column.
fn find_raw(
    rule: &KeyRule,
    needle: &Needle,
    places: Places<'_>,
    column: Rows<'_>,
    buffers: &mut Buffers,
    out: &mut Vec<Span>,
) {
    let Buffers { suspects, found, unread, bounds, matches, .. } = buffers;
    let mut walk = Walk::default();
    // Everything before `done` is masked or goes to the decoder, so skip it.
    let mut done = 0;
    // Everything before `inside` is in a masked container.
    let mut inside = 0;
    needle.each(column.bytes, &rule.keys, places, |start, end| {
        if start < done {
            return;
        }
        let (_, row) = walk.row_of(column, start);
        let text = column.bytes.get(..row.end).unwrap_or_default();
        if end > row.end {
            return;
        }
        let (start, end) = match rule.spelling {
            Spelling::Any => edges(text, row.start, start, end),
            _ => (start, end),
        };
        let Some((depth, after)) = json_key(text, row.start, start, end) else {
            if start >= inside
                && let Some(value) = tolerant::find(text, row.start, start, end, bounds)
            {
                matches.any_wide = true;
                done = value.end;
                found.push(value);
                spans(rule.rule, found, out);
            }
            return;
        };
        let open = start - 1 - length_of(depth);
        let mut reader = RawReader::new(text, after, suspects);
        match after_key(&mut reader, depth, start < inside, found) {
            Ok(After::Nothing) => matches.read.push((open, after)),
            Ok(After::Odd) => {
                matches.any_wide = true;
                if let Some(value) = tolerant::after_key(text, row.start, after, depth, bounds) {
                    done = value.end;
                    found.push(value);
                }
            }
            Ok(After::Scalar(end)) => {
                done = end;
                matches.read.push((open, end));
                if let Some(last) = found.last_mut()
                    && let Some(end) = tolerant::with_joined(text, row.start, last, bounds)
                {
                    matches.any_wide = true;
                    (last.end, done) = (end, end);
                }
            }
            Ok(After::Container(end)) => {
                matches.any_wide = true;
                inside = end;
            }
            Err(at) => {
                found.clear();
                unread.push(Unread { at: start, until: at.0 });
                done = at.0;
            }
        }
        spans(rule.rule, found, out);
    });
}

/// A key with the spaces and colours at its edges, if it is in quotes.
fn edges(text: &[u8], row_start: usize, start: usize, end: usize) -> (usize, usize) {
    let is_edge = |byte: Option<&u8>| byte.is_some_and(|b| matches!(b, b' ' | b'\t' | b'm'));
    if !(is_edge(text.get(end)) || text.get(end) == Some(&0x1b) || (start > row_start && is_edge(text.get(start - 1))))
    {
        return (start, end);
    }
    let (mut first, mut last) = (start, end);
    for _ in 0..MAX_EDGE {
        first = match text.get(row_start..first).and_then(<[u8]>::last) {
            Some(b' ' | b'\t') => first - 1,
            Some(b'm') => match needle::colour_before(text, first).filter(|at| *at >= row_start) {
                Some(before) => before,
                None => break,
            },
            _ => break,
        };
    }
    for _ in 0..MAX_EDGE {
        last = match text.get(last) {
            Some(b' ' | b'\t') => last + 1,
            Some(0x1b | b'\\') => match needle::colour_after(text, last) {
                Some(after) => after,
                None => break,
            },
            _ => break,
        };
    }
    let is_quoted = unit::unit_before(text, row_start, first).is_some_and(|b| b.is_quote())
        && unit::unit(text, last).is_some_and(|b| b.is_quote());
    if is_quoted { (first, last) } else { (start, end) }
}

/// How often the quotes of a JSON key are escaped, and where the key ends including its quotes.
/// `None` if it is not a key of JSON.
fn json_key(text: &[u8], row_start: usize, start: usize, end: usize) -> Option<(u32, usize)> {
    let open = start.checked_sub(1).filter(|&open| open >= row_start && text.get(open) == Some(&b'"'))?;
    let depth = depth_of(backslashes_before(text, row_start, open));
    let backslashes = backslashes_after(text, end);
    let is_closed = backslashes == length_of(depth) && text.get(end + backslashes) == Some(&b'"');
    is_closed.then_some((depth, end + backslashes + 1))
}

/// Finds the keys of a rule by decoding the text around all places that could not be read raw.
fn find_decoded(
    rule: &KeyRule,
    longest: usize,
    column: Rows<'_>,
    buffers: &mut Buffers,
    out: &mut Vec<Span>,
    too_deep: &mut impl FnMut(usize),
) {
    let Buffers { unread, found, recent, bounds, .. } = buffers;
    let margin = MARGIN + longest;
    let mut walk = Walk::default();
    let mut unread = unread.iter().copied().peekable();
    while let Some(&Unread { at: first, .. }) = unread.peek() {
        let (index, row) = walk.row_of(column, first);
        let text = column.bytes.get(..row.end).unwrap_or_default();
        let begin = |from: usize, at: usize| outside_escapes(text, from, at.saturating_sub(margin).max(from));
        let mut reader = DecodedReader::new(text, begin(row.start, first));
        let mut open = Open { depth: None, content: recent, colour: false };
        // The decoder must read at least up to here.
        let mut goal = first;
        // Everything before `inside` is in a masked container.
        let mut inside = 0;
        // The search of other notations masked everything before `done`.
        let mut done = 0;
        loop {
            if open.depth.is_none() {
                reader.skip_plain();
            }
            let Ok(Some(token)) = reader.peek() else { break };
            while let Some(next) = unread.next_if(|next| next.at < row.end && next.at <= token.start + margin) {
                goal = goal.max(next.at).max(next.until);
            }
            if token.start > goal + margin {
                let Some(next) = unread.peek().filter(|next| next.at < row.end) else { break };
                let place = begin(token.start, next.at);
                goal = next.at;
                if place > token.start {
                    reader.restart(place);
                    open.depth = None;
                    continue;
                }
            }
            reader.advance();
            let depth = match token.what {
                What::Byte(byte) => {
                    open.push(byte, rule);
                    continue;
                }
                What::Quote(depth) => depth,
            };
            let is_key = open.is_key(depth, rule);
            open.begin(depth);
            if !is_key {
                continue;
            }
            let before = reader.clone();
            match after_key(&mut reader, depth, token.start < inside, found) {
                Ok(After::Container(end)) => {
                    // Keys inside can have values that the container leaves, such as `true`.
                    inside = end;
                    reader = before;
                }
                Ok(After::Odd) if token.start >= done => {
                    found.extend(tolerant::after_key(text, row.start, token.end, depth, bounds));
                    done = found.last().map_or(done, |last| last.end);
                }
                Ok(After::Scalar(_)) if token.start >= done => {
                    if let Some(last) = found.last_mut()
                        && let Some(end) = tolerant::with_joined(text, row.start, last, bounds)
                    {
                        (last.end, done) = (end, end);
                    }
                }
                _ => {}
            }
            spans(rule.rule, found, out);
        }
        while unread.next_if(|next| next.at < row.end).is_some() {}
        if reader.is_too_deep() {
            too_deep(index);
        }
    }
}

/// The text since the latest quote, while it can become a key.
struct Open<'a> {
    /// How often the quote is escaped; `None` if the text after it is not a key.
    depth: Option<u32>,
    content: &'a mut Vec<u8>,
    /// Whether a colour sequence is incomplete.
    colour: bool,
}

impl Open<'_> {
    fn begin(&mut self, depth: u32) {
        self.depth = Some(depth);
        self.content.clear();
        self.colour = false;
    }

    /// Whether a byte is part of a colour sequence.
    fn is_colour(&mut self, byte: u8) -> bool {
        let was = self.colour;
        self.colour = byte == 0x1b || (was && matches!(byte, b'[' | b';' | b'0'..=b'9'));
        self.colour || (was && byte == b'm')
    }

    fn push(&mut self, byte: u8, rule: &KeyRule) {
        if self.depth.is_some() {
            if rule.spelling == Spelling::Any && (is_joint(byte) || self.is_colour(byte)) {
                return;
            }
            self.content.push(byte);
            let begins = |key: &[u8]| key.get(..self.content.len()).is_some_and(|part| rule.is_key(self.content, part));
            if !rule.keys.iter().any(|key| begins(key)) {
                self.depth = None;
            }
        }
    }

    fn is_key(&self, depth: u32, rule: &KeyRule) -> bool {
        self.depth == Some(depth) && rule.keys.iter().any(|key| rule.is_key(self.content, key))
    }
}
