//! Numbers of values: whole ones of up to 38 digits are kept exactly, and digits are rounded as they are written.

mod decimal;

use std::io::Write as _;

use wattle_node::json::Kind;

pub(crate) use self::decimal::Decimal;
use crate::problem::Problem;

/// A number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Number {
    Int(i128),
    /// Neither infinite nor not a number.
    Float(f64),
    /// The result of rounding.
    Decimal(Decimal),
}

/// From here on, a float has no digits after the point, and not every whole number is a float.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

/// Significant digits that identify a float.
const FLOAT_DIGITS: usize = 17;

impl Number {
    /// The text or the value is a number, but one that cannot be kept.
    pub(crate) const TOO_LONG: Problem =
        Problem::BadValue("a number of at most 38 digits (17 with a fraction) up to 1.8e308");

    /// Reads a number, or a string that is one.
    pub(crate) fn read(kind: Kind, text: &[u8]) -> Result<Self, Problem> {
        if !matches!(kind, Kind::Number | Kind::String) {
            return Err(Problem::WrongType(kind, "a number"));
        }
        Self::parse(text).ok_or_else(|| Self::problem(text))
    }

    /// Why a text is not a number, or not one that can be kept.
    pub(crate) fn problem(text: &[u8]) -> Problem {
        let is_number = float(text.trim_ascii()).is_some();
        if is_number { Self::TOO_LONG } else { Problem::BadValue("a number") }
    }

    /// Reads a decimal number, also with a plus sign, zeros or white space around it.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let text = text.trim_ascii();
        let float = float(text)?;
        let number = std::str::from_utf8(text).ok()?;
        if let Ok(number) = number.parse() {
            return Some(Self::Int(number));
        }
        // A float would not have the digits of a longer whole number, nor of a longer whole part.
        let is_whole = text.iter().all(|byte| !matches!(byte, b'.' | b'e' | b'E'));
        if is_whole || (float.abs() >= MAX_EXACT && significant_digits(text) > FLOAT_DIGITS) {
            return None;
        }
        Self::float(float)
    }

    /// A float that is finite; without a fraction it is a whole number where that is exact.
    pub(crate) fn float(number: f64) -> Option<Self> {
        let is_whole = number.fract() == 0.0 && number.abs() < MAX_EXACT;
        number.is_finite().then_some(if is_whole { Self::Int(number as i128) } else { Self::Float(number) })
    }

    /// The float that is exactly this number. None for a whole number that has more digits than a float.
    pub(crate) fn exact_float(self) -> Option<f64> {
        match self {
            Self::Int(number) => {
                let bits = number.unsigned_abs();
                let used =
                    u128::BITS - bits.leading_zeros() - bits.trailing_zeros().min(u128::BITS - bits.leading_zeros());
                (used <= f64::MANTISSA_DIGITS).then_some(number as f64)
            }
            Self::Float(number) => Some(number),
            Self::Decimal(_) => None,
        }
    }

    /// Rounds the digits that the number is written with, half away from zero.
    pub(crate) fn round(self, digits: u8) -> Self {
        let Self::Float(number) = self else { return self };
        // A float without digits after the point may be longer than a decimal number.
        let text = zmij::Buffer::new().format_finite(number).to_owned();
        Decimal::rounded(text.as_bytes(), digits).map_or(self, Self::Decimal)
    }

    /// Writes the number as JSON.
    pub(crate) fn write(self, out: &mut Vec<u8>) {
        // Writing to a vector cannot fail.
        match self {
            Self::Int(number) => {
                let _ = write!(out, "{number}");
            }
            Self::Float(number) => out.extend_from_slice(zmij::Buffer::new().format_finite(number).as_bytes()),
            Self::Decimal(decimal) => decimal.write(out),
        }
    }
}

/// The float next to a decimal number; names such as `inf` and `NaN` are not numbers here.
fn float(text: &[u8]) -> Option<f64> {
    let is_number = text.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
    std::str::from_utf8(text).ok().filter(|_| is_number)?.parse().ok()
}

/// Number of digits without zeros in front of them.
fn significant_digits(text: &[u8]) -> usize {
    let mantissa = text.split(|byte| matches!(byte, b'e' | b'E')).next().unwrap_or_default();
    mantissa.iter().filter(|byte| byte.is_ascii_digit()).skip_while(|digit| **digit == b'0').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_exact_or_refused() {
        let int = |text: &str| Number::parse(text.as_bytes());
        assert_eq!(int("9007199254740993"), Some(Number::Int(9_007_199_254_740_993)));
        assert_eq!(int("-170141183460469231731687303715884105728"), Some(Number::Int(i128::MIN)));
        assert_eq!(int("170141183460469231731687303715884105728"), None);
        assert_eq!((int("1e3"), int("5.0")), (Some(Number::Int(1000)), Some(Number::Int(5))));
        assert_eq!((int("1e16"), int("0.5")), (Some(Number::Float(1e16)), Some(Number::Float(0.5))));
        assert_eq!((int("1e999"), int("inf"), int("")), (None, None, None));
        // A float would be 12345678901234567000.
        assert_eq!((int("12345678901234567890.5"), int("1.2345678901234567890e19")), (None, None));
        assert_eq!(int("3.14159265358979323846264338327950288"), Some(Number::Float(std::f64::consts::PI)));
        assert_eq!(Number::problem(b"1e999"), Number::TOO_LONG);
        assert_eq!(Number::problem(b"1e"), Problem::BadValue("a number"));
    }

    #[test]
    fn a_whole_number_is_a_float_only_if_it_is_exactly_one() {
        let exact = |number: i128| Number::Int(number).exact_float();
        assert_eq!((exact(0), exact(-3), exact(i128::MIN)), (Some(0.0), Some(-3.0), Some(-(2_f64.powi(127)))));
        assert_eq!((exact(1 << 53), exact((1 << 53) + 1), exact(i128::MAX)), (Some(MAX_EXACT), None, None));
    }
}
