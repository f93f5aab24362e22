//! A column as rows over one text, and the search for the row of a place.

use std::ops::Range;

/// The values of all rows, one after the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rows<'a> {
    /// All values.
    pub(crate) bytes: &'a [u8],
    /// Where each value begins, and where the last one ends.
    pub(crate) offsets: &'a [u32],
}

impl<'a> Rows<'a> {
    /// The rows with their places in the text.
    pub(crate) fn iter(self) -> impl Iterator<Item = (Range<usize>, &'a [u8])> {
        self.offsets.iter().zip(self.offsets.iter().skip(1)).map(move |(&start, &end)| {
            let range = start as usize..end as usize;
            (range.clone(), self.bytes.get(range).unwrap_or_default())
        })
    }

    /// A row with its place in the text.
    pub(crate) fn get(self, row: usize) -> Option<(Range<usize>, &'a [u8])> {
        let range = *self.offsets.get(row)? as usize..*self.offsets.get(row + 1)? as usize;
        Some((range.clone(), self.bytes.get(range)?))
    }
}

/// Finds the rows of places that come in ascending order.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Walk {
    row: usize,
}

impl Walk {
    /// Index and bounds of the row of a place. A place before the previous one counts as in the
    /// same row.
    pub(crate) fn row_of(&mut self, column: Rows<'_>, at: usize) -> (usize, Range<usize>) {
        let mut start = column.offsets.get(self.row).copied().unwrap_or_default() as usize;
        loop {
            match column.offsets.get(self.row + 1).map(|&end| end as usize) {
                Some(end) if end <= at => {
                    self.row += 1;
                    start = end;
                }
                Some(end) => return (self.row, start..end),
                None => return (self.row, start..column.bytes.len()),
            }
        }
    }
}
