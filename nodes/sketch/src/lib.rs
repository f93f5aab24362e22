//! Summaries of many values in little memory: exact sums, distinct counts, quantiles.
//!
//! All of them merge: the summary of two parts is that of the whole, so that windows, workers and snapshots can be added up.
//! Written by hand, after the papers that each module names: the crates for these sketches either hide their registers and
//! buckets, so that a snapshot depends on the release of a crate, or need a hasher that is not specified.

mod ddsketch;
mod exponential;
mod hll;
mod number;

pub use ddsketch::{Bins, DdSketch, Mapping};
pub use exponential::{Buckets, ExponentialHistogram};
pub use hll::Hll;
pub use number::{Number, Sum, within_range, write_float};
