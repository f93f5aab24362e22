//! The host side of the bindings: the types of the contract, and the functions that a guest can
//! import.
//!
//! They are written by hand rather than generated, because a column of the host is lowered straight
//! from its shared buffer into the guest's memory: one copy, where generated bindings would need a
//! separate vector. The shapes are those of `wit/`; wasmtime checks them against every artifact
//! when it is linked.
#![allow(unsafe_code, reason = "wasmtime's derives implement unsafe traits")]

mod capabilities;

use bytes::Bytes;
use wasmtime::component::{ComponentType, Lift, Linker, Lower, flags};
use wasmtime::{Engine, StoreContextMut};
use wattle_batch::{Column, EventKind, InvalidDecision, MadeEvents};
use wattle_capability::Values;
use wattle_plan::Sharing;

use crate::state::State;

/// A version of the contract that this host serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contract {
    /// Without memory: no timer, no held rows, no events without a parent.
    V01,
    /// The version of the files in `wit/`.
    V02,
}

impl Contract {
    /// All of them, newest first, as in [`wattle_plan::CONTRACT_VERSIONS`].
    pub(crate) const ALL: [Self; 2] = [Self::V02, Self::V01];

    pub(crate) fn version(self) -> &'static str {
        let [newest, oldest] = wattle_plan::CONTRACT_VERSIONS;
        match self {
            Self::V01 => oldest,
            Self::V02 => newest,
        }
    }

    /// The full name of an interface, such as `wattle:node/batch@0.2.0`.
    pub(crate) fn interface(self, name: &str) -> String {
        format!("wattle:node/{name}@{}", self.version())
    }
}

/// Interfaces that every node may import. `types` has no functions, but a component that uses its
/// types imports it.
const CONTRACT_IMPORTS: [&str; 5] = ["batch", "events", "fields", "diagnostics", "types"];

/// Whether an import belongs to the contract of every node.
pub(crate) fn is_contract(import: &str) -> bool {
    let is = |contract: Contract| CONTRACT_IMPORTS.iter().any(|name| contract.interface(name) == import);
    Contract::ALL.into_iter().any(is)
}

/// A column from the host.
#[derive(ComponentType, Lower)]
#[component(record)]
struct ReadColumn {
    bytes: Bytes,
    offsets: Vec<u32>,
    kinds: Vec<u8>,
}

impl ReadColumn {
    fn of(values: Values) -> Self {
        let Values { bytes, offsets, kinds } = values;
        Self { bytes, offsets, kinds }
    }
}

/// A column from the guest.
#[derive(ComponentType, Lift)]
#[component(record)]
struct GivenColumn {
    bytes: Bytes,
    offsets: Vec<u32>,
    kinds: Vec<u8>,
}

/// Why a column of a guest is not valid.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub(crate) enum BadColumn {
    #[error("offsets of a column must start at 0, never decrease, and end at its number of bytes")]
    Offsets,
    #[error("a column of {rows} rows has {kinds} kinds")]
    Kinds { rows: usize, kinds: usize },
}

impl GivenColumn {
    fn byte_len(&self) -> usize {
        self.bytes.len() + 4 * self.offsets.len() + self.kinds.len()
    }

    /// The same for capabilities, which need the offsets.
    fn values(self) -> Result<Values, BadColumn> {
        let Self { bytes, offsets, kinds } = self;
        let rows = offsets.len().saturating_sub(1);
        let ends = offsets.first() == Some(&0) && offsets.last().map(|&l| l as usize) == Some(bytes.len());
        if !ends || !offsets.is_sorted() {
            return Err(BadColumn::Offsets);
        }
        if !kinds.is_empty() && kinds.len() != rows {
            return Err(BadColumn::Kinds { rows, kinds: kinds.len() });
        }
        Ok(Values { bytes, offsets, kinds })
    }

    fn check(self) -> Result<(Column, Vec<u8>), InvalidDecision> {
        match Column::from_offsets(self.bytes, &self.offsets) {
            Some(column) => Ok((column, self.kinds)),
            None => Err(InvalidDecision(BadColumn::Offsets.to_string())),
        }
    }
}

#[derive(Clone, Copy, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
#[expect(dead_code, reason = "constructed only by lifting")]
enum Form {
    #[component(name = "text")]
    Text,
    #[component(name = "json")]
    Json,
}

impl From<Form> for wattle_batch::Form {
    fn from(form: Form) -> Self {
        match form {
            Form::Text => Self::Text,
            Form::Json => Self::Json,
        }
    }
}

#[derive(ComponentType, Lift)]
#[component(record)]
struct Reason {
    code: String,
    message: String,
}

flags! {
    Access {
        #[component(name = "read")]
        const READ;
        #[component(name = "write")]
        const WRITE;
    }
}

/// Result of `describe`.
#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct GivenDescription {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) summary: String,
    #[component(name = "options-schema")]
    pub(crate) options_schema: String,
    pub(crate) masks: bool,
}

/// Result of `configure` for valid options, in 0.1.
#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct ConfiguredV01 {
    pub(crate) ports: Vec<String>,
}

/// Result of `configure` for valid options.
#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct Configured {
    pub(crate) ports: Vec<String>,
    #[component(name = "tick-milliseconds")]
    pub(crate) tick_milliseconds: Option<u32>,
    pub(crate) sharing: GivenSharing,
}

/// How workers share the state of a node.
#[derive(Clone, ComponentType, Lift)]
#[component(variant)]
pub(crate) enum GivenSharing {
    #[component(name = "worker")]
    Worker,
    #[component(name = "single")]
    Single,
    #[component(name = "key")]
    Key(Vec<String>),
}

impl From<GivenSharing> for Sharing {
    fn from(given: GivenSharing) -> Self {
        match given {
            GivenSharing::Worker => Self::Worker,
            GivenSharing::Single => Self::Single,
            GivenSharing::Key(fields) => Self::Key(fields),
        }
    }
}

#[derive(Clone, Copy, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
#[expect(dead_code, reason = "constructed only by lifting")]
enum GivenEventKind {
    #[component(name = "log")]
    Log,
    #[component(name = "metric")]
    Metric,
    #[component(name = "span")]
    Span,
}

impl From<GivenEventKind> for EventKind {
    fn from(given: GivenEventKind) -> Self {
        match given {
            GivenEventKind::Log => Self::Log,
            GivenEventKind::Metric => Self::Metric,
            GivenEventKind::Span => Self::Span,
        }
    }
}

/// Error of `configure` for an invalid option, as the guest wrote it.
#[derive(Clone, Debug, PartialEq, Eq, ComponentType, Lift)]
#[component(record)]
pub struct GuestOptionError {
    /// Path of the option; empty for the options as a whole.
    pub path: String,
    /// The guest's text, such as a message of serde.
    pub message: String,
}

/// State of a node at one moment: `save` returns it and `restore` takes it. Only the node
/// understands the bytes.
#[derive(Clone, Debug, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(record)]
pub struct Snapshot {
    /// Version of the format of the bytes.
    pub version: u32,
    /// The state.
    pub bytes: Bytes,
}

type Store<'a> = StoreContextMut<'a, State>;
type Done<T> = wasmtime::Result<T>;

/// A linker with everything that a processor can import, and nothing else.
pub(crate) fn linker(engine: &Engine) -> Done<Linker<State>> {
    let mut linker = Linker::new(engine);
    for contract in Contract::ALL {
        link(&mut linker, contract)?;
        capabilities::link(&mut linker, contract)?;
    }
    Ok(linker)
}

/// The interfaces of every node in one version. A component imports one version only, and gets the
/// same functions from each; only `route` after a split differs.
fn link(linker: &mut Linker<State>, contract: Contract) -> Done<()> {
    linker.instance(&contract.interface("types"))?;

    let mut fields = linker.instance(&contract.interface("fields"))?;
    fields.func_wrap("resolve", |mut store: Store<'_>, (path, access): (String, Access)| {
        let (read, write) = (access.contains(Access::READ), access.contains(Access::WRITE));
        Ok((store.data_mut().resolve(&path, read, write)?,))
    })?;

    let mut diagnostics = linker.instance(&contract.interface("diagnostics"))?;
    diagnostics
        .func_wrap("panicked", |mut store: Store<'_>, (message,): (String,)| store.data_mut().panicked(message))?;

    let mut batch = linker.instance(&contract.interface("batch"))?;
    batch.func_wrap("rows", |mut store: Store<'_>, (): ()| {
        let rows = store.data_mut().in_call(0, |call| Ok(call.rows()))?;
        Ok((u32::try_from(rows).unwrap_or(u32::MAX),))
    })?;
    batch.func_wrap("read", |mut store: Store<'_>, (field, form): (u32, Form)| {
        let (bytes, offsets, kinds) = store.data_mut().in_call(0, |call| call.read(field, form.into()))?;
        Ok((ReadColumn { bytes, offsets, kinds },))
    })?;
    batch.func_wrap("read-text", |mut store: Store<'_>, (field,): (u32,)| {
        let (bytes, offsets, kinds) = store.data_mut().in_call(0, |call| call.read(field, wattle_batch::Form::Text))?;
        let rows = offsets.windows(2).zip(&kinds).map(|(pair, &kind)| match *pair {
            [start, end] if kind != 0 => {
                bytes.get(start as usize..end as usize).map(|row| String::from_utf8_lossy(row).into_owned())
            }
            _ => None,
        });
        Ok((rows.collect::<Vec<Option<String>>>(),))
    })?;
    batch.func_wrap("check-json", |mut store: Store<'_>, (field,): (u32,)| {
        Ok((store.data_mut().in_call(0, |call| call.check_json(field))?.to_vec(),))
    })?;
    link_changes(&mut batch)?;
    link_rows(&mut batch, contract)?;
    if contract == Contract::V02 {
        link_memory(&mut batch)?;
        link_events(&mut linker.instance(&contract.interface("events"))?)?;
    }
    Ok(())
}

/// Decisions of nodes with memory.
fn link_memory(batch: &mut wasmtime::component::LinkerInstance<'_, State>) -> Done<()> {
    batch.func_wrap("redelivered", |mut store: Store<'_>, (): ()| {
        Ok((store.data_mut().in_call(0, |call| Ok(call.is_redelivered()))?,))
    })?;
    type Combine = (Vec<u32>, Vec<u32>, GivenColumn);
    batch.func_wrap("combine", |mut store: Store<'_>, (rows, offsets, bodies): Combine| {
        let given = 4 * (rows.len() + offsets.len()) + bodies.byte_len();
        store.data_mut().in_call(given, |call| {
            let (bodies, _) = bodies.check()?;
            call.combine(rows, offsets, bodies)
        })
    })?;
    batch.func_wrap("hold", |mut store: Store<'_>, (rows,): (Vec<u32>,)| {
        let is_stateful = store.data().is_stateful;
        store.data_mut().in_call(4 * rows.len(), |call| match is_stateful {
            true => call.hold(&rows),
            false => Err(InvalidDecision("hold: only a node that exports `state` may hold rows".into())),
        })
    })
}

/// Events without a parent.
fn link_events(events: &mut wasmtime::component::LinkerInstance<'_, State>) -> Done<()> {
    type Emit = (u8, GivenEventKind, GivenColumn, GivenColumn, Vec<i64>);
    events.func_wrap("emit", |mut store: Store<'_>, (port, kind, bodies, attributes, timestamps): Emit| {
        let given = bodies.byte_len() + attributes.byte_len() + 8 * timestamps.len();
        store.data_mut().in_call_or_tick(given, |call| {
            let ((bodies, _), (attributes, kinds)) = (bodies.check()?, attributes.check()?);
            call.emit(port, MadeEvents { kind: kind.into(), bodies, attributes, kinds, timestamps })
        })
    })
}

/// Decisions that change fields.
fn link_changes(batch: &mut wasmtime::component::LinkerInstance<'_, State>) -> Done<()> {
    type Replace = (u32, Form, Vec<u32>, Vec<u32>, GivenColumn);
    batch.func_wrap("replace", |mut store: Store<'_>, (field, form, starts, ends, texts): Replace| {
        // A single text applies to every span.
        let repeated = if texts.offsets.len() == 2 { texts.bytes.len().saturating_mul(starts.len()) } else { 0 };
        let given = repeated.saturating_add(texts.byte_len() + 8 * starts.len());
        store.data_mut().in_call(given, |call| {
            let (texts, _) = texts.check()?;
            call.replace(field, form.into(), starts, ends, texts)
        })
    })?;
    batch.func_wrap("set", |mut store: Store<'_>, (field, form, values): (u32, Form, GivenColumn)| {
        store.data_mut().in_call(values.byte_len(), |call| {
            let (values, kinds) = values.check()?;
            call.set(field, form.into(), values, kinds)
        })
    })?;
    batch.func_wrap("set-text", |mut store: Store<'_>, (field, texts): (u32, Vec<Option<String>>)| {
        let given = texts.iter().flatten().map(String::len).sum::<usize>() + 5 * texts.len();
        store.data_mut().in_call(given, |call| {
            let kinds = texts.iter().map(|text| u8::from(text.is_some())).collect();
            let values = Column::from_rows(texts.into_iter().map(Option::unwrap_or_default))
                .map_err(|error| InvalidDecision(error.to_string()))?;
            call.set(field, wattle_batch::Form::Text, values, kinds)
        })
    })?;
    batch.func_wrap("set-json-from", |mut store: Store<'_>, (target, source, rows): (u32, u32, Vec<u8>)| {
        // The new value is a copy of a part of the batch.
        let given = rows.len() + store.data().input_bytes();
        store.data_mut().in_call(given, |call| call.set_json_from(target, source, rows))
    })?;
    batch.func_wrap("set-timestamp", |mut store: Store<'_>, (nanoseconds,): (Vec<i64>,)| {
        store.data_mut().in_call(8 * nanoseconds.len(), |call| call.set_timestamps(nanoseconds))
    })
}

/// Decisions that route rows.
fn link_rows(batch: &mut wasmtime::component::LinkerInstance<'_, State>, contract: Contract) -> Done<()> {
    type Split = (u32, Form, Vec<u32>, Vec<u32>, Vec<u32>, Vec<u8>, Vec<u8>);
    batch.func_wrap("split", |mut store: Store<'_>, (field, form, parents, starts, ends, prefix, suffix): Split| {
        // Each child repeats prefix and suffix, and spans may overlap.
        let spans: usize = starts.iter().zip(&ends).map(|(&start, &end)| end.saturating_sub(start) as usize).sum();
        let given = parents.len().saturating_mul(12 + prefix.len() + suffix.len()).saturating_add(spans);
        store.data_mut().in_call(given, |call| call.split(field, form.into(), parents, starts, ends, prefix, suffix))
    })?;
    batch.func_wrap("split-into", |mut store: Store<'_>, (parents, bodies): (Vec<u32>, GivenColumn)| {
        store.data_mut().in_call(bodies.byte_len() + 4 * parents.len(), |call| {
            let (bodies, _) = bodies.check()?;
            call.split_into(parents, bodies)
        })
    })?;
    batch.func_wrap("drop", |mut store: Store<'_>, (rows, code): (Vec<u32>, String)| {
        store.data_mut().in_call(code.len() + 4 * rows.len(), |call| call.drop_rows(&rows, code))
    })?;
    batch.func_wrap("route", move |mut store: Store<'_>, (ports,): (Vec<u8>,)| {
        store.data_mut().in_call(ports.len(), |call| match contract {
            // Children had no ports of their own.
            Contract::V01 => call.route_rows(ports),
            Contract::V02 => call.route(ports),
        })
    })?;
    batch.func_wrap("copy-to", |mut store: Store<'_>, (port, rows): (u8, Vec<u32>)| {
        let given = 4 * rows.len() + store.data().body_bytes(&rows);
        store.data_mut().in_call(given, |call| call.copy_to(port, rows))
    })?;
    type Fail = (Vec<u32>, Vec<u32>, Vec<Reason>);
    batch.func_wrap("fail", |mut store: Store<'_>, (rows, which, reasons): Fail| {
        let given = 8 * rows.len() + reasons.iter().map(|r| r.code.len() + r.message.len()).sum::<usize>();
        store.data_mut().in_call(given, |call| {
            let reasons = reasons.into_iter().map(|r| (r.code, r.message)).collect();
            call.fail(&rows, &which, reasons)
        })
    })?;
    batch.func_wrap("count", |mut store: Store<'_>, (name, value): (String, u64)| {
        // Only a bounded number of short names is kept.
        store.data_mut().in_call_or_tick(0, |call| {
            call.count(&name, value);
            Ok(())
        })
    })
}
