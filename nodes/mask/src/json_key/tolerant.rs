//! Finds the value of a key in text that is not JSON, or not all of it: literals of JavaScript, Python and other
//! languages, assignments, headers, queries, XML, in any quoting and encoding of it.
//!
//! Only called where the strict reading ([`value`](super::value)) found a key's name that is not a key of JSON, so it
//! costs nothing elsewhere. It errs towards hiding: what follows a name and a separator is a value.
//!
//! # Invariant
//!
//! In a row that is JSON nothing beyond the string that the name is in is looked at, so the row stays JSON.

mod bounds;
mod value;

use memchr::memmem;

pub(super) use bounds::Bounds;
use value::value;

use super::unit::{Style, Unit, spaces, unit, unit_before};
use super::value::Found;
use crate::span::Place;

/// What is known of a key's name when its value is looked for.
struct Name<'t> {
    text: &'t [u8],
    row_start: usize,
    start: usize,
    end: usize,
    /// The quote before it.
    open: Option<Unit>,
}

/// What stands between a name and its value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sign {
    /// `:`, `=` and others.
    Assigns,
    /// The end of a tag of XML.
    Tag,
    /// White space.
    Space,
}

/// A value that is about to be read.
struct Reached {
    at: usize,
    sign: Sign,
    /// How the separator is spelled.
    style: Style,
    /// How many quotes stand behind the name: 2 in a field of CSV, 3 in some literals.
    quotes: usize,
}

/// The value of the name that stands in the text (the column up to the end of a row) at `start..end`.
pub(super) fn find(text: &[u8], row_start: usize, start: usize, end: usize, bounds: &mut Bounds) -> Option<Found> {
    let before = unit_before(text, row_start, start);
    let open = before.filter(Unit::is_quote);
    if before.is_some_and(|b| b.byte.is_ascii_alphanumeric() || b.byte == b'_') {
        return None;
    }
    let close = unit(text, end).filter(Unit::is_quote);
    // Quotes of JSON that are spelled by their code are read by the decoder.
    let by_code = |quote: Option<Unit>| {
        let is_long = |q: Unit| text.get(q.start..q.end).is_some_and(|spelled| spelled.ends_with(b"u0022"));
        quote.is_some_and(|q| matches!(q.style, Style::Code(_)) && is_long(q))
    };
    if open.is_some() && close.is_some() && (by_code(open) || by_code(close)) {
        return None;
    }
    let name = Name { text, row_start, start, end, open };
    let reached = separator(&name)?;
    let bound = bounds.end(text, row_start, start);
    if reached.at >= bound {
        return None;
    }
    // In JSON two quotes of one string are escaped equally often.
    if let (Some(open), Some(close)) = (open, close)
        && !open.is_like(&close)
        && bounds.is_json(text, row_start)
    {
        return None;
    }
    value(text.get(..bound)?, &name, &reached)
}

/// The value of a key of JSON, whose last quote ends at `end`, that is no value of JSON.
pub(super) fn after_key(text: &[u8], row_start: usize, end: usize, depth: u32, bounds: &mut Bounds) -> Option<Found> {
    let name = Name { text, row_start, start: end, end, open: None };
    let mut reached = separator(&name)?;
    // One was passed with the key.
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

/// What separates the name from its value, and where the value begins.
fn separator(name: &Name<'_>) -> Option<Reached> {
    let &Name { text, row_start, start, end, open } = name;
    let mut at = end;
    let mut quotes = 0;
    if let Some(close) = unit(text, at).filter(Unit::is_quote) {
        // A quote behind a name without one before it belongs to a longer name, unless the text was cut there.
        if open.is_none_or(|open| open.byte != close.byte) && start != row_start && start != end {
            return None;
        }
        while let Some(next) = unit(text, at).filter(|next| quotes < 3 && next.is_like(&close)) {
            (at, quotes) = (next.end, quotes + 1);
        }
    }
    let is_apart = start != end;
    let after_name = at;
    at = spaces(text, at, true);
    if let Some(bracket) = unit(text, at).filter(|next| matches!(next.byte, b']' | b')')) {
        at = spaces(text, bracket.end, true);
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
        b'>' if is_apart && before().is_some_and(|b| b.byte == b'<') => reached(next.end, Sign::Tag),
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
