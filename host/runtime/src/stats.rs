//! Counts of one node over all workers.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::fault::{Blame, Fault, FaultKind};

/// Counts of one node over all workers.
#[derive(Debug, Default)]
pub struct NodeStats {
    /// Calls of `process`.
    pub calls: AtomicU64,
    /// Nanoseconds spent in them, the host's part included.
    pub nanos: AtomicU64,
    /// Calls that faulted.
    pub faults: AtomicU64,
    /// The same by kind and blame.
    pub faults_by: FaultCounts,
    /// Workers that look for poisonous rows of a batch at this moment.
    pub searching: AtomicU32,
    /// Fresh instances made after the first.
    pub restarts: AtomicU64,
    /// Largest linear memory seen, in bytes.
    pub memory_bytes: AtomicU64,
}

impl NodeStats {
    pub(crate) fn count(&self, fault: &Fault) {
        self.faults.fetch_add(1, Ordering::Relaxed);
        self.faults_by.add(fault);
    }
}

const KINDS: usize = FaultKind::ALL.len();

/// Faults by kind and by whose fault they were: a closed set, so that counting one is a single addition.
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

    fn add(&self, fault: &Fault) {
        if let Some(count) = self.of(fault.blame).get(fault.kind as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Those that happened.
    pub fn list(&self) -> Vec<(FaultKind, Blame, u64)> {
        let both = [Blame::Guest, Blame::Host].into_iter();
        let all =
            both.flat_map(|blame| FaultKind::ALL.into_iter().zip(self.of(blame)).map(move |(k, c)| (k, blame, c)));
        all.map(|(kind, blame, count)| (kind, blame, count.load(Ordering::Relaxed))).filter(|(.., n)| *n > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_counted_by_kind_and_blame() {
        assert!(FaultKind::ALL.iter().enumerate().all(|(place, kind)| *kind as usize == place));
        let stats = NodeStats::default();
        let host = Fault::new(FaultKind::HostError, "");
        for fault in [Fault::new(FaultKind::Trap, ""), host.clone(), host.while_instantiating()] {
            stats.count(&fault);
        }
        let expected = [
            (FaultKind::Trap, Blame::Guest, 1),
            (FaultKind::Instantiate, Blame::Host, 1),
            (FaultKind::HostError, Blame::Host, 1),
        ];
        assert_eq!(stats.faults_by.list(), expected);
        assert_eq!(stats.faults.load(Ordering::Relaxed), 3);
    }
}
