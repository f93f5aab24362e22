//! The batch: columns of events that travel together under one acknowledgement.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::ack::Ack;
use crate::column::{Column, Span};
use crate::field::FieldPath;
use crate::kind::EventKind;
use crate::object::Object;
use crate::origin::{Failure, Origin};

mod change;
pub(crate) mod copy;
mod marks;
pub(crate) mod merge;
mod read;

/// How deep JSON may nest before it counts as invalid; the deepest CloudTrail record seen nests 20
/// levels.
pub const MAX_JSON_DEPTH: usize = 512;

/// Attributes, resource and failure of a row are charged only above this size, so that small rows
/// with an ordinary resource can split and fail.
pub(crate) const ROW_ALLOWANCE_BYTES: usize = 256;

/// Events in columns. Cloning the columns shares their buffers.
#[derive(Debug)]
pub struct Batch {
    body: Column,
    pub(crate) attributes: Object,
    pub(crate) resource: Object,
    /// The roots of `context.rs`.
    pub(crate) context: Object,
    timestamps: Option<Arc<[Option<i64>]>>,
    failures: Option<Arc<[Failure]>>,
    origin: Arc<Origin>,
    kind: EventKind,
    /// Whether the source offered these events before.
    is_redelivered: bool,
    /// Where the batch of the source began in its input.
    position: Option<u64>,
    /// The places of the rows in a batch that is in parts.
    places: Option<Arc<[u32]>>,
    /// The marks of the rows that the agent follows.
    marks: marks::Marks,
    ack: Ack,
    /// JSON kind of each body, computed at first use.
    body_kinds: OnceLock<Arc<[u8]>>,
}

/// A row that kept its fields, because a field cannot be set in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowFailed {
    /// Index of the row.
    pub row: u32,
    /// Why it cannot.
    pub problem: SetProblem,
}

/// Why a field cannot be set in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetProblem {
    /// Something on its path is not an object.
    NoPlace,
    /// `severity` does not take the value.
    Severity,
    /// `trace_id` does not take the value.
    TraceId,
    /// `span_id` does not take the value.
    SpanId,
    /// `scope` does not take the value.
    Scope,
}

impl SetProblem {
    /// The code of the failure of the row.
    pub fn code(self) -> &'static str {
        match self {
            Self::NoPlace => "no-place",
            Self::Severity | Self::TraceId | Self::SpanId | Self::Scope => "bad-value",
        }
    }

    /// The sentence for people, about the field that could not be set.
    pub fn message(self, field: &FieldPath) -> String {
        match self {
            Self::NoPlace => format!("`{field}` could not be set: something on its path is not an object"),
            Self::Severity => "`severity` must be an object with `text` (a string) and `number` (1 to 24)".to_owned(),
            Self::TraceId => "`trace_id` must have 32 hexadecimal digits that are not all zero".to_owned(),
            Self::SpanId => "`span_id` must have 16 hexadecimal digits that are not all zero".to_owned(),
            Self::Scope => {
                "`scope` must be an object with `name`, `version` (strings) and `attributes` (an object)".to_owned()
            }
        }
    }
}

/// Why a replacement of spans was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpliceError {
    /// The span of this index is out of order, out of bounds, or without a text.
    Span(usize),
    /// The value of this row would no longer be valid JSON.
    NotJson(usize),
    /// The attributes or the resource of this row would no longer be an object.
    NotAnObject(usize),
    /// The column would exceed 4 GiB.
    TooLarge,
}

impl std::fmt::Display for SpliceError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Span(span) => write!(f, "span {span} is out of order or out of bounds"),
            Self::NotJson(row) => write!(f, "the value of row {row} would no longer be valid JSON"),
            Self::NotAnObject(row) => write!(f, "the value of row {row} would no longer be a JSON object"),
            Self::TooLarge => f.write_str("the column would exceed 4 GiB"),
        }
    }
}

impl std::error::Error for SpliceError {}

/// Why a split was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SplitError {
    /// The parent of this child does not exist, or precedes the parent of the child before.
    Parent(usize),
}

impl std::fmt::Display for SplitError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Parent(child) => {
                write!(f, "the parent of child {child} does not exist or precedes the parent of the child before")
            }
        }
    }
}

impl std::error::Error for SplitError {}

/// Replacement texts: one for all spans, or one for each.
#[derive(Clone, Debug)]
pub struct Replacement(pub Column);

impl Replacement {
    fn text(&self, span: usize) -> &[u8] {
        self.0.row(if self.0.rows() == 1 { 0 } else { span })
    }
}

impl Batch {
    /// A batch of fresh events.
    pub fn new(body: Column, origin: Arc<Origin>, ack: Ack) -> Self {
        let resource = Object::shared(&origin.resource);
        Self {
            body,
            attributes: Object::none(),
            resource,
            context: Object::none(),
            timestamps: None,
            failures: None,
            origin,
            kind: EventKind::Log,
            is_redelivered: false,
            position: None,
            places: None,
            marks: None,
            ack,
            body_kinds: OnceLock::new(),
        }
    }

    /// The same events as another kind of telemetry.
    pub fn of_kind(self, kind: EventKind) -> Self {
        Self { kind, ..self }
    }

    /// The same events, marked as offered before.
    pub fn redelivered(self) -> Self {
        Self { is_redelivered: true, ..self }
    }

    /// The same events, with the position of the batch in its input. Only for sources that cut an input into the same
    /// batches whenever they read it.
    pub fn at(self, position: u64) -> Self {
        Self { position: Some(position), ..self }
    }

    /// The same events under another acknowledgement. The current share is dropped, so use this
    /// only for a batch that has none.
    pub fn with_ack(self, ack: Ack) -> Self {
        Self { ack, ..self }
    }

    /// What kind of telemetry the events are. A batch never mixes kinds.
    pub fn kind(&self) -> EventKind {
        self.kind
    }

    /// Whether the source offered these events before and did not get an acknowledgement. A source
    /// that restarts may not know, so `false` does not mean that the events are new.
    pub fn is_redelivered(&self) -> bool {
        self.is_redelivered
    }

    /// Where the batch of the source began in its input, if the source cuts an input into the same batches whenever it
    /// reads it. Nodes leave it unchanged: all events that descend from the batch have it.
    pub fn position(&self) -> Option<u64> {
        self.position
    }

    /// Number of events.
    pub fn rows(&self) -> usize {
        self.body.rows()
    }

    /// Bytes of the bodies, the measure that limits use.
    pub fn byte_len(&self) -> usize {
        self.body.byte_len()
    }

    /// Size of what a row carries in addition to its body: all other roots and the failure. Rows
    /// share these bytes in memory, but each encoded row contains them.
    pub fn carried_bytes(&self, row: usize) -> usize {
        let failure = self.failure(row).map_or(0, |f| f.node.len() + f.version.len() + f.code.len() + f.message.len());
        let context = if self.context.is_none() { 0 } else { self.context.byte_len(row) };
        self.attributes.byte_len(row) + self.resource.byte_len(row) + context + failure
    }

    /// Bytes that limits count for the output: the bodies, and what each row carries above
    /// `ROW_ALLOWANCE_BYTES`.
    pub fn charged_bytes(&self) -> usize {
        (0..self.rows()).fold(self.byte_len(), |sum, row| sum.saturating_add(self.charged_carried(row)))
    }

    /// What a row carries above `ROW_ALLOWANCE_BYTES`.
    pub(crate) fn charged_carried(&self, row: usize) -> usize {
        self.carried_bytes(row).saturating_sub(ROW_ALLOWANCE_BYTES)
    }

    /// Approximate size of all rows when a sink writes them as JSON.
    pub fn written_bytes(&self) -> usize {
        (0..self.rows()).fold(self.byte_len(), |sum, row| sum.saturating_add(self.carried_bytes(row)))
    }

    /// The bodies.
    pub fn body(&self) -> &Column {
        &self.body
    }

    /// Where the events came from.
    pub fn origin(&self) -> &Arc<Origin> {
        &self.origin
    }

    /// The acknowledgement of this batch.
    pub fn ack(&self) -> &Ack {
        &self.ack
    }

    /// Ends the batch and returns its acknowledgement.
    pub fn into_ack(self) -> Ack {
        self.ack
    }

    /// The event's own time in nanoseconds since the epoch, if it has one.
    pub fn timestamp(&self, row: usize) -> Option<i64> {
        *self.timestamps.as_ref()?.get(row)?
    }

    /// Why the row failed; only batches on a failure port have failures.
    pub fn failure(&self, row: usize) -> Option<&Failure> {
        self.failures.as_ref()?.get(row)
    }

    /// Whether these rows failed at a node.
    pub fn is_failed(&self) -> bool {
        self.failures.is_some()
    }

    /// A second batch of the same events with a share of the acknowledgement.
    pub fn share(&self) -> Self {
        Self { ack: self.ack.share(), ..self.detached() }
    }

    /// The same events without an acknowledgement, for work whose result does not matter to the
    /// source.
    pub fn detached(&self) -> Self {
        Self {
            body: self.body.clone(),
            attributes: self.attributes.clone(),
            resource: self.resource.clone(),
            context: self.context.clone(),
            timestamps: self.timestamps.clone(),
            failures: self.failures.clone(),
            origin: self.origin.clone(),
            kind: self.kind,
            is_redelivered: self.is_redelivered,
            position: self.position,
            places: self.places.clone(),
            marks: self.marks.clone(),
            ack: Ack::none(),
            body_kinds: self.body_kinds.clone(),
        }
    }

    /// The rows with these indices, in this order, with a share of the acknowledgement. Copies no
    /// text.
    pub fn select(&self, rows: &[u32]) -> Self {
        let body_kinds = OnceLock::new();
        // Keep the results of a check that was already done.
        if let Some(kinds) = self.body_kinds.get() {
            // The cell is new, so `set` cannot fail.
            let _ = body_kinds.set(rows.iter().map(|&r| kinds.get(r as usize).copied().unwrap_or(0)).collect());
        }
        Self { body_kinds, ..self.heirs(rows, self.body.select(rows)) }
    }

    /// Marks each row as failed for the reason at its index.
    pub fn with_failures(mut self, failures: Vec<Failure>) -> Self {
        self.failures = Some(failures.into());
        self
    }

    /// Replaces all bodies with empty ones and removes all attributes, severities, traces and scopes,
    /// so that the batch can leave in place of events that must stay unseen.
    pub fn without_contents(self) -> Self {
        let rows = self.rows();
        let body = Column::from_spans(Bytes::new(), vec![Span::default(); rows]).unwrap_or_default();
        Self { body, attributes: Object::none(), context: Object::none(), body_kinds: OnceLock::new(), ..self }
    }

    /// New bodies for descendants of these rows, which inherit everything else.
    fn heirs(&self, parents: &[u32], body: Column) -> Self {
        let pick = |row: &u32| *row as usize;
        Self {
            body,
            attributes: self.attributes.select(parents),
            resource: self.resource.select(parents),
            context: self.context.select(parents),
            timestamps: self
                .timestamps
                .as_ref()
                .map(|t| parents.iter().map(|p| t.get(pick(p)).copied().flatten()).collect()),
            failures: self.failures.as_ref().map(|f| parents.iter().filter_map(|p| f.get(pick(p)).cloned()).collect()),
            origin: self.origin.clone(),
            kind: self.kind,
            is_redelivered: self.is_redelivered,
            position: self.position,
            places: self.places.as_ref().map(|all| parents.iter().filter_map(|p| all.get(pick(p)).copied()).collect()),
            marks: marks::inherited(&self.marks, parents),
            ack: self.ack.share(),
            body_kinds: OnceLock::new(),
        }
    }

    /// Sets the time of each row; `i64::MIN` leaves a row unchanged.
    pub fn set_timestamps(&mut self, nanoseconds: &[i64]) {
        let times = (0..self.rows()).map(|row| match nanoseconds.get(row) {
            Some(&i64::MIN) | None => self.timestamp(row),
            Some(&time) => Some(time),
        });
        self.timestamps = Some(times.collect());
    }

    /// Splits rows into children with new bodies; the children inherit everything else.
    ///
    /// # Errors
    ///
    /// A parent that does not exist, or the wrong number of bodies.
    pub fn split(&self, parents: &[u32], bodies: Column) -> Result<Self, SplitError> {
        self.check_parents(parents)?;
        if bodies.rows() != parents.len() {
            return Err(SplitError::Parent(parents.len().min(bodies.rows())));
        }
        Ok(self.heirs(parents, bodies))
    }

    /// Checks that parents exist and never decrease.
    ///
    /// # Errors
    ///
    /// The first parent that breaks the rule.
    pub fn check_parents(&self, parents: &[u32]) -> Result<(), SplitError> {
        let mut last = 0;
        for (index, &parent) in parents.iter().enumerate() {
            if parent < last || parent as usize >= self.rows() {
                return Err(SplitError::Parent(index));
            }
            last = parent;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
