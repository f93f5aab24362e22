//! The data path: a batch through the nodes of a pipeline to the sinks.
//!
//! [`Pipeline::run`] contains all steps in order: a node processes the batch; the outcome has the
//! failed rows, the dropped rows and the rows for each port; each port leads to further nodes or to
//! an output; an output encodes for its sinks. It works depth first, so the children of a huge
//! document are written piece by piece.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Instant, SystemTime};

use wattle_batch::{Batch, Failure, Outcome};
use wattle_plan::{OnFault, Target};
use wattle_runtime::{Process, StateSlot};

use crate::bugs::Bugs;
use crate::canary::Canary;
use crate::circuit::{Admission, Change, Circuit};
use crate::counts::{BatchTotals, NodeCounts, OutputCounts, PipelineCounts};
use crate::emitter::{Deferred, Emitter};
use crate::quarantine::{Quarantine, QuarantineError};
use crate::shadow::Shadow;
use crate::shared::SharedNode;
use crate::sink_handle::SinkHandle;
use crate::states::Slots;
use crate::stops::{Stopped, Stops};

/// Code of rows that failed because their node was not called.
const CIRCUIT_OPEN: &str = "circuit-open";
/// The graph of a pipeline, shared by all workers of a generation.
pub(crate) struct Pipeline {
    pub(crate) name: String,
    pub(crate) generation: u64,
    /// Set when a node stopped the pipeline: workers no longer take from its sources.
    pub(crate) stopped: AtomicBool,
    pub(crate) stops: Stops,
    /// Whether it stops when its quarantine cannot be written. An agent that keeps running lets the
    /// source retry.
    pub(crate) stops_without_quarantine: bool,
    pub(crate) bugs: Bugs,
    pub(crate) entry: Vec<Target>,
    pub(crate) nodes: Vec<NodeLinks>,
    /// Indices of the nodes by rank.
    pub(crate) order: Vec<usize>,
    /// Index of the pipeline in its generation.
    pub(crate) place: usize,
    pub(crate) outputs: Vec<Output>,
    pub(crate) counts: Arc<PipelineCounts>,
    /// Maximum bytes of a batch of children of a split.
    pub(crate) max_batch_bytes: usize,
    /// Another version that processes a share of the batches.
    pub(crate) canary: Option<Canary>,
    /// Another version that receives copies of batches.
    pub(crate) shadow: Option<Shadow>,
}

/// Targets of the ports of a node; the last port is `failed`.
pub(crate) struct NodeLinks {
    pub(crate) name: Arc<str>,
    /// Type and version, for failures that the agent reports for the node.
    pub(crate) version: Arc<str>,
    pub(crate) circuit: Circuit,
    pub(crate) ports: Vec<Port>,
    pub(crate) counts: Arc<NodeCounts>,
    /// State of each worker's instance.
    pub(crate) slots: Slots,
    /// State of each worker's instance in a canary that ended, or of instances that shared their state
    /// in another way, to be merged into `slots`.
    pub(crate) inherits: Slots,
    /// The instances that all workers share; `None` for a node whose workers have instances of their
    /// own.
    pub(crate) shared: Option<Arc<SharedNode>>,
    /// Place in the order of the graph: links lead from lower to higher ranks.
    pub(crate) rank: u32,
    /// Set when a newer generation has no such node: it makes what it owes before its generation ends.
    pub(crate) ends: AtomicBool,
    /// For a masking node: the quarantine for rows that it could not process; they leave without
    /// their contents.
    pub(crate) quarantine: Option<Arc<Quarantine>>,
}

impl NodeLinks {
    /// The slots whose instances this worker serves: its own one, or for the first worker those that
    /// all workers share.
    pub(crate) fn own_slots(&self, worker: usize) -> impl Iterator<Item = &Arc<StateSlot>> {
        let own = match (&self.shared, worker) {
            (None, worker) => self.slots.get(worker..=worker),
            (Some(_), 0) => Some(self.slots.as_slice()),
            (Some(_), _) => None,
        };
        own.into_iter().flatten()
    }

    /// Merges a worker's state of a canary that ended into its slot. No instance of either may be
    /// using the slots.
    pub(crate) fn inherit(&self, worker: usize) {
        match &self.shared {
            Some(_) if self.slots.len() == self.inherits.len() => {
                self.slots.iter().zip(&self.inherits).for_each(|(own, left)| own.take_from(left));
            }
            // Workers had state of their own, and share one now.
            Some(_) => self.slots.first().iter().for_each(|own| {
                self.inherits.iter().for_each(|left| own.take_from(left));
            }),
            None => {
                if let Some((own, left)) = self.slots.get(worker).zip(self.inherits.get(worker)) {
                    own.take_from(left);
                }
            }
        }
    }
}

/// A port of a node.
pub(crate) struct Port {
    /// Events that left here.
    pub(crate) sent: Arc<AtomicU64>,
    pub(crate) targets: Vec<Target>,
}

/// An output of a pipeline.
pub(crate) struct Output {
    pub(crate) sinks: Vec<Arc<SinkHandle>>,
    /// Indices of the pipelines that it feeds.
    pub(crate) pipelines: Vec<usize>,
    pub(crate) counts: Arc<OutputCounts>,
}

impl Pipeline {
    /// Whether workers share a node.
    pub(crate) fn shares_nodes(&self) -> bool {
        self.nodes.iter().any(|links| links.shared.is_some())
    }

    /// Runs a batch from a source through the pipeline.
    pub(crate) fn receive(&self, nodes: &mut [Box<dyn Process>], batch: Batch, emitter: &mut Emitter<'_>) {
        let (since, faulted_before) = (Instant::now(), std::mem::take(&mut emitter.faulted));
        self.counts.received.fetch_add(batch.rows() as u64, Ordering::Relaxed);
        let bytes = batch.byte_len() as u64;
        self.counts.received_bytes.fetch_add(bytes, Ordering::Relaxed);
        emitter.totals = BatchTotals::default();
        self.send(nodes, &self.entry, batch, emitter);
        self.run_shared(nodes, emitter);
        let nanos = u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.counts.observe(emitter.totals, emitter.faulted, bytes, nanos);
        emitter.faulted |= faulted_before;
    }

    /// Sends a batch along every link of a port.
    fn send(&self, nodes: &mut [Box<dyn Process>], targets: &[Target], batch: Batch, emitter: &mut Emitter<'_>) {
        let Some((last, others)) = targets.split_last() else {
            return self.bug(batch, "a port without a target");
        };
        for target in others {
            self.counts.copied.fetch_add(batch.rows() as u64, Ordering::Relaxed);
            self.run(nodes, *target, batch.share(), emitter);
        }
        self.run(nodes, *last, batch, emitter);
    }

    /// Runs a batch through a node and everything after it, or out of the pipeline.
    fn run(&self, nodes: &mut [Box<dyn Process>], target: Target, batch: Batch, emitter: &mut Emitter<'_>) {
        let index = match target {
            Target::Output(index) => return self.emit(index, batch, emitter),
            Target::Node(index) => index,
        };
        let Some(links) = self.nodes.get(index) else {
            return self.bug(batch, "a link to a node that does not exist");
        };
        if links.shared.is_some() {
            return emitter.deferred.add(links.rank, index, batch);
        }
        for outcome in self.call(nodes, index, links, batch, emitter) {
            self.apply(nodes, links, outcome, emitter);
        }
    }

    /// Runs what waits for nodes that workers share, in the order of the graph.
    ///
    /// All pieces of a batch go through such a node together, after everything before it, and batches
    /// of one source in their order. Then the batch no longer needs the node, and the next one may
    /// have it, while workers continue with what comes after the node at the same time.
    fn run_shared(&self, nodes: &mut [Box<dyn Process>], emitter: &mut Emitter<'_>) {
        // No batch waits for a turn here.
        if !self.shares_nodes() {
            return;
        }
        while let Some(Deferred { rank, node: index, batches }) = emitter.deferred.next() {
            let Some(links) = self.nodes.get(index) else { continue };
            emitter.wait_for_turn(self.place, rank);
            let mut outcomes = Vec::with_capacity(batches.len());
            for batch in batches {
                outcomes.extend(self.call(nodes, index, links, batch, emitter));
            }
            emitter.pass(self.place, rank + 1);
            for outcome in outcomes {
                self.apply(nodes, links, outcome, emitter);
            }
        }
        emitter.pass(self.place, u32::MAX);
    }

    /// Calls a node, unless its circuit is open.
    fn call(
        &self,
        nodes: &mut [Box<dyn Process>],
        index: usize,
        links: &NodeLinks,
        batch: Batch,
        emitter: &mut Emitter<'_>,
    ) -> Vec<Outcome> {
        let Some(node) = nodes.get_mut(index) else {
            self.bug(batch, "a node without an instance");
            return Vec::new();
        };
        links.counts.received.fetch_add(batch.rows() as u64, Ordering::Relaxed);
        let admission = links.circuit.admit(Instant::now);
        if admission == Admission::Refused {
            emitter.totals.is_bypassed = true;
            return self.bypass(links, batch).into_iter().collect();
        }
        let outcomes = node.process(batch);
        emitter.faulted |= node.has_faulted();
        if let Some(change) = links.circuit.record(admission, node.has_faulted(), Instant::now) {
            self.note(links, change);
        }
        outcomes
    }

    /// Calls the timers that are due, or all of them at the end of the run, and sends events again
    /// that came back. `worker` is the index of the instances.
    pub(crate) fn tick(&self, nodes: &mut [Box<dyn Process>], worker: usize, is_last: bool, emitter: &mut Emitter<'_>) {
        for &index in &self.order {
            let Some(links) = self.nodes.get(index) else { continue };
            for (port, batch) in links.own_slots(worker).flat_map(|slot| slot.take_returned()) {
                // As events that a source sends again, these count again.
                for made in [&links.counts.made, &self.counts.made] {
                    made.fetch_add(batch.rows() as u64, Ordering::Relaxed);
                }
                self.leave(nodes, links, port, batch, emitter);
            }
            // What the other workers' instances make at the end may lead to a shared node.
            let is_last = is_last && (links.shared.is_none() || worker == 0) || links.ends.load(Ordering::Acquire);
            let outcomes = nodes.get_mut(index).map(|node| node.tick(is_last)).unwrap_or_default();
            for outcome in outcomes {
                self.apply(nodes, links, outcome, emitter);
            }
            // A node at the end of the run must have everything before its last tick.
            self.run_shared(nodes, emitter);
        }
    }

    /// Applies the outcome of a call: counts it and sends events to the targets of their ports.
    fn apply(
        &self,
        nodes: &mut [Box<dyn Process>],
        links: &NodeLinks,
        mut outcome: Outcome,
        emitter: &mut Emitter<'_>,
    ) {
        self.count(&links.counts, &outcome);
        let dropped: usize = outcome.dropped.iter().map(|(_, rows)| rows).sum();
        emitter.totals.dropped += dropped as u64;
        emitter.totals.events += dropped as u64;
        // Before any event leaves: if failed rows cannot be stored, the source sends the whole
        // batch again.
        let failed = match outcome.failed.take().map(|failed| self.keep(links, failed)).transpose() {
            Ok(failed) => failed,
            Err(error) => return self.withdraw(links, outcome, &error, emitter),
        };
        let made = std::mem::take(&mut outcome.made);
        for (port, batch) in outcome.emitted {
            self.leave(nodes, links, port, batch, emitter);
        }
        for (port, mut children) in outcome.children {
            while let Some(batch) = children.next_batch(self.max_batch_bytes) {
                self.leave(nodes, links, port, batch, emitter);
            }
            if children.remaining() > 0 {
                self.counts.returned.fetch_add(children.remaining() as u64, Ordering::Relaxed);
                self.bugs.report(&self.name, "children of a split that could not be made");
            }
        }
        if let Some(failed) = failed {
            self.leave(nodes, links, links.ports.len().saturating_sub(1), failed, emitter);
        }
        for (port, batch) in made {
            self.leave(nodes, links, port, batch, emitter);
        }
    }

    /// Writes failed rows to the quarantine, if the node has one. Returns the batch that may leave
    /// in their place.
    fn keep(&self, links: &NodeLinks, failed: Batch) -> Result<Batch, QuarantineError> {
        let Some(quarantine) = &links.quarantine else { return Ok(failed) };
        let rows = failed.rows() as u64;
        let kept = quarantine.keep(failed);
        let count = if kept.is_ok() { &links.counts.quarantined } else { &self.counts.returned };
        count.fetch_add(rows, Ordering::Relaxed);
        kept
    }

    /// Returns the whole batch to its source after failed rows of it could not be stored.
    fn withdraw(&self, links: &NodeLinks, outcome: Outcome, error: &QuarantineError, emitter: &mut Emitter<'_>) {
        if self.stops_without_quarantine {
            tracing::error!(pipeline = self.name, node = %links.name, %error, "the pipeline stopped");
            self.stop(links, error.to_string());
        }
        let emitted = outcome.emitted.iter().chain(&outcome.made).map(|(_, batch)| batch.rows()).sum::<usize>();
        let children = outcome.remaining_children();
        self.counts.returned.fetch_add((emitted + children) as u64, Ordering::Relaxed);
        drop(outcome);
        emitter.withdraw(self.stops_without_quarantine);
    }

    /// Stops the pipeline: workers take no further batches from its sources.
    fn stop(&self, links: &NodeLinks, reason: String) {
        if self.stopped.swap(true, Ordering::AcqRel) {
            return;
        }
        self.stops.add(Stopped {
            pipeline: self.name.clone(),
            node: links.name.to_string(),
            reason,
            since: SystemTime::now(),
            generation: self.generation,
        });
    }

    /// Sends a batch past a node with an open circuit, according to its policy.
    fn bypass(&self, links: &NodeLinks, batch: Batch) -> Option<Outcome> {
        match links.circuit.policy {
            OnFault::Stop => {
                self.return_unacked(batch);
                None
            }
            OnFault::Pass => {
                links.counts.passed.fetch_add(batch.rows() as u64, Ordering::Relaxed);
                Some(Outcome { emitted: vec![(0, batch)], ..Outcome::default() })
            }
            OnFault::Fail => {
                let failure = Failure {
                    node: links.name.clone(),
                    version: links.version.clone(),
                    code: CIRCUIT_OPEN.into(),
                    message: "the node faulted on too many batches; it is not called until a probe succeeds".into(),
                };
                let failures = vec![failure; batch.rows()];
                Some(Outcome { failed: Some(batch.with_failures(failures)), ..Outcome::default() })
            }
        }
    }

    /// Drops a batch unacknowledged, so that its source sends it again.
    fn return_unacked(&self, batch: Batch) {
        self.counts.returned.fetch_add(batch.rows() as u64, Ordering::Relaxed);
        drop(batch);
    }

    /// Reports a state that the plan rules out, and returns the batch unacknowledged. Its source
    /// sends it again, so a bug delays events and never loses them.
    fn bug(&self, batch: Batch, what: &'static str) {
        self.bugs.report(&self.name, what);
        self.return_unacked(batch);
    }

    /// Logs that a circuit opened or closed.
    fn note(&self, links: &NodeLinks, change: Change) {
        let (pipeline, node) = (self.name.as_str(), &*links.name);
        match change {
            Change::Closed => {
                links.counts.circuit_open.store(false, Ordering::Relaxed);
                tracing::info!(pipeline, node, "the circuit closed; calling the node again");
            }
            Change::Opened { faulted, of } => {
                links.counts.circuit_open.store(true, Ordering::Relaxed);
                links.counts.circuit_opened.fetch_add(1, Ordering::Relaxed);
                let on_fault = links.circuit.policy.name();
                if links.circuit.policy == OnFault::Stop {
                    tracing::error!(
                        pipeline,
                        node,
                        faulted,
                        of,
                        on_fault,
                        "the circuit opened and the pipeline stopped; fix the node and reload the configuration"
                    );
                    self.stop(links, format!("it faulted on {faulted} of the last {of} batches"));
                } else {
                    tracing::warn!(pipeline, node, faulted, of, on_fault, "the circuit opened; not calling the node");
                }
            }
        }
    }

    /// Whether workers skip the sources of this pipeline: it stopped, or a worker is searching for
    /// the rows at which a node faults. Such a search can take long, and must not occupy every
    /// worker.
    pub(crate) fn is_held(&self) -> bool {
        let is_searching = |n: &NodeLinks| n.counts.stats.searching.load(Ordering::Relaxed) > 0;
        self.stopped.load(Ordering::Acquire) || self.nodes.iter().any(is_searching)
    }

    fn leave(
        &self,
        nodes: &mut [Box<dyn Process>],
        links: &NodeLinks,
        port: usize,
        batch: Batch,
        emitter: &mut Emitter<'_>,
    ) {
        let Some(Port { sent, targets }) = links.ports.get(port) else {
            return self.bug(batch, "a port that the plan does not have");
        };
        sent.fetch_add(batch.rows() as u64, Ordering::Relaxed);
        self.send(nodes, targets, batch, emitter);
    }

    fn count(&self, node: &NodeCounts, outcome: &Outcome) {
        for (code, rows) in &outcome.dropped {
            node.dropped.add(code, *rows as u64);
            self.counts.dropped.fetch_add(*rows as u64, Ordering::Relaxed);
        }
        for (name, count) in &outcome.counts {
            node.counted.add(name, *count);
        }
        if let Some(failed) = &outcome.failed {
            count_failed(node, failed);
        }
        let children = outcome.remaining_children() + outcome.combined;
        let made = outcome.made.iter().map(|(_, batch)| batch.rows()).sum();
        for (count, of_node, of_pipeline) in [
            (outcome.parents, &node.parents, &self.counts.parents),
            (children, &node.children, &self.counts.children),
            (made, &node.made, &self.counts.made),
            (outcome.held, &node.held, &self.counts.held),
            (outcome.copied, &node.copied, &self.counts.copied),
        ] {
            if count > 0 {
                of_node.fetch_add(count as u64, Ordering::Relaxed);
                of_pipeline.fetch_add(count as u64, Ordering::Relaxed);
            }
        }
    }

    /// Passes a batch to the sinks and pipelines of an output, or ends it if the output is
    /// discarded.
    fn emit(&self, index: usize, batch: Batch, emitter: &mut Emitter<'_>) {
        let Some(output) = self.outputs.get(index) else {
            return self.bug(batch, "a link to an output that does not exist");
        };
        if let Some(seen) = &mut emitter.seen {
            seen.push((index, batch.detached()));
        }
        let rows = batch.rows() as u64;
        emitter.totals.events += rows;
        output.counts.events.fetch_add(rows, Ordering::Relaxed);
        output.counts.bytes.fetch_add(batch.byte_len() as u64, Ordering::Relaxed);
        if output.sinks.is_empty() && output.pipelines.is_empty() {
            self.counts.dropped.fetch_add(rows, Ordering::Relaxed);
            emitter.totals.dropped += rows;
            return batch.into_ack().deliver();
        }
        if batch.is_failed() {
            emitter.totals.failed += rows;
            output.counts.failed.fetch_add(rows, Ordering::Relaxed);
            self.counts.failed.fetch_add(rows, Ordering::Relaxed);
        } else {
            self.counts.delivered.fetch_add(rows, Ordering::Relaxed);
        }
        for &pipeline in &output.pipelines {
            emitter.onward.push_back((pipeline, batch.share()));
        }
        match output.sinks.split_last() {
            Some((last, others)) => {
                for sink in others {
                    emitter.push(sink, batch.share());
                }
                emitter.push(last, batch);
            }
            // Every pipeline has a share; this one has nothing left to do.
            None => batch.into_ack().deliver(),
        }
    }
}

/// Counts failed rows by code; consecutive rows usually have the same code.
fn count_failed(node: &NodeCounts, failed: &Batch) {
    let code = |row| failed.failure(row).map_or("", |failure| &*failure.code);
    let mut start = 0;
    for row in 1..=failed.rows() {
        if row == failed.rows() || code(row) != code(start) {
            node.failed.add(code(start), (row - start) as u64);
            start = row;
        }
    }
}
