//! A token bucket without locks.

use std::sync::atomic::{AtomicU64, Ordering};

const SECOND: u64 = 1_000_000_000;
/// Attempts to change a bucket that other workers change at the same time. After that, nothing is taken.
const ATTEMPTS: usize = 8;

/// Allows a number of units per second, and as many at once as the burst.
#[derive(Debug)]
pub(super) struct Bucket {
    /// Nanoseconds per unit.
    interval: u64,
    /// Nanoseconds that fill the bucket.
    burst: u64,
    /// When everything that was taken has been refilled, in nanoseconds.
    full_at: AtomicU64,
}

impl Bucket {
    pub(super) fn new(units_per_second: u64, burst: u64) -> Self {
        let interval = (SECOND / units_per_second.max(1)).max(1);
        Self { interval, burst: burst.max(1).saturating_mul(interval), full_at: AtomicU64::new(0) }
    }

    /// Units in the bucket.
    pub(super) fn available(&self, now: u64) -> u64 {
        let debt = self.full_at.load(Ordering::Relaxed).saturating_sub(now);
        self.burst.saturating_sub(debt) / self.interval
    }

    /// Takes up to this number of units. Returns how many it took.
    pub(super) fn take(&self, now: u64, units: u64) -> u64 {
        self.change(now, |available| units.min(available)).unwrap_or(0)
    }

    /// Takes all these units if there is at least one; the bucket refills the others before it gives more.
    pub(super) fn borrow(&self, now: u64, units: u64) -> bool {
        self.change(now, |available| if available > 0 { units.max(1) } else { 0 }).is_some_and(|taken| taken > 0)
    }

    fn change(&self, now: u64, take: impl Fn(u64) -> u64) -> Option<u64> {
        let mut full_at = self.full_at.load(Ordering::Relaxed);
        for _ in 0..ATTEMPTS {
            let start = full_at.max(now);
            let taken = take(self.burst.saturating_sub(start - now) / self.interval);
            if taken == 0 {
                return Some(0);
            }
            let next = start.saturating_add(taken.saturating_mul(self.interval));
            match self.full_at.compare_exchange_weak(full_at, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Some(taken),
                Err(changed) => full_at = changed,
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_a_burst_and_then_its_rate() {
        let bucket = Bucket::new(10, 10);
        assert_eq!((bucket.available(0), bucket.take(0, 4), bucket.available(0)), (10, 4, 6));
        assert_eq!((bucket.take(0, 100), bucket.take(0, 1)), (6, 0));
        assert_eq!(bucket.take(SECOND / 10, 100), 1);
        assert_eq!(bucket.take(100 * SECOND, 100), 10, "no more than a burst after a pause");
    }

    #[test]
    fn what_was_borrowed_is_paid_back_first() {
        let bucket = Bucket::new(1000, 100);
        assert!(bucket.borrow(0, 1000));
        assert!(!bucket.borrow(SECOND / 2, 1));
        assert!(bucket.borrow(SECOND, 1));
    }

    #[test]
    fn workers_together_take_no_more_than_the_burst() {
        let bucket = Bucket::new(1, 1000);
        let taken: u64 = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..4).map(|_| scope.spawn(|| (0..1000).map(|_| bucket.take(0, 1)).sum::<u64>())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        // An attempt that lost too often took nothing.
        assert!(taken <= 1000 && taken > 500, "{taken}");
    }
}
