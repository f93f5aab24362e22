//! The types of a validated configuration: a [`Plan`] with its pipelines, nodes, limits, grants and
//! settings.
//!
//! `host/manifest` creates plans from text. All crates that build or run a plan need only this
//! crate.
//!
//! # Invariants
//!
//! - Every index in a plan is in range, every port has a target, links have no cycle, and nodes
//!   are in topological order.
//! - The `Debug` form of a plan shows no value that came from the environment or from a secret
//!   parameter.

mod artifact;
mod fingerprint;
mod grants;
mod graph;
mod limits;
mod masked;
mod plan;
mod registry;
mod rollout;
#[cfg(test)]
mod sample;
mod state;
mod trust;

pub use artifact::{Artifact, CONTRACT_VERSIONS, Frame, NodeError, NodeShape, Nodes, Origin, hex_digest, to_hex};
pub use fingerprint::ReplaceError;
pub use grants::{
    Grants, HttpGrant, KvGrant, LogGrant, LogLevel, LookupGrant, MetricsGrant, SeenGrant, TableGrant, TableKind,
};
pub use graph::{document, dot, drawn, lay_out, mermaid, svg};
pub use limits::{ArtifactLimits, CircuitSettings, NodeLimits, OnFault, OnStateMismatch};
pub use masked::{FirstPoints, Masked, MaskedPoints};
pub use plan::{
    AdminSettings, AgentSettings, BatchSettings, BufferKind, BufferPlan, CandidatePlan, EndpointPlan, FAILED, NodePlan,
    OutputPlan, PackId, PackUse, PipelinePlan, Plan, PortPlan, QuarantineSettings, SinkPlan, Target, WhenFull,
};
pub use registry::{RegistryHost, RegistrySettings};
pub use rollout::{CanarySettings, RollbackSettings, ShadowSettings};
pub use state::{Durability, Sharing, StateSettings};
pub use trust::{PackTrust, TrustPolicy, TrustedKey, key_id};
