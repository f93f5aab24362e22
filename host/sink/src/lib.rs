//! Where batches end: the sinks of the agent.
//!
//! A sink has two halves. Its [`Encoder`] runs on a worker and turns a batch into [`Payload`]s, bytes as they leave the
//! agent. Its [`Sink`] runs as a task, takes payloads from a queue bounded in bytes, and sends them. A payload's
//! acknowledgement is delivered only when the far side has it.
//!
//! | type | far side | options |
//! | --- | --- | --- |
//! | `blackhole` | nobody; events are counted and forgotten | none |
//! | `console` | standard output or standard error | `ConsoleOptions` |
//! | `file` | files, at a literal or a templated path | `FileOptions` |
//! | `http` | a server that takes NDJSON or JSON arrays | `HttpOptions` |
//!
//! [`check`] validates options without touching the world, [`build`] makes both halves.
//!
//! # Invariants
//!
//! - A sink whose future is dropped leaves the acknowledgements of what it had not sent undelivered.
//! - A sink holds in memory what its far side has not taken, at most a fixed amount beyond its queue.
//! - Secrets appear neither in logs nor in `Debug` output.

mod backlog;
mod blackhole;
mod compress;
mod console;
mod encode;
mod file;
mod http;
mod options;
mod output;
mod preview;
mod retry;
mod secret;
mod sink;
mod specs;
mod stored;
#[cfg(test)]
mod testing;

pub use backlog::Backlog;
pub use options::OptionError;
pub use sink::{Built, Encoder, Hurry, Payload, Sink, SinkContext, SinkError, SinkStats};
pub use specs::{TYPES, build, check, files, schema};
