//! Finds the end of a value and reads no more of it than needed.

use crate::block::{BLOCK, Block, STEP, Strings, not_spaces, string_ends};
use crate::{Error, ErrorKind, Kind, Value};

/// Returns the value that begins at `at`, after optional white space.
///
/// Checks that strings are closed, numbers and words are valid, and the number of brackets outside
/// strings balances.
///
/// # Errors
///
/// No value begins there, or the text ends inside it.
pub fn skip(text: &[u8], at: usize) -> Result<Value, Error> {
    value(text, white(text, at))
}

/// Does as [`skip`] for a value whose first byte is at `start`, without a reason where it is invalid. It is inlined, for
/// loops that look at many short values.
#[inline(always)]
#[must_use]
pub fn value_at(text: &[u8], start: usize) -> Option<Value> {
    let kind = Kind::of_first_byte(*text.get(start)?);
    let end = match kind {
        Kind::String => match short_string(text, start + 1) {
            Some(end) => end,
            None => string(text, start + 1).ok()?.0,
        },
        Kind::Number => number(text, start).ok()?,
        Kind::Missing => return None,
        _ => value(text, start).ok()?.end,
    };
    Some(Value { start, end, kind })
}

/// Returns the end of a string that ends in the first step and has no escapes before.
#[inline(always)]
fn short_string(text: &[u8], start: usize) -> Option<usize> {
    let ends = string_ends(text.get(start..)?.first_chunk::<STEP>()?);
    let at = start + ends.trailing_zeros() as usize;
    (ends != 0 && text.get(at) == Some(&b'"')).then_some(at + 1)
}

/// Returns the value whose first byte is at `start`.
#[inline]
pub(crate) fn value(text: &[u8], start: usize) -> Result<Value, Error> {
    let kind = kind_at(text, start)?;
    let end = match kind {
        Kind::String => string(text, start + 1)?.0,
        Kind::Object => container(text, start + 1, b'}')?,
        Kind::Array => container(text, start + 1, b']')?,
        Kind::Number => number(text, start)?,
        Kind::Bool | Kind::Null | Kind::Missing => literal(text, start)?,
    };
    Ok(Value { start, end, kind })
}

/// Returns the kind of the value whose first byte is at `start`, or an error if no value can begin
/// there.
#[inline]
pub(crate) fn kind_at(text: &[u8], start: usize) -> Result<Kind, Error> {
    match Kind::of_first_byte(byte(text, start)?) {
        Kind::Missing => Err(Error::new(ErrorKind::ExpectedValue, start)),
        kind => Ok(kind),
    }
}

/// Returns the byte at `at`, or an error at the end of the text.
#[inline]
pub(crate) fn byte(text: &[u8], at: usize) -> Result<u8, Error> {
    text.get(at).copied().ok_or_else(|| Error::new(ErrorKind::EndOfText, text.len()))
}

/// Returns the offset of the first byte from `at` that is not white space.
#[inline]
pub fn white(text: &[u8], at: usize) -> usize {
    match text.get(at) {
        // Outside strings, no other byte up to the space is valid, so the test can be this short.
        Some(..=b' ') => white_run(text, at),
        _ => at,
    }
}

/// Skips white space; out of line, since compact text has none.
#[inline(never)]
fn white_run(text: &[u8], mut at: usize) -> usize {
    loop {
        match text.get(at) {
            Some(b' ') => at += 1,
            // Only line breaks are followed by long runs of spaces.
            Some(b'\n') => at = indentation(text, at + 1),
            Some(b'\t' | b'\r') => at += 1,
            _ => return at,
        }
    }
}

/// Returns the offset of the first byte from `at` that is not a space.
#[inline]
fn indentation(text: &[u8], mut at: usize) -> usize {
    while let Some(step) = text.get(at..).and_then(|rest| rest.first_chunk::<STEP>()) {
        let others = not_spaces(step);
        if others != 0 {
            return at + others.trailing_zeros() as usize;
        }
        at += STEP;
    }
    at
}

/// Returns the end of the string whose content begins at `start`, after its closing quote, and
/// whether it contains escapes.
#[inline]
pub(crate) fn string(text: &[u8], start: usize) -> Result<(usize, bool), Error> {
    let mut at = start;
    while let Some(step) = text.get(at..).and_then(|rest| rest.first_chunk::<STEP>()) {
        let ends = string_ends(step);
        if ends != 0 {
            at += ends.trailing_zeros() as usize;
            return match text.get(at) {
                Some(b'"') => Ok((at + 1, false)),
                _ => Ok((escaped_string(text, at)?, true)),
            };
        }
        at += STEP;
    }
    // Fewer than `STEP` bytes are left.
    loop {
        match byte(text, at)? {
            b'"' => return Ok((at + 1, false)),
            b'\\' => return Ok((escaped_string(text, at)?, true)),
            _ => at += 1,
        }
    }
}

/// Returns the end of a string from `at` in blocks. The cost per block does not depend on the
/// number of escapes.
fn escaped_string(text: &[u8], mut at: usize) -> Result<usize, Error> {
    let mut strings = Strings::begun();
    while let Some(block) = Block::at(text, at) {
        let quotes = strings.quotes(&block);
        if quotes != 0 {
            return Ok(at + quotes.trailing_zeros() as usize + 1);
        }
        at += BLOCK;
    }
    Err(Error::new(ErrorKind::EndOfText, text.len()))
}

/// Returns the end of the container that continues at `at`, outside strings; `close` must end it.
pub(crate) fn container(text: &[u8], mut at: usize, close: u8) -> Result<usize, Error> {
    // An empty container, which is frequent.
    if text.get(at) == Some(&close) {
        return Ok(at + 1);
    }
    let mut strings = Strings::default();
    let mut depth = 1_usize;
    while let Some(block) = Block::at(text, at) {
        let inside = strings.inside(&block);
        let (open, closing) = block.brackets();
        let mut open = open & !inside;
        let mut closing = closing & !inside;
        while closing != 0 {
            let lowest = closing & closing.wrapping_neg();
            // Brackets that open before this closing bracket.
            let before = open & (lowest - 1);
            depth += before.count_ones() as usize;
            depth -= 1;
            if depth == 0 {
                let end = at + lowest.trailing_zeros() as usize;
                return match text.get(end) {
                    // Only the outermost bracket is compared; inside, the number of brackets
                    // suffices.
                    Some(found) if *found == close => Ok(end + 1),
                    _ => Err(Error::new(ErrorKind::Unbalanced, end)),
                };
            }
            open ^= before;
            closing ^= lowest;
        }
        depth += open.count_ones() as usize;
        at += BLOCK;
    }
    Err(Error::new(ErrorKind::EndOfText, text.len()))
}

/// Returns the end of the number that begins at `start`.
#[inline]
pub(crate) fn number(text: &[u8], start: usize) -> Result<usize, Error> {
    let mut at = start + usize::from(text.get(start) == Some(&b'-'));
    at = match byte(text, at)? {
        b'0' => at + 1,
        b'1'..=b'9' => digits(text, at + 1),
        _ => return Err(Error::new(ErrorKind::BadNumber, at)),
    };
    if text.get(at) == Some(&b'.') {
        at = some_digits(text, at + 1)?;
    }
    if let Some(b'e' | b'E') = text.get(at) {
        at += 1;
        at += usize::from(matches!(text.get(at), Some(b'+' | b'-')));
        at = some_digits(text, at)?;
    }
    match text.get(at) {
        // A number such as `01`. A later "expected a comma" would be misleading.
        Some(b'0'..=b'9') => Err(Error::new(ErrorKind::BadNumber, at)),
        _ => Ok(at),
    }
}

fn some_digits(text: &[u8], at: usize) -> Result<usize, Error> {
    match byte(text, at)? {
        b'0'..=b'9' => Ok(digits(text, at + 1)),
        _ => Err(Error::new(ErrorKind::BadNumber, at)),
    }
}

#[inline]
fn digits(text: &[u8], mut at: usize) -> usize {
    while let Some(b'0'..=b'9') = text.get(at) {
        at += 1;
    }
    at
}

/// Returns the end of the `true`, `false` or `null` that begins at `start`.
#[inline]
pub(crate) fn literal(text: &[u8], start: usize) -> Result<usize, Error> {
    let rest = text.get(start..).unwrap_or_default();
    match rest {
        [b't', b'r', b'u', b'e', ..] | [b'n', b'u', b'l', b'l', ..] => Ok(start + 4),
        [b'f', b'a', b'l', b's', b'e', ..] => Ok(start + 5),
        // A beginning of a word at the end of the text is incomplete, not wrong.
        _ if [&b"true"[..], b"false", b"null"].iter().any(|word| word.starts_with(rest)) => {
            Err(Error::new(ErrorKind::EndOfText, text.len()))
        }
        _ => Err(Error::new(ErrorKind::BadLiteral, start)),
    }
}

#[cfg(test)]
mod tests;
