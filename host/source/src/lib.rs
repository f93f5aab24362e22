//! Where batches begin: the sources of the agent.
//!
//! A source is described by options (checked by [`check`]), built by [`build`] and [run](Source::run) until it has
//! nothing more or is told to stop. It frames bytes into events, closes batches by bytes, events or age, and gives each
//! batch an acknowledgement that moves its own position: a source may forget an event only after that report.
//!
//! # Invariants
//!
//! - No source holds more than a queue's bound, a few batches in the making, and the event that it is reading.
//! - Nothing that was read is dropped in silence: what cannot become an event is a failure, counted and logged.

mod assemble;
mod decompress;
mod demo;
mod error;
mod file;
mod frame;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod http;
mod listeners;
mod options;
mod outbox;
mod pool;
mod quantity;
mod source;
mod stats;
mod stdin;
#[cfg(test)]
mod testing;
mod thread;
mod transcode;
mod types;

pub use error::SourceError;
pub use listeners::Listeners;
pub use options::OptionError;
pub use source::{BatchLimits, Batches, Source, SourceContext, Stop};
pub use stats::{LostBytes, SourceStats};
pub use types::{TYPES, build, check, files, schema};
