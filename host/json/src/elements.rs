//! Visits the elements of an array and the members of an object.

use crate::scan::{byte, string, value, white};
use crate::{Error, ErrorKind, Value};

/// The result of a pass over an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elements {
    /// How many elements the array has.
    pub count: usize,
    /// Offset after the closing bracket.
    pub end: usize,
}

/// Calls `found` with each element of `array` in order, and returns their number.
///
/// Separators and spans are checked; the inside of an element is not.
///
/// # Errors
///
/// `array` is not an array, or its text is invalid at this level. The elements before the error
/// were visited.
pub fn elements(text: &[u8], array: Value, found: impl FnMut(Value)) -> Result<usize, Error> {
    // Elements after the end of the span do not belong to it.
    let text = text.get(..array.end).unwrap_or(text);
    let walked = elements_from(text, array.start, found)?;
    if walked.end == array.end { Ok(walked.count) } else { Err(Error::new(ErrorKind::AfterEnd, walked.end)) }
}

/// Same as [`elements`], for the array that begins at `start`: finds its end in the same pass.
///
/// # Errors
///
/// As [`elements`].
pub fn elements_from(text: &[u8], start: usize, mut found: impl FnMut(Value)) -> Result<Elements, Error> {
    let mut count = 0;
    let end = walk_elements(text, start, |_, at| {
        let element = value(text, at)?;
        found(element);
        count += 1;
        Ok(Some(element.end))
    })?;
    // `found` never stops the walk, so the end is known.
    Ok(Elements { count, end: end.unwrap_or(text.len()) })
}

/// Calls `found` with key and value of each member of `object` in order, and returns their number.
///
/// Keys are strings with their quotes, as written. A repeated key is visited each time.
///
/// # Errors
///
/// `object` is not an object, or its text is invalid at this level. The members before the error
/// were visited.
pub fn members(text: &[u8], object: Value, mut found: impl FnMut(Value, Value)) -> Result<usize, Error> {
    members_with_escapes(text, object, |key, _, value| found(key, value))
}

/// Does as [`members`], and also says of each key whether it has escapes.
///
/// # Errors
///
/// As [`members`].
pub fn members_with_escapes(
    text: &[u8],
    object: Value,
    mut found: impl FnMut(Value, bool, Value),
) -> Result<usize, Error> {
    let text = text.get(..object.end).unwrap_or(text);
    let mut count = 0;
    let end = walk_members(text, object.start, |key| {
        let value = value(text, key.value)?;
        found(Value { start: key.start, end: key.end, kind: crate::Kind::String }, key.escaped, value);
        count += 1;
        Ok(Some(value.end))
    })?;
    match end {
        Some(end) if end != object.end => Err(Error::new(ErrorKind::AfterEnd, end)),
        _ => Ok(count),
    }
}

/// Calls `found` with number and start of each element of the array at `start`. `found` returns the
/// end of the element, or `None` to stop.
///
/// Returns the end of the array, or `None` if stopped.
#[inline]
pub(crate) fn walk_elements(
    text: &[u8],
    start: usize,
    mut found: impl FnMut(usize, usize) -> Result<Option<usize>, Error>,
) -> Result<Option<usize>, Error> {
    if byte(text, start)? != b'[' {
        return Err(Error::new(ErrorKind::ExpectedArray, start));
    }
    let mut at = white(text, start + 1);
    if byte(text, at)? == b']' {
        return Ok(Some(at + 1));
    }
    let mut index = 0;
    while let Some(end) = found(index, at)? {
        index += 1;
        at = white(text, end);
        match byte(text, at)? {
            b',' => at = white(text, at + 1),
            b']' => return Ok(Some(at + 1)),
            _ => return Err(Error::new(ErrorKind::ExpectedCommaOrBracket, at)),
        }
    }
    Ok(None)
}

/// The key of one member, with quotes, and the start of its value.
pub(crate) struct Key {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) escaped: bool,
    pub(crate) value: usize,
}

impl Key {
    /// Returns the key without its quotes.
    #[inline]
    pub(crate) fn inner<'a>(&self, text: &'a [u8]) -> &'a [u8] {
        text.get(self.start + 1..self.end - 1).unwrap_or_default()
    }
}

/// Calls `found` with each key of the object at `start`. `found` returns the end of the value, or
/// `None` to stop.
///
/// Returns the end of the object, or `None` if stopped.
#[inline]
pub(crate) fn walk_members(
    text: &[u8],
    start: usize,
    mut found: impl FnMut(&Key) -> Result<Option<usize>, Error>,
) -> Result<Option<usize>, Error> {
    if byte(text, start)? != b'{' {
        return Err(Error::new(ErrorKind::ExpectedObject, start));
    }
    let mut at = white(text, start + 1);
    match byte(text, at)? {
        b'}' => return Ok(Some(at + 1)),
        b'"' => {}
        _ => return Err(Error::new(ErrorKind::ExpectedKeyOrClose, at)),
    }
    loop {
        let key = key(text, at)?;
        let Some(end) = found(&key)? else {
            return Ok(None);
        };
        at = white(text, end);
        match byte(text, at)? {
            b',' => at = white(text, at + 1),
            b'}' => return Ok(Some(at + 1)),
            _ => return Err(Error::new(ErrorKind::ExpectedCommaOrBrace, at)),
        }
    }
}

/// Reads a key and its colon.
#[inline]
fn key(text: &[u8], start: usize) -> Result<Key, Error> {
    if byte(text, start)? != b'"' {
        return Err(Error::new(ErrorKind::ExpectedKey, start));
    }
    let (end, escaped) = string(text, start + 1)?;
    let colon = white(text, end);
    if byte(text, colon)? != b':' {
        return Err(Error::new(ErrorKind::ExpectedColon, colon));
    }
    Ok(Key { start, end, escaped, value: white(text, colon + 1) })
}

#[cfg(test)]
mod tests;
