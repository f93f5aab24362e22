//! Writes JSON objects member by member.

use wattle_node::json;

/// Bytes that one step copies.
const STEP: usize = 16;

/// A key that is known when the node is compiled, with its quotes and the colon.
macro_rules! key {
    ($name:literal) => {
        concat!("\"", $name, "\":")
    };
}

pub(crate) use key;

/// An object that is being written. Each member ends with a comma; [`Object::end`] replaces the last one.
pub(crate) struct Object<'a> {
    pub(crate) out: &'a mut Vec<u8>,
}

impl<'a> Object<'a> {
    #[inline]
    pub(crate) fn begin(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out }
    }

    /// A member whose value is a string.
    #[inline]
    pub(crate) fn text(&mut self, key: &str, value: &[u8]) {
        put(key.as_bytes(), self.out);
        write_clean(value, self.out);
        self.out.push(b',');
    }

    /// As [`Object::text`], but no member where the value is `-`, which many formats write for no value, or empty.
    #[inline]
    pub(crate) fn text_unless_nil(&mut self, key: &str, value: &[u8]) {
        if !is_nil(value) {
            self.text(key, value);
        }
    }

    /// A member whose value is written as it stands: digits, or a JSON text.
    #[inline]
    pub(crate) fn raw(&mut self, key: &str, json: &[u8]) {
        put(key.as_bytes(), self.out);
        put(json, self.out);
        self.out.push(b',');
    }

    /// A number where the text consists of digits, else a string.
    #[inline]
    pub(crate) fn number_or_text(&mut self, key: &str, value: &[u8]) {
        match decimal(value) {
            Some(digits) => self.raw(key, digits),
            None => self.text(key, value),
        }
    }

    /// A member whose value is an object or an array that the caller writes.
    #[inline]
    pub(crate) fn nested(&mut self, key: &str) -> Object<'_> {
        put(key.as_bytes(), self.out);
        Object::begin(self.out)
    }

    #[inline]
    pub(crate) fn end(self) {
        close(b'}', self.out);
    }
}

/// Ends an object or an array whose members each end with a comma.
#[inline]
pub(crate) fn close(bracket: u8, out: &mut Vec<u8>) {
    match out.last_mut() {
        Some(last) if *last == b',' => *last = bracket,
        _ => out.push(bracket),
    }
}

/// Whether a value stands for no value.
#[inline]
pub(crate) fn is_nil(value: &[u8]) -> bool {
    matches!(value, b"-" | b"")
}

/// The digits of a decimal number as JSON allows them; `None` where the text is something else or so long that readers
/// of JSON round it.
#[inline]
pub(crate) fn decimal(text: &[u8]) -> Option<&[u8]> {
    if text.is_empty() || text.len() > 18 || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let zeros = text.iter().take(text.len() - 1).take_while(|byte| **byte == b'0').count();
    text.get(zeros..)
}

/// Appends a string with its quotes; bytes that are not UTF-8 become U+FFFD.
pub(crate) fn write_string(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    json::escape(text, out);
    out.push(b'"');
}

/// Appends a string with its quotes. The text must be UTF-8, as the pieces of a row between ASCII bytes are.
#[inline]
pub(crate) fn write_clean(text: &[u8], out: &mut Vec<u8>) {
    if has_stop(text) {
        return write_string(text, out);
    }
    out.push(b'"');
    put(text, out);
    out.push(b'"');
}

/// Whether a text holds bytes that a JSON string must escape.
#[inline]
fn has_stop(text: &[u8]) -> bool {
    // No early exit, so that the compiler looks at 16 bytes at once.
    let has =
        |bytes: &[u8]| bytes.iter().fold(false, |has, &byte| has | (byte < b' ') | (byte == b'"') | (byte == b'\\'));
    let (chunks, rest) = text.as_chunks::<STEP>();
    chunks.iter().fold(false, |found, chunk| found | has(chunk)) | has(rest)
}

/// Appends a text by copies of fixed lengths: a copy of variable length is a call out of the sandbox, which costs more
/// than the few bytes of most values.
#[inline]
pub(crate) fn put(text: &[u8], out: &mut Vec<u8>) {
    if text.len() > 16 * STEP {
        return out.extend_from_slice(text);
    }
    let (chunks, rest) = text.as_chunks::<STEP>();
    out.reserve(text.len());
    for chunk in chunks {
        out.extend_from_slice(chunk);
    }
    let (pieces, rest) = rest.as_chunks::<4>();
    for piece in pieces {
        out.extend_from_slice(piece);
    }
    for byte in rest {
        out.push(*byte);
    }
}
