//! Retries: how long to wait, and how often to log.

use std::time::{Duration, Instant};

/// Interval between two log lines of the same outage.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Exponential backoff with full jitter: each wait is random below a bound that doubles with each
/// failure.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    initial: Duration,
    max: Duration,
    bound: Duration,
}

impl Backoff {
    pub(crate) fn new(initial: Duration, max: Duration) -> Self {
        let initial = initial.min(max);
        Self { initial, max, bound: initial }
    }

    /// Returns the wait before the next attempt.
    pub(crate) fn next(&mut self) -> Duration {
        let wait = self.bound.mul_f64(fastrand::f64());
        self.bound = self.bound.saturating_mul(2).min(self.max);
        wait
    }

    /// Resets the bound after a success.
    pub(crate) fn reset(&mut self) {
        self.bound = self.initial;
    }
}

/// An outage of a destination: logged when it begins, every ten seconds, and when it ends. Outages that follow each other
/// within ten seconds have no lines, so a server that fails now and then does not flood the log.
#[derive(Debug, Default)]
pub(crate) struct Outage {
    attempts: u64,
    since: Option<Instant>,
    logged: Option<Instant>,
    /// Whether the log has a line about this outage.
    is_logged: bool,
}

/// The end of an outage that is in the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recovery {
    /// How long it lasted.
    pub(crate) lasted: Duration,
    /// How many attempts failed.
    pub(crate) attempts: u64,
}

impl Outage {
    /// Counts a failed attempt; returns the number of attempts if it is time to log them.
    pub(crate) fn failed(&mut self) -> Option<u64> {
        let now = Instant::now();
        self.attempts += 1;
        self.since.get_or_insert(now);
        if self.logged.is_some_and(|last| now.duration_since(last) < LOG_INTERVAL) {
            return None;
        }
        self.logged = Some(now);
        self.is_logged = true;
        Some(self.attempts)
    }

    /// Ends the outage after a success; returns what to log, if there was one that is in the log.
    pub(crate) fn over(&mut self) -> Option<Recovery> {
        // `logged` stays set, so that alternating failures and successes do not flood the log.
        let attempts = std::mem::take(&mut self.attempts);
        let is_logged = std::mem::take(&mut self.is_logged);
        let since = self.since.take().filter(|_| is_logged)?;
        Some(Recovery { lasted: since.elapsed(), attempts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_stay_below_a_bound_that_doubles() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        for bound in [100, 200, 400, 800, 1000, 1000] {
            assert_eq!(backoff.bound, Duration::from_millis(bound));
            assert!(backoff.next() <= Duration::from_millis(bound));
        }
        backoff.reset();
        assert!(backoff.next() <= Duration::from_millis(100));
        let waits: Vec<_> =
            (0..20).map(|_| Backoff::new(Duration::from_secs(9), Duration::from_secs(9)).next()).collect();
        assert!(waits.windows(2).any(|w| w[0] != w[1]), "waits are random");
    }

    #[test]
    fn a_long_outage_is_logged_at_intervals() {
        let mut outage = Outage::default();
        assert!(outage.over().is_none());
        assert_eq!(outage.failed(), Some(1));
        assert_eq!(outage.failed(), None);
        assert_eq!(outage.over().map(|recovery| recovery.attempts), Some(2));
        assert_eq!(outage.failed(), None, "the interval also counts after a success");
        assert!(outage.over().is_none(), "an outage whose begin is not in the log has no end there");
    }
}
