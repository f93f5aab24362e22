//! Days, digits and fractions.

/// Seconds of a day.
pub(crate) const DAY: i64 = 86_400;

/// The number that two digits form.
pub(crate) fn two(tens: u8, ones: u8) -> Option<i64> {
    (tens.is_ascii_digit() && ones.is_ascii_digit()).then(|| i64::from((tens - b'0') * 10 + (ones - b'0')))
}

/// Seconds since midnight. Second 60 becomes 59, because the time scale has no leap seconds.
pub(crate) fn second_of_day(hour: i64, minute: i64, second: i64) -> Option<i64> {
    (hour < 24 && minute < 60 && second < 61).then(|| hour * 3600 + minute * 60 + second.min(59))
}

/// Reads `hh:mm:ss`.
pub(crate) fn clock(text: [u8; 8]) -> Option<i64> {
    let [h0, h1, b':', m0, m1, b':', s0, s1] = text else { return None };
    second_of_day(two(h0, h1)?, two(m0, m1)?, two(s0, s1)?)
}

/// Nanoseconds of a fraction, if the text begins with `point` and digits, and the rest of the text. Only nine digits count.
pub(crate) fn fraction(text: &[u8], point: u8) -> Option<(i64, &[u8])> {
    let Some((_, digits)) = text.split_first().filter(|(first, _)| **first == point) else { return Some((0, text)) };
    let mut nanoseconds = 0;
    let mut scale = 1_000_000_000;
    let mut count = 0;
    for digit in digits {
        if !digit.is_ascii_digit() {
            break;
        }
        count += 1;
        if scale > 1 {
            scale /= 10;
            nanoseconds = nanoseconds * 10 + i64::from(digit - b'0');
        }
    }
    let rest = digits.get(count..).filter(|_| count > 0)?;
    Some((nanoseconds * scale, rest))
}

/// Seconds of an offset such as `+0200`, from its sign and digits.
pub(crate) fn offset(sign: u8, hours: [u8; 2], minutes: [u8; 2]) -> Option<i64> {
    let [h0, h1] = hours;
    let [m0, m1] = minutes;
    let (hours, minutes) = (two(h0, h1)?, two(m0, m1)?);
    let seconds = (hours < 24 && minutes < 60).then_some(hours * 3600 + minutes * 60)?;
    match sign {
        b'+' => Some(seconds),
        b'-' => Some(-seconds),
        _ => None,
    }
}

/// The month with this English abbreviation, in any case.
pub(crate) fn month(name: [u8; 3]) -> Option<i64> {
    Some(match name.map(|letter| letter | 0x20) {
        [b'j', b'a', b'n'] => 1,
        [b'f', b'e', b'b'] => 2,
        [b'm', b'a', b'r'] => 3,
        [b'a', b'p', b'r'] => 4,
        [b'm', b'a', b'y'] => 5,
        [b'j', b'u', b'n'] => 6,
        [b'j', b'u', b'l'] => 7,
        [b'a', b'u', b'g'] => 8,
        [b's', b'e', b'p'] => 9,
        [b'o', b'c', b't'] => 10,
        [b'n', b'o', b'v'] => 11,
        [b'd', b'e', b'c'] => 12,
        _ => return None,
    })
}

/// Days since 1970 of a date, if it exists.
pub(crate) fn date(year: i64, month: i64, day: i64) -> Option<i64> {
    (day > 0 && day <= days_of_month(year, month)?).then(|| days_since_1970(year, month, day))
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

/// Year, month and day of a day since 1970: the inverse of [`days_since_1970`], from the same source.
pub(crate) const fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + (month <= 2) as i64;
    (year, month, day)
}
