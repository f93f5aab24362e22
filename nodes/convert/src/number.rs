//! Decimal numbers by their digits: exact comparison, and exact calculation.
//!
//! A 64-bit floating-point number has 53 bits, so 9007199254740993 becomes 9007199254740992 on the way through one, and
//! the sum of 0.1 and 0.2 is not 0.3. Nodes compare and calculate with the digits that an event has.

mod arithmetic;
mod decimal;

use std::cmp::Ordering;

pub use self::decimal::{Decimal, NumberError};

/// A number as it is written.
#[derive(Clone, Copy, Debug)]
struct Written<'t> {
    is_negative: bool,
    /// The digits before the point.
    whole: &'t [u8],
    /// The digits after the point.
    fraction: &'t [u8],
    exponent: i64,
}

/// Larger exponents count as this one, so that sums with lengths of texts do not overflow.
const MAX_EXPONENT: i64 = 1 << 40;

impl<'t> Written<'t> {
    /// Reads digits with an optional sign, point and exponent. At least one digit must stand before or after the point.
    fn parse(text: &'t [u8]) -> Option<Self> {
        let (is_negative, text) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            rest => (false, rest),
        };
        let (whole, rest) = digits(text);
        let (fraction, rest) = match rest {
            [b'.', rest @ ..] => digits(rest),
            rest => (&b""[..], rest),
        };
        let exponent = match rest {
            [] => 0,
            [b'e' | b'E', rest @ ..] => exponent(rest)?,
            _ => return None,
        };
        let has_digits = !(whole.is_empty() && fraction.is_empty());
        has_digits.then_some(Self { is_negative, whole, fraction, exponent })
    }

    /// The digits from the first one to the last one that is not 0; none for zero.
    fn significant(&self) -> impl Iterator<Item = u8> + '_ {
        let (start, end) = (self.leading_zeros(), self.len() - self.trailing_zeros());
        self.whole.iter().chain(self.fraction).copied().take(end).skip(start)
    }

    fn len(&self) -> usize {
        self.whole.len() + self.fraction.len()
    }

    fn leading_zeros(&self) -> usize {
        self.whole.iter().chain(self.fraction).take_while(|digit| **digit == b'0').count()
    }

    fn trailing_zeros(&self) -> usize {
        self.whole.iter().chain(self.fraction).rev().take_while(|digit| **digit == b'0').count()
    }

    fn is_zero(&self) -> bool {
        self.leading_zeros() == self.len()
    }

    /// Where the first significant digit stands: 1 for the last one before the point, 0 for the one after it.
    fn magnitude(&self) -> i64 {
        // Texts are shorter than 4 GiB.
        let before = self.whole.len() as i64 - self.leading_zeros() as i64;
        before + self.exponent
    }

    fn compare(&self, other: &Self) -> Ordering {
        let sign = |number: &Self| match (number.is_zero(), number.is_negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        };
        let absolute = || {
            let magnitude = self.magnitude().cmp(&other.magnitude());
            // Where one text ends, the other has a further digit that is not 0.
            magnitude.then_with(|| self.significant().cmp(other.significant()))
        };
        sign(self).cmp(&sign(other)).then_with(|| match sign(self) {
            0 => Ordering::Equal,
            1 => absolute(),
            _ => absolute().reverse(),
        })
    }
}

/// Compares two numbers by their value, whatever the number of their digits; `0.1` equals `0.10` and `1e-1`.
///
/// Takes digits with an optional sign, point and exponent. Returns `None` if a text is not such a number. Exponents
/// beyond ±2⁴⁰ count as equal.
#[must_use]
pub fn compare(a: &[u8], b: &[u8]) -> Option<Ordering> {
    if let (Some(a), Some(b)) = (short(a), short(b)) {
        return Some(a.cmp(&b));
    }
    Some(Written::parse(a)?.compare(&Written::parse(b)?))
}

/// A whole number of up to 18 digits, which is the common case.
fn short(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    if !(1..=18).contains(&digits.len()) {
        return None;
    }
    let value = digits
        .iter()
        .try_fold(0_i64, |value, byte| byte.is_ascii_digit().then(|| value * 10 + i64::from(byte - b'0')))?;
    Some(if digits.len() < text.len() { -value } else { value })
}

fn digits(text: &[u8]) -> (&[u8], &[u8]) {
    let count = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    text.split_at_checked(count).unwrap_or_default()
}

fn exponent(text: &[u8]) -> Option<i64> {
    let (is_negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    if digits.is_empty() {
        return None;
    }
    let value = digits.iter().try_fold(0_i64, |value, byte| {
        byte.is_ascii_digit().then(|| (value * 10 + i64::from(byte - b'0')).min(MAX_EXPONENT))
    })?;
    Some(if is_negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_compared_by_their_digits() {
        for (a, b, expected) in [
            ("9007199254740993", "9007199254740992", Ordering::Greater),
            ("9007199254740993.0", "9007199254740992", Ordering::Greater),
            ("9007199254740992.5", "9007199254740992.25", Ordering::Greater),
            ("0.1", "0.10", Ordering::Equal),
            ("0.1", "1e-1", Ordering::Equal),
            ("0.1", "0.1000000000000000055511151231257827", Ordering::Less),
            ("1e400", "1e401", Ordering::Less),
            ("-1e400", "-1e401", Ordering::Greater),
            ("1e-400", "0", Ordering::Greater),
            ("-0.0", "0e9", Ordering::Equal),
            ("-1", "1", Ordering::Less),
            ("100", "1e2", Ordering::Equal),
            ("007", "7", Ordering::Equal),
            ("123456789012345678901234567890", "123456789012345678901234567891", Ordering::Less),
            ("1e99999999999999999999", "1", Ordering::Greater),
            ("1e-99999999999999999999", "1", Ordering::Less),
        ] {
            assert_eq!(compare(a.as_bytes(), b.as_bytes()), Some(expected), "{a} {b}");
            assert_eq!(compare(b.as_bytes(), a.as_bytes()), Some(expected.reverse()), "{b} {a}");
        }
        for text in ["", "-", ".", "e1", "1e", "1e+", "1x", "1.2.3", "0x1", "inf", "NaN", " 1", "--1"] {
            assert_eq!(compare(text.as_bytes(), b"1"), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn whole_numbers_are_compared_as_whole_numbers(a: i128, b: i128, zeros in 0..3_usize) {
            let other = format!("{b}.{}", "0".repeat(zeros));
            prop_assert_eq!(compare(a.to_string().as_bytes(), other.as_bytes()), Some(a.cmp(&b)));
        }

        #[test]
        fn the_point_may_stand_anywhere(a: i64, b: i64, places in 0..30_i32) {
            let a_text = format!("{a}e-{places}");
            let b_text = format!("{b}00e-{}", places + 2);
            prop_assert_eq!(compare(a_text.as_bytes(), b_text.as_bytes()), Some(a.cmp(&b)));
        }

        #[test]
        fn any_bytes_are_compared_or_not(a: Vec<u8>, b in "[-+0-9.eE]{0,9}") {
            let _ = compare(&a, b.as_bytes());
            let _ = compare(b.as_bytes(), b.as_bytes());
        }
    }
}
