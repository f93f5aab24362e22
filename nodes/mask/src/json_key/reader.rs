//! Reading JSON as tokens, at any depth of escaping: what raw text and decoded text have in common.

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
    /// Anything else; white space that is spelled as an escape comes as the white space.
    Byte(u8),
}

/// An escape that [`raw`](super::raw) cannot read, at this place: the text has to be [decoded](super::decoded).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unreadable(pub(super) usize);

/// A text as tokens.
pub(super) trait Reader {
    /// The next token, or none at the end of the text.
    fn peek(&mut self) -> Result<Option<Token>, Unreadable>;

    /// Goes past the token that [`peek`](Self::peek) gave.
    fn advance(&mut self);

    /// Goes past the end of a string whose opening quote, of this depth, was passed; returns where its content ends.
    ///
    /// A quote of a lower depth ends it too, and is not passed: it belongs to what the string is embedded in.
    fn string_end(&mut self, depth: u32) -> Result<usize, Unreadable>;

    /// The next token that is no white space.
    fn solid(&mut self) -> Result<Option<Token>, Unreadable> {
        loop {
            match self.peek()? {
                Some(Token { what: What::Byte(b' ' | b'\t' | b'\n' | b'\r'), .. }) => self.advance(),
                token => return Ok(token),
            }
        }
    }
}
