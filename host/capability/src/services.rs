//! What the agent keeps for nodes, whichever generation runs, and what one node sees of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use wattle_pack::{Grants, LogLevel};

use crate::ambient::{Clock, Random};
use crate::capability::Capability;
use crate::log::{LogBudget, LogTarget};
use crate::meters::{Meter, Meters};
use crate::metrics::{FamilySnapshot, Kind, Label, NodeMetrics};

/// What is kept for one node as long as the agent lives.
#[derive(Debug)]
struct Kept {
    log: LogBudget,
    metrics: NodeMetrics,
    meters: Meters,
}

impl Kept {
    fn new(pipeline: &str, node: &str) -> Arc<Self> {
        let (metrics, meters) = (NodeMetrics::default(), Meters::default());
        Arc::new(Self { log: LogBudget::new(pipeline, node), metrics, meters })
    }
}

/// Name of a pipeline and of a node in it.
type NodeName = (String, String);

/// All services of an agent.
#[derive(Debug, Default)]
pub struct Services {
    nodes: Mutex<BTreeMap<NodeName, Arc<Kept>>>,
}

/// What one node did with its capabilities.
#[derive(Clone, Debug)]
pub struct NodeSnapshot {
    /// The pipeline.
    pub pipeline: String,
    /// The node.
    pub node: String,
    /// Calls, errors and what was left out, for each capability that it used.
    pub used: Vec<(Capability, [u64; 3])>,
    /// Its own metrics.
    pub metrics: Vec<FamilySnapshot>,
}

impl Services {
    /// The services of a node; the same again for its successor of that name.
    pub fn node(&self, pipeline: &str, node: &str, grants: &Grants) -> NodeServices {
        let name = (pipeline.to_owned(), node.to_owned());
        let kept = self.nodes.lock().entry(name).or_insert_with(|| Kept::new(pipeline, node)).clone();
        NodeServices::new(kept, grants, LogTarget::Agent)
    }

    /// Services without an effect on anything: log and metrics go nowhere, no request is sent, and what is kept is gone
    /// with the node. Tables are the same.
    pub fn dry(&self, pipeline: &str, node: &str, grants: &Grants) -> NodeServices {
        NodeServices::new(Kept::new(pipeline, node), grants, LogTarget::Nowhere)
    }

    /// What all nodes did so far.
    pub fn snapshot(&self) -> Vec<NodeSnapshot> {
        let nodes: Vec<(NodeName, Arc<Kept>)> =
            self.nodes.lock().iter().map(|(name, kept)| (name.clone(), kept.clone())).collect();
        let snapshots = nodes.into_iter().map(|((pipeline, node), kept)| {
            let used = Capability::ALL.into_iter().map(|c| (c, kept.meters.of(c).read()));
            let used = used.filter(|(_, counts)| *counts != [0; 3]).collect();
            NodeSnapshot { pipeline, node, used, metrics: kept.metrics.snapshot() }
        });
        snapshots.collect()
    }

    /// Says how many lines of logs were left out of late. For who calls about every second.
    pub fn settle(&self) {
        let nodes: Vec<Arc<Kept>> = self.nodes.lock().values().cloned().collect();
        nodes.iter().for_each(|kept| kept.log.settle());
    }
}

/// What a test says that the services are.
#[derive(Debug, Default)]
pub struct Mock {
    /// What is granted.
    pub grants: Grants,
    /// The time.
    pub clock: Clock,
    /// Randomness.
    pub random: Random,
    /// Where lines of the log go.
    pub log: LogTarget,
}

#[derive(Debug)]
struct Inner {
    kept: Arc<Kept>,
    grants: Grants,
    target: LogTarget,
    clock: Clock,
    random: Random,
}

/// What one node has of the services. Cheap to clone.
#[derive(Clone, Debug)]
pub struct NodeServices(Arc<Inner>);

impl NodeServices {
    fn new(kept: Arc<Kept>, grants: &Grants, target: LogTarget) -> Self {
        let (clock, random) = (Clock::default(), Random::default());
        Self(Arc::new(Inner { kept, grants: grants.clone(), target, clock, random }))
    }

    /// Services for a test: what it says, and everything else without an effect.
    pub fn mocked(mock: Mock) -> Self {
        let Mock { grants, clock, random, log: target } = mock;
        Self(Arc::new(Inner { kept: Kept::new("", ""), grants, target, clock, random }))
    }

    /// Everything granted, nothing of it with an effect, and the same every time: the clock stands still, random bytes
    /// have a seed, there are no tables, no key is there, and no request is sent.
    pub fn harmless() -> Self {
        Self::mocked(Mock {
            grants: Grants::of_tests(),
            clock: Clock::Fixed(0),
            random: Random::Seeded(0.into()),
            log: LogTarget::Nowhere,
        })
    }

    /// What is granted.
    pub fn grants(&self) -> &Grants {
        &self.0.grants
    }

    /// The meter of a capability.
    pub fn meter(&self, capability: Capability) -> &Meter {
        self.0.kept.meters.of(capability)
    }

    /// Writes a line to the log. `line_of_call` is how many the call of the node wrote before.
    pub fn log(&self, level: LogLevel, message: &str, line_of_call: u32) {
        let Some(grant) = &self.0.grants.log else { return };
        if !self.0.kept.log.write(&self.0.target, grant, level, message, line_of_call) {
            self.meter(Capability::Log).suppress();
        }
    }

    /// The handle of a series of metrics.
    ///
    /// # Errors
    ///
    /// Which rule is broken.
    pub fn series(&self, name: &str, labels: Vec<Label>, kind: &Kind) -> Result<u32, String> {
        let most = self.0.grants.metrics.as_ref().map_or(0, |grant| grant.max_series as usize);
        let (handle, is_own) = self.0.kept.metrics.series(name, labels, kind, most)?;
        if !is_own {
            self.meter(Capability::Metrics).suppress();
        }
        Ok(handle)
    }

    /// The metrics of the node.
    pub fn metrics(&self) -> &NodeMetrics {
        &self.0.kept.metrics
    }

    /// The time.
    pub fn clock(&self) -> Clock {
        self.0.clock
    }

    /// Randomness.
    pub fn random(&self) -> &Random {
        &self.0.random
    }
}
