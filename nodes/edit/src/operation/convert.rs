//! `convert`: values to types.

use wattle_convert::number::Decimal;
use wattle_convert::size::{self, Prefixes};
use wattle_convert::{Type, duration};
use wattle_node::json::Kind;

use super::Compiler;
use super::value::{Change, Made};
use crate::number;
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
        let text = if self.to == ConvertType::String { text } else { text.trim_ascii() };
        let wrong = |wanted| if text.is_empty() { Problem::Empty(wanted) } else { Problem::BadValue(wanted) };
        match self.to {
            ConvertType::String => {
                out.extend_from_slice(text);
                return Ok(Made::Text);
            }
            ConvertType::Timestamp => {
                let wrong = if text.is_empty() { Problem::EmptyTimestamp } else { Problem::BadTimestamp };
                time::write(time::read(text).ok_or(wrong)?, out);
                return Ok(Made::Text);
            }
            ConvertType::Int => whole(kind, text, out).ok_or_else(|| wrong("a whole number"))?,
            ConvertType::Float => match boolean(kind, text) {
                Some(number) => out.push(number),
                None => typed(text, Type::Number, out).ok_or_else(|| wrong("a number"))?,
            },
            ConvertType::Bool => {
                typed(text, Type::Boolean, out).ok_or_else(|| wrong("a boolean, such as `true` or `no`"))?;
            }
            ConvertType::Duration => {
                self.duration(text).ok_or_else(|| wrong("a duration, such as `1h 30m`"))?.write(out)
            }
            ConvertType::Bytes => {
                let bytes = size::parse(text, Prefixes::Decimal).ok_or_else(|| wrong("a size, such as `10 MiB`"))?;
                out.extend_from_slice(bytes.to_string().as_bytes());
            }
        }
        Ok(Made::Json)
    }
}

impl Convert {
    /// The number of units; a number without a unit counts as seconds.
    fn duration(&self, text: &[u8]) -> Option<Decimal> {
        let nanoseconds = duration::parse(text, Some(duration::Unit::Seconds))?;
        let exponent = match self.unit {
            Unit::Ns => 0,
            Unit::Us => -3,
            Unit::Ms => -6,
            Unit::S => -9,
        };
        Some(Decimal::new(nanoseconds.into(), exponent))
    }
}

/// Appends a value of a type that is not empty.
fn typed(text: &[u8], wanted: Type, out: &mut Vec<u8>) -> Option<()> {
    wattle_convert::write_value(text, Some(wanted), out).ok().filter(|()| !text.is_empty())
}

/// Appends a whole number of any length; floats without a fraction are whole.
fn whole(kind: Kind, text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    if let Some(number) = boolean(kind, text) {
        out.push(number);
        return Some(());
    }
    if typed(text, Type::Integer, out).is_some() {
        return Some(());
    }
    let whole = number::parse(text).ok()?.whole()?;
    out.extend_from_slice(whole.to_string().as_bytes());
    Some(())
}

/// The digit for a boolean.
fn boolean(kind: Kind, text: &[u8]) -> Option<u8> {
    (kind == Kind::Bool).then_some(if text == b"true" { b'1' } else { b'0' })
}
