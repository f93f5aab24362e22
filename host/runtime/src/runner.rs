//! A node on one worker: an instance, and what is done when it faults.
//!
//! A batch whose call faults is tried once more on a fresh instance. If that faults too, it is cut in halves, each on a
//! fresh instance, until single rows are left that fault; those fail, unchanged, with the fault's kind as their code.
//! All other rows go on. So one poisonous row costs about 2 log2(rows) calls.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use wattle_batch::{Batch, Failure, NodeInfo, Outcome};
use wattle_pack::{NodeLimits, NodePlan};

use crate::artifact::Compiled;
use crate::fault::{Fault, FaultKind};
use crate::instance::{ConfigureError, Instance};
use crate::stats::{FaultCounts, Histogram, MemoryShare};

/// Something that processes batches in place of a node: a sandboxed guest, or a native one for comparison.
pub trait Process: Send {
    /// Processes a batch. Whatever happens, every row of it is in the outcomes.
    fn process(&mut self, batch: Batch) -> Vec<Outcome>;
}

/// Counts of one node over all workers.
#[derive(Debug, Default)]
pub struct NodeStats {
    /// Time of each call of `process`, the host's part included.
    pub call_time: Histogram,
    /// Calls that faulted.
    pub faults: FaultCounts,
    /// Fresh instances made after the first.
    pub restarts: AtomicU64,
    /// Linear memory of the instances that live now, in bytes.
    pub memory_bytes: AtomicU64,
    /// Largest linear memory that one instance ever had, in bytes.
    pub peak_memory_bytes: AtomicU64,
}

/// What a runner needs to make instances.
#[derive(Clone)]
pub struct RunnerSettings {
    /// Name of the node in the graph.
    pub name: Arc<str>,
    /// Options as JSON text.
    pub options: Arc<str>,
    /// What an instance may use.
    pub limits: NodeLimits,
}

impl From<&NodePlan> for RunnerSettings {
    fn from(plan: &NodePlan) -> Self {
        Self { name: plan.name.as_str().into(), options: plan.options.as_str().into(), limits: plan.limits.clone() }
    }
}

/// A sandboxed node on one worker.
pub struct Runner {
    compiled: Arc<Compiled>,
    settings: RunnerSettings,
    info: Arc<NodeInfo>,
    instance: Option<Instance>,
    memory: MemoryShare,
    stats: Arc<NodeStats>,
}

impl Runner {
    /// Makes and configures the first instance.
    ///
    /// # Errors
    ///
    /// The node refuses its options, or faults.
    pub fn new(compiled: Arc<Compiled>, settings: RunnerSettings, stats: Arc<NodeStats>) -> Result<Self, Fault> {
        let (instance, info) = make(&compiled, &settings)?;
        let mut memory = MemoryShare::new(stats.clone());
        memory.set(instance.memory_bytes());
        Ok(Self { compiled, settings, info: Arc::new(info), instance: Some(instance), memory, stats })
    }

    /// The node's ports and fields.
    pub fn info(&self) -> &Arc<NodeInfo> {
        &self.info
    }

    /// Calls the node once, on a fresh instance if there is none.
    fn call(&mut self, batch: Batch) -> Result<Outcome, Box<(Batch, Fault)>> {
        let mut instance = match self.instance.take() {
            Some(instance) => instance,
            None => match make(&self.compiled, &self.settings) {
                Ok((instance, _)) => {
                    self.stats.restarts.fetch_add(1, Ordering::Relaxed);
                    instance
                }
                Err(fault) => {
                    self.stats.faults.add(fault.kind);
                    return Err(Box::new((batch, fault)));
                }
            },
        };
        let since = Instant::now();
        let done = instance.process(batch, &self.info);
        self.stats.call_time.record(since.elapsed());
        self.memory.set(instance.memory_bytes());
        match &done {
            Ok(_) if !instance.is_outgrown() => self.instance = Some(instance),
            Ok(_) => self.memory.set(0),
            Err(failed) => {
                self.memory.set(0);
                let (_, fault) = &**failed;
                self.stats.faults.add(fault.kind);
                tracing::debug!(node = %self.settings.name, kind = fault.kind.name(), error = %fault.message, "node faulted");
            }
        }
        done
    }

    /// Processes a batch, and cuts it up while it faults.
    fn attempt(&mut self, batch: Batch, tries: usize, outcomes: &mut Vec<Outcome>) {
        let mut batch = batch;
        for last in (0..tries).rev() {
            match self.call(batch) {
                Ok(outcome) => return outcomes.push(outcome),
                Err(failed) => {
                    let (back, fault) = *failed;
                    // An error that the node gave on purpose is not luck: trying again changes nothing.
                    if last > 0 && fault.kind != FaultKind::NodeError {
                        batch = back;
                        continue;
                    }
                    return self.give_up(back, &fault, outcomes);
                }
            }
        }
    }

    fn give_up(&mut self, batch: Batch, fault: &Fault, outcomes: &mut Vec<Outcome>) {
        let rows = u32::try_from(batch.rows()).unwrap_or(u32::MAX);
        if rows > 1 && fault.kind != FaultKind::Instantiate && fault.kind != FaultKind::NodeError {
            let indices: Vec<u32> = (0..rows).collect();
            let (first, second) = indices.split_at_checked(indices.len() / 2).unwrap_or_default();
            let halves = [batch.select(first), batch.select(second)];
            batch.into_ack().deliver();
            for half in halves {
                self.attempt(half, 1, outcomes);
            }
            return;
        }
        tracing::warn!(node = %self.settings.name, kind = fault.kind.name(), rows, error = fault.summary(), "rows failed");
        let failure = Failure {
            node: self.info.name.clone(),
            version: self.info.version.clone(),
            code: fault.kind.name().into(),
            message: fault.summary().into(),
        };
        let failures = vec![failure; batch.rows()];
        outcomes.push(Outcome { failed: Some(batch.with_failures(failures)), ..Outcome::default() });
    }
}

impl Process for Runner {
    fn process(&mut self, batch: Batch) -> Vec<Outcome> {
        let mut outcomes = Vec::with_capacity(1);
        self.attempt(batch, 2, &mut outcomes);
        outcomes
    }
}

fn make(compiled: &Compiled, settings: &RunnerSettings) -> Result<(Instance, NodeInfo), Fault> {
    Instance::new(compiled, &settings.name, &settings.options, &settings.limits).map_err(|error| match error {
        ConfigureError::Fault(fault) => Fault { kind: FaultKind::Instantiate, message: fault.to_string() },
        ConfigureError::Options(errors) => {
            let errors: Vec<String> = errors.iter().map(|e| format!("`{}`: {}", e.path, e.message)).collect();
            Fault { kind: FaultKind::Instantiate, message: format!("options refused: {}", errors.join("; ")) }
        }
    })
}
