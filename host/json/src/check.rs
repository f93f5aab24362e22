//! Proves that a text is one JSON value as RFC 8259 has it.
//!
//! Nearly every text that comes here is valid, so arrays and objects are judged block by block without a thought of where
//! a fault might be ([`blocks`]). What fails there is read token by token ([`exact`]), which says what is wrong.

mod blocks;
mod boundary;
mod exact;
mod nest;

pub use boundary::{Boundary, DocumentEnd};

use crate::scan::white;
use crate::{Error, Kind};

/// Returns the kind of the one value that `text` is, with white space around it or not.
///
/// Containers may lie `max_depth` deep inside each other: 0 allows scalars only, 1 also `[]`. Numbers may have any size,
/// keys may occur twice. Memory grows with one bit per level of depth.
///
/// # Errors
///
/// The text is not valid: it breaks the grammar, is not UTF-8, holds half of a surrogate pair, or is too deep.
pub fn check(text: &[u8], max_depth: usize) -> Result<Kind, Error> {
    let kind = text.get(white(text, 0)).map_or(Kind::Missing, |&byte| Kind::of_first_byte(byte));
    if matches!(kind, Kind::Array | Kind::Object) && blocks::valid(text, max_depth) {
        return Ok(kind);
    }
    exact::check(text, max_depth)
}

#[cfg(test)]
mod tests;
