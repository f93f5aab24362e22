//! Decimal numbers, as rounding makes them.

/// The number `digits` · 10^-`scale`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decimal {
    digits: i128,
    scale: usize,
}

impl Decimal {
    /// Rounds a decimal number, also one with an exponent, to digits after the point, half away from zero. None if the
    /// text is not a number, or the result has more digits than the type.
    pub(crate) fn rounded(text: &[u8], scale: u8) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?.trim_ascii();
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (is_negative, mantissa) = match mantissa.as_bytes() {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            rest => (false, rest),
        };
        let point = mantissa.iter().position(|byte| *byte == b'.').unwrap_or(mantissa.len());
        let (whole, fraction) = (mantissa.get(..point)?, mantissa.get(point + 1..).unwrap_or_default());
        let count = i64::try_from(whole.len() + fraction.len()).ok().filter(|count| *count > 0)?;
        // Digits before the point, and those that stay. Zeros fill up what a positive exponent leaves open.
        let point = i64::try_from(whole.len()).ok()?.checked_add(exponent.into())?;
        let kept = point + i64::from(scale).min((count - point).max(0));
        let (mut digits, mut next) = (0_i128, false);
        for (place, byte) in (0..).zip(whole.iter().chain(fraction)) {
            let digit = byte.is_ascii_digit().then(|| i128::from(byte - b'0'))?;
            if place < kept {
                digits = digits.checked_mul(10)?.checked_add(digit)?;
            } else if place == kept {
                next = digit >= 5;
            }
        }
        for _ in count..kept {
            // More zeros than the type has digits end the loop, unless the number is 0.
            digits = if digits == 0 { break } else { digits.checked_mul(10)? };
        }
        digits = digits.checked_add(next.into())?;
        let scale = usize::try_from(kept - point).ok()?;
        Some(Self { digits: if is_negative { -digits } else { digits }, scale })
    }

    /// Divides and rounds to digits after the point, half away from zero. None if the second number is 0, or the result
    /// has more digits than the type.
    pub(crate) fn quotient(first: i128, second: i128, scale: u8) -> Option<Self> {
        let first = first.checked_mul(10_i128.checked_pow(scale.into())?)?;
        let rest = first.checked_rem(second)?.unsigned_abs();
        let is_up = rest >= second.unsigned_abs() - rest;
        let away = if is_up { first.signum() * second.signum() } else { 0 };
        Some(Self { digits: first.checked_div(second)?.checked_add(away)?, scale: scale.into() })
    }

    /// Writes the number as JSON, without zeros at the end of the fraction.
    pub(crate) fn write(self, out: &mut Vec<u8>) {
        let Self { mut digits, mut scale } = self;
        while scale > 0 && digits % 10 == 0 {
            digits /= 10;
            scale -= 1;
        }
        if digits < 0 {
            out.push(b'-');
        }
        let text = digits.unsigned_abs().to_string();
        let text = format!("{text:0>width$}", width = scale + 1);
        let (whole, fraction) = text.split_at_checked(text.len() - scale).unwrap_or((&text, ""));
        out.extend_from_slice(whole.as_bytes());
        if scale > 0 {
            out.push(b'.');
            out.extend_from_slice(fraction.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(decimal: Option<Decimal>) -> Option<String> {
        let mut out = Vec::new();
        decimal?.write(&mut out);
        Some(String::from_utf8(out).unwrap())
    }

    #[test]
    fn digits_are_rounded_as_they_are_written() {
        for (text, scale, rounded) in [
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
            ("5e-4", 2, "0"),
            ("1.25e1", 0, "13"),
            ("1e30", 2, "1000000000000000000000000000000"),
            ("+7.", 1, "7"),
            (".25", 1, "0.3"),
            ("0e999999999", 1, "0"),
            ("1e-999999999", 15, "0"),
        ] {
            assert_eq!(written(Decimal::rounded(text.as_bytes(), scale)).as_deref(), Some(rounded), "{text} {scale}");
        }
        for text in
            ["", "-", ".", "x", "1e", "1.2.3", "1e99999999999", "1e300", "999999999999999999999999999999999999999.9"]
        {
            assert_eq!(Decimal::rounded(text.as_bytes(), 2), None, "{text}");
        }
        assert_eq!(written(Decimal::quotient(-2, 3, 3)).as_deref(), Some("-0.667"));
        assert_eq!(written(Decimal::quotient(1, -8, 2)).as_deref(), Some("-0.13"));
        assert_eq!((Decimal::quotient(1, 0, 0), Decimal::quotient(i128::MAX, 3, 1)), (None, None));
        assert_eq!(Decimal::quotient(i128::MIN, -1, 0), None);
    }

    proptest! {
        #[test]
        fn rounding_removes_digits_only(whole in 0..1_000_000_000_000_u64, fraction in "[0-9]{0,20}", scale in 0..=15_u8) {
            let rounded = Decimal::rounded(format!("{whole}.{fraction}").as_bytes(), scale).unwrap();
            let scale = usize::from(scale);
            let cut: i128 = format!("{whole}{:0<scale$}", fraction.get(..scale).unwrap_or(&fraction)).parse().unwrap();
            let is_up = fraction.as_bytes().get(scale).is_some_and(|digit| *digit >= b'5');
            let expected = Decimal { digits: cut + i128::from(is_up), scale };
            prop_assert_eq!(written(Some(rounded)), written(Some(expected)));
        }

        #[test]
        fn a_quotient_is_next_to_the_real_one(first in any::<i64>(), second in any::<i32>(), scale in 0..=9_u8) {
            prop_assume!(second != 0);
            let (first, second) = (i128::from(first), i128::from(second));
            let made = Decimal::quotient(first, second, scale).unwrap();
            // |first · 10^scale - digits · second| ≤ |second| / 2
            let rest = first * 10_i128.pow(scale.into()) - made.digits * second;
            prop_assert!(2 * rest.abs() <= second.abs());
        }
    }
}
