//! Packs in transit: archives, healthy and failing registries, signatures, tampering.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that cannot go on fails; clippy exempts only the test functions themselves"
)]

mod commands;
mod credentials;
mod ill;
mod memory;
mod polling;
mod sample;
mod tamper;
mod trust;
mod tutorial;
