//! The cells of a table that is being read.

use super::error::TableError;
use crate::values::kind;

/// Cells, row by row.
#[derive(Default)]
pub(super) struct Cells {
    pub(super) columns: Vec<String>,
    /// The concatenated cells.
    pub(super) text: Vec<u8>,
    /// End of each cell in `text`.
    pub(super) ends: Vec<u32>,
    /// Kind of each cell; empty if all are strings.
    pub(super) kinds: Vec<u8>,
}

impl Cells {
    pub(super) fn new(columns: Vec<String>) -> Self {
        Self { columns, ..Self::default() }
    }

    /// Appends the next cell of a row, a string.
    pub(super) fn push(&mut self, cell: &[u8]) -> Result<(), TableError> {
        self.push_kind(cell, kind::STRING)
    }

    /// Appends the next cell of a row; a missing one has no text.
    pub(super) fn push_kind(&mut self, cell: &[u8], kind: u8) -> Result<(), TableError> {
        if kind != kind::STRING && self.kinds.is_empty() {
            self.kinds = vec![kind::STRING; self.ends.len()];
        }
        if kind != kind::STRING || !self.kinds.is_empty() {
            self.kinds.push(kind);
        }
        self.text.extend_from_slice(cell);
        self.ends.push(u32::try_from(self.text.len()).map_err(|_| TableError::TooMuchText)?);
        Ok(())
    }

    pub(super) fn rows(&self) -> usize {
        self.ends.len().checked_div(self.columns.len()).unwrap_or(0)
    }
}
