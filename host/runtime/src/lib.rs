//! Runs nodes. This is the only crate that depends on wasmtime.
//!
//! A [`Runtime`] (one per process) compiles an artifact once to a [`Compiled`]; each worker creates
//! a [`Runner`] from it with the node's options and limits. A runner owns one instance, calls it
//! with batches, and returns outcomes whatever the guest does: it repeats a call that faults on a
//! fresh instance, then bisects the batch until only the rows that cause the fault are left, which
//! fail. See `wit/` for the contract and [`wattle_batch::Call`] for the meaning of decisions.
//!
//! # Invariants
//!
//! - A guest sees only its batch and the capabilities that it is granted: no WASI, no files.
//! - The host checks everything that a guest returns.
//! - An instance that faulted is never used again.
//! - Precompiled code is loaded only from this agent's own cache, authenticated by a key that only the agent has.

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
mod resident;
mod runner;
mod runtime;
mod single;
mod slot;
mod snapshot;
mod state;
mod stats;
mod tier;
mod time;

pub use artifact::{ArtifactError, Compiled, Description};
pub use bindings::{GuestOptionError, Snapshot};
pub use catalog::Catalog;
pub use compile::{ChildCompiler, serve_compiler};
pub use fault::{Blame, Fault, FaultKind};
pub use inspect::{Inspection, imported_interfaces, inspect};
pub use memory::address_space;
pub use resident::unmap_idle_code;
pub use runner::{Follower, FusedOutcome, Process, Runner, RunnerSettings};
pub use runtime::{CacheCounts, Runtime, RuntimeError};
pub use single::{Refused, SingleInstance};
pub use slot::{Staged, StateSlot, Waiting};
pub use stats::{CALL_SECONDS, FaultCounts, Histogram, HistogramSnapshot, NodeStats};
