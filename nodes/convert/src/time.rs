//! Times to nanoseconds since 1970-01-01T00:00:00Z.

mod directives;

pub use directives::Directives;

/// How a time is written.
#[derive(Debug)]
pub enum Format {
    /// As in RFC 3339, such as `2023-10-17T04:53:21.5Z`.
    Rfc3339,
    /// A number since 1970, with a fraction and an exponent or without.
    Epoch(Epoch),
    /// A time of ISO 8601, where a time without a zone is UTC, or a number since 1970, whose unit depends on its size.
    Auto,
    /// Directives of `strptime`.
    Directives(Directives),
}

/// The unit of a number since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Epoch {
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Milliseconds,
    /// Microseconds.
    Microseconds,
    /// Nanoseconds.
    Nanoseconds,
}

impl Epoch {
    /// The power of ten that turns a number into nanoseconds.
    const fn power(self) -> i32 {
        match self {
            Self::Seconds => 9,
            Self::Milliseconds => 6,
            Self::Microseconds => 3,
            Self::Nanoseconds => 0,
        }
    }
}

impl Format {
    /// Describes a text in this format, for messages.
    pub fn meaning(&self) -> String {
        match self {
            Self::Rfc3339 => "a time of RFC 3339 such as `2023-10-17T04:53:21Z`".to_owned(),
            Self::Epoch(Epoch::Seconds) => "a number of seconds since 1970".to_owned(),
            Self::Epoch(Epoch::Milliseconds) => "a number of milliseconds since 1970".to_owned(),
            Self::Epoch(Epoch::Microseconds) => "a number of microseconds since 1970".to_owned(),
            Self::Epoch(Epoch::Nanoseconds) => "a number of nanoseconds since 1970".to_owned(),
            Self::Auto => "a time of ISO 8601 or a number since 1970".to_owned(),
            Self::Directives(directives) => format!("a time in the format `{}`", directives.text()),
        }
    }

    /// Reads a time. Returns `None` if the text has another format, or does not fit into 64 bits of
    /// nanoseconds.
    pub fn parse(&self, text: &[u8]) -> Option<i64> {
        match self {
            Self::Rfc3339 => date_time(text, false),
            Self::Epoch(unit) => epoch(text, unit.power()),
            Self::Auto => date_time(text.trim_ascii(), true).or_else(|| epoch(text, unit_of(text))),
            Self::Directives(directives) => directives.parse(text),
        }
        // To the host, the lowest number means "leave the time unchanged".
        .filter(|nanoseconds| *nanoseconds != i64::MIN)
    }
}

/// Reads a `date-time` of RFC 3339, section 5.6: `YYYY-MM-DDTHH:MM:SS[.fff](Z|+hh:mm)`.
///
/// As the notes of the RFC allow, letters can be lower case, and a space can replace the `T`.
/// Second 60 becomes 59, because the time scale has no leap seconds. Only nine digits of a fraction
/// count.
///
/// With `lenient`, also reads the forms of ISO 8601 that occur in logs: a comma before the
/// fraction, zones such as `+0530`, `+05` and ` +05:30`, and a time without a zone, which is UTC.
fn date_time(text: &[u8], lenient: bool) -> Option<i64> {
    let (head, rest) = text.split_first_chunk::<19>()?;
    let [y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1, b'T' | b't' | b' ', h0, h1, b':', i0, i1, b':', s0, s1] = *head
    else {
        return None;
    };
    let year = two(y0, y1)? * 100 + two(y2, y3)?;
    let (month, day) = (two(m0, m1)?, two(d0, d1)?);
    let (hour, minute, second) = (two(h0, h1)?, two(i0, i1)?, two(s0, s1)?);
    if day == 0 || day > days_of_month(year, month)? || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (nanoseconds, zone) = match rest.split_first() {
        Some((b',', _)) if lenient => fraction(&[b".", rest.get(1..)?].concat()).map(|(n, z)| (n, z.to_vec()))?,
        _ => fraction(rest).map(|(n, z)| (n, z.to_vec()))?,
    };
    let zone = if lenient { zone.trim_ascii() } else { &zone };
    let offset = match *zone {
        [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), h0, h1, b':', m0, m1] => {
            let (hours, minutes) = (two(h0, h1)?, two(m0, m1)?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            (hours * 3600 + minutes * 60) * if sign == b'-' { -1 } else { 1 }
        }
        [] if lenient => 0,
        [sign @ (b'+' | b'-'), h0, h1, ref minutes @ ..] if lenient => {
            let (hours, minutes) = match *minutes {
                [] => (two(h0, h1)?, 0),
                [m0, m1] => (two(h0, h1)?, two(m0, m1)?),
                _ => return None,
            };
            if hours > 23 || minutes > 59 {
                return None;
            }
            (hours * 3600 + minutes * 60) * if sign == b'-' { -1 } else { 1 }
        }
        _ => return None,
    };
    let seconds = days_since_1970(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second.min(59) - offset;
    i64::try_from(i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds)).ok()
}

/// The number that two digits form.
fn two(tens: u8, ones: u8) -> Option<i64> {
    (tens.is_ascii_digit() && ones.is_ascii_digit()).then(|| i64::from((tens - b'0') * 10 + (ones - b'0')))
}

/// Nanoseconds of a fraction, if the text begins with one, and the rest of the text.
fn fraction(text: &[u8]) -> Option<(i64, &[u8])> {
    let Some(digits) = text.strip_prefix(b".") else { return Some((0, text)) };
    let count = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = digits.split_at_checked(count).filter(|_| count > 0)?;
    let padded = digits.iter().chain(std::iter::repeat(&b'0')).take(9);
    Some((padded.fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0')), rest))
}

const fn days_of_month(year: i64, month: i64) -> Option<i64> {
    Some(match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => return None,
    })
}

/// Days from 1970-01-01 to a date of the Gregorian calendar, after `days_from_civil` in Howard
/// Hinnant's "chrono-Compatible Low-Level Date Algorithms". Years begin in March, so the leap day
/// is the last day of a year.
const fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Reads a decimal number, with or without fraction and exponent, times ten to the power of
/// `shift`.
fn epoch(text: &[u8], shift: i32) -> Option<i64> {
    let text = text.trim_ascii();
    let (negative, text) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    let mut parts = text.splitn(2, |byte| matches!(byte, b'e' | b'E'));
    let mut number = parts.next()?.splitn(2, |byte| *byte == b'.');
    let exponent: i32 = parts.next().map_or(Some(0), |e| std::str::from_utf8(e).ok()?.parse().ok())?;
    let whole = number.next().filter(|digits| !digits.is_empty())?;
    let fraction = number.next().unwrap_or_default();
    if number.next().is_some() || !whole.iter().chain(fraction).all(u8::is_ascii_digit) {
        return None;
    }
    // Further digits are below a nanosecond.
    let fraction = fraction.get(..18).unwrap_or(fraction);
    let mut mantissa = 0_i128;
    for digit in whole.iter().chain(fraction) {
        mantissa = mantissa.checked_mul(10)?.checked_add(i128::from(digit - b'0'))?;
    }
    let power = exponent.checked_add(shift)?.checked_sub(i32::try_from(fraction.len()).ok()?)?;
    let nanoseconds = match 10_i128.checked_pow(power.unsigned_abs()) {
        Some(factor) if power >= 0 => mantissa.checked_mul(factor)?,
        Some(factor) => mantissa / factor,
        None if power < 0 || mantissa == 0 => 0,
        None => return None,
    };
    i64::try_from(if negative { -nanoseconds } else { nanoseconds }).ok()
}

/// The power of ten that turns a number into nanoseconds. The number of digits decides: seconds
/// have at most 11 until the year 5138.
fn unit_of(text: &[u8]) -> i32 {
    let digits = text.trim_ascii();
    let digits = digits.strip_prefix(b"-").unwrap_or(digits);
    match digits.iter().take_while(|byte| byte.is_ascii_digit()).count() {
        ..=11 => 9,
        12..=14 => 6,
        15..=17 => 3,
        _ => 0,
    }
}

#[cfg(test)]
mod tests;
