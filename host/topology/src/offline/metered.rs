//! Nodes that measure their own processor time, and that end a run at its time limit.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::time::{ClockId, clock_gettime};
use wattle_batch::{Batch, Ended, Outcome};
use wattle_plan::NodePlan;
use wattle_runtime::{NodeStats, Process, Snapshot, StateSlot};

use crate::generation::{NodeFactory, NodeScope};

/// Code of rows that no node processed, because the time limit was over.
pub const TIME_LIMIT: &str = "time-limit";

/// Processor time of the nodes of a run, and its time limit.
#[derive(Clone, Debug, Default)]
pub struct Meter(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    nanos: Mutex<BTreeMap<String, Arc<AtomicU64>>>,
    until: Option<Instant>,
    is_over: AtomicBool,
}

impl Meter {
    /// A meter of a run without a time limit, or with one from now on.
    pub fn new(limit: Option<Duration>) -> Self {
        let until = limit.map(|limit| Instant::now() + limit);
        Self(Arc::new(Inner { until, ..Inner::default() }))
    }

    /// Processor time of all instances of a node.
    pub fn time(&self, node: &str) -> Duration {
        Duration::from_nanos(self.0.nanos.lock().get(node).map_or(0, |nanos| nanos.load(Ordering::Relaxed)))
    }

    /// Whether the time limit was reached.
    pub fn is_over(&self) -> bool {
        if self.0.until.is_some_and(|until| Instant::now() >= until) {
            self.0.is_over.store(true, Ordering::Relaxed);
        }
        self.0.is_over.load(Ordering::Relaxed)
    }

    /// The same nodes, each measured. After the time limit they are not called: their rows are dropped with the code
    /// [`TIME_LIMIT`], so that the counts still close.
    pub fn measure(&self, make: Arc<NodeFactory>) -> Arc<NodeFactory> {
        let meter = self.clone();
        Arc::new(move |plan: &NodePlan, scope: &NodeScope<'_>, stats: Arc<NodeStats>| {
            let node = make(plan, scope, stats)?;
            let nanos = meter.0.nanos.lock().entry(plan.name.clone()).or_default().clone();
            Ok(Box::new(Measured { node, nanos, meter: meter.clone() }) as Box<dyn Process>)
        })
    }
}

/// A node that measures its time.
struct Measured {
    node: Box<dyn Process>,
    nanos: Arc<AtomicU64>,
    meter: Meter,
}

impl Measured {
    fn measured<T>(&mut self, call: impl FnOnce(&mut Box<dyn Process>) -> T) -> T {
        let since = cpu_nanos();
        let done = call(&mut self.node);
        self.nanos.fetch_add(cpu_nanos().saturating_sub(since), Ordering::Relaxed);
        done
    }
}

impl Process for Measured {
    fn process(&mut self, batch: Batch) -> Vec<Outcome> {
        if self.meter.is_over() {
            let rows = batch.rows();
            let ended = batch.marked().map(|(_, marks)| Ended { marks, how: TIME_LIMIT.to_owned() }).collect();
            batch.into_ack().deliver();
            return vec![Outcome { dropped: vec![(TIME_LIMIT.to_owned(), rows)], ended, ..Outcome::default() }];
        }
        self.measured(|node| node.process(batch))
    }

    fn has_faulted(&self) -> bool {
        self.node.has_faulted()
    }

    fn resting_twin(&self) -> Option<Box<dyn Process>> {
        let node = self.node.resting_twin()?;
        Some(Box::new(Self { node, nanos: self.nanos.clone(), meter: self.meter.clone() }))
    }

    fn is_stateful(&self) -> bool {
        self.node.is_stateful()
    }

    fn check_state(&self, snapshots: &[Snapshot]) -> Result<(), String> {
        self.node.check_state(snapshots)
    }

    fn take_over(&mut self, slot: &Arc<StateSlot>) -> Result<(), String> {
        self.node.take_over(slot)
    }

    fn save(&mut self) {
        self.measured(|node| node.save());
    }

    fn save_if_wanted(&mut self) {
        self.measured(|node| node.save_if_wanted());
    }

    fn next_tick(&self) -> Option<Instant> {
        self.node.next_tick()
    }

    fn tick(&mut self, is_last: bool) -> Vec<Outcome> {
        if self.meter.is_over() {
            return Vec::new();
        }
        self.measured(|node| node.tick(is_last))
    }

    fn rest(&mut self) {
        self.node.rest();
    }
}

/// Processor time of the calling thread in nanoseconds.
fn cpu_nanos() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let (seconds, nanos) = (u64::try_from(time.tv_sec).unwrap_or(0), u64::try_from(time.tv_nsec).unwrap_or(0));
    seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
}
