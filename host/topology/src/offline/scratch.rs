//! A pipeline without sources, sinks, threads and side effects.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use wattle_batch::Batch;
use wattle_buffer::Queue;
use wattle_plan::{
    AgentSettings, ArtifactLimits, BatchSettings, BufferPlan, CircuitSettings, EndpointPlan, NodeLimits, NodePlan,
    PipelinePlan, Plan, QuarantineSettings, RegistrySettings, RollbackSettings, SinkPlan, TrustPolicy,
};
use wattle_sink::{Encoder, Payload, SinkStats};

use crate::counts::{Counts, PipelineCounts};
use crate::emitter::Emitter;
use crate::generation::{BuildContext, BuildError, Generation, NodeFactory, NodeSet};
use crate::lane::Lane;
use crate::lanes::Lanes;
use crate::shadow::Shadows;
use crate::sink_handle::SinkHandle;
use crate::states::States;
use crate::stops::Stops;
use crate::tap::{Taps, Trace};
use crate::worker::tick;

/// Name of the only source.
pub(super) const SOURCE: &str = "test";

/// Receives the events that leave: the index of the output, and a batch of at most about 4 MiB.
pub type Collect = dyn Fn(usize, &Batch) + Send + Sync;

/// A sink that passes its events on and holds none.
struct Collector {
    output: usize,
    collect: Arc<Collect>,
}

impl Encoder for Collector {
    fn encode(&self, batch: Batch) -> Vec<Payload> {
        (self.collect)(self.output, &batch);
        batch.into_ack().deliver();
        Vec::new()
    }
}

/// Settings of an agent with one worker, which writes nothing.
pub(crate) fn agent() -> AgentSettings {
    AgentSettings {
        drain_timeout: Duration::ZERO,
        sink_handover_timeout: Duration::ZERO,
        data_dir: PathBuf::new(),
        workers: 1,
        io_threads: 1,
        batch: BatchSettings::default(),
        limits: NodeLimits::default(),
        circuit: CircuitSettings::default(),
        artifacts: ArtifactLimits::default(),
        quarantine: QuarantineSettings::default(),
        rollback: RollbackSettings::default(),
        pack_tests: false,
        packs: PathBuf::new(),
        registry: RegistrySettings::default(),
        trust: TrustPolicy::default(),
        admin: None,
    }
}

/// A pipeline that runs on the thread of its caller, with the real data path and all limits of its nodes, and without
/// side effects: no state, no quarantine, no shadow. No circuit opens, so that no result depends on earlier faults.
pub struct Scratch {
    generation: Generation,
    nodes: NodeSet,
    lanes: Arc<Lanes>,
    lane: Arc<Lane>,
    counts: Arc<PipelineCounts>,
}

impl Scratch {
    /// Creates an instance of each node.
    ///
    /// # Errors
    ///
    /// A node could not be created.
    pub fn new(pipeline: &PipelinePlan, make: &NodeFactory, collect: &Arc<Collect>) -> Result<Self, BuildError> {
        let plan = plan(pipeline);
        let outputs = pipeline.outputs.iter().enumerate();
        let handles: HashMap<String, Arc<SinkHandle>> = outputs
            .map(|(output, planned)| {
                let encoder = Arc::new(Collector { output, collect: collect.clone() });
                let (queue, stats) = (Queue::new(usize::MAX, None, None), Arc::new(SinkStats::default()));
                (planned.name.clone(), Arc::new(SinkHandle { encoder, queue, stats, drop_newest: None }))
            })
            .collect();
        let counts = Counts::default();
        let context = BuildContext {
            workers: 1,
            sinks: &handles,
            counts: &counts,
            stops: &Stops::default(),
            states: &States::new(None, 1),
            shadows: &Shadows::default(),
            taps: &Taps::default(),
            make,
            is_dry: true,
            is_bounded: false,
        };
        let generation = Generation::build(1, &plan, &context)?;
        let nodes = generation.take_nodes(0);
        let lanes = Lanes::new(1);
        let lane = Lane::new(SOURCE.into(), usize::MAX, &lanes);
        Ok(Self { generation, nodes, lanes, lane, counts: counts.pipeline(&pipeline.name) })
    }

    /// Counts of the pipeline so far.
    pub fn counts(&self) -> &Arc<PipelineCounts> {
        &self.counts
    }

    /// Runs a batch through all nodes.
    pub fn run(&mut self, batch: Batch) {
        self.run_from(None, batch, false);
    }

    /// Runs a batch that enters at the input, or behind the port of a node. With `is_followed`, returns what its first
    /// event was at each point.
    pub fn run_from(&mut self, at: Option<(usize, usize)>, mut batch: Batch, is_followed: bool) -> Option<Trace> {
        // Nothing waits for a sink here, so the lane takes every batch.
        let sequence = self.lane.begin()?;
        let mut emitter = Emitter::new(&self.lane, sequence);
        if is_followed {
            emitter.traces.begin_scratch(&mut batch);
        }
        if let Some((pipeline, nodes)) = self.generation.pipelines.first().zip(self.nodes.first_mut()) {
            let port = at.and_then(|(node, port)| pipeline.nodes.get(node)?.ports.get(port));
            match port {
                Some(port) => pipeline.enter(nodes, &port.point, &port.targets, batch, &mut emitter),
                None => pipeline.receive(nodes, batch, &mut emitter),
            }
        }
        let trace = emitter.traces.take_scratch();
        emitter.finish();
        trace
    }

    /// Calls the timers that are due.
    pub fn tick(&mut self) {
        if let Some(sequence) = self.lanes.timers.begin() {
            tick(&self.generation, &mut self.nodes, 0, false, Emitter::new(&self.lanes.timers, sequence));
        }
    }

    /// Calls every timer for the last time: nodes make what they still owe. No batch may follow.
    pub fn end(&mut self) {
        self.generation.give_back_nodes(0, std::mem::take(&mut self.nodes));
        self.generation.tick_last(&self.lanes.timers);
    }
}

/// An agent with only this pipeline, and a sink for each of its outputs.
fn plan(pipeline: &PipelinePlan) -> Plan {
    let endpoint = |name: &str| EndpointPlan {
        name: name.into(),
        type_name: SOURCE.into(),
        options: Default::default(),
        files: Default::default(),
    };
    let sinks = pipeline.outputs.iter().enumerate().map(|(index, output)| SinkPlan {
        endpoint: endpoint(&output.name),
        inputs: vec![(0, index)],
        buffer: BufferPlan::default(),
    });
    let circuit = CircuitSettings { fault_percent: 100, ..CircuitSettings::default() };
    let nodes = pipeline.nodes.iter().map(|node| NodePlan { circuit: circuit.clone(), ..node.clone() }).collect();
    let planned = PipelinePlan {
        sources: vec![0],
        inputs: Vec::new(),
        nodes,
        // Other versions run only when they are asked for.
        shadow: None,
        canary: None,
        ..pipeline.clone()
    };
    Plan {
        agent: agent(),
        sources: vec![endpoint(SOURCE)],
        sinks: sinks.collect(),
        pipelines: vec![planned],
        packs: Vec::new(),
        files: BTreeSet::new(),
    }
}
