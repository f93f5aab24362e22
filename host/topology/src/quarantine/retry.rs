//! Sends events of a quarantine through their pipeline again.
//!
//! An event continues at the node that could not process it, because the earlier nodes have done
//! their work; if the pipeline no longer has that node, the event starts from the input. The event
//! leaves the quarantine after every sink has it, never before: a crash in between sends it again,
//! as everywhere in the agent. Events that fail again return to the quarantine with a new ID. No
//! agent may use the data folder meanwhile, because both would write to the same sinks.

use std::collections::{BTreeMap, HashSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use wattle_batch::{Ack, Batch, Disposition};
use wattle_plan::{EndpointPlan, PipelinePlan, Plan, SinkPlan, Target};
use wattle_source::{Batches, Source, SourceContext, SourceError};

use super::store::{QuarantineError, QuarantineStore, Quarantined};
use crate::generation::{BuildError, NodeFactory};
use crate::running::{Topology, TopologySettings};

/// Name of the source of the events.
const SOURCE: &str = "quarantine";
/// How long the sinks may take to finish.
const DRAIN: Duration = Duration::from_secs(60);

/// Why events could not be sent again.
#[derive(Debug, thiserror::Error)]
pub enum RetryError {
    /// The configuration has no such pipeline.
    #[error("the configuration has no pipeline `{0}`")]
    NoPipeline(String),
    /// The quarantine cannot be read or written.
    #[error(transparent)]
    Quarantine(#[from] QuarantineError),
    /// The pipeline cannot be built.
    #[error(transparent)]
    Build(#[from] BuildError),
}

/// Result of sending events again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retried {
    /// Events that every sink has, or that a node dropped on purpose.
    pub delivered: usize,
    /// Those of them that failed again and are back in the quarantine under new IDs, or at another
    /// node.
    pub failed: u64,
    /// Events that are still in the quarantine because they could not be delivered or read.
    pub kept: usize,
}

/// Sends the events of a pipeline's quarantine with these IDs again.
///
/// # Errors
///
/// No event was sent, or delivered events could not be removed.
pub async fn retry(
    plan: &Plan,
    pipeline: &str,
    ids: &HashSet<String>,
    settings: &TopologySettings,
    make: &Arc<NodeFactory>,
) -> Result<Retried, RetryError> {
    let found = plan.pipelines.iter().position(|p| p.name == pipeline);
    let Some((index, planned)) = found.and_then(|i| plan.pipelines.get(i).map(|p| (i, p))) else {
        return Err(RetryError::NoPipeline(pipeline.to_owned()));
    };
    let store = QuarantineStore::new(&settings.data_dir, pipeline);
    let mut by_entry: BTreeMap<Vec<Target>, HashSet<String>> = BTreeMap::new();
    store.for_each(|event| {
        if ids.contains(&event.id) {
            by_entry.entry(entry(planned, &event)).or_default().insert(event.id);
        }
        true
    })?;
    let mut retried = Retried::default();
    for (entry, wanted) in by_entry {
        let count = wanted.len();
        let plan = narrowed(plan, index, planned, entry);
        let delivered = Arc::new(Mutex::new(HashSet::new()));
        let source = Events { store: store.clone(), wanted, delivered: delivered.clone() };
        let settings = TopologySettings { once: true, ..settings.clone() };
        let mut topology = Topology::start_with(&plan, settings, make.clone(), (SOURCE, Box::new(source))).await?;
        topology.finished(true).await;
        let counts = topology.observer().counts().pipeline(pipeline);
        topology.drain(DRAIN).await;
        retried.failed += counts.snapshot().failed;
        let delivered = std::mem::take(&mut *delivered.lock());
        retried.delivered += delivered.len();
        retried.kept += count - delivered.len();
        store.remove(&delivered)?;
    }
    Ok(retried)
}

/// Where an event continues.
fn entry(pipeline: &PipelinePlan, event: &Quarantined) -> Vec<Target> {
    match pipeline.nodes.iter().position(|node| node.name == event.node) {
        Some(node) => vec![Target::Node(node)],
        None => pipeline.entry.clone(),
    }
}

/// The plan in which the quarantine is the only source and feeds this pipeline, with the pipelines
/// and sinks that its events reach.
fn narrowed(plan: &Plan, index: usize, pipeline: &PipelinePlan, entry: Vec<Target>) -> Plan {
    // The index of each pipeline that stays, in the new plan.
    let mut places = BTreeMap::from([(index, 0)]);
    let mut kept = vec![pipeline];
    while let Some((next, found)) = plan.pipelines.iter().enumerate().find(|(candidate, pipeline)| {
        !places.contains_key(candidate) && pipeline.inputs.iter().any(|(from, _)| places.contains_key(from))
    }) {
        places.insert(next, kept.len());
        kept.push(found);
    }
    let moved = |inputs: &[(usize, usize)]| -> Vec<(usize, usize)> {
        inputs.iter().filter_map(|&(from, output)| places.get(&from).map(|&place| (place, output))).collect()
    };
    let pipelines = kept.into_iter().enumerate().map(|(place, pipeline)| match place {
        0 => PipelinePlan { sources: vec![0], inputs: Vec::new(), entry: entry.clone(), ..pipeline.clone() },
        _ => PipelinePlan { sources: Vec::new(), inputs: moved(&pipeline.inputs), ..pipeline.clone() },
    });
    let fed = |sink: &SinkPlan| {
        let inputs = moved(&sink.inputs);
        (!inputs.is_empty()).then(|| SinkPlan { inputs, ..sink.clone() })
    };
    let source = EndpointPlan {
        name: SOURCE.into(),
        type_name: SOURCE.into(),
        options: Default::default(),
        files: Default::default(),
    };
    Plan {
        sources: vec![source],
        sinks: plan.sinks.iter().filter_map(fed).collect(),
        pipelines: pipelines.collect(),
        ..plan.clone()
    }
}

/// The events of a quarantine as a source, one batch for each event.
struct Events {
    store: QuarantineStore,
    wanted: HashSet<String>,
    delivered: Arc<Mutex<HashSet<String>>>,
}

impl Source for Events {
    fn run(self: Box<Self>, context: SourceContext) -> Pin<Box<dyn Future<Output = Result<(), SourceError>> + Send>> {
        Box::pin(async move {
            let open = watch::Sender::new(0_usize);
            let mut left = open.subscribe();
            // Reading blocks on the bounded queue, which bounds the memory.
            let handle = tokio::runtime::Handle::current();
            let read = tokio::task::spawn_blocking(move || self.send(&context, &open, &handle));
            let sent = read.await.map_err(|error| SourceError::External(error.into()))?;
            // An error means that the counting task has ended.
            let _ = left.wait_for(|open| *open == 0).await;
            sent
        })
    }
}

impl Events {
    fn send(
        &self,
        context: &SourceContext,
        open: &watch::Sender<usize>,
        handle: &tokio::runtime::Handle,
    ) -> Result<(), SourceError> {
        let origin = context.origin(SOURCE, &[]);
        let done = self.store.for_each(|event| {
            if !self.wanted.contains(&event.id) {
                return !context.stop.is_stopped();
            }
            let (delivered, closed, id) = (self.delivered.clone(), open.clone(), event.id.clone());
            let ack = Ack::new(move |disposition| {
                if disposition == Disposition::Delivered {
                    delivered.lock().insert(id.clone());
                }
                closed.send_modify(|open| *open -= 1);
            });
            open.send_modify(|open| *open += 1);
            match Batch::read_json(&event.event, origin.clone(), ack) {
                Ok(batch) => handle.block_on(context.output.push(Batches(batch))).is_ok(),
                Err(reason) => {
                    tracing::warn!(id = event.id, reason, "cannot read an event of the quarantine; it stays there");
                    true
                }
            }
        });
        done.map(drop).map_err(|error| SourceError::External(error.into()))
    }
}
