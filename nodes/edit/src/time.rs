//! Times of RFC 3339.

/// Reads a time to nanoseconds since the epoch; none if it is not one, or not between the years 1678 and 2262.
pub(crate) fn read(text: &[u8]) -> Option<i64> {
    let time: jiff::Timestamp = std::str::from_utf8(text).ok()?.parse().ok()?;
    i64::try_from(time.as_nanosecond()).ok()
}

/// Writes a time in UTC, with as many digits of the fraction as needed.
pub(crate) fn write(nanoseconds: i64, out: &mut Vec<u8>) {
    use std::io::Write as _;
    let time = jiff::Timestamp::from_nanosecond(i128::from(nanoseconds)).unwrap_or_default();
    // Writing to a vector cannot fail.
    let _ = write!(out, "{time}");
}
