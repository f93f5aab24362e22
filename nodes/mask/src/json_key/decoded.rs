//! Reads text with every escape resolved, however often it was escaped. It is slower than
//! [`raw`](super::raw), but finds every spelling.
//!
//! Text that was escaped several times passes through the same number of layers; each resolves the
//! escapes that the previous layer produced. A quote gets the depth of the layer that produced it.
//! The reader also resolves escapes that are deeper than the key. This changes the content of
//! values but not where they end, because a quote never ends an escape that was itself written at a
//! deeper layer.

use std::collections::VecDeque;

use memchr::memchr2;

use super::reader::{Reader, Token, Unreadable, What};

/// Maximum number of layers of escaping. Real text has up to four; a quote that deep takes 65,535
/// backslashes.
pub(super) const LAYERS: usize = 16;

/// The longest escape: a backslash, `u` and four digits.
const ESCAPE: usize = 6;

/// A character, or one byte of it, from a layer.
#[derive(Clone, Copy, Debug, Default)]
struct Piece {
    byte: u8,
    /// The layer that resolved it; 0 for raw text.
    depth: u32,
    start: usize,
    end: usize,
}

/// The beginning of an escape, which the next pieces may complete.
#[derive(Clone, Copy, Debug, Default)]
struct Layer {
    held: [Piece; ESCAPE],
    count: usize,
}

/// A reader of decoded text. The places in its tokens refer to the raw text.
#[derive(Clone)]
pub(super) struct DecodedReader<'a> {
    text: &'a [u8],
    /// The next byte to decode.
    at: usize,
    layers: [Layer; LAYERS],
    /// A bit for each layer that holds pieces.
    holding: u32,
    ready: VecDeque<Piece>,
    /// The peeked piece.
    next: Option<Piece>,
    too_deep: bool,
}

impl<'a> DecodedReader<'a> {
    /// Creates a reader of a text (the column up to the end of a row) that starts at a place, which
    /// must not be inside an escape.
    pub(super) fn new(text: &'a [u8], at: usize) -> Self {
        let layers = [Layer::default(); LAYERS];
        Self { text, at, layers, holding: 0, ready: VecDeque::new(), next: None, too_deep: false }
    }

    /// Whether there were escapes deeper than all layers, so the search can be incomplete.
    pub(super) fn is_too_deep(&self) -> bool {
        self.too_deep
    }

    /// Moves this reader to another place, without a new allocation.
    pub(super) fn restart(&mut self, at: usize) {
        self.at = at;
        self.layers.iter_mut().for_each(|l| l.count = 0);
        self.holding = 0;
        self.ready.clear();
        self.next = None;
    }

    /// Skips text that is neither quote nor escape.
    pub(super) fn skip_plain(&mut self) {
        if self.next.is_none() && self.ready.is_empty() && self.holding == 0 {
            let rest = self.text.get(self.at..).unwrap_or_default();
            self.at += memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
        }
    }

    /// Decodes the next piece, if there is one.
    fn decode(&mut self) -> Option<Piece> {
        loop {
            if let Some(piece) = self.ready.pop_front() {
                return Some(piece);
            }
            if self.holding == 0
                && let Some(piece) = self.simple()
            {
                return Some(piece);
            }
            match self.text.get(self.at) {
                Some(&byte) => {
                    self.at += 1;
                    self.push(0, Piece { byte, depth: 0, start: self.at - 1, end: self.at });
                }
                None if self.holding != 0 => self.flush(self.holding.trailing_zeros() as usize),
                None => return None,
            }
        }
    }

    /// Decodes without layers the common cases: plain text, and ASCII characters that were escaped
    /// once. Use it only while all layers are empty.
    fn simple(&mut self) -> Option<Piece> {
        let start = self.at;
        let rest = self.text.get(start..)?;
        let (byte, length) = match *rest {
            [b'\\', b'u', b'0', b'0', high, low, ..] => {
                let digit = |d: u8| char::from(d).to_digit(16).and_then(|d| u8::try_from(d).ok());
                let code = digit(high)? << 4 | digit(low)?;
                (Some(code).filter(|c| c.is_ascii() && *c != b'\\')?, 6)
            }
            [b'\\', quote @ (b'"' | b'/'), ..] => (quote, 2),
            [b'\\', b'n', ..] => (b'\n', 2),
            [b'\\', ..] | [] => return None,
            [byte, ..] => (byte, 1),
        };
        self.at += length;
        Some(Piece { byte, depth: u32::from(length > 1), start, end: self.at })
    }

    /// Pushes a piece into a layer.
    fn push(&mut self, mut layer: usize, piece: Piece) {
        loop {
            // Most pieces are not part of an escape, and most layers are empty.
            if piece.byte != b'\\' && self.holding >> layer == 0 {
                return self.ready.push_back(piece);
            }
            let Some(state) = self.layers.get_mut(layer) else {
                // A piece that was not an escape in any layer also arrives here, with its old
                // depth.
                self.too_deep |= piece.byte == b'\\' && piece.depth as usize == LAYERS;
                return self.ready.push_back(piece);
            };
            let (continues, resolved) = step(state, piece);
            if continues {
                if let Some(place) = state.held.get_mut(state.count) {
                    *place = piece;
                    state.count += 1;
                }
                self.holding |= 1 << layer;
                return;
            }
            if let Some(char) = resolved {
                let start = state.held.first().map_or(piece.start, |p| p.start);
                state.count = 0;
                self.holding &= !(1 << layer);
                let depth = layer as u32 + 1;
                for byte in char.encode_utf8(&mut [0; 4]).bytes() {
                    self.push(layer + 1, Piece { byte, depth, start, end: piece.end });
                }
                return;
            }
            if state.count == 0 {
                layer += 1;
            } else {
                // Not an escape: pass on the held pieces unchanged, and look at this piece again.
                self.flush(layer);
            }
        }
    }

    /// Passes on the pieces that a layer holds.
    fn flush(&mut self, layer: usize) {
        let Some(state) = self.layers.get_mut(layer) else { return };
        let Layer { held, count } = std::mem::take(state);
        self.holding &= !(1 << layer);
        held.iter().take(count).for_each(|&piece| self.push(layer + 1, piece));
    }
}

/// The meaning of a piece for a layer: whether to hold it as part of an escape, or which character
/// it completes.
fn step(layer: &Layer, piece: Piece) -> (bool, Option<char>) {
    match layer.count {
        0 => (piece.byte == b'\\', None),
        1 => {
            let backslash_depth = layer.held.first().map_or(0, |p| p.depth);
            match piece.byte {
                // Such a quote ends a string around the string of the backslash.
                b'"' if piece.depth < backslash_depth => (false, None),
                b'"' | b'\\' | b'/' => (false, Some(char::from(piece.byte))),
                b'n' => (false, Some('\n')),
                b'r' => (false, Some('\r')),
                b't' => (false, Some('\t')),
                b'b' => (false, Some('\u{8}')),
                b'f' => (false, Some('\u{c}')),
                b'u' => (true, None),
                _ => (false, None),
            }
        }
        count if !piece.byte.is_ascii_hexdigit() => {
            debug_assert!(count < ESCAPE);
            (false, None)
        }
        count if count < ESCAPE - 1 => (true, None),
        _ => {
            let digits = layer.held.iter().skip(2).take(3).chain([&piece]);
            let code = digits.fold(0, |code, p| code << 4 | char::from(p.byte).to_digit(16).unwrap_or_default());
            // Keys contain no lone surrogates, so any replacement is fine.
            (false, Some(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)))
        }
    }
}

impl Reader for DecodedReader<'_> {
    fn peek(&mut self) -> Result<Option<Token>, Unreadable> {
        if self.next.is_none() {
            self.next = self.decode();
        }
        Ok(self.next.map(|piece| Token {
            start: piece.start,
            end: piece.end,
            what: if piece.byte == b'"' { What::Quote(piece.depth) } else { What::Byte(piece.byte) },
        }))
    }

    fn advance(&mut self) {
        self.next = None;
    }

    fn string_end(&mut self, depth: u32) -> Result<usize, Unreadable> {
        loop {
            self.skip_plain();
            let Some(token) = self.peek()? else { break };
            match token.what {
                What::Quote(found) if found == depth => {
                    self.advance();
                    return Ok(token.start);
                }
                What::Quote(found) if found < depth => return Ok(token.start),
                _ => self.advance(),
            }
        }
        Ok(self.text.len())
    }
}

/// The last place, not after `at` and not before `from`, that is certainly outside of escapes.
pub(super) fn outside_escapes(text: &[u8], from: usize, at: usize) -> usize {
    let mut clean = 0;
    for (index, &byte) in text.get(from..at).unwrap_or_default().iter().enumerate().rev() {
        // Any escape is one run of these bytes.
        if !matches!(byte, b'\\' | b'"' | b'/' | b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F' | b'n' | b'r' | b't' | b'u') {
            return from + index + 1;
        }
        // An escape also has a backslash every few bytes.
        clean = if byte == b'\\' { 0 } else { clean + 1 };
        if clean > LAYERS * ESCAPE {
            return from + index + clean;
        }
    }
    from
}
