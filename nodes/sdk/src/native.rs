//! A node that is linked natively instead of as a component: for tests, and to measure the cost of
//! the sandbox.
//!
//! Its decisions go through the same [`wattle_batch::Call`] as those of a sandboxed node.

use std::sync::Arc;

use wattle_batch::{
    Batch as HostBatch, Call, EventKind as HostKind, Field, FieldPath, Form as HostForm, InvalidDecision, MadeEvents,
    NodeInfo, Outcome,
};

use crate::batch::{Batch, ChildSpans, Form, Io};
use crate::column::{Column, ColumnWriter};
use crate::node::{Fusible, Node, OptionError, Requested, Resolve, Snapshot, Stateful, Timed, configure, fuse};
use crate::tick::{Emit, EventKind, Events, Tick};

/// A configured node.
pub struct Native<N> {
    node: N,
    info: Arc<NodeInfo>,
    requested: Requested,
}

/// Why a call had no effect; the batch returns unchanged.
#[derive(Debug)]
pub enum CallError {
    /// A decision broke the contract.
    Invalid(InvalidDecision),
    /// The node returned an error.
    Node(String),
}

/// The fields that a node resolved.
#[derive(Default)]
struct Fields(Vec<Field>);

impl Resolve for Fields {
    fn resolve(&mut self, path: &str, read: bool, write: bool) -> Result<u32, String> {
        let path = FieldPath::parse(path).map_err(|e| e.to_string())?;
        self.0.push(Field { path, read, write });
        u32::try_from(self.0.len() - 1).map_err(|e| e.to_string())
    }
}

impl<N: Fusible> Native<N> {
    /// Configures a node that does the work of several, given their options in JSON; `None` if one node cannot.
    pub fn fuse(name: &str, options: &[&str]) -> Option<Self> {
        let mut fields = Fields::default();
        let node = fuse::<N>(options.iter().copied(), &mut fields)?;
        let requested = Requested { ports: vec!["out".into()], ..Requested::default() };
        Some(Self::new(node, name, fields, requested))
    }
}

impl<N: Node> Native<N> {
    /// Configures a node with options in JSON.
    ///
    /// # Errors
    ///
    /// All errors in the options.
    pub fn configure(name: &str, options: &str) -> Result<Self, Vec<OptionError>> {
        let mut fields = Fields::default();
        let (node, requested) = configure::<N>(options, &mut fields)?;
        Ok(Self::new(node, name, fields, requested))
    }

    fn new(node: N, name: &str, fields: Fields, requested: Requested) -> Self {
        let version = format!("{}@{}", N::NAME, N::VERSION);
        let ports = requested.ports.clone();
        let info = NodeInfo { name: name.into(), version: version.into(), ports, fields: fields.0 };
        Self { node, info: Arc::new(info), requested }
    }

    /// What the node asked for while it was configured.
    pub fn requested(&self) -> &Requested {
        &self.requested
    }

    /// The node's ports and fields.
    pub fn info(&self) -> &Arc<NodeInfo> {
        &self.info
    }

    /// Processes a batch.
    ///
    /// # Errors
    ///
    /// The unchanged batch, and the reason.
    pub fn process(&mut self, batch: HostBatch) -> Result<Outcome, Box<(HostBatch, CallError)>> {
        let mut io = NativeIo { call: Call::new(batch, self.info.clone()), wrong: None };
        let done = self.node.process(&mut Batch::new(&mut io));
        io.finish(done)
    }
}

impl<N: Timed> Native<N> {
    /// Calls the timer of the node.
    ///
    /// # Errors
    ///
    /// The reason why the call had no effect.
    pub fn tick(&mut self, now: i64, is_last: bool) -> Result<Outcome, CallError> {
        let mut io = NativeIo { call: Call::of_timer(self.info.clone(), now), wrong: None };
        let done = self.node.tick(&mut Tick::new(&mut io, now, is_last));
        io.finish(done).map_err(|error| error.1)
    }
}

impl<N: Stateful> Native<N> {
    /// Takes a snapshot.
    pub fn save(&self) -> Snapshot {
        Snapshot { version: N::STATE_VERSION, bytes: self.node.save() }
    }

    /// Restores the state that other instances saved.
    ///
    /// # Errors
    ///
    /// The node cannot read a snapshot.
    pub fn restore(&mut self, snapshots: Vec<Snapshot>) -> Result<(), String> {
        self.node.restore(snapshots)
    }
}

struct NativeIo {
    call: Call,
    /// The first decision that broke the contract. In the sandbox it would have trapped.
    wrong: Option<InvalidDecision>,
}

impl NativeIo {
    /// Ends the call of a node that returned this.
    fn finish(self, done: Result<(), String>) -> Result<Outcome, Box<(HostBatch, CallError)>> {
        match (done, self.wrong) {
            (Err(error), _) => Err(Box::new((self.call.abort(), CallError::Node(error)))),
            (Ok(()), Some(wrong)) => Err(Box::new((self.call.abort(), CallError::Invalid(wrong)))),
            (Ok(()), None) => self.call.finish().map_err(|e| Box::new((e.0, CallError::Invalid(e.1)))),
        }
    }

    fn check<T: Default>(&mut self, done: Result<T, InvalidDecision>) -> T {
        done.unwrap_or_else(|error| {
            self.wrong.get_or_insert(error);
            T::default()
        })
    }

    fn column(&mut self, column: ColumnWriter) -> (wattle_batch::Column, Vec<u8>) {
        let made = wattle_batch::Column::from_offsets(column.bytes.into(), &column.offsets)
            .ok_or_else(|| InvalidDecision("offsets of a column are wrong".into()));
        (self.check(made), column.kinds)
    }
}

fn host(form: Form) -> HostForm {
    match form {
        Form::Text => HostForm::Text,
        Form::Json => HostForm::Json,
    }
}

impl Emit for NativeIo {
    fn emit(&mut self, port: u8, events: Events) {
        let kind = match events.kind {
            EventKind::Log => HostKind::Log,
            EventKind::Metric => HostKind::Metric,
            EventKind::Span => HostKind::Span,
        };
        let (bodies, _) = self.column(events.bodies);
        let (attributes, kinds) = self.column(events.attributes);
        let made = MadeEvents { kind, bodies, attributes, kinds, timestamps: events.timestamps };
        let done = self.call.emit(port, made);
        self.check(done);
    }

    fn count(&mut self, name: &str, value: u64) {
        self.call.count(name, value);
    }
}

impl Io for NativeIo {
    fn rows(&self) -> usize {
        self.call.rows()
    }

    fn redelivered(&self) -> bool {
        self.call.is_redelivered()
    }

    fn combine(&mut self, rows: &[u32], offsets: &[u32], bodies: ColumnWriter) {
        let (bodies, _) = self.column(bodies);
        let done = self.call.combine(rows.to_vec(), offsets.to_vec(), bodies);
        self.check(done);
    }

    fn hold(&mut self, rows: &[u32]) {
        let done = self.call.hold(rows);
        self.check(done);
    }

    fn read(&mut self, field: u32, form: Form) -> Column {
        let read = self.call.read(field, host(form));
        let (bytes, offsets, kinds) = self.check(read);
        Column { bytes, offsets, kinds }
    }

    fn check_json(&mut self, field: u32) -> Vec<u8> {
        let kinds = self.call.check_json(field).map(|kinds| kinds.to_vec());
        self.check(kinds)
    }

    fn replace(&mut self, field: u32, form: Form, starts: &[u32], ends: &[u32], with: ColumnWriter) {
        let (with, _) = self.column(with);
        let done = self.call.replace(field, host(form), starts.to_vec(), ends.to_vec(), with);
        self.check(done);
    }

    fn set(&mut self, field: u32, form: Form, values: ColumnWriter) {
        let (values, kinds) = self.column(values);
        let done = self.call.set(field, host(form), values, kinds);
        self.check(done);
    }

    fn set_json_from(&mut self, target: u32, source: u32, rows: &[u8]) {
        let done = self.call.set_json_from(target, source, rows.to_vec());
        self.check(done);
    }

    fn set_timestamp(&mut self, nanoseconds: &[i64]) {
        let done = self.call.set_timestamps(nanoseconds.to_vec());
        self.check(done);
    }

    fn split(&mut self, field: u32, form: Form, spans: ChildSpans<'_>, prefix: &[u8], suffix: &[u8]) {
        let done = self.call.split(
            field,
            host(form),
            spans.parents.to_vec(),
            spans.starts.to_vec(),
            spans.ends.to_vec(),
            prefix.to_vec(),
            suffix.to_vec(),
        );
        self.check(done);
    }

    fn split_into(&mut self, parents: &[u32], bodies: ColumnWriter) {
        let (bodies, _) = self.column(bodies);
        let done = self.call.split_into(parents.to_vec(), bodies);
        self.check(done);
    }

    fn drop_rows(&mut self, rows: &[u32], code: &str) {
        let done = self.call.drop_rows(rows, code.to_owned());
        self.check(done);
    }

    fn route(&mut self, ports: &[u8]) {
        let done = self.call.route(ports.to_vec());
        self.check(done);
    }

    fn copy_to(&mut self, port: u8, rows: &[u32]) {
        let done = self.call.copy_to(port, rows.to_vec());
        self.check(done);
    }

    fn fail(&mut self, rows: &[u32], which: &[u32], reasons: &[(String, String)]) {
        let done = self.call.fail(rows, which, reasons.to_vec());
        self.check(done);
    }
}
