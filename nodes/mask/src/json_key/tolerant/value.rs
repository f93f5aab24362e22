//! Reads values in notations other than JSON: strings, containers, elements of XML, block scalars
//! of YAML, bare words.

use memchr::{memchr, memmem};

use super::super::quotes::{backslashes_before, depth_of, length_of};
use super::super::unit::{Style, Unit, spaces, unit, unit_before};
use super::super::value::Found;
use super::gap::{gap, joined, line_end, stray_end};
use super::header::header_end;
use super::{Name, Reached, Sign, prefix_start};
use crate::span::Place;

/// Words that mean "no value".
const NOTHING: [&[u8]; 8] = [b"null", b"NULL", b"Null", b"None", b"nil", b"undefined", b"<nil>", b"(null)"];

/// Words that announce credentials, which extend to the end of the line. Source:
/// <https://www.iana.org/assignments/http-authschemes/http-authschemes.xhtml>, and AWS Signature
/// Version 4
const SCHEMES: [&[u8]; 9] =
    [b"basic", b"bearer", b"digest", b"negotiate", b"ntlm", b"token", b"apikey", b"hoba", b"aws4-hmac-sha256"];

/// Whether a word announces credentials.
pub(super) fn is_scheme(word: &[u8]) -> bool {
    SCHEMES.iter().any(|scheme| word.eq_ignore_ascii_case(scheme))
}

/// The deepest indent of a key.
const MAX_INDENT: usize = 256;

/// Words before a quote that give the type of the string, as in `rb'...'` or `N'...'`, in lower case. Any other word there
/// is a value, and the quote ends the string around it.
const PREFIXES: [&[u8]; 20] = [
    b"b", b"c", b"e", b"f", b"l", b"n", b"q", b"r", b"s", b"t", b"u", b"v", b"x", b"br", b"cr", b"fr", b"rb", b"rf",
    b"ur", b"raw",
];

/// The longest of them.
const MAX_PREFIX: usize = 3;

/// Reads a value. The value cannot extend beyond the end of `text`.
pub(super) fn value(text: &[u8], name: &Name<'_>, reached: &Reached) -> Option<Found> {
    // Mask `!!str ...` and `&anchor ...` of YAML too: they can be the beginning of the value.
    let start = gap(text, reached.at, false);
    if reached.sign == Sign::Assigns
        && reached.style == Style::Plain(0)
        && let Some(first) = property_end(text, start)
    {
        let second = property_end(text, spaces(text, first, false)).unwrap_or(first);
        if let Some(found) = value_proper(text, name, &Reached { at: second, ..*reached }) {
            return Some(Found { start, end: found.end, place: Place::Text });
        }
    }
    value_proper(text, name, reached)
}

fn value_proper(text: &[u8], name: &Name<'_>, reached: &Reached) -> Option<Found> {
    if reached.sign == Sign::Tag {
        return element(text, name, reached.at);
    }
    let mut at = gap(text, reached.at, false);
    if text.get(at..)?.starts_with(b"//") && (at > reached.at || reached.quotes > 0) {
        return commented(text, name, reached, at);
    }
    let feed = gap(text, at, true);
    if feed > at {
        // A value on the next line has a quote or bracket; otherwise it is another name. YAML is
        // handled below.
        let next = unit(text, feed)?;
        if is_return(text, at) {
            return bare(text, name, feed, reached).filter(|found| !is_name(text, found)).or_else(|| {
                let is_value = next.is_quote() || matches!(next.byte, b'{' | b'[' | b'(');
                is_value.then(|| value(text, name, &Reached { at: feed, ..*reached })).flatten()
            });
        }
        if let Some(block) = block_below(text, name, reached, at) {
            return Some(block);
        }
        if !(next.is_quote() || matches!(next.byte, b'{' | b'[' | b'(') || text.get(feed..)?.starts_with(b"string(")) {
            return None;
        }
        at = feed;
    }
    if let Some(block) = block_scalar(text, at) {
        return Some(block);
    }
    if let Some(after) = stray_end(text, at).map(|stray| gap(text, stray, false))
        && unit(text, after).is_some_and(|next| next.is_quote())
    {
        at = after;
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
        Some(quote) if quote.is_quote() && word - at <= MAX_PREFIX => {
            let prefix = text.get(at..word)?.to_ascii_lowercase();
            if prefix.is_empty() || PREFIXES.contains(&&*prefix) {
                quoted(text, quote, reached.quotes)
            } else {
                bare(text, name, at, reached)
            }
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
        _ => bare(text, name, at, reached),
    }
}

/// Whether a line ends here with a carriage return alone.
fn is_return(text: &[u8], at: usize) -> bool {
    let Some(feed) = unit(text, at).filter(Unit::is_line_feed) else { return false };
    let is_return = |feed: Unit| matches!(text.get(feed.end - 1), Some(b'\r' | b'r'));
    is_return(feed) && unit(text, feed.end).is_none_or(|next| !next.is_line_feed())
}

/// Whether a supposed value is a name with its own value.
fn is_name(text: &[u8], found: &Found) -> bool {
    let after = unit(text, spaces(text, found.end, false));
    text.get(found.start..found.end).is_some_and(|word| word.ends_with(b":") || word.ends_with(b"="))
        && after.is_some_and(|after| !after.is_line_feed())
        || after.is_some_and(|after| matches!(after.byte, b':' | b'='))
}

/// A comment to the end of the line and a value on the next line: a reader can take either for the
/// value.
fn commented(text: &[u8], name: &Name<'_>, reached: &Reached, at: usize) -> Option<Found> {
    let end = line_end(text, at);
    let next = gap(text, end, true);
    let below = unit(text, next).filter(|next| next.is_quote() || matches!(next.byte, b'{' | b'[' | b'('));
    let found = below.and_then(|_| value(text, name, &Reached { at: next, ..*reached }));
    let end = found.map_or(end, |found| found.end.max(end));
    Some(Found { start: at, end, place: Place::Text })
}

/// Whether the text before a bracket is a name, or empty.
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
        // An empty string, or the beginning of a broken one.
        (2, _) => {
            let start = open.end;
            let end = joined(text, &open, start, start)?;
            return Some(Found { start, end, place: Place::Text });
        }
        _ => 1,
    };
    let mut end = string_end(text, start, &open, run).unwrap_or(text.len());
    if run == 1 {
        end = joined(text, &open, start, end).unwrap_or(end);
    }
    let place = match open.style {
        Style::Plain(count) if open.byte == b'"' && run == 1 && length_of(depth_of(count)) == count => {
            Place::Content(depth_of(count))
        }
        _ => Place::Text,
    };
    (start < end && !is_nothing(text, start, end)).then_some(Found { start, end, place })
}

/// Where a string ends that began with this many such quotes; `None` if it has no end.
pub(super) fn string_end(text: &[u8], start: usize, open: &Unit, run: usize) -> Option<usize> {
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

/// The text between a bracket and its counterpart, or the end.
fn container(text: &[u8], open: Unit) -> Option<Found> {
    let mut at = open.end;
    let mut depth = 1;
    // A quote without a counterpart is an apostrophe.
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
                        // Up to the quote itself, not before the backslashes of a quote that ends
                        // an outer string.
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

/// The content of an XML element, up to the next tag, or to its own end if it contains elements.
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
            let at = prefix_start(text, start, at);
            let slash = unit_before(text, start, at).filter(|b| b.byte == b'/');
            slash.and_then(|slash| unit_before(text, start, slash.start)).is_some_and(|b| b.byte == b'<')
        });
        end = match closing {
            Some(at) => {
                let slash = unit_before(text, start, prefix_start(text, start, at))?;
                unit_before(text, start, slash.start)?.start
            }
            None => text.len(),
        };
    }
    let found = Found { start, end, place: Place::Text };
    (!text.get(start..end)?.trim_ascii().is_empty()).then_some(found)
}

/// A value of YAML on the lines after `|` or `>`: up to the first line that is indented less than
/// its first one.
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

/// The longest tag or anchor of YAML; a value may have one of each.
const MAX_PROPERTY: usize = 64;

/// Where a tag or an anchor before a value ends.
fn property_end(text: &[u8], at: usize) -> Option<usize> {
    let is_property =
        matches!(text.get(at..)?, [b'!', ..] | [b'&', b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'_', ..]);
    let name = text.get(at + 1..)?.iter().take(MAX_PROPERTY);
    let is_part = |b: &&u8| b.is_ascii_alphanumeric() || matches!(b, b'!' | b'_' | b'-' | b'.' | b'/' | b':');
    let end = at + 1 + name.take_while(is_part).count();
    let next = unit(text, end).filter(|next| next.is_space() && is_property)?;
    let value = unit(text, spaces(text, end, false))?;
    (next.is_line_feed() || !matches!(value.byte, b'&' if text.get(at) == Some(&b'&'))).then_some(end)
}

/// A YAML value on the lines below its key: all lines with a larger indent, and list items at the
/// indent of the key.
fn block_below(text: &[u8], name: &Name<'_>, reached: &Reached, at: usize) -> Option<Found> {
    if reached.sign != Sign::Assigns || !name.text.get(name.end..reached.at)?.contains(&b':') {
        return None;
    }
    let indent =
        |line: usize| text.get(line..).unwrap_or_default().iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
    let before = name.text.get(name.row_start..name.open.map_or(name.start, |open| open.start))?;
    let own = before.iter().rev().take(MAX_INDENT).take_while(|b| matches!(b, b' ' | b'\t')).count();
    // If other text precedes the key on its line, any indent is larger.
    let line = name.row_start + before.len() - own;
    let is_first = unit_before(text, name.row_start, line).is_none_or(|b| b.is_line_feed());
    let own = if is_first { own } else { 0 };
    let is_item = |line: usize| text.get(line + indent(line)..).is_some_and(|rest| rest.starts_with(b"- "));
    let is_part = |line: usize| indent(line) > own || (indent(line) == own && is_item(line));
    let mut line = unit(text, at).filter(Unit::is_line_feed)?.end;
    // A line feed of two characters.
    line = unit(text, line).filter(|next| next.is_line_feed() && ends_with_return(text, line)).map_or(line, |n| n.end);
    let first = line + indent(line);
    let next = unit(text, first)?;
    // Read quotes and brackets as such.
    if !is_part(line) || next.is_quote() || next.is_line_feed() || matches!(next.byte, b'{' | b'[' | b'(') {
        return None;
    }
    let mut end = first;
    loop {
        let stop = line_end(text, line);
        end = end.max(stop);
        match unit(text, stop) {
            Some(feed) if is_part(feed.end) => line = feed.end,
            _ => break,
        }
    }
    let start = if is_item(first) { first + 2 } else { first };
    (start < end && !is_nothing(text, start, end)).then_some(Found { start, end, place: Place::Text })
}

/// Whether a line feed is a carriage return.
fn ends_with_return(text: &[u8], at: usize) -> bool {
    at.checked_sub(1).and_then(|last| text.get(last)).is_some_and(|b| matches!(b, b'\r' | b'r'))
}

/// A value without quotes.
fn bare(text: &[u8], name: &Name<'_>, start: usize, reached: &Reached) -> Option<Found> {
    let mut end = bare_end(text, start, reached);
    let word = text.get(start..end)?;
    if let Some(last) = header_end(text, name, reached, start) {
        end = last;
    } else if is_scheme(word) {
        while let Some(next) = unit(text, end).filter(|next| !(next.is_line_feed() || next.is_quote())) {
            end = next.end;
        }
    }
    (start < end && !is_nothing(text, start, end)).then_some(Found { start, end, place: Place::Text })
}

pub(super) fn bare_end(text: &[u8], start: usize, reached: &Reached) -> usize {
    let mut at = start;
    while let Some(next) = unit(text, at) {
        // An encoded character is part of the value, unless the text around the value is encoded
        // too.
        let is_own = match (next.style, reached.style) {
            (Style::Percent(here, _), Style::Percent(there, _)) => here <= there,
            (Style::Percent(..), _) => false,
            (Style::Entity(..), Style::Entity(..)) => true,
            (Style::Entity(..), _) => next.is_quote() || next.byte == b'<',
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
