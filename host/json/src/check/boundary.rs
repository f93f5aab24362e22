//! Finds the end of an array or object that arrives in pieces, and detects early that it is broken.
//!
//! Checks the text in the blocks of [`check`](super::check). A block is final only when no later
//! byte can change its result; the rest of the text is checked on a copy of the state. So the
//! result does not depend on how the text is cut into pieces, and every byte is checked about once.
//! pieces, the answers are the same, and every byte is looked at about once.

use super::blocks::State;
use super::exact;
use crate::block::{BLOCK, Block};
use crate::classes::{Classify, Work, dispatch};

/// Maximum distance between a block and the end of an escape that begins in it.
const REACH: usize = 16;

/// The search for the start of a word or number ends after this many bytes.
const LONG_SCALAR: usize = 256;

/// The state of a document that began at the first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boundary {
    /// Valid so far, and not complete.
    Open,
    /// Complete with this many bytes; valid except perhaps for UTF-8.
    End(usize),
    /// Broken: no continuation is valid. The first error is at this byte.
    Wrong(usize),
}

/// Finds the end of one array or object that arrives in pieces.
#[derive(Clone)]
pub struct DocumentEnd {
    state: State,
    /// Number of bytes with a final result; a multiple of the block size.
    at: usize,
    max_depth: usize,
}

impl DocumentEnd {
    /// Starts a document whose containers may nest up to `max_depth` levels.
    #[must_use]
    pub fn new(max_depth: usize) -> Self {
        Self { state: State::new(max_depth), at: 0, max_depth }
    }

    /// Checks the text that has arrived so far. It always starts at the first byte, which must be a
    /// bracket.
    ///
    /// `is_cut_between_tokens` means that the text ends with white space or at the end of the
    /// input, so that its last token is complete.
    pub fn look(&mut self, text: &[u8], is_cut_between_tokens: bool) -> Boundary {
        // A number or word at the end of the text may continue in the next piece.
        let sure = if is_cut_between_tokens { text.len() } else { end_of_tokens(text) };
        let Some(sure_text) = text.get(..sure) else { return Boundary::Open };
        let boundary = dispatch(Look { document: self, text: sure_text, is_whole: is_cut_between_tokens });
        match boundary {
            Boundary::Wrong(block) => {
                let judged = sure_text.get(..block + BLOCK).unwrap_or(sure_text);
                let fault = exact::check(judged, self.max_depth).err().map_or(block, |error| error.offset);
                Boundary::Wrong(fault.min(judged.len().saturating_sub(1)))
            }
            other => other,
        }
    }
}

impl std::fmt::Debug for DocumentEnd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DocumentEnd").field("at", &self.at).finish_non_exhaustive()
    }
}

/// Returns the end of the last complete token. A run of bytes that is too long for a word is inside
/// a string, where any cut is right, or is a number, which is cut after a digit.
fn end_of_tokens(text: &[u8]) -> usize {
    let start = text.len().saturating_sub(LONG_SCALAR);
    let last = text.get(start..).unwrap_or_default();
    match last.iter().rposition(|byte| !is_of_scalar(*byte)) {
        Some(at) => start + at + 1,
        None if start == 0 => 0,
        None => last.iter().rposition(u8::is_ascii_digit).map_or(text.len(), |at| start + at + 1),
    }
}

fn is_of_scalar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')
}

struct Look<'a> {
    document: &'a mut DocumentEnd,
    text: &'a [u8],
    is_whole: bool,
}

impl Work for Look<'_> {
    type Answer = Boundary;

    #[inline(always)]
    fn run(self, classify: impl Classify) -> Boundary {
        let Self { document, text, is_whole } = self;
        let reach = if is_whole { 0 } else { REACH };
        while let Some(block) = text.get(document.at..).and_then(|rest| rest.first_chunk::<BLOCK>()) {
            if document.at + BLOCK + reach > text.len() {
                break;
            }
            match judge(&mut document.state, text, document.at, block, BLOCK, &classify) {
                Boundary::Open => document.at += BLOCK,
                other => return other,
            }
        }
        // These bytes are checked again when more have arrived, so the final state must not change.
        let mut state = document.state.clone();
        let mut at = document.at;
        while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
            let mut block = [b' '; BLOCK];
            let len = rest.len().min(BLOCK);
            if let (Some(to), Some(from)) = (block.get_mut(..len), rest.get(..len)) {
                to.copy_from_slice(from);
            }
            match judge(&mut state, text, at, &block, len, &classify) {
                Boundary::Open => at += BLOCK,
                Boundary::Wrong(_) if !is_whole => return Boundary::Open,
                other => return other,
            }
        }
        Boundary::Open
    }
}

/// Checks one block of which `len` bytes are text. Reports an error at the start of the block.
#[inline(always)]
fn judge(
    state: &mut State,
    text: &[u8],
    at: usize,
    block: &[u8; BLOCK],
    len: usize,
    classify: &impl Classify,
) -> Boundary {
    let classes = classify(block);
    let end = state.closes_in(&classes).filter(|end| *end <= len);
    let Some(end) = end else {
        return if state.block(text, at, block, classes).is_some() { Boundary::Open } else { Boundary::Wrong(at) };
    };
    // Bytes after the end belong to the next document.
    let mut last = [b' '; BLOCK];
    if let (Some(to), Some(from)) = (last.get_mut(..end), block.get(..end)) {
        to.copy_from_slice(from);
    }
    let document = text.get(..at + end).unwrap_or(text);
    match state.block(document, at, &last, Block::load(&last).classes()) {
        Some(()) => Boundary::End(at + end),
        None => Boundary::Wrong(at),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The result after the text arrived in pieces of this size.
    fn look(text: &[u8], piece: usize) -> Boundary {
        let mut document = DocumentEnd::new(8);
        for end in (piece..text.len()).step_by(piece) {
            match document.look(&text[..end], false) {
                Boundary::Open => {}
                other => return other,
            }
        }
        document.look(text, true)
    }

    #[test]
    fn the_end_of_a_document_is_found_however_it_is_cut() {
        let pad = "x".repeat(150);
        for (document, rest) in [
            ("{}".to_owned(), ""),
            ("{}".to_owned(), "{}"),
            ("[1,2]".to_owned(), "]"),
            ("[-1.5e3, true ]".to_owned(), " text"),
            (format!("{{\"a\":[\"{pad}\",{{\"b\":null}}],\"c}}\":\"]\\\"}}\"}}"), "{\"d\":1}"),
            (format!("[\n  \"{pad}\",\n  12345678901234567890\n]"), "\n"),
            ("{\"smile\":\"\\ud83d\\ude00\"}".to_owned(), "[]"),
            (format!("[{}1234.5]", " ".repeat(57)), "[]"),
        ] {
            let text = format!("{document}{rest}");
            for piece in 1..text.len() + 1 {
                assert_eq!(look(text.as_bytes(), piece), Boundary::End(document.len()), "{text} by {piece}");
            }
        }
    }

    #[test]
    fn a_fault_is_found_at_its_byte_however_the_text_is_cut() {
        let pad = "x".repeat(150);
        for (text, fault) in [
            ("[INFO] text".to_owned(), 1),
            ("[2024-01-01] text".to_owned(), 5),
            (format!("{{\"a\":\"{pad}\",{{\"b\":1}}"), 158),
            (format!("{{\"a\":\"{pad}{{\"b\":1}}"), 158),
            ("[[[[[[[[[".to_owned(), 8),
            ("{\"a\":1]".to_owned(), 6),
            ("{\"a\":\"b\n".to_owned(), 7),
        ] {
            for piece in 1..text.len() + 1 {
                assert_eq!(look(text.as_bytes(), piece), Boundary::Wrong(fault), "{text} by {piece}");
            }
        }
    }

    #[test]
    fn an_incomplete_document_is_open() {
        for text in ["[", "{\"a\":", "[1, \"x", "[true"] {
            for piece in 1..text.len() + 1 {
                assert_eq!(look(text.as_bytes(), piece), Boundary::Open, "{text}");
            }
        }
    }
}
