//! Tracks since when each worker is busy, and when the spare worker must help.
//!
//! A worker is stuck when it processes one batch for longer than [`LONG`]: its node spins, its
//! document is huge, or a sink has no space for its results. When all workers are stuck, the spare
//! worker serves the sources that none of them is processing, until a worker is free. It sleeps
//! while a worker is free, so an idle agent has no extra wake-ups; while all are busy it checks at
//! most every [`LONG`].

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// Longer than nearly all batches take, and short enough as a delay of other sources by batches
/// that take longer.
pub(crate) const LONG: Duration = Duration::from_millis(10);

/// Value of [`Watch::since`] for a worker that is free.
const FREE: u64 = 0;

/// The state of all workers.
pub(crate) struct Watch {
    begun: Instant,
    /// Since when each worker processes its batch, in nanoseconds after `begun`.
    since: Vec<AtomicU64>,
    /// Whether the spare worker is awake.
    awake: AtomicBool,
    stopped: AtomicBool,
    lock: Mutex<()>,
    wake: Condvar,
}

impl Watch {
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            begun: Instant::now(),
            since: (0..workers).map(|_| AtomicU64::new(FREE)).collect(),
            awake: AtomicBool::new(true),
            stopped: AtomicBool::new(false),
            lock: Mutex::new(()),
            wake: Condvar::new(),
        }
    }

    /// The number of workers, without the spare one.
    pub(crate) fn workers(&self) -> usize {
        self.since.len()
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX).max(FREE + 1)
    }

    /// Records that a worker has taken a batch.
    pub(crate) fn begin(&self, worker: usize) {
        if let Some(since) = self.since.get(worker) {
            // One total order with `awake`: either this load sees that the spare worker sleeps, or
            // the spare worker sees this store.
            since.store(self.now(), Ordering::SeqCst);
            if !self.awake.load(Ordering::SeqCst) && self.left().is_some() {
                self.wake();
            }
        }
    }

    /// Records that a worker has finished its batch.
    pub(crate) fn end(&self, worker: usize) {
        if let Some(since) = self.since.get(worker) {
            since.store(FREE, Ordering::SeqCst);
        }
    }

    /// Time until all workers are stuck if none of them finishes its batch: zero if they are stuck
    /// now, `None` if one is free.
    pub(crate) fn left(&self) -> Option<Duration> {
        let since = self.since.iter().map(|since| since.load(Ordering::SeqCst));
        let latest = since.map(|since| (since != FREE).then_some(since)).max_by_key(|s| s.unwrap_or(u64::MAX))??;
        Some(LONG.saturating_sub(Duration::from_nanos(self.now().saturating_sub(latest))))
    }

    /// Whether all workers are stuck.
    pub(crate) fn is_stuck(&self) -> bool {
        self.left().is_some_and(|left| left.is_zero())
    }

    /// Makes the spare worker sleep until all workers are stuck, or until it must check again.
    pub(crate) fn wait_until_stuck(&self) {
        let mut lock = self.lock.lock();
        self.awake.store(false, Ordering::SeqCst);
        let left = self.left();
        self.awake.store(left.is_some(), Ordering::SeqCst);
        match left {
            _ if self.is_stopped() => {}
            Some(left) if left.is_zero() => {}
            Some(left) => drop(self.wake.wait_for(&mut lock, left)),
            None => self.wake.wait(&mut lock),
        }
    }

    fn wake(&self) {
        let _lock = self.lock.lock();
        self.awake.store(true, Ordering::SeqCst);
        self.wake.notify_one();
    }

    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        self.wake();
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }
}
