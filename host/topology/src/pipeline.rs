//! The data path: a batch through the nodes of a pipeline to the sinks.
//!
//! [`Pipeline::run`] contains all steps in order: a node processes the batch; the outcome has the
//! failed rows, the dropped rows and the rows for each port; each port leads to further nodes or to
//! an output; an output encodes for its sinks. It works depth first, so the children of a huge
//! document are written piece by piece.

mod count;
mod faults;
mod fused;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use wattle_batch::{Batch, Outcome};
use wattle_plan::Target;
use wattle_runtime::{Process, StateSlot};

use crate::bugs::Bugs;
use crate::canary::Canary;
use crate::circuit::{Admission, Circuit};
use crate::counts::{BatchTotals, NodeCounts, OutputCounts, PipelineCounts};
use crate::emitter::{Deferred, Emitter};
use crate::quarantine::Quarantine;
use crate::shadow::Shadow;
use crate::shared::SharedNode;
use crate::sink_handle::SinkHandle;
use crate::states::Slots;
use crate::stops::Stops;
use crate::tap::{NodeSamples, Point};

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
    /// Where events come in.
    pub(crate) input: Point,
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
    /// Name in traces, as `PIPELINE/NODE`.
    pub(crate) place: Arc<str>,
    /// Type and version, for failures that the agent reports for the node.
    pub(crate) version: Arc<str>,
    pub(crate) circuit: Circuit,
    pub(crate) ports: Vec<Port>,
    /// The nodes after this one that its instances can do the work of, in order.
    pub(crate) fused: Vec<usize>,
    pub(crate) counts: Arc<NodeCounts>,
    /// Samples of failed events; `None` in a shadow.
    pub(crate) samples: Option<Arc<NodeSamples>>,
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
    pub(crate) point: Point,
    pub(crate) targets: Vec<Target>,
}

/// An output of a pipeline.
pub(crate) struct Output {
    pub(crate) point: Point,
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
        self.enter(nodes, &self.input, &self.entry, batch, emitter);
    }

    /// Runs a batch from this point of the pipeline on.
    pub(crate) fn enter(
        &self,
        nodes: &mut [Box<dyn Process>],
        point: &Point,
        targets: &[Target],
        mut batch: Batch,
        emitter: &mut Emitter<'_>,
    ) {
        let (since, faulted_before) = (Instant::now(), std::mem::take(&mut emitter.faulted));
        self.counts.received.add(batch.rows(), &mut emitter.balance);
        point.pass(&mut batch, &mut emitter.traces);
        let bytes = batch.byte_len() as u64;
        self.counts.received_bytes.fetch_add(bytes, Ordering::Relaxed);
        emitter.totals = BatchTotals::default();
        self.send(nodes, targets, batch, emitter);
        self.run_shared(nodes, emitter);
        self.check_balance(emitter);
        let nanos = u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.counts.observe(emitter.totals, emitter.faulted, bytes, nanos);
        emitter.faulted |= faulted_before;
    }

    /// Sends a batch along every link of a port.
    fn send(&self, nodes: &mut [Box<dyn Process>], targets: &[Target], batch: Batch, emitter: &mut Emitter<'_>) {
        let Some((last, others)) = targets.split_last() else {
            return self.bug(batch, "a port without a target", emitter);
        };
        for target in others {
            self.counts.copied.add(batch.rows(), &mut emitter.balance);
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
            return self.bug(batch, "a link to a node that does not exist", emitter);
        };
        if links.shared.is_some() {
            return emitter.deferred.add(links.rank, index, batch);
        }
        let batch = match links.fused.is_empty() {
            true => batch,
            false => match self.run_fused(nodes, index, links, batch, emitter) {
                Ok(()) => return,
                Err(batch) => *batch,
            },
        };
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
            self.bug(batch, "a node without an instance", emitter);
            return Vec::new();
        };
        links.counts.received.fetch_add(batch.rows() as u64, Ordering::Relaxed);
        let admission = links.circuit.admit(Instant::now);
        if admission == Admission::Refused {
            emitter.totals.is_bypassed = true;
            return self.bypass(links, batch, emitter).into_iter().collect();
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
                links.counts.made.fetch_add(batch.rows() as u64, Ordering::Relaxed);
                self.counts.made.add(batch.rows(), &mut emitter.balance);
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
        self.check_balance(emitter);
    }

    /// Applies the outcome of a call: counts it and sends events to the targets of their ports.
    fn apply(
        &self,
        nodes: &mut [Box<dyn Process>],
        links: &NodeLinks,
        mut outcome: Outcome,
        emitter: &mut Emitter<'_>,
    ) {
        self.count(&links.counts, &outcome, &mut emitter.balance);
        emitter.traces.end(&links.place, &outcome.ended);
        let dropped: usize = outcome.dropped.iter().map(|(_, rows)| rows).sum();
        emitter.totals.dropped += dropped as u64;
        emitter.totals.events += dropped as u64;
        // Before any event leaves: if failed rows cannot be stored, the source sends the whole
        // batch again.
        let failed = match outcome.failed.take().map(|failed| self.keep(links, failed, emitter)).transpose() {
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
                self.counts.returned.add(children.remaining(), &mut emitter.balance);
                self.bugs.report(&self.name, "children of a split that could not be made");
            }
        }
        if let Some(failed) = failed {
            if let (Some(samples), Some(port)) = (&links.samples, links.ports.last()) {
                samples.record(&failed, &port.point);
            }
            self.leave(nodes, links, links.ports.len().saturating_sub(1), failed, emitter);
        }
        for (port, batch) in made {
            self.leave(nodes, links, port, batch, emitter);
        }
    }

    fn leave(
        &self,
        nodes: &mut [Box<dyn Process>],
        links: &NodeLinks,
        port: usize,
        mut batch: Batch,
        emitter: &mut Emitter<'_>,
    ) {
        let Some(Port { sent, point, targets }) = links.ports.get(port) else {
            return self.bug(batch, "a port that the plan does not have", emitter);
        };
        sent.fetch_add(batch.rows() as u64, Ordering::Relaxed);
        point.pass(&mut batch, &mut emitter.traces);
        self.send(nodes, targets, batch, emitter);
    }

    /// Passes a batch to the sinks and pipelines of an output, or ends it if the output is
    /// discarded.
    fn emit(&self, index: usize, mut batch: Batch, emitter: &mut Emitter<'_>) {
        let Some(output) = self.outputs.get(index) else {
            return self.bug(batch, "a link to an output that does not exist", emitter);
        };
        output.point.pass(&mut batch, &mut emitter.traces);
        if let Some(seen) = &mut emitter.seen {
            seen.push((index, batch.detached()));
        }
        let rows = batch.rows() as u64;
        emitter.totals.events += rows;
        output.counts.events.fetch_add(rows, Ordering::Relaxed);
        output.counts.bytes.fetch_add(batch.byte_len() as u64, Ordering::Relaxed);
        if output.sinks.is_empty() && output.pipelines.is_empty() {
            self.counts.dropped.add(batch.rows(), &mut emitter.balance);
            emitter.totals.dropped += rows;
            emitter.traces.end_batch(output.point.name(), &batch, "discarded");
            return batch.into_ack().deliver();
        }
        if batch.is_failed() {
            emitter.totals.failed += rows;
            output.counts.failed.fetch_add(rows, Ordering::Relaxed);
            self.counts.failed.add(batch.rows(), &mut emitter.balance);
        } else {
            self.counts.delivered.add(batch.rows(), &mut emitter.balance);
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

#[cfg(test)]
mod tests;
