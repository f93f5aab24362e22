//! Pauses between attempts.

use std::time::Duration;

use wattle_aws::{Error, Retry};

/// Pauses that double up to a maximum, with jitter, so that many agents do not try again at the same time.
#[derive(Debug)]
pub(super) struct Backoff {
    first: Duration,
    last: Duration,
    attempts: u32,
}

impl Backoff {
    pub(super) fn new(first: Duration, last: Duration) -> Self {
        Self { first, last, attempts: 0 }
    }

    /// Number of pauses since the last success.
    pub(super) fn attempts(&self) -> u32 {
        self.attempts
    }

    /// The next pause: between half of the doubled pause and all of it.
    pub(super) fn next(&mut self) -> Duration {
        let pause = jittered(self.first, self.last, self.attempts);
        self.attempts = self.attempts.saturating_add(1);
        pause
    }

    /// The next pause after an error of a service.
    pub(super) fn after(&mut self, error: &Error) -> Duration {
        match error.retry() {
            Retry::Backoff => self.next(),
            Retry::After(pause) => pause.max(self.next()),
            // An operator must change something, so there is no reason to hurry.
            Retry::Operator | Retry::Never => self.next().max(self.last / 2),
        }
    }

    /// Begins again with the first pause, after a success.
    pub(super) fn reset(&mut self) {
        self.attempts = 0;
    }
}

/// The pause after this many failures before: doubled each time, with jitter.
pub(super) fn jittered(first: Duration, last: Duration, failures: u32) -> Duration {
    let full = first.saturating_mul(1 << failures.min(20)).min(last);
    full.mul_f64(0.5 + fastrand::f64() / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_last_with_jitter() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(5));
        for full in [1.0, 2.0, 4.0, 5.0, 5.0] {
            let pause = backoff.next().as_secs_f64();
            assert!((full / 2.0..=full).contains(&pause), "{pause} of {full}");
        }
        assert_eq!(backoff.attempts(), 5);
        backoff.reset();
        assert!(backoff.next() <= Duration::from_secs(1));
        assert!(jittered(Duration::from_secs(1), Duration::from_hours(1), u32::MAX) <= Duration::from_hours(1));
    }
}
