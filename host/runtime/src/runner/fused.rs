//! One instance that does the work of several nodes in a row (`wit/fusion.wit`).
//!
//! It is only a faster way: a batch that it does not process, for whatever reason, goes through the nodes one by one. So
//! faults, failed rows and limits belong to single nodes, as without it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use wattle_batch::{Batch, NodeInfo};
use wattle_plan::{NodeLimits, NodePlan};

use super::RunnerSettings;
use crate::artifact::Compiled;
use crate::instance::{Instance, Options, Processed};
use crate::stats::{MemoryShare, NodeStats};

/// Most batches that go through the nodes one by one before the next attempt. A source of batches that the instance
/// refuses then costs little more than without it.
const MAX_PAUSE: u32 = 64;

/// A node after another one, to be fused with it.
#[derive(Clone)]
pub struct Follower<'a> {
    /// The node.
    pub plan: &'a NodePlan,
    /// Its counts.
    pub stats: Arc<NodeStats>,
}

/// What several nodes made of a batch as one.
#[derive(Debug)]
pub struct FusedOutcome {
    /// All rows of the batch, for port 0 of the last node.
    pub batch: Option<Batch>,
    /// What each node counted: the index of the node, 0 for the first one, name and value.
    pub counts: Vec<(usize, String, u64)>,
}

/// The instance of several nodes, and when to use it.
pub(super) struct Fused {
    name: Arc<str>,
    /// The options of each node.
    options: Arc<[Arc<str>]>,
    limits: NodeLimits,
    info: Arc<NodeInfo>,
    /// `None` at rest, and after a fault.
    instance: Option<Instance>,
    /// The first node has the memory of all.
    memory: MemoryShare,
    /// The counts of each node.
    stats: Vec<Arc<NodeStats>>,
    /// Batches until the next attempt.
    skip: u32,
    /// Batches to skip after the next refusal.
    pause: u32,
}

impl Fused {
    /// Creates an instance for a node and those after it, if one can do their work.
    pub(super) fn new(
        compiled: &Compiled,
        settings: &RunnerSettings,
        stats: &Arc<NodeStats>,
        followers: &[Follower<'_>],
    ) -> Option<Self> {
        // On a metered runtime, the fuel of each node is wanted.
        if !compiled.code().exports.is_fusible() || !compiled.capabilities.is_empty() || compiled.runtime.metered {
            return None;
        }
        let later = || followers.iter().map(|follower| follower.plan);
        let name: Vec<&str> = std::iter::once(&*settings.name).chain(later().map(|plan| plan.name.as_str())).collect();
        let name: Arc<str> = name.join("+").into();
        let options = std::iter::once(settings.options.clone()).chain(later().map(|plan| plan.options.as_str().into()));
        let options: Arc<[Arc<str>]> = options.collect();
        let limits = later().fold(settings.limits.clone(), |sum, plan| together(&sum, &plan.limits));
        let (instance, info) = make(compiled, &name, &options, &limits)?;
        let mut memory = MemoryShare::new(stats.clone());
        memory.set(instance.memory_bytes());
        let stats = std::iter::once(stats.clone()).chain(followers.iter().map(|follower| follower.stats.clone()));
        Some(Self {
            name,
            options,
            limits,
            info: Arc::new(info),
            instance: Some(instance),
            memory,
            stats: stats.collect(),
            skip: 0,
            pause: 1,
        })
    }

    /// The same at rest, for another worker.
    pub(super) fn resting_twin(&self) -> Self {
        Self {
            name: self.name.clone(),
            options: self.options.clone(),
            limits: self.limits.clone(),
            info: self.info.clone(),
            instance: None,
            memory: MemoryShare::new(self.memory.stats().clone()),
            stats: self.stats.clone(),
            skip: 0,
            pause: 1,
        }
    }

    /// Frees its memory until the next batch.
    pub(super) fn rest(&mut self) {
        self.instance = None;
        self.memory.set(0);
    }

    /// See [`Process::process_fused`](super::Process::process_fused).
    pub(super) fn process(&mut self, compiled: &Compiled, batch: Batch) -> Result<FusedOutcome, Box<Batch>> {
        if batch.rows() == 0 {
            return Err(Box::new(batch));
        }
        if let Some(skip) = self.skip.checked_sub(1) {
            self.skip = skip;
            return Err(Box::new(batch));
        }
        let instance = match self.instance.take().or_else(|| self.same(compiled)) {
            Some(instance) => instance,
            None => return Err(self.refuse(batch)),
        };
        let since = Instant::now();
        let Processed { done, memory_bytes, instance, .. } = instance.process(batch, &self.info, &mut None);
        let time = since.elapsed();
        self.memory.set(memory_bytes);
        self.instance = instance.filter(|instance| !instance.is_superseded(compiled));
        if self.instance.is_none() {
            self.memory.set(0);
        }
        let mut outcome = match done {
            Ok(outcome) => outcome,
            Err(failed) => {
                let (batch, fault) = *failed;
                tracing::debug!(nodes = %self.name, kind = fault.kind.name(), error = fault.summary(), "fused nodes run one by one");
                return Err(self.refuse(batch));
            }
        };
        self.pause = (self.pause / 2).max(1);
        let nodes = u32::try_from(self.stats.len()).unwrap_or(1).max(1);
        self.stats.iter().for_each(|stats| stats.call_time.record(time / nodes));
        let counts = outcome.counts.drain(..).map(|(name, value)| self.attribute(name, value)).collect();
        Ok(FusedOutcome { batch: outcome.emitted.pop().map(|(_, batch)| batch), counts })
    }

    /// The node that counted, by the prefix of the name.
    fn attribute(&self, name: String, value: u64) -> (usize, String, u64) {
        let parts = name.split_once('/').and_then(|(node, own)| Some((node.parse::<usize>().ok()?, own)));
        match parts.filter(|(node, _)| *node < self.stats.len()) {
            Some((node, own)) => (node, own.to_owned(), value),
            // The artifact breaks the contract in what it counts, which is no reason to lose the count.
            None => (0, name, value),
        }
    }

    /// Another instance, if it resolves the same fields: decisions are checked against those.
    fn same(&self, compiled: &Compiled) -> Option<Instance> {
        let (instance, info) = make(compiled, &self.name, &self.options, &self.limits)?;
        (info.fields == self.info.fields).then_some(instance)
    }

    fn refuse(&mut self, batch: Batch) -> Box<Batch> {
        self.skip = self.pause;
        self.pause = (self.pause * 2).min(MAX_PAUSE);
        Box::new(batch)
    }
}

/// The limits of an instance that does the work of two nodes: the time of both. If it needs more of anything else than a
/// node alone may, the nodes run one by one.
fn together(one: &NodeLimits, other: &NodeLimits) -> NodeLimits {
    let sum = |one: Duration, other: Duration| one.saturating_add(other);
    NodeLimits {
        time: sum(one.time, other.time),
        time_per_kib: sum(one.time_per_kib, other.time_per_kib),
        memory_bytes: one.memory_bytes.min(other.memory_bytes),
        output_ratio: one.output_ratio.min(other.output_ratio),
        host_calls: one.host_calls.min(other.host_calls),
        ..one.clone()
    }
}

/// Creates an instance, if one can do the work of nodes with these options.
fn make(
    compiled: &Compiled,
    name: &Arc<str>,
    options: &[Arc<str>],
    limits: &NodeLimits,
) -> Option<(Instance, NodeInfo)> {
    let (instance, info, _) = Instance::new(compiled, name, Options::Several(options), limits, None).ok()?;
    Some((instance, info))
}
