//! Checks that a text is one JSON value according to RFC 8259.
//!
//! Nearly every text is valid, so [`blocks`] checks arrays and objects block by block without
//! looking for the place of an error. [`exact`] reads a text that fails there token by token and
//! reports the error.

mod blocks;
mod boundary;
mod exact;
mod nest;

pub use boundary::{Boundary, Containers, DocumentEnd};

use crate::scan::white;
use crate::{Error, Kind};

/// Checks `text`, which may have white space around it, and returns the kind of its one value.
///
/// Containers may nest up to `max_depth` levels: 0 allows scalars only, 1 also `[]`. Numbers may
/// have any size, and keys may repeat. Uses one bit of memory per level.
///
/// # Errors
///
/// The text breaks the grammar, is not UTF-8, contains half of a surrogate pair, or nests too deep.
pub fn check(text: &[u8], max_depth: usize) -> Result<Kind, Error> {
    let kind = text.get(white(text, 0)).map_or(Kind::Missing, |&byte| Kind::of_first_byte(byte));
    if matches!(kind, Kind::Array | Kind::Object) && blocks::valid(text, max_depth) {
        return Ok(kind);
    }
    exact::check(text, max_depth)
}

#[cfg(test)]
mod tests;
