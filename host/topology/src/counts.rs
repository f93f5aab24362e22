//! Counts that prove that nothing is lost: for each pipeline, node and output, over all generations.
//!
//! For a pipeline `received + split + copied = delivered + failed + dropped + returned`, where `split` is what splitting added
//! (children less the parents used up) and `copied` what left a node by a second port or link.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use parking_lot::Mutex;
use wattle_runtime::NodeStats;

/// Counts of one node.
#[derive(Debug, Default)]
pub struct NodeCounts {
    /// Events that came in.
    pub received: AtomicU64,
    /// Events that left on each port.
    pub sent: Mutex<BTreeMap<String, u64>>,
    /// Events dropped on purpose, by code.
    pub dropped: Mutex<BTreeMap<String, u64>>,
    /// Events that failed, by code.
    pub failed: Mutex<BTreeMap<String, u64>>,
    /// Events that went on unchanged while the node's circuit was open.
    pub passed: AtomicU64,
    /// How often the node's circuit opened.
    pub circuit_opened: AtomicU64,
    /// Whether it is open now.
    pub circuit_open: AtomicBool,
    /// Calls, time, faults, memory.
    pub stats: Arc<NodeStats>,
}

/// Counts of one output of a pipeline.
#[derive(Debug, Default)]
pub struct OutputCounts {
    /// Events that left here.
    pub events: AtomicU64,
    /// Those of them that failed at a node.
    pub failed: AtomicU64,
    /// Bytes of their bodies.
    pub bytes: AtomicU64,
}

/// Counts of one pipeline.
#[derive(Debug, Default)]
pub struct PipelineCounts {
    /// Events that came from sources.
    pub received: AtomicU64,
    /// Bytes of their bodies.
    pub received_bytes: AtomicU64,
    /// Events that splitting added.
    pub split: AtomicI64,
    /// Copies made for a second port or link.
    pub copied: AtomicU64,
    /// Events dropped on purpose, by nodes or by a discarded output.
    pub dropped: AtomicU64,
    /// Events that left through an output as failed.
    pub failed: AtomicU64,
    /// Events that left through an output and did not fail.
    pub delivered: AtomicU64,
    /// Events that went back to their source unacknowledged, which offers them again.
    pub returned: AtomicU64,
    nodes: Mutex<BTreeMap<String, Arc<NodeCounts>>>,
    outputs: Mutex<BTreeMap<String, Arc<OutputCounts>>>,
}

impl PipelineCounts {
    /// Counts of a node, made at first use.
    pub fn node(&self, name: &str) -> Arc<NodeCounts> {
        self.nodes.lock().entry(name.into()).or_default().clone()
    }

    /// Counts of an output, made at first use.
    pub fn output(&self, name: &str) -> Arc<OutputCounts> {
        self.outputs.lock().entry(name.into()).or_default().clone()
    }

    /// All nodes by name.
    pub fn nodes(&self) -> BTreeMap<String, Arc<NodeCounts>> {
        self.nodes.lock().clone()
    }

    /// All outputs by name.
    pub fn outputs(&self) -> BTreeMap<String, Arc<OutputCounts>> {
        self.outputs.lock().clone()
    }

    /// The figures at this moment.
    pub fn snapshot(&self) -> Snapshot {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Snapshot {
            received: load(&self.received),
            received_bytes: load(&self.received_bytes),
            split: self.split.load(Ordering::Relaxed),
            copied: load(&self.copied),
            dropped: load(&self.dropped),
            failed: load(&self.failed),
            delivered: load(&self.delivered),
            returned: load(&self.returned),
        }
    }
}

/// Figures of a pipeline at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "as the fields of `PipelineCounts`")]
pub struct Snapshot {
    pub received: u64,
    pub received_bytes: u64,
    pub split: i64,
    pub copied: u64,
    pub dropped: u64,
    pub failed: u64,
    pub delivered: u64,
    pub returned: u64,
}

impl Snapshot {
    /// Events that had to be accounted for: received, added by splits, copied.
    pub fn events_in(&self) -> i64 {
        let whole = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        whole(self.received) + self.split + whole(self.copied)
    }

    /// Events that were accounted for.
    pub fn events_out(&self) -> i64 {
        let whole = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        whole(self.delivered) + whole(self.failed) + whole(self.dropped) + whole(self.returned)
    }

    /// Whether nothing is missing. Holds whenever no batch is under way.
    pub fn is_conserved(&self) -> bool {
        self.events_in() == self.events_out()
    }
}

/// Counts of all pipelines.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    pipelines: Arc<Mutex<BTreeMap<String, Arc<PipelineCounts>>>>,
}

impl Counts {
    /// Counts of a pipeline, made at first use.
    pub fn pipeline(&self, name: &str) -> Arc<PipelineCounts> {
        self.pipelines.lock().entry(name.into()).or_default().clone()
    }

    /// All pipelines by name.
    pub fn pipelines(&self) -> BTreeMap<String, Arc<PipelineCounts>> {
        self.pipelines.lock().clone()
    }
}

/// Adds to a count by code or port.
pub(crate) fn add(map: &Mutex<BTreeMap<String, u64>>, key: &str, count: usize) {
    let mut map = map.lock();
    match map.get_mut(key) {
        Some(value) => *value += count as u64,
        None => {
            map.insert(key.to_owned(), count as u64);
        }
    }
}
