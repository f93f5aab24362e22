//! A column as it crosses the border to a guest.

use bytes::Bytes;

/// One value per row: row i is `bytes[offsets[i]..offsets[i + 1]]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Values {
    /// All values, one after the other.
    pub bytes: Bytes,
    /// One more than there are rows: they begin at 0, never decrease, and end at the length of `bytes`.
    pub offsets: Vec<u32>,
    /// One a row, 0 for a row without a value; or none at all, where every row has one.
    pub kinds: Vec<u8>,
}

impl Values {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    /// Bytes of all that crosses the border.
    pub fn byte_len(&self) -> usize {
        self.bytes.len() + 4 * self.offsets.len() + self.kinds.len()
    }

    /// The value of each row, if it has one.
    pub fn iter(&self) -> impl Iterator<Item = Option<&[u8]>> + '_ {
        self.offsets.windows(2).enumerate().map(|(row, pair)| match *pair {
            _ if self.kinds.get(row) == Some(&0) => None,
            [start, end] => self.bytes.get(start as usize..end as usize),
            _ => None,
        })
    }
}

/// Kind of a value that is a string.
const STRING: u8 = 4;

/// Builds a column.
#[derive(Debug)]
pub struct ValuesBuilder {
    bytes: Vec<u8>,
    offsets: Vec<u32>,
    kinds: Vec<u8>,
}

impl ValuesBuilder {
    /// A builder with room for this many rows.
    pub fn with_rows(rows: usize) -> Self {
        let mut offsets = Vec::with_capacity(rows + 1);
        offsets.push(0);
        Self { bytes: Vec::new(), offsets, kinds: Vec::with_capacity(rows) }
    }

    /// Appends a row. `Err` where the column would hold more than this many bytes.
    ///
    /// # Errors
    ///
    /// It has no room.
    pub fn push(&mut self, value: Option<&[u8]>, max_bytes: usize) -> Result<(), String> {
        let value_bytes = value.unwrap_or_default();
        let end = self.bytes.len() + value_bytes.len();
        let Some(offset) = u32::try_from(end).ok().filter(|_| end <= max_bytes) else {
            return Err(format!("what was found has more than {max_bytes} bytes"));
        };
        self.bytes.extend_from_slice(value_bytes);
        self.offsets.push(offset);
        self.kinds.push(if value.is_some() { STRING } else { 0 });
        Ok(())
    }

    /// Bytes so far.
    pub fn byte_len(&self) -> usize {
        self.bytes.len()
    }

    /// The column.
    pub fn finish(self) -> Values {
        Values { bytes: self.bytes.into(), offsets: self.offsets, kinds: self.kinds }
    }
}
