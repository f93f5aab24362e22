//! One of the versions of a trial: its scratch pipeline, and what it did.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use wattle_api::failures::FailedEvents;
use wattle_api::status::Balance;
use wattle_api::tap;
use wattle_api::trial::{TriedNode, TriedOutput, TriedPack, TriedTrace};
use wattle_batch::Batch;
use wattle_plan::{NodePlan, PipelinePlan};
use wattle_topology::{BuildError, Collect, Entry, Meter, Scratch, Snapshot, Trace, TraceStep};

use super::collect::{Collected, Lines};
use super::version::Version;
use super::{TrialSettings, render};

/// Maximum bytes of the events of all traces.
const MAX_TRACE_BYTES: usize = 4 << 20;
/// Maximum share of the time limit in which a node searches for the rows of one batch that cause a fault.
const SEARCH_SHARE: u32 = 6;

/// A version under trial.
pub(super) struct Side {
    name: String,
    plan: PipelinePlan,
    scratch: Scratch,
    meter: Meter,
    collected: Arc<Mutex<Collected>>,
    traces: Vec<TriedTrace>,
    trace_bytes: usize,
}

impl Side {
    /// Creates the instances of a version. `now` is the time at which all events are read, in nanoseconds since 1970.
    pub(super) fn new(
        version: &Version,
        settings: &TrialSettings,
        compares: bool,
        now: i64,
    ) -> Result<Self, BuildError> {
        let plan = limited(&version.plan, settings.time_limit);
        let collected = Collected::new(plan.outputs.len(), settings.samples, compares, now);
        let collected = Arc::new(Mutex::new(collected));
        let to = collected.clone();
        let collect: Arc<Collect> = Arc::new(move |output, batch: &Batch| to.lock().add(output, batch));
        let meter = Meter::new(settings.time_limit);
        let make = meter.measure(version.make.clone());
        let scratch = Scratch::new(&plan, &*make, &collect)?;
        let name = version.name.clone();
        Ok(Self { name, plan, scratch, meter, collected, traces: Vec::new(), trace_bytes: 0 })
    }

    /// Runs events through the graph; with `is_followed`, what the first was at each point becomes a trace.
    pub(super) fn run(&mut self, batch: Batch, entry: &Entry, is_followed: bool) {
        // The caller has checked that there is such a point.
        let at = entry.find(&self.plan).ok().flatten();
        if let Some(trace) = self.scratch.run_from(at, batch, is_followed) {
            let trace = self.trace(trace);
            self.traces.push(trace);
        }
    }

    /// The input has ended: nodes make what they still owe.
    pub(super) fn end(&mut self) {
        self.scratch.end();
    }

    /// Whether the time limit was reached.
    pub(super) fn is_over(&self) -> bool {
        self.meter.is_over()
    }

    /// Takes the events that left since the last call.
    pub(super) fn take_lines(&mut self) -> Lines {
        self.collected.lock().take_lines()
    }

    pub(super) fn outputs(&self) -> Vec<String> {
        self.plan.outputs.iter().map(|output| output.name.clone()).collect()
    }

    fn trace(&mut self, followed: Trace) -> TriedTrace {
        let mut trace = TriedTrace { steps: Vec::new(), cut: followed.is_cut };
        for step in followed.steps {
            let bytes = step.json.as_ref().map_or(0, Vec::len).min(render::MAX_PAIR);
            if self.trace_bytes + bytes > MAX_TRACE_BYTES {
                trace.cut = true;
                break;
            }
            self.trace_bytes += bytes;
            trace.steps.push(self::step(step));
        }
        trace
    }

    /// What the version did.
    pub(super) fn finish(mut self, settings: &TrialSettings) -> TriedPack {
        let (counts, traces) = (self.scratch.counts().clone(), std::mem::take(&mut self.traces));
        let mut collected = self.collected.lock();
        let totals = counts.snapshot();
        let nodes: Vec<TriedNode> = self.plan.nodes.iter().map(|node| self.node(node, settings.counts_fuel)).collect();
        let samples = std::mem::take(&mut collected.samples);
        let outputs = self.plan.outputs.iter().zip(samples).map(|(output, sample)| {
            let counted = counts.output(&output.name);
            let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
            TriedOutput {
                name: output.name.clone(),
                title: output.title.clone(),
                events: load(&counted.events),
                failed_events: load(&counted.failed),
                bytes: load(&counted.bytes),
                share: share(load(&counted.bytes), totals.received_bytes),
                sample,
            }
        });
        let outputs = outputs.collect();
        let mut samples = std::mem::take(&mut collected.failures);
        let mut failures = Vec::new();
        for node in &nodes {
            for (code, events) in &node.failed {
                let (node, code) = (node.name.clone(), code.clone());
                let samples = samples.remove(&(node.clone(), code.clone())).unwrap_or_default();
                failures.push(FailedEvents { pipeline: self.plan.name.clone(), node, code, events: *events, samples });
            }
        }
        TriedPack {
            pack: self.name.clone(),
            events: totals.received,
            bytes: totals.received_bytes,
            skipped_events: 0,
            ended_early: None,
            balance: balance(&totals),
            outputs,
            dropped_events: totals.dropped,
            held_events: totals.held,
            cpu_seconds: nodes.iter().map(|node| node.cpu_seconds).sum(),
            nodes,
            failures,
            traces,
        }
    }

    fn node(&self, node: &NodePlan, counts_fuel: bool) -> TriedNode {
        let counted = self.scratch.counts().node(&node.name);
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        TriedNode {
            name: node.name.clone(),
            type_name: format!("{}@{}", node.shape.name, node.shape.version),
            received_events: load(&counted.received),
            dropped: counted.dropped.counts(),
            failed: counted.failed.counts(),
            faults: counted.stats.faults.total(),
            cpu_seconds: self.meter.time(&node.name).as_secs_f64(),
            fuel: counts_fuel.then(|| load(&counted.stats.fuel)),
            peak_memory_bytes: load(&counted.stats.peak_memory_bytes),
        }
    }
}

fn step(step: TraceStep) -> tap::Step {
    let failure = step.failure.map(|failure| tap::Failure {
        node: failure.node.to_string(),
        code: failure.code.to_string(),
        message: failure.message.to_string(),
    });
    let event = step.json.map(|event| render::event(&event, render::MAX_PAIR));
    tap::Step { point: step.point.to_string(), event, failure, ended: step.ended.map(|how| how.to_string()) }
}

/// The same graph; with a time limit, its nodes search less long for the rows of a batch that cause a fault.
fn limited(plan: &PipelinePlan, time_limit: Option<Duration>) -> PipelinePlan {
    let mut plan = PipelinePlan { shadow: None, canary: None, ..plan.clone() };
    if let Some(limit) = time_limit {
        for node in &mut plan.nodes {
            node.limits.retry_time = node.limits.retry_time.min(limit / SEARCH_SHARE);
        }
    }
    plan
}

#[expect(clippy::cast_precision_loss, reason = "a rounded figure for people")]
fn share(bytes: u64, of: u64) -> f64 {
    if of == 0 { 0.0 } else { bytes as f64 / of as f64 }
}

fn balance(totals: &Snapshot) -> Balance {
    let lost = totals.events_in() - totals.events_out();
    Balance {
        received: totals.received,
        split: totals.split,
        copied: totals.copied,
        made: totals.made,
        delivered: totals.delivered,
        failed: totals.failed,
        dropped: totals.dropped,
        held: totals.held,
        returned: totals.returned,
        in_progress: 0,
        unbalanced: lost.unsigned_abs(),
    }
}
