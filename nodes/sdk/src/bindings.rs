//! The only place of generated bindings on the guest's side; everything else uses the types of this
//! crate.

use crate::batch::{Batch, ChildSpans, Form, Io};
use crate::column::{Column, ColumnWriter};
use crate::node::{Fusible, Node, Resolve, Sharing, Stateful, Timed};
use crate::tick::{Emit, EventKind, Events, Tick};

#[allow(missing_docs, unreachable_pub, clippy::all, reason = "generated")]
mod generated {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "processor",
        pub_export_macro: true,
        export_macro_name: "export",
        runtime_path: "wit_bindgen::rt",
    });
}

/// The additional exports of a stateful node; the linker of the component merges them with the
/// above.
#[allow(missing_docs, unreachable_pub, clippy::all, reason = "generated")]
pub mod state {
    mod generated {
        wit_bindgen::generate!({
            inline: "package wattle:sdk; world stateful { export wattle:node/state@0.2.0; }",
            path: "../../wit",
            pub_export_macro: true,
            export_macro_name: "export_state",
            runtime_path: "wit_bindgen::rt",
        });
    }
    pub use generated::export_state;
    pub use generated::exports::wattle::node::state::{Guest, Snapshot};
    #[doc(hidden)]
    pub use generated::*;
}

/// The additional export of a node that acts on the time.
#[allow(missing_docs, unreachable_pub, clippy::all, reason = "generated")]
pub mod timer {
    mod generated {
        wit_bindgen::generate!({
            inline: "package wattle:sdk; world timed { export wattle:node/timer@0.2.0; }",
            path: "../../wit",
            pub_export_macro: true,
            export_macro_name: "export_timer",
            runtime_path: "wit_bindgen::rt",
        });
    }
    pub use generated::export_timer;
    pub use generated::exports::wattle::node::timer::Guest;
    #[doc(hidden)]
    pub use generated::*;
}

/// The additional export of a node that can do the work of several.
#[allow(missing_docs, unreachable_pub, clippy::all, reason = "generated")]
pub mod fusion {
    mod generated {
        wit_bindgen::generate!({
            inline: "package wattle:sdk; world fusible { export wattle:node/fusion@0.2.0; }",
            path: "../../wit",
            pub_export_macro: true,
            export_macro_name: "export_fusion",
            runtime_path: "wit_bindgen::rt",
        });
    }
    pub use generated::export_fusion;
    pub use generated::exports::wattle::node::fusion::Guest;
    #[doc(hidden)]
    pub use generated::*;
}

pub use generated::export;
pub use generated::exports::wattle::node::node::{Configured, Description, Guest, OptionError};
#[doc(hidden)]
pub use generated::*;

use generated::exports::wattle::node::node::Sharing as HostSharing;
use generated::wattle::node::batch as host;
use generated::wattle::node::{events, types};

/// Describes a node type.
pub fn describe<N: Node>() -> Description {
    Description {
        name: N::NAME.into(),
        version: N::VERSION.into(),
        summary: N::SUMMARY.into(),
        options_schema: N::OPTIONS_SCHEMA.into(),
        masks: N::MASKS,
    }
}

struct HostFields;

impl Resolve for HostFields {
    fn resolve(&mut self, path: &str, read: bool, write: bool) -> Result<u32, String> {
        use generated::wattle::node::fields::{Access, resolve};
        let read = if read { Access::READ } else { Access::empty() };
        let write = if write { Access::WRITE } else { Access::empty() };
        resolve(path, read | write)
    }
}

fn report_panics() {
    std::panic::set_hook(Box::new(|info| {
        generated::wattle::node::diagnostics::panicked(&info.to_string());
    }));
}

/// Configures the node of this instance.
pub fn configure<N: Node>(node: &mut Option<N>, options: &str) -> Result<Configured, Vec<OptionError>> {
    report_panics();
    let (made, requested) = crate::node::configure::<N>(options, &mut HostFields).map_err(|errors| {
        errors.into_iter().map(|e| OptionError { path: e.path, message: e.message }).collect::<Vec<_>>()
    })?;
    *node = Some(made);
    let milliseconds = |tick: std::time::Duration| u32::try_from(tick.as_millis()).unwrap_or(u32::MAX);
    let sharing = match requested.sharing {
        Sharing::Worker => HostSharing::Worker,
        Sharing::Single => HostSharing::Single,
        Sharing::Key(fields) => HostSharing::Key(fields),
    };
    Ok(Configured { ports: requested.ports, tick_milliseconds: requested.tick.map(milliseconds), sharing })
}

/// Configures the node of this instance for the work of several nodes.
pub fn fuse<N: Fusible>(node: &mut Option<N>, options: &[String]) -> bool {
    report_panics();
    *node = crate::node::fuse::<N>(options.iter().map(String::as_str), &mut HostFields);
    node.is_some()
}

/// Calls the timer of the node of this instance.
pub fn tick<N: Timed>(node: &mut Option<N>, now: i64, is_last: bool) -> Result<(), String> {
    match node {
        Some(node) => node.tick(&mut Tick::new(&mut HostIo, now, is_last)),
        None => Err("tick was called before configure".into()),
    }
}

/// Processes the batch of this call.
pub fn process<N: Node>(node: &mut Option<N>) -> Result<(), String> {
    match node {
        Some(node) => node.process(&mut Batch::new(&mut HostIo)),
        None => Err("process was called before configure".into()),
    }
}

/// Takes a snapshot of the node of this instance.
pub fn save<N: Stateful>(node: &Option<N>) -> state::Snapshot {
    state::Snapshot { version: N::STATE_VERSION, bytes: node.as_ref().map(N::save).unwrap_or_default() }
}

/// Restores the state that other instances saved.
pub fn restore<N: Stateful>(node: &mut Option<N>, snapshots: Vec<state::Snapshot>) -> Result<(), String> {
    let given = snapshots.into_iter().map(|s| crate::node::Snapshot { version: s.version, bytes: s.bytes }).collect();
    match node {
        Some(node) => node.restore(given),
        None => Err("restore was called before configure".into()),
    }
}

struct HostIo;

fn form(form: Form) -> types::Form {
    match form {
        Form::Text => types::Form::Text,
        Form::Json => types::Form::Json,
    }
}

fn column(column: ColumnWriter) -> types::Column {
    types::Column { bytes: column.bytes, offsets: column.offsets, kinds: column.kinds }
}

/// Makes events that have no parent.
pub(crate) fn emit(port: u8, events: Events) {
    let kind = match events.kind {
        EventKind::Log => types::EventKind::Log,
        EventKind::Metric => types::EventKind::Metric,
        EventKind::Span => types::EventKind::Span,
    };
    events::emit(port, kind, &column(events.bodies), &column(events.attributes), &events.timestamps);
}

/// Whether the source offered the batch before.
pub(crate) fn redelivered() -> bool {
    host::redelivered()
}

/// Makes one event of each group of rows.
pub(crate) fn combine(rows: &[u32], offsets: &[u32], bodies: ColumnWriter) {
    host::combine(rows, offsets, &column(bodies));
}

/// Ends rows in the memory of the node.
pub(crate) fn hold(rows: &[u32]) {
    host::hold(rows);
}

impl Emit for HostIo {
    fn count(&mut self, name: &str, value: u64) {
        host::count(name, value);
    }
}

impl Io for HostIo {
    fn rows(&self) -> usize {
        host::rows() as usize
    }

    fn read(&mut self, field: u32, to: Form) -> Column {
        let column = host::read(field, form(to));
        Column { bytes: column.bytes.into(), offsets: column.offsets, kinds: column.kinds }
    }

    fn check_json(&mut self, field: u32) -> Vec<u8> {
        host::check_json(field)
    }

    fn replace(&mut self, field: u32, to: Form, starts: &[u32], ends: &[u32], with: ColumnWriter) {
        host::replace(field, form(to), starts, ends, &column(with));
    }

    fn set(&mut self, field: u32, to: Form, values: ColumnWriter) {
        host::set(field, form(to), &column(values));
    }

    fn set_json_from(&mut self, target: u32, source: u32, rows: &[u8]) {
        host::set_json_from(target, source, rows);
    }

    fn set_timestamp(&mut self, nanoseconds: &[i64]) {
        host::set_timestamp(nanoseconds);
    }

    fn split(&mut self, field: u32, to: Form, spans: ChildSpans<'_>, prefix: &[u8], suffix: &[u8]) {
        host::split(field, form(to), spans.parents, spans.starts, spans.ends, prefix, suffix);
    }

    fn split_into(&mut self, parents: &[u32], bodies: ColumnWriter) {
        host::split_into(parents, &column(bodies));
    }

    fn drop_rows(&mut self, rows: &[u32], code: &str) {
        host::drop(rows, code);
    }

    fn route(&mut self, ports: &[u8]) {
        host::route(ports);
    }

    fn copy_to(&mut self, port: u8, rows: &[u32]) {
        host::copy_to(port, rows);
    }

    fn fail(&mut self, rows: &[u32], which: &[u32], reasons: &[(String, String)]) {
        let reasons: Vec<types::Reason> = reasons
            .iter()
            .map(|(code, message)| types::Reason { code: code.clone(), message: message.clone() })
            .collect();
        host::fail(rows, which, &reasons);
    }
}
