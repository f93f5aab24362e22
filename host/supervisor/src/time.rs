//! Moments on both clocks, and times as text.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// A moment. Rules take it as an argument, so tests do not have to wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// For times within a run.
    pub(crate) instant: Instant,
    /// Seconds since 1970, for times that survive a run.
    pub(crate) unix_seconds: u64,
}

impl Moment {
    pub(crate) fn now() -> Self {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { instant: Instant::now(), unix_seconds: unix.as_secs() }
    }

    /// The moment after this much time.
    #[cfg(test)]
    pub(crate) fn after(self, time: std::time::Duration) -> Self {
        Self { instant: self.instant + time, unix_seconds: self.unix_seconds + time.as_secs() }
    }
}

/// RFC 3339 with whole seconds, in UTC.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    wattle_batch::format_rfc3339(i64::try_from(seconds).unwrap_or(0).saturating_mul(1_000_000_000))
}
