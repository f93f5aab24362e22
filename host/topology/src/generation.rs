//! A generation: what one plan was built into. Workers use the current one until the next replaces it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use wattle_buffer::Queue;
use wattle_buffer::disk::BufferStats;
use wattle_pack::{NodePlan, OnStateMismatch, Plan};
use wattle_runtime::{NodeStats, Process, Runner, RunnerSettings, Runtime};
use wattle_sink::{Encoder, Payload, SinkStats};

use crate::circuit::Circuit;
use crate::counts::Counts;
use crate::pipeline::{NodeLinks, Output, Pipeline, Port};
use crate::quarantine::{Quarantine, QuarantineStore};
use crate::states::{Slots, States};
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

/// What a generation is built in: all that outlives it.
pub(crate) struct Surroundings<'a> {
    pub(crate) workers: usize,
    pub(crate) sinks: &'a HashMap<String, Arc<SinkHandle>>,
    pub(crate) counts: &'a Counts,
    pub(crate) stops: &'a Stops,
    pub(crate) states: &'a States,
    pub(crate) make: &'a MakeNode,
}

pub(crate) struct Generation {
    pub(crate) number: u64,
    pub(crate) pipelines: Vec<Pipeline>,
    by_source: HashMap<String, Vec<usize>>,
    /// Instances made in advance, one set a worker, so that a swap costs no worker any time; the last is the spare
    /// worker's, at rest.
    nodes: Mutex<Vec<NodeSet>>,
    /// Nodes, as `pipeline.node`, that cannot take over the state of their predecessor and may begin with none.
    pub(crate) emptied: Vec<String>,
}

impl Generation {
    /// A generation without pipelines: before the first plan, and after the last.
    pub(crate) fn empty(number: u64) -> Self {
        Self { number, pipelines: Vec::new(), by_source: HashMap::new(), nodes: Mutex::default(), emptied: Vec::new() }
    }

    /// Builds the pipelines of a plan, with instances for every worker and the spare one.
    pub(crate) fn build(
        number: u64,
        plan: &Plan,
        around: &Surroundings<'_>,
    ) -> Result<Self, BuildError> {
        let &Surroundings { workers, sinks, counts, stops, states, make } = around;
        let mut emptied = Vec::new();
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
            let mut slots = Vec::with_capacity(pipeline.nodes.len());
            for (place, node) in pipeline.nodes.iter().enumerate() {
                let instances = nodes.iter().filter_map(|set| set.get(index)?.get(place));
                let stats = counted.node(&node.name).stats.clone();
                let lost = || _ = stats.state_lost.fetch_add(1, Ordering::Relaxed);
                let held = states.slots(&pipeline.name, &node.name, lost);
                if !check_state(&pipeline.name, node, instances, &held)? {
                    emptied.push(format!("{}.{}", pipeline.name, node.name));
                }
                slots.push(held);
            }
            let links = pipeline.nodes.iter().zip(slots).map(|(node, slots)| {
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
                    slots,
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
        Ok(Self { number, pipelines, by_source, nodes: Mutex::new(nodes), emptied })
    }

    /// The instances of one worker, with the state that those before have left; each worker takes its own, once.
    pub(crate) fn take_nodes(&self, worker: usize) -> NodeSet {
        let mut set = self.nodes.lock().get_mut(worker).map(std::mem::take).unwrap_or_default();
        for (pipeline, nodes) in self.pipelines.iter().zip(&mut set) {
            for (links, node) in pipeline.nodes.iter().zip(nodes) {
                let Some(slot) = links.slots.get(worker) else { continue };
                if let Err(error) = node.take_over(slot) {
                    let (pipeline, node) = (pipeline.name.as_str(), &*links.name);
                    tracing::warn!(pipeline, node, worker, error, "state cannot be taken over; the node begins with none");
                }
            }
        }
        set
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

/// Whether the instances of a node can take over what their workers hold of its predecessor. If they cannot, the node
/// begins with nothing, where its policy lets it.
fn check_state<'a>(
    pipeline: &str,
    node: &NodePlan,
    instances: impl Iterator<Item = &'a Box<dyn Process>>,
    slots: &Slots,
) -> Result<bool, BuildError> {
    let refused = instances.zip(slots).find_map(|(instance, slot)| instance.check_state(&slot.get()).err());
    match refused {
        None => Ok(true),
        Some(_) if node.on_state_mismatch == OnStateMismatch::Empty => Ok(false),
        Some(error) => {
            let hint = "give the node `on_state_mismatch = \"empty\"` to let it begin with none";
            let message = format!("state of its predecessor cannot be taken over: {error}; {hint}");
            Err(BuildError { what: "node", name: format!("{pipeline}.{}", node.name), message })
        }
    }
}
