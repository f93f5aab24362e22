//! Access logs whose lines follow a layout: values with fixed texts between them.

use memchr::{memchr, memchr2};

use super::Fault;
use crate::object::{Object, decimal, key, put, write_clean, write_string};

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Text without the byte that follows it.
    Text,
    /// A user, who may have spaces in his name.
    User,
    /// Digits.
    Integer,
    /// Digits, perhaps with a fraction.
    Number,
    /// A number, or a list of them where a request went to several servers: `502, 200 : 200`.
    List,
    /// `GET /path HTTP/1.1`.
    Request,
}

/// A value and the text that follows it.
#[derive(Clone, Debug)]
pub(super) struct Part {
    /// The key with its quotes and the colon; empty where the value is of no use.
    key: String,
    kind: Kind,
    is_quoted: bool,
    /// Text behind the value; empty at the end of the layout only.
    after: Vec<u8>,
}

/// The form of a line.
#[derive(Clone, Debug, Default)]
pub(super) struct Layout {
    before: Vec<u8>,
    parts: Vec<Part>,
}

impl Layout {
    /// Appends a text that each line has at this place.
    pub(super) fn literal(&mut self, text: &[u8]) {
        match self.parts.last_mut() {
            Some(part) => part.after.extend_from_slice(text),
            None => self.before.extend_from_slice(text),
        }
    }

    /// Appends a value. Fails where no text stands between it and the value before it, or where the key is used twice.
    pub(super) fn value(&mut self, name: &str, kind: Kind) -> Result<(), String> {
        let mut key = Vec::new();
        write_string(name.as_bytes(), &mut key);
        key.push(b':');
        let key = String::from_utf8(key).unwrap_or_default();
        let before = match self.parts.last() {
            Some(part) if part.after.is_empty() => return Err(format!("no text stands before `{name}`")),
            Some(part) => &part.after,
            None => &self.before,
        };
        if self.parts.iter().any(|part| part.key == key) {
            return Err(format!("`{name}` occurs twice"));
        }
        let is_quoted = before.ends_with(b"\"");
        self.parts.push(Part { key, kind, is_quoted, after: Vec::new() });
        Ok(())
    }

    /// Whether there is no value.
    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Writes the values of a line. Returns `None` where the line has another form, and leaves a part of it in `object`.
    pub(super) fn read(&self, line: &[u8], object: &mut Object<'_>, decoded: &mut Vec<u8>) -> Option<()> {
        let mut rest = line.strip_prefix(self.before.as_slice())?;
        for part in &self.parts {
            let end = part.end(rest)?;
            let (value, after) = rest.split_at_checked(end)?;
            rest = after.get(part.after.len()..)?;
            if !matches!(value, b"-" | b"") {
                part.write(value, object, decoded)?;
            }
        }
        rest.is_empty().then_some(())
    }
}

impl Part {
    /// Where the value at the start of a text ends.
    #[inline]
    fn end(&self, text: &[u8]) -> Option<usize> {
        let Some(&stop) = self.after.first() else { return Some(text.len()) };
        let is_quoted = self.is_quoted && stop == b'"';
        let mut at = 0;
        loop {
            let rest = text.get(at..)?;
            at += if is_quoted { memchr2(stop, b'\\', rest)? } else { memchr(stop, rest)? };
            let rest = text.get(at..)?;
            if is_quoted && rest.starts_with(b"\\") {
                at += 2;
                continue;
            }
            let goes_on = match self.kind {
                Kind::User => !rest.starts_with(&self.after),
                Kind::List => {
                    let before = text.get(..at)?;
                    stop == b' ' && (before.ends_with(b",") || before.ends_with(b" :") || rest.starts_with(b" : "))
                }
                _ => false,
            };
            if !goes_on {
                return rest.starts_with(&self.after).then_some(at);
            }
            at += 1;
        }
    }

    fn write(&self, value: &[u8], object: &mut Object<'_>, decoded: &mut Vec<u8>) -> Option<()> {
        let key = self.key.as_str();
        match self.kind {
            Kind::Text => write_text(key, value, object, decoded),
            // The name of no user begins like this, so more values stand here than the layout has.
            Kind::User if value.starts_with(b"- ") => return None,
            Kind::User => write_text(key, value, object, decoded),
            Kind::Integer => object.raw(key, decimal(value)?),
            Kind::Number if is_fraction(value) => object.raw(key, value),
            Kind::Number => object.raw(key, decimal(value)?),
            Kind::List if is_fraction(value) => object.raw(key, value),
            Kind::List => object.number_or_text(key, value),
            Kind::Request => write_request(value, object, decoded),
        }
        Some(())
    }
}

/// Whether a text is a number with a fraction as JSON has it.
fn is_fraction(text: &[u8]) -> bool {
    let Some(point) = memchr(b'.', text) else { return false };
    let (whole, fraction) = text.split_at(point);
    let is_digits = |text: &[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let is_whole = is_digits(whole) && (whole.len() == 1 || !whole.starts_with(b"0"));
    is_whole && is_digits(fraction.get(1..).unwrap_or_default())
}

/// Writes method, path and protocol of a request line, or the whole line if it is not a request line.
pub(super) fn write_request(line: &[u8], object: &mut Object<'_>, decoded: &mut Vec<u8>) {
    let Some((method, path, protocol)) = request(line) else {
        return write_text(key!("request"), line, object, decoded);
    };
    object.text(key!("method"), method);
    write_text(key!("path"), path, object, decoded);
    if let Some(protocol) = protocol {
        object.text(key!("protocol"), protocol);
    }
}

/// Method, path and protocol of a request line.
type RequestLine<'a> = (&'a [u8], &'a [u8], Option<&'a [u8]>);

/// Splits a request line. HTTP 0.9 has no protocol; paths of bad clients hold spaces.
pub(super) fn request(line: &[u8]) -> Option<RequestLine<'_>> {
    let (method, rest) = line.split_at_checked(memchr(b' ', line)?)?;
    let is_method = |byte: &u8| byte.is_ascii_uppercase() || matches!(byte, b'-' | b'_');
    let rest = rest.get(1..)?;
    if method.is_empty() || method.len() > 32 || !method.iter().all(is_method) || rest.is_empty() {
        return None;
    }
    let Some(space) = memchr::memrchr(b' ', rest) else { return Some((method, rest, None)) };
    let (path, protocol) = (rest.get(..space)?, rest.get(space + 1..)?);
    let (name, version) = protocol.split_at_checked(memchr(b'/', protocol)?)?;
    let is_version = version.len() > 1 && version.iter().skip(1).all(|byte| byte.is_ascii_digit() || *byte == b'.');
    let is_protocol = is_version && !name.is_empty() && name.iter().all(u8::is_ascii_uppercase);
    (is_protocol && !path.is_empty()).then_some((method, path, Some(protocol)))
}

/// Writes a member, with the escapes of the server resolved where that gives text without control characters.
#[inline]
pub(super) fn write_text(key: &str, value: &[u8], object: &mut Object<'_>, decoded: &mut Vec<u8>) {
    if memchr(b'\\', value).is_none() {
        return object.text(key, value);
    }
    decoded.clear();
    decode(value, decoded);
    let is_text = std::str::from_utf8(decoded).is_ok_and(|text| !text.contains(|c: char| c.is_control()));
    put(key.as_bytes(), object.out);
    write_clean(if is_text { decoded } else { value }, object.out);
    object.out.push(b',');
}

/// Resolves `\xHH`, `\"`, `\\` and the control characters of C.
fn decode(mut value: &[u8], out: &mut Vec<u8>) {
    while let Some(at) = memchr(b'\\', value) {
        put(value.get(..at).unwrap_or_default(), out);
        let escape = value.get(at + 1..).unwrap_or_default();
        let hex = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let (byte, length) = match escape {
            [b'x' | b'X', high, low, ..] if let (Some(high), Some(low)) = (hex(*high), hex(*low)) => {
                (high << 4 | low, 3)
            }
            [b'n', ..] => (b'\n', 1),
            [b't', ..] => (b'\t', 1),
            [b'r', ..] => (b'\r', 1),
            [byte @ (b'"' | b'\\'), ..] => (*byte, 1),
            _ => (b'\\', 0),
        };
        out.push(byte);
        value = escape.get(length..).unwrap_or_default();
    }
    put(value, out);
}

/// Layouts to try, the one that fitted last first.
pub(super) struct Layouts {
    layouts: Vec<Layout>,
    last: usize,
    decoded: Vec<u8>,
}

impl Layouts {
    pub(super) fn new(layouts: Vec<Layout>) -> Self {
        Self { layouts, last: 0, decoded: Vec::new() }
    }

    /// Appends the object of a line; returns whether a layout fits.
    pub(super) fn read(&mut self, line: &[u8], out: &mut Vec<u8>) -> bool {
        let start = out.len();
        let others = (0..self.layouts.len()).filter(|number| *number != self.last);
        for number in std::iter::once(self.last).chain(others) {
            let Some(layout) = self.layouts.get(number) else { continue };
            let mut object = Object::begin(out);
            if layout.read(line, &mut object, &mut self.decoded).is_some() {
                object.end();
                self.last = number;
                return true;
            }
            out.truncate(start);
        }
        false
    }
}

/// A fault of a line that fits no layout.
pub(super) fn no_layout<T>(code: &'static str, what: &str) -> Result<T, Fault> {
    Err(Fault { code, message: format!("is no line of {what}; set `log_format` to the format of the server") })
}
