//! `GET /api/v1/graph`: sources, pipelines and sinks, how they are linked, and where to draw them.
//!
//! A *point* is a place at which events can be seen. Its name is `PIPELINE/input` for the events of the sources,
//! `PIPELINE/NODE.PORT` for the events that leave a node, or `PIPELINE.OUTPUT` for the events of an output, as in the
//! `inputs` of a sink.

#![expect(missing_docs, reason = "the fields are those of the JSON document, with the same names")]

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The whole graph of one generation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Graph {
    pub generation: u64,
    pub sources: Vec<Endpoint>,
    pub pipelines: Vec<Pipeline>,
    pub sinks: Vec<Endpoint>,
}

/// A source or a sink.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Endpoint {
    pub name: String,
    #[serde(rename = "type")]
    pub type_name: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Pipeline {
    pub name: String,
    /// As `name@version`; none for a graph written inline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pack: Option<String>,
    /// The version that takes a share of the batches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canary: Option<String>,
    /// The version that receives copies of batches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shadow: Option<String>,
    /// Names of sources, and points of other pipelines (`PIPELINE.OUTPUT`).
    pub inputs: Vec<String>,
    pub nodes: Vec<Node>,
    pub outputs: Vec<Output>,
    /// Links in the order of the graph.
    pub edges: Vec<Edge>,
    pub drawing: Drawing,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Node {
    pub name: String,
    /// As `type@version`.
    #[serde(rename = "type")]
    pub type_name: String,
    pub description: String,
    /// Whether it masks.
    pub masks: bool,
    pub stateful: bool,
    /// Capabilities that the artifact asks for and the operator granted.
    pub capabilities: Vec<String>,
    /// Maximum memory of one instance in bytes.
    pub max_memory_bytes: u64,
    /// Ports in the order of the node, with `failed` last.
    pub ports: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Output {
    pub name: String,
    pub title: String,
    pub description: String,
    /// Whether the operator discards its events.
    pub discard: bool,
    /// Names of the sinks.
    pub sinks: Vec<String>,
    /// Names of the pipelines that it feeds.
    pub pipelines: Vec<String>,
    /// Whether all of its events have passed every masking node.
    pub masked: bool,
}

/// A link from the input or a port to a node or an output.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Edge {
    /// The point at which the events of this link can be seen: `PIPELINE/input` or `PIPELINE/NODE.PORT`.
    pub point: String,
    /// Node that the events leave; none for the input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Port that they leave on; empty for the input.
    pub port: String,
    /// Name of the node or of the output.
    pub to: String,
    /// Whether `to` is an output.
    pub to_output: bool,
    /// Whether its events failed at `from`.
    pub failed: bool,
    /// Whether all of its events have passed every masking node, so that `tap` may show them.
    pub masked: bool,
}

/// Where to draw a pipeline. The page and `wattle graph --format svg` use the same places. In pixels; the origin is the
/// upper left corner.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Drawing {
    pub width: f64,
    pub height: f64,
    /// The input, then the nodes, then the outputs, in the order of the lists.
    pub boxes: Vec<Rect>,
    /// For each edge its line as the data of an SVG path.
    pub paths: Vec<String>,
    /// For each edge the place of its label.
    pub labels: Vec<Point>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Rect {
    pub x: f64,
    pub y: f64,
    pub width: f64,
    pub height: f64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Point {
    pub x: f64,
    pub y: f64,
}
