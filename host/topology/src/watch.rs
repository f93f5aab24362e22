//! Tracks since when each worker is busy, and when the spare worker must help.
//!
//! A worker is stuck when it processes one batch for longer than [`LONG`]: its node spins, its
//! document is huge, or a sink has no space for its results. When all workers are stuck, the spare
//! worker serves the sources that none of them is processing, until a worker is free. It sleeps
//! while a worker is free, so an idle agent has no extra wake-ups; while all are busy it checks at
//! most every [`LONG`].

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
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
    /// When each worker last looked for work, in nanoseconds after `begun`; an idle one does so every second.
    turns: Vec<AtomicU64>,
    /// Workers that wait for room in a sink.
    waiting: AtomicUsize,
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
            turns: (0..workers).map(|_| AtomicU64::new(0)).collect(),
            waiting: AtomicUsize::new(0),
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

    /// Records that a worker looks for work.
    pub(crate) fn turn(&self, worker: usize) {
        if let Some(turn) = self.turns.get(worker) {
            turn.store(self.now(), Ordering::Relaxed);
        }
    }

    /// Counts a worker as waiting for room in a sink while `wait` runs.
    pub(crate) fn while_waiting(&self, wait: impl FnOnce()) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        wait();
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }

    /// How long the slowest worker has not looked for work. Zero while a worker waits for a sink: a destination can be
    /// down for days, and workers whose turn in the order of a lane comes later wait for that worker.
    pub(crate) fn stalled(&self) -> Duration {
        if self.waiting.load(Ordering::Relaxed) > 0 {
            return Duration::ZERO;
        }
        let now = self.now();
        let longest = self.turns.iter().map(|turn| now.saturating_sub(turn.load(Ordering::Relaxed))).max();
        Duration::from_nanos(longest.unwrap_or_default())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_worker_that_never_returns_is_a_stall_unless_it_waits_for_a_sink() {
        let watch = Watch { begun: Instant::now().checked_sub(Duration::from_secs(60)).unwrap(), ..Watch::new(2) };
        assert!(watch.stalled() >= Duration::from_secs(60), "no worker has started");
        watch.turn(0);
        assert!(watch.stalled() >= Duration::from_secs(60), "the other worker has not");
        watch.while_waiting(|| assert_eq!(watch.stalled(), Duration::ZERO));
        watch.turn(1);
        assert!(watch.stalled() < Duration::from_secs(60));
    }
}
