//! Reads JSON as tokens, at any depth of escaping: the common interface of raw and decoded text.

/// One thing in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token {
    /// Its first byte.
    pub(super) start: usize,
    /// One after its last byte.
    pub(super) end: usize,
    pub(super) what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// A quote that is escaped so many times.
    Quote(u32),
    /// Any other byte; escaped white space becomes the white space.
    Byte(u8),
}

/// An escape at this place that [`raw`](super::raw) cannot read: the text must be
/// [decoded](super::decoded).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unreadable(pub(super) usize);

/// A text as tokens.
pub(super) trait Reader {
    /// The next token, or none at the end of the text.
    fn peek(&mut self) -> Result<Option<Token>, Unreadable>;

    /// Skips the token that [`peek`](Self::peek) returned.
    fn advance(&mut self);

    /// Skips the rest of a string after its opening quote, which has this depth. Returns where the
    /// content ends.
    ///
    /// A quote of a lower depth also ends the string, and is not skipped: it belongs to the
    /// enclosing string.
    fn string_end(&mut self, depth: u32) -> Result<usize, Unreadable>;

    /// The next token that is not white space.
    fn solid(&mut self) -> Result<Option<Token>, Unreadable> {
        loop {
            match self.peek()? {
                Some(Token { what: What::Byte(b' ' | b'\t' | b'\n' | b'\r'), .. }) => self.advance(),
                token => return Ok(token),
            }
        }
    }
}
