//! Numbers of values: whole ones are kept exactly.

use std::io::Write as _;

use wattle_node::json::Kind;

use crate::problem::Problem;

/// A number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Number {
    Int(i64),
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
        text.parse().ok().and_then(Self::float)
    }

    /// A float that is finite.
    pub(crate) fn float(number: f64) -> Option<Self> {
        number.is_finite().then_some(Self::Float(number))
    }

    pub(crate) const fn as_f64(self) -> f64 {
        match self {
            Self::Int(number) => number as f64,
            Self::Float(number) => number,
        }
    }

    /// Writes the number as JSON; floats without a fraction as whole numbers where that is exact.
    pub(crate) fn write(self, out: &mut Vec<u8>) {
        /// The largest number below which every whole number is a float.
        const EXACT: f64 = 9_007_199_254_740_992.0;
        // Writing to a vector cannot fail.
        match self {
            Self::Int(number) => {
                let _ = write!(out, "{number}");
            }
            Self::Float(number) if number.fract() == 0.0 && number.abs() < EXACT => {
                let _ = write!(out, "{}", number as i64);
            }
            Self::Float(number) => out.extend_from_slice(zmij::Buffer::new().format_finite(number).as_bytes()),
        }
    }
}
