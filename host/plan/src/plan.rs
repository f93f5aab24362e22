//! The validated meaning of a configuration; the only thing that is built and run.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use semver::Version;
use serde_json::Value as Json;

use crate::artifact::{Artifact, NodeShape, hex_digest};
use crate::grants::Grants;
use crate::limits::{ArtifactLimits, CircuitSettings, NodeLimits, OnFault, OnStateMismatch};
use crate::registry::RegistrySettings;
use crate::rollout::{CanarySettings, RollbackSettings, ShadowSettings};
use crate::trust::TrustPolicy;

/// A whole agent: where events begin, what happens to them, where they end.
///
/// Indices refer to the vectors of this plan. They are always in range, and the links have no cycle.
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
    /// Every pack that they use, by reference.
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
    /// How long a drain may take before the rest is left for the next start; read at the start only.
    pub drain_timeout: Duration,
    /// How long a sink that a reload replaces or removes may take to deliver what it holds before that returns to its
    /// sources.
    pub sink_handover_timeout: Duration,
    /// When a batch is closed.
    pub batch: BatchSettings,
    /// Limits of nodes that name none of their own.
    pub limits: NodeLimits,
    /// Circuits of nodes that name none of their own.
    pub circuit: CircuitSettings,
    /// What an artifact may be; read at the start only.
    pub artifacts: ArtifactLimits,
    /// Bounds of the quarantine.
    pub quarantine: QuarantineSettings,
    /// When a version that was just taken up is given up again.
    pub rollback: RollbackSettings,
    /// Whether a changed pack must pass its own tests before it runs.
    pub pack_tests: bool,
    /// Library folder of packs.
    pub packs: PathBuf,
    /// How packs come from registries.
    pub registry: RegistrySettings,
    /// Whose packs are trusted.
    pub trust: TrustPolicy,
    /// Where health, metrics and status are served, if anywhere.
    pub admin: Option<AdminSettings>,
}

/// The admin listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminSettings {
    /// Address and port. It is one of loopback unless the operator allows others; port 0 is any free port.
    pub listen: SocketAddr,
}

/// When a batch is closed: by whichever comes first.
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

/// How much may be kept of what must not leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuarantineSettings {
    /// Bytes of the quarantine of one pipeline. Rows that find no room stay with their source.
    pub max_bytes: u64,
}

impl Default for QuarantineSettings {
    fn default() -> Self {
        Self { max_bytes: 1 << 30 }
    }
}

/// A source, or what a sink is apart from its inputs.
///
/// `Debug` shows names of options and no values, since these can be secrets.
#[derive(Clone)]
pub struct EndpointPlan {
    /// Name in the configuration.
    pub name: String,
    /// Type such as `file`.
    pub type_name: String,
    /// Options with variables filled in, without `type` and `inputs`.
    pub options: Json,
    /// Digests of the files that the options name, such as certificates, when the configuration was read; empty for one
    /// that could not be read.
    pub files: BTreeMap<PathBuf, String>,
}

impl EndpointPlan {
    /// Digest of type, options and the files that these name; equal digests mean that nothing changed but perhaps the name
    /// or the inputs.
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

/// A sink and what it takes.
#[derive(Debug, Clone)]
pub struct SinkPlan {
    /// Name, type and options.
    pub endpoint: EndpointPlan,
    /// Index of a pipeline and of an output in it.
    pub inputs: Vec<(usize, usize)>,
    /// What waits in front of it, and where.
    pub buffer: BufferPlan,
}

/// Where events wait for a sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BufferPlan {
    /// In memory or on disk.
    pub kind: BufferKind,
    /// Bytes that may wait: of memory, or of disk.
    pub max_size: u64,
    /// What becomes of further events when so many wait.
    pub when_full: WhenFull,
}

impl Default for BufferPlan {
    fn default() -> Self {
        Self { kind: BufferKind::Memory, max_size: 8 << 20, when_full: WhenFull::Block }
    }
}

/// What holds the events that wait for a sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BufferKind {
    /// Memory; a source keeps events until the sink has delivered them.
    Memory,
    /// Files; a source is done with events when they are synced.
    Disk {
        /// How long events are gathered before they are written and synced; zero syncs whatever is there at once.
        gather: Duration,
    },
}

/// What becomes of events for which a buffer has no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFull {
    /// They wait, and so does their source.
    Block,
    /// They are dropped and counted.
    DropNewest,
}

/// Which pack a pipeline was made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackId {
    /// Name as the pack's manifest has it.
    pub name: String,
    /// Version as the pack's manifest has it.
    pub version: Version,
    /// Digest of its file list.
    pub digest: String,
}

/// A pack that a configuration uses, directly or as a part of another pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackUse {
    /// The reference as written.
    pub reference: String,
    /// Name of the pack that answered it.
    pub name: String,
    /// Its version.
    pub version: Version,
    /// Where it comes from: `builtin`, `library`, `folder`, or the address of a registry with a digest.
    pub source: String,
    /// Digest of its file list.
    pub digest: String,
    /// Digests of the artifacts that it holds, by path in the pack.
    pub artifacts: BTreeMap<String, String>,
}

impl fmt::Display for PackId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.version)
    }
}

/// A graph of nodes with the sources that feed it.
#[derive(Debug, Clone)]
pub struct PipelinePlan {
    /// Name in the configuration, or the pack's where a pack is loaded by itself.
    pub name: String,
    /// The pack, unless the graph was written inline.
    pub pack: Option<PackId>,
    /// Indices of sources; empty where a pack is loaded by itself.
    pub sources: Vec<usize>,
    /// What takes the events that come in: nodes, or outputs that pass them through.
    pub entry: Vec<Target>,
    /// Nodes in topological order: every link leads to a later node or an output.
    pub nodes: Vec<NodePlan>,
    /// Outputs in the order of the file.
    pub outputs: Vec<OutputPlan>,
    /// The pack as a command line would name it; none for a graph written inline.
    pub reference: Option<String>,
    /// Another version that is tried on copies.
    pub shadow: Option<Box<CandidatePlan<ShadowSettings>>>,
    /// Another version that takes a share.
    pub canary: Option<Box<CandidatePlan<CanarySettings>>>,
}

impl PipelinePlan {
    /// The pipeline as it is, and the versions of it that are tried.
    pub fn versions(&self) -> impl Iterator<Item = &Self> {
        let shadow = self.shadow.as_ref().map(|shadow| &shadow.candidate);
        let canary = self.canary.as_ref().map(|canary| &canary.candidate);
        [Some(self), shadow, canary].into_iter().flatten()
    }
}

/// Another version of a pipeline. Its outputs are among those of the pipeline, by name.
#[derive(Debug, Clone)]
pub struct CandidatePlan<S> {
    /// The candidate; it has neither sources nor candidates itself.
    pub candidate: PipelinePlan,
    /// How.
    pub settings: S,
}

/// A node with its artifact, options and links.
///
/// `Debug` leaves the options out, since these can hold secrets.
#[derive(Clone)]
pub struct NodePlan {
    /// Name in its graph.
    pub name: String,
    /// What runs.
    pub artifact: Arc<Artifact>,
    /// Options as JSON text, as they are given to the node.
    pub options: String,
    /// What an instance may use.
    pub limits: NodeLimits,
    /// What it may use beyond its batch.
    pub grants: Arc<Grants>,
    /// When it is not called any more.
    pub circuit: CircuitSettings,
    /// What becomes of its events then.
    pub on_fault: OnFault,
    /// What becomes of state of a former version that it cannot take over.
    pub on_state_mismatch: OnStateMismatch,
    /// What the artifact said of itself when it was configured.
    pub shape: NodeShape,
    /// Ports in the order of the shape, and `failed` as the last.
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
            .field("shape", &self.shape)
            .field("ports", &self.ports)
            .finish_non_exhaustive()
    }
}

/// Port that every node has for what it could not process.
pub const FAILED: &str = "failed";

/// A port and where it leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortPlan {
    /// Name of the port.
    pub name: String,
    /// At least one; each takes every event of the port.
    pub targets: Vec<Target>,
}

/// Where a link leads, as an index in its pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// A node.
    Node(usize),
    /// An output.
    Output(usize),
}

/// A way out of a pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputPlan {
    /// Name for links.
    pub name: String,
    /// Name for people.
    pub title: String,
    /// What leaves here, for people; can be empty.
    pub description: String,
    /// True where the operator throws it away on purpose; its events are counted as dropped.
    pub discard: bool,
}
