//! Durations: `1.5s`, `250ms`, `1h30m`, `PT1H30M`.

use crate::decimal::{Decimal, write_billionths};

/// A unit of time with a fixed length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unit {
    /// 10⁻⁹ s.
    Nanoseconds,
    /// 10⁻⁶ s.
    Microseconds,
    /// 10⁻³ s.
    Milliseconds,
    /// 1 s.
    Seconds,
    /// 60 s.
    Minutes,
    /// 3600 s.
    Hours,
    /// 24 hours.
    Days,
    /// 7 days.
    Weeks,
}

impl Unit {
    /// Its length in nanoseconds.
    pub const fn nanoseconds(self) -> u64 {
        const SECOND: u64 = 1_000_000_000;
        match self {
            Self::Nanoseconds => 1,
            Self::Microseconds => 1_000,
            Self::Milliseconds => 1_000_000,
            Self::Seconds => SECOND,
            Self::Minutes => 60 * SECOND,
            Self::Hours => 3600 * SECOND,
            Self::Days => 86_400 * SECOND,
            Self::Weeks => 7 * 86_400 * SECOND,
        }
    }

    /// The unit with this name or abbreviation. `M` is not a unit, because it can also mean months.
    fn named(name: &[u8]) -> Option<Self> {
        const NAMES: [(Unit, &[&str]); 8] = [
            (Unit::Seconds, &["s", "sec", "secs", "second", "seconds"]),
            (Unit::Milliseconds, &["ms", "msec", "msecs", "millis", "millisecond", "milliseconds"]),
            (Unit::Minutes, &["m", "min", "mins", "minute", "minutes"]),
            (Unit::Hours, &["h", "hr", "hrs", "hour", "hours"]),
            (Unit::Microseconds, &["us", "µs", "μs", "usec", "usecs", "micros", "microsecond", "microseconds"]),
            (Unit::Nanoseconds, &["ns", "nsec", "nsecs", "nanos", "nanosecond", "nanoseconds"]),
            (Unit::Days, &["d", "day", "days"]),
            (Unit::Weeks, &["w", "wk", "wks", "week", "weeks"]),
        ];
        let is = |known: &&str| known.as_bytes().eq_ignore_ascii_case(name);
        NAMES.iter().find(|(_, names)| name != b"M" && names.iter().any(is)).map(|(unit, _)| *unit)
    }
}

/// Reads a duration in nanoseconds: numbers with units, the larger units first (`1h30m`, `1h 30m`, `2 days, 1.5 s`), or as
/// in ISO 8601 (`PT1H30M`, `P2W`); with or without a sign. A number without a unit is in the unit `plain`, if there is one.
///
/// Returns `None` for any other text, for years and months, which have no fixed length, and for more than 292 years. Digits
/// below a nanosecond do not count.
pub fn parse(text: &[u8], plain: Option<Unit>) -> Option<i64> {
    let (negative, text) = match text.trim_ascii() {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        text => (false, text),
    };
    let length = match text {
        [b'P' | b'p', rest @ ..] => iso_8601(rest),
        _ => units(text, plain),
    };
    let length = i64::try_from(length?).ok()?;
    Some(if negative { -length } else { length })
}

/// Appends a duration in nanoseconds as a JSON number of seconds, such as `0.25`.
pub fn write_seconds(nanoseconds: i64, out: &mut Vec<u8>) {
    write_billionths(nanoseconds, out);
}

/// Adds units up. Each must be smaller than the one before: `1m 1h` is more likely an error than a duration.
#[derive(Debug, Default)]
struct Sum {
    length: u64,
    last: Option<Unit>,
}

impl Sum {
    fn add(&mut self, number: Decimal, unit: Unit) -> Option<()> {
        if self.last.is_some_and(|last| last <= unit) {
            return None;
        }
        self.last = Some(unit);
        self.length = self.length.checked_add(number.times(unit.nanoseconds())?)?;
        Some(())
    }
}

fn units(mut text: &[u8], plain: Option<Unit>) -> Option<u64> {
    let mut sum = Sum::default();
    loop {
        let (number, rest) = Decimal::split(text)?;
        let rest = rest.trim_ascii_start();
        if rest.is_empty() && sum.last.is_none() {
            sum.add(number, plain?)?;
            return Some(sum.length);
        }
        let end = rest.iter().take_while(|byte| byte.is_ascii_alphabetic() || !byte.is_ascii()).count();
        let (name, rest) = rest.split_at_checked(end)?;
        sum.add(number, Unit::named(name)?)?;
        let rest = rest.trim_ascii_start();
        if rest.is_empty() {
            return Some(sum.length);
        }
        text = rest.strip_prefix(b",").unwrap_or(rest).trim_ascii_start();
    }
}

/// The part of a duration of ISO 8601 after the `P`.
fn iso_8601(mut text: &[u8]) -> Option<u64> {
    let mut sum = Sum::default();
    let mut is_time = false;
    while !text.is_empty() {
        if let ([b'T' | b't', rest @ ..], false) = (text, is_time) {
            is_time = true;
            text = rest;
        }
        let (number, rest) = Decimal::split(text)?;
        let (letter, rest) = rest.split_first()?;
        let unit = match (letter.to_ascii_uppercase(), is_time) {
            (b'W', false) => Unit::Weeks,
            (b'D', false) => Unit::Days,
            (b'H', true) => Unit::Hours,
            (b'M', true) => Unit::Minutes,
            (b'S', true) => Unit::Seconds,
            _ => return None,
        };
        sum.add(number, unit)?;
        text = rest;
    }
    sum.last.map(|_| sum.length)
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use proptest::prelude::*;

    use super::*;

    const SECOND: i64 = 1_000_000_000;

    #[test]
    fn numbers_with_units_are_added() {
        for (text, expected) in [
            ("1.5s", SECOND * 3 / 2),
            ("250ms", SECOND / 4),
            ("1h30m", 5400 * SECOND),
            (" 1h 30m ", 5400 * SECOND),
            ("-1h0m0.5s", -3600 * SECOND - SECOND / 2),
            ("+2 days, 3 Hours", 2 * 86_400 * SECOND + 3 * 3600 * SECOND),
            ("1w", 7 * 86_400 * SECOND),
            ("12.75µs", 12_750),
            ("12.75μs", 12_750),
            ("3us", 3_000),
            ("7 ns", 7),
            ("0.0000000019s", 1),
            (".5s", SECOND / 2),
            ("0s", 0),
            ("PT1H30M", 5400 * SECOND),
            ("pt0.25s", SECOND / 4),
            ("-P1DT12H", -36 * 3600 * SECOND),
            ("P2W", 14 * 86_400 * SECOND),
            ("PT1M", 60 * SECOND),
            ("106751d", 106_751 * 86_400 * SECOND),
        ] {
            assert_eq!(parse(text.as_bytes(), None), Some(expected), "{text}");
        }
    }

    #[test]
    fn other_texts_are_no_durations() {
        for text in [
            "",
            "-",
            "s",
            "5",
            "1.5",
            "1.s",
            "5 parsecs",
            "1m 1h",
            "1h 1h",
            "1h 5",
            "1h,",
            "1M",
            "--1s",
            "1s-",
            "1e3s",
            "1,5s",
            "P",
            "PT",
            "P1",
            "P1Y",
            "P1M",
            "P1H",
            "PT1D",
            "P1DT",
            "PTT1S",
            "PT1H1H",
            "106752d",
            "99999999999999999999s",
            "1 µ",
        ] {
            assert_eq!(parse(text.as_bytes(), None), None, "{text}");
        }
    }

    #[test]
    fn a_plain_number_needs_a_unit_from_the_caller() {
        assert_eq!(parse(b"0.123", Some(Unit::Seconds)), Some(123_000_000));
        assert_eq!(parse(b"-17", Some(Unit::Milliseconds)), Some(-17_000_000));
        assert_eq!(parse(b"17us", Some(Unit::Milliseconds)), Some(17_000));
        assert_eq!(parse(b"1h 30", Some(Unit::Minutes)), None);
    }

    proptest! {
        #[test]
        fn agrees_with_jiff(nanoseconds in -i64::MAX..=i64::MAX) {
            let duration = SignedDuration::from_nanos(nanoseconds);
            for text in [format!("{duration}"), format!("{duration:#}").replace(" ago", "")] {
                let expected = if text.starts_with(['P', '-']) { nanoseconds } else { nanoseconds.abs() };
                prop_assert_eq!(parse(text.as_bytes(), None), Some(expected), "{}", text);
            }
        }

        #[test]
        fn any_bytes_give_a_duration_or_none(bytes: Vec<u8>, near in "[-+PT0-9.,smhdw ]{0,24}") {
            for text in [&bytes[..], near.as_bytes()] {
                let _ = parse(text, None);
                let _ = parse(text, Some(Unit::Weeks));
            }
        }
    }
}
