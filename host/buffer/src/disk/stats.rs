//! Counts of a disk buffer, for metrics and the summary.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts of a disk buffer. They outlive reloads of the sink.
#[derive(Debug, Default)]
pub struct BufferStats {
    /// Current size on disk, without damaged files.
    pub bytes: AtomicU64,
    /// Number of events on disk that the sink has not acknowledged.
    pub events: AtomicU64,
    /// Events that were written and synced.
    pub received_events: AtomicU64,
    /// Size of the received events with their headers.
    pub received_bytes: AtomicU64,
    /// Events that were dropped because the buffer was full, with `when_full = "drop_newest"`.
    pub dropped_events: AtomicU64,
    /// Size of the dropped events.
    pub dropped_bytes: AtomicU64,
    /// Events that were found on disk at start.
    pub recovered_events: AtomicU64,
    /// Size of incomplete groups that were cut off at start.
    pub torn_bytes: AtomicU64,
    /// Size of synced data that became unreadable.
    pub damaged_bytes: AtomicU64,
    /// Segments that were set aside because of damage.
    pub damaged_segments: AtomicU64,
    /// Segments that were missing.
    pub missing_segments: AtomicU64,
    /// Writes, syncs, reads and removals that failed and were retried.
    pub errors: AtomicU64,
    /// Nanoseconds during which the buffer accepted nothing, because the buffer or the disk was
    /// full or had errors.
    pub blocked_nanos: AtomicU64,
}

impl BufferStats {
    /// Counts a dropped group.
    pub fn dropped(&self, events: u64, bytes: u64) {
        add(&self.dropped_events, events);
        add(&self.dropped_bytes, bytes);
    }
}

pub(super) fn add(count: &AtomicU64, more: u64) {
    count.fetch_add(more, Ordering::Relaxed);
}
