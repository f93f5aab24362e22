//! Columns that are passed to and from a guest.

use bytes::Bytes;

/// One value per row: row i is `bytes[offsets[i]..offsets[i + 1]]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Values {
    /// The concatenated values.
    pub bytes: Bytes,
    /// Number of rows plus one: starts at 0, never decreases, and ends at the length of `bytes`.
    pub offsets: Vec<u32>,
    /// One per row, 0 for a row without a value. Empty if every row has a value.
    pub kinds: Vec<u8>,
}

impl Values {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    /// Number of bytes that are passed.
    pub fn byte_len(&self) -> usize {
        self.bytes.len() + 4 * self.offsets.len() + self.kinds.len()
    }

    /// Returns the value of each row, if any.
    pub fn iter(&self) -> impl Iterator<Item = Option<&[u8]>> + '_ {
        self.offsets.windows(2).enumerate().map(|(row, pair)| match *pair {
            _ if self.kinds.get(row) == Some(&0) => None,
            [start, end] => self.bytes.get(start as usize..end as usize),
            _ => None,
        })
    }
}

/// A column exceeds its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the result has more than {0} bytes")]
pub struct TooLarge(
    /// The limit in bytes.
    pub usize,
);

/// Kinds of values, as in `wit/types.wit`.
pub(crate) mod kind {
    pub(crate) const MISSING: u8 = 0;
    pub(crate) const BOOLEAN: u8 = 2;
    pub(crate) const NUMBER: u8 = 3;
    pub(crate) const STRING: u8 = 4;
    pub(crate) const ARRAY: u8 = 5;
    pub(crate) const OBJECT: u8 = 6;
}

/// Builds a column.
#[derive(Debug)]
pub struct ValuesBuilder {
    bytes: Vec<u8>,
    offsets: Vec<u32>,
    kinds: Vec<u8>,
}

impl ValuesBuilder {
    /// Creates a builder with capacity for this many rows.
    pub fn with_rows(rows: usize) -> Self {
        let mut offsets = Vec::with_capacity(rows + 1);
        offsets.push(0);
        Self { bytes: Vec::new(), offsets, kinds: Vec::with_capacity(rows) }
    }

    /// Appends a row with a string, or without a value.
    ///
    /// # Errors
    ///
    /// The column would have more than `max_bytes`.
    pub fn push(&mut self, value: Option<&[u8]>, max_bytes: usize) -> Result<(), TooLarge> {
        self.push_kind(value, kind::STRING, max_bytes)
    }

    /// Appends a row with a value of this kind, or without a value.
    pub(crate) fn push_kind(&mut self, value: Option<&[u8]>, kind: u8, max_bytes: usize) -> Result<(), TooLarge> {
        let value_bytes = value.unwrap_or_default();
        let end = self.bytes.len() + value_bytes.len();
        let Some(offset) = u32::try_from(end).ok().filter(|_| end <= max_bytes) else {
            return Err(TooLarge(max_bytes));
        };
        self.bytes.extend_from_slice(value_bytes);
        self.offsets.push(offset);
        self.kinds.push(if value.is_some() { kind } else { kind::MISSING });
        Ok(())
    }

    /// Number of bytes so far.
    pub fn byte_len(&self) -> usize {
        self.bytes.len()
    }

    /// Returns the column.
    pub fn finish(self) -> Values {
        Values { bytes: self.bytes.into(), offsets: self.offsets, kinds: self.kinds }
    }
}
