//! What nodes share that treat the events of each key apart: the keys of rows, a bounded map by them, summaries that are due,
//! and options.

mod keys;
mod options;
mod owed;
mod tally;
mod when;

pub use keys::{HashedKey, KeyHash, Keys, MAX_SHOWN_BYTES};
pub use options::{memory_time, nanoseconds, size, tick_interval};
pub use owed::{Owed, write_time};
pub use tally::Tally;
pub use when::When;
