//! What a source counts.

use std::net::SocketAddr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::SystemTime;

use parking_lot::Mutex;

/// Counts of a source, read by metrics, the summary and the progress bar.
#[derive(Debug, Default)]
pub struct SourceStats {
    /// Whether the source takes in: it has opened what it needs, and listens if it is one that does.
    pub started: AtomicBool,
    /// Events handed to the queue; events that are offered again count again.
    pub events: AtomicU64,
    /// Bytes of the bodies of those events.
    pub bytes: AtomicU64,
    /// Files, requests or inputs that failed as a whole, each with a line in the log.
    pub failures: AtomicU64,
    /// When the last of them failed, and why, as the log has it.
    pub last_failure: Mutex<Option<(SystemTime, String)>>,
    /// Batches that came back undelivered and were, or will be, offered again.
    pub retries: AtomicU64,
    /// Events that came back undelivered and cannot be offered again, each loss with a line in the log.
    pub lost: AtomicU64,
    /// Bytes of files that went away before they were read, each loss with a line in the log.
    pub lost_bytes: LostBytes,
    /// How often a file source looked at all that its globs find.
    pub looks: AtomicU64,
    /// Globs that find no file, each with the likely reason.
    pub unmatched: Mutex<Vec<String>>,
    /// Empty lines and empty documents, which are no events.
    pub skipped_empty: AtomicU64,
    /// Lines and documents beyond the limits, which were skipped; each input that has some has a line in the log.
    pub skipped_long: AtomicU64,
    /// Bytes of those.
    pub skipped_long_bytes: AtomicU64,
    /// Zero bytes in front of events, as sparse or truncated files have them.
    pub skipped_nuls: AtomicU64,
    /// Bytes known to be there to read, before decompression; 0 where the end is not known.
    pub total_bytes: AtomicU64,
    /// Bytes of those that have been read.
    pub read_bytes: AtomicU64,
    /// Where a listening source listens, once it does.
    pub address: OnceLock<SocketAddr>,
}

/// Bytes that were seen in files and never read, by what became of the files.
#[derive(Debug, Default)]
pub struct LostBytes {
    /// The file was truncated or written again.
    pub truncated: AtomicU64,
    /// The file was removed while it was not open.
    pub removed: AtomicU64,
    /// The file was removed while it was open, and closed because too many were.
    pub closed: AtomicU64,
}

impl LostBytes {
    /// All of them.
    pub fn total(&self) -> u64 {
        [&self.truncated, &self.removed, &self.closed].iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }
}

impl SourceStats {
    /// Notes that the source takes in from now on.
    pub(crate) fn start(&self) {
        self.started.store(true, Ordering::Release);
    }

    /// Counts an input that failed as a whole, and remembers why; the caller logs it.
    pub(crate) fn fail(&self, why: String) {
        add(&self.failures, 1);
        *self.last_failure.lock() = Some((SystemTime::now(), why));
    }
}

impl SourceStats {
    /// Counts what the framing passed over, and logs what was too long; `path` names the input.
    pub(crate) fn skip(&self, source: &str, path: &str, skipped: &crate::frame::Skipped) {
        add(&self.skipped_empty, skipped.empty);
        add(&self.skipped_nuls, skipped.nuls);
        if skipped.nuls > 0 {
            tracing::warn!(source, path, bytes = skipped.nuls, "zero bytes in front of an event were skipped");
        }
        if let Some(position) = skipped.too_long_at {
            add(&self.skipped_long, skipped.too_long);
            add(&self.skipped_long_bytes, skipped.too_long_bytes);
            tracing::warn!(
                source,
                path,
                events = skipped.too_long,
                bytes = skipped.too_long_bytes,
                first_at = position,
                "skipped what is longer than `max_line_bytes` or `max_event_bytes`; raise the option to read it"
            );
        }
    }
}

/// Adds to a count.
pub(crate) fn add(count: &AtomicU64, more: u64) {
    count.fetch_add(more, Ordering::Relaxed);
}

/// Reads a count.
#[cfg(test)]
pub(crate) fn get(count: &AtomicU64) -> u64 {
    count.load(Ordering::Relaxed)
}
