//! Times as the logs of servers have them.

use super::calendar::{self, clock, fraction, offset, two};
use super::parts::{Day, Parts};

/// Reads the time of an access log of Apache and nginx: `17/Oct/2023:06:53:21 +0200`, in brackets or without.
pub(crate) fn clf(text: &[u8]) -> Option<Parts> {
    let text = text.trim_ascii();
    let text = text.strip_prefix(b"[").and_then(|text| text.strip_suffix(b"]")).unwrap_or(text);
    let (head, zone) = text.split_first_chunk::<20>()?;
    let [d0, d1, b'/', n0, n1, n2, b'/', y0, y1, y2, y3, b':', time @ ..] = *head else { return None };
    let year = two(y0, y1)? * 100 + two(y2, y3)?;
    let days = calendar::date(year, calendar::month([n0, n1, n2])?, two(d0, d1)?)?;
    let [b' ', sign, h0, h1, m0, m1] = *zone else { return None };
    let offset = offset(sign, [h0, h1], [m0, m1])?;
    Some(Parts { day: Day::Date(days), second: clock(time)?, nanosecond: 0, offset: Some(offset) })
}

/// Reads the time of an error log of nginx: `2023/10/17 04:53:21`.
pub(crate) fn nginx(text: &[u8]) -> Option<Parts> {
    let (head, rest) = text.trim_ascii().split_first_chunk::<19>()?;
    let [y0, y1, y2, y3, b'/', m0, m1, b'/', d0, d1, b' ', time @ ..] = *head else { return None };
    let days = calendar::date(two(y0, y1)? * 100 + two(y2, y3)?, two(m0, m1)?, two(d0, d1)?)?;
    let (nanosecond, rest) = fraction(rest, b'.')?;
    let parts = Parts { day: Day::Date(days), second: clock(time)?, nanosecond, offset: None };
    rest.is_empty().then_some(parts)
}

/// Reads the time of RFC 3164, `Oct 17 04:53:21`, and what devices make of it: a day of one digit with one or two spaces or
/// a zero before it, a year after the day (`Oct 17 2023 04:53:21`) or at the end, a fraction, and `UTC`, `GMT`, `Z` or an
/// offset at the end.
pub(crate) fn syslog(text: &[u8]) -> Option<Parts> {
    let (&[n0, n1, n2, b' '], rest) = text.trim_ascii().split_first_chunk()? else { return None };
    let month = calendar::month([n0, n1, n2])?;
    let (day, rest) = match rest {
        [b' ' | b'0', ones, b' ', rest @ ..] => (two(b'0', *ones)?, rest),
        [tens, ones, b' ', rest @ ..] => (two(*tens, *ones)?, rest),
        [ones, b' ', rest @ ..] => (two(b'0', *ones)?, rest),
        _ => return None,
    };
    let (year, rest) = match rest {
        [y0, y1, y2, y3, b' ', rest @ ..] => (Some(year([*y0, *y1, *y2, *y3])?), rest),
        _ => (None, rest),
    };
    let (time, rest) = rest.split_first_chunk()?;
    let (nanosecond, rest) = fraction(rest, b'.')?;
    let (year, offset) = match (year, rest) {
        (_, []) => (year, None),
        (None, [b' ', y0 @ b'0'..=b'9', y1, y2, y3]) => (Some(self::year([*y0, *y1, *y2, *y3])?), None),
        (_, rest) => (year, Some(zone(rest.strip_prefix(b" ").unwrap_or(rest))?)),
    };
    let day = match year {
        Some(year) => Day::Date(calendar::date(year, month, day)?),
        None => of_year(month, day)?,
    };
    Some(Parts { day, second: clock(*time)?, nanosecond, offset })
}

/// Reads the time of klog, which Kubernetes uses: `1017 04:53:21.123456`, also with the letter of the level before it.
pub(crate) fn klog(text: &[u8]) -> Option<Parts> {
    let text = text.trim_ascii();
    let text = match text {
        [b'I' | b'W' | b'E' | b'F' | b'D', rest @ ..] => rest,
        _ => text,
    };
    let (&[m0, m1, d0, d1, b' '], rest) = text.split_first_chunk()? else { return None };
    let day = of_year(two(m0, m1)?, two(d0, d1)?)?;
    let (time, rest) = rest.trim_ascii_start().split_first_chunk()?;
    let (nanosecond, rest) = fraction(rest, b'.')?;
    rest.is_empty().then_some(Parts { day, second: clock(*time)?, nanosecond, offset: None })
}

fn year([y0, y1, y2, y3]: [u8; 4]) -> Option<i64> {
    Some(two(y0, y1)? * 100 + two(y2, y3)?)
}

/// A day of any year, if a year has it.
fn of_year(month: i64, day: i64) -> Option<Day> {
    calendar::date(2000, month, day).map(|_| Day::OfYear { month, day, weekday: None })
}

/// Seconds east of UTC. Other abbreviations of zones are ambiguous: `IST` is used in India, Ireland and Israel.
fn zone(text: &[u8]) -> Option<i64> {
    match *text {
        [b'Z' | b'z'] | [b'U', b'T', b'C'] | [b'G', b'M', b'T'] => Some(0),
        [sign, h0, h1, m0, m1] | [sign, h0, h1, b':', m0, m1] => offset(sign, [h0, h1], [m0, m1]),
        _ => None,
    }
}
