//! What a disk buffer has done, for metrics and the summary.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts of a disk buffer. They outlive reloads of the sink.
#[derive(Debug, Default)]
pub struct BufferStats {
    /// Bytes on disk now, without damaged files.
    pub bytes: AtomicU64,
    /// Events on disk now that the sink has not acknowledged.
    pub events: AtomicU64,
    /// Events that were written and synced.
    pub received_events: AtomicU64,
    /// Bytes of them, with their headers.
    pub received_bytes: AtomicU64,
    /// Events that found no room and were dropped, as `when_full = "drop_newest"` has it.
    pub dropped_events: AtomicU64,
    /// Bytes of them.
    pub dropped_bytes: AtomicU64,
    /// Events that were found on disk at a start.
    pub recovered_events: AtomicU64,
    /// Bytes of groups that were being written when the agent ended, and were cut off.
    pub torn_bytes: AtomicU64,
    /// Bytes that were safe once and cannot be read any more.
    pub damaged_bytes: AtomicU64,
    /// Segments that were set aside for such bytes.
    pub damaged_segments: AtomicU64,
    /// Segments that should have been there and were not.
    pub missing_segments: AtomicU64,
    /// Writes, syncs, reads and removals that failed and were tried again.
    pub errors: AtomicU64,
    /// Nanoseconds during which the buffer took nothing, because it or the disk was full or failed.
    pub blocked_nanos: AtomicU64,
}

impl BufferStats {
    /// Counts a group that is dropped.
    pub fn dropped(&self, events: u64, bytes: u64) {
        add(&self.dropped_events, events);
        add(&self.dropped_bytes, bytes);
    }
}

pub(super) fn add(count: &AtomicU64, more: u64) {
    count.fetch_add(more, Ordering::Relaxed);
}
