//! Closes batches: splits framed events into columns by bytes and by number.

use std::time::Duration;

use bytes::Bytes;
use wattle_batch::{Column, ColumnTooLarge, Span};

use crate::frame::Mark;

/// Limits at which a batch is closed.
#[derive(Clone, Copy, Debug)]
pub struct BatchLimits {
    /// Bytes of bodies; one event may be larger.
    pub max_bytes: usize,
    /// Number of events.
    pub max_events: usize,
    /// Age of the oldest event.
    pub max_age: Duration,
}

/// Events of one batch, and the position in the input just after them.
#[derive(Debug)]
pub(crate) struct Chunk {
    pub(crate) column: Column,
    pub(crate) end: u64,
    /// Facts about each row, if the lines are those of containers.
    pub(crate) marks: Vec<Mark>,
}

/// The receiver of chunks is closed.
#[derive(Debug)]
pub(crate) struct Unwanted;

impl BatchLimits {
    /// Returns whether a batch of this size is full.
    pub(crate) fn reached(&self, bytes: usize, events: usize) -> bool {
        bytes >= self.max_bytes || events >= self.max_events
    }

    /// Returns whether a batch that takes this many bytes of its input, with the data between its events, is closed.
    pub(crate) fn is_spread(&self, bytes: usize) -> bool {
        bytes / MAX_SPREAD > self.max_bytes
    }
}

/// Data between events, such as empty lines, may take this many times `max_bytes` in one batch.
const MAX_SPREAD: usize = 4;

/// Index of the first event that does not fit into a batch that begins at `from`.
fn batch_end(spans: &[Span], from: usize, limits: &BatchLimits) -> usize {
    let rest = spans.get(from..).unwrap_or_default();
    let start = rest.first().map_or(0, |first| first.start);
    let mut bytes = 0;
    let fits = rest.iter().enumerate().take_while(|(count, span)| {
        bytes += span.len();
        let spread = span.end.saturating_sub(start) as usize;
        // One event may be larger than a batch.
        *count == 0 || (bytes <= limits.max_bytes && *count < limits.max_events && !limits.is_spread(spread))
    });
    from + fits.count()
}

/// Index of the first event of the last batch.
pub(crate) fn last_batch(spans: &[Span], limits: &BatchLimits) -> usize {
    let mut first = 0;
    loop {
        match batch_end(spans, first, limits) {
            end if end < spans.len() => first = end,
            _ => return first,
        }
    }
}

/// Splits the events in one buffer into as many columns as the limits require; all share the
/// buffer.
///
/// The buffer starts at the position `base` of the input, and the last column ends at `end`. Every
/// other column ends where the next one starts, so skipped data between two columns belongs to the
/// first.
pub(crate) fn cut(bytes: &Bytes, spans: Vec<Span>, base: u64, end: u64, limits: &BatchLimits) -> Vec<Chunk> {
    let mut chunks = Vec::new();
    let mut from = 0;
    while from < spans.len() {
        let to = batch_end(&spans, from, limits);
        let end = spans.get(to).map_or(end, |next| base + u64::from(next.start));
        if from == 0 && to == spans.len() {
            return chunk(bytes, spans, end).into_iter().collect();
        }
        chunks.extend(chunk(bytes, spans.get(from..to).unwrap_or_default().to_vec(), end));
        from = to;
    }
    chunks
}

fn chunk(bytes: &Bytes, spans: Vec<Span>, end: u64) -> Option<Chunk> {
    if spans.is_empty() {
        return None;
    }
    // The framing keeps the buffer below 4 GiB, so its spans are valid.
    Column::from_spans(bytes.clone(), spans).map(|column| Chunk { column, end, marks: Vec::new() })
}

/// A whole document as one event.
pub(crate) fn document(mut bytes: Vec<u8>) -> Result<Chunk, ColumnTooLarge> {
    let end = bytes.len() as u64;
    // The queue counts only the used bytes, so free the rest.
    if bytes.len() < bytes.capacity() / 4 * 3 {
        bytes.shrink_to_fit();
    }
    Ok(Chunk { column: Column::from_document(Bytes::from(bytes))?, end, marks: Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_cut_by_bytes_and_events_and_keep_positions() {
        let bytes = Bytes::from_static(b"aaa\nbbb\n\ncccccccc\nd\n");
        let spans: Vec<Span> =
            [(0, 3), (4, 7), (9, 17), (18, 19)].iter().map(|&(start, end)| Span { start, end }).collect();
        for (max_bytes, max_events, expected) in [
            (100, 100, vec![(vec!["aaa", "bbb", "cccccccc", "d"], 120)]),
            (6, 100, vec![(vec!["aaa", "bbb"], 109), (vec!["cccccccc"], 118), (vec!["d"], 120)]),
            (100, 3, vec![(vec!["aaa", "bbb", "cccccccc"], 118), (vec!["d"], 120)]),
            (1, 1, vec![(vec!["aaa"], 104), (vec!["bbb"], 109), (vec!["cccccccc"], 118), (vec!["d"], 120)]),
        ] {
            let limits = BatchLimits { max_bytes, max_events, max_age: Duration::ZERO };
            let chunks = cut(&bytes, spans.clone(), 100, 120, &limits);
            let found: Vec<(Vec<&str>, u64)> = chunks
                .iter()
                .map(|c| (c.column.iter().map(|row| std::str::from_utf8(row).unwrap()).collect(), c.end))
                .collect();
            assert_eq!(found, expected);
            assert!(chunks.iter().all(|c| c.column.bytes().as_ptr() == bytes.as_ptr()), "nothing is copied");
        }
        assert!(
            cut(&bytes, Vec::new(), 0, 9, &BatchLimits { max_bytes: 1, max_events: 1, max_age: Duration::ZERO })
                .is_empty()
        );
    }
}
