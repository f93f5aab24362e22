//! Files are read back with the low-level reader of the same crate.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod bounds;
mod hostile;
mod model;
mod read;
mod schema;
