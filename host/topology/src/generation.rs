//! A generation: what one plan was built into. Workers use the current one until the next replaces it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use wattle_buffer::Queue;
use wattle_buffer::disk::BufferStats;
use wattle_pack::{NodePlan, Plan};
use wattle_runtime::{NodeStats, Process, Runner, RunnerSettings, Runtime};
use wattle_sink::{Encoder, Payload, SinkStats};

use crate::circuit::Circuit;
use crate::counts::Counts;
use crate::pipeline::{NodeLinks, Output, Pipeline, Port};
use crate::quarantine::{Quarantine, QuarantineStore};
use crate::stops::Stops;

/// Why a plan could not be built. The running generation is untouched.
#[derive(Debug, thiserror::Error)]
#[error("{what} `{name}`: {message}")]
pub struct BuildError {
    /// Kind of the component: source, sink or node.
    pub what: &'static str,
    /// Its name.
    pub name: String,
    /// What is wrong.
    pub message: String,
}

/// Makes one worker's instance of a node.
pub type MakeNode = dyn Fn(&NodePlan, Arc<NodeStats>) -> Result<Box<dyn Process>, String> + Send + Sync;

/// Nodes as sandboxed guests of a runtime: what the agent uses.
pub fn sandboxed(runtime: Arc<Runtime>) -> Arc<MakeNode> {
    Arc::new(move |plan: &NodePlan, stats: Arc<NodeStats>| {
        let compiled = runtime.compile(&plan.artifact).map_err(|e| e.to_string())?;
        let runner = Runner::new(compiled, RunnerSettings::from(plan), stats).map_err(|fault| fault.message)?;
        Ok(Box::new(runner) as Box<dyn Process>)
    })
}

/// A sink as workers see it. The queue closes when the last generation and lane let go of the handle.
pub(crate) struct SinkHandle {
    pub(crate) encoder: Arc<dyn Encoder>,
    pub(crate) queue: Queue<Payload>,
    pub(crate) stats: Arc<SinkStats>,
    /// Where to count what finds no room, for a sink with `when_full = "drop_newest"` and its buffer in memory.
    pub(crate) drop_newest: Option<Arc<BufferStats>>,
}

impl Drop for SinkHandle {
    fn drop(&mut self) {
        self.queue.close();
    }
}

/// One worker's instances: for each pipeline, for each node.
pub(crate) type NodeSet = Vec<Vec<Box<dyn Process>>>;

pub(crate) struct Generation {
    pub(crate) number: u64,
    pub(crate) pipelines: Vec<Pipeline>,
    by_source: HashMap<String, Vec<usize>>,
    /// Instances made in advance, one set a worker, so that a swap costs no worker any time; the last is the spare
    /// worker's, at rest.
    nodes: Mutex<Vec<NodeSet>>,
}

impl Generation {
    /// A generation without pipelines: before the first plan, and after the last.
    pub(crate) fn empty(number: u64) -> Self {
        Self { number, pipelines: Vec::new(), by_source: HashMap::new(), nodes: Mutex::default() }
    }

    /// Builds the pipelines of a plan, with instances for every worker and the spare one.
    pub(crate) fn build(
        number: u64,
        plan: &Plan,
        workers: usize,
        sinks: &HashMap<String, Arc<SinkHandle>>,
        counts: &Counts,
        stops: &Stops,
        make: &MakeNode,
    ) -> Result<Self, BuildError> {
        let mut nodes: Vec<NodeSet> = (0..=workers).map(|_| Vec::new()).collect();
        let mut pipelines = Vec::with_capacity(plan.pipelines.len());
        let mut by_source: HashMap<String, Vec<usize>> = HashMap::new();
        for (index, pipeline) in plan.pipelines.iter().enumerate() {
            let counted = counts.pipeline(&pipeline.name);
            for &source in &pipeline.sources {
                if let Some(source) = plan.sources.get(source) {
                    by_source.entry(source.name.clone()).or_default().push(index);
                }
            }
            for set in &mut nodes {
                let made = pipeline.nodes.iter().map(|node| {
                    make(node, counted.node(&node.name).stats.clone()).map_err(|message| BuildError {
                        what: "node",
                        name: format!("{}.{}", pipeline.name, node.name),
                        message,
                    })
                });
                set.push(made.collect::<Result<_, _>>()?);
            }
            nodes.iter_mut().skip(workers).flatten().flatten().for_each(|node: &mut Box<dyn Process>| node.rest());
            let store = QuarantineStore::new(&plan.agent.data_dir, &pipeline.name);
            let quarantine = Arc::new(Quarantine::new(store, plan.agent.quarantine.max_bytes));
            let links = pipeline.nodes.iter().map(|node| {
                let counts = counted.node(&node.name);
                let ports = node.ports.iter();
                let ports = ports.map(|p| Port { sent: counts.port(&p.name), targets: p.targets.clone() }).collect();
                NodeLinks {
                    name: node.name.as_str().into(),
                    version: format!("{}@{}", node.shape.name, node.shape.version).into(),
                    circuit: Circuit::new(&node.circuit, node.on_fault),
                    quarantine: node.shape.masks.then(|| quarantine.clone()),
                    ports,
                    counts,
                }
            });
            let outputs = pipeline.outputs.iter().enumerate().map(|(output, planned)| {
                let takes = |sink: &&wattle_pack::SinkPlan| sink.inputs.contains(&(index, output));
                let sinks = plan.sinks.iter().filter(takes).filter_map(|s| sinks.get(&s.component.name).cloned());
                Output { sinks: sinks.collect(), counts: counted.output(&planned.name) }
            });
            pipelines.push(Pipeline {
                name: pipeline.name.clone(),
                generation: number,
                stopped: AtomicBool::new(false),
                stops: stops.clone(),
                entry: pipeline.entry.clone(),
                nodes: links.collect(),
                outputs: outputs.collect(),
                counts: counted.clone(),
                max_batch_bytes: usize::try_from(plan.agent.batch.max_bytes).unwrap_or(usize::MAX),
            });
        }
        Ok(Self { number, pipelines, by_source, nodes: Mutex::new(nodes) })
    }

    /// The instances of one worker; each worker takes its own, once.
    pub(crate) fn take_nodes(&self, worker: usize) -> NodeSet {
        self.nodes.lock().get_mut(worker).map(std::mem::take).unwrap_or_default()
    }

    /// Takes back the instances of a worker that does not keep them.
    pub(crate) fn give_back_nodes(&self, worker: usize, nodes: NodeSet) {
        if let Some(set) = self.nodes.lock().get_mut(worker) {
            *set = nodes;
        }
    }

    /// Begins to serve: its circuits are closed, whatever those of the one before were.
    pub(crate) fn begin(&self) {
        for node in self.pipelines.iter().flat_map(|p| &p.nodes) {
            node.counts.circuit_open.store(false, Ordering::Relaxed);
        }
    }

    fn any_of(&self, source: &str, holds: impl Fn(&Pipeline) -> bool) -> bool {
        self.pipelines_of(source).iter().filter_map(|&index| self.pipelines.get(index)).any(holds)
    }

    /// Whether workers leave a source alone at this moment.
    pub(crate) fn is_held(&self, source: &str) -> bool {
        self.any_of(source, Pipeline::is_held)
    }

    /// Whether a pipeline of a source stopped.
    pub(crate) fn is_stopped(&self, source: &str) -> bool {
        self.any_of(source, |p| p.stopped.load(Ordering::Acquire))
    }

    /// Indices of the pipelines that a source feeds.
    pub(crate) fn pipelines_of(&self, source: &str) -> &[usize] {
        self.by_source.get(source).map(Vec::as_slice).unwrap_or_default()
    }
}
