//! The formats `cef` and `leef`, alone or after a syslog header.

use memchr::memmem::Finder;
use memchr::{memchr, memchr2};

use super::{Fault, Read};
use crate::object::{Object, key, write_clean};
use crate::options::Options;
use crate::pairs::{Pairs, Piece};
use crate::scan::{is_digits, without_line_end};

/// ArcSight Common Event Format ("Implementing ArcSight Common Event Format", version 26).
pub(crate) struct Cef {
    start: Finder<'static>,
    labels: bool,
    pairs: Pairs,
    decoded: Vec<u8>,
}

/// The parts of the header after the version.
const CEF_HEADER: [&str; 6] = [
    key!("device_vendor"),
    key!("device_product"),
    key!("device_version"),
    key!("signature_id"),
    key!("name"),
    key!("severity"),
];

impl Cef {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            start: Finder::new(b"CEF:"),
            labels: options.labels.unwrap_or_default(),
            pairs: Pairs::default(),
            decoded: Vec::new(),
        }
    }

    fn header(&mut self, text: &[u8], mut at: usize, object: &mut Object<'_>) -> Option<usize> {
        let version = text.get(at..at + memchr(b'|', text.get(at..)?)?)?;
        is_digits(version).then_some(())?;
        object.number_or_text(key!("version"), version);
        at += version.len() + 1;
        for name in CEF_HEADER {
            let end = unescaped(text, at, b'|')?;
            self.decoded.clear();
            unescape(text.get(at..end)?, &mut self.decoded);
            object.text(name, &self.decoded);
            at = end + 1;
        }
        Some(at)
    }

    /// Reads pairs: a key is a word before `=`, and a value goes up to the next key. Returns `None` if other text than
    /// white space comes before the first key, since it belongs to no value.
    fn extension(&mut self, text: &[u8], start: usize) -> Option<()> {
        let Self { pairs, .. } = self;
        pairs.clear();
        let mut key = next_key(text, start);
        let before = text.get(start..key.map_or(text.len(), |(from, _)| from))?;
        before.trim_ascii().is_empty().then_some(())?;
        while let Some((from, equals)) = key {
            let value = equals + 1;
            key = next_key(text, value);
            // The space before the next key belongs to neither.
            let end = key.map_or(text.len(), |(next, _)| next);
            let raw = text.get(value..end).unwrap_or_default();
            let raw = if key.is_some() { raw.strip_suffix(b" ").unwrap_or(raw) } else { raw };
            let piece = if memchr(b'\\', raw).is_some() {
                pairs.make(|out| unescape(raw, out))
            } else {
                Piece::of(value, value + raw.len())
            };
            pairs.add(Piece::of(from, equals), piece);
        }
        Some(())
    }
}

impl Read for Cef {
    fn read(&mut self, text: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        let text = without_line_end(text);
        let fault = |message: &str| Err(Fault { code: "not-cef", message: message.into() });
        let Some(start) = self.start.find(text) else { return fault("has no `CEF:`") };
        let mut object = Object::begin(out);
        let Some(at) = self.header(text, start + 4, &mut object) else {
            return fault("has a header that is not `CEF:version|vendor|product|version|id|name|severity|`");
        };
        if self.extension(text, at).is_none() {
            return fault("has an extension that does not begin with a key and `=`");
        }
        let labels = if self.labels { labels(&self.pairs, text) } else { Vec::new() };
        let all = object.nested(key!("extension"));
        self.pairs.each(text, |key, values| {
            let renamed = labels.iter().find(|(labelled, _)| labelled.as_bytes() == key);
            let is_label = labels.iter().any(|(labelled, _)| {
                key.strip_suffix(b"Label").is_some_and(|labelled_key| labelled_key == labelled.as_bytes())
            });
            if !is_label {
                write_clean(renamed.map_or(key, |(_, name)| name.as_bytes()), all.out);
                all.out.push(b':');
                values.write(all.out, write_clean);
                all.out.push(b',');
            }
            Ok(())
        })?;
        all.end();
        object.out.push(b',');
        object.end();
        Ok(())
    }
}

/// The labelled keys, such as `cs1` of `cs1Label=Policy`, and their names. A name that would occur
/// twice is left out, and so is a label that occurs twice.
fn labels(pairs: &Pairs, text: &[u8]) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    let mut add = |prefix: &str, number: u32| {
        let key = format!("{prefix}{number}");
        let label = pairs.only(text, format!("{key}Label").as_bytes());
        let name = label.and_then(|label| std::str::from_utf8(label).ok()).unwrap_or_default();
        let is_free = pairs.find(text, name.as_bytes()).is_none() && !found.iter().any(|(_, known)| known == name);
        if !name.is_empty() && is_free && pairs.find(text, key.as_bytes()).is_some() {
            found.push((key, name.to_owned()));
        }
    };
    for number in 1..=6 {
        for prefix in ["cs", "cn", "cfp", "c6a", "flexString", "flexNumber", "flexDate", "deviceCustomDate"] {
            add(prefix, number);
        }
    }
    found
}

/// The next key of an extension: where it begins, and where its `=` stands.
fn next_key(text: &[u8], from: usize) -> Option<(usize, usize)> {
    let mut at = from;
    loop {
        let equals = at + memchr(b'=', text.get(at..)?)?;
        let before = text.get(from..equals)?;
        let is_key = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-' | b'[' | b']');
        let length = before.iter().rev().take_while(|byte| is_key(**byte)).count();
        let start = equals - length;
        // A key stands at the beginning, or after a space; `\=` is escaped.
        let is_first = start == from || text.get(start - 1) == Some(&b' ');
        if length > 0 && is_first {
            return Some((start, equals));
        }
        at = equals + 1;
    }
}

/// Where an unescaped byte stands.
fn unescaped(text: &[u8], mut at: usize, byte: u8) -> Option<usize> {
    loop {
        at += memchr2(byte, b'\\', text.get(at..)?)?;
        if text.get(at) == Some(&byte) {
            return Some(at);
        }
        at += 2;
    }
}

/// Resolves `\|`, `\=`, `\\`, `\n` and `\r`; before anything else a backslash is one.
fn unescape(mut text: &[u8], out: &mut Vec<u8>) {
    while let Some(at) = memchr(b'\\', text) {
        out.extend_from_slice(text.get(..at).unwrap_or_default());
        let (byte, length) = match text.get(at + 1) {
            Some(b'n') => (b'\n', 2),
            Some(b'r') => (b'\r', 2),
            Some(byte @ (b'|' | b'=' | b'\\')) => (*byte, 2),
            _ => (b'\\', 1),
        };
        out.push(byte);
        text = text.get(at + length..).unwrap_or_default();
    }
    out.extend_from_slice(text);
}

/// IBM QRadar Log Event Extended Format 1.0 and 2.0 ("LEEF event components").
pub(crate) struct Leef {
    start: Finder<'static>,
    pairs: Pairs,
}

impl Default for Leef {
    fn default() -> Self {
        Self { start: Finder::new(b"LEEF:"), pairs: Pairs::default() }
    }
}

const LEEF_HEADER: [&str; 4] =
    [key!("device_vendor"), key!("device_product"), key!("device_version"), key!("event_id")];

impl Leef {
    fn header(text: &[u8], mut at: usize, object: &mut Object<'_>) -> Option<(usize, u8)> {
        let mut part = || {
            let end = at + memchr(b'|', text.get(at..)?)?;
            let part = text.get(at..end)?;
            at = end + 1;
            Some(part)
        };
        let version = part()?;
        matches!(version, b"1.0" | b"2.0").then_some(())?;
        object.text(key!("version"), version);
        for name in LEEF_HEADER {
            object.text(name, part()?);
        }
        // Version 2.0 can name a separator, as a character or as `xHH` and `0xHH`.
        if version == b"1.0" {
            return Some((at, b'\t'));
        }
        let Some(separator) = part().filter(|separator| separator.len() <= 4) else { return Some((at, b'\t')) };
        let hex = separator.strip_prefix(b"0").unwrap_or(separator).strip_prefix(b"x").filter(|hex| hex.len() > 1);
        let byte = match (separator, hex) {
            ([], _) => b'\t',
            ([byte], _) => *byte,
            (_, Some(hex)) => u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok()?,
            _ => return None,
        };
        Some((at, byte))
    }
}

impl Read for Leef {
    fn read(&mut self, text: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        let text = without_line_end(text);
        let fault = |message: &str| Err(Fault { code: "not-leef", message: message.into() });
        let Some(start) = self.start.find(text) else { return fault("has no `LEEF:`") };
        let mut object = Object::begin(out);
        let Some((mut at, separator)) = Self::header(text, start + 5, &mut object) else {
            return fault("has a header that is not `LEEF:version|vendor|product|version|event|`");
        };
        self.pairs.clear();
        while at < text.len() {
            let rest = text.get(at..).unwrap_or_default();
            let end = at + memchr(separator, rest).unwrap_or(rest.len());
            let pair = text.get(at..end).unwrap_or_default();
            if let Some(equals) = memchr(b'=', pair) {
                self.pairs.add(Piece::of(at, at + equals), Piece::of(at + equals + 1, end));
            } else if !pair.trim_ascii().is_empty() {
                return fault("has an attribute without `=`; the separator may be another one");
            }
            at = end + 1;
        }
        let mut all = object.nested(key!("attributes"));
        self.pairs.write_all(text, &mut all)?;
        all.end();
        object.out.push(b',');
        object.end();
        Ok(())
    }
}
