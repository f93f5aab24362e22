//! Times of RFC 3339.

use wattle_convert::time::Format;

/// Reads a time to nanoseconds since the epoch; none if it is not one, or not between the years 1677 and 2262.
pub(crate) fn read(text: &[u8]) -> Option<i64> {
    Format::Rfc3339.parse(text)
}

/// Writes a time in UTC, with as many digits of the fraction as needed.
pub(crate) fn write(nanoseconds: i64, out: &mut Vec<u8>) {
    use std::io::Write as _;
    let time = jiff::Timestamp::from_nanosecond(i128::from(nanoseconds)).unwrap_or_default();
    // Writing to a vector cannot fail.
    let _ = write!(out, "{time}");
}
