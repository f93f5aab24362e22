//! `GET /api/v1/tap` and `GET /api/v1/trace`: events as they pass points of the graph.
//!
//! | parameter of `tap` | meaning |
//! | --- | --- |
//! | `point` | a point of the graph, or the name of a pipeline for all its outputs; can be repeated |
//! | `filter` | `PATH=TEXT`, `PATH!=TEXT`, `PATH~TEXT` (contains) or `PATH`, such as `attributes.eventName=GetObject` or `failure.code=not-json`; can be repeated, and all must hold |
//! | `rate` | maximum number of events a second, 1 to 1000; default 10 |
//! | `limit` | number of events after which the stream ends |
//!
//! `trace` takes the same parameters. It begins at `point`; a pipeline stands for its input, and nothing for all of them.
//! With `filter`, a pipeline stands for its first point whose events may be shown: a filter on other events would reveal
//! them. The default of `rate` is 1.

#![expect(missing_docs, reason = "the fields are those of the JSON document, with the same names")]

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// An event that passed a point.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Tapped {
    /// RFC 3339.
    pub at: String,
    pub point: String,
    pub generation: u64,
    /// The event as the codec `json` writes it. A text if the event was too long and was cut.
    pub event: Value,
    /// Whether the event was cut; see [`Tapped::bytes`].
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
    /// Length of the whole event in bytes.
    pub bytes: u64,
}

/// What a tap has seen so far; sent once a second and at the end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TapReport {
    /// Events that passed the points, whether shown or not.
    pub passed: u64,
    /// Events that were compared with the filters; 0 without a filter. Fewer than `passed` where batches are large or the
    /// agent is busy.
    pub searched: u64,
    /// Events that were sent to this client.
    pub shown: u64,
    /// Events that matched and were not sent, because of `rate` or because the client reads too slowly.
    pub skipped: u64,
    /// Points that exist no longer, since the generation changed. They come back with a generation that has them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// Points whose events may not be shown, since the generation or the setting changed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hidden: Vec<String>,
}

/// The way of one event through the graph.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Trace {
    /// RFC 3339.
    pub at: String,
    pub generation: u64,
    /// What the event was at each point, in the order in which it passed them. An event that was split or copied has
    /// several steps for one point.
    pub steps: Vec<Step>,
    /// Whether further steps were left out.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
}

/// An event at a point.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Step {
    /// The point, or `PIPELINE/NODE` for an event that ended at a node.
    pub point: String,
    /// The event; none if it may not be shown at this point.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<Value>,
    /// For an event that failed: the code and the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// For an event that ended here: the reason for which a node dropped it, `held` or `combined` in a node, `discarded` at
    /// an output without a sink, or `returned` to its source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<String>,
}

/// Why an event failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Failure {
    pub node: String,
    pub code: String,
    /// Empty where the event may not be shown, because it can contain parts of it.
    pub message: String,
}
