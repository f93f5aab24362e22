//! Runs a pipeline over given events, without sources, sinks or threads: for the tests of a pack.
//!
//! It uses the real data path: a lane, a generation, the same worker step.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use wattle_batch::{Ack, Batch, Column, Origin};
use wattle_buffer::Queue;
use wattle_capability::Clock;
use wattle_plan::{
    AgentSettings, ArtifactLimits, BatchSettings, BufferPlan, CircuitSettings, EndpointPlan, NodeLimits, NodePlan,
    PipelinePlan, Plan, QuarantineSettings, RegistrySettings, RollbackSettings, SinkPlan, TrustPolicy,
};
use wattle_sink::{Encoder, Payload, SinkStats};
use wattle_source::Batches;

use crate::counts::{Counts, Snapshot};
use crate::emitter::Emitter;
use crate::generation::{BuildContext, BuildError, Generation, NodeFactory};
use crate::lane::Lane;
use crate::lanes::Lanes;
use crate::shadow::Shadows;
use crate::sink_handle::SinkHandle;
use crate::states::States;
use crate::stops::Stops;
use crate::tap::Taps;
use crate::worker::{process, tick};

const SOURCE: &str = "test";

/// Result of a run.
#[derive(Debug)]
pub struct Offline {
    /// For each output its events in order, as the `json` codec writes them.
    pub outputs: BTreeMap<String, Vec<Vec<u8>>>,
    /// Counts of the pipeline.
    pub counts: Snapshot,
}

/// Encodes every event as a line of JSON.
struct JsonLines;

impl Encoder for JsonLines {
    fn encode(&self, batch: Batch) -> Vec<Payload> {
        let mut payload =
            Payload { key: None, bytes: Vec::new(), events: batch.rows(), ends: Vec::new(), ack: Ack::none() };
        for row in 0..batch.rows() {
            batch.write_json(row, &mut payload.bytes);
            payload.ends.push(payload.bytes.len());
        }
        payload.ack = batch.into_ack();
        vec![payload]
    }
}

/// The time of a run.
#[derive(Clone, Debug, Default)]
pub struct Pace {
    /// The clock that the nodes see. If a test determines it, it is also the time at which an event was read, which is
    /// 1970 otherwise.
    pub clock: Clock,
    /// Time between two events; only a clock of [`Clock::moved`] follows it.
    pub step: std::time::Duration,
}

/// Settings of an agent with one worker, which writes nothing.
pub(crate) fn agent() -> AgentSettings {
    AgentSettings {
        drain_timeout: std::time::Duration::ZERO,
        sink_handover_timeout: std::time::Duration::ZERO,
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

/// Runs a pipeline over events with these bodies. Timers run when they are due, and once more at the end.
///
/// # Errors
///
/// A node could not be created.
pub fn run_offline(
    pipeline: &PipelinePlan,
    make: &NodeFactory,
    bodies: &Column,
    pace: &Pace,
) -> Result<Offline, BuildError> {
    let endpoint = |name: &str| EndpointPlan {
        name: name.into(),
        type_name: SOURCE.into(),
        options: Default::default(),
        files: Default::default(),
    };
    let outputs: Vec<&str> = pipeline.outputs.iter().map(|o| o.name.as_str()).collect();
    let sinks = outputs.iter().enumerate();
    // The result must not depend on earlier faults, so no circuit opens.
    let circuit = CircuitSettings { fault_percent: 100, ..CircuitSettings::default() };
    let nodes = pipeline.nodes.iter().map(|node| NodePlan { circuit: circuit.clone(), ..node.clone() }).collect();
    let plan = Plan {
        agent: agent(),
        sources: vec![endpoint(SOURCE)],
        sinks: sinks
            .map(|(i, name)| SinkPlan { endpoint: endpoint(name), inputs: vec![(0, i)], buffer: BufferPlan::default() })
            .collect(),
        pipelines: vec![PipelinePlan { sources: vec![0], inputs: Vec::new(), nodes, ..pipeline.clone() }],
        packs: Vec::new(),
        files: BTreeSet::new(),
    };
    let handles: HashMap<String, Arc<SinkHandle>> = outputs
        .iter()
        .map(|name| {
            let queue = Queue::new(usize::MAX, None, None);
            let stats = Arc::new(SinkStats::default());
            let handle = SinkHandle { encoder: Arc::new(JsonLines), queue, stats, drop_newest: None };
            ((*name).to_owned(), Arc::new(handle))
        })
        .collect();
    let counts = Counts::default();
    let (stops, states, shadows) = (Stops::default(), States::new(None, 1), Shadows::default());
    let taps = Taps::default();
    let context = BuildContext {
        workers: 1,
        sinks: &handles,
        counts: &counts,
        stops: &stops,
        states: &states,
        shadows: &shadows,
        taps: &taps,
        make,
        is_dry: true,
        is_bounded: false,
    };
    let generation = Generation::build(1, &plan, &context)?;
    let mut nodes = generation.take_nodes(0);
    let lanes = Lanes::new(1);
    let lane = Lane::new(SOURCE.into(), usize::MAX, &lanes);
    lanes.add(lane.clone());
    let mut last = 0;
    // Small batches, so the result cannot depend on all events arriving at once.
    for row in 0..u32::try_from(bodies.rows()).unwrap_or(u32::MAX) {
        if row > 0 && !pace.step.is_zero() {
            pace.clock.advance(pace.step);
            if let Some(sequence) = lanes.timers.begin() {
                tick(&generation, &mut nodes, 0, false, Emitter::new(&lanes.timers, sequence));
            }
        }
        let observed = if pace.clock.is_mocked() { pace.clock.now() } else { 0 };
        let origin = Origin { source: SOURCE.into(), resource: r#"{"source":{"name":"test"}}"#.into(), observed };
        let batch = Batch::new(bodies.select(&[row]), Arc::new(origin), Ack::none());
        let _ = lane.queue.try_push(Batches(batch));
        while let Some(work) = lanes.take(&mut last, |_| false) {
            process(&generation, &mut nodes, work);
        }
    }
    generation.give_back_nodes(0, nodes);
    generation.tick_last(&lanes.timers);
    let mut result = BTreeMap::new();
    for (name, handle) in &handles {
        let events: &mut Vec<Vec<u8>> = result.entry(name.clone()).or_default();
        while let Some(payload) = handle.queue.try_pop() {
            let mut start = 0;
            for end in payload.ends {
                events.push(payload.bytes.get(start..end).unwrap_or_default().to_vec());
                start = end;
            }
            payload.ack.deliver();
        }
    }
    Ok(Offline { outputs: result, counts: counts.pipeline(&pipeline.name).snapshot() })
}
