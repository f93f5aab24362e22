//! The batch of a call: reads its columns and makes decisions about its rows.

use crate::column::{Column, ColumnWriter};
use crate::tick::{Emit, Events};

/// A resolved field, from [`Setup`](crate::Setup).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field(pub(crate) u32);

/// The form of the values of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Strings without quotes and unescaped; every other value as its JSON text.
    Text,
    /// Every value as its JSON text.
    Json,
}

/// Calls a function of nodes with memory. In a component it does not go through [`Io`]: an artifact
/// imports what its trait objects could call, and the agent takes these imports as a request for
/// durable state.
macro_rules! agent {
    ($io:expr, $function:ident $(, $argument:expr)*) => {{
        #[cfg(target_arch = "wasm32")]
        {
            $crate::bindings::$function($($argument),*)
        }
        #[cfg(not(target_arch = "wasm32"))]
        {
            $io.$function($($argument),*)
        }
    }};
}
pub(crate) use agent;

/// The host's side of a call. The bindings implement it inside a component, and
/// [`native`](crate::native) outside.
#[expect(
    missing_docs,
    reason = "each function is that of the same name in wit/batch.wit, documented there and on Batch"
)]
pub trait Io: Emit {
    fn rows(&self) -> usize;
    #[cfg(not(target_arch = "wasm32"))]
    fn redelivered(&self) -> bool;
    #[cfg(not(target_arch = "wasm32"))]
    fn combine(&mut self, rows: &[u32], offsets: &[u32], bodies: ColumnWriter);
    #[cfg(not(target_arch = "wasm32"))]
    fn hold(&mut self, rows: &[u32]);
    fn read(&mut self, field: u32, form: Form) -> Column;
    fn check_json(&mut self, field: u32) -> Vec<u8>;
    fn replace(&mut self, field: u32, form: Form, starts: &[u32], ends: &[u32], with: ColumnWriter);
    fn set(&mut self, field: u32, form: Form, values: ColumnWriter);
    fn set_json_from(&mut self, target: u32, source: u32, rows: &[u8]);
    fn set_timestamp(&mut self, nanoseconds: &[i64]);
    fn split(&mut self, field: u32, form: Form, spans: ChildSpans<'_>, prefix: &[u8], suffix: &[u8]);
    fn split_into(&mut self, parents: &[u32], bodies: ColumnWriter);
    fn drop_rows(&mut self, rows: &[u32], code: &str);
    fn route(&mut self, ports: &[u8]);
    fn copy_to(&mut self, port: u8, rows: &[u32]);
    fn fail(&mut self, rows: &[u32], which: &[u32], reasons: &[(String, String)]);
}

/// The children of a split as spans of a column: lists of equal length.
#[derive(Clone, Copy, Debug)]
pub struct ChildSpans<'a> {
    /// Parent row of each child; never decreasing.
    pub parents: &'a [u32],
    /// First byte of each child in `bytes` of the column.
    pub starts: &'a [u32],
    /// One after the last byte of each child.
    pub ends: &'a [u32],
}

/// The batch of the current call. Decisions take effect together when
/// [`Node::process`](crate::Node::process) returns without an error; `wit/batch.wit` has their
/// rules.
pub struct Batch<'a> {
    io: &'a mut dyn Io,
}

impl<'a> Batch<'a> {
    /// Creates a batch on the host's side of a call.
    pub fn new(io: &'a mut dyn Io) -> Self {
        Self { io }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.io.rows()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the source offered this batch before. A source that restarts may not know.
    pub fn is_redelivered(&self) -> bool {
        agent!(self.io, redelivered)
    }

    /// Makes one event of each group of rows, `rows[offsets[i]..offsets[i + 1]]`, with row i of
    /// `bodies` as its body. Everything else, and its place in the order, comes from the first row of
    /// the group.
    pub fn combine(&mut self, rows: &[u32], offsets: &[u32], bodies: ColumnWriter) {
        if !rows.is_empty() {
            agent!(self.io, combine, rows, offsets, bodies);
        }
    }

    /// Ends rows in the memory of the node.
    pub fn hold(&mut self, rows: &[u32]) {
        if !rows.is_empty() {
            agent!(self.io, hold, rows);
        }
    }

    /// Makes events that have no parent and leave on a port.
    pub fn emit(&mut self, port: u8, events: Events) {
        if !events.is_empty() {
            agent!(self.io, emit, port, events);
        }
    }

    /// The values of a field, one per row.
    pub fn read(&mut self, field: Field, form: Form) -> Column {
        self.io.read(field.0, form)
    }

    /// The JSON type of the text of a field, per row: a [`Kind`](crate::json::Kind), or 0 if the
    /// text is not valid JSON.
    pub fn check_json(&mut self, field: Field) -> Vec<u8> {
        self.io.check_json(field.0)
    }

    /// Replaces spans of a column (positions in `bytes` of the result of `read`) with one text for
    /// all, or with one text for each.
    pub fn replace(&mut self, field: Field, form: Form, starts: &[u32], ends: &[u32], with: ColumnWriter) {
        self.io.replace(field.0, form, starts, ends, with);
    }

    /// Sets a field of every row that has a value in `values`, to a string or to JSON.
    pub fn set(&mut self, field: Field, form: Form, values: ColumnWriter) {
        self.io.set(field.0, form, values);
    }

    /// Sets `target` of the marked rows to the JSON in the text of `source`, without moving it.
    pub fn set_json_from(&mut self, target: Field, source: Field, rows: &[u8]) {
        self.io.set_json_from(target.0, source.0, rows);
    }

    /// Sets the time of each row in nanoseconds since the epoch; [`i64::MIN`] leaves it unchanged.
    pub fn set_timestamp(&mut self, nanoseconds: &[i64]) {
        self.io.set_timestamp(nanoseconds);
    }

    /// Splits rows: each child's body is `prefix`, its span of the column, `suffix`.
    pub fn split(&mut self, field: Field, form: Form, spans: ChildSpans<'_>, prefix: &[u8], suffix: &[u8]) {
        self.io.split(field.0, form, spans, prefix, suffix);
    }

    /// Splits rows into bodies that the node provides.
    pub fn split_into(&mut self, parents: &[u32], bodies: ColumnWriter) {
        self.io.split_into(parents, bodies);
    }

    /// Drops rows on purpose; the host counts them under a reason code.
    pub fn drop_rows(&mut self, rows: &[u32], code: &str) {
        if !rows.is_empty() {
            self.io.drop_rows(rows, code);
        }
    }

    /// Sets the port of each row or, after a split, of each child.
    pub fn route(&mut self, ports: &[u8]) {
        self.io.route(ports);
    }

    /// Sends copies of rows to an additional port.
    pub fn copy_to(&mut self, port: u8, rows: &[u32]) {
        if !rows.is_empty() {
            self.io.copy_to(port, rows);
        }
    }

    /// Fails the collected rows.
    pub fn fail(&mut self, reasons: &Reasons) {
        if !reasons.rows.is_empty() {
            self.io.fail(&reasons.rows, &reasons.which, &reasons.table);
        }
    }

    /// Adds to a count that the agent shows under this name in its summary, metrics and status.
    pub fn count(&mut self, name: &str, value: u64) {
        if value > 0 {
            self.io.count(name, value);
        }
    }
}

/// Rows that fail, with reasons. Neighbouring rows with the same reason share it.
#[derive(Clone, Debug, Default)]
pub struct Reasons {
    rows: Vec<u32>,
    which: Vec<u32>,
    table: Vec<(String, String)>,
}

impl Reasons {
    /// Adds a row with a code in kebab-case and a message for the operator.
    pub fn add(&mut self, row: usize, code: &str, message: &str) {
        // Compare with the last few only: if the messages of all rows differ, comparing with all
        // would be quadratic.
        let older = self.table.len().saturating_sub(16);
        let recent = self.table.iter().skip(older).position(|(c, m)| c == code && m == message);
        let known = recent.map(|place| older + place);
        let which = known.unwrap_or_else(|| {
            self.table.push((code.to_owned(), message.to_owned()));
            self.table.len() - 1
        });
        self.rows.push(u32::try_from(row).unwrap_or(u32::MAX));
        self.which.push(u32::try_from(which).unwrap_or(u32::MAX));
    }

    /// The rows, in the order in which they were added.
    pub fn rows(&self) -> impl Iterator<Item = usize> + '_ {
        self.rows.iter().map(|&row| row as usize)
    }

    /// Whether no row failed.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}
