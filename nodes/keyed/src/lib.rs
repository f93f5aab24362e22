//! What nodes share that treat the events of each key apart: the keys of rows, and the options for sizes and times.

mod keys;
mod options;

pub use keys::{HashedKey, KeyHash, Keys, MAX_SHOWN_BYTES};
pub use options::{duration, nanoseconds, size, tick_interval};
