//! `math`: calculations with one or two numbers.

use wattle_node::json::Kind;

use super::Compiler;
use super::value::{Change, Made};
use crate::field::Field;
use crate::number::{Decimal, Number};
use crate::options::{self, NumberOrField};
use crate::problem::Problem;
use crate::rows::Rows;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sign {
    Add,
    Subtract,
    Multiply,
    Divide,
}

/// The result is infinite, or a whole number of more than 38 digits, which a float would round.
const OUT_OF_RANGE: Problem = Problem::BadValue("in the range of numbers after the calculation");

/// A float has fewer digits than one of the numbers or the result.
const NOT_EXACT: Problem =
    Problem::BadValue("exact after the calculation: with a fraction, whole numbers have at most 15 digits");

const DIVISION_BY_0: Problem = Problem::BadValue("divisible by 0");

enum Operand {
    Number(Number),
    Field(Field),
}

pub(crate) struct Math {
    calculation: Option<(Sign, Operand)>,
    round: Option<u8>,
    /// The second number of the row.
    second: Number,
    memory: Vec<u8>,
}

impl Math {
    pub(super) fn new(options: &options::Math, compiler: &mut Compiler<'_, '_>) -> Option<Self> {
        let all = [
            ("add", Sign::Add, &options.add),
            ("subtract", Sign::Subtract, &options.subtract),
            ("multiply", Sign::Multiply, &options.multiply),
            ("divide", Sign::Divide, &options.divide),
        ];
        let given: Vec<_> = all.into_iter().filter_map(|(name, sign, by)| Some((name, sign, by.as_ref()?))).collect();
        if given.len() > 1 || (given.is_empty() && options.round.is_none()) {
            let at = compiler.at.to_owned();
            compiler
                .setup
                .error(at, "`math` takes one of `add`, `subtract`, `multiply` and `divide`, or `round`, or both");
            return None;
        }
        if options.round.is_some_and(|digits| digits > 15) {
            compiler.error("round", "a number has at most 15 digits after the point");
        }
        let calculation = match given.first() {
            None => None,
            Some((name, sign, NumberOrField::Number(number))) => {
                let number = Number::parse(number.to_string().as_bytes());
                if *sign == Sign::Divide && number.and_then(Number::exact_float) == Some(0.0) {
                    compiler.error(name, "division by 0");
                }
                let Some(number) = number else {
                    compiler.error(name, "the number is too large");
                    return None;
                };
                Some((*sign, Operand::Number(number)))
            }
            Some((name, sign, NumberOrField::Field(path))) => {
                let at = compiler.at(name);
                Some((*sign, Operand::Field(compiler.plan.read(&at, path, compiler.setup)?)))
            }
        };
        Some(Self { calculation, round: options.round, second: Number::Int(0), memory: Vec::new() })
    }

    fn calculate(&self, sign: Sign, first: Number, second: Number) -> Result<Number, Problem> {
        if let (Number::Int(first), Number::Int(second)) = (first, second) {
            let exact = match sign {
                Sign::Add => first.checked_add(second),
                Sign::Subtract => first.checked_sub(second),
                Sign::Multiply => first.checked_mul(second),
                Sign::Divide => return self.divide(first, second),
            };
            return exact.map(Number::Int).ok_or(OUT_OF_RANGE);
        }
        let (first, second) = (first.exact_float().ok_or(NOT_EXACT)?, second.exact_float().ok_or(NOT_EXACT)?);
        if sign == Sign::Divide && second == 0.0 {
            return Err(DIVISION_BY_0);
        }
        let result = match sign {
            Sign::Add => first + second,
            Sign::Subtract => first - second,
            Sign::Multiply => first * second,
            Sign::Divide => first / second,
        };
        Number::float(result).ok_or(OUT_OF_RANGE)
    }

    fn divide(&self, first: i128, second: i128) -> Result<Number, Problem> {
        /// Whole numbers up to this one are floats.
        const MAX_EXACT: u128 = 1 << f64::MANTISSA_DIGITS;
        if second == 0 {
            return Err(DIVISION_BY_0);
        }
        let (whole, rest) = (first.checked_div(second), first.checked_rem(second));
        let (Some(whole), Some(rest)) = (whole, rest) else { return Err(OUT_OF_RANGE) };
        if rest == 0 {
            return Ok(Number::Int(whole));
        }
        if let Some(decimal) = self.round.and_then(|digits| Decimal::quotient(first, second, digits)) {
            return Ok(Number::Decimal(decimal));
        }
        if whole.unsigned_abs() >= MAX_EXACT {
            return Err(NOT_EXACT);
        }
        let is_exact = first.unsigned_abs().max(second.unsigned_abs()) <= MAX_EXACT;
        let quotient = if is_exact { first as f64 / second as f64 } else { whole as f64 + rest as f64 / second as f64 };
        Number::float(quotient).ok_or(OUT_OF_RANGE)
    }
}

impl Change for Math {
    fn prepare(&mut self, rows: &mut Rows, row: usize) -> Result<(), Problem> {
        self.second = match &self.calculation {
            None => return Ok(()),
            Some((_, Operand::Number(number))) => *number,
            Some((_, Operand::Field(field))) => {
                let (kind, text) = rows.read_text(row, field, &mut self.memory);
                if kind <= Kind::Null {
                    return Err(Problem::Missing);
                }
                Number::read(kind, text)?
            }
        };
        Ok(())
    }

    fn change(&mut self, kind: Kind, text: &[u8], out: &mut Vec<u8>) -> Result<Made, Problem> {
        let number = match (&self.calculation, self.round) {
            (Some((sign, _)), round) => {
                let number = self.calculate(*sign, Number::read(kind, text)?, self.second)?;
                round.map_or(number, |digits| number.round(digits))
            }
            // Without a calculation, the digits need not fit a float.
            (None, Some(digits)) if matches!(kind, Kind::Number | Kind::String) => match Number::parse(text) {
                Some(number @ Number::Int(_)) => number,
                number => {
                    let decimal = Decimal::rounded(text, digits).map(Number::Decimal);
                    decimal.or(number).ok_or_else(|| Number::problem(text))?
                }
            },
            _ => Number::read(kind, text)?,
        };
        number.write(out);
        Ok(Made::Json)
    }
}
