//! How a message becomes events.

use std::io::Cursor;

use wattle_batch::{ColumnBuilder, ColumnTooLarge};
use wattle_options::{OptionErrors, Size};

use crate::assemble::{BatchLimits, Chunk, Unwanted};
use crate::decompress::{Caps, Decompression};
use crate::frame::{DEFAULT_MAX_LINE_BYTES, Framing, LineFormat, Rules, Skipped, check_max_bytes};
use crate::reading::{Receive, Stream};
use crate::transcode::Encoding;

/// How the events of a message are found.
#[derive(Clone, Debug)]
pub(crate) struct Format {
    framing: Framing,
    rules: Rules,
}

impl Format {
    /// Checks the options `max_event_bytes` and `max_line_bytes`. Default of `framing`: a message is one event.
    pub(crate) fn new(
        framing: Option<Framing>,
        max_event_bytes: Size,
        max_line_bytes: Option<Size>,
        errors: &mut OptionErrors,
    ) -> Self {
        let max_line_bytes = max_line_bytes.unwrap_or(Size(DEFAULT_MAX_LINE_BYTES));
        let wrong = check_max_bytes("max_event_bytes", max_event_bytes)
            .into_iter()
            .chain(check_max_bytes("max_line_bytes", max_line_bytes));
        errors.accept::<()>(Err(wrong.collect()));
        let framing = framing.unwrap_or(Framing::Document);
        let rules = Rules {
            quotes: framing == Framing::Csv,
            documents: framing == Framing::Auto,
            max_line_bytes: max_line_bytes.0.min(max_event_bytes.0),
            max_event_bytes: max_event_bytes.0,
            line_format: LineFormat::Raw,
            multiline: None,
            encoding: Encoding::default(),
        };
        Self { framing, rules }
    }

    /// Adds the events of a message to a column, and counts what became none. `at` is the position of the message.
    ///
    /// # Errors
    ///
    /// The column would have more than 4 GiB.
    pub(crate) fn read(
        &self,
        payload: &[u8],
        at: u64,
        limits: &BatchLimits,
        body: &mut ColumnBuilder,
        skipped: &mut Skipped,
    ) -> Result<(), ColumnTooLarge> {
        if payload.is_empty() {
            skipped.empty += 1;
            return Ok(());
        }
        if self.framing != Framing::Document {
            return self.split(payload, at, limits, body, skipped);
        }
        if payload.len() as u64 <= self.rules.max_event_bytes {
            return body.push(payload);
        }
        let bytes = payload.len() as u64;
        add(skipped, &Skipped { too_long: 1, too_long_bytes: bytes, ..Skipped::default() }, at);
        Ok(())
    }

    fn split(
        &self,
        payload: &[u8],
        at: u64,
        limits: &BatchLimits,
        body: &mut ColumnBuilder,
        skipped: &mut Skipped,
    ) -> Result<(), ColumnTooLarge> {
        let Self { framing, rules } = self.clone();
        let stream = Stream { framing, decompression: Decompression::None, caps: Caps::NONE, rules, limits: *limits };
        let mut rows = Rows { body, skipped, at, result: Ok(()) };
        // Reading from memory cannot fail, and documents are not read here.
        let _ = stream.read(Cursor::new(payload), &mut rows);
        rows.result
    }
}

/// Copies the events of a message to a column.
struct Rows<'a> {
    body: &'a mut ColumnBuilder,
    skipped: &'a mut Skipped,
    at: u64,
    result: Result<(), ColumnTooLarge>,
}

impl Receive for Rows<'_> {
    fn receive(&mut self, chunk: Chunk) -> Result<(), Unwanted> {
        self.result = chunk.column.iter().try_for_each(|row| self.body.push(row));
        if self.result.is_err() { Err(Unwanted) } else { Ok(()) }
    }

    fn skipped(&mut self, skipped: &Skipped) {
        add(self.skipped, skipped, self.at);
    }
}

/// Adds what a message skips. Positions inside a message say nothing, so that of the message stands for them.
fn add(all: &mut Skipped, one: &Skipped, at: u64) {
    all.empty += one.empty;
    all.nuls += one.nuls;
    all.too_long += one.too_long;
    all.too_long_bytes += one.too_long_bytes;
    if one.too_long > 0 {
        all.too_long_at.get_or_insert(at);
    }
}
