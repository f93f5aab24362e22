//! Finds where an array or object ends while its text arrives in pieces, and notices early that it is broken.
//!
//! The text is judged in the blocks of [`check`](super::check). A block is judged for good only when nothing that may
//! follow can change the verdict; the rest of the text is judged on a copy of the state. So however the text is cut into
//! pieces, the answers are the same, and every byte is looked at about once.

use super::blocks::State;
use super::exact;
use crate::block::{BLOCK, Block};
use crate::classes::{Classify, Work, dispatch};

/// Bytes after a block that an escape in it may reach to.
const REACH: usize = 16;

/// More bytes in one word or number are not looked at to find where it began.
const LONG_SCALAR: usize = 256;

/// What is known of a document that began at the first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boundary {
    /// It is right so far, and not at its end.
    Open,
    /// It has this many bytes, and is right except perhaps for UTF-8.
    End(usize),
    /// No text that goes on like this is right; the first fault is at this byte.
    Wrong(usize),
}

/// Reads a document, an array or an object, that arrives in pieces.
#[derive(Clone)]
pub struct DocumentEnd {
    state: State,
    /// Bytes judged for good; a multiple of the block.
    at: usize,
    max_depth: usize,
}

impl DocumentEnd {
    /// Begins a document whose containers may lie `max_depth` deep inside each other.
    #[must_use]
    pub fn new(max_depth: usize) -> Self {
        Self { state: State::new(max_depth), at: 0, max_depth }
    }

    /// Looks at the document's text as far as it is there, always from its first byte, which must be a bracket.
    ///
    /// `is_cut_between_tokens` says that the text ends with white space or at the end of the input, so that its last
    /// token is complete.
    pub fn look(&mut self, text: &[u8], is_cut_between_tokens: bool) -> Boundary {
        // A number or word that touches the end may go on.
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

/// Returns where the last token ends that nothing can be added to. A run of bytes too long for a word is inside of a
/// string, where any cut is right, or a number, which is cut behind a digit.
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
        // What follows may be looked at again with more behind it.
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

/// Judges one block of which `len` bytes are text. A fault is reported at the block.
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
    // What follows the end is not part of this document.
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

    /// The answer after the text came in pieces of this size, each look with what is there; then the whole.
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
    fn what_is_not_finished_is_open() {
        for text in ["[", "{\"a\":", "[1, \"x", "[true"] {
            for piece in 1..text.len() + 1 {
                assert_eq!(look(text.as_bytes(), piece), Boundary::Open, "{text}");
            }
        }
    }
}
