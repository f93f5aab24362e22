//! Finds messages in a stream of bytes (RFC 6587).
//!
//! Messages are found in the buffer that the stream was read into, and that buffer becomes the column of their batch. Only
//! the unfinished message moves to the next buffer.

use memchr::{memchr, memchr2};
use schemars::JsonSchema;
use serde::Deserialize;
use wattle_batch::{Column, Span};

use crate::assemble::{BatchLimits, cut};
use crate::frame::Skipped;
use crate::pool::Pool;

/// First size of a buffer, so that idle connections need little memory. In tests, buffers grow and move often.
const FIRST_BYTES: usize = if cfg!(test) { 16 } else { 4 << 10 };

/// Maximum of the first size of a stream that was busy: an idle one keeps its buffer.
const MAX_FIRST_BYTES: usize = 64 << 10;

/// Most bytes that [`trimmed`] removes.
const MAX_TRIMMED: usize = 3;

/// A count has at most this many digits: more than the longest message that an option allows.
const MAX_DIGITS: usize = 10;

/// How a stream is divided into messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StreamFraming {
    /// A message that begins with a number, a space and `<` has the length of the number; any other message ends at a line
    /// feed or zero byte. Both may occur in one stream.
    Auto,
    /// A message ends at a line feed. A carriage return before it does not belong to the message.
    Lines,
    /// The length of each message is before it, as a number and a space (RFC 6587, section 3.4.1). Messages may have line
    /// feeds.
    OctetCounting,
}

/// A stream does not have the form that its framing requires, so no later message can be found either.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not the length of a message and a space; use another `framing`, or let the client send the length of each \
     message before it (octet counting)"
)]
pub(crate) struct NotCounted(pub(crate) String);

/// The rest of a message that is too long.
#[derive(Clone, Copy, Debug)]
enum Skip {
    None,
    ToEnd,
    Bytes(usize),
}

/// The start of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    /// More bytes are necessary to know.
    Unknown,
    /// A message that ends at a line feed.
    Line,
    /// A message of this many bytes, after this many bytes for the number and the space.
    Counted { head: usize, bytes: usize },
}

/// Finds the messages of one stream.
pub(crate) struct Messages {
    framing: StreamFraming,
    max_bytes: usize,
    /// Initialized up to its end; the data ends at `filled`.
    buffer: Vec<u8>,
    filled: usize,
    /// Start of the unfinished message.
    start: usize,
    /// How far the unfinished message was searched for its end.
    scanned: usize,
    spans: Vec<Span>,
    /// Size of the next buffer: the next batch will probably be about as large as the last one.
    expected: usize,
    skip: Skip,
    skipped: Skipped,
    pool: Pool,
}

impl Messages {
    /// Messages of up to `max_bytes`; longer ones are skipped.
    pub(crate) fn new(framing: StreamFraming, max_bytes: usize, pool: Pool) -> Self {
        Self {
            framing,
            max_bytes,
            buffer: Vec::new(),
            filled: 0,
            start: 0,
            scanned: 0,
            spans: Vec::new(),
            expected: FIRST_BYTES,
            skip: Skip::None,
            skipped: Skipped::default(),
            pool,
        }
    }

    /// The space to read into; never empty.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        if self.filled == self.buffer.len() {
            if self.spans.is_empty() && self.start > 0 {
                self.buffer.copy_within(self.start..self.filled, 0);
                self.filled -= self.start;
                self.scanned -= self.start;
                self.start = 0;
            } else {
                let longer = self.pool.take((self.filled * 2).max(self.expected));
                let full = std::mem::replace(&mut self.buffer, longer);
                if let Some(begin) = self.buffer.get_mut(..self.filled) {
                    begin.copy_from_slice(&full);
                    self.pool.give_back(full);
                }
            }
        }
        self.buffer.get_mut(self.filled..).unwrap_or_default()
    }

    /// Finds the messages in the bytes that were just read into [`space`](Self::space).
    ///
    /// # Errors
    ///
    /// The stream is not divided as the framing says. The messages before can be taken.
    pub(crate) fn advance(&mut self, bytes: usize) -> Result<(), NotCounted> {
        self.filled = (self.filled + bytes).min(self.buffer.len());
        while self.start < self.filled {
            if !self.skip_rest() {
                break;
            }
            self.skip_blank();
            let rest = self.buffer.get(self.start..self.filled).unwrap_or_default();
            let is_found = match start_of(self.framing, rest)? {
                Start::Unknown => false,
                Start::Line => self.line(),
                Start::Counted { head, bytes } => self.counted(head, bytes),
            };
            if !is_found {
                break;
            }
        }
        Ok(())
    }

    /// Skips the rest of a message that is too long. Returns whether its end was reached.
    fn skip_rest(&mut self) -> bool {
        let rest = self.buffer.get(self.start..self.filled).unwrap_or_default();
        let (bytes, is_end) = match self.skip {
            Skip::None => return true,
            Skip::ToEnd => match end_of_line(self.framing, rest) {
                Some(at) => (at + 1, true),
                None => (rest.len(), false),
            },
            Skip::Bytes(left) => (left.min(rest.len()), left <= rest.len()),
        };
        self.skip = match self.skip {
            _ if is_end => Skip::None,
            Skip::Bytes(left) => Skip::Bytes(left - bytes),
            skip => skip,
        };
        self.skipped.too_long_bytes += bytes as u64;
        self.start += bytes;
        self.scanned = self.start;
        is_end
    }

    /// Skips the end of a line between counted messages: clients that count a message without its line feed send the line
    /// feed before the next number.
    fn skip_blank(&mut self) {
        if self.framing == StreamFraming::OctetCounting {
            let rest = self.buffer.get(self.start..self.filled).unwrap_or_default();
            self.start += rest.iter().take_while(|byte| matches!(byte, b'\n' | b'\r' | 0)).count();
            self.scanned = self.start;
        }
    }

    /// Takes a message up to a line feed. Returns whether there is one.
    fn line(&mut self) -> bool {
        let rest = self.buffer.get(self.scanned..self.filled).unwrap_or_default();
        let Some(at) = end_of_line(self.framing, rest) else {
            self.scanned = self.filled;
            // The end of a line that `trimmed` removes does not count.
            if self.filled - self.start > self.max_bytes.saturating_add(MAX_TRIMMED) {
                self.skip_from(Skip::ToEnd);
            }
            return false;
        };
        let end = self.scanned + at;
        self.message(self.start, end);
        self.start = end + 1;
        self.scanned = self.start;
        true
    }

    /// Takes a message of a known length. Returns whether it is complete.
    fn counted(&mut self, head: usize, bytes: usize) -> bool {
        let from = self.start + head;
        if bytes > self.max_bytes {
            // The length was read, so the message begins within the buffer or at its end.
            self.start = from;
            self.scanned = from;
            self.skip_from(Skip::Bytes(bytes));
            return true;
        }
        let end = from.saturating_add(bytes);
        if end > self.filled {
            return false;
        }
        self.message(from, end);
        self.start = end;
        self.scanned = end;
        true
    }

    /// Adds a message. Some clients send a line feed or zero byte as its last byte, also if they send its length.
    fn message(&mut self, from: usize, end: usize) {
        let text = trimmed(self.buffer.get(from..end).unwrap_or_default());
        if text.is_empty() {
            self.skipped.empty += 1;
        } else if text.len() > self.max_bytes {
            self.skipped.too_long += 1;
            self.skipped.too_long_bytes += text.len() as u64;
            self.skipped.too_long_at.get_or_insert(0);
        } else if let (Ok(start), Ok(end)) = (u32::try_from(from), u32::try_from(from + text.len())) {
            self.spans.push(Span { start, end });
        }
    }

    /// Skips a message that is too long, from its first byte on.
    fn skip_from(&mut self, skip: Skip) {
        self.skipped.too_long += 1;
        self.skipped.too_long_at.get_or_insert(0);
        self.skip = skip;
        if matches!(skip, Skip::ToEnd) {
            self.skipped.too_long_bytes += (self.filled - self.start) as u64;
            self.start = self.filled;
            self.scanned = self.filled;
        }
    }

    /// Number of complete messages.
    pub(crate) fn count(&self) -> usize {
        self.spans.len()
    }

    /// Whether to take the messages: the limits are reached, or the buffer is full and a larger one would exceed them.
    pub(crate) fn is_full(&self, limits: &BatchLimits) -> bool {
        let is_filled = self.filled == self.buffer.len() && limits.reached(self.filled, 0);
        limits.reached(self.start, self.count()) || (is_filled && self.count() > 0)
    }

    /// Takes the complete messages, in columns within the limits.
    pub(crate) fn take(&mut self, limits: &BatchLimits) -> Vec<Column> {
        if self.spans.is_empty() {
            return Vec::new();
        }
        let rest = self.buffer.get(self.start..self.filled).unwrap_or_default();
        let mut next = Vec::new();
        self.expected = self.start.next_power_of_two().clamp(FIRST_BYTES, MAX_FIRST_BYTES);
        if !rest.is_empty() {
            next = self.pool.take((rest.len() * 2).max(self.expected));
            if let Some(begin) = next.get_mut(..rest.len()) {
                begin.copy_from_slice(rest);
            }
        }
        let (used, kept) = (self.start, rest.len());
        let full = std::mem::replace(&mut self.buffer, next);
        self.filled = kept;
        self.scanned -= used;
        self.start = 0;
        let spans = std::mem::take(&mut self.spans);
        let chunks = cut(&self.pool.share(full, used), spans, 0, used as u64, limits);
        chunks.into_iter().map(|chunk| chunk.column).collect()
    }

    /// Ends the stream. Without a length before it, the rest of the stream is the last message. Returns the bytes of an
    /// incomplete message, which is not an event: the client announced more bytes.
    pub(crate) fn finish(&mut self) -> usize {
        let rest = self.buffer.get(self.start..self.filled).unwrap_or_default();
        let bytes = rest.len();
        if bytes == 0 || !matches!(self.skip, Skip::None) {
            return 0;
        }
        let is_line = match start_of(self.framing, rest) {
            Ok(Start::Line) => true,
            Ok(Start::Unknown) => self.framing == StreamFraming::Auto,
            _ => false,
        };
        if is_line {
            self.message(self.start, self.filled);
        }
        self.start = self.filled;
        self.scanned = self.filled;
        if is_line { 0 } else { bytes }
    }

    /// Counts of data that did not become messages, since the last call.
    pub(crate) fn take_skipped(&mut self) -> Skipped {
        std::mem::take(&mut self.skipped)
    }
}

/// Removes the end of a line from a message: line feed, carriage return, zero byte.
pub(crate) fn trimmed(message: &[u8]) -> &[u8] {
    let message = message.strip_suffix(b"\0").unwrap_or(message);
    let message = message.strip_suffix(b"\n").unwrap_or(message);
    message.strip_suffix(b"\r").unwrap_or(message)
}

fn end_of_line(framing: StreamFraming, bytes: &[u8]) -> Option<usize> {
    match framing {
        // Some clients end messages with a zero byte (RFC 6587, section 3.4.2).
        StreamFraming::Auto => memchr2(b'\n', 0, bytes),
        _ => memchr(b'\n', bytes),
    }
}

/// Reads the start of a message.
fn start_of(framing: StreamFraming, bytes: &[u8]) -> Result<Start, NotCounted> {
    let other = |at: usize| match framing {
        StreamFraming::OctetCounting => {
            let shown = bytes.get(..(at + 1).min(bytes.len())).unwrap_or_default();
            Err(NotCounted(shown.escape_ascii().to_string()))
        }
        _ => Ok(Start::Line),
    };
    if framing == StreamFraming::Lines {
        return Ok(Start::Line);
    }
    let end = bytes.iter().take(MAX_DIGITS + 1).take_while(|byte| byte.is_ascii_digit()).count();
    let number = bytes.get(..end).unwrap_or_default();
    match bytes.get(end) {
        None if end <= MAX_DIGITS && number.first() != Some(&b'0') => return Ok(Start::Unknown),
        Some(b' ') if (1..=MAX_DIGITS).contains(&end) && number.first() != Some(&b'0') => {}
        _ => return other(end),
    }
    if framing == StreamFraming::Auto {
        // Otherwise a line that begins with a number, as in `2026 was a good year`, would be taken for a length.
        match bytes.get(end + 1) {
            None => return Ok(Start::Unknown),
            Some(b'<') => {}
            Some(_) => return other(end),
        }
    }
    let bytes = number.iter().fold(0_u64, |sum, digit| sum * 10 + u64::from(digit - b'0'));
    Ok(Start::Counted { head: end + 1, bytes: usize::try_from(bytes).unwrap_or(usize::MAX) })
}

#[cfg(test)]
mod tests;
