//! Documents inside documents: what the rules unwrap, drop, and send to ports.

use std::io::Read;

use wattle_node::json::{self, Kind, Value, elements, find, skip};

use crate::children::{Children, MAX_JSON_DEPTH};
use crate::options::Decode;
use crate::records::{Fault, Found, Shapes, each_root};
use crate::rules::{Action, Unwrap};

/// How deep documents may be in each other. An SQS message with an SNS notification with an event of
/// EventBridge needs 4.
const MAX_DEPTH: usize = 16;
/// What the encoded values of a row may decode to, all together.
pub(super) const MAX_DECODED_BYTES: usize = 32 << 20;
/// Maximum bytes that a byte of an encoded value may decode to. The host's limit for the output of a
/// node is 64 times its input.
const MAX_RATIO: usize = 48;
/// A value that decodes to at most this many bytes may have any ratio, since the host allows 1 MiB in
/// any case.
const ANY_RATIO_BYTES: usize = 768 << 10;

impl Children {
    /// Adds what is not a record: documents with a rule, and elements that may have one.
    pub(super) fn add_nested(&mut self, base: Option<u32>, text: &[u8], found: Found, shapes: &Shapes, depth: usize) {
        if self.is_lost(shapes) {
            return;
        }
        match found {
            Found::Record(value) | Found::Unchanged(value) => {
                self.push_unchanged(base, text, value.start, value.end, 0)
            }
            Found::Element(value) => self.document(base, text, value, shapes, depth + 1, None),
            Found::Matched(rule, value) => match shapes.rules.action(rule) {
                Some(Action::Drop(_)) => self.drops.push(rule),
                Some(Action::Port(port)) => self.push_unchanged(base, text, value.start, value.end, *port),
                Some(Action::Unwrap(unwrap)) => {
                    let before = self.mark();
                    if let Err(fault) = self.unwrap(base, text, value, shapes, depth, (rule, unwrap)) {
                        self.take_back(before);
                        self.push_broken(base, text, value, shapes, fault);
                    }
                }
                Some(Action::Fail(_)) | None => {
                    self.push_broken(base, text, value, shapes, Fault::Unsupported(rule));
                }
            },
        }
    }

    /// Adds what is in a document of its own, which the rule `from` unwrapped.
    fn document(
        &mut self,
        base: Option<u32>,
        text: &[u8],
        value: Value,
        shapes: &Shapes,
        depth: usize,
        from: Option<usize>,
    ) {
        if self.is_lost(shapes) {
            return;
        }
        let inner = value.text(text);
        let before = self.mark();
        let done = if depth > MAX_DEPTH {
            Err(Fault::TooDeep(MAX_DEPTH))
        } else if shapes.passes(inner) {
            self.push_unchanged(base, text, value.start, value.end, 0);
            Ok(())
        } else {
            let start = u32::try_from(value.start).unwrap_or(u32::MAX);
            self.walk(base.map(|base| base.wrapping_add(start)), inner, shapes, depth)
        };
        if let Err(fault) = done {
            self.take_back(before);
            self.push_broken(base, text, value, shapes, inside(from, fault));
        }
    }

    /// Adds the documents that a rule finds in a document.
    fn unwrap(
        &mut self,
        base: Option<u32>,
        text: &[u8],
        document: Value,
        shapes: &Shapes,
        depth: usize,
        (rule, unwrap): (usize, &Unwrap),
    ) -> Result<(), Fault> {
        let outer = document.text(text);
        let shift = |value: Value, by: usize| Value { start: value.start + by, end: value.end + by, kind: value.kind };
        let place = find(outer, &unwrap.path)?.ok_or(Fault::NoValue(rule))?;
        let Some(each) = &unwrap.each else {
            self.value(base, text, shift(place, document.start), shapes, depth, (rule, unwrap));
            return Ok(());
        };
        if place.kind != Kind::Array {
            return Err(Fault::NoValue(rule));
        }
        elements(outer, place, |element| match find(element.text(outer), each) {
            Ok(Some(value)) => {
                let value = shift(value, element.start + document.start);
                self.value(base, text, value, shapes, depth, (rule, unwrap));
            }
            missing => {
                let fault = missing.err().map_or(Fault::NoValue(rule), Fault::NotJson);
                self.push_broken(base, text, shift(element, document.start), shapes, fault);
            }
        })?;
        Ok(())
    }

    /// Adds what is in a value that a rule found.
    fn value(
        &mut self,
        base: Option<u32>,
        text: &[u8],
        value: Value,
        shapes: &Shapes,
        depth: usize,
        (rule, unwrap): (usize, &Unwrap),
    ) {
        if self.is_lost(shapes) {
            return;
        }
        match (value.string(text), value.kind) {
            (Some(inner), _) => {
                let mut plain = self.levels.pop().unwrap_or_default();
                plain.clear();
                match self.decode(inner, unwrap.decode, &mut plain) {
                    Ok(()) => self.decoded_value(&plain, shapes, depth, (rule, unwrap)),
                    Err(fault) => self.push_broken(base, text, value, shapes, inside(Some(rule), fault)),
                }
                self.levels.push(plain);
            }
            (None, Kind::Object | Kind::Array) if unwrap.decode.is_none() => match unwrap.port {
                Some(port) => self.push_unchanged(base, text, value.start, value.end, port),
                None => self.document(base, text, value, shapes, depth + 1, Some(rule)),
            },
            (None, kind) => {
                self.push_broken(base, text, value, shapes, inside(Some(rule), Fault::NotADocument(kind)));
            }
        }
    }

    /// Adds what is in a text that was inside a string.
    fn decoded_value(&mut self, plain: &[u8], shapes: &Shapes, depth: usize, (rule, unwrap): (usize, &Unwrap)) {
        let all = Value { start: 0, end: plain.len(), kind: Kind::Object };
        // A text with a path must be JSON throughout, so that a broken record does not take its
        // neighbours with it. Depth is checked first: it bounds how often a byte is checked.
        let checked = if let Some(port) = unwrap.port {
            return self.push_unchanged(None, plain, 0, plain.len(), port);
        } else if shapes.paths.is_empty() || depth >= MAX_DEPTH {
            Ok(())
        } else {
            each_root(plain, |rest, _| {
                let root = skip(rest, 0)?;
                json::check(rest.get(..root.end).unwrap_or(rest), MAX_JSON_DEPTH)?;
                Ok(root.end)
            })
        };
        match checked {
            Ok(()) => self.document(None, plain, all, shapes, depth + 1, Some(rule)),
            Err(fault) => self.push_broken(None, plain, all, shapes, inside(Some(rule), fault)),
        }
    }

    /// Why a text that is a string and nothing else does not decode, if a rule decodes strings.
    pub(super) fn undecodable(&mut self, text: &[u8], shapes: &Shapes) -> Option<Fault> {
        let decode = shapes.rules.decode()?;
        let text = text.trim_ascii();
        let value = skip(text, 0).ok().filter(|value| value.end == text.len())?;
        let fault = self.decode(value.string(text)?, Some(decode), &mut Vec::new()).err()?;
        matches!(fault, Fault::Encoding(_) | Fault::DecodesTooLarge(_)).then_some(fault)
    }

    /// Decodes the content of a string.
    fn decode(&mut self, inner: &[u8], decode: Option<Decode>, plain: &mut Vec<u8>) -> Result<(), Fault> {
        json::unescape(inner, plain)?;
        if let Some(Decode::Base64) = decode {
            let bytes = base64(plain)?;
            plain.clear();
            if bytes.starts_with(&[0x1f, 0x8b]) {
                let limit = self.room.min(inner.len().saturating_mul(MAX_RATIO).max(ANY_RATIO_BYTES));
                let mut reader = flate2::read::MultiGzDecoder::new(&*bytes).take(limit as u64 + 1);
                reader.read_to_end(plain).map_err(|_| Fault::Encoding("damaged or incomplete gzip"))?;
                if plain.len() > limit {
                    return Err(Fault::DecodesTooLarge(limit));
                }
                self.room -= plain.len();
            } else {
                plain.extend_from_slice(&bytes);
            }
        }
        if std::str::from_utf8(plain).is_err() {
            return Err(Fault::Encoding("not UTF-8"));
        }
        Ok(())
    }
}

/// A fault in a document, with the rule that unwrapped it.
fn inside(rule: Option<usize>, fault: Fault) -> Fault {
    match rule {
        Some(rule) => Fault::Inside(rule, Box::new(fault)),
        None => fault,
    }
}

/// Decodes base64 with and without padding, and with line feeds as MIME has them.
fn base64(text: &mut Vec<u8>) -> Result<Vec<u8>, Fault> {
    text.retain(|byte| !byte.is_ascii_whitespace());
    let length = text.iter().rposition(|byte| *byte != b'=').map_or(0, |last| last + 1);
    text.truncate(length);
    data_encoding::BASE64_NOPAD.decode(text).map_err(|_| Fault::Encoding("not base64"))
}
