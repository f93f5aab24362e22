//! Text to typed values: integers, numbers, booleans, times, durations, byte sizes, URLs, the names of
//! syslog, and ids and severities of OpenTelemetry; and calculation with decimal digits.
//!
//! Used by nodes. Reads no clock and no files, and allocates nothing per value, but for decoded queries of URLs.

mod decimal;
pub mod duration;
pub mod number;
pub mod otel;
pub mod size;
pub mod syslog;
pub mod time;
mod typed;
pub mod url;

pub use crate::typed::{Type, WrongType, write_string, write_value};
