//! Where batches begin: the sources of the agent.
//!
//! A source is described by options (checked by [`check`]), built by [`build`] and [run](Source::run) until it has
//! nothing more or is told to stop. It frames bytes into events, closes batches by bytes, events or age, and gives each
//! batch an acknowledgement that moves its own position: a source may forget an event only after that report.

pub mod cloudtrail;
mod source;

pub use source::{BatchLimits, Batches, Source, SourceContext, SourceError, Stop};
