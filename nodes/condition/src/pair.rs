//! Tests that compare two fields.

use wattle_node::Column;
use wattle_node::json::Kind;

use crate::literal::equal;

/// A test of two fields. It is false if one of them is missing or null.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PairTest {
    /// They have the same JSON value.
    Equals,
    /// The text of the first one starts with that of the second one.
    StartsWith,
}

impl PairTest {
    /// Clears the rows for which the test does not hold. The columns are in text form.
    pub(crate) fn narrow(self, left: &Column, right: &Column, rows: &mut [bool]) {
        for (row, open) in rows.iter_mut().enumerate().filter(|(_, open)| **open) {
            let (left, right) = ((left.kind(row), left.row(row)), (right.kind(row), right.row(row)));
            *open = left.0 > Kind::Null
                && right.0 > Kind::Null
                && match self {
                    Self::Equals => equal(left, right),
                    Self::StartsWith => left.1.starts_with(right.1),
                };
        }
    }
}
