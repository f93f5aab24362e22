//! Sizes such as `16MiB` and durations such as `100ms`.

use std::time::Duration;

/// Units with their number of bytes.
const SIZES: &[(&str, u64)] = &[
    ("b", 1),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("tb", 1_000_000_000_000),
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("tib", 1 << 40),
];

/// Units with their number of nanoseconds.
const TIMES: &[(&str, u64)] = &[
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];

/// The expected format of a size or duration that could not be parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// Not a size.
    #[error("a size is a number of bytes, or a number and a unit such as `512KiB`, `16MiB` or `10MB`")]
    Size,
    /// Not a duration.
    #[error("a duration is a number and a unit such as `100ms`, `5s` or `1m`")]
    Duration,
}

/// Parses a size to bytes: digits, with a decimal unit (`kB`, `MB`, `GB`, `TB`), a binary one (`KiB`, `MiB`, `GiB`,
/// `TiB`), `B` or none.
pub fn parse_size(text: &str) -> Result<u64, QuantityError> {
    parse(text, SIZES, Some(1)).ok_or(QuantityError::Size)
}

/// Parses a duration: digits and one of `ns`, `us`, `ms`, `s`, `m`, `h`, `d`.
pub fn parse_duration(text: &str) -> Result<Duration, QuantityError> {
    parse(text, TIMES, None).map(Duration::from_nanos).ok_or(QuantityError::Duration)
}

/// Writes a size with the largest binary unit that divides it.
pub(crate) fn write_size(bytes: u64) -> String {
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    match units.into_iter().find(|(bits, _)| bytes > 0 && bytes.trailing_zeros() >= *bits) {
        Some((bits, unit)) => format!("{}{unit}", bytes >> bits),
        None => format!("{bytes}B"),
    }
}

/// Parses a number, optionally with a decimal part as in `1.5GiB`. Computes in whole units, so that
/// rounding happens only once.
fn parse(text: &str, units: &[(&str, u64)], without_unit: Option<u64>) -> Option<u64> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end)?;
    let unit = unit.trim_start().to_ascii_lowercase();
    let scale = match unit.as_str() {
        "" => without_unit?,
        unit => units.iter().find(|(name, _)| *name == unit)?.1,
    };
    let (whole, fraction) = match number.split_once('.') {
        Some((whole, fraction)) if !fraction.is_empty() && fraction.len() <= 9 => (whole, fraction),
        Some(_) => return None,
        None => (number, ""),
    };
    let base = whole.parse::<u64>().ok()?.checked_mul(scale)?;
    if fraction.is_empty() {
        return Some(base);
    }
    let divisor = 10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let part = u128::from(fraction.parse::<u64>().ok()?) * u128::from(scale) / divisor;
    base.checked_add(u64::try_from(part).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_sizes() {
        let cases = [
            ("0", Some(0)),
            ("4096", Some(4096)),
            ("10MB", Some(10_000_000)),
            ("16MiB", Some(16 << 20)),
            ("1.5 gib", Some(3 << 29)),
            ("7 B", Some(7)),
            ("", None),
            ("MiB", None),
            ("-1", None),
            ("1.", None),
            ("1.2.3", None),
            ("1 parsec", None),
            ("99999999999TiB", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_size(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn writes_sizes_so_that_they_read_back() {
        for (bytes, expected) in [(0, "0B"), (1000, "1000B"), (65536, "64KiB"), (4 << 30, "4GiB")] {
            assert_eq!(write_size(bytes), expected);
            assert_eq!(parse_size(expected), Ok(bytes));
        }
    }

    #[test]
    fn reads_durations() {
        let cases = [
            ("100ms", Some(Duration::from_millis(100))),
            ("5s", Some(Duration::from_secs(5))),
            ("0.5s", Some(Duration::from_millis(500))),
            ("1m", Some(Duration::from_mins(1))),
            ("5", None),
            ("s", None),
            ("1 week", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_duration(text).ok(), expected, "{text}");
        }
    }
}
