//! A generation: the running form of one plan. Workers use the current one until the next replaces
//! it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use wattle_capability::Services;
use wattle_plan::{CandidatePlan, NodePlan, OnStateMismatch, PipelinePlan, Plan, ShadowSettings, SinkPlan};
use wattle_runtime::{ArtifactError, Fault, NodeStats, Process, Runner, RunnerSettings, Runtime, StateSlot};

use crate::bugs::Bugs;
use crate::canary::{Canary, Share, canary_name};
use crate::circuit::Circuit;
use crate::counts::{Counts, PipelineCounts};
use crate::pipeline::{NodeLinks, Output, Pipeline, Port};
use crate::quarantine::{Quarantine, QuarantineStore};
use crate::shadow::{Candidate, Shadow, Shadows};
use crate::sink_handle::SinkHandle;
use crate::states::{Slots, States};
use crate::stops::Stops;

/// How long a run that ends with its input retries writing to a quarantine before the pipeline
/// stops.
const PATIENCE: Duration = Duration::from_secs(3);

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
    Arc::new(move |plan: &NodePlan, scope: &NodeScope<'_>, stats: Arc<NodeStats>| {
        let compiled = runtime.compile(&plan.artifact)?;
        let own = match scope.is_dry {
            true => services.dry(scope.pipeline, &plan.name, &plan.grants),
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
}

impl Generation {
    /// A generation without pipelines: before the first plan, and after the last.
    pub(crate) fn empty(number: u64) -> Self {
        Self {
            number,
            bugs: Bugs::default(),
            pipelines: Vec::new(),
            by_source: HashMap::new(),
            reached: HashMap::new(),
            nodes: Mutex::default(),
            emptied: Vec::new(),
        }
    }

    /// Builds the pipelines of a plan and their candidates, with instances for every worker and the
    /// spare worker.
    pub(crate) fn build(number: u64, plan: &Plan, context: &BuildContext<'_>) -> Result<Self, BuildError> {
        let mut builder = Builder {
            number,
            plan,
            context,
            nodes: (0..=context.workers).map(|_| Vec::new()).collect(),
            quarantines: HashMap::new(),
            emptied: Vec::new(),
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
        let Builder { mut nodes, emptied, .. } = builder;
        nodes.iter_mut().skip(context.workers).flatten().flatten().for_each(|node: &mut Box<dyn Process>| node.rest());
        let bugs = context.counts.bugs().clone();
        Ok(Self { number, bugs, pipelines, by_source, reached, nodes: Mutex::new(nodes), emptied })
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
                let Some(slot) = links.slots.get(worker) else { continue };
                links.inherit(worker);
                if let Err(error) = node.take_over(slot) {
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

    /// Whether a node inherits the state of that node in a canary that ended.
    pub(crate) fn is_heir_of(&self, pipeline: &str, node: &str) -> bool {
        let heirs = self.pipelines.iter().filter(|heir| canary_name(&heir.name) == pipeline);
        heirs.flat_map(|heir| &heir.nodes).any(|links| *links.name == *node && !links.inherits.is_empty())
    }

    /// Merges the state of ended canaries into their successors, including slots that no worker
    /// visited. No worker must be running.
    pub(crate) fn inherit(&self) {
        for links in self.pipelines.iter().flat_map(|pipeline| &pipeline.nodes) {
            (0..links.inherits.len()).for_each(|worker| links.inherit(worker));
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

/// Builds the pipelines of one generation.
struct Builder<'a> {
    number: u64,
    plan: &'a Plan,
    context: &'a BuildContext<'a>,
    /// Instances for each worker, and the spare.
    nodes: Vec<NodeSet>,
    /// A pipeline and its canary write to the same one.
    quarantines: HashMap<usize, Arc<Quarantine>>,
    emptied: Vec<String>,
}

impl Builder<'_> {
    /// Builds a pipeline with the sinks and the quarantine of the planned one at `index`, and
    /// creates its instances.
    fn pipeline(&mut self, index: usize, planned: &PipelinePlan, name: &str) -> Result<Pipeline, BuildError> {
        let &BuildContext { counts, states, is_dry, .. } = self.context;
        let scope =
            NodeScope { pipeline: self.plan.pipelines.get(index).map_or(name, |primary| &primary.name), is_dry };
        let counted = counts.pipeline(name);
        let mut instances = Vec::with_capacity(self.nodes.len());
        for _ in 0..self.context.workers {
            instances.push(self.instances(planned, name, scope, &counted)?);
        }
        // The spare worker's instances are created when it must help.
        let first: Option<&Vec<Box<dyn Process>>> = instances.first();
        let twins: Option<Vec<_>> = first.and_then(|first| first.iter().map(|node| node.resting_twin()).collect());
        instances.push(match twins {
            Some(twins) => twins,
            None => self.instances(planned, name, scope, &counted)?,
        });
        // A canary ends when a plan has none, whether promoted or not: only its nodes have the
        // state of its batches.
        let ended = self.plan.pipelines.get(index).is_some_and(|p| p.canary.is_none()).then(|| canary_name(name));
        let mut slots = Vec::with_capacity(planned.nodes.len());
        for (place, node) in planned.nodes.iter().enumerate() {
            let stats = counted.node(&node.name).stats.clone();
            let lost = || _ = stats.state_lost.fetch_add(1, Ordering::Relaxed);
            let own = states.slots(name, &node.name, lost);
            let made = || instances.iter().filter_map(|set| set.get(place));
            let left = ended.as_ref().and_then(|canary| states.held(canary, &node.name)).unwrap_or_default();
            let inherits = inheritable(made(), &own, left);
            if !check_state(name, node, made(), &own)? {
                self.emptied.push(format!("{name}.{}", node.name));
            }
            slots.push((own, inherits));
        }
        for (set, made) in self.nodes.iter_mut().zip(instances) {
            set.push(made);
        }
        let quarantine = self.quarantine(index);
        let plan = self.plan;
        let primary = plan.pipelines.get(index);
        let outputs = planned.outputs.iter().map(|output| {
            let place = primary.and_then(|p| p.outputs.iter().position(|o| o.name == output.name));
            let takes = |sink: &&SinkPlan| place.is_some_and(|place| sink.inputs.contains(&(index, place)));
            let sinks = plan.sinks.iter().filter(takes);
            let sinks = sinks.filter_map(|s| self.context.sinks.get(&s.endpoint.name).cloned());
            let is_fed = |pipeline: &PipelinePlan| place.is_some_and(|place| pipeline.inputs.contains(&(index, place)));
            let pipelines = plan.pipelines.iter().enumerate().filter(|(_, next)| is_fed(next)).map(|(next, _)| next);
            Output { sinks: sinks.collect(), pipelines: pipelines.collect(), counts: counted.output(&output.name) }
        });
        let outputs = outputs.collect();
        Ok(self.connect(planned, name, counted, slots, Some(&quarantine), outputs))
    }

    fn instances(
        &self,
        planned: &PipelinePlan,
        name: &str,
        scope: NodeScope<'_>,
        counted: &PipelineCounts,
    ) -> Result<Vec<Box<dyn Process>>, BuildError> {
        let make = |node: &NodePlan| {
            (self.context.make)(node, &scope, counted.node(&node.name).stats.clone()).map_err(|error| BuildError {
                what: "node",
                name: format!("{name}.{}", node.name),
                message: error.to_string(),
            })
        };
        planned.nodes.iter().map(make).collect()
    }

    fn quarantine(&mut self, index: usize) -> Arc<Quarantine> {
        let agent = &self.plan.agent;
        let patience = if self.context.is_bounded { PATIENCE } else { Duration::ZERO };
        let name = self.plan.pipelines.get(index).map_or("", |pipeline| &pipeline.name);
        let made = || {
            let store = QuarantineStore::new(&agent.data_dir, name);
            Arc::new(Quarantine::new(store, agent.quarantine.max_bytes, patience))
        };
        self.quarantines.entry(index).or_insert_with(made).clone()
    }

    fn connect(
        &self,
        planned: &PipelinePlan,
        name: &str,
        counted: Arc<PipelineCounts>,
        slots: Vec<(Slots, Slots)>,
        quarantine: Option<&Arc<Quarantine>>,
        outputs: Vec<Output>,
    ) -> Pipeline {
        let links = planned.nodes.iter().zip(slots).map(|(node, (slots, inherits))| {
            let counts = counted.node(&node.name);
            counts.masks.store(node.shape.masks, Ordering::Relaxed);
            let ports = node.ports.iter();
            let ports = ports.map(|p| Port { sent: counts.port(&p.name), targets: p.targets.clone() }).collect();
            NodeLinks {
                name: node.name.as_str().into(),
                version: format!("{}@{}", node.shape.name, node.shape.version).into(),
                circuit: Circuit::new(&node.circuit, node.on_fault),
                quarantine: quarantine.filter(|_| node.shape.masks).cloned(),
                ports,
                counts,
                slots,
                inherits,
            }
        });
        Pipeline {
            name: name.to_owned(),
            generation: self.number,
            stopped: AtomicBool::new(false),
            stops: self.context.stops.clone(),
            stops_without_quarantine: self.context.is_bounded,
            bugs: self.context.counts.bugs().clone(),
            entry: planned.entry.clone(),
            nodes: links.collect(),
            outputs,
            counts: counted,
            max_batch_bytes: usize::try_from(self.plan.agent.batch.max_bytes).unwrap_or(usize::MAX),
            canary: None,
            shadow: None,
        }
    }

    /// Builds and starts the shadow of a pipeline: without sinks, quarantine, or any other visible
    /// effect.
    fn shadow(&self, planned: &PipelinePlan, shadow: &CandidatePlan<ShadowSettings>) -> Result<Shadow, BuildError> {
        let CandidatePlan { candidate, settings } = shadow;
        let counted = Arc::new(PipelineCounts::default());
        let nodes =
            self.instances(candidate, &planned.name, NodeScope { pipeline: &planned.name, is_dry: true }, &counted)?;
        let outputs = candidate.outputs.iter().map(|output| Output {
            sinks: Vec::new(),
            pipelines: Vec::new(),
            counts: counted.output(&output.name),
        });
        let outputs = outputs.collect();
        // No other instance has its state, so it starts without state and saves none.
        let slots = vec![Default::default(); candidate.nodes.len()];
        let mut pipeline = self.connect(candidate, &planned.name, counted, slots, None, outputs);
        pipeline.stops = Stops::default();
        let names = |plan: &PipelinePlan| plan.outputs.iter().map(|output| output.name.clone()).collect();
        let (outputs, own_outputs) = (names(planned), names(candidate));
        let report = self.context.shadows.report(planned, candidate);
        let candidate = Candidate { pipeline, nodes, outputs, own_outputs };
        let (shadow, feed) = Shadow::new(settings, report);
        candidate.start(feed).map_err(|error| BuildError {
            what: "shadow",
            name: planned.name.clone(),
            message: error.to_string(),
        })?;
        Ok(shadow)
    }
}

/// The state of a canary that the instances of a node can restore in addition to their own: all of
/// it, or none if they cannot, which is logged as a loss.
fn inheritable<'a>(instances: impl Iterator<Item = &'a Box<dyn Process>>, own: &Slots, left: Slots) -> Slots {
    let both = |own: &StateSlot, left: &StateSlot| [&*own.get(), &*left.get()].concat();
    let fits =
        instances.zip(own.iter().zip(&left)).all(|(node, (own, left))| node.check_state(&both(own, left)).is_ok());
    if fits { left } else { Slots::new() }
}

/// Checks that the instances of a node can restore their workers' state of its predecessor. If they
/// cannot, the node starts without state if its policy allows it.
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
            let hint = "give the node `on_state_mismatch = \"empty\"` to let it start without state";
            let message = format!("cannot restore the state of its predecessor: {error}; {hint}");
            Err(BuildError { what: "node", name: format!("{pipeline}.{}", node.name), message })
        }
    }
}
