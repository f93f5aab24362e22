//! Tests of the crate as its users see it.
//!
//! `golden` holds one folder per kind of bad configuration, `plan` what good ones mean, `builtin` the packs of this
//! project, `robust` that no text makes the crate panic. `fakes` stands in for those who know nodes, sources and sinks.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that cannot go on fails; clippy exempts only the test functions themselves"
)]

mod builtin;
mod compound;
mod fakes;
mod golden;
mod plan;
mod robust;
mod settings;
mod versions;
