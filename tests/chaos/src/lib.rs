//! Breaking things around a running agent, and counting what became of every event.
//!
//! Each section is a module; each runs the agent as a program, under load, with a random choice that a seed decides.
//! What must come out is known from a model of its own: the pack sends an event by the first word of its name.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "what cannot go on fails its scenario, which is reported"
)]

pub mod evil;
pub mod kill;
mod load;
mod outputs;
mod report;
mod server;
pub mod sinks;
pub mod soak;
pub mod sources;

pub use report::{Outcome, Report};
