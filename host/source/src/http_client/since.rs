//! Times and numbers in events, and the value from which the next run reads.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::Deserialize;
use wattle_json::{Kind, Path};

/// A value in an event: nanoseconds of Unix time, or a number as it is.
pub(super) type Mark = i64;

const SECOND: i64 = 1_000_000_000;
const MILLISECOND: i64 = 1_000_000;

/// How `{{ since }}` is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Format {
    /// A time such as `2026-01-31T12:00:00Z`.
    #[default]
    Rfc3339,
    /// A time with milliseconds, such as `2026-01-31T12:00:00.000Z`.
    Rfc3339Ms,
    /// Seconds of Unix time.
    Unix,
    /// Milliseconds of Unix time.
    UnixMs,
    /// The values are no times but whole numbers that grow, such as ids.
    Number,
}

/// Where the first run begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// So long before the start.
    Ago(Duration),
    At(Mark),
}

/// The option `since` as checked.
#[derive(Clone, Debug)]
pub(super) struct Since {
    /// Where an event has its value.
    pub(super) path: Path,
    pub(super) start: Start,
    /// How far before the newest event the next run begins.
    pub(super) overlap: Mark,
    pub(super) format: Format,
}

impl Format {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Rfc3339 => "rfc3339",
            Self::Rfc3339Ms => "rfc3339_ms",
            Self::Unix => "unix",
            Self::UnixMs => "unix_ms",
            Self::Number => "number",
        }
    }

    /// The unit in which a value is written.
    fn unit(self) -> i64 {
        match self {
            Self::Rfc3339 | Self::Unix => SECOND,
            Self::Rfc3339Ms | Self::UnixMs => MILLISECOND,
            Self::Number => 1,
        }
    }

    /// Reads a value, as in an event.
    pub(super) fn read(self, text: &str) -> Option<Mark> {
        let text = text.trim();
        if self == Self::Number {
            return text.parse().ok();
        }
        if let Ok(number) = text.parse::<i64>() {
            return of_number(number);
        }
        if let Ok(seconds) = text.parse::<f64>() {
            let nanoseconds = seconds * 1e9;
            return (nanoseconds.is_finite() && nanoseconds.abs() < 9e18).then_some(nanoseconds as i64);
        }
        let time = text.parse::<Timestamp>().ok().or_else(|| {
            // Without a zone, it is UTC.
            let time = text.parse::<DateTime>().ok()?;
            time.to_zoned(TimeZone::UTC).ok().map(|time| time.timestamp())
        });
        i64::try_from(time?.as_nanosecond()).ok()
    }
}

/// A number as a time: the unit follows from its size, as in this century they differ.
fn of_number(number: i64) -> Option<Mark> {
    let unit = match number.unsigned_abs() {
        0..100_000_000_000 => SECOND,
        100_000_000_000..100_000_000_000_000 => MILLISECOND,
        100_000_000_000_000..100_000_000_000_000_000 => 1000,
        _ => 1,
    };
    number.checked_mul(unit)
}

/// Now, as a mark.
pub(super) fn now() -> Mark {
    i64::try_from(Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX)
}

impl Since {
    /// The value of an event.
    pub(super) fn mark(&self, event: &[u8]) -> Option<Mark> {
        let value = wattle_json::find(event, &self.path).ok()??;
        let text = event.get(value.start..value.end)?;
        let text = match value.kind {
            Kind::String => text.get(1..text.len().checked_sub(1)?)?,
            Kind::Number => text,
            _ => return None,
        };
        self.format.read(std::str::from_utf8(text).ok()?)
    }

    /// Where the first run begins.
    pub(super) fn first(&self) -> Mark {
        match self.start {
            Start::At(mark) => mark,
            Start::Ago(time) => now().saturating_sub(i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)),
        }
    }

    /// Whether a value says something about how far the events were read. A time in the future does not: an event with
    /// a wrong clock would hide all others until then.
    pub(super) fn counts(&self, mark: Mark, now: Mark) -> bool {
        self.format == Format::Number || mark <= now
    }

    /// The first value that a run requests, if the newest event has `mark`.
    pub(super) fn floor(&self, mark: Mark) -> Mark {
        let unit = self.format.unit();
        let from = mark.saturating_sub(self.overlap);
        from.saturating_sub(from.rem_euclid(unit))
    }

    /// The value for `{{ since }}`.
    pub(super) fn write(&self, mark: Mark) -> String {
        let floor = self.floor(mark);
        let time = || Timestamp::from_nanosecond(floor.into()).unwrap_or(Timestamp::UNIX_EPOCH);
        match self.format {
            Format::Rfc3339 => format!("{:.0}", time()),
            Format::Rfc3339Ms => format!("{:.3}", time()),
            Format::Unix | Format::UnixMs | Format::Number => (floor / self.format.unit()).to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn since(format: Format, overlap: Mark) -> Since {
        Since { path: Path::parse("a.t").unwrap(), start: Start::At(0), overlap, format }
    }

    /// 2026-01-01T00:00:00Z.
    const T: Mark = 1_767_225_600 * SECOND;

    #[test]
    fn times_of_every_kind_are_read() {
        for (text, expected) in [
            ("2026-01-01T00:00:00Z", Some(T)),
            ("2026-01-01T01:00:00.5+01:00", Some(T + SECOND / 2)),
            ("2026-01-01T00:00:00", Some(T)),
            ("2026-01-01 00:00:00", Some(T)),
            ("1767225600", Some(T)),
            ("1767225600123", Some(T + 123 * MILLISECOND)),
            ("1767225600123456", Some(T + 123_456_000)),
            ("1767225600123456789", Some(T + 123_456_789)),
            ("1767225600.5", Some(T + SECOND / 2)),
            ("9999-12-31T00:00:00Z", None),
            ("1e300", None),
            ("yesterday", None),
            ("", None),
        ] {
            assert_eq!(Format::Rfc3339.read(text), expected, "{text}");
        }
        assert_eq!((Format::Number.read("17"), Format::Number.read("1.5")), (Some(17), None));
    }

    #[test]
    fn values_of_events_are_found_and_written_without_skipping_any() {
        let event = br#"{"a":{"t":"2026-01-01T00:00:00.1239Z"}}"#;
        let mark = since(Format::Rfc3339, 0).mark(event).unwrap();
        assert_eq!(mark, T + 123_900_000);
        for (format, expected) in [
            (Format::Rfc3339, "2026-01-01T00:00:00Z"),
            (Format::Rfc3339Ms, "2026-01-01T00:00:00.123Z"),
            (Format::Unix, "1767225600"),
            (Format::UnixMs, "1767225600123"),
        ] {
            let since = since(format, 0);
            assert_eq!(since.write(mark), expected);
            assert!(since.floor(mark) <= mark);
        }
        assert_eq!(since(Format::Rfc3339, 60 * SECOND).write(mark), "2025-12-31T23:59:00Z");
        assert_eq!(since(Format::Number, 3).write(10), "7");
        assert_eq!(since(Format::Number, 0).mark(br#"{"a":{"t":42}}"#), Some(42));
        assert_eq!(since(Format::Unix, 0).write(-1), "-1");
        for event in [&b"{}"[..], br#"{"a":{"t":null}}"#, br#"{"a":{"t":"x"}}"#, b"text", br#"{"a":{"t":""#] {
            assert_eq!(since(Format::Rfc3339, 0).mark(event), None);
        }
    }

    #[test]
    fn a_time_in_the_future_does_not_count() {
        assert!(!since(Format::Rfc3339, 0).counts(T + 1, T) && since(Format::Rfc3339, 0).counts(T, T));
        assert!(since(Format::Number, 0).counts(T + 1, T));
    }
}
