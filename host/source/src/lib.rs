//! The sources of the agent, where batches begin.
//!
//! A source is described by options (checked by [`TYPES`]), built by [`build`] and [run](Source::run) until its input
//! ends or it is stopped. It frames bytes into events, closes batches by bytes, events or age, and gives each batch an
//! acknowledgement that moves its position. A source may forget an event only after its acknowledgement.
//!
//! # Invariants
//!
//! - A source holds at most its queue's limit, a few unfinished batches, and the event that it is reading.
//! - No data is dropped silently: input that cannot become an event is a failure, which is counted and logged.

mod assemble;
#[cfg(feature = "aws")]
mod aws_s3;
#[cfg(any(feature = "kafka", feature = "nats"))]
mod broker;
mod decompress;
mod demo;
mod docker_logs;
mod error;
mod file;
mod frame;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod http;
mod http_client;
mod in_flight;
mod input;
mod journald;
#[cfg(feature = "kafka")]
mod kafka;
mod kubernetes_logs;
#[cfg(feature = "nats")]
mod nats;
mod outbox;
mod pauses;
mod pool;
mod positions;
mod reading;
mod reports;
mod sample;
mod sending;
mod socket;
mod source;
mod stats;
mod stdin;
#[cfg(test)]
mod testing;
mod text;
mod thread;
mod transcode;
mod types;
mod waits;

pub use assemble::BatchLimits;
pub use error::SourceError;
pub use input::{InputFraming, InputRead, InputSettings, read_input};
pub use positions::VERSION as POSITIONS_VERSION;
pub use sample::{Sample, sample};
pub use source::{Batches, Source, SourceContext, Stop};
pub use stats::{DELAY_SECONDS, DelaySnapshot, LagStats, LostBytes, QueueStats, SourceStats};
pub use text::text;
pub use types::{TYPES, build};
pub use waits::{InputEnd, Waits};
