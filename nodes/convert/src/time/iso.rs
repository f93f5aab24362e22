//! Times of RFC 3339 and ISO 8601.

use jiff::civil::{Date, Time};
use jiff::fmt::temporal::{Pieces, PiecesNumericOffset, PiecesOffset};

use super::calendar::{self, clock, fraction, offset, two};
use super::parts::{Day, Parts};

/// Reads a `date-time` of RFC 3339, section 5.6: `YYYY-MM-DDTHH:MM:SS[.fff](Z|+hh:mm)`.
///
/// As the notes of the RFC allow, letters can be lower case, and a space can replace the `T`.
/// Second 60 becomes 59, because the time scale has no leap seconds. Only nine digits of a fraction
/// count.
pub(crate) fn rfc_3339(text: &[u8]) -> Option<Parts> {
    let (mut parts, rest) = date_time(text)?;
    let (nanosecond, zone) = fraction(rest, b'.')?;
    parts.nanosecond = nanosecond;
    parts.offset = Some(match *zone {
        [b'Z' | b'z'] => 0,
        [sign, h0, h1, b':', m0, m1] => offset(sign, [h0, h1], [m0, m1])?,
        _ => return None,
    });
    Some(parts)
}

/// Like [`rfc_3339`], and also the forms of ISO 8601 that occur in logs: a comma before the fraction, zones such as
/// `+0530`, `+05` and ` +05:30`, `UTC` or `GMT`, also after a zone of 0 as Go writes it, and no zone.
pub(crate) fn lenient(text: &[u8]) -> Option<Parts> {
    with_utc(text.trim_ascii(), date_time_zone)
}

/// Reads a time after which `UTC` or `GMT` can stand.
fn with_utc(text: &[u8], read: impl Fn(&[u8]) -> Option<Parts>) -> Option<Parts> {
    let Some(before) = text.strip_suffix(b"UTC").or_else(|| text.strip_suffix(b"GMT")) else { return read(text) };
    let mut parts = read(before.trim_ascii_end())?;
    // Another offset contradicts the name.
    matches!(parts.offset, None | Some(0)).then_some(())?;
    parts.offset = Some(0);
    Some(parts)
}

fn date_time_zone(text: &[u8]) -> Option<Parts> {
    let (mut parts, rest) = date_time(text)?;
    let point = if rest.first() == Some(&b',') { b',' } else { b'.' };
    let (nanosecond, zone) = fraction(rest, point)?;
    parts.nanosecond = nanosecond;
    parts.offset = match *zone.trim_ascii_start() {
        [] => None,
        [b'Z' | b'z'] => Some(0),
        [sign, h0, h1] => Some(offset(sign, [h0, h1], [b'0'; 2])?),
        [sign, h0, h1, m0, m1] | [sign, h0, h1, b':', m0, m1] => Some(offset(sign, [h0, h1], [m0, m1])?),
        _ => return None,
    };
    Some(parts)
}

/// Like [`lenient`], and also dates without a time, times without seconds, the forms without separators
/// (`20231017T045321Z`), and a name of a zone in brackets after an offset, which decides.
pub(crate) fn iso_8601(text: &[u8]) -> Option<Parts> {
    with_utc(text.trim_ascii(), |text| date_time_zone(text).or_else(|| from_pieces(text)))
}

/// Reads `YYYY-MM-DDTHH:MM:SS`, and returns the rest of the text.
fn date_time(text: &[u8]) -> Option<(Parts, &[u8])> {
    let (head, rest) = text.split_first_chunk::<19>()?;
    let [y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1, b'T' | b't' | b' ', h0, h1, c0 @ b':', i0, i1, c1 @ b':', s0, s1] =
        *head
    else {
        return None;
    };
    let year = two(y0, y1)? * 100 + two(y2, y3)?;
    let days = calendar::date(year, two(m0, m1)?, two(d0, d1)?)?;
    let second = clock([h0, h1, c0, i0, i1, c1, s0, s1])?;
    Some((Parts { day: Day::Date(days), second, nanosecond: 0, offset: None }, rest))
}

fn from_pieces(text: &[u8]) -> Option<Parts> {
    let pieces = Pieces::parse(text).ok()?;
    let offset = match pieces.offset() {
        // A zone in brackets without an offset would need the database of zones.
        None if pieces.time_zone_annotation().is_some() => return None,
        None => None,
        Some(PiecesOffset::Zulu) => Some(0),
        Some(PiecesOffset::Numeric(numeric)) => Some(seconds(numeric)),
        Some(_) => return None,
    };
    parts(pieces.date(), pieces.time().unwrap_or(Time::midnight()), offset)
}

fn seconds(numeric: PiecesNumericOffset) -> i64 {
    numeric.offset().seconds().into()
}

/// The parts of a date and a time of jiff.
pub(crate) fn parts(date: Date, time: Time, offset: Option<i64>) -> Option<Parts> {
    let days = calendar::date(date.year().into(), date.month().into(), date.day().into())?;
    Some(Parts {
        day: Day::Date(days),
        second: second_of_day(time),
        nanosecond: time.subsec_nanosecond().into(),
        offset,
    })
}

pub(crate) fn second_of_day(time: Time) -> i64 {
    i64::from(time.hour()) * 3600 + i64::from(time.minute()) * 60 + i64::from(time.second())
}
