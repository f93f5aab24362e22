//! Writes and reads the members of JSON objects.

use std::borrow::Cow;
use std::io::Write as _;

use bytes::Bytes;
use wattle_json::{Kind, Value};

/// An object that is being written.
pub(crate) struct Object<'a> {
    pub(crate) out: &'a mut Vec<u8>,
    is_empty: bool,
}

impl<'a> Object<'a> {
    /// Begins an object.
    pub(crate) fn begin(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, is_empty: true }
    }

    /// Continues an object that has no closing brace.
    pub(crate) fn after(out: &'a mut Vec<u8>) -> Self {
        let is_empty = out.last() == Some(&b'{');
        Self { out, is_empty }
    }

    /// Ends the object.
    pub(crate) fn end(self) {
        self.out.push(b'}');
    }

    /// Writes a key; its value follows.
    pub(crate) fn key(&mut self, key: &[u8]) -> &mut Vec<u8> {
        if !std::mem::take(&mut self.is_empty) {
            self.out.push(b',');
        }
        text(key, self.out);
        self.out.push(b':');
        self.out
    }

    /// Writes a member with a number, a boolean or another value that is written as it is displayed.
    pub(crate) fn display(&mut self, key: &str, value: impl std::fmt::Display) {
        // Writing to memory does not fail.
        let _ = write!(self.key(key.as_bytes()), "{value}");
    }

    /// Writes a member with a text, unless it is empty.
    pub(crate) fn text(&mut self, key: &str, value: &[u8]) {
        if !value.is_empty() {
            text(value, self.key(key.as_bytes()));
        }
    }

    /// Writes a member with a number, unless it is 0.
    pub(crate) fn number(&mut self, key: &str, value: impl Into<i128>) {
        let value = value.into();
        if value != 0 {
            self.display(key, value);
        }
    }
}

/// Writes a list.
pub(crate) fn list<T>(values: &[T], out: &mut Vec<u8>, mut write: impl FnMut(&T, &mut Vec<u8>)) {
    out.push(b'[');
    for (index, value) in values.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(value, out);
    }
    out.push(b']');
}

/// Writes a text as a JSON string; bytes that are not UTF-8 become U+FFFD.
pub(crate) fn text(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    match std::str::from_utf8(text) {
        Ok(_) => wattle_json::escape(text, out),
        Err(_) => wattle_json::escape(String::from_utf8_lossy(text).as_bytes(), out),
    }
    out.push(b'"');
}

/// A JSON value that is being read.
#[derive(Clone, Copy)]
pub(crate) struct Read<'t> {
    pub(crate) text: &'t [u8],
    pub(crate) value: Value,
}

impl<'t> Read<'t> {
    /// The value that a text is; `None` if it is not JSON.
    pub(crate) fn of(text: &'t [u8]) -> Option<Self> {
        wattle_json::skip(text, 0).ok().map(|value| Self { text, value })
    }

    /// Calls `found` with the key and value of each member; none if this is not an object.
    pub(crate) fn members(self, mut found: impl FnMut(&[u8], Self)) {
        // An invalid object ends at the error; the host has checked what nodes wrote.
        let _ = wattle_json::members(self.text, self.value, |key, value| {
            found(&unescaped(key.string(self.text).unwrap_or_default()), Self { text: self.text, value });
        });
    }

    /// The elements; none if this is not an array.
    pub(crate) fn elements(self) -> Vec<Self> {
        let mut found = Vec::new();
        let _ = wattle_json::elements(self.text, self.value, |value| found.push(Self { text: self.text, value }));
        found
    }

    /// The JSON of the value.
    pub(crate) fn json(self) -> &'t [u8] {
        self.value.text(self.text)
    }

    /// The text of a string, the JSON of another value; nothing for null.
    pub(crate) fn bytes(self) -> Cow<'t, [u8]> {
        match self.value.kind {
            Kind::String => unescaped(self.value.string(self.text).unwrap_or_default()),
            Kind::Null | Kind::Missing => Cow::default(),
            _ => self.json().into(),
        }
    }

    /// [`bytes`](Self::bytes) as a field of a message.
    pub(crate) fn to_field(self) -> Bytes {
        match self.bytes() {
            Cow::Borrowed(bytes) => Bytes::copy_from_slice(bytes),
            Cow::Owned(bytes) => bytes.into(),
        }
    }

    /// The value as a number, from a number or a string.
    pub(crate) fn parse<N: std::str::FromStr>(self) -> Option<N> {
        std::str::from_utf8(&self.bytes()).ok()?.parse().ok()
    }

    /// Whether this is `true`.
    pub(crate) fn is_true(self) -> bool {
        self.json() == b"true"
    }
}

/// The text of a string. Few strings have escapes; the others are not copied.
fn unescaped(inner: &[u8]) -> Cow<'_, [u8]> {
    if !inner.contains(&b'\\') {
        return inner.into();
    }
    let mut out = Vec::new();
    wattle_json::unescape_lossy(inner, &mut out);
    out.into()
}
