//! Times as Splunk has them: seconds since 1970, with digits after the point.

/// Units that a number can have, as powers of ten of nanoseconds: seconds, milliseconds, microseconds, nanoseconds.
const UNITS: [i32; 4] = [9, 6, 3, 0];

/// Reads a decimal number of seconds to nanoseconds, digit by digit: the fraction of a floating point number ends at
/// microseconds. A number that is too large for seconds (after 2262) is one of milliseconds, microseconds or nanoseconds,
/// which many clients send.
pub(super) fn nanoseconds(text: &[u8]) -> Option<i64> {
    let text = text.trim_ascii();
    let (is_negative, text) = match text.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let exponent = text.iter().position(|byte| matches!(byte, b'e' | b'E'));
    let (mantissa, exponent) = match exponent.and_then(|at| text.split_at_checked(at)) {
        Some((mantissa, exponent)) => (mantissa, std::str::from_utf8(exponent.get(1..)?).ok()?.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let point = mantissa.iter().position(|byte| *byte == b'.').unwrap_or(mantissa.len());
    let (whole, fraction) = mantissa.split_at_checked(point)?;
    let fraction = fraction.get(1..).unwrap_or_default();
    // Digits beyond these cannot change a time.
    if whole.is_empty() || whole.len() > 30 || fraction.iter().any(|byte| !byte.is_ascii_digit()) {
        return None;
    }
    let fraction = fraction.get(..30.min(fraction.len()))?;
    UNITS.into_iter().find_map(|unit| scaled(whole, fraction, exponent.checked_add(unit)?, is_negative))
}

/// The digits `whole.fraction` times a power of ten, without the digits after the point; `None` if they exceed 64 bits.
fn scaled(whole: &[u8], fraction: &[u8], power: i32, is_negative: bool) -> Option<i64> {
    let places = i32::try_from(whole.len()).ok()?.checked_add(power)?;
    let digits = usize::try_from(places.max(0)).ok()?;
    // More digits than 64 bits have, but for zeros in front.
    if digits > 64 {
        return None;
    }
    let zeros = std::iter::repeat_n(&b'0', digits);
    let mut number: i64 = 0;
    for byte in whole.iter().chain(fraction).chain(zeros).take(digits) {
        let digit = i64::from(byte.checked_sub(b'0').filter(|digit| *digit <= 9)?);
        number = number.checked_mul(10)?;
        number = if is_negative { number.checked_sub(digit)? } else { number.checked_add(digit)? };
    }
    // The digits that are left out must be digits too.
    whole.iter().all(u8::is_ascii_digit).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_keep_every_digit_of_nanoseconds() {
        for (text, expected) in [
            ("1767323045.123456789", Some(1_767_323_045_123_456_789)),
            ("1767323045", Some(1_767_323_045_000_000_000)),
            ("1767323045.1", Some(1_767_323_045_100_000_000)),
            ("1767323045.1234567891", Some(1_767_323_045_123_456_789)),
            (" 1767323045.5 ", Some(1_767_323_045_500_000_000)),
            ("-1.5", Some(-1_500_000_000)),
            ("-9223372036.854775808", Some(i64::MIN)),
            ("0.000000001", Some(1)),
            ("1.767323045e9", Some(1_767_323_045_000_000_000)),
            ("1767323045E0", Some(1_767_323_045_000_000_000)),
            ("17673230451234e-4", Some(1_767_323_045_123_400_000)),
            ("1e-30", Some(0)),
            ("1767323045123", Some(1_767_323_045_123_000_000)),
            ("1767323045123.5", Some(1_767_323_045_123_500_000)),
            ("1767323045123456", Some(1_767_323_045_123_456_000)),
            ("1767323045123456789", Some(1_767_323_045_123_456_789)),
            ("99999999999999999999", None),
            ("1e99", None),
            ("1e2147483647", None),
            ("", None),
            (".5", None),
            ("1.2.3", None),
            ("1e", None),
            ("yesterday", None),
            ("12x", None),
        ] {
            assert_eq!(nanoseconds(text.as_bytes()), expected, "{text}");
        }
    }
}
