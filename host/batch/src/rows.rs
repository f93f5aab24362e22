//! Builds a batch of events whose parts a source writes one after the other.

use std::sync::Arc;

use bytes::Bytes;

use crate::ack::Ack;
use crate::batch::Batch;
use crate::column::{Column, ColumnTooLarge, Span};
use crate::field::{FieldPath, Form};
use crate::kind::EventKind;
use crate::origin::Origin;

/// Events whose parts stand in one text, and which become one batch.
#[derive(Debug)]
pub struct Rows {
    kind: EventKind,
    /// The texts of all rows.
    text: Vec<u8>,
    rows: Vec<RowParts>,
}

/// Where the parts of an event stand in the text of [`Rows`]. Parts that it does not have are empty. All but the body are
/// JSON: objects, and strings for the ids.
#[derive(Clone, Copy, Debug, Default)]
pub struct RowParts {
    /// The body.
    pub body: Span,
    /// An object.
    pub attributes: Span,
    /// An object, instead of the resource of the origin.
    pub resource: Span,
    /// An object with `text` and `number`.
    pub severity: Span,
    /// A string of 32 hexadecimal digits.
    pub trace_id: Span,
    /// A string of 16 hexadecimal digits.
    pub span_id: Span,
    /// An object with `name`, `version` and `attributes`.
    pub scope: Span,
    /// Nanoseconds since 1970.
    pub time: Option<i64>,
}

/// A root of events, and its place in a row.
type Root = (&'static str, fn(&RowParts) -> Span);

const ROOTS: [Root; 6] = [
    ("attributes", |row| row.attributes),
    ("resource", |row| row.resource),
    ("severity", |row| row.severity),
    ("trace_id", |row| row.trace_id),
    ("span_id", |row| row.span_id),
    ("scope", |row| row.scope),
];

impl Rows {
    /// No events, of this kind.
    pub fn new(kind: EventKind) -> Self {
        Self { kind, text: Vec::new(), rows: Vec::new() }
    }

    /// The kind of the events.
    pub fn kind(&self) -> EventKind {
        self.kind
    }

    /// Number of events.
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// Bytes of the texts.
    pub fn byte_len(&self) -> usize {
        self.text.len()
    }

    /// Writes a part of the next event.
    pub fn write(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Span {
        let start = self.text.len();
        write(&mut self.text);
        // A text of more than 4 GiB makes a span that is not valid, and so an error of `into_batch`.
        let at = |offset| u32::try_from(offset).unwrap_or(u32::MAX);
        Span { start: at(start), end: at(self.text.len()) }
    }

    /// Adds the event whose parts have been written.
    pub fn push(&mut self, row: RowParts) {
        self.rows.push(row);
    }

    /// Makes a batch of the events.
    ///
    /// # Errors
    ///
    /// The events have more than 4 GiB.
    pub fn into_batch(self, origin: Arc<Origin>, ack: Ack) -> Result<Batch, ColumnTooLarge> {
        let Self { kind, text, rows } = self;
        let bytes = Bytes::from(text);
        let column = |spans: Vec<Span>| Column::from_spans(bytes.clone(), spans).ok_or(ColumnTooLarge);
        let mut batch = Batch::new(column(rows.iter().map(|row| row.body).collect())?, origin, ack).of_kind(kind);
        for (root, span) in ROOTS {
            let spans: Vec<Span> = rows.iter().map(span).collect();
            let kinds: Vec<u8> = spans.iter().map(|span| u8::from(span.end > span.start)).collect();
            // The paths are valid, and only values that the roots take have been written.
            if let Ok(path) = FieldPath::parse(root)
                && kinds.contains(&1)
            {
                let failed = batch.set(&path, Form::Json, &column(spans)?, &kinds)?;
                debug_assert!(failed.is_empty(), "{root}: {failed:?}");
            }
        }
        batch.set_timestamps(&rows.iter().map(|row| row.time.unwrap_or(i64::MIN)).collect::<Vec<_>>());
        Ok(batch)
    }
}
