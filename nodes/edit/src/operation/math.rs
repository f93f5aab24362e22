//! `math`: calculations with one or two numbers.

use wattle_node::json::Kind;

use super::Compiler;
use super::value::{Change, Made};
use crate::field::Field;
use crate::number::Number;
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
                if *sign == Sign::Divide && number.is_some_and(|number| number.as_f64() == 0.0) {
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

    fn calculate(sign: Sign, first: Number, second: Number) -> Result<Number, Problem> {
        if let (Number::Int(first), Number::Int(second)) = (first, second) {
            let exact = match sign {
                Sign::Add => first.checked_add(second),
                Sign::Subtract => first.checked_sub(second),
                Sign::Multiply => first.checked_mul(second),
                Sign::Divide => first.checked_rem(second).filter(|rest| *rest == 0).and(first.checked_div(second)),
            };
            match exact {
                Some(exact) => return Ok(Number::Int(exact)),
                // The quotient has a fraction, or does not exist.
                None if sign == Sign::Divide => {}
                None => return Err(OUT_OF_RANGE),
            }
        }
        let (first, second) = (first.as_f64(), second.as_f64());
        if sign == Sign::Divide && second == 0.0 {
            return Err(Problem::BadValue("divisible by 0"));
        }
        let result = match sign {
            Sign::Add => first + second,
            Sign::Subtract => first - second,
            Sign::Multiply => first * second,
            Sign::Divide => first / second,
        };
        Number::float(result).ok_or(OUT_OF_RANGE)
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
        let mut number = Number::read(kind, text)?;
        if let Some((sign, _)) = &self.calculation {
            number = Self::calculate(*sign, number, self.second)?;
        }
        if let (Some(digits), Number::Float(float)) = (self.round, number) {
            let factor = 10_f64.powi(i32::from(digits));
            // Beyond this, a float has no digits that rounding could remove.
            let rounded = if (float * factor).is_finite() { (float * factor).round() / factor } else { float };
            number = Number::float(rounded).unwrap_or(number);
        }
        number.write(out);
        Ok(Made::Json)
    }
}
