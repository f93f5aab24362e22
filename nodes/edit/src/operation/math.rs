//! `math`: calculations with one or two numbers.

use wattle_convert::number::Decimal;
use wattle_node::json::Kind;

use super::Compiler;
use super::value::{Change, Made};
use crate::field::Field;
use crate::number;
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

/// The result has more digits before the point than a number, or is larger than numbers are.
const OUT_OF_RANGE: Problem = Problem::BadValue(
    "in the range of numbers after the calculation: at most 38 digits before the point up to 1.8e308",
);

const DIVISION_BY_0: Problem = Problem::BadValue("divisible by 0");

/// The quotient would lose its fraction.
const NO_END: Problem = Problem::BadValue(
    "divisible without a rest, and the quotient has more than 15 digits before the point; give the digits after it with \
     `round`",
);

enum Operand {
    Number(Decimal),
    Field(Field),
}

pub(crate) struct Math {
    calculation: Option<(Sign, Operand)>,
    round: Option<u8>,
    /// The second number of the row.
    second: Decimal,
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
                let number = match Decimal::parse(number.to_string().as_bytes()) {
                    Ok(number) => number,
                    Err(_) => {
                        compiler.error(name, format!("{number} has more than 38 digits before the point"));
                        return None;
                    }
                };
                if *sign == Sign::Divide && number.is_zero() {
                    compiler.error(name, "division by 0");
                }
                Some((*sign, Operand::Number(number)))
            }
            Some((name, sign, NumberOrField::Field(path))) => {
                let at = compiler.at(name);
                Some((*sign, Operand::Field(compiler.plan.read(&at, path, compiler.setup)?)))
            }
        };
        Some(Self { calculation, round: options.round, second: Decimal::ZERO, memory: Vec::new() })
    }

    fn calculate(&self, sign: Sign, first: Decimal) -> Result<Decimal, Problem> {
        let second = self.second;
        match sign {
            Sign::Add => first.checked_add(second).ok_or(OUT_OF_RANGE),
            Sign::Subtract => first.checked_sub(second).ok_or(OUT_OF_RANGE),
            Sign::Multiply => first.checked_mul(second).ok_or(OUT_OF_RANGE),
            Sign::Divide if second.is_zero() => Err(DIVISION_BY_0),
            Sign::Divide => first.checked_div(second, self.round).ok_or_else(|| {
                // With digits to round to, only the digits before the point can be too many.
                let is_too_long = self.round.is_some() || first.checked_div(second, Some(0)).is_none();
                if is_too_long { OUT_OF_RANGE } else { NO_END }
            }),
        }
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
                number::read(kind, text)?
            }
        };
        Ok(())
    }

    fn change(&mut self, kind: Kind, text: &[u8], out: &mut Vec<u8>) -> Result<Made, Problem> {
        let number = number::read(kind, text)?;
        let number = match &self.calculation {
            Some((sign, _)) => self.calculate(*sign, number)?,
            None => number,
        };
        let number = self.round.map_or(number, |digits| number.round(digits));
        number.write(out);
        Ok(Made::Json)
    }
}
