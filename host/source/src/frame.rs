//! Framing: where one event ends and the next begins.
//!
//! Lines are found in the buffer that the input was read to, and that buffer becomes the column: no line is copied on
//! its own, only the unfinished last one moves on to the next buffer.

use schemars::JsonSchema;
use serde::Deserialize;
use wattle_batch::Span;

use crate::assemble::{Chunk, cut};
use crate::options::OptionError;
use crate::pool::Pool;
use crate::quantity::Size;
use crate::source::BatchLimits;

/// Bytes that one read asks for.
pub(crate) const READ_BYTES: usize = 256 << 10;

/// The most that `max_event_bytes` may be, so that a buffer with one such event and others stays below 4 GiB.
const MAX_EVENT_BYTES: u64 = 2 << 30;

/// The value of `max_event_bytes` that applies without one.
pub(crate) const DEFAULT_MAX_EVENT_BYTES: u64 = 1 << 30;

/// Checks the option `max_event_bytes`.
pub(crate) fn check_max_event_bytes(max: Size) -> Option<OptionError> {
    let known = 1..=MAX_EVENT_BYTES;
    (!known.contains(&max.0)).then(|| OptionError::new("max_event_bytes", "must be at least 1 and at most `2GiB`"))
}

/// How bytes become events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Framing {
    /// Each line is an event, without its line feed or carriage return and line feed.
    #[default]
    Lines,
    /// The whole input is one event.
    Document,
}

/// An event is longer than the option allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event is longer than `max_event_bytes`, {max} bytes; it begins at byte {position}")]
pub(crate) struct EventTooLong {
    pub(crate) max: u64,
    /// Where the event begins in the decompressed input.
    pub(crate) position: u64,
}

/// Finds the lines of an input that is read piece by piece.
#[derive(Debug)]
pub(crate) struct Lines {
    /// Initialised to its end; what was read ends at `filled`.
    buffer: Vec<u8>,
    filled: usize,
    /// Where the line begins that is not finished yet; all before it is in `spans` or was skipped.
    line_start: usize,
    spans: Vec<Span>,
    span_bytes: usize,
    /// The position of the buffer's first byte in the input.
    base: u64,
    buffer_bytes: usize,
    max_event_bytes: u64,
    skipped_empty: u64,
    pool: Pool,
}

impl Lines {
    /// Starts at this position of the input. A batch wants about `batch_bytes`.
    pub(crate) fn new(position: u64, batch_bytes: usize, max_event_bytes: u64) -> Self {
        Self {
            buffer: Vec::new(),
            filled: 0,
            line_start: 0,
            spans: Vec::new(),
            span_bytes: 0,
            base: position,
            buffer_bytes: batch_bytes.clamp(4 << 10, 4 << 20),
            max_event_bytes,
            skipped_empty: 0,
            pool: Pool::default(),
        }
    }

    /// Room to read to; never empty.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        if self.buffer.is_empty() {
            self.buffer = self.pool.take(self.buffer_bytes);
        } else if self.buffer.len() == self.filled {
            let longer = self.pool.take(self.buffer.len() + 1);
            let full = std::mem::replace(&mut self.buffer, longer);
            if let Some(start) = self.buffer.get_mut(..self.filled) {
                start.copy_from_slice(&full);
            }
            self.pool.give_back(full);
        }
        let end = self.buffer.len().min(self.filled + READ_BYTES);
        self.buffer.get_mut(self.filled..end).unwrap_or_default()
    }

    /// Finds the lines in the bytes that were just read to [`space`](Self::space).
    pub(crate) fn advance(&mut self, bytes: usize) -> Result<(), EventTooLong> {
        let from = self.filled;
        self.filled = (self.filled + bytes).min(self.buffer.len());
        // Out of the way of the borrow checker, and back; nothing is copied.
        let buffer = std::mem::take(&mut self.buffer);
        let result = self.finish_lines(&buffer, from);
        self.buffer = buffer;
        result?;
        self.check_length(self.filled)
    }

    /// Whether it is time to [`take`](Self::take): the limits are reached or the buffer is full.
    pub(crate) fn is_full(&self, limits: &BatchLimits) -> bool {
        !self.spans.is_empty()
            && (limits.reached(self.span_bytes, self.spans.len()) || self.filled == self.buffer.len())
    }

    /// Whether there is a finished line to take.
    pub(crate) fn has_lines(&self) -> bool {
        !self.spans.is_empty()
    }

    /// Takes the finished lines, in columns within the limits.
    pub(crate) fn take(&mut self, limits: &BatchLimits) -> Vec<Chunk> {
        let used = self.line_start;
        let tail = self.buffer.get(used..self.filled).unwrap_or_default();
        let mut next = Vec::new();
        if !tail.is_empty() {
            // The next batch will be about as long as this one.
            next = self.pool.take(tail.len() + used.max(self.buffer_bytes));
            if let Some(start) = next.get_mut(..tail.len()) {
                start.copy_from_slice(tail);
            }
        }
        self.filled = tail.len();
        let full = std::mem::replace(&mut self.buffer, next);
        let full = self.pool.share(full, used);
        let base = self.base;
        self.base += used as u64;
        self.line_start = 0;
        self.span_bytes = 0;
        cut(&full, std::mem::take(&mut self.spans), base, self.base, limits)
    }

    /// Makes an event of what follows the last line feed, and takes everything that is left.
    pub(crate) fn finish(&mut self, limits: &BatchLimits) -> Vec<Chunk> {
        let end = self.filled;
        if self.line_start < end {
            self.finish_line(end, end);
        }
        self.take(limits)
    }

    /// The position in the input just after the last finished line.
    pub(crate) fn position(&self) -> u64 {
        self.base + self.line_start as u64
    }

    /// Empty lines since the last call.
    pub(crate) fn take_skipped(&mut self) -> u64 {
        std::mem::take(&mut self.skipped_empty)
    }

    fn finish_lines(&mut self, buffer: &[u8], from: usize) -> Result<(), EventTooLong> {
        for at in memchr::memchr_iter(b'\n', buffer.get(from..self.filled).unwrap_or_default()) {
            let end = from + at;
            self.check_length(end)?;
            let line = buffer.get(self.line_start..end).unwrap_or_default();
            self.finish_line(if line.ends_with(b"\r") { end - 1 } else { end }, end + 1);
        }
        Ok(())
    }

    fn finish_line(&mut self, end: usize, next: usize) {
        if end == self.line_start {
            self.skipped_empty += 1;
        } else if let (Ok(start), Ok(end)) = (u32::try_from(self.line_start), u32::try_from(end)) {
            self.span_bytes += (end - start) as usize;
            self.spans.push(Span { start, end });
        }
        self.line_start = next;
    }

    fn check_length(&self, end: usize) -> Result<(), EventTooLong> {
        if (end - self.line_start) as u64 > self.max_event_bytes {
            return Err(EventTooLong { max: self.max_event_bytes, position: self.position() });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
