//! Columns as a node sees them.

use bytes::Bytes;

use crate::json::Kind;

/// One value per row: row i is `bytes[offsets[i]..offsets[i + 1]]`.
#[derive(Clone, Debug, Default)]
pub struct Column {
    /// All values, one after the other.
    pub bytes: Bytes,
    /// Where each value begins, and where the last one ends.
    pub offsets: Vec<u32>,
    /// [`Kind`] of each value; 0 where the row has none.
    pub kinds: Vec<u8>,
}

impl Column {
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value of a row; empty where it has none.
    pub fn row(&self, row: usize) -> &[u8] {
        match (self.offsets.get(row), self.offsets.get(row + 1)) {
            (Some(&start), Some(&end)) => self.bytes.get(start as usize..end as usize).unwrap_or_default(),
            _ => &[],
        }
    }

    /// The value of a row, if it has one.
    pub fn get(&self, row: usize) -> Option<&[u8]> {
        (self.kind(row) != Kind::Missing).then(|| self.row(row))
    }

    /// What kind of value a row has.
    pub fn kind(&self, row: usize) -> Kind {
        self.kinds.get(row).copied().and_then(Kind::from_u8).unwrap_or(Kind::Missing)
    }

    /// Position of a row's first byte in `bytes`.
    pub fn start(&self, row: usize) -> u32 {
        self.offsets.get(row).copied().unwrap_or(0)
    }

    /// Every value in order; empty where a row has none.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[u8]> + '_ {
        (0..self.len()).map(|row| self.row(row))
    }
}

/// Builds a column to give to the host.
#[derive(Clone, Debug)]
pub struct ColumnWriter {
    /// The bytes so far. Bytes that you append here belong to the row that you end next.
    pub bytes: Vec<u8>,
    pub(crate) offsets: Vec<u32>,
    pub(crate) kinds: Vec<u8>,
}

impl Default for ColumnWriter {
    fn default() -> Self {
        Self::with_capacity(0, 0)
    }
}

impl ColumnWriter {
    /// Creates a writer with capacity for this many bytes and rows.
    pub fn with_capacity(bytes: usize, rows: usize) -> Self {
        let mut offsets = Vec::with_capacity(rows + 1);
        offsets.push(0);
        Self { bytes: Vec::with_capacity(bytes), offsets, kinds: Vec::with_capacity(rows) }
    }

    /// A column of one value.
    pub fn of(value: &[u8]) -> Self {
        let mut writer = Self::with_capacity(value.len(), 1);
        writer.push(value);
        writer
    }

    /// Appends a value.
    pub fn push(&mut self, value: &[u8]) {
        self.bytes.extend_from_slice(value);
        self.end_row();
    }

    /// Appends a row without a value; in [`Batch::set`](crate::Batch::set) the row stays unchanged.
    pub fn push_none(&mut self) {
        self.end(0);
    }

    /// Ends the row that consists of the bytes appended since the last row.
    pub fn end_row(&mut self) {
        self.end(Kind::String as u8);
    }

    fn end(&mut self, kind: u8) {
        // A guest has 4 GiB of memory at most, so the length always fits.
        self.offsets.push(u32::try_from(self.bytes.len()).unwrap_or(u32::MAX));
        self.kinds.push(kind);
    }

    /// Number of rows so far.
    pub fn len(&self) -> usize {
        self.kinds.len()
    }

    /// Whether there are no rows yet.
    pub fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }
}

/// Turns a column that was read or found into one to pass back; copies its bytes only if they are
/// shared.
impl From<Column> for ColumnWriter {
    fn from(column: Column) -> Self {
        Self { bytes: column.bytes.into(), offsets: column.offsets, kinds: column.kinds }
    }
}
