//! Reads the value of a key: which of its places to mask.

use super::reader::{Reader, Token, Unreadable, What};
use crate::span::Place;

/// A place of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) place: Place,
}

/// The result of reading after a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    /// Nothing to mask: it was not a key, or its value is null.
    Nothing,
    /// Text that is not JSON, which [`tolerant`](super::tolerant) reads.
    Odd,
    /// One value, which ends here.
    Scalar(usize),
    /// An array or an object, which ends here.
    Container(usize),
}

/// Reads the text after a key with quotes of this depth, and appends the places to mask to `found`.
///
/// `inside` means that a container around the key is already masked, so a container after the key
/// is skipped.
pub(super) fn after_key(
    reader: &mut impl Reader,
    depth: u32,
    inside: bool,
    found: &mut Vec<Found>,
) -> Result<After, Unreadable> {
    match reader.solid()? {
        Some(Token { what: What::Byte(b':'), .. }) => reader.advance(),
        Some(Token { what: What::Byte(b',' | b'}' | b'{' | b'[' | b'\\'), .. }) | None => {
            return Ok(After::Nothing);
        }
        Some(_) => return Ok(After::Odd),
    }
    let Some(token) = reader.solid()? else { return Ok(After::Nothing) };
    match token.what {
        // It ends the string that contains the key: the text was cut.
        What::Quote(other) if other < depth => Ok(After::Nothing),
        What::Quote(other) => {
            // A quote that is escaped more often than that of the key is wrong, but it encloses a
            // value.
            let (start, end) = string(reader, token, other)?;
            found.push(Found { start, end, place: Place::Content(other) });
            Ok(After::Scalar(end))
        }
        What::Byte(b'{' | b'[') if inside => Ok(After::Nothing),
        What::Byte(b'{' | b'[') => container(reader, depth, found).map(After::Container),
        What::Byte(b',' | b'}' | b']') => Ok(After::Nothing),
        What::Byte(_) => {
            let word = word(reader)?;
            if word.is(b"null") {
                return Ok(After::Nothing);
            }
            if !(word.is_number || word.is(b"true") || word.is(b"false")) {
                return Ok(After::Odd);
            }
            found.push(Found { start: word.start, end: word.end, place: Place::Bare(depth) });
            Ok(After::Scalar(word.end))
        }
    }
}

fn string(reader: &mut impl Reader, open: Token, depth: u32) -> Result<(usize, usize), Unreadable> {
    reader.advance();
    Ok((open.end, reader.string_end(depth)?))
}

/// Reads an array or object, and masks all strings except keys, and all numbers. Returns where it
/// ends.
fn container(reader: &mut impl Reader, depth: u32, found: &mut Vec<Found>) -> Result<usize, Unreadable> {
    let mut open = 0_usize;
    let mut end = 0;
    // The latest string, which is a key if a colon follows.
    let mut waiting = None;
    while let Some(token) = reader.solid()? {
        let is_key = token.what == What::Byte(b':');
        found.extend(waiting.take().filter(|_| !is_key));
        match token.what {
            What::Quote(other) if other < depth => return Ok(end),
            What::Quote(other) => {
                let (start, after) = string(reader, token, other)?;
                waiting = Some(Found { start, end: after, place: Place::Content(other) });
                end = after;
                continue;
            }
            What::Byte(b'{' | b'[') => open += 1,
            What::Byte(b'}' | b']') => {
                open -= 1;
                if open == 0 {
                    reader.advance();
                    return Ok(token.end);
                }
            }
            What::Byte(b',' | b':' | b'\\') => {}
            What::Byte(_) => {
                let word = word(reader)?;
                if !(word.is(b"true") || word.is(b"false") || word.is(b"null")) {
                    found.push(Found { start: word.start, end: word.end, place: Place::Bare(depth) });
                }
                end = word.end;
                continue;
            }
        }
        end = token.end;
        reader.advance();
    }
    found.extend(waiting);
    Ok(end)
}

/// A number, `true`, `false`, `null`, or another word in their place in text that is not JSON.
struct Word {
    start: usize,
    end: usize,
    /// The length of the longest word, plus one.
    text: [u8; 6],
    length: usize,
    /// Whether it consists of bytes of a number.
    is_number: bool,
}

impl Word {
    fn is(&self, text: &[u8]) -> bool {
        self.text.get(..self.length) == Some(text)
    }
}

fn word(reader: &mut impl Reader) -> Result<Word, Unreadable> {
    let mut word: Option<Word> = None;
    while let Some(token) = reader.peek()? {
        let What::Byte(byte) = token.what else { break };
        if matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b',' | b'{' | b'}' | b'[' | b']' | b'\\') {
            break;
        }
        let word =
            word.get_or_insert(Word { start: token.start, end: token.end, text: [0; 6], length: 0, is_number: true });
        word.end = token.end;
        word.is_number &= byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E');
        if let Some(place) = word.text.get_mut(word.length) {
            *place = byte;
            word.length += 1;
        }
        reader.advance();
    }
    Ok(word.unwrap_or(Word { start: 0, end: 0, text: [0; 6], length: 0, is_number: false }))
}
