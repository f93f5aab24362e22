//! States that a validated plan rules out: each occurrence is logged and counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Minimum time between two log lines. A returned batch comes back at once and hits the same bug
/// again.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Count of bugs of the agent itself, over all generations. Clones share the count.
#[derive(Clone, Debug, Default)]
pub struct Bugs(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    count: AtomicU64,
    logged: Mutex<Option<Instant>>,
}

impl Bugs {
    /// Counts a bug and logs it.
    pub(crate) fn report(&self, pipeline: &str, what: &'static str) {
        if let Some(count) = self.count_one() {
            tracing::error!(
                pipeline,
                what,
                count,
                "bug in the agent: a batch returns to its source unacknowledged; please report this"
            );
        }
    }

    /// Counts a batch whose events do not add up, and logs it.
    pub(crate) fn report_unbalanced(&self, pipeline: &str, events: i64) {
        if let Some(count) = self.count_one() {
            tracing::error!(
                pipeline,
                events,
                count,
                "bug in the agent: the counts of a batch do not add up; please report this"
            );
        }
    }

    /// Counts a bug. Returns the number of bugs if it is time to log one.
    fn count_one(&self) -> Option<u64> {
        let count = self.0.count.fetch_add(1, Ordering::Relaxed) + 1;
        let mut logged = self.0.logged.lock();
        if logged.is_some_and(|logged| logged.elapsed() < LOG_INTERVAL) {
            return None;
        }
        *logged = Some(Instant::now());
        Some(count)
    }

    /// Bugs so far.
    pub fn count(&self) -> u64 {
        self.0.count.load(Ordering::Relaxed)
    }
}
