//! Times as text.

use jiff::Timestamp;
use jiff::fmt::StdIoWrite;
use jiff::fmt::strtime::BrokenDownTime;

use super::Epoch;
use super::calendar::{self, DAY};
use super::zone::Zone;
use crate::decimal::{write_billionths, write_padded};

/// How to write a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// As in RFC 3339, with this number of digits after the point; `None` writes as many as the time needs.
    Rfc3339(Option<usize>),
    /// A whole number since 1970, rounded down.
    Epoch(Epoch),
    /// Seconds since 1970, with the fraction that the time needs.
    Seconds,
    /// Directives of `strftime`.
    Directives(String),
}

impl Output {
    /// The output with this name, or with these directives of `strftime`.
    ///
    /// # Errors
    /// Describes what is wrong with the text.
    pub fn new(text: &str) -> Result<Self, String> {
        const NAMES: &str = "`rfc3339`, `rfc3339_s`, `rfc3339_ms`, `rfc3339_us`, `rfc3339_ns`, `epoch`, `epoch_s`, `epoch_ms`, \
                             `epoch_us`, `epoch_ns`";
        Ok(match text {
            "rfc3339" => Self::Rfc3339(None),
            "rfc3339_s" => Self::Rfc3339(Some(0)),
            "rfc3339_ms" => Self::Rfc3339(Some(3)),
            "rfc3339_us" => Self::Rfc3339(Some(6)),
            "rfc3339_ns" => Self::Rfc3339(Some(9)),
            "epoch" => Self::Seconds,
            "epoch_s" => Self::Epoch(Epoch::Seconds),
            "epoch_ms" => Self::Epoch(Epoch::Milliseconds),
            "epoch_us" => Self::Epoch(Epoch::Microseconds),
            "epoch_ns" => Self::Epoch(Epoch::Nanoseconds),
            _ if text.contains('%') => {
                let sample = Timestamp::UNIX_EPOCH.to_zoned(jiff::tz::TimeZone::UTC);
                BrokenDownTime::from(&sample)
                    .to_string(text)
                    .map_err(|error| format!("`{text}` is no format of `strftime`: {error}"))?;
                Self::Directives(text.to_owned())
            }
            _ => return Err(format!("`{text}` is no format; write {NAMES}, or directives such as `%Y-%m-%d`")),
        })
    }

    /// Whether the text is a JSON number.
    pub const fn is_number(&self) -> bool {
        matches!(self, Self::Epoch(_) | Self::Seconds)
    }

    /// Appends a time in nanoseconds since 1970, in a zone.
    pub fn write(&self, time: i64, zone: &Zone, out: &mut Vec<u8>) {
        match self {
            Self::Rfc3339(digits) => rfc_3339(time, *digits, zone, out),
            Self::Seconds => write_billionths(time, out),
            Self::Epoch(unit) => {
                let value = time.div_euclid(unit.factor());
                if value < 0 {
                    out.push(b'-');
                }
                write_padded(value.unsigned_abs(), 1, out);
            }
            Self::Directives(text) => {
                // All 64 bits of nanoseconds are in the range of jiff, and the directives were tested.
                let seconds = time.div_euclid(1_000_000_000);
                let Ok(time) = Timestamp::from_nanosecond(time.into()) else { return };
                let mut parts = BrokenDownTime::from(&time.to_zoned(zone.to_jiff()));
                // jiff rounds `%s` up before 1970, but the fraction counts from the second before.
                parts.set_timestamp(Timestamp::from_second(seconds).ok());
                let _ = parts.format(text, StdIoWrite(out));
            }
        }
    }
}

fn rfc_3339(time: i64, digits: Option<usize>, zone: &Zone, out: &mut Vec<u8>) {
    let (seconds, nanoseconds) = (time.div_euclid(1_000_000_000), time.rem_euclid(1_000_000_000));
    // Offsets of RFC 3339 are whole minutes. Those before standard time were not; cutting them leaves the instant the same.
    let offset = zone.offset_at(seconds) / 60 * 60;
    let local = seconds + offset;
    let (year, month, day) = calendar::civil(local.div_euclid(DAY));
    let second = local.rem_euclid(DAY);
    let [y0, y1] = two(year / 100);
    let [y2, y3] = two(year % 100);
    let [m0, m1] = two(month);
    let [d0, d1] = two(day);
    let [h0, h1] = two(second / 3600);
    let [i0, i1] = two(second / 60 % 60);
    let [s0, s1] = two(second % 60);
    out.extend_from_slice(&[y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1, b'T', h0, h1, b':', i0, i1, b':', s0, s1]);
    let start = out.len();
    if digits != Some(0) && (nanoseconds > 0 || digits.is_some()) {
        out.push(b'.');
        write_padded(nanoseconds.unsigned_abs(), 9, out);
        match digits {
            Some(digits) => out.truncate(start + 1 + digits),
            None => {
                let zeros = out.iter().rev().take_while(|byte| **byte == b'0').count();
                out.truncate(out.len() - zeros);
            }
        }
    }
    if zone.is_utc() {
        return out.push(b'Z');
    }
    let [h0, h1] = two(offset.abs() / 3600);
    let [m0, m1] = two(offset.abs() / 60 % 60);
    out.extend_from_slice(&[if offset < 0 { b'-' } else { b'+' }, h0, h1, b':', m0, m1]);
}

/// The digits of a number below 100.
fn two(value: i64) -> [u8; 2] {
    let value = u8::try_from(value).unwrap_or_default();
    [b'0' + value / 10, b'0' + value % 10]
}
