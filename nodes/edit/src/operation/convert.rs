//! `convert`: values to types.

use wattle_node::json::Kind;

use super::Compiler;
use super::value::{Change, Made};
use crate::number::Number;
use crate::options::{self, ConvertType, Unit};
use crate::problem::Problem;
use crate::time;

pub(crate) struct Convert {
    to: ConvertType,
    unit: Unit,
}

pub(super) fn compile(options: &options::Convert, compiler: &mut Compiler<'_, '_>) -> Option<Convert> {
    if options.unit.is_some() && options.to != ConvertType::Duration {
        compiler.error("unit", "`unit` is for durations; set `to` to `duration`, or remove it");
    }
    Some(Convert { to: options.to, unit: options.unit.unwrap_or_default() })
}

impl Change for Convert {
    fn change(&mut self, kind: Kind, text: &[u8], out: &mut Vec<u8>) -> Result<Made, Problem> {
        if kind >= Kind::Array && self.to != ConvertType::String {
            return Err(Problem::WrongType(kind, "a string, a number or a boolean"));
        }
        match self.to {
            ConvertType::String => {
                out.extend_from_slice(text);
                return Ok(Made::Text);
            }
            ConvertType::Int => match number(kind, text).ok_or(Problem::BadValue("a whole number"))? {
                number @ Number::Int(_) => number.write(out),
                Number::Float(float) if float.fract() == 0.0 && float.abs() < 9e15 => Number::Float(float).write(out),
                Number::Float(_) => return Err(Problem::BadValue("a whole number of 64 bits")),
            },
            ConvertType::Float => number(kind, text).ok_or(Problem::BadValue("a number"))?.write(out),
            ConvertType::Bool => {
                let is = |words: &[&[u8]]| words.iter().any(|word| text.trim_ascii().eq_ignore_ascii_case(word));
                match (is(&[b"true", b"yes", b"1"]), is(&[b"false", b"no", b"0"])) {
                    (true, _) => out.extend_from_slice(b"true"),
                    (_, true) => out.extend_from_slice(b"false"),
                    _ => return Err(Problem::BadValue("a boolean, such as `true` or `no`")),
                }
            }
            ConvertType::Timestamp => {
                let time = time::read(text.trim_ascii()).ok_or(Problem::BadTimestamp)?;
                time::write(time, out);
                return Ok(Made::Text);
            }
            ConvertType::Duration => self.duration(kind, text).ok_or(Problem::BadValue("a duration"))?.write(out),
            ConvertType::Bytes => size(text).ok_or(Problem::BadValue("a number of bytes"))?.write(out),
        }
        Ok(Made::Json)
    }
}

impl Convert {
    /// The number of units; a number counts as seconds.
    fn duration(&self, kind: Kind, text: &[u8]) -> Option<Number> {
        let nanoseconds = match Number::parse(text).filter(|_| kind != Kind::Bool) {
            Some(Number::Int(seconds)) => i128::from(seconds) * 1_000_000_000,
            Some(Number::Float(seconds)) if seconds.abs() < 1e18 => (seconds * 1e9).round() as i128,
            Some(Number::Float(_)) => return None,
            None => std::str::from_utf8(text).ok()?.trim().parse::<jiff::SignedDuration>().ok()?.as_nanos(),
        };
        let unit = match self.unit {
            Unit::Ns => 1,
            Unit::Us => 1_000,
            Unit::Ms => 1_000_000,
            Unit::S => 1_000_000_000,
        };
        match (nanoseconds % unit, i64::try_from(nanoseconds / unit)) {
            (0, Ok(whole)) => Some(Number::Int(whole)),
            _ => Number::float(nanoseconds as f64 / unit as f64),
        }
    }
}

/// The number of bytes of a size such as `10 MiB` or `1.5kB`; a number counts as bytes.
fn size(text: &[u8]) -> Option<Number> {
    let text = text.trim_ascii();
    let end = text.iter().position(|byte| !matches!(byte, b'0'..=b'9' | b'.' | b'+' | b'-')).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end)?;
    let unit = unit.trim_ascii().to_ascii_lowercase();
    let factor = match unit.as_slice() {
        b"" | b"b" => 1,
        b"k" | b"kb" => 1_000,
        b"m" | b"mb" => 1_000_000,
        b"g" | b"gb" => 1_000_000_000,
        b"t" | b"tb" => 1_000_000_000_000,
        b"ki" | b"kib" => 1 << 10,
        b"mi" | b"mib" => 1 << 20,
        b"gi" | b"gib" => 1 << 30,
        b"ti" | b"tib" => 1_i64 << 40,
        _ => return None,
    };
    let number = Number::parse(number).filter(|number| number.as_f64() >= 0.0)?;
    match number {
        Number::Int(number) => number.checked_mul(factor).map(Number::Int),
        Number::Float(number) => Number::float((number * factor as f64).round()),
    }
}

/// The number of a value; of booleans 1 and 0.
fn number(kind: Kind, text: &[u8]) -> Option<Number> {
    match (kind, text) {
        (Kind::Bool, b"true") => Some(Number::Int(1)),
        (Kind::Bool, _) => Some(Number::Int(0)),
        _ => Number::parse(text),
    }
}
