//! Numbers since 1970.

use super::Epoch;

/// Reads a decimal number in this unit, with or without fraction and exponent.
pub(crate) fn parse(text: &[u8], unit: Epoch) -> Option<i64> {
    let text = text.trim_ascii();
    plain(text, unit).or_else(|| any(text, unit.power()))
}

/// Reads a number without exponent whose digits fit into 64 bits, which is what logs contain.
fn plain(text: &[u8], unit: Epoch) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    let mut value = 0_i64;
    let mut count = 0_usize;
    let mut rest = digits.iter();
    for byte in rest.by_ref() {
        match byte {
            b'0'..=b'9' if count < 19 => value = value.checked_mul(10)?.checked_add(i64::from(byte - b'0'))?,
            b'.' if count > 0 => break,
            _ => return None,
        }
        count += 1;
    }
    let mut factor = if count > 0 { unit.factor() } else { return None };
    value = value.checked_mul(factor)?;
    for byte in rest {
        factor /= 10;
        match byte {
            b'0'..=b'9' => value = value.checked_add(factor * i64::from(byte - b'0'))?,
            _ => return None,
        }
    }
    Some(if negative { -value } else { value })
}

/// Reads any number, times ten to the power of `shift`.
fn any(text: &[u8], shift: i32) -> Option<i64> {
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

impl Epoch {
    /// The unit of a number, which its size decides: seconds have at most 11 digits until the year 5138.
    pub(crate) fn of(text: &[u8]) -> Self {
        let digits = text.trim_ascii();
        let digits = digits.strip_prefix(b"-").unwrap_or(digits);
        let count = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let count = match digits.iter().position(|byte| matches!(byte, b'e' | b'E')) {
            Some(end) => Self::digits_of(digits, count, end).unwrap_or(count),
            None => count,
        };
        match count {
            ..=11 => Self::Seconds,
            12..=14 => Self::Milliseconds,
            15..=17 => Self::Microseconds,
            _ => Self::Nanoseconds,
        }
    }

    /// Digits before the point of a number, written without its exponent: 13 for `1.7e12`. `whole` is how many digits it
    /// begins with, and `end` where its exponent begins.
    fn digits_of(number: &[u8], whole: usize, end: usize) -> Option<usize> {
        let exponent: i64 = std::str::from_utf8(number.get(end + 1..)?).ok()?.parse().ok()?;
        let digits = number.get(..end)?.iter().filter(|byte| **byte != b'.');
        let zeros = digits.take_while(|byte| **byte == b'0').count();
        let count = i64::try_from(whole).ok()?.checked_add(exponent)?.checked_sub(i64::try_from(zeros).ok()?)?;
        usize::try_from(count.max(0)).ok()
    }

    /// The power of ten that turns a number into nanoseconds.
    const fn power(self) -> i32 {
        match self {
            Self::Seconds => 9,
            Self::Milliseconds => 6,
            Self::Microseconds => 3,
            Self::Nanoseconds => 0,
        }
    }

    /// Nanoseconds of the unit.
    pub(crate) const fn factor(self) -> i64 {
        match self {
            Self::Seconds => 1_000_000_000,
            Self::Milliseconds => 1_000_000,
            Self::Microseconds => 1_000,
            Self::Nanoseconds => 1,
        }
    }
}
