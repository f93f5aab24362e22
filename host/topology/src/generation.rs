//! A generation: the running form of one plan. Workers use the current one until the next replaces
//! it.

mod builder;
mod fusion;
mod order;
mod points;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;
use wattle_capability::{Clock, Services};
use wattle_plan::{Masked, NodePlan, Plan};
use wattle_runtime::{ArtifactError, Fault, NodeStats, Process, Runner, RunnerSettings, Runtime};

use self::builder::Builder;
use self::order::order;
use crate::bugs::Bugs;
use crate::canary::{Canary, Share, canary_name};
use crate::counts::Counts;
use crate::emitter::Emitter;
use crate::lane::Lane;
use crate::pipeline::Pipeline;
use crate::shadow::{Shadow, Shadows};
use crate::sink_handle::SinkHandle;
use crate::states::States;
use crate::stops::Stops;
use crate::tap::{Layout, Taps};
use crate::worker::tick;

/// Why a plan could not be built. The running generation is untouched.
#[derive(Debug, thiserror::Error)]
#[error("{what} `{name}`: {message}")]
pub struct BuildError {
    /// The kind of the item: `source`, `sink`, `node` or `shadow`.
    pub what: &'static str,
    /// Its name.
    pub name: String,
    /// Description of the problem.
    pub message: String,
}

/// Why a node could not be started.
#[derive(Debug, thiserror::Error)]
pub enum InstanceError {
    /// Its artifact cannot be compiled.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// It faulted while it was configured.
    #[error("{}", .0.message)]
    Fault(Fault),
    /// It returned other ports than when the plan was validated. A node may return different ports
    /// each time it is configured, and rows on an unknown port would be lost.
    #[error(
        "the node has the output ports {found} now and had {validated} when the configuration was validated; \
         the ports of a node must depend on its options only"
    )]
    Ports {
        /// The ports of the instance.
        found: String,
        /// The ports of the plan.
        validated: String,
    },
    /// A node that is not sandboxed, as in benchmarks, refused its options.
    #[error("{0}")]
    Native(String),
}

/// Creates one worker's instance of a node.
pub type NodeFactory =
    dyn Fn(&NodePlan, &NodeScope<'_>, Arc<NodeStats>) -> Result<Box<dyn Process>, InstanceError> + Send + Sync;

/// The pipeline that a node instance belongs to, and whether it may have side effects.
#[derive(Clone, Copy, Debug)]
pub struct NodeScope<'a> {
    /// The pipeline; the canary uses the same name, because both share the capability data of
    /// nodes.
    pub pipeline: &'a str,
    /// Whether the instance must have no side effects, as in a shadow or a test of a pack.
    pub is_dry: bool,
}

/// Nodes as sandboxed guests of a runtime: what the agent uses.
pub fn sandboxed(runtime: Arc<Runtime>, services: Arc<Services>) -> Arc<NodeFactory> {
    sandboxed_at(runtime, services, Clock::default())
}

/// The same; nodes without side effects see the time of this clock.
pub fn sandboxed_at(runtime: Arc<Runtime>, services: Arc<Services>, clock: Clock) -> Arc<NodeFactory> {
    Arc::new(move |plan: &NodePlan, scope: &NodeScope<'_>, stats: Arc<NodeStats>| {
        let compiled = runtime.compile(&plan.artifact)?;
        let own = match scope.is_dry {
            true => services.dry_at(scope.pipeline, &plan.name, &plan.grants, clock.clone()),
            false => services.node(scope.pipeline, &plan.name, &plan.grants),
        };
        let runner = Runner::new(compiled, RunnerSettings::new(plan, own), stats).map_err(InstanceError::Fault)?;
        check_ports(plan, &runner.info().ports)?;
        Ok(Box::new(runner) as Box<dyn Process>)
    })
}

/// Checks that an instance has the ports of the validated plan.
fn check_ports(plan: &NodePlan, ports: &[String]) -> Result<(), InstanceError> {
    let validated: Vec<&str> =
        plan.ports.iter().map(|port| port.name.as_str()).filter(|name| *name != "failed").collect();
    if validated.iter().eq(ports) {
        return Ok(());
    }
    Err(InstanceError::Ports { found: ports.join(", "), validated: validated.join(", ") })
}

/// One worker's instances: for each pipeline, for each node.
pub(crate) type NodeSet = Vec<Vec<Box<dyn Process>>>;

/// Borrowed context of [`Generation::build`]; all of it outlives the generation.
pub(crate) struct BuildContext<'a> {
    pub(crate) workers: usize,
    pub(crate) sinks: &'a HashMap<String, Arc<SinkHandle>>,
    pub(crate) counts: &'a Counts,
    pub(crate) stops: &'a Stops,
    pub(crate) states: &'a States,
    pub(crate) shadows: &'a Shadows,
    pub(crate) taps: &'a Taps,
    pub(crate) make: &'a NodeFactory,
    /// Whether nodes must have no side effects.
    pub(crate) is_dry: bool,
    /// Whether the run ends with its input.
    pub(crate) is_bounded: bool,
}

pub(crate) struct Generation {
    pub(crate) number: u64,
    pub(crate) bugs: Bugs,
    pub(crate) pipelines: Vec<Pipeline>,
    /// Indices of the pipelines such that each comes before those that it feeds.
    order: Vec<usize>,
    /// Indices of the pipelines that each source feeds directly.
    by_source: HashMap<String, Vec<usize>>,
    /// Indices of the pipelines that its events reach, also through other pipelines.
    reached: HashMap<String, Vec<usize>>,
    /// Instances created in advance, one set per worker, so that a swap costs workers no time; the
    /// last set is the spare worker's, at rest.
    nodes: Mutex<Vec<NodeSet>>,
    /// Nodes, as `pipeline.node`, that cannot restore the state of their predecessor and may start
    /// without state.
    pub(crate) emptied: Vec<String>,
    /// Its points, for those who watch.
    pub(crate) layout: Layout,
}

impl Generation {
    /// A generation without pipelines: before the first plan, and after the last.
    pub(crate) fn empty(number: u64) -> Self {
        Self {
            number,
            bugs: Bugs::default(),
            pipelines: Vec::new(),
            order: Vec::new(),
            by_source: HashMap::new(),
            reached: HashMap::new(),
            nodes: Mutex::default(),
            emptied: Vec::new(),
            layout: Layout::default(),
        }
    }

    /// Builds the pipelines of a plan and their candidates, with instances for every worker and the
    /// spare worker.
    pub(crate) fn build(number: u64, plan: &Plan, context: &BuildContext<'_>) -> Result<Self, BuildError> {
        let masked = Masked::of(plan);
        let mut builder = Builder {
            number,
            plan,
            context,
            nodes: (0..=context.workers).map(|_| Vec::new()).collect(),
            quarantines: HashMap::new(),
            emptied: Vec::new(),
            layout: Layout::new(context.taps.rings(plan, &masked)),
            masked,
        };
        let mut by_source: HashMap<String, Vec<usize>> = HashMap::new();
        let mut reached: HashMap<String, Vec<usize>> = HashMap::new();
        let mut pipelines = Vec::with_capacity(plan.pipelines.len());
        for (index, pipeline) in plan.pipelines.iter().enumerate() {
            for source in pipeline.sources.iter().filter_map(|&source| plan.sources.get(source)) {
                by_source.entry(source.name.clone()).or_default().push(index);
            }
            for source in plan.sources_of(index).into_iter().filter_map(|source| plan.sources.get(source)) {
                reached.entry(source.name.clone()).or_default().push(index);
            }
            pipelines.push(builder.pipeline(index, pipeline, &pipeline.name)?);
        }
        for (index, planned) in plan.pipelines.iter().enumerate() {
            if let Some(canary) = &planned.canary {
                let candidate = builder.pipeline(index, &canary.candidate, &canary_name(&planned.name))?;
                let canary = Canary { candidate: pipelines.len(), share: Share::new(canary.settings.share) };
                pipelines.push(candidate);
                if let Some(primary) = pipelines.get_mut(index) {
                    primary.canary = Some(canary);
                }
            }
            if let Some(shadow) = &planned.shadow {
                let shadow = builder.shadow(planned, shadow)?;
                if let Some(primary) = pipelines.get_mut(index) {
                    primary.shadow = Some(shadow);
                }
            }
        }
        for (place, pipeline) in pipelines.iter_mut().enumerate() {
            pipeline.place = place;
        }
        let Builder { mut nodes, emptied, layout, .. } = builder;
        nodes.iter_mut().skip(context.workers).flatten().flatten().for_each(|node: &mut Box<dyn Process>| node.rest());
        let bugs = context.counts.bugs().clone();
        let order = order(&pipelines);
        Ok(Self { number, bugs, pipelines, order, by_source, reached, nodes: Mutex::new(nodes), emptied, layout })
    }

    /// Whether workers share the state of a node.
    pub(crate) fn shares_nodes(&self) -> bool {
        self.pipelines.iter().any(Pipeline::shares_nodes)
    }

    /// Indices of the pipelines such that each comes before those that it feeds.
    pub(crate) fn order(&self) -> &[usize] {
        &self.order
    }

    /// Has every node make what it still owes, because the run ends. No worker may be running.
    pub(crate) fn tick_last(&self, timers: &Lane) {
        let workers = self.nodes.lock().len();
        // The first worker is last, with the nodes that all of them share.
        for worker in (0..workers).rev() {
            self.with_resting_nodes(worker, |nodes| {
                if let Some(sequence) = timers.begin() {
                    tick(self, nodes, worker, true, Emitter::new(timers, sequence));
                }
            });
        }
    }

    /// Runs a function with the instances of a worker that is not running now, if it has any.
    pub(crate) fn with_resting_nodes(&self, worker: usize, run: impl FnOnce(&mut NodeSet)) {
        if let Some(set) = self.nodes.lock().get_mut(worker).filter(|set| !set.is_empty()) {
            run(set);
        }
    }

    /// Selects the pipeline that processes a batch for one of [`Self::pipelines_of`], and the
    /// shadow that receives a copy.
    pub(crate) fn choose(&self, index: usize) -> (usize, Option<&Shadow>) {
        let Some(pipeline) = self.pipelines.get(index) else { return (index, None) };
        match &pipeline.canary {
            Some(canary) if canary.share.takes() => (canary.candidate, None),
            _ => (index, pipeline.shadow.as_ref()),
        }
    }

    /// Takes the instances of one worker, with the state of their predecessors; each worker calls
    /// this once.
    pub(crate) fn take_nodes(&self, worker: usize) -> NodeSet {
        let mut set = self.nodes.lock().get_mut(worker).map(std::mem::take).unwrap_or_default();
        for (pipeline, nodes) in self.pipelines.iter().zip(&mut set) {
            for (links, node) in pipeline.nodes.iter().zip(nodes) {
                let taken = match (&links.shared, links.slots.get(worker)) {
                    (Some(shared), _) => shared.take_over(&links.slots, || links.inherit(worker)),
                    (None, Some(slot)) => {
                        links.inherit(worker);
                        node.take_over(slot)
                    }
                    (None, None) => continue,
                };
                if let Err(error) = taken {
                    let (pipeline, node) = (pipeline.name.as_str(), &*links.name);
                    tracing::warn!(
                        pipeline,
                        node,
                        worker,
                        error,
                        "cannot restore the state; the node starts without state"
                    );
                }
            }
        }
        set
    }

    /// Marks the nodes that the next generation does not want.
    pub(crate) fn end_nodes(&self, is_wanted: impl Fn(&str, &str) -> bool) {
        for pipeline in &self.pipelines {
            let ends = pipeline.nodes.iter().filter(|links| !is_wanted(&pipeline.name, &links.name));
            ends.for_each(|links| links.ends.store(true, Ordering::Release));
        }
    }

    /// Whether the next generation does not want some of the nodes.
    pub(crate) fn ends_nodes(&self) -> bool {
        self.pipelines.iter().flat_map(|pipeline| &pipeline.nodes).any(|links| links.ends.load(Ordering::Acquire))
    }

    /// Whether a node inherits the state of that node in a canary that ended.
    pub(crate) fn is_heir_of(&self, pipeline: &str, node: &str) -> bool {
        let heirs = self.pipelines.iter().filter(|heir| canary_name(&heir.name) == pipeline);
        heirs.flat_map(|heir| &heir.nodes).any(|links| *links.name == *node && !links.inherits.is_empty())
    }

    /// Merges the state of ended canaries into their successors, including slots that no worker
    /// visited. No worker must be running.
    pub(crate) fn inherit(&self) {
        for links in self.pipelines.iter().flat_map(|pipeline| &pipeline.nodes) {
            let workers = if links.shared.is_some() { links.inherits.len().min(1) } else { links.inherits.len() };
            (0..workers).for_each(|worker| links.inherit(worker));
        }
    }

    /// Takes the instances of a worker that does not keep them.
    pub(crate) fn give_back_nodes(&self, worker: usize, nodes: NodeSet) {
        if let Some(set) = self.nodes.lock().get_mut(worker) {
            *set = nodes;
        }
    }

    /// Starts to serve, with closed circuits even if those of the previous generation were open.
    pub(crate) fn begin(&self) {
        for node in self.pipelines.iter().flat_map(|p| &p.nodes) {
            node.counts.circuit_open.store(false, Ordering::Relaxed);
        }
    }

    fn any_of(&self, source: &str, holds: impl Fn(&Pipeline) -> bool) -> bool {
        let reached = self.reached.get(source).map(Vec::as_slice).unwrap_or_default();
        reached.iter().filter_map(|&index| self.pipelines.get(index)).any(holds)
    }

    /// Whether workers must not take from a source at this moment.
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
