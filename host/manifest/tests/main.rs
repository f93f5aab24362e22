//! Tests of the public interface of the crate.
//!
//! `golden` has one folder for each kind of invalid configuration, `plan`, `packs` and `links` check
//! valid ones, `builtin` the built-in packs, and `robust` that no input makes the crate panic. `fakes`
//! replaces the nodes and endpoints.
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
mod files;
mod golden;
mod links;
mod packs;
mod plan;
mod robust;
mod settings;
mod versions;
