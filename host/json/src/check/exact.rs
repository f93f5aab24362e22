//! Checks a text token by token: slower than by blocks, but finds the place and the kind of an
//! error.

use super::nest::Nest;
use crate::block::{STEP, not_ascii, string_stops};
use crate::scan::{byte, literal, number, white};
use crate::text::escape_at;
use crate::{Error, ErrorKind, Kind};

/// Same as [`super::check`].
pub(super) fn check(text: &[u8], max_depth: usize) -> Result<Kind, Error> {
    let mut at = white(text, 0);
    let kind = Kind::of_first_byte(byte(text, at)?);
    let mut nest = Nest::new(max_depth);
    'value: loop {
        match byte(text, at)? {
            b'"' => at = string(text, at + 1)?,
            b'{' => {
                nest.push(true, at)?;
                at = white(text, at + 1);
                match byte(text, at)? {
                    b'"' => {
                        at = key(text, at)?;
                        continue 'value;
                    }
                    b'}' => at = nest.pop(at),
                    _ => return Err(Error::new(ErrorKind::ExpectedKeyOrClose, at)),
                }
            }
            b'[' => {
                nest.push(false, at)?;
                at = white(text, at + 1);
                match byte(text, at)? {
                    b']' => at = nest.pop(at),
                    _ => continue 'value,
                }
            }
            b'-' | b'0'..=b'9' => at = number(text, at)?,
            b't' | b'f' | b'n' => at = literal(text, at)?,
            _ => return Err(Error::new(ErrorKind::ExpectedValue, at)),
        }
        loop {
            at = white(text, at);
            if nest.depth == 0 {
                return if at == text.len() { Ok(kind) } else { Err(Error::new(ErrorKind::AfterEnd, at)) };
            }
            match (byte(text, at)?, nest.in_object()) {
                (b',', true) => {
                    at = white(text, at + 1);
                    at = key(text, at)?;
                    continue 'value;
                }
                (b',', false) => {
                    at = white(text, at + 1);
                    continue 'value;
                }
                (b'}', true) | (b']', false) => at = nest.pop(at),
                (_, true) => return Err(Error::new(ErrorKind::ExpectedCommaOrBrace, at)),
                (_, false) => return Err(Error::new(ErrorKind::ExpectedCommaOrBracket, at)),
            }
        }
    }
}

/// Checks a key and its colon, and returns where its value begins.
#[inline]
fn key(text: &[u8], at: usize) -> Result<usize, Error> {
    if byte(text, at)? != b'"' {
        return Err(Error::new(ErrorKind::ExpectedKey, at));
    }
    let colon = white(text, string(text, at + 1)?);
    match byte(text, colon)? {
        b':' => Ok(white(text, colon + 1)),
        _ => Err(Error::new(ErrorKind::ExpectedColon, colon)),
    }
}

/// Checks the string whose content begins at `start`, and returns its end, after the closing quote.
#[inline]
fn string(text: &[u8], start: usize) -> Result<usize, Error> {
    let mut at = start;
    let mut ascii = true;
    'steps: while let Some(step) = text.get(at..).and_then(|rest| rest.first_chunk::<STEP>()) {
        // Bytes after the string may be in this step. Then the check for UTF-8 runs once without
        // need.
        ascii &= not_ascii(step) == 0;
        let mut stops = string_stops(step);
        while stops != 0 {
            let stop = at + stops.trailing_zeros() as usize;
            if text.get(stop) == Some(&b'"') {
                return end(text, start, stop, ascii);
            }
            let next = after_stop(text, stop)?;
            if next >= at + STEP {
                at = next;
                continue 'steps;
            }
            stops &= u32::MAX << (next - at);
        }
        at += STEP;
    }
    loop {
        match byte(text, at)? {
            b'"' => return end(text, start, at, ascii),
            b'\\' | 0..0x20 => at = after_stop(text, at)?,
            other => {
                ascii &= other.is_ascii();
                at += 1;
            }
        }
    }
}

/// Checks the escape at `at`, or reports the control character there. Returns where the content
/// continues.
#[inline]
fn after_stop(text: &[u8], at: usize) -> Result<usize, Error> {
    match text.get(at) {
        Some(b'\\') => escape_at(text, at).map(|(_, next)| next),
        _ => Err(Error::new(ErrorKind::ControlCharacter, at)),
    }
}

/// Checks the bytes of a string that ends at `quote`.
#[inline]
fn end(text: &[u8], start: usize, quote: usize, ascii: bool) -> Result<usize, Error> {
    if !ascii {
        // The quotes are ASCII, so the content is a whole number of characters.
        let inner = text.get(start..quote).unwrap_or_default();
        std::str::from_utf8(inner).map_err(|error| Error::new(ErrorKind::NotUtf8, start + error.valid_up_to()))?;
    }
    Ok(quote + 1)
}
