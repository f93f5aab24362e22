//! Reads the raw text, fast: every spelling except `\u` escapes.

use memchr::memchr;

use super::quotes::{backslashes_after, backslashes_before, depth_of, length_of};
use super::reader::{Reader, Token, Unreadable, What};

/// A reader of raw text.
pub(super) struct RawReader<'a> {
    text: &'a [u8],
    /// Where the next token begins.
    at: usize,
    peeked: Option<Token>,
    /// Places of escapes that only the decoder understands, in order.
    suspects: &'a [usize],
}

impl<'a> RawReader<'a> {
    /// A reader of a text (the column up to the end of a row) from a place on.
    pub(super) fn new(text: &'a [u8], at: usize, suspects: &'a [usize]) -> Self {
        Self { text, at, peeked: None, suspects }
    }

    fn read(&self) -> Result<Option<Token>, Unreadable> {
        let Some(&byte) = self.text.get(self.at) else { return Ok(None) };
        let token = |length, what| Ok(Some(Token { start: self.at, end: self.at + length, what }));
        match byte {
            b'"' => token(1, What::Quote(0)),
            b'\\' => {
                let count = backslashes_after(self.text, self.at);
                match self.text.get(self.at + count) {
                    Some(b'"') => {
                        let depth = depth_of(count);
                        // The remaining backslashes belong to the text before the quote.
                        match count - length_of(depth) {
                            0 => token(count + 1, What::Quote(depth)),
                            rest => token(rest, What::Byte(b'\\')),
                        }
                    }
                    Some(b'n' | b'r' | b't') => token(count + 1, What::Byte(b'\n')),
                    Some(b'u') => Err(Unreadable(self.at + count)),
                    _ => token(count, What::Byte(b'\\')),
                }
            }
            byte => token(1, What::Byte(byte)),
        }
    }
}

impl Reader for RawReader<'_> {
    fn peek(&mut self) -> Result<Option<Token>, Unreadable> {
        if self.peeked.is_none() {
            self.peeked = self.read()?;
        }
        Ok(self.peeked)
    }

    fn advance(&mut self) {
        if let Some(token) = self.peeked.take() {
            self.at = token.end;
        }
    }

    fn string_end(&mut self, depth: u32) -> Result<usize, Unreadable> {
        let start = self.at;
        let mut from = start;
        let (end, next) = loop {
            let Some(quote) = memchr(b'"', self.text.get(from..).unwrap_or_default()).map(|at| from + at) else {
                break (self.text.len(), self.text.len());
            };
            let found = depth_of(backslashes_before(self.text, start, quote));
            if found <= depth {
                let end = quote - length_of(found);
                break (end, if found == depth { quote + 1 } else { end });
            }
            from = quote + 1;
        };
        if let Some(&suspect) = self.suspects.get(self.suspects.partition_point(|&s| s < start))
            && suspect < end
        {
            return Err(Unreadable(suspect));
        }
        self.at = next;
        Ok(end)
    }
}
