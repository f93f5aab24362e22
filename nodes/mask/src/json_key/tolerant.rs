//! Finds the value of a key in text that is not JSON, or not all of it: literals of JavaScript, Python and other
//! languages, assignments, headers, queries, XML, in any quoting and encoding of it.
//!
//! Only called where the strict reading ([`value`](super::value)) found a key's name that is not a key of JSON, so it
//! costs nothing elsewhere. It errs towards hiding: what follows a name and a separator is a value.
//!
//! # Invariant
//!
//! In a row that is JSON nothing beyond the string that the name is in is looked at, so the row stays JSON.

use memchr::memchr;
use memchr::memmem;
use wattle_node::json::check;

use super::quotes::{backslashes_before, depth_of, length_of};
use super::unit::{Style, Unit, unit, unit_before};
use super::value::Found;
use crate::node::MAX_JSON_DEPTH;
use crate::span::Place;

/// Values that are no values.
const NOTHING: [&[u8]; 8] = [b"null", b"NULL", b"Null", b"None", b"nil", b"undefined", b"<nil>", b"(null)"];

/// Words that announce credentials, which go on to the end of the line.
/// Source: <https://www.iana.org/assignments/http-authschemes/http-authschemes.xhtml>, and AWS Signature Version 4
const SCHEMES: [&[u8]; 9] =
    [b"basic", b"bearer", b"digest", b"negotiate", b"ntlm", b"token", b"apikey", b"hoba", b"aws4-hmac-sha256"];

/// The longest word before a quote that says what kind of string follows, as in `rb'...'` or `N'...'`.
const LONGEST_PREFIX: usize = 3;

/// Knows how far a value may reach: to the end of the string of JSON that it is in, or of the row.
#[derive(Default)]
pub(super) struct Bounds {
    /// The row that was asked for last: where it begins, and whether it is JSON.
    row: Option<(usize, bool)>,
    /// A part of the row that is inside of one string, with the string's end.
    string: Option<(usize, usize)>,
}

impl Bounds {
    /// Forgets what it knew of another text.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Whether a row is JSON as a whole.
    fn is_json(&mut self, text: &[u8], row_start: usize) -> bool {
        match self.row {
            Some((start, json)) if start == row_start => json,
            _ => {
                let row = text.get(row_start..).unwrap_or_default();
                let json = check(row, MAX_JSON_DEPTH).is_ok();
                (self.row, self.string) = (Some((row_start, json)), None);
                json
            }
        }
    }

    /// Where a value of a name at `at` ends at the latest.
    fn end(&mut self, text: &[u8], row_start: usize, at: usize) -> usize {
        if !self.is_json(text, row_start) {
            return text.len();
        }
        if let Some((start, end)) = self.string
            && (start..=end).contains(&at)
        {
            return end;
        }
        let mut from = at;
        let end = loop {
            let Some(quote) = memchr(b'"', text.get(from..).unwrap_or_default()) else { break text.len() };
            if backslashes_before(text, row_start, from + quote).is_multiple_of(2) {
                break from + quote;
            }
            from += quote + 1;
        };
        self.string = Some((at, end));
        end
    }
}

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

fn spaces(text: &[u8], mut at: usize, line_feeds: bool) -> usize {
    while let Some(next) = unit(text, at)
        && next.is_space()
        && (line_feeds || !next.is_line_feed())
    {
        at = next.end;
    }
    at
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

/// Reads a value; `text` ends where it may reach to.
fn value(text: &[u8], name: &Name<'_>, reached: &Reached) -> Option<Found> {
    if reached.sign == Sign::Tag {
        return element(text, name, reached.at);
    }
    let mut at = spaces(text, reached.at, false);
    let feed = spaces(text, at, true);
    if feed > at {
        // A value on the next line has a quote or bracket, or else it is another name. What YAML says before it is below.
        let next = unit(text, feed)?;
        if !(next.is_quote() || matches!(next.byte, b'{' | b'[' | b'(') || text.get(feed..)?.starts_with(b"string(")) {
            return None;
        }
        at = feed;
    }
    if let Some(block) = block_scalar(text, at) {
        return Some(block);
    }
    // References: `&Credentials{...}`, `@"..."`, `$'...'`, `:symbol`.
    while matches!(text.get(at), Some(b'&' | b'*' | b'@' | b'$'))
        && unit(text, at).is_some_and(|u| u.style == Style::Plain(0))
        && text
            .get(at + 1)
            .is_some_and(|b| matches!(b, b'"' | b'\'' | b'{' | b'[' | b'&' | b'*') || b.is_ascii_alphabetic())
    {
        at += 1;
    }
    let word = at
        + text.get(at..)?.iter().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b':')).count();
    let next = unit(text, word);
    match next {
        Some(quote) if quote.is_quote() && word - at <= LONGEST_PREFIX => {
            let is_prefix = text.get(at..word)?.iter().all(u8::is_ascii_alphabetic);
            if is_prefix { quoted(text, quote, reached.quotes) } else { bare(text, at, reached) }
        }
        // `new SecretString(...)`, `Some("...")`, `map[...]`, or a plain container.
        Some(open) if matches!(open.byte, b'{' | b'[' | b'(') && is_whole_word(text, at, word) => {
            let found = container(text, open)?;
            // `string(20) "..."`, as PHP prints a variable.
            let after = spaces(text, found.end + 1, false);
            let is_length = open.byte == b'(' && text.get(found.start..found.end)?.iter().all(u8::is_ascii_digit);
            match unit(text, after).filter(|next| next.is_quote() && is_length) {
                Some(quote) => quoted(text, quote, reached.quotes),
                None => (found.start < found.end).then_some(found),
            }
        }
        _ => bare(text, at, reached),
    }
}

/// Whether what stands before a bracket is a name or nothing.
fn is_whole_word(text: &[u8], at: usize, end: usize) -> bool {
    text.get(at).is_none_or(|b| b.is_ascii_alphabetic() || *b == b'_') || at == end
}

/// The content of a string that begins with this quote.
fn quoted(text: &[u8], open: Unit, quotes_of_name: usize) -> Option<Found> {
    let mut run = 0;
    let mut start = open.start;
    while let Some(next) = unit(text, start).filter(|next| run < 3 && next.is_like(&open)) {
        (start, run) = (next.end, run + 1);
    }
    let run = match (run, quotes_of_name) {
        // `"""..."""`, or a field of CSV that holds such a string.
        (3, _) => 3,
        (2, 2) => 2,
        (2, _) => return None,
        _ => 1,
    };
    let end = string_end(text, start, &open, run).unwrap_or(text.len());
    let place = match open.style {
        Style::Plain(count) if open.byte == b'"' && run == 1 && length_of(depth_of(count)) == count => {
            Place::Content(depth_of(count))
        }
        _ => Place::Text,
    };
    (start < end && !is_nothing(text, start, end)).then_some(Found { start, end, place })
}

/// Where a string ends that was begun with so many such quotes; none if it does not.
fn string_end(text: &[u8], start: usize, open: &Unit, run: usize) -> Option<usize> {
    let mut at = start;
    let mut escaped = false;
    if let (Style::Plain(count), 1) = (open.style, run) {
        loop {
            let quote = at + memchr(open.byte, text.get(at..)?)?;
            let here = backslashes_before(text, start, quote);
            let is_end = here <= count || (open.byte == b'"' && depth_of(here) <= depth_of(count));
            if is_end {
                let own = if here <= count { here } else { length_of(depth_of(here)) };
                return Some(quote - own);
            }
            at = quote + 1;
        }
    }
    loop {
        let next = unit(text, at)?;
        if next.is_quote() && !escaped && next.closes(open) {
            let (mut end, mut count) = (next.end, 1);
            while count < run
                && let Some(more) = unit(text, end).filter(|more| more.is_like(&next))
            {
                (end, count) = (more.end, count + 1);
            }
            if count >= run {
                return Some(next.start);
            }
            at = end;
            continue;
        }
        escaped = next.byte == b'\\' && !escaped && next.style != Style::Plain(0);
        at = next.end;
    }
}

/// What is between a bracket and its counterpart, or the end.
fn container(text: &[u8], open: Unit) -> Option<Found> {
    let mut at = open.end;
    let mut depth = 1;
    // A quote that nothing closes is an apostrophe.
    let mut unclosed = [false; 3];
    let end = loop {
        let Some(next) = unit(text, at) else { break text.len() };
        match next.byte {
            b'{' | b'[' | b'(' => depth += 1,
            b'}' | b']' | b')' => {
                depth -= 1;
                if depth == 0 {
                    break next.start;
                }
            }
            _ if next.is_quote() => {
                let kind = match next.byte {
                    b'"' => 0,
                    b'\'' => 1,
                    _ => 2,
                };
                if let Some(unclosed) = unclosed.get_mut(kind).filter(|unclosed| !**unclosed) {
                    match string_end(text, next.end, &next, 1) {
                        // To the quote itself, not before the backslashes of one that ends more.
                        Some(end) => {
                            at = unit(text, end).map_or(end, |close| close.end);
                            continue;
                        }
                        None => *unclosed = true,
                    }
                }
            }
            _ => {}
        }
        at = next.end;
    };
    Some(Found { start: open.end.min(end), end, place: Place::Text })
}

/// The content of an element of XML, up to the next tag, or to its own end where it holds elements.
fn element(text: &[u8], name: &Name<'_>, start: usize) -> Option<Found> {
    let next_tag = |from: usize| {
        let mut at = from;
        loop {
            let next = unit(text, at)?;
            if next.byte == b'<' {
                return Some(next.start);
            }
            at = next.end;
        }
    };
    let mut end = next_tag(start).unwrap_or(text.len());
    let is_empty = text.get(start..end)?.trim_ascii().is_empty() || spaces(text, start, true) == end;
    if is_empty {
        let own = name.text.get(name.start..name.end)?;
        let closing = memmem::find_iter(text.get(end..)?, own).map(|at| end + at).find(|&at| {
            let slash = unit_before(text, start, at).filter(|b| b.byte == b'/');
            slash.and_then(|slash| unit_before(text, start, slash.start)).is_some_and(|b| b.byte == b'<')
        });
        end = match closing {
            Some(at) => {
                let slash = unit_before(text, start, at)?;
                unit_before(text, start, slash.start)?.start
            }
            None => text.len(),
        };
    }
    let found = Found { start, end, place: Place::Text };
    (!text.get(start..end)?.trim_ascii().is_empty()).then_some(found)
}

/// A value of YAML on the lines after `|` or `>`: up to the first line that is indented less than its first one.
fn block_scalar(text: &[u8], at: usize) -> Option<Found> {
    let mut end = match text.get(at)? {
        b'|' | b'>' => at + 1,
        _ => return None,
    };
    end += text.get(end..)?.iter().take_while(|b| matches!(b, b'-' | b'+' | b'0'..=b'9')).count();
    end = spaces(text, end, false);
    let feed = unit(text, end).filter(Unit::is_line_feed)?;
    let indent = |line: usize| text.get(line..).unwrap_or_default().iter().take_while(|b| **b == b' ').count();
    let mut line = feed.end;
    let first = indent(line);
    let start = line + first;
    let mut last = start;
    loop {
        let mut at = line;
        while let Some(next) = unit(text, at).filter(|next| !next.is_line_feed()) {
            at = next.end;
        }
        last = last.max(at);
        match unit(text, at) {
            Some(feed) if indent(feed.end) >= first.max(1) => line = feed.end,
            _ => break,
        }
    }
    (start < last).then_some(Found { start, end: last, place: Place::Text })
}

/// A value without quotes.
fn bare(text: &[u8], start: usize, reached: &Reached) -> Option<Found> {
    let mut end = bare_end(text, start, reached);
    let word = text.get(start..end)?;
    if SCHEMES.iter().any(|scheme| word.eq_ignore_ascii_case(scheme)) {
        while let Some(next) = unit(text, end).filter(|next| !(next.is_line_feed() || next.is_quote())) {
            end = next.end;
        }
    }
    (start < end && !is_nothing(text, start, end)).then_some(Found { start, end, place: Place::Text })
}

fn bare_end(text: &[u8], start: usize, reached: &Reached) -> usize {
    let mut at = start;
    while let Some(next) = unit(text, at) {
        // An encoded character is part of the value, unless what is around the value is encoded too.
        let is_own = match (next.style, reached.style) {
            (Style::Percent(here), Style::Percent(there)) => here <= there,
            (Style::Percent(_), _) => false,
            (Style::Entity(_), Style::Entity(_)) => true,
            (Style::Entity(_), _) => next.is_quote() || next.byte == b'<',
            _ => true,
        };
        let ends = next.is_space()
            || next.is_quote()
            || matches!(next.byte, b',' | b';' | b'&' | b'}' | b']' | b')' | b'<' | b'>' | b'|' | b'\\' | 0);
        if is_own && ends {
            break;
        }
        at = next.end;
    }
    at
}

fn is_nothing(text: &[u8], start: usize, end: usize) -> bool {
    text.get(start..end).is_some_and(|value| NOTHING.contains(&value))
}
