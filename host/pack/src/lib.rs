//! From text to a validated plan: `agent.toml` and packs in, a [`Plan`] or every [`Diagnostic`] at once out.
//!
//! A manifest is a file as written; a plan is what it means. [`load()`] parses the manifests (TOML with the place of each
//! value), fills in environment variables and parameters of packs, asks those who know ([`Nodes`], [`Components`]) about
//! options, links ports to nodes and outputs, and answers with a plan that needs no further checks.
//!
//! # Invariants
//!
//! - Nothing is built or run here but what [`Nodes::configure`] does; there are no threads, no network and no clock.
//! - Every index in a plan is in range, every port leads somewhere, links have no cycle, nodes stand in the order of flow.
//! - No text makes this crate panic.
//! - Neither the `Debug` form of a plan nor a diagnostic shows a value that came from the environment or from a secret
//!   parameter.

pub mod codes;
pub mod digest;

mod agent_links;
mod artifact;
mod case;
mod diagnostic;
mod diff;
mod findings;
mod fingerprint;
mod grants;
mod graph;
mod install;
mod library;
mod limits;
mod lint;
mod load;
mod lock;
mod machine;
mod manifest;
mod option_path;
mod outline;
mod params;
mod pattern;
mod pipeline;
mod plain;
mod plan;
mod quantity;
mod reader;
mod reference;
mod remote;
mod schema;
mod signature;
mod suggest;
mod template;
mod trial;
mod trust;
mod unclosed;
mod value;
mod wire;

pub use artifact::{
    Artifact, CONTRACT_VERSION, ComponentKind, Components, NodeError, NodeShape, Nodes, OptionError, Origin,
};
pub use case::{EVENT_KEYS, Expectations, Framing, PackTest, load_tests};
pub use diagnostic::{Diagnostic, Excerpt, Invalid, Severity};
pub use diff::{Change, PackView, Section, diff};
pub use digest::{FileChange, FileList, FileListError};
pub use grants::{Grants, HttpGrant, KvGrant, LogGrant, LogLevel, LookupGrant, MetricsGrant, TableGrant, TableKind};
pub use graph::{dot, mermaid};
pub use install::{InstallError, Installed, install, remove};
pub use library::{BuiltinPack, Library, LibraryEntry};
pub use limits::{ArtifactLimits, CircuitSettings, NodeLimits, OnFault, OnStateMismatch};
pub use lint::lint_pack;
pub use load::{Env, load, load_pack, load_text, peek_settings};
pub use lock::{FormerPin, LOCK_FILE, Lock, Pin, Pinning};
pub use machine::{LEAST_BYTES, SMALL_BYTES, memory_limit};
pub use manifest::agent::default_data_dir;
pub use manifest::grants::read_grants;
pub use manifest::packs::{RegistryHost, RegistrySettings};
pub use outline::{CapabilityOutline, NodeOutline, OutputOutline, PackOutline, ParamOutline, outline};
pub use plan::{
    AdminSettings, AgentSettings, BatchSettings, BufferKind, BufferPlan, ComponentPlan, NodePlan, OutputPlan, PackId,
    PackUse, PipelinePlan, Plan, PortPlan, QuarantineSettings, SinkPlan, Target, Trial, WhenFull,
};
pub use quantity::{QuantityError, parse_duration, parse_size};
pub use remote::{Located, NotLocated, REMOTE, Remote};
pub use schema::{OptionSchemas, agent_schema, node_schema, pack_schema};
pub use signature::TrustedKey;
pub use trial::{CanarySettings, RollbackSettings, ShadowSettings};
pub use trust::{Distrust, PackBytes, PackTrust, SIGNATURE_FILE, Signer, TrustPolicy, read_files};
