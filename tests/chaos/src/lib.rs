//! Injects faults around a running agent, and accounts for every event.
//!
//! Each section is a module that runs the agent as a program, under load, with random choices from
//! a seed. A separate model knows the expected output: the pack routes an event by the first word
//! of its name.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "what cannot go on fails its scenario, which is reported"
)]

pub mod edges;
pub mod evil;
pub mod kill;
mod load;
mod outputs;
mod report;
pub mod s3;
mod server;
pub mod sinks;
pub mod soak;
pub mod sources;
pub mod stateful;

pub use report::{Outcome, Report};
