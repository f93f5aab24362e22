//! One call of a node: what it reads of its batch, what it decides, and the outcome.
//!
//! The only implementation of the interface `batch` in `wit/`. The sandbox, natively linked nodes
//! and the test harness use it. [`Call`] checks every decision when the node makes it;
//! [`Call::finish`] (`call/effect.rs`) applies all of them together.

mod counts;
mod effect;
mod ended;
mod memory;

use std::sync::Arc;

use bytes::Bytes;

use crate::batch::{Batch, Replacement};
use crate::children::{Bodies, Children};
use crate::column::Column;
use crate::field::{FieldPath, Form, Root};
use crate::object::ValueColumn;
use crate::origin::{Failure, cut};

use counts::CallCounts;
pub use ended::Ended;
use memory::Groups;
pub use memory::MadeEvents;

/// A field that a node resolved, with its access rights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Path of the field.
    pub path: FieldPath,
    /// Whether the node may read it.
    pub read: bool,
    /// Whether the node may change it.
    pub write: bool,
}

/// What the host knows about a configured node.
#[derive(Debug)]
pub struct NodeInfo {
    /// Name of the node in the graph.
    pub name: Arc<str>,
    /// Type and version, such as `mask@1.0.0`.
    pub version: Arc<str>,
    /// The node's output ports, without `failed`.
    pub ports: Vec<String>,
    /// The fields that it resolved; a handle is an index into this list.
    pub fields: Vec<Field>,
}

/// A decision that breaks the contract. The text names the rule and never contains event data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidDecision(pub String);

impl std::fmt::Display for InvalidDecision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidDecision {}

/// Why the decisions of a call have no effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A decision breaks the contract.
    Invalid(InvalidDecision),
    /// The output rows would carry this many bytes of attributes, resource and reasons, more than
    /// the limit.
    TooMuch(u64),
    /// Applying the decisions exceeded the deadline.
    TooLong,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Invalid(error) => error.fmt(f),
            Self::TooMuch(bytes) => write!(f, "its rows carry {bytes} bytes of attributes, resource and reasons"),
            Self::TooLong => f.write_str("applying the decisions took too long"),
        }
    }
}

impl std::error::Error for Refusal {}

type Checked = Result<(), InvalidDecision>;

fn invalid<T>(text: impl Into<String>) -> Result<T, InvalidDecision> {
    Err(InvalidDecision(text.into()))
}

/// Whether a value of this field must be an object: attributes and resource as a whole.
fn takes_objects_only(path: &FieldPath) -> bool {
    path.is_whole() && path.root != Root::Body
}

/// Checks that the text of `source` is valid for `target` in the marked rows.
fn check_source(batch: &Batch, source: &FieldPath, target: &FieldPath, rows: &[u8]) -> Checked {
    let objects_only = takes_objects_only(target);
    let kinds = batch.check_json(source);
    for (row, (&marked, &kind)) in rows.iter().zip(kinds.iter()).enumerate() {
        if marked != 0 && (kind == 0 || (objects_only && kind != wattle_json::Kind::Object as u8)) {
            let wanted = if objects_only { "a JSON object" } else { "valid JSON" };
            return invalid(format!("set-json-from: the text of row {row} is not {wanted}"));
        }
    }
    Ok(())
}

enum Change {
    Replace { field: usize, form: Form, starts: Vec<u32>, ends: Vec<u32>, with: Replacement },
    Set { field: usize, form: Form, values: Column, kinds: Vec<u8> },
    SetJsonFrom { target: usize, source: usize, rows: Vec<u8> },
    Timestamps(Vec<i64>),
}

/// What happens to a row at the end of the call.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Goes,
    /// The row fails for the reason with this index.
    Fails(u32),
    /// The row is dropped under the code with this index.
    Drops(u32),
    /// The row ends in the memory of the node.
    Held,
    /// The row became part of the event of another row.
    Combined,
}

/// A batch in a call, with the decisions made so far.
pub struct Call {
    batch: Batch,
    node: Arc<NodeInfo>,
    projected: Option<Vec<ValueColumn>>,
    changes: Vec<Change>,
    fates: Vec<Fate>,
    reasons: Vec<(Arc<str>, Arc<str>)>,
    drop_codes: Vec<String>,
    routes: Option<Vec<u8>>,
    /// Ports of the children of the split; `None` if all leave on port 0.
    child_routes: Option<Vec<u8>>,
    copies: Vec<(u8, Vec<u32>)>,
    split: Option<(Vec<u32>, Bodies)>,
    groups: Option<Groups>,
    made: Vec<(usize, Batch)>,
    counts: CallCounts,
    /// Whether it is a call of several nodes in a row as one.
    is_fused: bool,
}

/// The outcome of a call. Every row of the batch is in exactly one of these fields; copies and made
/// events are extra.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Batches by port.
    pub emitted: Vec<(usize, Batch)>,
    /// Children of a split, by port.
    pub children: Vec<(usize, Children)>,
    /// Rows that failed, unchanged, with reasons.
    pub failed: Option<Batch>,
    /// Rows dropped on purpose, by code.
    pub dropped: Vec<(String, usize)>,
    /// Number of rows that the split replaced by children, or that were combined.
    pub parents: usize,
    /// Number of events that combined rows became; they are among `emitted`.
    pub combined: usize,
    /// Number of rows that ended in the memory of the node.
    pub held: usize,
    /// Events without a parent, by port. They have no acknowledgement yet.
    pub made: Vec<(usize, Batch)>,
    /// Number of copies: a row that leaves on several ports counts once for each port after the
    /// first.
    pub copied: usize,
    /// Counts that the node reported, by name.
    pub counts: Vec<(String, u64)>,
    /// Marked rows that are in no batch of the outcome.
    pub ended: Vec<Ended>,
    /// Number of rows whose batch was dropped with its acknowledgement open, so that the source sends them again.
    pub returned: usize,
}

impl Outcome {
    /// Number of children of the split that are not made yet.
    pub fn remaining_children(&self) -> usize {
        self.children.iter().map(|(_, children)| children.remaining()).sum()
    }
}

impl Call {
    /// Begins a call.
    pub fn new(batch: Batch, node: Arc<NodeInfo>) -> Self {
        let fates = vec![Fate::Goes; batch.rows()];
        Self {
            batch,
            node,
            projected: None,
            changes: Vec::new(),
            fates,
            reasons: Vec::new(),
            drop_codes: Vec::new(),
            routes: None,
            child_routes: None,
            copies: Vec::new(),
            split: None,
            groups: None,
            made: Vec::new(),
            counts: CallCounts::default(),
            is_fused: false,
        }
    }

    /// Begins a call of several nodes in a row as one. Every row must go on, so that what the nodes received and sent is
    /// known: [`finish`](Self::finish) refuses decisions other than replacements, times and counts.
    pub fn of_several(batch: Batch, node: Arc<NodeInfo>) -> Self {
        Self { is_fused: true, ..Self::new(batch, node) }
    }

    /// Ends the call without any effect and returns the batch.
    pub fn abort(self) -> Batch {
        self.batch
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.batch.rows()
    }

    /// Total size of the bodies of these rows; a row that does not exist counts 0.
    pub fn body_bytes(&self, rows: &[u32]) -> usize {
        rows.iter().map(|&row| self.batch.body().row(row as usize).len()).sum()
    }

    fn field(&self, handle: u32) -> Result<&Field, InvalidDecision> {
        match self.node.fields.get(handle as usize) {
            Some(field) => Ok(field),
            None => invalid(format!("field handle {handle} was never resolved")),
        }
    }

    fn readable(&self, handle: u32) -> Result<&FieldPath, InvalidDecision> {
        let field = self.field(handle)?;
        if field.read {
            Ok(&field.path)
        } else {
            invalid(format!("field handle {handle} was not resolved for reading"))
        }
    }

    fn writable(&self, handle: u32) -> Result<&FieldPath, InvalidDecision> {
        let field = self.field(handle)?;
        if field.write {
            Ok(&field.path)
        } else {
            invalid(format!("field handle {handle} was not resolved for writing"))
        }
    }

    /// Returns a column in this form: bytes, offsets and kinds. The first read finds all readable
    /// fields in one pass.
    pub fn read(&mut self, handle: u32, form: Form) -> Result<(Bytes, Vec<u32>, Vec<u8>), InvalidDecision> {
        let path = self.readable(handle)?;
        if path.is_whole() {
            return Ok(self.batch.read(path, form));
        }
        if self.projected.is_none() {
            let paths: Vec<&FieldPath> =
                self.node.fields.iter().filter(|f| f.read && !f.path.is_whole()).map(|f| &f.path).collect();
            self.projected = Some(self.batch.project(&paths));
        }
        // Handles count all fields, but `projected` has only the readable ones below a root.
        let index = self.node.fields.iter().take(handle as usize).filter(|f| f.read && !f.path.is_whole()).count();
        let Some(values) = self.projected.as_ref().and_then(|p| p.get(index)) else {
            return invalid(format!("field handle {handle} could not be projected"));
        };
        let (bytes, offsets) = match form {
            Form::Json => values.values.to_contiguous(),
            Form::Text => values.to_text(),
        };
        Ok((bytes, offsets, values.kinds.to_vec()))
    }

    /// The JSON kind of a field's text in each row; 0 for text that is not JSON.
    pub fn check_json(&self, handle: u32) -> Result<Arc<[u8]>, InvalidDecision> {
        Ok(self.batch.check_json(self.readable(handle)?))
    }

    /// Decides to replace spans of a field.
    pub fn replace(&mut self, handle: u32, form: Form, starts: Vec<u32>, ends: Vec<u32>, with: Column) -> Checked {
        let field = handle as usize;
        // Spans refer to the text that the node read, so `replace` requires both permissions.
        self.readable(handle)?;
        let path = self.writable(handle)?;
        if path.root == Root::Timestamp {
            return invalid("a timestamp is set with `set-timestamp`");
        }
        if takes_objects_only(path) && form == Form::Text {
            return invalid("replace: attributes and resource as a whole are JSON objects, not text");
        }
        if starts.len() != ends.len() {
            return invalid(format!("replace: {} starts but {} ends", starts.len(), ends.len()));
        }
        // A single text replaces all spans.
        if with.rows() != 1 && with.rows() != starts.len() {
            return invalid(format!("replace: {} texts for {} spans", with.rows(), starts.len()));
        }
        if !starts.is_empty() {
            self.changes.push(Change::Replace { field, form, starts, ends, with: Replacement(with) });
        }
        Ok(())
    }

    /// Decides to set a field in the rows with a kind other than 0.
    pub fn set(&mut self, handle: u32, form: Form, values: Column, kinds: Vec<u8>) -> Checked {
        let path = self.writable(handle)?;
        let rows = self.batch.rows();
        if values.rows() != rows || !(kinds.is_empty() || kinds.len() == rows) {
            return invalid(format!("set: {} values and {} kinds for {rows} rows", values.rows(), kinds.len()));
        }
        if path.root == Root::Timestamp {
            return invalid("a timestamp is set with `set-timestamp`");
        }
        let objects_only = takes_objects_only(path);
        if objects_only && form == Form::Text {
            return invalid("set: attributes and resource as a whole take JSON objects, not text");
        }
        if form == Form::Json {
            for (row, text) in values.iter().enumerate() {
                if kinds.get(row).is_some_and(|&k| k == 0) {
                    continue;
                }
                match wattle_json::check(text, crate::MAX_JSON_DEPTH) {
                    Ok(wattle_json::Kind::Object) => {}
                    Ok(kind) if objects_only => {
                        return invalid(format!("set: row {row} is a JSON {}, not an object", kind.name()));
                    }
                    Ok(_) => {}
                    Err(error) => return invalid(format!("set: row {row} is not JSON: {error}")),
                }
            }
        }
        self.changes.push(Change::Set { field: handle as usize, form, values, kinds });
        Ok(())
    }

    /// Decides to set a field in the marked rows to the JSON in the text of another field.
    pub fn set_json_from(&mut self, target: u32, source: u32, rows: Vec<u8>) -> Checked {
        let target_path = self.writable(target)?;
        let source_path = self.readable(source)?;
        if rows.len() != self.batch.rows() {
            return invalid(format!("set-json-from: {} marks for {} rows", rows.len(), self.batch.rows()));
        }
        if target_path.root == Root::Timestamp {
            return invalid("a timestamp is set with `set-timestamp`");
        }
        check_source(&self.batch, source_path, target_path, &rows)?;
        self.changes.push(Change::SetJsonFrom { target: target as usize, source: source as usize, rows });
        Ok(())
    }

    /// Decides the timestamp of each row in nanoseconds since the epoch; `i64::MIN` leaves a row
    /// unchanged.
    pub fn set_timestamps(&mut self, nanoseconds: Vec<i64>) -> Checked {
        if nanoseconds.len() != self.batch.rows() {
            return invalid(format!("set-timestamp: {} times for {} rows", nanoseconds.len(), self.batch.rows()));
        }
        self.changes.push(Change::Timestamps(nanoseconds));
        Ok(())
    }

    /// Decides to split rows at spans of a column.
    #[expect(clippy::too_many_arguments, reason = "the shape of the contract's function")]
    pub fn split(
        &mut self,
        handle: u32,
        form: Form,
        parents: Vec<u32>,
        starts: Vec<u32>,
        ends: Vec<u32>,
        prefix: Vec<u8>,
        suffix: Vec<u8>,
    ) -> Checked {
        if starts.len() != parents.len() || ends.len() != parents.len() {
            return invalid(format!("split: {} parents, {} starts, {} ends", parents.len(), starts.len(), ends.len()));
        }
        let (text, ..) = self.read(handle, form)?;
        let path = self.readable(handle)?;
        let is_body = path.root == Root::Body && path.is_whole();
        let known = self.batch.body().known_contiguous().filter(|_| is_body);
        for (index, (&start, &end)) in starts.iter().zip(&ends).enumerate() {
            if start > end || end as usize > text.len() {
                return invalid(format!("split: child {index} has a span out of bounds"));
            }
        }
        self.set_split(parents, Bodies::Spans { text, known, starts, ends, prefix, suffix })
    }

    /// Decides to split rows into bodies that the node made.
    pub fn split_into(&mut self, parents: Vec<u32>, bodies: Column) -> Checked {
        if bodies.rows() != parents.len() {
            return invalid(format!("split-into: {} parents but {} bodies", parents.len(), bodies.rows()));
        }
        self.set_split(parents, Bodies::Column(bodies))
    }

    fn set_split(&mut self, parents: Vec<u32>, bodies: Bodies) -> Checked {
        if self.split.is_some() || self.groups.is_some() {
            return invalid("split: one call can split or combine only once");
        }
        if let Err(error) = self.batch.check_parents(&parents) {
            return invalid(format!("split: {error}"));
        }
        self.split = Some((parents, bodies));
        Ok(())
    }

    /// Decides to drop rows.
    pub fn drop_rows(&mut self, rows: &[u32], code: String) -> Checked {
        let index = u32::try_from(self.drop_codes.len()).unwrap_or(u32::MAX);
        for &row in rows {
            match self.fates.get_mut(row as usize) {
                // A failure wins over a drop, so that the row does not disappear.
                Some(Fate::Fails(_)) => {}
                Some(fate) => *fate = Fate::Drops(index),
                None => return invalid(format!("drop: row {row} does not exist")),
            }
        }
        self.drop_codes.push(cut(&code, Failure::MAX_CODE_BYTES).to_owned());
        Ok(())
    }

    /// Decides the port of each row or, after a split, of each child.
    pub fn route(&mut self, ports: Vec<u8>) -> Checked {
        let Some((parents, _)) = &self.split else { return self.route_rows(ports) };
        self.check_ports(&ports, parents.len(), "children")?;
        self.child_routes = Some(ports);
        Ok(())
    }

    /// Decides the port of each row, also after a split, as in contract 0.1: its children leave on port 0.
    pub fn route_rows(&mut self, ports: Vec<u8>) -> Checked {
        self.check_ports(&ports, self.batch.rows(), "rows")?;
        self.routes = Some(ports);
        Ok(())
    }

    fn check_ports(&self, ports: &[u8], count: usize, what: &str) -> Checked {
        if ports.len() != count {
            return invalid(format!("route: {} ports for {count} {what}", ports.len()));
        }
        match ports.iter().find(|&&port| usize::from(port) >= self.node.ports.len()) {
            Some(port) => invalid(format!("route: port {port} does not exist")),
            None => Ok(()),
        }
    }

    /// Decides to send copies of rows to a further port.
    pub fn copy_to(&mut self, port: u8, rows: Vec<u32>) -> Checked {
        if usize::from(port) >= self.node.ports.len() {
            return invalid(format!("copy-to: port {port} does not exist"));
        }
        if let Some(row) = rows.iter().find(|&&r| r as usize >= self.batch.rows()) {
            return invalid(format!("copy-to: row {row} does not exist"));
        }
        self.copies.push((port, rows));
        Ok(())
    }

    /// Decides to fail rows. `which` has, for each row, the index of its reason (code, message).
    pub fn fail(&mut self, rows: &[u32], which: &[u32], reasons: Vec<(String, String)>) -> Checked {
        if rows.len() != which.len() {
            return invalid(format!("fail: {} rows but {} reasons", rows.len(), which.len()));
        }
        // `self.reasons` starts with the reasons of earlier calls of `fail`.
        let base = u32::try_from(self.reasons.len()).unwrap_or(u32::MAX);
        for (&row, &reason) in rows.iter().zip(which) {
            if reason as usize >= reasons.len() {
                return invalid(format!("fail: reason {reason} does not exist"));
            }
            match self.fates.get_mut(row as usize) {
                Some(fate) => *fate = Fate::Fails(base + reason),
                None => return invalid(format!("fail: row {row} does not exist")),
            }
        }
        self.reasons.extend(reasons.iter().map(|(code, message)| Failure::reason(code, message)));
        Ok(())
    }

    /// Decides to add to one of the node's counts.
    pub fn count(&mut self, name: &str, value: u64) {
        self.counts.add(name, value);
    }
}

#[cfg(test)]
mod tests;
