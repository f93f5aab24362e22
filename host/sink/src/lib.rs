//! Where batches end: the sinks of the agent.
//!
//! A sink has two halves. Its [`Encoder`] runs on a worker and turns a batch into [`Payload`]s, bytes as they leave the
//! agent. Its [`Sink`] runs as a task, takes payloads from a queue bounded in bytes, and sends them. A payload's
//! acknowledgement is delivered only when the far side has it.

mod sink;

pub use sink::{Encoder, Payload, Sink, SinkContext, SinkError, SinkStats};
