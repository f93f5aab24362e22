//! Counts that prove that no event is lost: for each pipeline, node and output, over all
//! generations.
//!
//! For a pipeline `received + split + copied + made = delivered + failed + dropped + held +
//! returned`, where `split` is the number of events that splitting added and combining removed
//! (children minus parents), `copied` the number of additional copies for further ports or links,
//! `made` the number of events without a parent, and `held` the number of events that ended in the
//! memory of a node.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use wattle_runtime::NodeStats;

use crate::balance::{EventsIn, EventsOut};
use crate::bugs::Bugs;
use crate::ratio::Ratio;
use crate::tally::Tally;

/// Counts of one node.
#[derive(Debug, Default)]
pub struct NodeCounts {
    /// Events that came in.
    pub received: AtomicU64,
    /// Events that were split or combined.
    pub parents: AtomicU64,
    /// Events that they became.
    pub children: AtomicU64,
    /// Events that the node made without a parent.
    pub made: AtomicU64,
    /// Events that ended in the memory of the node.
    pub held: AtomicU64,
    /// Copies that were made because an event left on more than one port.
    pub copied: AtomicU64,
    /// Events that the node dropped on purpose, by code.
    pub dropped: Tally,
    /// Events that failed, by code. They left on the port `failed`.
    pub failed: Tally,
    /// Counts of the node itself, by name. For a masking node: masked values, by rule.
    pub counted: Tally,
    /// Whether the node masks. Set when a generation with the node is built.
    pub masks: AtomicBool,
    /// Failed events whose contents went to the quarantine.
    pub quarantined: AtomicU64,
    /// Events that passed unchanged while the node's circuit was open.
    pub passed: AtomicU64,
    /// How often the node's circuit opened.
    pub circuit_opened: AtomicU64,
    /// Whether it is open now.
    pub circuit_open: AtomicBool,
    /// Calls, time, faults, memory.
    pub stats: Arc<NodeStats>,
    ports: Mutex<BTreeMap<String, Arc<AtomicU64>>>,
}

impl NodeCounts {
    /// Events that left on a port; created at first use.
    pub fn port(&self, name: &str) -> Arc<AtomicU64> {
        self.ports.lock().entry(name.into()).or_default().clone()
    }

    /// Events that left on each port.
    pub fn sent(&self) -> BTreeMap<String, u64> {
        self.ports.lock().iter().map(|(name, count)| (name.clone(), count.load(Ordering::Relaxed))).collect()
    }
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
    pub received: EventsIn,
    /// Bytes of their bodies.
    pub received_bytes: AtomicU64,
    /// Events that were split or combined.
    pub parents: EventsOut,
    /// Events that they became.
    pub children: EventsIn,
    /// Events that nodes made without a parent.
    pub made: EventsIn,
    /// Events that ended in the memory of nodes.
    pub held: EventsOut,
    /// Copies for a second port or link.
    pub copied: EventsIn,
    /// Events dropped on purpose, by nodes or by a discarded output.
    pub dropped: EventsOut,
    /// Events that left through an output as failed.
    pub failed: EventsOut,
    /// Events that left through an output and did not fail.
    pub delivered: EventsOut,
    /// Events that returned to their source unacknowledged; the source sends them again.
    pub returned: EventsOut,
    /// Events that a batch did not account for. The agent checks each batch; anything but 0 is a bug of the agent.
    pub unbalanced: AtomicU64,
    /// Batches that came from sources.
    pub batches: AtomicU64,
    /// Those of them at which a node faulted.
    pub faulted_batches: AtomicU64,
    /// Nanoseconds that workers spent on them.
    pub busy_nanos: AtomicU64,
    /// The same by batch, for the rules of canaries.
    rates: Mutex<Rates>,
    nodes: Mutex<BTreeMap<String, Arc<NodeCounts>>>,
    outputs: Mutex<BTreeMap<String, Arc<OutputCounts>>>,
}

/// Totals of one batch from a source.
#[derive(Clone, Copy, Debug, Default)]
pub struct BatchTotals {
    /// Events that left, were dropped, failed or were returned.
    pub events: u64,
    /// Number of failed events.
    pub failed: u64,
    /// Number of events dropped on purpose.
    pub dropped: u64,
    /// Whether events bypassed a node because its circuit was open.
    pub is_bypassed: bool,
}

/// Rates of a pipeline with their uncertainty, batch by batch.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    /// Batches at which a node faulted, or was not called because of its open circuit, per batch.
    pub faulted: Ratio,
    /// Failed events, of all events.
    pub failed: Ratio,
    /// Dropped events, of all events.
    pub dropped: Ratio,
    /// Nanoseconds that a worker spent, for each byte received.
    pub nanos_per_byte: Ratio,
}

impl Rates {
    fn since(&self, before: &Self) -> Self {
        Self {
            faulted: self.faulted.since(&before.faulted),
            failed: self.failed.since(&before.failed),
            dropped: self.dropped.since(&before.dropped),
            nanos_per_byte: self.nanos_per_byte.since(&before.nanos_per_byte),
        }
    }
}

impl PipelineCounts {
    /// Adds a completed batch.
    pub fn observe(&self, totals: BatchTotals, has_faulted: bool, bytes: u64, nanos: u64) {
        self.busy_nanos.fetch_add(nanos, Ordering::Relaxed);
        self.batches.fetch_add(1, Ordering::Relaxed);
        if has_faulted {
            self.faulted_batches.fetch_add(1, Ordering::Relaxed);
        }
        let mut rates = self.rates.lock();
        rates.faulted.observe(u64::from(has_faulted || totals.is_bypassed), 1);
        rates.failed.observe(totals.failed, totals.events);
        rates.dropped.observe(totals.dropped, totals.events);
        rates.nanos_per_byte.observe(nanos, bytes);
    }

    /// Counts of a node, created at first use.
    pub fn node(&self, name: &str) -> Arc<NodeCounts> {
        self.nodes.lock().entry(name.into()).or_default().clone()
    }

    /// Counts of an output, created at first use.
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
            received: self.received.count(),
            received_bytes: load(&self.received_bytes),
            split: whole(self.children.count()) - whole(self.parents.count()),
            copied: self.copied.count(),
            made: self.made.count(),
            held: self.held.count(),
            dropped: self.dropped.count(),
            failed: self.failed.count(),
            delivered: self.delivered.count(),
            returned: self.returned.count(),
            batches: load(&self.batches),
            faulted_batches: load(&self.faulted_batches),
            busy_nanos: load(&self.busy_nanos),
            rates: *self.rates.lock(),
        }
    }
}

/// Figures of a pipeline at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[expect(missing_docs, reason = "as the fields of `PipelineCounts`, with `split` for children less parents")]
pub struct Snapshot {
    pub received: u64,
    pub received_bytes: u64,
    pub split: i64,
    pub copied: u64,
    pub made: u64,
    pub held: u64,
    pub dropped: u64,
    pub failed: u64,
    pub delivered: u64,
    pub returned: u64,
    pub batches: u64,
    pub faulted_batches: u64,
    pub busy_nanos: u64,
    pub rates: Rates,
}

impl Snapshot {
    /// Counts since an earlier snapshot of the same pipeline.
    pub fn since(&self, before: &Self) -> Self {
        Self {
            received: self.received - before.received,
            received_bytes: self.received_bytes - before.received_bytes,
            split: self.split - before.split,
            copied: self.copied - before.copied,
            made: self.made - before.made,
            held: self.held - before.held,
            dropped: self.dropped - before.dropped,
            failed: self.failed - before.failed,
            delivered: self.delivered - before.delivered,
            returned: self.returned - before.returned,
            batches: self.batches - before.batches,
            faulted_batches: self.faulted_batches - before.faulted_batches,
            busy_nanos: self.busy_nanos - before.busy_nanos,
            rates: self.rates.since(&before.rates),
        }
    }

    /// Events that had to be accounted for: received, added by splits, copied, made.
    pub fn events_in(&self) -> i64 {
        whole(self.received) + self.split + whole(self.copied) + whole(self.made)
    }

    /// Events that were accounted for.
    pub fn events_out(&self) -> i64 {
        let sent = whole(self.delivered) + whole(self.failed) + whole(self.dropped);
        sent + whole(self.held) + whole(self.returned)
    }

    /// Whether no event is missing. Holds whenever no batch is in progress.
    pub fn is_conserved(&self) -> bool {
        self.events_in() == self.events_out()
    }
}

/// Counts of all pipelines.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    bugs: Bugs,
    pipelines: Arc<Mutex<BTreeMap<String, Arc<PipelineCounts>>>>,
}

impl Counts {
    /// Bugs of the agent that the data path found.
    pub fn bugs(&self) -> &Bugs {
        &self.bugs
    }

    /// Counts of a pipeline, created at first use.
    pub fn pipeline(&self, name: &str) -> Arc<PipelineCounts> {
        self.pipelines.lock().entry(name.into()).or_default().clone()
    }

    /// All pipelines by name.
    pub fn pipelines(&self) -> BTreeMap<String, Arc<PipelineCounts>> {
        self.pipelines.lock().clone()
    }
}

fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
