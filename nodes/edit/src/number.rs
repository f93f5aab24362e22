//! Numbers of values, with the digits that events have.

use wattle_convert::number::{Decimal, NumberError};
use wattle_node::json::Kind;

use crate::problem::Problem;

/// Reads a number, or a string that is one, also with white space around it.
pub(crate) fn read(kind: Kind, text: &[u8]) -> Result<Decimal, Problem> {
    match kind {
        Kind::Number | Kind::String => parse(text),
        kind => Err(Problem::WrongType(kind, "a number")),
    }
}

/// Reads a decimal number, also with a plus sign, zeros or white space around it.
pub(crate) fn parse(text: &[u8]) -> Result<Decimal, Problem> {
    let text = text.trim_ascii();
    Decimal::parse(text).map_err(|error| match error {
        NumberError::NotANumber if text.is_empty() => Problem::Empty("a number"),
        NumberError::NotANumber => Problem::BadValue("a number"),
        NumberError::TooLong => Problem::BadValue("a number of at most 38 digits before the point up to 1.8e308"),
    })
}
