//! Pauses between attempts.

use std::time::Duration;

/// Pauses that double up to a maximum. Each is random, so that many agents do not come back together.
#[derive(Debug)]
pub(crate) struct Pauses {
    first: Duration,
    last: Duration,
    attempt: u32,
}

impl Pauses {
    pub(crate) fn new(first: Duration, last: Duration) -> Self {
        Self { first, last, attempt: 0 }
    }

    /// The next pause: between half of the doubled pause and all of it.
    pub(crate) fn next(&mut self) -> Duration {
        let full = self.first.saturating_mul(1 << self.attempt.min(20)).min(self.last);
        self.attempt = self.attempt.saturating_add(1);
        full.mul_f64(0.5 + fastrand::f64() / 2.0)
    }

    /// Begins again with the first pause, after a success.
    pub(crate) fn reset(&mut self) {
        self.attempt = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_last_one_and_are_random() {
        let (first, last) = (Duration::from_millis(250), Duration::from_secs(30));
        let mut pauses = Pauses::new(first, last);
        for attempt in 0..40 {
            let full = first.saturating_mul(1 << attempt.min(20)).min(last);
            let pause = pauses.next();
            assert!(pause >= full / 2 && pause <= full, "{attempt}: {pause:?}");
        }
        pauses.reset();
        assert!(pauses.next() <= first);
    }
}
