//! Finds the value of a key in text that is not JSON, or not completely: literals of JavaScript,
//! Python and other languages, assignments, headers, queries, XML, in any quoting and encoding.
//!
//! The strict reading ([`value`](super::value)) calls it only for a key name that is not a key of
//! JSON, so it costs nothing elsewhere. In doubt it masks: any text after a name and a separator is
//! a value.
//!
//! # Invariant
//!
//! In a row that is JSON, it reads nothing beyond the string that contains the name, so the row
//! stays JSON.

mod bounds;
mod gap;
mod header;
mod value;

use memchr::memmem;

pub(super) use bounds::Bounds;
use gap::{gap, joined, stray_end};
use value::value;

use super::needle::{colour_after, colour_before};
use super::quotes::backslashes_after;
use super::unit::{Style, Unit, unit, unit_before};
use super::value::Found;
use crate::span::Place;

/// The longest prefix of an XML name.
const MAX_PREFIX: usize = 64;

/// Facts about a key's name, for the search of its value.
struct Name<'t> {
    text: &'t [u8],
    row_start: usize,
    start: usize,
    end: usize,
    /// The quote before the name.
    open: Option<Unit>,
    /// Whether the name lacks that quote, at a place where a key of JSON can begin.
    is_cut_off: bool,
}

/// The separator between a name and its value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sign {
    /// `:`, `=` and others.
    Assigns,
    /// The end of an XML tag.
    Tag,
    /// White space.
    Space,
}

/// The start of a value.
struct Reached {
    at: usize,
    sign: Sign,
    /// How the separator is spelled.
    style: Style,
    /// Number of quotes after the name: 2 in a field of CSV, 3 in some literals.
    quotes: usize,
}

/// The value of the name at `start..end` of the text (the column up to the end of a row).
pub(super) fn find(text: &[u8], row_start: usize, start: usize, end: usize, bounds: &mut Bounds) -> Option<Found> {
    // A terminal can show the key in another colour.
    let coloured = colour_before(text, start).filter(|at| *at >= row_start);
    let start = coloured.unwrap_or(start);
    let before = unit_before(text, row_start, start);
    let open = before.filter(Unit::is_quote);
    if before.is_some_and(|b| b.byte.is_ascii_alphanumeric() || b.byte == b'_') {
        return None;
    }
    let end = colour_after(text, end).unwrap_or(end);
    let close = unit(text, end).filter(Unit::is_quote);
    // The decoder reads JSON quotes that are written as codes.
    let by_code = |quote: Option<Unit>| {
        let is_long = |q: Unit| text.get(q.start..q.end).is_some_and(|spelled| spelled.ends_with(b"u0022"));
        quote.is_some_and(|q| matches!(q.style, Style::Code(_)) && is_long(q))
    };
    if open.is_some() && close.is_some() && (by_code(open) || by_code(close)) {
        return None;
    }
    let is_cut_off = open.is_none()
        && close.is_some_and(|close| {
            close.byte != b'"' || close.style != Style::Plain(0) || !bounds.is_json(text, row_start)
        })
        && begins_key(text, row_start, start);
    let name = Name { text, row_start, start, end, open, is_cut_off };
    let reached = separator(&name)?;
    let bound = bounds.end(text, row_start, start);
    if reached.at >= bound {
        return None;
    }
    // In JSON, both quotes of a string are escaped equally often.
    if let (Some(open), Some(close)) = (open, close)
        && !open.is_like(&close)
        && bounds.is_json(text, row_start)
    {
        return None;
    }
    value(text.get(..bound)?, &name, &reached)
}

/// The value of a JSON key whose last quote ends at `end`, if it is not a value of JSON.
pub(super) fn after_key(text: &[u8], row_start: usize, end: usize, depth: u32, bounds: &mut Bounds) -> Option<Found> {
    let name = Name { text, row_start, start: end, end, open: None, is_cut_off: false };
    let mut reached = separator(&name)?;
    // The key included one quote.
    reached.quotes += 1;
    let bound = bounds.end(text, row_start, end);
    if reached.at >= bound {
        return None;
    }
    let mut found = value(text.get(..bound)?, &name, &reached)?;
    let is_bare = found.place == Place::Text
        && text.get(reached.at..found.start).is_some_and(|between| between.trim_ascii().is_empty());
    if is_bare && reached.style == Style::Plain(0) {
        found.place = Place::Bare(depth);
    }
    Some(found)
}

/// The last place of a string's content, extended over all strings and other text that follow
/// instead of a comma or a bracket.
#[inline]
pub(super) fn with_joined(text: &[u8], row_start: usize, found: &Found, bounds: &mut Bounds) -> Option<usize> {
    // The form of JSON, and of nearly all text.
    if let [b'"', b',' | b'}' | b']', ..] = text.get(found.end..)? {
        return None;
    }
    joined_to(text, row_start, found, bounds)
}

#[cold]
#[inline(never)]
fn joined_to(text: &[u8], row_start: usize, found: &Found, bounds: &mut Bounds) -> Option<usize> {
    let quote = found.end + backslashes_after(text, found.end);
    if matches!(text.get(quote + 1), Some(b',' | b'}' | b']' | b'\n' | b'\r') | None) {
        return None;
    }
    let open = unit_before(text, row_start, found.start).filter(Unit::is_quote)?;
    let end = joined(text, &open, found.start, found.end)?;
    Some(end.min(bounds.end(text, row_start, found.end))).filter(|end| *end > found.end)
}

/// Whether a key can begin here: after a bracket, a comma or a line feed.
fn begins_key(text: &[u8], row_start: usize, at: usize) -> bool {
    let before = text.get(row_start..at).unwrap_or_default().trim_ascii_end();
    let is_line =
        before.len() < at - row_start && text.get(row_start + before.len()..at).is_some_and(|s| s.contains(&b'\n'));
    let end = row_start + before.len();
    is_line || unit_before(text, row_start, end).is_none_or(|b| matches!(b.byte, b'{' | b'[' | b'(' | b',' | b'\n'))
}

/// The separator after the name, and where the value begins.
fn separator(name: &Name<'_>) -> Option<Reached> {
    let &Name { text, row_start, start, end, open, .. } = name;
    let mut at = end;
    let mut quotes = 0;
    if let Some(close) = unit(text, at).filter(Unit::is_quote) {
        // A quote after a name without one before it belongs to a longer name, unless the text was
        // cut there.
        let belongs = start == row_start || start == end || name.is_cut_off;
        if open.is_none_or(|open| open.byte != close.byte) && !belongs {
            return None;
        }
        while let Some(next) = unit(text, at).filter(|next| quotes < 3 && next.is_like(&close)) {
            (at, quotes) = (next.end, quotes + 1);
        }
    }
    let is_apart = start != end;
    let after_name = at;
    at = gap(text, at, true);
    if let Some(bracket) = unit(text, at).filter(|next| matches!(next.byte, b']' | b')')) {
        at = gap(text, bracket.end, true);
    }
    // A stray byte before the sign.
    if (quotes > 0 || !is_apart)
        && let Some(after) = stray_end(text, at).map(|stray| gap(text, stray, true))
        && unit(text, after).is_some_and(|next| matches!(next.byte, b':' | b'='))
    {
        at = after;
    }
    let next = unit(text, at)?;
    let reached = |at, sign| Some(Reached { at, sign, style: next.style, quotes });
    let opening = open.map_or(start, |open| open.start);
    let before = || unit_before(text, row_start, opening);
    match next.byte {
        b':' | b'=' => {
            let mut end = next.end;
            while let Some(more) = unit(text, end)
                .filter(|more| matches!(more.byte, b'=' | b'>' | b':' | b'~') && more.style == next.style)
            {
                end = more.end;
            }
            reached(end, Sign::Assigns)
        }
        b'-' if unit(text, next.end).is_some_and(|arrow| arrow.byte == b'>') => {
            reached(unit(text, next.end)?.end, Sign::Assigns)
        }
        b'>' if is_apart && tag_start(text, row_start, opening).is_some() => reached(next.end, Sign::Tag),
        // As PHP serializes strings: `s:11:"accessKeyId";s:20:"..."`.
        b';' if quotes > 0 || !is_apart => {
            let rest = text.get(next.end..)?.strip_prefix(b"s:")?;
            let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
            (rest.get(digits) == Some(&b':')).then_some(())?;
            reached(next.end + 2 + digits + 1, Sign::Assigns)
        }
        // Pairs: `('accessKeyId', '...')`, and `{accessKeyId,<<"...">>}` of Erlang.
        b',' if quotes > 0 && before().is_some_and(|b| b.byte == b'(') => reached(next.end, Sign::Assigns),
        b',' if text.get(next.end..)?.trim_ascii_start().starts_with(b"<<") => {
            let brackets = next.end + memmem::find(text.get(next.end..)?, b"<<")?;
            reached(brackets + 2, Sign::Assigns)
        }
        // A tag of XML with attributes.
        _ if at > after_name
            && is_apart
            && quotes == 0
            && let Some(bracket) = tag_start(text, row_start, opening) =>
        {
            reached(tag_end(text, at, &bracket)?, Sign::Tag)
        }
        // `--access-key-id ...`, and `:access-key-id "..."` of EDN.
        _ if at > after_name && is_apart => {
            let sign = before()?;
            let is_flag = sign.byte == b'-' && unit_before(text, row_start, sign.start).is_some_and(|b| b.byte == b'-');
            let is_symbol = sign.byte == b':' && next.is_quote();
            (is_flag || is_symbol).then(|| reached(at, Sign::Space))?
        }
        _ => None,
    }
}

/// The bracket that begins the tag of XML whose name, without its prefix, begins at `at`.
fn tag_start(text: &[u8], from: usize, at: usize) -> Option<Unit> {
    let bracket = unit_before(text, from, prefix_start(text, from, at))?;
    (bracket.byte == b'<').then_some(bracket)
}

/// Where an XML name begins including its prefix; the part after the prefix begins at `at`.
fn prefix_start(text: &[u8], from: usize, at: usize) -> usize {
    let Some(colon) = unit_before(text, from, at).filter(|before| before.byte == b':') else { return at };
    let mut start = colon.start;
    while let Some(before) = unit_before(text, from, start).filter(|_| colon.start - start < MAX_PREFIX)
        && (before.byte.is_ascii_alphanumeric() || matches!(before.byte, b'_' | b'-' | b'.') || !before.byte.is_ascii())
    {
        start = before.start;
    }
    start
}

/// Where a tag with attributes from here on ends; `None` if it has no content.
fn tag_end(text: &[u8], mut at: usize, bracket: &Unit) -> Option<usize> {
    let (mut open, mut is_empty, mut first) = (None::<Unit>, false, None);
    while let Some(next) = unit(text, at) {
        at = next.end;
        match (open, next.byte) {
            // No attribute contains this byte, so every tag is read once.
            (_, b'<') => return first,
            (Some(quote), _) if next.is_like(&quote) => open = None,
            (None, _) if next.is_quote() => open = Some(next),
            // Quotes that do not match, if there is no other end.
            (Some(_), b'>') => first = first.or(Some(next.end)),
            (None, b'>') if next.style == bracket.style => return (!is_empty).then_some(next.end),
            _ => {}
        }
        is_empty = next.byte == b'/' && open.is_none();
    }
    first
}
