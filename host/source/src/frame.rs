//! Framing: finds the start and end of each event.
//!
//! The framer finds events in the buffer that the input was read into, and that buffer becomes the
//! column. No event is copied separately; only the unfinished last event moves to the next buffer.

mod cri;
pub(crate) mod multiline;
mod push;
mod split;
mod state;

use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use wattle_batch::{Column, Known, Span};
use wattle_options::{OptionError, Size};

use crate::assemble::{BatchLimits, Chunk, cut, last_batch};
use crate::pool::Pool;
use crate::transcode::{Encoding, Units};
use cri::Joiner;
#[cfg(test)]
pub(crate) use cri::Stream;
pub(crate) use cri::{LineFormat, Mark};
use multiline::Multiline;
use state::{Quotes, State};

/// Bytes per read.
pub(crate) const READ_BYTES: usize = 256 << 10;

/// Maximum of `max_event_bytes`, so that a buffer with one such event and others stays below 4 GiB.
const MAX_EVENT_BYTES: u64 = 2 << 30;

/// Default of `max_event_bytes`.
pub(crate) const DEFAULT_MAX_EVENT_BYTES: u64 = 1 << 30;

/// Default of `max_line_bytes`.
pub(crate) const DEFAULT_MAX_LINE_BYTES: u64 = 1 << 20;

/// How long an unfinished event waits for more data: a document without a following line, or the
/// parts of a line.
const PATIENCE: Duration = Duration::from_secs(1);

/// Checks options that framing `csv` excludes.
pub(crate) fn check_csv(is_csv: bool, multiline: bool, line_format: LineFormat) -> Vec<OptionError> {
    let excluded = [("multiline", multiline), ("line_format", line_format == LineFormat::Cri)];
    let used = excluded.into_iter().filter(|(_, is_set)| is_csv && *is_set);
    used.map(|(option, _)| OptionError::new(option, "cannot be used with framing `csv`; remove one of them")).collect()
}

/// Checks an option that limits the length of an event.
pub(crate) fn check_max_bytes(option: &str, max: Size) -> Option<OptionError> {
    let known = 1..=MAX_EVENT_BYTES;
    (!known.contains(&max.0)).then(|| OptionError::new(option, "must be at least 1 and at most `2GiB`"))
}

/// How bytes become events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Framing {
    /// Each JSON object or array is an event, compact or pretty, with or without line feeds between them; each line that is
    /// not JSON is an event.
    #[default]
    Auto,
    /// Each line is an event, without its line feed or carriage return and line feed.
    Lines,
    /// Each record of CSV is an event (RFC 4180): a line feed in quotes does not end it.
    Csv,
    /// The whole input or object is one event.
    Document,
}

/// How to find events in a stream of bytes.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    /// Whether JSON documents are recognised.
    pub(crate) documents: bool,
    /// Whether line feeds in quotes do not end a line, as in CSV.
    pub(crate) quotes: bool,
    /// Longer lines are skipped.
    pub(crate) max_line_bytes: u64,
    /// Longer documents are skipped; longer events of several lines are skipped or split.
    pub(crate) max_event_bytes: u64,
    pub(crate) line_format: LineFormat,
    pub(crate) multiline: Option<Arc<Multiline>>,
    /// Encoding of the input, for positions.
    pub(crate) encoding: Encoding,
}

impl Rules {
    /// Returns how long an event that may continue waits for more.
    pub(crate) fn patience(&self) -> Duration {
        let patience = if self.line_format == LineFormat::Container { cri::PART_PATIENCE } else { PATIENCE };
        self.multiline.as_ref().map_or(patience, |multiline| multiline.timeout)
    }

    /// Only lines, up to this length.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn lines(max_line_bytes: u64) -> Self {
        let max_event_bytes = max_line_bytes;
        Self {
            documents: false,
            quotes: false,
            max_line_bytes,
            max_event_bytes,
            line_format: LineFormat::Raw,
            multiline: None,
            encoding: Encoding::Utf8,
        }
    }
}

/// An event is longer than the option allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event is longer than `max_event_bytes`, {max} bytes; it begins at byte {position}")]
pub(crate) struct EventTooLong {
    pub(crate) max: u64,
    /// Position of the event in the decompressed input.
    pub(crate) position: u64,
}

/// Skipped data since the last query.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Skipped {
    /// Empty lines.
    pub(crate) empty: u64,
    /// Lines and documents beyond the limits.
    pub(crate) too_long: u64,
    /// Bytes of these lines and documents.
    pub(crate) too_long_bytes: u64,
    /// Position of the first of them in the decompressed input.
    pub(crate) too_long_at: Option<u64>,
    /// Zero bytes before events, as in truncated or sparse files.
    pub(crate) nuls: u64,
}

/// Lines of an event that continues.
#[derive(Clone, Copy, Debug)]
struct Group {
    lines: u64,
    /// End of its last line, relative to the start of the event.
    end: usize,
}

/// Finds the events of an input that is read in pieces.
#[derive(Debug)]
pub(crate) struct Framer {
    rules: Rules,
    /// Initialized up to its end; the data ends at `filled`.
    buffer: Vec<u8>,
    filled: usize,
    /// Start of the unfinished event; everything before it is in `spans`, held or skipped.
    start: usize,
    state: State,
    /// How far the unfinished event was searched for its end, relative to `start`.
    scan: usize,
    /// Start of the current line of the unfinished event, relative to `start`.
    line: usize,
    /// Quotes of the unfinished line, if they count.
    quotes: Quotes,
    group: Option<Group>,
    joiner: Joiner,
    spans: Vec<Span>,
    /// JSON containers in the buffer, in order, and how deep they nest.
    known: Vec<Span>,
    known_depth: usize,
    /// One for each of `spans`, if the lines are those of containers.
    marks: Vec<Mark>,
    /// Texts of events that are not in the buffer, with their indices in `spans`.
    joined: Vec<(usize, Vec<u8>)>,
    span_bytes: usize,
    /// Position of the first byte of the buffer in the decoded text.
    base: u64,
    /// The same position in the input.
    input_base: u64,
    /// Events whose last line starts before this position were sent before.
    sent_to: u64,
    buffer_bytes: usize,
    skipped: Skipped,
    pool: Pool,
}

impl Framer {
    /// Creates a framer at this position of the input. A batch has about `batch_bytes`.
    pub(crate) fn new(rules: Rules, position: u64, batch_bytes: usize) -> Self {
        Self {
            rules,
            buffer: Vec::new(),
            filled: 0,
            start: 0,
            state: State::Idle,
            scan: 0,
            line: 0,
            quotes: Quotes::default(),
            group: None,
            joiner: Joiner::default(),
            spans: Vec::new(),
            known: Vec::new(),
            known_depth: 0,
            marks: Vec::new(),
            joined: Vec::new(),
            span_bytes: 0,
            base: position,
            input_base: position,
            sent_to: 0,
            buffer_bytes: batch_bytes.clamp(4 << 10, 4 << 20),
            skipped: Skipped::default(),
            pool: Pool::default(),
        }
    }

    /// Skips events whose last line starts before this position: they were sent when the input was
    /// last read.
    pub(crate) fn sent_to(mut self, position: u64) -> Self {
        self.sent_to = position;
        self
    }

    /// Returns the space to read into; never empty.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        if self.buffer.is_empty() {
            self.buffer = self.pool.take(self.buffer_bytes);
        } else if self.buffer.len() == self.filled && self.spans.is_empty() && self.start > 0 {
            // The bytes at the front were skipped, so move the rest over them.
            self.input_base = self.input_position(self.start);
            self.known.clear();
            self.buffer.copy_within(self.start..self.filled, 0);
            self.filled -= self.start;
            self.base += self.start as u64;
            self.start = 0;
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

    /// Takes a complete input from memory instead of reading it, without a copy.
    pub(crate) fn fill(&mut self, input: Vec<u8>) {
        self.start = usize::try_from(self.base).unwrap_or(usize::MAX).min(input.len());
        self.base = 0;
        self.input_base = 0;
        self.filled = input.len();
        self.buffer = input;
        self.split(false);
    }

    /// Finds events in the bytes that were just read into [`space`](Self::space).
    pub(crate) fn advance(&mut self, bytes: usize) {
        self.filled = (self.filled + bytes).min(self.buffer.len());
        self.split(false);
    }

    /// Returns whether to [`take`](Self::take): the limits are reached or the buffer is full.
    pub(crate) fn is_full(&self, limits: &BatchLimits) -> bool {
        !self.spans.is_empty()
            && (limits.reached(self.span_bytes, self.spans.len()) || self.filled == self.buffer.len())
    }

    /// Returns whether there is a finished event to take.
    pub(crate) fn has_events(&self) -> bool {
        !self.spans.is_empty()
    }

    /// Takes the finished events, in columns within the limits.
    pub(crate) fn take(&mut self, limits: &BatchLimits) -> Vec<Chunk> {
        self.take_but(0, limits)
    }

    /// Takes the finished events, except for the last ones: those of a batch that later events may still fit into. So
    /// batches depend only on the input and the limits, not on how it was read, also if reading begins at the end of a
    /// batch. Lines that a container runtime split are the exception: they leave at once.
    pub(crate) fn take_full(&mut self, limits: &BatchLimits) -> Vec<Chunk> {
        let is_split = !self.joined.is_empty();
        let kept = if is_split { 0 } else { self.unfilled(limits) };
        if kept == self.spans.len() {
            return Vec::new();
        }
        let last = self.spans.last().map(|span| self.input_position(span.end as usize));
        let mut chunks = self.take_but(kept, limits);
        if kept == 0
            && !is_split
            && let Some((chunk, last)) = chunks.last_mut().zip(last)
        {
            // How far the data after the event was read depends on how it was read.
            chunk.end = chunk.end.min(last);
        }
        chunks
    }

    /// The number of events in the last batch, if it is not full.
    fn unfilled(&self, limits: &BatchLimits) -> usize {
        let first = last_batch(&self.spans, limits);
        let start = self.spans.get(first).map_or(0, |span| span.start as usize);
        // No later event fits then. Otherwise data that is no event would hold the batch and its buffer.
        let is_closed = limits.is_spread(self.start.saturating_sub(start));
        if is_closed { 0 } else { self.spans.len() - first }
    }

    /// Takes the finished events, except for this number of the last ones.
    fn take_but(&mut self, kept: usize, limits: &BatchLimits) -> Vec<Chunk> {
        let mut spans = std::mem::take(&mut self.spans);
        let mut marks = std::mem::take(&mut self.marks);
        self.marks = marks.split_off(marks.len().saturating_sub(kept));
        let kept = spans.split_off(spans.len().saturating_sub(kept));
        let used = kept.first().map_or(self.start, |first| first.start as usize);
        let end = if kept.is_empty() { self.position() } else { self.input_position(used) };
        let full = if kept.is_empty() { self.replace_buffer(used) } else { self.copy_out(used) };
        let base = self.base;
        let input_base = self.input_base;
        let units = self.rules.encoding.units();
        let input_at = |at: usize| input_base + units.len(full.get(..at).unwrap_or_default());
        self.base += used as u64;
        self.input_base = input_at(used);
        self.start -= used;
        self.span_bytes = kept.iter().map(|span| span.len()).sum();
        let moved = u32::try_from(used).unwrap_or(u32::MAX);
        self.spans.extend(kept.iter().map(|span| Span { start: span.start - moved, end: span.end - moved }));
        let known = self.take_known(used);
        let joined = std::mem::take(&mut self.joined);
        if !joined.is_empty() {
            let chunk = with_joined(&full, &spans, joined).map(|column| Chunk { column, end, marks });
            self.pool.give_back(full);
            return chunk.into_iter().collect();
        }
        let full = self.pool.share(full, used);
        let mut chunks = cut(&full, spans, base, self.base, limits);
        for chunk in &mut chunks {
            if units != Units::Bytes {
                let at = usize::try_from(chunk.end - base).unwrap_or(used);
                chunk.end = input_base + units.len(full.get(..at).unwrap_or_default());
            }
            // A restart must read held and unfinished events again.
            chunk.end = chunk.end.min(end);
            chunk.column = std::mem::take(&mut chunk.column).knowing(known.clone());
            chunk.marks = marks.drain(..chunk.column.rows().min(marks.len())).collect();
        }
        chunks
    }

    /// Takes what is known of the first `used` bytes of the buffer, which leave it.
    fn take_known(&mut self, used: usize) -> Option<Known> {
        let moved = u32::try_from(used).unwrap_or(u32::MAX);
        let mut known = std::mem::take(&mut self.known);
        let rest = known.split_off(known.partition_point(|span| span.start < moved));
        self.known.extend(rest.iter().map(|span| Span { start: span.start - moved, end: span.end - moved }));
        if known.is_empty() { None } else { Known::new(known, self.known_depth) }
    }

    /// Takes the buffer, and moves the bytes after the first `used` ones to the next one.
    fn replace_buffer(&mut self, used: usize) -> Vec<u8> {
        let tail = self.buffer.get(used..self.filled).unwrap_or_default();
        let mut next = Vec::new();
        if !tail.is_empty() {
            // The next batch will probably be about as large as this one.
            next = self.pool.take(tail.len() + used.max(self.buffer_bytes));
            if let Some(start) = next.get_mut(..tail.len()) {
                start.copy_from_slice(tail);
            }
        }
        self.filled = tail.len();
        std::mem::replace(&mut self.buffer, next)
    }

    /// Copies the first `used` bytes, and removes them from the buffer. A batch would otherwise keep a buffer of twice its
    /// size, because the events after it are about as many.
    fn copy_out(&mut self, used: usize) -> Vec<u8> {
        let mut copy = self.pool.take(used);
        if let Some((copy, used)) = copy.get_mut(..used).zip(self.buffer.get(..used)) {
            copy.copy_from_slice(used);
        }
        self.buffer.copy_within(used..self.filled, 0);
        self.filled -= used;
        copy
    }

    /// Turns the rest of the input into events, and takes all of them.
    pub(crate) fn finish(&mut self, limits: &BatchLimits) -> Vec<Chunk> {
        self.split(true);
        self.flush();
        self.take(limits)
    }

    /// Returns the position in the input up to which nothing must be read again.
    pub(crate) fn position(&self) -> u64 {
        let at = match self.state {
            State::Skip { from_input, .. } => from_input,
            _ => self.input_position(self.start),
        };
        self.joiner.held_from().map_or(at, |held| held.min(at))
    }

    /// Returns the position up to which events were sent or skipped, for
    /// [`sent_to`](Self::sent_to).
    pub(crate) fn sent_position(&self) -> u64 {
        match self.state {
            State::Skip { from, .. } => from,
            _ => self.read_position(),
        }
    }

    /// Returns the position of the unfinished event in the decoded text.
    fn read_position(&self) -> u64 {
        self.base + self.start as u64
    }

    /// Returns the position in the input of an offset in the buffer.
    fn input_position(&self, at: usize) -> u64 {
        self.input_base + self.rules.encoding.units().len(self.buffer.get(..at).unwrap_or_default())
    }

    /// Returns the skipped data since the last call.
    pub(crate) fn take_skipped(&mut self) -> Skipped {
        std::mem::take(&mut self.skipped)
    }
}

/// Builds a column of events in the buffer and events outside of it.
fn with_joined(buffer: &[u8], spans: &[Span], joined: Vec<(usize, Vec<u8>)>) -> Option<Column> {
    let mut bytes = Vec::new();
    let mut placed = Vec::with_capacity(spans.len());
    let mut joined = joined.into_iter().peekable();
    for (index, span) in spans.iter().enumerate() {
        let start = u32::try_from(bytes.len()).ok()?;
        match joined.next_if(|(at, _)| *at == index) {
            Some((_, text)) => bytes.extend_from_slice(&text),
            None => bytes.extend_from_slice(buffer.get(span.start as usize..span.end as usize).unwrap_or_default()),
        }
        placed.push(Span { start, end: u32::try_from(bytes.len()).ok()? });
    }
    Column::from_spans(bytes.into(), placed)
}

#[cfg(test)]
mod container_tests;
#[cfg(test)]
mod tests;
