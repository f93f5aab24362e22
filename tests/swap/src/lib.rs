//! Swaps the version of a pack under full load, and proves with a model that no event was lost,
//! duplicated or misordered.
//!
//! Two followed files and two clients of an HTTP source feed one pipeline, which writes to files
//! and to an HTTP server. Every event carries its stream and its number, so each sink can be
//! checked separately during the run.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "what cannot go on ends the run"
)]

mod far;
mod feed;
mod ledger;
mod load;
mod rig;
mod room;
mod stats;

pub use rig::{Figures, Size, Wrong, run};
