//! A place in a text that moves on, piece by piece.

use memchr::memchr;

/// What is left of a text. Pieces are cut at ASCII bytes only, so each piece of UTF-8 is UTF-8.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor<'a> {
    /// The text from the current place on.
    pub(crate) rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(crate) const fn new(text: &'a [u8]) -> Self {
        Self { rest: text }
    }

    /// Moves on by so many bytes and returns them; stops at the end of the text.
    #[inline]
    pub(crate) fn take(&mut self, length: usize) -> &'a [u8] {
        let (piece, rest) = self.rest.split_at_checked(length).unwrap_or((self.rest, &[]));
        self.rest = rest;
        piece
    }

    /// Moves over this text, if it comes next.
    #[inline]
    pub(crate) fn eat(&mut self, literal: &[u8]) -> bool {
        match self.rest.strip_prefix(literal) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Moves over this byte, if it comes next.
    #[inline]
    pub(crate) fn eat_byte(&mut self, byte: u8) -> bool {
        match self.rest {
            [first, rest @ ..] if *first == byte => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    /// The next byte.
    #[inline]
    pub(crate) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// Moves over spaces.
    #[inline]
    pub(crate) fn spaces(&mut self) {
        while self.eat_byte(b' ') {}
    }

    /// Takes bytes as long as they are of a kind.
    #[inline]
    pub(crate) fn take_while(&mut self, is: impl Fn(u8) -> bool) -> &'a [u8] {
        let length = self.rest.iter().position(|&byte| !is(byte)).unwrap_or(self.rest.len());
        self.take(length)
    }

    /// Takes the text up to the next space, or to the end.
    #[inline]
    pub(crate) fn word(&mut self) -> &'a [u8] {
        self.take_while(|byte| byte != b' ')
    }

    /// Takes the text up to a byte that must come, and moves over that byte.
    #[inline]
    pub(crate) fn until(&mut self, byte: u8) -> Option<&'a [u8]> {
        let piece = self.take(memchr(byte, self.rest)?);
        self.eat_byte(byte);
        Some(piece)
    }

    /// Takes between `min` and `max` digits.
    #[inline]
    pub(crate) fn digits(&mut self, min: usize, max: usize) -> Option<&'a [u8]> {
        let count = self.rest.iter().take(max).take_while(|byte| byte.is_ascii_digit()).count();
        (count >= min).then(|| self.take(count))
    }

    /// Whether nothing is left.
    pub(crate) const fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }
}

/// Whether a text is at least one digit and nothing else.
pub(crate) fn is_digits(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(u8::is_ascii_digit)
}

/// The text without the line end and the zero bytes that some senders put behind it.
pub(crate) fn without_line_end(text: &[u8]) -> &[u8] {
    let end = text.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r' | 0)).map_or(0, |last| last + 1);
    text.get(..end).unwrap_or(text)
}
