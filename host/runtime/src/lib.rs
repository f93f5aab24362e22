//! Running nodes: the only crate that knows wasmtime.
//!
//! A [`Runtime`] (one a process) compiles an artifact once to a [`Compiled`]; each worker makes a [`Runner`] of it with
//! the node's options and limits. A runner owns one instance, gives it batches, and answers with outcomes whatever the
//! guest does: a call that faults is repeated on a fresh instance, then bisected until only the rows that cause the
//! fault are left, which fail. See `wit/` for the contract and [`wattle_batch::Call`] for what decisions mean.
//!
//! # Invariants
//!
//! - A guest sees nothing but its batch, and the capabilities that it is granted: no WASI, no files.
//! - Nothing a guest answers is believed unchecked.
//! - An instance that faulted is never used again.
//! - Precompiled code is loaded only from this agent's own cache, authenticated by a key that only it has.

mod artifact;
mod bindings;
mod cache;
mod catalog;
mod compile;
mod fault;
mod inspect;
mod instance;
mod memory;
mod optimizer;
mod runner;
mod runtime;
mod single;
mod snapshot;
mod state;
mod stats;
mod tier;

pub use artifact::{ArtifactError, Compiled, Description};
pub use bindings::Snapshot;
pub use catalog::Catalog;
pub use compile::{ChildCompiler, serve_compiler};
pub use fault::{Blame, Fault, FaultKind};
pub use inspect::{Inspection, imported_interfaces, inspect};
pub use memory::address_space;
pub use runner::{Process, Runner, RunnerSettings};
pub use runtime::{CacheCounts, Runtime, RuntimeError};
pub use single::{Refused, SingleInstance};
pub use snapshot::StateSlot;
pub use stats::{CALL_SECONDS, FaultCounts, Histogram, HistogramSnapshot, NodeStats};
