//! Decimal numbers of up to 38 digits.

use super::Written;

/// A decimal number: `digits` · 10^`exponent`.
///
/// It holds every number of up to 38 digits exactly, and rounds the digits of a fraction beyond these, half away from
/// zero. Digits before the point never get lost: where they do not fit, there is no number.
#[derive(Clone, Copy, Debug)]
pub struct Decimal {
    pub(super) digits: i128,
    pub(super) exponent: i32,
}

/// Digits that every number can have. Some numbers of one more digit fit too.
pub(super) const MAX_DIGITS: u32 = 38;

/// Most zeros that stand between the last digit and the point, and between the point and the first digit, before the
/// number is written with an exponent.
const MAX_ZEROS: (i32, i32) = (21, 6);

/// Why a text is not a [`Decimal`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NumberError {
    /// It is not a number.
    NotANumber,
    /// It has more digits before the point than a [`Decimal`], or is larger than a 64-bit floating-point number can be.
    TooLong,
}

impl Decimal {
    /// The number 0.
    pub const ZERO: Self = Self { digits: 0, exponent: 0 };

    /// The number `digits` · 10^`exponent`.
    #[must_use]
    pub const fn new(digits: i128, exponent: i32) -> Self {
        Self { digits, exponent }
    }

    /// Reads digits with an optional sign, point and exponent.
    ///
    /// # Errors
    /// The text is not a number, or the number does not fit.
    pub fn parse(text: &[u8]) -> Result<Self, NumberError> {
        if let Some(short) = Self::parse_short(text) {
            return Ok(short);
        }
        let written = Written::parse(text).ok_or(NumberError::NotANumber)?;
        if written.is_zero() {
            return Ok(Self::ZERO);
        }
        let magnitude = i32::try_from(written.magnitude()).map_err(|_| NumberError::TooLong)?;
        let (mut digits, mut count, mut dropped) = (0_i128, 0, None);
        for digit in written.significant() {
            let digit = digit - b'0';
            let longer = digits.checked_mul(10).and_then(|digits| digits.checked_add(digit.into()));
            match longer {
                Some(longer) if dropped.is_none() => (digits, count) = (longer, count + 1),
                _ => {
                    dropped = Some(digit);
                    break;
                }
            }
        }
        if dropped.is_some() && magnitude > count {
            return Err(NumberError::TooLong);
        }
        let sign = if written.is_negative { -1 } else { 1 };
        let away = i128::from(dropped.is_some_and(|digit| digit >= 5));
        let digits = digits.checked_add(away).ok_or(NumberError::TooLong)? * sign;
        let exponent = magnitude.checked_sub(count).ok_or(NumberError::TooLong)?;
        Self { digits, exponent }.in_range().ok_or(NumberError::TooLong)
    }

    /// Reads up to 18 digits with an optional sign and point, which is the common case, in 64 bits.
    fn parse_short(text: &[u8]) -> Option<Self> {
        let digits = text.strip_prefix(b"-").unwrap_or(text);
        // A point is one byte more.
        if digits.len() > 19 {
            return None;
        }
        let (mut value, mut count, mut point) = (0_i64, 0, None);
        for byte in digits {
            match byte {
                b'0'..=b'9' if count < 18 => (value, count) = (value * 10 + i64::from(byte - b'0'), count + 1),
                b'.' if point.is_none() => point = Some(count),
                _ => return None,
            }
        }
        if count == 0 {
            return None;
        }
        let value = if digits.len() < text.len() { -value } else { value };
        Some(Self::new(value.into(), point.map_or(0, |point| point - count)))
    }

    /// Whether the number is 0.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.digits == 0
    }

    /// The number if it has no fraction and fits 128 bits.
    #[must_use]
    pub fn whole(self) -> Option<i128> {
        if self.is_zero() {
            return Some(0);
        }
        let power = power_of_ten(self.exponent.unsigned_abs());
        if self.exponent >= 0 {
            return self.digits.checked_mul(power?);
        }
        power.filter(|power| self.digits % power == 0).map(|power| self.digits / power)
    }

    /// Rounds to this many digits after the point, half away from zero.
    #[must_use]
    pub fn round(self, places: u8) -> Self {
        let place = -i32::from(places);
        if self.exponent >= place { self } else { Self { digits: self.rounded_at(place), exponent: place } }
    }

    /// The digits of the number with this exponent, which is at least that of the number; rounded half away from zero.
    pub(super) fn rounded_at(self, place: i32) -> i128 {
        let dropped = place.saturating_sub(self.exponent).unsigned_abs();
        // Half of a larger power is more than the digits can be.
        let Some(power) = power_of_ten(dropped) else { return 0 };
        if let (Ok(digits), Ok(power)) = (i64::try_from(self.digits), i64::try_from(power)) {
            let rest = (digits % power).unsigned_abs();
            let away = if rest >= power.unsigned_abs() - rest { digits.signum() } else { 0 };
            return (digits / power + away).into();
        }
        let rest = (self.digits % power).unsigned_abs();
        let away = if rest >= power.unsigned_abs() - rest { self.digits.signum() } else { 0 };
        self.digits / power + away
    }

    /// The number, if readers with 64-bit floating-point numbers do not take it for infinite.
    pub(super) fn in_range(self) -> Option<Self> {
        const MAX_MAGNITUDE: i64 = f64::MAX_10_EXP as i64 + 1;
        // No need to count: there are at most 39 digits.
        if self.exponent < f64::MAX_10_EXP - 39 {
            return Some(self);
        }
        let magnitude = i64::from(count(self.digits)) + i64::from(self.exponent);
        let is_finite = || {
            let mut text = Vec::new();
            self.write(&mut text);
            std::str::from_utf8(&text).is_ok_and(|text| text.parse().is_ok_and(f64::is_finite))
        };
        (self.is_zero() || magnitude < MAX_MAGNITUDE || (magnitude == MAX_MAGNITUDE && is_finite())).then_some(self)
    }

    /// Appends the number as JSON, without zeros at the end of a fraction. Numbers with many zeros have an exponent.
    pub fn write(self, out: &mut Vec<u8>) {
        let mut exponent = self.exponent;
        let text = match u64::try_from(self.digits.unsigned_abs()) {
            Ok(0) => {
                out.push(b'0');
                return;
            }
            Ok(mut digits) => {
                while exponent < 0 && digits.is_multiple_of(10) {
                    (digits, exponent) = (digits / 10, exponent + 1);
                }
                digits.to_string()
            }
            Err(_) => {
                let mut digits = self.digits.unsigned_abs();
                while exponent < 0 && digits.is_multiple_of(10) {
                    (digits, exponent) = (digits / 10, exponent + 1);
                }
                digits.to_string()
            }
        };
        if self.digits < 0 {
            out.push(b'-');
        }
        let length = i32::try_from(text.len()).unwrap_or_default();
        // Digits before the point.
        let point = length.saturating_add(exponent);
        let zeros = |count: i32| std::iter::repeat_n(b'0', usize::try_from(count).unwrap_or_default());
        let split = |at: i32| text.split_at_checked(usize::try_from(at).unwrap_or_default()).unwrap_or((&text, ""));
        if (0..=MAX_ZEROS.0).contains(&exponent) {
            out.extend_from_slice(text.as_bytes());
            out.extend(zeros(exponent));
        } else if exponent < 0 && point > 0 {
            let (whole, fraction) = split(point);
            out.extend_from_slice(whole.as_bytes());
            out.push(b'.');
            out.extend_from_slice(fraction.as_bytes());
        } else if exponent < 0 && -point <= MAX_ZEROS.1 {
            out.extend_from_slice(b"0.");
            out.extend(zeros(-point));
            out.extend_from_slice(text.as_bytes());
        } else {
            let (first, rest) = split(1);
            let rest = rest.trim_end_matches('0');
            out.extend_from_slice(first.as_bytes());
            if !rest.is_empty() {
                out.push(b'.');
                out.extend_from_slice(rest.as_bytes());
            }
            out.push(b'e');
            out.extend_from_slice(point.saturating_sub(1).to_string().as_bytes());
        }
    }
}

/// 10 to this power, if it fits.
pub(super) fn power_of_ten(power: u32) -> Option<i128> {
    // Calculating in 128 bits is slow in WebAssembly.
    10_i64.checked_pow(power).map(i128::from).or_else(|| 10_i128.checked_pow(power))
}

/// How many digits a number has; 0 has none.
pub(super) const fn count(digits: i128) -> u32 {
    match digits.unsigned_abs().checked_ilog10() {
        Some(power) => power + 1,
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::number::compare;

    fn written(decimal: Decimal) -> String {
        let mut out = Vec::new();
        decimal.write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_are_read_and_written_exactly() {
        for (text, expected) in [
            ("9007199254740993", "9007199254740993"),
            ("-170141183460469231731687303715884105727", "-170141183460469231731687303715884105727"),
            ("12345678901234567890.50", "12345678901234567890.5"),
            ("3.14159265358979323846264338327950288", "3.14159265358979323846264338327950288"),
            // Of a longer fraction, 38 or 39 digits stay.
            ("0.33333333333333333333333333333333333333333333", "0.33333333333333333333333333333333333333"),
            ("1e3", "1000"),
            ("1.5e3", "1500"),
            ("1e22", "1e22"),
            ("1.25e-3", "0.00125"),
            ("1.50e-9", "1.5e-9"),
            ("100e-2", "1"),
            ("123456789012345.678", "123456789012345.678"),
            ("-0.00000000000000001", "-1e-17"),
            ("1234567890123456789.5", "1234567890123456789.5"),
            ("5.", "5"),
            ("-.5", "-0.5"),
            ("+7.", "7"),
            (".25", "0.25"),
            ("-0.0", "0"),
            ("0e999999999", "0"),
            ("1.7976931348623157e308", "1.7976931348623157e308"),
        ] {
            assert_eq!(Decimal::parse(text.as_bytes()).map(written).as_deref(), Ok(expected), "{text}");
        }
        for text in ["", "-", ".", "-.", "..", "1..", "--1", "x", "1e", "1.2.3", "inf", "NaN", "0x1"] {
            assert_eq!(Decimal::parse(text.as_bytes()).map(written), Err(NumberError::NotANumber), "{text}");
        }
        for text in
            ["1e309", "1.8e308", "1e999999999999", "1e-999999999999", "1234567890123456789012345678901234567890.5"]
        {
            assert_eq!(Decimal::parse(text.as_bytes()).map(written), Err(NumberError::TooLong), "{text}");
        }
    }

    #[test]
    fn digits_are_rounded_as_they_are_written() {
        for (text, places, rounded) in [
            ("1.005", 2, "1.01"),
            ("-2.25", 1, "-2.3"),
            ("0.5", 0, "1"),
            ("0.49", 0, "0"),
            ("-0.04", 1, "0"),
            ("9.99", 1, "10"),
            ("1234567890123456.7", 1, "1234567890123456.7"),
            ("12345678901234567890.123", 1, "12345678901234567890.1"),
            ("99999999999999999999999999999999999999", 15, "99999999999999999999999999999999999999"),
            ("1.5e-3", 3, "0.002"),
            ("4.9e-3", 2, "0"),
            ("5e-3", 2, "0.01"),
            ("1.25e1", 0, "13"),
            ("1e-999999999", 15, "0"),
        ] {
            assert_eq!(written(Decimal::parse(text.as_bytes()).unwrap().round(places)), rounded, "{text} {places}");
        }
    }

    #[test]
    fn whole_numbers_are_told_from_fractions() {
        let whole = |text: &str| Decimal::parse(text.as_bytes()).unwrap().whole();
        assert_eq!((whole("5.0"), whole("1e3"), whole("1e30")), (Some(5), Some(1000), Some(10_i128.pow(30))));
        assert_eq!((whole("5.5"), whole("1e-60"), whole("1e60"), whole("0.0")), (None, None, None, Some(0)));
    }

    proptest! {
        #[test]
        fn what_is_written_has_the_same_value(digits: i128, exponent in -400..270_i32) {
            let text = format!("{digits}e{exponent}");
            let read = written(Decimal::parse(text.as_bytes()).unwrap());
            prop_assert_eq!(compare(read.as_bytes(), text.as_bytes()), Some(std::cmp::Ordering::Equal), "{} {}", read, text);
            prop_assert!(wattle_json::check(read.as_bytes(), 0).is_ok(), "{}", read);
        }

        #[test]
        fn rounding_removes_digits_only(whole in 0..1_000_000_000_000_u64, fraction in "[0-9]{0,20}", places in 0..=15_u8) {
            let rounded = Decimal::parse(format!("{whole}.{fraction}").as_bytes()).unwrap().round(places);
            let width = usize::from(places);
            let cut: i128 = format!("{whole}{:0<width$}", fraction.get(..width).unwrap_or(&fraction)).parse().unwrap();
            let is_up = fraction.as_bytes().get(width).is_some_and(|digit| *digit >= b'5');
            prop_assert_eq!(written(rounded), written(Decimal::new(cut + i128::from(is_up), -i32::from(places))));
        }

        #[test]
        fn any_bytes_are_a_number_or_none(bytes: Vec<u8>, near in "[-+0-9.eE]{0,50}") {
            let _ = Decimal::parse(&bytes);
            let _ = Decimal::parse(near.as_bytes()).map(written);
        }
    }
}
