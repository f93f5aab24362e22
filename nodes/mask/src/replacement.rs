//! The replacement of a masked value, written so the text around it keeps its meaning.

mod shape;

use std::ops::Range;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use wattle_node::json::{escape, unescape_lossy};

use crate::span::{Place, Span};

/// The default replacement.
pub(crate) const DEFAULT: &str = "*******************";

/// Number of bytes of a hash to write, each as two hexadecimal digits.
const HASH_BYTES: usize = 16;

/// A way to replace values.
#[derive(Clone)]
pub(crate) enum Replacement {
    /// Always the same text.
    Fixed(Box<str>),
    /// The first characters stay.
    KeepFirst(usize, char),
    /// The last characters stay.
    KeepLast(usize, char),
    /// One character, as often as the value has characters.
    SameLength(char),
    /// Each letter becomes `x` or `X`, each digit `1`; everything else stays.
    SameShape,
    /// HMAC-SHA-256 with this key.
    Hash(Box<Hmac<Sha256>>),
}

/// Writes replacements; reuses its buffers.
#[derive(Default)]
pub(crate) struct Writer {
    value: Vec<u8>,
    other: Vec<u8>,
}

impl Replacement {
    /// Creates a keyed hash. Any key is possible except an empty one, which hides nothing.
    pub(crate) fn hash(key: &str) -> Option<Self> {
        Hmac::<Sha256>::new_from_slice(key.as_bytes()).ok().map(|mac| Self::Hash(Box::new(mac)))
    }

    /// The replacement of every value, if it depends on neither escapes nor the value.
    pub(crate) fn constant(&self) -> Option<&str> {
        match self {
            Self::Fixed(text) if is_plain(text) => Some(text),
            _ => None,
        }
    }
}

/// Whether a text needs no escapes inside a JSON string.
pub(crate) fn is_plain(text: &str) -> bool {
    text.chars().all(is_plain_char)
}

/// Whether a character needs no escape inside a JSON string.
pub(crate) fn is_plain_char(char: char) -> bool {
    !matches!(char, '"' | '\\' | '\0'..='\u{1f}')
}

impl Writer {
    /// Appends the replacement of `raw`, the text of `span`, to `out`.
    pub(crate) fn write(&mut self, replacement: &Replacement, raw: &[u8], span: &Span, out: &mut Vec<u8>) {
        let (depth, quoted) = match span.place {
            Place::Text => return self.write_text(replacement, raw, out),
            Place::Content(depth) => (depth, false),
            Place::Bare(depth) => (depth, true),
        };
        self.read(raw, depth);
        let Self { value, other } = self;
        if quoted && matches!(replacement, Replacement::SameShape) && shape::bare(value, out) {
            return;
        }
        other.clear();
        render(replacement, value, other);
        for _ in 0..=depth {
            if !other.iter().any(|&b| b < b' ' || b == b'"' || b == b'\\') {
                break;
            }
            value.clear();
            escape(other, value);
            std::mem::swap(value, other);
        }
        if quoted {
            write_quote(depth, out);
        }
        out.extend_from_slice(other);
        if quoted {
            write_quote(depth, out);
        }
    }

    /// The value of a string's content, after `depth` quotes around it were escaped.
    pub(crate) fn value(&mut self, raw: &[u8], place: Place) -> &[u8] {
        match place {
            Place::Text => self.read(raw, 0),
            Place::Content(depth) | Place::Bare(depth) => self.read(raw, depth),
        }
        &self.value
    }

    fn read(&mut self, raw: &[u8], depth: u32) {
        let Self { value, other } = self;
        value.clear();
        value.extend_from_slice(raw);
        for _ in 0..=depth {
            if !value.contains(&b'\\') {
                break;
            }
            other.clear();
            unescape_lossy(value, other);
            std::mem::swap(value, other);
        }
    }

    /// Without knowledge of the place, nothing is unescaped, and the kept part must not contain a
    /// byte that can belong to an escape.
    fn write_text(&mut self, replacement: &Replacement, raw: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        match replacement {
            Replacement::Fixed(text) if !is_plain(text) => escape(text.as_bytes(), out),
            Replacement::SameShape => shape::escaped(raw, out),
            _ => render(replacement, raw, out),
        }
        if let Replacement::KeepFirst(_, fill) | Replacement::KeepLast(_, fill) = replacement {
            let Self { value, .. } = self;
            value.clear();
            value.extend_from_slice(out.get(start..).unwrap_or_default());
            out.truncate(start);
            for chunk in value.utf8_chunks() {
                chunk.valid().chars().for_each(|c| push(if is_plain_char(c) { c } else { *fill }, out));
                out.extend_from_slice(chunk.invalid());
            }
        }
    }
}

fn render(replacement: &Replacement, value: &[u8], out: &mut Vec<u8>) {
    match replacement {
        Replacement::Fixed(text) => out.extend_from_slice(text.as_bytes()),
        Replacement::SameLength(fill) => keep(value, 0..0, *fill, out),
        Replacement::SameShape => shape::text(value, out),
        // A value that would be kept completely is masked completely.
        Replacement::KeepFirst(count, fill) => match characters(value) {
            length if *count < length => keep(value, 0..*count, *fill, out),
            _ => keep(value, 0..0, *fill, out),
        },
        Replacement::KeepLast(count, fill) => match characters(value) {
            length if *count < length => keep(value, length - count..length, *fill, out),
            _ => keep(value, 0..0, *fill, out),
        },
        Replacement::Hash(mac) => {
            let mut mac = mac.as_ref().clone();
            mac.update(value);
            out.extend_from_slice(b"hmac-sha256:");
            let digit = |d: u8| if d < 10 { b'0' + d } else { b'a' - 10 + d };
            for byte in mac.finalize().into_bytes().iter().take(HASH_BYTES) {
                out.extend_from_slice(&[digit(byte >> 4), digit(byte & 0xf)]);
            }
        }
    }
}

/// Each piece of invalid UTF-8 counts as one character, and is never kept.
fn characters(value: &[u8]) -> usize {
    value.utf8_chunks().map(|c| c.valid().chars().count() + usize::from(!c.invalid().is_empty())).sum()
}

/// Writes a value that keeps the characters of a range and fills the others.
fn keep(value: &[u8], kept: Range<usize>, fill: char, out: &mut Vec<u8>) {
    let mut index = 0;
    for chunk in value.utf8_chunks() {
        for char in chunk.valid().chars() {
            push(if kept.contains(&index) { char } else { fill }, out);
            index += 1;
        }
        if !chunk.invalid().is_empty() {
            push(fill, out);
            index += 1;
        }
    }
}

fn push(char: char, out: &mut Vec<u8>) {
    out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
}

/// Writes a quote that is escaped `depth` times.
fn write_quote(depth: u32, out: &mut Vec<u8>) {
    // The text contained such a quote, so the result is not longer than the text.
    let backslashes = 1_usize.checked_shl(depth).unwrap_or(1) - 1;
    out.extend(std::iter::repeat_n(b'\\', backslashes));
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(replacement: &Replacement, raw: &str, place: Place, expected: &str) {
        let mut out = Vec::new();
        let span = Span { start: 0, end: raw.len(), rule: 0, place };
        Writer::default().write(replacement, raw.as_bytes(), &span, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), expected, "{raw} {place:?}");
    }

    #[test]
    fn characters_are_counted_by_value_not_by_spelling() {
        use Place::{Bare, Content, Text};
        let first = Replacement::KeepFirst(2, '*');
        check(&first, "abcd", Content(0), "ab**");
        check(&first, "ab", Content(0), "**");
        check(&first, "", Content(0), "");
        check(&first, r#"\"\u00e9cd"#, Content(0), r#"\"é**"#);
        check(&first, r#"\\\"xyz"#, Content(1), r#"\\\"x**"#);
        check(&first, "äöü", Text, "äö*");
        check(&first, r#"\"abc"#, Text, "*****");
        check(&Replacement::KeepLast(4, 'x'), "1234567890", Content(3), "xxxxxx7890");
        check(&Replacement::KeepLast(9, 'x'), "123", Content(0), "xxx");
        check(&Replacement::SameLength('#'), r"a\nb\u0041", Content(0), "####");
        check(&Replacement::SameLength('#'), "12", Bare(0), "\"##\"");
        check(&Replacement::SameLength('é'), "123", Bare(1), r#"\"ééé\""#);
    }

    #[test]
    fn the_shape_of_a_value_stays() {
        use Place::{Bare, Content, Text};
        let shape = Replacement::SameShape;
        check(&shape, "Hunter-2!", Text, "Xxxxxx-1!");
        check(&shape, "4111 1111", Text, "1111 1111");
        check(&shape, "äÖ世٣\u{1b}", Text, "xXx1\u{1b}");
        // Escapes stay escapes, in JSON and in a query.
        check(&shape, r#"a\"b\nc\u00e9\\"#, Text, r#"x\"x\nx\u0078\\"#);
        check(&shape, r"a\qb\u12", Text, r"x\xx\u11");
        check(&shape, "p%40ss%2525%zz%", Text, "x%78xx%7811%xx%");
        check(&shape, r#"a\"\u00e9"#, Content(0), r#"x\"x"#);
        check(&shape, r#"a\\\"b"#, Content(1), r#"x\\\"x"#);
        // Numbers stay numbers.
        check(&shape, "-120.5e9", Bare(0), "-111.1e1");
        check(&shape, "false", Bare(1), "true");
        check(&shape, "NaN", Bare(1), r#"\"XxX\""#);
        check(&shape, "e5", Bare(0), "\"x1\"");
    }

    #[test]
    fn fixed_text_is_escaped_for_its_place() {
        use Place::{Bare, Content, Text};
        let quoted = Replacement::Fixed(r#"a"b"#.into());
        assert_eq!(quoted.constant(), None);
        check(&quoted, "x", Content(0), r#"a\"b"#);
        check(&quoted, "x", Content(1), r#"a\\\"b"#);
        check(&quoted, "x", Content(2), r#"a\\\\\\\"b"#);
        check(&quoted, "5", Bare(0), r#""a\"b""#);
        check(&quoted, "x", Text, r#"a\"b"#);
        let plain = Replacement::Fixed("***".into());
        assert_eq!(plain.constant(), Some("***"));
        check(&plain, "5", Bare(2), r#"\\\"***\\\""#);
    }

    #[test]
    fn equal_values_have_the_same_hash_at_every_depth() {
        // `printf 'a"b' | openssl dgst -sha256 -hmac key`
        let hash = Replacement::hash("key").unwrap();
        let expected = "hmac-sha256:d12c3a623eb0c47e82ad1b99c7d9f733";
        check(&hash, r#"a\"b"#, Place::Content(0), expected);
        check(&hash, r#"a\\\"b"#, Place::Content(1), expected);
        check(&hash, r"a\u0022b", Place::Content(0), expected);
        check(&hash, r#"a"b"#, Place::Text, expected);
    }
}
