//! A column of text: one span of a shared buffer per row.
//!
//! Rows are spans rather than offsets, so that selecting, splitting and aliasing rows moves no
//! bytes. A column enters the guest as one contiguous buffer ([`Column::to_contiguous`]), which is
//! a copy only if rows were selected.

use std::sync::Arc;

use bytes::Bytes;

use crate::known::Known;

/// The place of one row in its column's buffer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// One past the last byte; never less than `start`.
    pub end: u32,
}

impl Span {
    /// Length in bytes.
    pub fn len(self) -> usize {
        self.end.saturating_sub(self.start) as usize
    }

    /// Whether the row has no bytes.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }
}

/// A column would exceed the range of 32-bit offsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ColumnTooLarge;

impl std::fmt::Display for ColumnTooLarge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("column would exceed 4 GiB")
    }
}

impl std::error::Error for ColumnTooLarge {}

/// The text of every row, as spans of one shared buffer. A clone shares buffer and spans.
#[derive(Clone, Debug, Default)]
pub struct Column {
    bytes: Bytes,
    spans: Arc<[Span]>,
    /// Whether the rows cover the buffer from the first byte to the last without gaps.
    contiguous: bool,
    /// What is known of the buffer.
    known: Option<Known>,
}

impl Column {
    /// A column whose row i is `bytes[offsets[i]..offsets[i + 1]]`.
    ///
    /// Returns `None` unless offsets start at 0, never decrease and end at the length of `bytes`.
    pub fn from_offsets(bytes: Bytes, offsets: &[u32]) -> Option<Self> {
        if offsets.first() != Some(&0) || offsets.last().map(|&l| l as usize) != Some(bytes.len()) {
            return None;
        }
        let mut spans = Vec::with_capacity(offsets.len().saturating_sub(1));
        let mut monotone = true;
        for pair in offsets.windows(2) {
            if let [start, end] = *pair {
                monotone &= start <= end;
                spans.push(Span { start, end });
            }
        }
        monotone.then(|| Self { bytes, spans: spans.into(), contiguous: true, known: None })
    }

    /// A column of arbitrary spans. Returns `None` if a span leaves the buffer or ends before it
    /// starts.
    pub fn from_spans(bytes: Bytes, spans: Vec<Span>) -> Option<Self> {
        let len = u32::try_from(bytes.len()).ok()?;
        if spans.iter().any(|s| s.start > s.end || s.end > len) {
            return None;
        }
        let mut at = 0;
        let mut contiguous = true;
        for span in &spans {
            contiguous &= span.start == at;
            at = span.end;
        }
        Some(Self { bytes, spans: spans.into(), contiguous: contiguous && at == len, known: None })
    }

    /// A column with copies of these rows.
    pub fn from_rows<R: AsRef<[u8]>>(rows: impl IntoIterator<Item = R>) -> Result<Self, ColumnTooLarge> {
        let mut builder = ColumnBuilder::default();
        for row in rows {
            builder.push(row.as_ref())?;
        }
        Ok(builder.finish())
    }

    /// A column of one row that is the whole buffer.
    pub fn from_document(bytes: Bytes) -> Result<Self, ColumnTooLarge> {
        let end = u32::try_from(bytes.len()).map_err(|_| ColumnTooLarge)?;
        Ok(Self { bytes, spans: Arc::new([Span { start: 0, end }]), contiguous: true, known: None })
    }

    /// The same column, with what is known of its buffer.
    pub fn knowing(self, known: Option<Known>) -> Self {
        Self { known, ..self }
    }

    /// What is known of the buffer of [`to_contiguous`](Self::to_contiguous).
    pub(crate) fn known_contiguous(&self) -> Option<Known> {
        let known = self.known.as_ref()?;
        if self.contiguous { Some(known.clone()) } else { known.in_rows(&self.spans) }
    }

    /// Whether a row is known to be a JSON array or object without white space around it.
    pub fn is_known(&self, row: usize) -> bool {
        self.known.as_ref().zip(self.spans.get(row)).is_some_and(|(known, span)| known.has(*span))
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.spans.len()
    }

    /// Text of a row; empty for a row that does not exist.
    pub fn row(&self, index: usize) -> &[u8] {
        self.spans.get(index).map_or(&[], |&s| self.span(s))
    }

    /// Text of every row, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> + Clone {
        self.spans.iter().map(|&s| self.span(s))
    }

    /// The spans of all rows within [`bytes`](Self::bytes).
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// The shared buffer. It may contain bytes that belong to no row.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Bytes of all rows together.
    pub fn byte_len(&self) -> usize {
        if self.contiguous { self.bytes.len() } else { self.spans.iter().map(|s| s.len()).sum() }
    }

    /// Memory of a column that shares its buffer with no other, in bytes.
    pub(crate) fn held_bytes(&self) -> usize {
        /// Of the allocations of the buffer and of the spans.
        const OVERHEAD: usize = 64;
        self.bytes.len() + size_of_val(&*self.spans) + OVERHEAD
    }

    /// The rows with these indices, in this order, without a copy of the text. An index may repeat;
    /// one out of range gives an empty row.
    pub fn select(&self, rows: &[u32]) -> Self {
        let spans: Vec<Span> = rows.iter().map(|&r| self.spans.get(r as usize).copied().unwrap_or_default()).collect();
        Self { bytes: self.bytes.clone(), spans: spans.into(), contiguous: false, known: self.known.clone() }
    }

    /// One buffer with all rows in order, and their offsets. Copies only if there are gaps.
    pub fn to_contiguous(&self) -> (Bytes, Vec<u32>) {
        let mut offsets = Vec::with_capacity(self.spans.len() + 1);
        offsets.push(0);
        if let Some(bytes) = self.tiled() {
            let base = self.spans.first().map_or(0, |s| s.start);
            offsets.extend(self.spans.iter().map(|s| s.end - base));
            return (bytes, offsets);
        }
        let mut builder = Vec::with_capacity(self.byte_len());
        for row in self.iter() {
            builder.extend_from_slice(row);
            // Only a `select` with 2^32 indices could repeat rows often enough to exceed 4 GiB.
            offsets.push(u32::try_from(builder.len()).unwrap_or(u32::MAX));
        }
        (builder.into(), offsets)
    }

    /// Whether both columns are the same spans of the same buffer, so that a check of one is valid
    /// for the other.
    pub fn is_same(&self, other: &Self) -> bool {
        self.bytes.as_ptr() == other.bytes.as_ptr()
            && self.bytes.len() == other.bytes.len()
            && (Arc::ptr_eq(&self.spans, &other.spans) || self.spans == other.spans)
    }

    /// The part of the buffer that the rows cover without gaps, if they do.
    fn tiled(&self) -> Option<Bytes> {
        if self.contiguous {
            return Some(self.bytes.clone());
        }
        let first = self.spans.first()?.start;
        let mut at = first;
        for span in self.spans.iter() {
            if span.start != at {
                return None;
            }
            at = span.end;
        }
        Some(self.bytes.slice(first as usize..at as usize))
    }

    fn span(&self, span: Span) -> &[u8] {
        self.bytes.get(span.start as usize..span.end as usize).unwrap_or_default()
    }
}

/// Builds a contiguous column row by row.
#[derive(Debug, Default)]
pub struct ColumnBuilder {
    bytes: Vec<u8>,
    spans: Vec<Span>,
    start: u32,
}

impl ColumnBuilder {
    /// A builder with room for this many bytes and rows.
    pub fn with_capacity(bytes: usize, rows: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), spans: Vec::with_capacity(rows), start: 0 }
    }

    /// Appends a row.
    pub fn push(&mut self, row: &[u8]) -> Result<(), ColumnTooLarge> {
        self.bytes.extend_from_slice(row);
        self.finish_row()
    }

    /// The buffer, for writing the next row piece by piece; [`finish_row`](Self::finish_row) ends
    /// the row.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Ends the row: all bytes written since the last row belong to it.
    pub fn finish_row(&mut self) -> Result<(), ColumnTooLarge> {
        let end = u32::try_from(self.bytes.len()).map_err(|_| ColumnTooLarge)?;
        self.spans.push(Span { start: self.start, end });
        self.start = end;
        Ok(())
    }

    /// Bytes so far.
    pub fn byte_len(&self) -> usize {
        self.bytes.len()
    }

    /// Rows so far.
    pub fn rows(&self) -> usize {
        self.spans.len()
    }

    /// Returns the column. Bytes after the last finished row are not part of it.
    pub fn finish(mut self) -> Column {
        self.bytes.truncate(self.start as usize);
        Column { bytes: self.bytes.into(), spans: self.spans.into(), contiguous: true, known: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(column: &Column) -> Vec<&str> {
        column.iter().map(|r| std::str::from_utf8(r).unwrap()).collect()
    }

    #[test]
    fn offsets_are_checked() {
        let bytes = Bytes::from_static(b"abcdef");
        let ok = Column::from_offsets(bytes.clone(), &[0, 2, 2, 6]).unwrap();
        assert_eq!(rows(&ok), ["ab", "", "cdef"]);
        for bad in [&[][..], &[0], &[1, 6], &[0, 7], &[0, 4, 2, 6], &[0, 2]] {
            assert!(Column::from_offsets(bytes.clone(), bad).is_none(), "{bad:?}");
        }
        assert!(Column::from_offsets(Bytes::new(), &[0]).is_some());
    }

    #[test]
    fn selecting_shares_the_buffer_and_only_the_guest_gets_a_copy() {
        let column = Column::from_rows(["a", "bb", "ccc"]).unwrap();
        let picked = column.select(&[2, 0, 0]);
        assert_eq!(rows(&picked), ["ccc", "a", "a"]);
        assert_eq!(picked.bytes().as_ptr(), column.bytes().as_ptr());
        assert_eq!(picked.byte_len(), 5);
        let (bytes, offsets) = picked.to_contiguous();
        assert_eq!((&bytes[..], &offsets[..]), (&b"cccaa"[..], &[0u32, 3, 4, 5][..]));
        let tail = column.select(&[1, 2]);
        let (bytes, offsets) = tail.to_contiguous();
        assert_eq!(bytes.as_ptr(), column.bytes()[1..].as_ptr(), "neighbouring rows are not copied");
        assert_eq!((&bytes[..], &offsets[..]), (&b"bbccc"[..], &[0u32, 2, 5][..]));
    }

    #[test]
    fn spans_are_checked() {
        let bytes = Bytes::from_static(b"abc");
        assert!(Column::from_spans(bytes.clone(), vec![Span { start: 1, end: 3 }]).is_some());
        assert!(Column::from_spans(bytes.clone(), vec![Span { start: 2, end: 1 }]).is_none());
        assert!(Column::from_spans(bytes, vec![Span { start: 2, end: 4 }]).is_none());
    }
}
