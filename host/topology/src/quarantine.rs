//! Stores rows that a masking node could not process: they must neither be lost nor leave unmasked.
//!
//! Each row goes to the [`QuarantineStore`] of its pipeline before any part of it leaves. The event
//! on the port `failed` has no body and no attributes, only the reason and the ID of the stored
//! event.

mod retry;
mod store;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use wattle_batch::{Batch, Failure, format_rfc3339};

pub use retry::{Retried, RetryError, retry};
pub use store::{QuarantineError, QuarantineStore, Quarantined};

/// Bytes of lines per write.
const PIECE_BYTES: usize = 4 << 20;
/// Interval between log lines about rows that cannot be stored; their source sends them again and
/// again.
const SAY_AGAIN: Duration = Duration::from_secs(10);
/// Interval between attempts to write.
const RETRY_INTERVAL: Duration = Duration::from_millis(50);

/// The quarantine of one pipeline, as its nodes use it.
pub(crate) struct Quarantine {
    /// `None` for a run without side effects, which stores nothing.
    store: Option<QuarantineStore>,
    max_bytes: u64,
    patience: Duration,
    /// Time of the first failed write since the last one that succeeded.
    failing: Mutex<Option<Instant>>,
    said: Mutex<Option<Instant>>,
}

impl Quarantine {
    /// A quarantine of at most `max_bytes`. It retries a failed write until `patience` is over,
    /// unless the quarantine is full.
    pub(crate) fn new(store: QuarantineStore, max_bytes: u64, patience: Duration) -> Self {
        Self { store: Some(store), max_bytes, patience, failing: Mutex::default(), said: Mutex::default() }
    }

    /// A quarantine of a run without side effects: contents do not leave, and nothing is stored.
    pub(crate) fn dry() -> Self {
        Self { store: None, max_bytes: 0, patience: Duration::ZERO, failing: Mutex::default(), said: Mutex::default() }
    }

    /// Stores the rows of a failed batch, and returns the batch that may leave in their place:
    /// reasons without contents.
    ///
    /// # Errors
    ///
    /// The rows could not be stored. The batch is dropped unacknowledged, and none of it may leave.
    pub(crate) fn keep(&self, batch: Batch) -> Result<Batch, QuarantineError> {
        let Some(store) = &self.store else { return Ok(batch.without_contents()) };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let time = format_rfc3339(i64::try_from(now).unwrap_or(i64::MAX));
        // If a later piece does not fit, the source sends all rows again, and those before it are
        // stored twice.
        let mut kept = Ok(());
        let mut lines = Vec::new();
        let mut failures = Vec::with_capacity(batch.rows());
        for row in 0..batch.rows() {
            let id = format!("{now:x}-{row}");
            lines.extend_from_slice(format!("{{\"id\":\"{id}\",\"kept\":\"{time}\",\"event\":").as_bytes());
            batch.write_json(row, &mut lines);
            lines.extend_from_slice(b"}\n");
            if lines.len() >= PIECE_BYTES {
                kept = kept.and_then(|()| self.append(store, &lines));
                lines.clear();
            }
            if let Some(failure) = batch.failure(row) {
                let message: Arc<str> = format!("{}; the event is in quarantine as {id}", failure.message).into();
                failures.push(Failure { message, ..failure.clone() });
            }
        }
        match kept.and_then(|()| self.append(store, &lines)) {
            Ok(()) => Ok(batch.without_contents().with_failures(failures)),
            Err(error) => {
                let mut said = self.said.lock();
                if said.is_none_or(|said| said.elapsed() >= SAY_AGAIN) {
                    *said = Some(Instant::now());
                    tracing::error!(%error, "cannot store rows that could not be masked; they stay with their source");
                }
                Err(error)
            }
        }
    }

    fn append(&self, store: &QuarantineStore, lines: &[u8]) -> Result<(), QuarantineError> {
        loop {
            let error = match store.append(lines, self.max_bytes) {
                Ok(()) => {
                    *self.failing.lock() = None;
                    return Ok(());
                }
                Err(error) => error,
            };
            let since = *self.failing.lock().get_or_insert_with(Instant::now);
            if matches!(error, QuarantineError::Full { .. }) || since.elapsed() >= self.patience {
                return Err(error);
            }
            std::thread::sleep(RETRY_INTERVAL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;
    use wattle_batch::{Ack, Column, Origin};

    fn failed(rows: &[&str]) -> Batch {
        let origin = Origin { source: "in".into(), resource: "{}".into(), observed: 0 };
        let failure = Failure {
            node: "mask".into(),
            version: "mask@1.0.0".into(),
            code: "trap".into(),
            message: "it trapped".into(),
        };
        let batch = Batch::new(Column::from_rows(rows).unwrap(), Arc::new(origin), Ack::none());
        batch.with_failures(vec![failure; rows.len()])
    }

    #[test]
    fn contents_stay_and_only_reasons_leave() {
        let folder = tempfile::tempdir().unwrap();
        let quarantine = Quarantine::new(QuarantineStore::new(folder.path(), "trail"), 1 << 20, Duration::ZERO);
        let left = quarantine.keep(failed(&["secret one", "secret two"])).ok().unwrap();
        assert_eq!(left.rows(), 2);
        let mut out = Vec::new();
        left.write_json(1, &mut out);
        let out = String::from_utf8(out).unwrap();
        assert!(!out.contains("secret") && out.contains("in quarantine as"), "{out}");
        let path = folder.path().join("quarantine/trail.ndjson");
        let kept = std::fs::read_to_string(&path).unwrap();
        assert_eq!(kept.lines().count(), 2);
        assert!(kept.contains("secret two") && kept.contains("it trapped"));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_dry_run_stores_nothing_and_contents_do_not_leave() {
        let left = Quarantine::dry().keep(failed(&["secret"])).unwrap();
        let mut out = Vec::new();
        left.write_json(0, &mut out);
        let out = String::from_utf8(out).unwrap();
        assert!(!out.contains("secret") && out.contains("\"message\":\"it trapped\""), "{out}");
    }

    #[test]
    fn rows_that_cannot_be_stored_do_not_leave() {
        let store = QuarantineStore::new(std::path::Path::new("/dev/null"), "trail");
        let nowhere = Quarantine::new(store, 1 << 20, Duration::ZERO);
        assert!(matches!(nowhere.keep(failed(&["secret"])), Err(QuarantineError::Io { .. })));
        let folder = tempfile::tempdir().unwrap();
        // Only an operator can make room, so patience does not help.
        let full = Quarantine::new(QuarantineStore::new(folder.path(), "trail"), 10, Duration::from_secs(3600));
        assert!(matches!(full.keep(failed(&["secret"])), Err(QuarantineError::Full { .. })));
    }

    #[test]
    fn a_failed_write_is_retried_until_the_patience_ends() {
        let folder = tempfile::tempdir().unwrap();
        let occupied = folder.path().join("quarantine");
        std::fs::write(&occupied, "").unwrap();
        let store = QuarantineStore::new(folder.path(), "trail");
        let patient = Quarantine::new(store, 1 << 20, Duration::from_secs(60));
        let operator = std::thread::spawn(move || std::fs::remove_file(occupied).unwrap());
        assert_eq!(patient.keep(failed(&["secret"])).unwrap().rows(), 1);
        operator.join().unwrap();
    }

    #[test]
    fn all_writes_share_one_patience() {
        let store = QuarantineStore::new(std::path::Path::new("/dev/null"), "trail");
        let patient = Quarantine::new(store, 1 << 20, Duration::from_secs(1));
        *patient.failing.lock() = Instant::now().checked_sub(Duration::from_secs(2));
        let since = Instant::now();
        assert!(patient.keep(failed(&["secret"])).is_err());
        assert!(since.elapsed() < Duration::from_secs(1), "it has been failing for longer");
    }
}
