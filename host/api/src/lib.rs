//! The types of the API `/api/v1` of a running agent, for the agent and its clients: the page, `wattle top`, `tap`, `try`
//! and `status`.
//!
//! | request | response |
//! | --- | --- |
//! | `GET /api/v1` | [`Index`]: versions, what the operator allows |
//! | `GET /api/v1/schema` | JSON schema of all documents |
//! | `GET /api/v1/status` | [`status::Status`] |
//! | `GET /api/v1/graph` | [`graph::Graph`]; changes only with the generation |
//! | `GET /api/v1/stream` | server-sent events: `status` once a second, `graph` when the generation changes |
//! | `GET /api/v1/tap?point=…` | server-sent events: [`tap::Tapped`] as `event`, [`tap::TapReport`] as `report` |
//! | `GET /api/v1/trace?point=…` | server-sent events: [`tap::Trace`] as `trace`, one event on its way through the graph |
//! | `GET /api/v1/failures` | [`failures::Failures`]: the last failed events by code, as far as they may be shown |
//! | `GET /api/v1/packs` | [`packs::Packs`] |
//! | `GET /api/v1/shadows` | [`rollout::Shadows`]; with the first events that differ, as far as they may be shown |
//! | `GET /api/v1/history` | [`rollout::History`] |
//! | `POST /api/v1/try?pack=…&against=…&pipeline=…` | [`trial::Tried`]; the body is the input, or with `recent` events of the pipeline are |
//!
//! An error is a [`Problem`] with a status of 4xx or 5xx. Version 1 only adds fields and requests; readers must ignore
//! fields that they do not know.

pub mod failures;
pub mod graph;
pub mod packs;
pub mod rollout;
pub mod status;
pub mod tap;
pub mod trial;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `GET /api/v1`: what this agent offers.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Index {
    /// Version of the agent.
    pub version: String,
    /// Version of the API; 1.
    pub api: u32,
    /// What `tap` may show: `off`, `masked` (only events that have passed every masking node) or `all`.
    pub tap: TapPolicy,
    /// Whether `POST /api/v1/try` is allowed.
    pub can_try: bool,
    /// Maximum size of an input of `try` in bytes.
    pub max_try_bytes: u64,
    /// Memory for recent events of all pipelines, on which packs can be tried, in bytes; 0 if the operator grants none.
    pub recent_bytes: u64,
    /// Price of a GB that leaves on an output, for the figures of the page; in `currency`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price_per_gb: Option<f64>,
    /// Currency of the price, as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
}

/// What `tap` may show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TapPolicy {
    /// Nothing.
    Off,
    /// Only events that have passed every masking node of their pipeline.
    #[default]
    Masked,
    /// Every event.
    All,
}

/// Why a request failed.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Problem {
    /// What is wrong, and how to fix it.
    pub error: String,
    /// All diagnostics, if a pack or its parameters are invalid.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub diagnostics: Vec<String>,
}
