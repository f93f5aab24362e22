//! Counts of one node over all workers: time of its calls, faults, and memory of its instances.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use wattle_batch::Ack;

use crate::fault::{Blame, Fault, FaultKind};

/// Counts of one node over all workers.
#[derive(Debug, Default)]
pub struct NodeStats {
    /// Time of each call of `process`, including the host's part.
    pub call_time: Histogram,
    /// Instructions of all calls as fuel, on a [`metered`](crate::Runtime::metered) runtime; else 0.
    pub fuel: AtomicU64,
    /// Calls that faulted.
    pub faults: FaultCounts,
    /// Workers that search for poisonous rows of a batch at this moment.
    pub searching: AtomicU32,
    /// Instances that were created after the first.
    pub restarts: AtomicU64,
    /// Linear memory of all live instances, in bytes.
    pub memory_bytes: AtomicU64,
    /// Largest linear memory that an instance ever had, in bytes.
    pub peak_memory_bytes: AtomicU64,
    /// Events in its memory that are not acknowledged, because no snapshot on disk contains them.
    pub unsaved_events: AtomicU64,
    /// Bytes of the last snapshot of its state.
    pub state_bytes: AtomicU64,
    /// How often an instance restored state.
    pub state_restored: AtomicU64,
    /// How often state was lost: an instance that should have restored it started without state.
    pub state_lost: AtomicU64,
}

impl NodeStats {
    /// Counts the fuel of a call, if the runtime counts any.
    pub(crate) fn burn(&self, fuel: Option<u64>) {
        if let Some(fuel) = fuel {
            self.fuel.fetch_add(fuel, Ordering::Relaxed);
        }
    }

    /// Counts events that ended in the memory of the node until their acknowledgement ends.
    pub(crate) fn hold(self: &Arc<Self>, events: u64, ack: &Ack) {
        if events > 0 {
            self.unsaved_events.fetch_add(events, Ordering::Relaxed);
            let stats = self.clone();
            ack.watch(move |_| _ = stats.unsaved_events.fetch_sub(events, Ordering::Relaxed));
        }
    }
}

/// Upper bounds of the histogram of call times, in nanoseconds: two per decade. A call takes from
/// some microseconds for a small batch to some hundred milliseconds for a huge document.
const BOUNDS: [u64; 12] = [
    10_000,
    30_000,
    100_000,
    300_000,
    1_000_000,
    3_000_000,
    10_000_000,
    30_000_000,
    100_000_000,
    300_000_000,
    1_000_000_000,
    10_000_000_000,
];

/// The same bounds in seconds, for metrics.
pub const CALL_SECONDS: [f64; 12] = [1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 0.01, 0.03, 0.1, 0.3, 1.0, 10.0];

/// A histogram of durations for many threads; recording takes two additions.
#[derive(Debug, Default)]
pub struct Histogram {
    /// Number of durations between each bound and the one before.
    buckets: [AtomicU64; BOUNDS.len()],
    /// Number of durations above all bounds.
    longer: AtomicU64,
    nanos: AtomicU64,
}

/// A histogram at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistogramSnapshot {
    /// Number of durations up to each bound of [`CALL_SECONDS`].
    pub at_most: [u64; BOUNDS.len()],
    /// Number of durations.
    pub count: u64,
    /// Sum of all durations.
    pub sum: Duration,
}

impl Histogram {
    /// Adds a duration.
    pub fn record(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let index = BOUNDS.partition_point(|bound| *bound < nanos);
        self.buckets.get(index).unwrap_or(&self.longer).fetch_add(1, Ordering::Relaxed);
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    /// The histogram at this moment. The count always matches the buckets.
    pub fn snapshot(&self) -> HistogramSnapshot {
        let mut count = 0;
        let at_most = self.buckets.each_ref().map(|bucket| {
            count += bucket.load(Ordering::Relaxed);
            count
        });
        count += self.longer.load(Ordering::Relaxed);
        HistogramSnapshot { at_most, count, sum: Duration::from_nanos(self.nanos.load(Ordering::Relaxed)) }
    }
}

const KINDS: usize = FaultKind::ALL.len();

/// Faults by kind and blame: a closed set, so that counting one is a single addition.
#[derive(Debug, Default)]
pub struct FaultCounts {
    guest: [AtomicU64; KINDS],
    host: [AtomicU64; KINDS],
}

impl FaultCounts {
    fn of(&self, blame: Blame) -> &[AtomicU64; KINDS] {
        match blame {
            Blame::Guest => &self.guest,
            Blame::Host => &self.host,
        }
    }

    pub(crate) fn add(&self, fault: &Fault) {
        if let Some(count) = self.of(fault.blame).get(fault.kind as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The kinds that occurred, with their numbers.
    pub fn list(&self) -> Vec<(FaultKind, Blame, u64)> {
        let both = [Blame::Guest, Blame::Host].into_iter();
        let all =
            both.flat_map(|blame| FaultKind::ALL.into_iter().zip(self.of(blame)).map(move |(k, c)| (k, blame, c)));
        all.map(|(kind, blame, count)| (kind, blame, count.load(Ordering::Relaxed))).filter(|(.., n)| *n > 0).collect()
    }

    /// Number of all faults.
    pub fn total(&self) -> u64 {
        self.guest.iter().chain(&self.host).map(|count| count.load(Ordering::Relaxed)).sum()
    }
}

/// Share of one worker's instance in the memory of its node; dropping it removes the share.
pub(crate) struct MemoryShare {
    stats: Arc<NodeStats>,
    bytes: u64,
}

impl MemoryShare {
    pub(crate) fn new(stats: Arc<NodeStats>) -> Self {
        Self { stats, bytes: 0 }
    }

    pub(crate) fn stats(&self) -> &Arc<NodeStats> {
        &self.stats
    }

    /// Sets the share. Memory rarely changes, and then this is a comparison.
    pub(crate) fn set(&mut self, bytes: usize) {
        let bytes = bytes as u64;
        if bytes == self.bytes {
            return;
        }
        // Wraps as intended if the share shrinks: the sum of all shares is never negative.
        self.stats.memory_bytes.fetch_add(bytes.wrapping_sub(self.bytes), Ordering::Relaxed);
        self.stats.peak_memory_bytes.fetch_max(bytes, Ordering::Relaxed);
        self.bytes = bytes;
    }
}

impl Drop for MemoryShare {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_equal_in_both_units() {
        let seconds = BOUNDS.map(|nanos| Duration::from_nanos(nanos).as_secs_f64());
        assert_eq!(seconds, CALL_SECONDS);
    }

    #[test]
    fn a_duration_counts_in_its_bucket_and_all_larger_ones() {
        let histogram = Histogram::default();
        for nanos in [0, 10_000, 10_001, 999_999_999, 11_000_000_000] {
            histogram.record(Duration::from_nanos(nanos));
        }
        let snapshot = histogram.snapshot();
        assert_eq!(snapshot.at_most, [2, 3, 3, 3, 3, 3, 3, 3, 3, 3, 4, 4]);
        assert_eq!((snapshot.count, snapshot.sum.as_nanos()), (5, 12_000_020_000));
    }

    #[test]
    fn memory_is_the_sum_of_all_live_instances() {
        let stats = Arc::new(NodeStats::default());
        let memory = || (stats.memory_bytes.load(Ordering::Relaxed), stats.peak_memory_bytes.load(Ordering::Relaxed));
        let (mut one, mut two) = (MemoryShare::new(stats.clone()), MemoryShare::new(stats.clone()));
        one.set(100);
        two.set(50);
        assert_eq!(memory(), (150, 100));
        one.set(20);
        assert_eq!(memory(), (70, 100));
        drop(one);
        assert_eq!(memory(), (50, 100));
        drop(two);
        assert_eq!(memory(), (0, 100));
    }

    #[test]
    fn faults_are_counted_by_kind_and_blame() {
        assert!(FaultKind::ALL.iter().enumerate().all(|(place, kind)| *kind as usize == place));
        let stats = NodeStats::default();
        let host = Fault::new(FaultKind::HostError, "");
        for fault in [Fault::new(FaultKind::Trap, ""), host.clone(), host.while_instantiating()] {
            stats.faults.add(&fault);
        }
        let expected = [
            (FaultKind::Trap, Blame::Guest, 1),
            (FaultKind::Instantiate, Blame::Host, 1),
            (FaultKind::HostError, Blame::Host, 1),
        ];
        assert_eq!(stats.faults.list(), expected);
        assert_eq!(stats.faults.total(), 3);
    }
}
