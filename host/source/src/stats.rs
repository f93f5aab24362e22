//! Counts of a source.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use wattle_listen::TlsStats;

/// Counts of a source, read by metrics, the summary and the progress bar.
#[derive(Debug, Default)]
pub struct SourceStats {
    /// Whether the source runs: it has opened its input, or listens.
    pub started: AtomicBool,
    /// Events pushed to the queue; events that are sent again count again.
    pub events: AtomicU64,
    /// Bytes of the bodies of those events.
    pub bytes: AtomicU64,
    /// Files, requests or inputs that failed as a whole, each with a line in the log.
    pub failures: AtomicU64,
    /// Time and text of the last failure, as in the log.
    pub last_failure: Mutex<Option<(SystemTime, String)>>,
    /// Batches that returned undelivered and were, or will be, sent again.
    pub retries: AtomicU64,
    /// Events that returned undelivered and cannot be sent again; each loss is logged.
    pub lost: AtomicU64,
    /// Bytes of files that were removed before they were read; each loss is logged.
    pub lost_bytes: LostBytes,
    /// Number of full scans of a file source.
    pub looks: AtomicU64,
    /// Globs that match no file, each with the likely reason.
    pub unmatched: Mutex<Vec<String>>,
    /// Empty lines and empty documents, which are not events.
    pub skipped_empty: AtomicU64,
    /// Lines and documents that were skipped because of the limits; logged once per input.
    pub skipped_long: AtomicU64,
    /// Bytes of these lines and documents.
    pub skipped_long_bytes: AtomicU64,
    /// Zero bytes before events, as in sparse or truncated files.
    pub skipped_nuls: AtomicU64,
    /// Known size of the input before decompression in bytes; 0 if unknown.
    pub total_bytes: AtomicU64,
    /// Bytes of the input that were read.
    pub read_bytes: AtomicU64,
    /// Address of a listening source.
    pub address: OnceLock<SocketAddr>,
    /// Failed TLS handshakes of a listening source.
    pub tls: Arc<TlsStats>,
    /// UDP datagrams that the kernel dropped because its buffer was full.
    pub dropped_datagrams: AtomicU64,
    /// Objects of a store, and the messages that announce them.
    pub queue: QueueStats,
    /// Messages without acknowledgements that were dropped because they came faster than they were delivered.
    pub dropped_messages: AtomicU64,
    /// Messages that the server deleted before the source had read them; each loss is logged.
    pub expired_messages: AtomicU64,
    /// What the parts of a topic or a stream have that is not delivered.
    pub lag: LagStats,
}

/// How many messages the parts of a topic or a stream have that are not delivered, each with its name.
#[derive(Debug, Default)]
pub struct LagStats(Mutex<Vec<(String, u64)>>);

impl LagStats {
    /// Replaces all parts.
    #[cfg_attr(
        not(any(feature = "kafka", feature = "nats")),
        allow(dead_code, reason = "only topics and streams have a lag")
    )]
    pub(crate) fn set(&self, parts: Vec<(String, u64)>) {
        *self.0.lock() = parts;
    }

    /// The parts; empty for a source to which lag does not apply.
    pub fn parts(&self) -> Vec<(String, u64)> {
        self.0.lock().clone()
    }
}

/// Counts of a source of objects, and of the messages that announce them.
#[derive(Debug, Default)]
pub struct QueueStats {
    /// Whether the source reads objects, so that the other counts mean something.
    pub is_used: AtomicBool,
    /// Messages that were received; a message that comes again counts again.
    pub received: AtomicU64,
    /// Messages that were deleted.
    pub deleted: AtomicU64,
    /// Messages that were given back, to be received again at once or later.
    pub returned: AtomicU64,
    /// Messages that announce no new object.
    pub ignored: AtomicU64,
    /// Messages that are, in whole or in part, no notifications.
    pub invalid: AtomicU64,
    /// How often the time was extended for which a message stays hidden.
    pub extended: AtomicU64,
    /// Messages in work.
    pub in_flight: AtomicU64,
    /// When the oldest message in work was sent, in milliseconds of Unix time; 0 if there is none.
    pub oldest_sent_at: AtomicI64,
    /// Objects that were delivered to their end.
    pub objects: AtomicU64,
    /// Attempts to read an object that failed.
    pub failed: AtomicU64,
    /// Objects that did not exist any more.
    pub missing: AtomicU64,
    /// Announced objects that the options exclude.
    pub filtered: AtomicU64,
    /// Time from the creation of each announced object to its delivery.
    pub delays: Delays,
    /// Requests that failed and were repeated.
    pub retried_requests: AtomicU64,
    /// Digests of CloudTrail that were checked.
    pub digests: DigestStats,
}

/// Upper bounds of the histogram of delays in seconds.
pub const DELAY_SECONDS: [f64; 10] = [1.0, 3.0, 10.0, 30.0, 60.0, 300.0, 600.0, 1800.0, 3600.0, 21600.0];

/// A histogram of delays.
#[derive(Debug, Default)]
pub struct Delays {
    /// Number of delays between each bound and the one before.
    buckets: [AtomicU64; DELAY_SECONDS.len()],
    /// Number of delays above all bounds.
    longer: AtomicU64,
    milliseconds: AtomicU64,
}

/// A histogram of delays at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DelaySnapshot {
    /// Number of delays up to each bound of [`DELAY_SECONDS`].
    pub at_most: [u64; DELAY_SECONDS.len()],
    /// Number of delays.
    pub count: u64,
    /// Sum of all delays.
    pub sum: Duration,
}

impl Delays {
    /// Adds a delay.
    #[cfg_attr(not(feature = "aws"), allow(dead_code, reason = "only objects have delays"))]
    pub(crate) fn record(&self, delay: Duration) {
        let index = DELAY_SECONDS.partition_point(|bound| *bound < delay.as_secs_f64());
        add(self.buckets.get(index).unwrap_or(&self.longer), 1);
        add(&self.milliseconds, u64::try_from(delay.as_millis()).unwrap_or(u64::MAX));
    }

    /// The histogram at this moment. The count always matches the buckets.
    pub fn snapshot(&self) -> DelaySnapshot {
        let mut count = 0;
        let at_most = self.buckets.each_ref().map(|bucket| {
            count += bucket.load(Ordering::Relaxed);
            count
        });
        count += self.longer.load(Ordering::Relaxed);
        DelaySnapshot { at_most, count, sum: Duration::from_millis(self.milliseconds.load(Ordering::Relaxed)) }
    }
}

/// Digests of CloudTrail, by the result of their check.
#[derive(Debug, Default)]
pub struct DigestStats {
    /// The digest and all files that it lists are as AWS delivered them.
    pub verified: AtomicU64,
    /// The same, but the digest does not list some files of its time.
    pub unlisted: AtomicU64,
    /// Nothing is known to be wrong, but the signature cannot be checked.
    pub unverifiable: AtomicU64,
    /// Something was changed or is missing.
    pub failed: AtomicU64,
}

impl QueueStats {
    /// Age of the oldest message in work in seconds; 0 if there is none.
    pub fn oldest_seconds(&self) -> u64 {
        let sent = self.oldest_sent_at.load(Ordering::Relaxed);
        if sent == 0 {
            return 0;
        }
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis();
        let sent = u128::try_from(sent).unwrap_or_default();
        u64::try_from(now.saturating_sub(sent) / 1000).unwrap_or(u64::MAX)
    }
}

/// Bytes that were seen in files and never read, by reason.
#[derive(Debug, Default)]
pub struct LostBytes {
    /// The file was truncated or rewritten.
    pub truncated: AtomicU64,
    /// The file was removed while it was not open.
    pub removed: AtomicU64,
    /// The file was removed while it was open, and closed because too many files were open.
    pub closed: AtomicU64,
}

impl LostBytes {
    /// All reasons.
    pub fn total(&self) -> u64 {
        [&self.truncated, &self.removed, &self.closed].iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }
}

impl SourceStats {
    /// Marks the source as running.
    pub(crate) fn start(&self) {
        self.started.store(true, Ordering::Release);
    }

    /// Counts an input that failed as a whole, and stores the reason; the caller logs it.
    pub(crate) fn fail(&self, why: String) {
        add(&self.failures, 1);
        *self.last_failure.lock() = Some((SystemTime::now(), why));
    }
}

impl SourceStats {
    /// Counts data that the framing skipped.
    pub(crate) fn count_skipped(&self, skipped: &crate::frame::Skipped) {
        add(&self.skipped_empty, skipped.empty);
        add(&self.skipped_nuls, skipped.nuls);
        add(&self.skipped_long, skipped.too_long);
        add(&self.skipped_long_bytes, skipped.too_long_bytes);
    }

    /// Counts data that the framing skipped, and logs events that are too long; `path` names the
    /// input.
    pub(crate) fn skip(&self, source: &str, path: &str, skipped: &crate::frame::Skipped) {
        self.count_skipped(skipped);
        if skipped.nuls > 0 {
            tracing::warn!(source, path, bytes = skipped.nuls, "skipped zero bytes before an event");
        }
        if let Some(position) = skipped.too_long_at {
            tracing::warn!(
                source,
                path,
                events = skipped.too_long,
                bytes = skipped.too_long_bytes,
                first_at = position,
                "skipped events longer than `max_line_bytes` or `max_event_bytes`; raise the option to read \
                 them (`wattle run --pack` has `--max-line-bytes`)"
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
