//! Escapes and unescapes string content, and removes white space from JSON.

use std::convert::Infallible;

use crate::block::{BLOCK, Block, STEP, Strings, backslashes, string_stops};
use crate::scan::byte;
use crate::{Error, ErrorKind};

/// Appends the unescaped text of `inner`, the content of a string without its quotes, to `out`.
///
/// Everything except escapes is copied unchanged; only [`crate::check`] validates the rest of the
/// text.
///
/// # Errors
///
/// An escape is invalid, or half of a surrogate pair is alone. `out` then has the text before the
/// error.
pub fn unescape(inner: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
    unescape_with(inner, out, |_, error, _| Err(error))
}

/// Like [`unescape`], but accepts any content: half of a surrogate pair becomes U+FFFD, an invalid
/// escape stays as written.
pub fn unescape_lossy(inner: &[u8], out: &mut Vec<u8>) {
    let repaired = unescape_with(inner, out, |at, error, out| {
        if error.kind == ErrorKind::LoneSurrogate {
            out.extend_from_slice("\u{fffd}".as_bytes());
            return Ok(at + 6);
        }
        out.push(b'\\');
        Ok(at + 1)
    });
    // `repair` handles every error, so none is returned.
    debug_assert!(repaired.is_ok());
}

/// Like [`unescape_lossy`], but keeps a lone surrogate as it is written, `\ud83d`, as it keeps other invalid escapes.
///
/// For texts that have the escapes of JSON but are not JSON, so that their escapes are not checked.
pub fn unescape_leniently(inner: &[u8], out: &mut Vec<u8>) {
    let repaired = unescape_with(inner, out, |at, _, out| {
        out.push(b'\\');
        Ok(at + 1)
    });
    debug_assert!(repaired.is_ok());
}

/// Unescapes. Calls `repair` with the position of each invalid escape; it returns where to
/// continue.
fn unescape_with(
    inner: &[u8],
    out: &mut Vec<u8>,
    mut repair: impl FnMut(usize, Error, &mut Vec<u8>) -> Result<usize, Error>,
) -> Result<(), Error> {
    rewrite(inner, out, backslashes, |at, out| match escape_at(inner, at) {
        Ok((char, next)) => {
            if char.is_ascii() {
                out.push(char as u8);
            } else {
                out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
            }
            Ok(next)
        }
        Err(error) => repair(at, error, out),
    })
}

/// Copies `text` to `out` except for the bytes that `stops` marks. `at_stop` writes their
/// replacement and returns the position after them.
#[inline]
fn rewrite<E>(
    text: &[u8],
    out: &mut Vec<u8>,
    stops: impl Fn(&[u8; STEP]) -> u32,
    mut at_stop: impl FnMut(usize, &mut Vec<u8>) -> Result<usize, E>,
) -> Result<(), E> {
    // One step more than needed, because each step copies 32 bytes and then cuts the copy.
    out.reserve(text.len() + STEP);
    let mut at = 0;
    'steps: while let Some((rest, end)) = text.get(at..).filter(|rest| !rest.is_empty()).map(|rest| (rest, at + STEP)) {
        let mut padded = [b' '; STEP];
        let step = rest.first_chunk::<STEP>().unwrap_or_else(|| {
            padded.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
            &padded
        });
        // All stops of the step come from one mask. Searching again after each stop would wait
        // until it is handled.
        let mut marks = stops(step);
        let mut from = at;
        while marks != 0 {
            let stop = at + marks.trailing_zeros() as usize;
            copy_short(text, from, stop, out);
            from = at_stop(stop, out)?;
            if from >= end {
                at = from;
                continue 'steps;
            }
            marks &= u32::MAX << (from - at);
        }
        copy_short(text, from, end, out);
        at = end;
    }
    Ok(())
}

/// Copies `from..to`: at most 32 bytes, which all lie in the text.
#[inline]
fn copy_short(text: &[u8], from: usize, to: usize, out: &mut Vec<u8>) {
    let rest = text.get(from..).unwrap_or_default();
    if let Some(step) = rest.first_chunk::<STEP>() {
        // A copy of fixed length and a cut are faster than a copy of the exact length.
        let length = out.len();
        out.extend_from_slice(step);
        out.truncate(length + (to - from));
    } else {
        out.extend_from_slice(rest.get(..to - from).unwrap_or(rest));
    }
}

/// Reads the escape with its backslash at `at`; returns its character and where it ends.
#[inline]
pub(crate) fn escape_at(text: &[u8], at: usize) -> Result<(char, usize), Error> {
    let char = match byte(text, at + 1)? {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return unicode_escape_at(text, at),
        _ => return Err(Error::new(ErrorKind::BadEscape, at)),
    };
    Ok((char, at + 2))
}

fn unicode_escape_at(text: &[u8], at: usize) -> Result<(char, usize), Error> {
    let first = four_digits(text, at + 2)?;
    if let Some(char) = char::from_u32(first) {
        return Ok((char, at + 6));
    }
    let lone = Error::new(ErrorKind::LoneSurrogate, at);
    if first >= 0xdc00 || text.get(at + 6..at + 8) != Some(b"\\u") {
        return Err(lone);
    }
    let second = four_digits(text, at + 8)?;
    if !(0xdc00..0xe000).contains(&second) {
        return Err(lone);
    }
    let char = char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00)).ok_or(lone)?;
    Ok((char, at + 12))
}

fn four_digits(text: &[u8], at: usize) -> Result<u32, Error> {
    let mut number = 0;
    for place in at..at + 4 {
        let digit = char::from(byte(text, place)?).to_digit(16);
        number = number << 4 | digit.ok_or_else(|| Error::new(ErrorKind::BadEscape, place))?;
    }
    Ok(number)
}

/// Returns whether `inner`, a key without its quotes, equals `wanted` after unescaping.
#[inline]
pub(crate) fn same_key(inner: &[u8], escaped: bool, wanted: &str) -> bool {
    if escaped { same_escaped_key(inner, wanted) } else { inner == wanted.as_bytes() }
}

/// Compares an escaped key without unescaping it into memory.
fn same_escaped_key(inner: &[u8], wanted: &str) -> bool {
    let mut wanted = wanted.as_bytes();
    let mut at = 0;
    while let Some(first) = inner.get(at) {
        let mut plain = [0; 4];
        let expected = if *first == b'\\' {
            let Ok((char, next)) = escape_at(inner, at) else {
                return false;
            };
            at = next;
            char.encode_utf8(&mut plain).as_bytes()
        } else {
            at += 1;
            std::slice::from_ref(first)
        };
        match wanted.strip_prefix(expected) {
            Some(rest) => wanted = rest,
            None => return false,
        }
    }
    wanted.is_empty()
}

/// Appends `text` to `out` as the content of a string without quotes. Escapes only what JSON
/// requires.
///
/// Bytes that are not UTF-8 become U+FFFD.
pub fn escape(text: &[u8], out: &mut Vec<u8>) {
    if is_plain(text) {
        return out.extend_from_slice(text);
    }
    if std::str::from_utf8(text).is_ok() {
        return escape_utf8(text, out);
    }
    for chunk in text.utf8_chunks() {
        escape_utf8(chunk.valid().as_bytes(), out);
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
}

/// Returns whether a text is ASCII of which [`escape`] changes nothing. For long texts the answer may be no anyway, because
/// [`escape`] then costs less than both.
#[inline]
#[must_use]
pub fn is_plain(text: &[u8]) -> bool {
    const MAX: usize = 128;
    let (words, rest) = text.as_chunks::<8>();
    text.len() <= MAX
        && words.iter().all(|word| !has_stop(u64::from_le_bytes(*word)))
        && match text.last_chunk::<8>() {
            Some(last) => !has_stop(u64::from_le_bytes(*last)),
            None => rest.iter().all(|byte| matches!(byte, b' '..=0x7f) && !matches!(byte, b'"' | b'\\')),
        }
}

/// Whether one of 8 bytes must be escaped or is not ASCII. A byte that lends to its neighbour is one itself, so there are no
/// wrong hits.
#[inline]
const fn has_stop(word: u64) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let control = word.wrapping_sub(ONES * 0x20);
    let quote = (word ^ (ONES * b'"' as u64)).wrapping_sub(ONES);
    let backslash = (word ^ (ONES * b'\\' as u64)).wrapping_sub(ONES);
    (word | control | quote | backslash) & (ONES * 0x80) != 0
}

fn escape_utf8(text: &[u8], out: &mut Vec<u8>) {
    let Ok(()) = rewrite::<Infallible>(text, out, string_stops, |at, out| {
        text.get(at).into_iter().for_each(|stop| write_escape(*stop, out));
        Ok(at + 1)
    });
}

fn write_escape(stop: u8, out: &mut Vec<u8>) {
    let short = match stop {
        b'"' | b'\\' => stop,
        8 => b'b',
        b'\t' => b't',
        b'\n' => b'n',
        12 => b'f',
        b'\r' => b'r',
        _ => {
            // The highest control character is 0x1f, so the upper digit is 0 or 1.
            let low = stop & 0xf;
            let digit = if low < 10 { b'0' + low } else { b'a' - 10 + low };
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', b'0' + (stop >> 4), digit]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

/// Appends `text` to `out` without the white space outside strings. Changes nothing else, even if
/// the text is invalid.
pub fn minify(text: &[u8], out: &mut Vec<u8>) {
    out.reserve(text.len());
    let mut strings = Strings::default();
    let mut at = 0;
    while let Some(block) = Block::at(text, at) {
        let Some(bytes) = text.get(at..text.len().min(at + BLOCK)) else {
            return;
        };
        let inside = strings.inside(&block);
        keep(bytes, inside | !block.white(), out);
        at += BLOCK;
    }
}

/// Appends those of up to 64 bytes whose bits are set, one run at a time.
#[inline]
fn keep(mut bytes: &[u8], mut bits: u64, out: &mut Vec<u8>) {
    if bits == u64::MAX {
        return out.extend_from_slice(bytes);
    }
    while bits != 0 {
        let gap = bits.trailing_zeros();
        bits >>= gap;
        let run = bits.trailing_ones();
        let Some((kept, rest)) = bytes.get(gap as usize..).map(|rest| rest.split_at(rest.len().min(run as usize)))
        else {
            return;
        };
        out.extend_from_slice(kept);
        bytes = rest;
        // The case above handles a run of 64, so this shift is less than 64.
        bits >>= run;
    }
}

#[cfg(test)]
mod tests;
