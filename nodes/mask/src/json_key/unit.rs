//! Reads text one character at a time, in the spellings that data gets in transit: plain, after
//! backslashes, as a code (`\u0022`, `\x22`), percent-encoded (`%22`, `%2522`), as an HTML entity
//! (`&quot;`, `&#34;`, `&amp;quot;`).

use super::quotes::{backslashes_after, backslashes_before};
use crate::preset::ends_with_percent_escape;

/// A character and its spelling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unit {
    /// The character; of a multi-byte character, one byte. Typographic quotes become plain ones.
    pub(super) byte: u8,
    /// Its first byte in the text.
    pub(super) start: usize,
    /// One after its last byte.
    pub(super) end: usize,
    pub(super) style: Style,
}

/// The spelling of a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// Plain, after this many backslashes.
    Plain(usize),
    /// As a code, after this many backslashes.
    Code(usize),
    /// Percent-encoded this many times, after this many backslashes that are encoded in the same
    /// way.
    Percent(usize, usize),
    /// As an HTML entity, encoded this many times, after this many backslashes.
    Entity(usize, usize),
    /// As a character that means the same to a reader.
    Typographic,
}

/// The longest spelling to look for before a place.
const MAX_LEN: usize = 24;

/// The names of HTML entities that matter, and what they stand for.
/// Source: HTML, section 13.5, <https://html.spec.whatwg.org/multipage/named-characters.html>
const ENTITIES: [(&[u8], u8); 14] = [
    (b"quot", b'"'),
    (b"QUOT", b'"'),
    (b"apos", b'\''),
    (b"lt", b'<'),
    (b"gt", b'>'),
    (b"LT", b'<'),
    (b"GT", b'>'),
    (b"amp", b'&'),
    (b"nbsp", b' '),
    (b"colon", b':'),
    (b"equals", b'='),
    (b"comma", b','),
    (b"lbrace", b'{'),
    (b"rbrace", b'}'),
];

impl Unit {
    /// Whether it is a quote.
    pub(super) fn is_quote(&self) -> bool {
        matches!(self.byte, b'"' | b'\'' | b'`')
    }

    /// Whether it is white space.
    pub(super) fn is_space(&self) -> bool {
        matches!(self.byte, b' ' | b'\t' | b'\n' | b'\r')
    }

    /// Whether it ends a line.
    pub(super) fn is_line_feed(&self) -> bool {
        matches!(self.byte, b'\n' | b'\r')
    }

    /// Whether both have the same spelling.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        self.byte == other.byte && self.style == other.style
    }

    /// Whether this quote ends the string that `open` began: it is encoded as often, or less often,
    /// in which case it ends the enclosing string.
    pub(super) fn closes(&self, open: &Self) -> bool {
        match (self.style, open.style) {
            (Style::Plain(here), Style::Plain(there)) => self.byte == open.byte && here <= there,
            // Text that contains such a quote is not in a string with the other kind of quotes.
            (Style::Plain(here), Style::Code(there)) => {
                (self.byte == open.byte || self.byte == b'"') && here < there.max(1)
            }
            (Style::Plain(0), _) => self.byte == open.byte || self.byte == b'"',
            (Style::Code(here), Style::Code(there)) => self.byte == open.byte && here <= there,
            (Style::Percent(times, here), Style::Percent(open_times, there))
            | (Style::Entity(times, here), Style::Entity(open_times, there)) => {
                self.byte == open.byte && (times < open_times || (times == open_times && here <= there))
            }
            (Style::Typographic, Style::Typographic) => self.byte == open.byte,
            _ => false,
        }
    }
}

/// The character that begins here, unless the text ends.
pub(super) fn unit(text: &[u8], at: usize) -> Option<Unit> {
    let rest = text.get(at..)?;
    let (byte, length, style) = match *rest.first()? {
        b'\\' => backslashed(text, at),
        b'%' => percent(rest).unwrap_or((b'%', 1, Style::Plain(0))),
        b'&' => entity(rest).unwrap_or((b'&', 1, Style::Plain(0))),
        byte if byte.is_ascii() => (byte, 1, Style::Plain(0)),
        byte => match rest {
            [0xe2, 0x80, 0x98..=0x9b, ..] => (b'\'', 3, Style::Typographic),
            [0xe2, 0x80, 0x9c..=0x9f, ..] => (b'"', 3, Style::Typographic),
            [0xc2, 0xab | 0xbb, ..] => (b'"', 2, Style::Typographic),
            [0xc2, 0xa0, ..] => (b' ', 2, Style::Typographic),
            [0xef, 0xbc, 0x9a, ..] => (b':', 3, Style::Typographic),
            [0xef, 0xbc, 0x9d, ..] => (b'=', 3, Style::Typographic),
            _ => (byte, 1, Style::Plain(0)),
        },
    };
    Some(Unit { byte, start: at, end: at + length, style })
}

fn backslashed(text: &[u8], at: usize) -> (u8, usize, Style) {
    let count = backslashes_after(text, at);
    let rest = text.get(at + count..).unwrap_or_default();
    let code = |digits: &[u8]| {
        let code = u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()?;
        code.is_ascii().then_some(code)
    };
    match *rest {
        [quote @ (b'"' | b'\'' | b'`' | b'/'), ..] => (quote, count + 1, Style::Plain(count)),
        [b'&', ..] => match entity(rest) {
            Some((quote @ (b'"' | b'\''), length, Style::Entity(times, _))) => {
                (quote, count + length, Style::Entity(times, count))
            }
            _ => (b'\\', count, Style::Plain(0)),
        },
        [b'n' | b'r' | b'\n' | b'\r', ..] => (b'\n', count + 1, Style::Plain(count)),
        [b't', ..] => (b'\t', count + 1, Style::Plain(count)),
        [b'u', b'0', b'0', high, low, ..] => match code(&[high, low]) {
            Some(byte) => (byte, count + 5, Style::Code(count)),
            None => (b'\\', count, Style::Plain(0)),
        },
        [b'x', high, low, ..] => match code(&[high, low]) {
            Some(byte) => (byte, count + 3, Style::Code(count)),
            None => (b'\\', count, Style::Plain(0)),
        },
        _ => (b'\\', count, Style::Plain(0)),
    }
}

/// A percent-encoded character. Backslashes and the quote after them are one character, as in text
/// without encoding.
fn percent(rest: &[u8]) -> Option<(u8, usize, Style)> {
    let (byte, length, times) = percent_once(rest)?;
    if byte != b'\\' {
        return Some((byte, length, Style::Percent(times, 0)));
    }
    let spelling = rest.get(..length)?;
    let is_next = |at: usize| rest.get(at..at + length).is_some_and(|next| next.eq_ignore_ascii_case(spelling));
    let mut count = 1;
    while is_next(count * length) {
        count += 1;
    }
    let backslashes = count * length;
    match percent_once(rest.get(backslashes..)?) {
        Some((quote @ (b'"' | b'\''), length, same)) if same == times => {
            Some((quote, backslashes + length, Style::Percent(times, count)))
        }
        _ => Some((b'\\', backslashes, Style::Percent(times, 0))),
    }
}

/// A percent-encoded character, its length, and how often it is encoded.
fn percent_once(rest: &[u8]) -> Option<(u8, usize, usize)> {
    let times = rest.strip_prefix(b"%")?.chunks_exact(2).take_while(|pair| *pair == b"25").count();
    // `%25` by itself is a percent sign.
    for times in [Some(times), times.checked_sub(1)].into_iter().flatten() {
        let digits = 1 + 2 * times;
        if let Some(byte) = rest.get(digits..digits + 2).and_then(|d| str::from_utf8(d).ok())
            && let Ok(byte) = u8::from_str_radix(byte, 16)
        {
            return Some((byte, digits + 2, times + 1));
        }
    }
    None
}

fn entity(rest: &[u8]) -> Option<(u8, usize, Style)> {
    let times = rest.get(1..)?.chunks_exact(4).take_while(|name| *name == b"amp;").count();
    for times in [Some(times), times.checked_sub(1)].into_iter().flatten() {
        let start = 1 + 4 * times;
        let name = rest.get(start..rest.len().min(start + MAX_LEN))?;
        let Some(length) = memchr::memchr(b';', name) else { continue };
        let name = name.get(..length)?;
        let byte = match name {
            [b'#', b'x' | b'X', digits @ ..] => u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok(),
            [b'#', digits @ ..] => str::from_utf8(digits).ok()?.parse().ok(),
            name => ENTITIES.iter().find(|(known, _)| *known == name).map(|(_, byte)| *byte),
        };
        if let Some(byte) = byte.filter(u8::is_ascii) {
            return Some((byte, start + length + 1, Style::Entity(times + 1, 0)));
        }
    }
    None
}

/// The character that ends at a place; does not look before `from`.
pub(super) fn unit_before(text: &[u8], from: usize, at: usize) -> Option<Unit> {
    let last = at.checked_sub(1).filter(|&last| last >= from)?;
    let byte = *text.get(last)?;
    if matches!(byte, b'"' | b'\'' | b'`') {
        let count = backslashes_before(text, from, last);
        return Some(Unit { byte, start: last - count, end: at, style: Style::Plain(count) });
    }
    // Only these bytes can end a longer spelling.
    if byte.is_ascii_alphanumeric() || byte == b';' || !byte.is_ascii() {
        for start in (from.max(at.saturating_sub(MAX_LEN))..last).rev() {
            let Some(&first) = text.get(start) else { continue };
            if first == b'\\' {
                let start = start - backslashes_before(text, from, start);
                if let Some(unit) = unit(text, start).filter(|unit| unit.end == at) {
                    return Some(unit);
                }
                break;
            }
            if (matches!(first, b'%' | b'&') || !first.is_ascii())
                && let Some(unit) = unit(text, start).filter(|unit| unit.end == at)
            {
                return Some(with_backslashes(text, from, unit));
            }
            if first != b'%'
                && first != b'&'
                && first != b'#'
                && first != b';'
                && first.is_ascii()
                && !first.is_ascii_alphanumeric()
            {
                break;
            }
        }
    }
    Some(Unit { byte, start: last, end: at, style: Style::Plain(0) })
}

/// An encoded quote with the backslashes before it.
fn with_backslashes(text: &[u8], from: usize, mut quote: Unit) -> Unit {
    if !quote.is_quote() {
        return quote;
    }
    match &mut quote.style {
        Style::Entity(_, count) => {
            *count = backslashes_before(text, from, quote.start);
            quote.start -= *count;
        }
        Style::Percent(_, count) => {
            let length = quote.end - quote.start;
            let is_like_it = |spelled: &[u8]| {
                matches!(spelled.split_last_chunk::<2>(), Some((times, b"5C" | b"5c"))
                    if text.get(quote.end - length..quote.end - 2) == Some(times))
            };
            while let Some(before) = quote.start.checked_sub(length).filter(|before| *before >= from)
                && text.get(before..quote.start).is_some_and(is_like_it)
            {
                (*count, quote.start) = (*count + 1, before);
            }
        }
        _ => {}
    }
    quote
}

/// Where the white space that begins here ends, including escaped white space.
pub(super) fn spaces(text: &[u8], mut at: usize, line_feeds: bool) -> usize {
    // Forms spell a space as a plus sign.
    let mut is_form = false;
    while let Some(next) = unit(text, at) {
        is_form = is_form || (next.byte == b'+' && ends_with_percent_escape(text.get(..at).unwrap_or_default()));
        let is_space = next.is_space() || (is_form && next.byte == b'+');
        if !is_space || (next.is_line_feed() && !line_feeds) {
            break;
        }
        at = next.end;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_read_in_every_spelling() {
        for (text, byte, style) in [
            ("\"", b'"', Style::Plain(0)),
            (r#"\\\""#, b'"', Style::Plain(3)),
            (r"\'", b'\'', Style::Plain(1)),
            (r"\u0022", b'"', Style::Code(1)),
            (r"\\u003a", b':', Style::Code(2)),
            (r"\x27", b'\'', Style::Code(1)),
            ("%22", b'"', Style::Percent(1, 0)),
            ("%252522", b'"', Style::Percent(3, 0)),
            ("%25", b'%', Style::Percent(1, 0)),
            ("%3d", b'=', Style::Percent(1, 0)),
            ("&quot;", b'"', Style::Entity(1, 0)),
            ("&amp;amp;quot;", b'"', Style::Entity(3, 0)),
            ("&#39;", b'\'', Style::Entity(1, 0)),
            ("&#x3A;", b':', Style::Entity(1, 0)),
            ("&amp;", b'&', Style::Entity(1, 0)),
            ("\u{201c}", b'"', Style::Typographic),
            ("\u{2019}", b'\'', Style::Typographic),
            (r"\n", b'\n', Style::Plain(1)),
        ] {
            let expected = Unit { byte, start: 1, end: 1 + text.len(), style };
            let text = format!("x{text}");
            assert_eq!(unit(text.as_bytes(), 1), Some(expected), "{text}");
            if !text.ends_with("amp;") {
                assert_eq!(unit_before(text.as_bytes(), 0, text.len()), Some(expected), "{text}");
            }
        }
        for (text, byte) in [("%zz", b'%'), ("&x", b'&'), ("a", b'a'), (r"\d", b'\\')] {
            assert_eq!(unit(text.as_bytes(), 0).map(|u| (u.byte, u.end)), Some((byte, 1)), "{text}");
        }
        assert_eq!(unit(b"a", 1), None);
        assert_eq!(unit_before(b"a", 1, 1), None);
    }
}
