//! Numbers of values: whole ones of up to 38 digits are kept exactly.

use std::io::Write as _;

use wattle_node::json::Kind;

use crate::problem::Problem;

/// A number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Number {
    Int(i128),
    /// Neither infinite nor not a number.
    Float(f64),
}

impl Number {
    /// Reads a number, or a string that is one.
    pub(crate) fn read(kind: Kind, text: &[u8]) -> Result<Self, Problem> {
        if !matches!(kind, Kind::Number | Kind::String) {
            return Err(Problem::WrongType(kind, "a number"));
        }
        Self::parse(text).ok_or(Problem::BadValue("a number"))
    }

    /// Reads a decimal number, also with a plus sign, zeros or white space around it.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let text = text.trim_ascii();
        // Names such as `inf` and `NaN` are not numbers here.
        if !text.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E')) {
            return None;
        }
        let text = std::str::from_utf8(text).ok()?;
        if let Ok(number) = text.parse() {
            return Some(Self::Int(number));
        }
        // A float would not have the digits of a longer whole number.
        if text.bytes().all(|byte| !matches!(byte, b'.' | b'e' | b'E')) {
            return None;
        }
        text.parse().ok().and_then(Self::float)
    }

    /// A float that is finite; without a fraction it is a whole number where that is exact.
    pub(crate) fn float(number: f64) -> Option<Self> {
        /// The largest number below which every whole number is a float.
        const EXACT: f64 = 9_007_199_254_740_992.0;
        let is_whole = number.fract() == 0.0 && number.abs() < EXACT;
        number.is_finite().then_some(if is_whole { Self::Int(number as i128) } else { Self::Float(number) })
    }

    pub(crate) const fn as_f64(self) -> f64 {
        match self {
            Self::Int(number) => number as f64,
            Self::Float(number) => number,
        }
    }

    /// Writes the number as JSON.
    pub(crate) fn write(self, out: &mut Vec<u8>) {
        // Writing to a vector cannot fail.
        match self {
            Self::Int(number) => {
                let _ = write!(out, "{number}");
            }
            Self::Float(number) => out.extend_from_slice(zmij::Buffer::new().format_finite(number).as_bytes()),
        }
    }
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
    }
}
