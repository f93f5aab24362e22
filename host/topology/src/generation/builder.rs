//! Builds the pipelines of a generation with their instances, and with the state of the nodes before
//! them.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use wattle_batch::FieldPath;
use wattle_plan::{
    CandidatePlan, Masked, NodePlan, OnStateMismatch, PipelinePlan, Plan, ShadowSettings, Sharing, SinkPlan,
};
use wattle_runtime::{Process, StateSlot};

use super::fusion;
use super::order::ranks;
use super::points::Points;
use super::{BuildContext, BuildError, NodeScope, NodeSet};
use crate::canary::canary_name;
use crate::circuit::Circuit;
use crate::counts::PipelineCounts;
use crate::pipeline::{NodeLinks, Output, Pipeline, Port};
use crate::quarantine::{Quarantine, QuarantineStore};
use crate::shadow::{Candidate, Shadow};
use crate::shared::SharedNode;
use crate::states::{Owned, Slots};
use crate::stops::Stops;
use crate::tap::{Layout, Point};

/// How long a run that ends with its input retries writing to a quarantine before the pipeline
/// stops.
const PATIENCE: Duration = Duration::from_secs(3);

/// What outlives the instances of a node, and the instances that workers share.
#[derive(Default)]
struct Memory {
    slots: Slots,
    inherits: Slots,
    shared: Option<Arc<SharedNode>>,
}

/// Where events of a pipeline come in, are seen, and leave.
struct Ends {
    points: Points,
    outputs: Vec<Output>,
    quarantine: Option<Arc<Quarantine>>,
}

/// Builds the pipelines of one generation.
pub(super) struct Builder<'a> {
    pub(super) number: u64,
    pub(super) plan: &'a Plan,
    pub(super) context: &'a BuildContext<'a>,
    /// Instances for each worker, and the spare.
    pub(super) nodes: Vec<NodeSet>,
    /// A pipeline and its canary write to the same one.
    pub(super) quarantines: HashMap<usize, Arc<Quarantine>>,
    pub(super) emptied: Vec<String>,
    pub(super) masked: Masked,
    pub(super) layout: Layout,
}

impl Builder<'_> {
    /// Builds a pipeline with the sinks and the quarantine of the planned one at `index`, and
    /// creates its instances.
    pub(super) fn pipeline(
        &mut self,
        index: usize,
        planned: &PipelinePlan,
        name: &str,
    ) -> Result<Pipeline, BuildError> {
        let &BuildContext { counts, states, is_dry, .. } = self.context;
        let scope =
            NodeScope { pipeline: self.plan.pipelines.get(index).map_or(name, |primary| &primary.name), is_dry };
        let counted = counts.pipeline(name);
        let shared = self.shared(planned, name, scope, &counted)?;
        let mut instances = Vec::with_capacity(self.nodes.len());
        let mut chains = fusion::chains(planned);
        for _ in 0..self.context.workers {
            let mut own = self.instances(planned, name, scope, &counted, &shared)?;
            fusion::fuse(planned, &counted, &mut own, &mut chains);
            instances.push(own);
        }
        // The spare worker's instances are created when it must help.
        let first = instances.first();
        let twin = |place: usize| match shared.get(place) {
            Some(Some(shared)) => Some(shared.handle()),
            _ => first?.get(place)?.resting_twin(),
        };
        let twins: Option<Vec<_>> = (0..planned.nodes.len()).map(twin).collect();
        instances.push(match twins {
            Some(twins) => twins,
            None => self.instances(planned, name, scope, &counted, &shared)?,
        });
        // A canary ends when a plan has none, whether promoted or not: only its nodes have the
        // state of its batches.
        let ended = self.plan.pipelines.get(index).is_some_and(|p| p.canary.is_none()).then(|| canary_name(name));
        let mut memories = Vec::with_capacity(planned.nodes.len());
        for (place, node) in planned.nodes.iter().enumerate() {
            let stats = counted.node(&node.name).stats.clone();
            let lost = || _ = stats.state_lost.fetch_add(1, Ordering::Relaxed);
            let shared = shared.get(place).and_then(Option::as_ref);
            let Owned { slots: own, shared_before } = match states.slots(name, &node.name, &node.state, lost) {
                Ok(owned) => owned,
                Err(error) if node.on_state_mismatch == OnStateMismatch::Empty => {
                    tracing::warn!(pipeline = name, node = node.name, %error, "the node starts without state");
                    lost();
                    self.emptied.push(format!("{name}.{}", node.name));
                    states.fresh(name, &node.name, &node.state)
                }
                Err(error) => return Err(mismatch(name, node, &error.to_string())),
            };
            let made = || instances.iter().filter_map(|set| set.get(place));
            let left =
                ended.as_ref().and_then(|canary| states.ended(canary, &node.name, &node.state)).unwrap_or_default();
            let inherits = match shared {
                _ if !shared_before.is_empty() => shared_before,
                None => inheritable(made(), &own, left),
                Some(_) => left,
            };
            let is_kept = match shared {
                None => check_state(name, node, made(), &own)?,
                Some(shared) => check_shared(name, node, shared, &own)?,
            };
            if !is_kept {
                self.emptied.push(format!("{name}.{}", node.name));
            }
            memories.push(Memory { slots: own, inherits, shared: shared.cloned() });
        }
        for (set, made) in self.nodes.iter_mut().zip(instances) {
            set.push(made);
        }
        let quarantine = self.quarantine(index);
        let mut points = self.points(index, planned);
        let at_outputs = std::mem::take(&mut points.outputs);
        let plan = self.plan;
        let primary = plan.pipelines.get(index);
        let outputs = planned.outputs.iter().zip(at_outputs).map(|(output, point)| {
            let place = primary.and_then(|p| p.outputs.iter().position(|o| o.name == output.name));
            let takes = |sink: &&SinkPlan| place.is_some_and(|place| sink.inputs.contains(&(index, place)));
            let sinks = plan.sinks.iter().filter(takes);
            let sinks = sinks.filter_map(|s| self.context.sinks.get(&s.endpoint.name).cloned());
            let is_fed = |pipeline: &PipelinePlan| place.is_some_and(|place| pipeline.inputs.contains(&(index, place)));
            let pipelines = plan.pipelines.iter().enumerate().filter(|(_, next)| is_fed(next)).map(|(next, _)| next);
            let (sinks, pipelines) = (sinks.collect(), pipelines.collect());
            Output { point, sinks, pipelines, counts: counted.output(&output.name) }
        });
        let outputs = outputs.collect();
        let ends = Ends { points, outputs, quarantine: Some(quarantine) };
        Ok(self.connect(planned, name, counted, chains, memories, ends))
    }

    /// Creates the instances of nodes whose state all workers share.
    fn shared(
        &self,
        planned: &PipelinePlan,
        name: &str,
        scope: NodeScope<'_>,
        counted: &PipelineCounts,
    ) -> Result<Vec<Option<Arc<SharedNode>>>, BuildError> {
        let make = |node: &NodePlan| {
            let (shards, fields) = match &node.state.sharing {
                Sharing::Worker => return Ok(None),
                Sharing::Single => (1, &[][..]),
                Sharing::Key(fields) => (node.state.shards.max(1), fields.as_slice()),
            };
            let fails = |message: String| BuildError { what: "node", name: format!("{name}.{}", node.name), message };
            let key: Result<Vec<FieldPath>, _> = fields.iter().map(|field| FieldPath::parse(field)).collect();
            let key = key.map_err(|error| fails(format!("bad key of its state: {error}")))?;
            let instance = || {
                (self.context.make)(node, &scope, counted.node(&node.name).stats.clone())
                    .map_err(|error| fails(error.to_string()))
            };
            let mut instances = vec![instance()?];
            while instances.len() < shards as usize {
                // The others are created when they are needed.
                let twin = instances.first().and_then(|first| first.resting_twin());
                instances.push(match twin {
                    Some(twin) => twin,
                    None => instance()?,
                });
            }
            Ok(Some(SharedNode::new(instances, key)))
        };
        planned.nodes.iter().map(make).collect()
    }

    fn instances(
        &self,
        planned: &PipelinePlan,
        name: &str,
        scope: NodeScope<'_>,
        counted: &PipelineCounts,
        shared: &[Option<Arc<SharedNode>>],
    ) -> Result<Vec<Box<dyn Process>>, BuildError> {
        let make = |(place, node): (usize, &NodePlan)| {
            if let Some(Some(shared)) = shared.get(place) {
                return Ok(shared.handle());
            }
            (self.context.make)(node, &scope, counted.node(&node.name).stats.clone()).map_err(|error| BuildError {
                what: "node",
                name: format!("{name}.{}", node.name),
                message: error.to_string(),
            })
        };
        planned.nodes.iter().enumerate().map(make).collect()
    }

    fn quarantine(&mut self, index: usize) -> Arc<Quarantine> {
        let agent = &self.plan.agent;
        let patience = if self.context.is_bounded { PATIENCE } else { Duration::ZERO };
        let name = self.plan.pipelines.get(index).map_or("", |pipeline| &pipeline.name);
        let made = || {
            if self.context.is_dry {
                return Arc::new(Quarantine::dry());
            }
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
        chains: Vec<Vec<usize>>,
        memories: Vec<Memory>,
        ends: Ends,
    ) -> Pipeline {
        let Ends { points, outputs, quarantine } = ends;
        let ranks = ranks(planned);
        let mut order: Vec<usize> = (0..planned.nodes.len()).collect();
        order.sort_by_key(|&node| ranks.get(node).copied().unwrap_or(0));
        let nodes = planned.nodes.iter().zip(points.nodes);
        let links = nodes.zip(memories).zip(chains).zip(&ranks).map(|((((node, points), memory), fused), &rank)| {
            let Memory { slots, inherits, shared } = memory;
            let counts = counted.node(&node.name);
            counts.masks.store(node.shape.masks, Ordering::Relaxed);
            let ports = node.ports.iter().zip(points.ports);
            let ports = ports
                .map(|(port, point)| Port { sent: counts.port(&port.name), point, targets: port.targets.clone() })
                .collect();
            NodeLinks {
                name: node.name.as_str().into(),
                place: points.name,
                samples: points.samples,
                version: format!("{}@{}", node.shape.name, node.shape.version).into(),
                circuit: Circuit::new(&node.circuit, node.on_fault),
                quarantine: quarantine.clone().filter(|_| node.shape.masks),
                ports,
                fused,
                counts,
                slots,
                inherits,
                shared,
                rank,
                ends: AtomicBool::new(false),
            }
        });
        Pipeline {
            name: name.to_owned(),
            generation: self.number,
            stopped: AtomicBool::new(false),
            stops: self.context.stops.clone(),
            stops_without_quarantine: self.context.is_bounded,
            bugs: self.context.counts.bugs().clone(),
            input: points.input,
            entry: planned.entry.clone(),
            nodes: links.collect(),
            order,
            // Set when all pipelines of the generation are known.
            place: 0,
            outputs,
            counts: counted,
            max_batch_bytes: usize::try_from(self.plan.agent.batch.max_bytes).unwrap_or(usize::MAX),
            canary: None,
            shadow: None,
        }
    }

    /// The outputs of a pipeline whose events are masked in each of its versions.
    fn masked_outputs(&self, name: &str) -> BTreeSet<String> {
        let masked = Masked::of(self.plan);
        let pipelines = self.plan.pipelines.iter().enumerate().filter(|(_, pipeline)| pipeline.name == name);
        let outputs = pipelines.flat_map(|(index, pipeline)| {
            let points = masked.pipeline(index);
            let is_masked = move |output: usize| points.is_some_and(|points| points.output(output));
            pipeline.outputs.iter().enumerate().filter(move |(output, _)| is_masked(*output))
        });
        outputs.map(|(_, output)| output.name.clone()).collect()
    }

    /// Builds and starts the shadow of a pipeline: without sinks, quarantine, or any other visible
    /// effect.
    pub(super) fn shadow(
        &self,
        planned: &PipelinePlan,
        shadow: &CandidatePlan<ShadowSettings>,
    ) -> Result<Shadow, BuildError> {
        let CandidatePlan { candidate, settings } = shadow;
        let counted = Arc::new(PipelineCounts::default());
        let scope = NodeScope { pipeline: &planned.name, is_dry: true };
        // Its only thread shares no state.
        let mut nodes = self.instances(candidate, &planned.name, scope, &counted, &[])?;
        let mut chains = fusion::chains(candidate);
        fusion::fuse(candidate, &counted, &mut nodes, &mut chains);
        let outputs = candidate.outputs.iter().map(|output| Output {
            point: Point::unseen(),
            sinks: Vec::new(),
            pipelines: Vec::new(),
            counts: counted.output(&output.name),
        });
        let outputs = outputs.collect();
        // No other instance has its state, so it starts without state and saves none.
        let memories = candidate.nodes.iter().map(|_| Memory::default()).collect();
        let ends = Ends { points: Points::unseen(candidate), outputs, quarantine: None };
        let mut pipeline = self.connect(candidate, &planned.name, counted, chains, memories, ends);
        pipeline.stops = Stops::default();
        let names = |plan: &PipelinePlan| plan.outputs.iter().map(|output| output.name.clone()).collect();
        let (outputs, own_outputs) = (names(planned), names(candidate));
        let report = self.context.shadows.report(planned, candidate, self.masked_outputs(&planned.name));
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
        Some(error) => Err(mismatch(pipeline, node, &error)),
    }
}

/// The same for instances that workers share.
fn check_shared(pipeline: &str, node: &NodePlan, shared: &SharedNode, slots: &Slots) -> Result<bool, BuildError> {
    match shared.check_state(slots) {
        Ok(()) => Ok(true),
        Err(_) if node.on_state_mismatch == OnStateMismatch::Empty => Ok(false),
        Err(error) => Err(mismatch(pipeline, node, &error)),
    }
}

fn mismatch(pipeline: &str, node: &NodePlan, error: &str) -> BuildError {
    let hint = "give the node another name, or discard the state with `on_state_mismatch = \"empty\"`";
    let message = format!("cannot restore the state of its predecessor: {error}; {hint}");
    BuildError { what: "node", name: format!("{pipeline}.{}", node.name), message }
}
