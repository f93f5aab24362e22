//! The validated configuration. Only a plan is built and run.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use semver::Version;
use serde_json::Value as Json;
use wattle_api::TapPolicy;

use crate::artifact::{Artifact, NodeShape, hex_digest};
use crate::grants::Grants;
use crate::limits::{ArtifactLimits, CircuitSettings, NodeLimits, OnFault, OnStateMismatch};
use crate::registry::RegistrySettings;
use crate::rollout::{CanarySettings, RollbackSettings, ShadowSettings};
use crate::state::StateSettings;
use crate::trust::TrustPolicy;

/// A whole agent: its sources, pipelines and sinks.
///
/// Indices refer to the vectors of this plan. They are always in range, and the links have no
/// cycle.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Settings of the agent itself.
    pub agent: AgentSettings,
    /// Sources in the order of the file.
    pub sources: Vec<EndpointPlan>,
    /// Sinks in the order of the file.
    pub sinks: Vec<SinkPlan>,
    /// Pipelines in the order of the file.
    pub pipelines: Vec<PipelinePlan>,
    /// Every pack that the pipelines use, by reference.
    pub packs: Vec<PackUse>,
    /// Files and folders whose change can change the plan; some may not exist yet.
    pub files: BTreeSet<PathBuf>,
}

/// Settings of the agent itself.
#[derive(Debug, Clone, PartialEq)]
pub struct AgentSettings {
    /// Folder for checkpoints and caches.
    pub data_dir: PathBuf,
    /// Number of worker threads, at least 1.
    pub workers: usize,
    /// Number of threads that serve sources, sinks and timers, at least 1. Read only at start.
    pub io_threads: usize,
    /// Time that a drain may take before the rest is left for the next start. Read only at start.
    pub drain_timeout: Duration,
    /// Time that a sink which a reload replaces or removes may take to deliver its events; after
    /// that they return to their sources.
    pub sink_handover_timeout: Duration,
    /// When a batch is closed.
    pub batch: BatchSettings,
    /// Limits of nodes without their own.
    pub limits: NodeLimits,
    /// Circuits of nodes without their own.
    pub circuit: CircuitSettings,
    /// Limits of artifacts. Read only at start.
    pub artifacts: ArtifactLimits,
    /// Limits of the quarantine.
    pub quarantine: QuarantineSettings,
    /// When the agent rolls back a version that a reload just applied.
    pub rollback: RollbackSettings,
    /// Whether a changed pack must pass its own tests before it runs.
    pub pack_tests: bool,
    /// Library folder of packs.
    pub packs: PathBuf,
    /// Settings of registries.
    pub registry: RegistrySettings,
    /// The trust policy for packs.
    pub trust: TrustPolicy,
    /// The admin listener for health, metrics, status and the API, if configured.
    pub admin: Option<AdminSettings>,
}

/// The admin listener, and what it and the control socket may show.
#[derive(Debug, Clone, PartialEq)]
pub struct AdminSettings {
    /// Address and port. A loopback address unless the operator allows others; port 0 stands for
    /// any free port. Without an address, only the control socket serves requests.
    pub listen: Option<SocketAddr>,
    /// Names in the `Host` header that the listener accepts, in lower case, beside IP addresses and `localhost`.
    pub allowed_hosts: Vec<String>,
    /// Which events may be shown.
    pub tap: TapPolicy,
    /// Maximum memory of the newest events that trials may use, in bytes; 0 keeps none.
    pub recent_bytes: u64,
    /// Whether the page is served.
    pub page: bool,
    /// Whether a pack may be tried on an input.
    pub can_try: bool,
    /// Price of a GB that leaves on an output.
    pub price_per_gb: Option<f64>,
    /// Currency of the price.
    pub currency: Option<String>,
}

/// Without `[admin]`: the control socket, which only the user of the agent can open.
impl Default for AdminSettings {
    fn default() -> Self {
        Self {
            listen: None,
            allowed_hosts: Vec::new(),
            tap: TapPolicy::default(),
            recent_bytes: 0,
            page: true,
            can_try: true,
            price_per_gb: None,
            currency: None,
        }
    }
}

/// When a batch is closed: at the first limit that is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchSettings {
    /// Bytes of bodies.
    pub max_bytes: u64,
    /// Number of events.
    pub max_events: usize,
    /// Age of the first event.
    pub max_age: Duration,
}

impl Default for BatchSettings {
    fn default() -> Self {
        Self { max_bytes: 256 << 10, max_events: 10_000, max_age: Duration::from_millis(100) }
    }
}

/// Limits of the quarantine, which holds events that must not leave unmasked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuarantineSettings {
    /// Bytes of the quarantine of one pipeline. Rows that do not fit stay with their source.
    pub max_bytes: u64,
}

impl Default for QuarantineSettings {
    fn default() -> Self {
        Self { max_bytes: 1 << 30 }
    }
}

impl Plan {
    /// Indices of the sources whose events reach a pipeline, also through other pipelines.
    pub fn sources_of(&self, pipeline: usize) -> BTreeSet<usize> {
        let mut sources = BTreeSet::new();
        let (mut open, mut seen) = (vec![pipeline], BTreeSet::new());
        while let Some(index) = open.pop() {
            if let Some(pipeline) = self.pipelines.get(index).filter(|_| seen.insert(index)) {
                sources.extend(&pipeline.sources);
                open.extend(pipeline.inputs.iter().map(|(from, _)| *from));
            }
        }
        sources
    }
}

/// A source, or a sink without its inputs.
///
/// `Debug` shows the names of options but not their values, which can be secrets.
#[derive(Clone)]
pub struct EndpointPlan {
    /// Name in the configuration.
    pub name: String,
    /// Type such as `file`.
    pub type_name: String,
    /// Options with variables filled in, without `type` and `inputs`.
    pub options: Json,
    /// Digests of the files that the options name, such as certificates, at the time the
    /// configuration was read; empty for a file that could not be read.
    pub files: BTreeMap<PathBuf, String>,
}

impl EndpointPlan {
    /// Digest of the type, the options and the files that they name. With equal digests, at most
    /// the name or the inputs changed.
    pub fn digest(&self) -> String {
        let mut canonical = serde_json::json!({ "type": self.type_name, "options": self.options });
        if !self.files.is_empty() {
            let files = self.files.iter().map(|(path, digest)| (path.to_string_lossy(), digest));
            let files: Json = files.map(|(path, digest)| serde_json::json!([path, digest])).collect();
            canonical = serde_json::json!([canonical, files]);
        }
        canonical.sort_all_objects();
        hex_digest(canonical.to_string().as_bytes())
    }
}

impl fmt::Debug for EndpointPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<&String> = self.options.as_object().map(|o| o.keys().collect()).unwrap_or_default();
        f.debug_struct("EndpointPlan")
            .field("name", &self.name)
            .field("type_name", &self.type_name)
            .field("options", &keys)
            .finish()
    }
}

/// A sink and its inputs.
#[derive(Debug, Clone)]
pub struct SinkPlan {
    /// Name, type and options.
    pub endpoint: EndpointPlan,
    /// Indices of a pipeline and of one of its outputs.
    pub inputs: Vec<(usize, usize)>,
    /// The buffer before the sink.
    pub buffer: BufferPlan,
}

/// The buffer before a sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BufferPlan {
    /// In memory or on disk.
    pub kind: BufferKind,
    /// Maximum bytes of waiting events, in memory or on disk.
    pub max_size: u64,
    /// What happens to further events when the buffer is full.
    pub when_full: WhenFull,
}

impl Default for BufferPlan {
    fn default() -> Self {
        Self { kind: BufferKind::Memory, max_size: 8 << 20, when_full: WhenFull::Block }
    }
}

/// Where events wait for a sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BufferKind {
    /// In memory; a source keeps events until the sink has delivered them.
    Memory,
    /// On disk; a source is done with events when they are synced.
    Disk {
        /// How long events are collected before they are written and synced; with zero, each write
        /// is synced at once.
        gather: Duration,
    },
}

/// What happens to events when the buffer is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFull {
    /// Events wait, and so does their source.
    Block,
    /// Events are dropped and counted.
    DropNewest,
}

/// The pack of a pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackId {
    /// Name in the pack's manifest.
    pub name: String,
    /// Version in the pack's manifest.
    pub version: Version,
    /// Digest of its file list.
    pub digest: String,
}

/// A pack that a configuration uses, directly or as a part of another pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackUse {
    /// The reference as written.
    pub reference: String,
    /// Name of the pack that the reference resolved to.
    pub name: String,
    /// Its version.
    pub version: Version,
    /// Origin: `builtin`, `library`, `folder`, or the address of a registry with a digest.
    pub source: String,
    /// Digest of its file list.
    pub digest: String,
    /// Result of the check of its signature, for display.
    pub signature: String,
    /// Digests of its artifacts, by path in the pack.
    pub artifacts: BTreeMap<String, String>,
}

impl fmt::Display for PackId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.version)
    }
}

/// A graph of nodes with its sources.
#[derive(Debug, Clone)]
pub struct PipelinePlan {
    /// Name in the configuration, or the name of the pack if a pack was loaded on its own.
    pub name: String,
    /// The pack; `None` for an inline graph.
    pub pack: Option<PackId>,
    /// Indices of sources; empty if a pack was loaded on its own.
    pub sources: Vec<usize>,
    /// Outputs of other pipelines whose events it receives: indices of a pipeline and of one of its
    /// outputs. Without cycles.
    pub inputs: Vec<(usize, usize)>,
    /// Targets of the input: nodes, or outputs that pass events through.
    pub entry: Vec<Target>,
    /// Nodes in topological order: every link leads to a later node or an output.
    pub nodes: Vec<NodePlan>,
    /// Outputs in the order of the file.
    pub outputs: Vec<OutputPlan>,
    /// The pack as a command line would name it; `None` for an inline graph.
    pub reference: Option<String>,
    /// The parameters of the pack with their values, for display; secret values are hidden.
    pub parameters: serde_json::Map<String, Json>,
    /// Candidate that processes copies of batches.
    pub shadow: Option<Box<CandidatePlan<ShadowSettings>>>,
    /// Candidate that processes a share of the batches.
    pub canary: Option<Box<CandidatePlan<CanarySettings>>>,
}

impl PipelinePlan {
    /// The pipeline itself and its candidates.
    pub fn versions(&self) -> impl Iterator<Item = &Self> {
        let shadow = self.shadow.as_ref().map(|shadow| &shadow.candidate);
        let canary = self.canary.as_ref().map(|canary| &canary.candidate);
        [Some(self), shadow, canary].into_iter().flatten()
    }
}

/// A candidate version of a pipeline. Its outputs are a subset of the pipeline's, by name.
#[derive(Debug, Clone)]
pub struct CandidatePlan<S> {
    /// The candidate; it has neither sources nor candidates.
    pub candidate: PipelinePlan,
    /// Settings of the shadow or canary.
    pub settings: S,
}

/// A node with its artifact, options and links.
///
/// `Debug` omits the options, which can hold secrets.
#[derive(Clone)]
pub struct NodePlan {
    /// Name in its graph.
    pub name: String,
    /// What runs.
    pub artifact: Arc<Artifact>,
    /// Options as JSON text, as the node receives them.
    pub options: String,
    /// Limits of one instance.
    pub limits: NodeLimits,
    /// Capabilities that the node may use.
    pub grants: Arc<Grants>,
    /// When the agent stops calling the node.
    pub circuit: CircuitSettings,
    /// What happens to its events while the circuit is open.
    pub on_fault: OnFault,
    /// What a reload does with state that the node cannot read.
    pub on_state_mismatch: OnStateMismatch,
    /// How its state is shared and kept.
    pub state: StateSettings,
    /// What the artifact returned when it was configured.
    pub shape: NodeShape,
    /// Ports in the order of the shape, with `failed` last.
    pub ports: Vec<PortPlan>,
}

impl fmt::Debug for NodePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodePlan")
            .field("name", &self.name)
            .field("artifact", &self.artifact)
            .field("limits", &self.limits)
            .field("grants", &self.grants)
            .field("circuit", &self.circuit)
            .field("on_fault", &self.on_fault)
            .field("on_state_mismatch", &self.on_state_mismatch)
            .field("state", &self.state)
            .field("shape", &self.shape)
            .field("ports", &self.ports)
            .finish_non_exhaustive()
    }
}

/// Port of every node for rows that it could not process.
pub const FAILED: &str = "failed";

/// A port and its targets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortPlan {
    /// Name of the port.
    pub name: String,
    /// At least one target; each receives every event of the port.
    pub targets: Vec<Target>,
}

/// Target of a link, as an index into its pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// A node.
    Node(usize),
    /// An output.
    Output(usize),
}

/// An output of a pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputPlan {
    /// Name for links.
    pub name: String,
    /// Display name.
    pub title: String,
    /// Description of the events that leave here; can be empty.
    pub description: String,
    /// Whether the operator discards the output; its events count as dropped.
    pub discard: bool,
}
