//! Integration tests of the guarantees of this crate.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod archive;
mod fixtures;
mod signatures;
mod stored;
mod tars;
