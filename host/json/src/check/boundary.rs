//! Finds the end of an array or object that arrives in pieces, and detects early that it is broken.
//!
//! Checks the text in the blocks of [`check`](super::check). A block is final only when no later
//! byte can change its result; the rest of the text is checked on a copy of the state. So the
//! result does not depend on how the text is cut into pieces, and every byte is checked about once.

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
    /// The outer containers of the complete document.
    containers: Option<Containers>,
}

/// The outer containers of a valid document: itself, those in it, and those in these.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Containers {
    /// First byte of each, and one past its last byte; in the order of their first bytes.
    pub spans: Vec<(u32, u32)>,
    /// How deep the document nests.
    pub depth: usize,
}

impl DocumentEnd {
    /// Starts a document whose containers may nest up to `max_depth` levels.
    #[must_use]
    pub fn new(max_depth: usize) -> Self {
        let mut state = State::new(max_depth);
        state.nest.noted = Some(Vec::new());
        Self { state, at: 0, max_depth, containers: None }
    }

    /// Takes over the state of a check that found the end.
    fn finish(&mut self, state: State) {
        let before = self.state.nest.noted.take();
        let not_ascii = self.state.not_ascii | state.not_ascii;
        self.state = state;
        self.state.not_ascii = not_ascii;
        self.state.nest.noted = before.zip(self.state.nest.noted.take()).map(|(before, last)| [before, last].concat());
    }

    /// The outer containers of the document, each of which is a valid JSON text for [`check`](super::check) too. `None` before
    /// [`look`](Self::look) found its end, for a document that is not UTF-8, and for one that has too many.
    pub fn containers(&mut self) -> Option<Containers> {
        self.containers.take()
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
            Boundary::End(len) => {
                let is_utf8 = self.state.not_ascii == 0
                    || sure_text.get(..len).is_some_and(|document| std::str::from_utf8(document).is_ok());
                let nest = &mut self.state.nest;
                let brackets = nest.noted.take().filter(|_| is_utf8);
                let containers =
                    |brackets: Vec<u32>| Containers { spans: pairs(sure_text, &brackets), depth: nest.deepest };
                self.containers = brackets.map(containers);
                boundary
            }
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

/// The containers that these brackets of a valid document enclose, in the order of their first bytes.
fn pairs(text: &[u8], brackets: &[u32]) -> Vec<(u32, u32)> {
    let mut spans = Vec::with_capacity(brackets.len() / 2);
    let mut open = Vec::new();
    for &at in brackets {
        match text.get(at as usize) {
            Some(b'{' | b'[') => {
                open.push(spans.len());
                spans.push((at, at));
            }
            _ => {
                if let Some((_, end)) = open.pop().and_then(|index: usize| spans.get_mut(index)) {
                    *end = at.saturating_add(1);
                }
            }
        }
    }
    spans
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
        let mut state = document.state.fork();
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
                Boundary::End(end) => {
                    document.finish(state);
                    return Boundary::End(end);
                }
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

    /// The containers that [`check`](crate::check::check) accepts at these places, by a walk over all of the text.
    fn outer_containers(text: &[u8]) -> Vec<(u32, u32)> {
        let (mut spans, mut open, mut inside, mut escaped) = (Vec::new(), Vec::new(), false, false);
        for (at, byte) in (0..).zip(text) {
            let is_bracket = !inside && matches!(byte, b'{' | b'[' | b'}' | b']');
            inside ^= *byte == b'"' && !escaped;
            escaped = *byte == b'\\' && !escaped;
            match byte {
                b'{' | b'[' if is_bracket => {
                    open.push(spans.len());
                    spans.push((at, 0, open.len()));
                }
                b'}' | b']' if is_bracket => spans[open.pop().unwrap()].1 = at + 1,
                _ => {}
            }
        }
        spans.into_iter().filter(|(.., depth)| *depth <= 3).map(|(start, end, _)| (start, end)).collect()
    }

    #[test]
    fn the_outer_containers_are_known_however_the_text_is_cut() {
        let pad = "x".repeat(150);
        for document in [
            "{}".to_owned(),
            format!("{{\"Records\":[{{\"a\":{{\"b\":[1]}}}},{{\"c\":\"{pad}]\\\"}}\"}},[[[[]]]],{{}}],\"d\":[]}}"),
            format!("[{{\"ä\":\"{pad}\"}},  {{\"e\" : [ ] }}\n]"),
        ] {
            let text = document.as_bytes();
            for piece in 1..text.len() + 1 {
                let mut boundary = DocumentEnd::new(8);
                let ends = (piece..text.len()).step_by(piece).find(|end| {
                    assert_eq!(boundary.containers(), None);
                    boundary.look(&text[..*end], false) != Boundary::Open
                });
                assert_eq!(ends, None);
                assert_eq!(boundary.look(text, true), Boundary::End(text.len()));
                let containers = boundary.containers().unwrap();
                assert_eq!(containers.spans, outer_containers(text), "{document} by {piece}");
                for (start, end) in containers.spans {
                    crate::check(&text[start as usize..end as usize], containers.depth).unwrap();
                }
            }
        }
        let mut boundary = DocumentEnd::new(8);
        assert_eq!(boundary.look(b"[\"\xff\"]", true), Boundary::End(5));
        assert_eq!(boundary.containers(), None, "it is not UTF-8");
        for (count, is_known) in [(50, true), (5_000, false)] {
            let text = format!("[{}1]", "[],".repeat(count));
            let mut boundary = DocumentEnd::new(8);
            assert_eq!(boundary.look(text.as_bytes(), true), Boundary::End(text.len()));
            assert_eq!(boundary.containers().is_some(), is_known, "{count}");
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
