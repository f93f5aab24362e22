//! The cells of a table that is being read.

use super::error::TableError;

/// Cells, row by row.
#[derive(Default)]
pub(super) struct Cells {
    pub(super) columns: Vec<String>,
    /// The concatenated cells.
    pub(super) text: Vec<u8>,
    /// End of each cell in `text`.
    pub(super) ends: Vec<u32>,
    /// Whether each cell is missing; empty if no cell is.
    pub(super) missing: Vec<bool>,
}

impl Cells {
    pub(super) fn new(columns: Vec<String>) -> Self {
        Self { columns, ..Self::default() }
    }

    /// Appends the next cell of a row.
    pub(super) fn push(&mut self, cell: Option<&[u8]>) -> Result<(), TableError> {
        if cell.is_none() && self.missing.is_empty() {
            self.missing = vec![false; self.ends.len()];
        }
        if cell.is_none() || !self.missing.is_empty() {
            self.missing.push(cell.is_none());
        }
        self.text.extend_from_slice(cell.unwrap_or_default());
        self.ends.push(u32::try_from(self.text.len()).map_err(|_| TableError::TooMuchText)?);
        Ok(())
    }

    pub(super) fn rows(&self) -> usize {
        self.ends.len().checked_div(self.columns.len()).unwrap_or(0)
    }
}
