//! `POST /api/v1/try` and `wattle try`: what a pack does to an input, or to recent events of a pipeline, in scratch
//! instances with all limits and without effects.

#![expect(missing_docs, reason = "the fields are those of the JSON document, with the same names")]

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::failures::FailedEvents;
use crate::status::Balance;
use crate::tap::Step;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Tried {
    pub result: TriedPack,
    /// The other version, if one was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub against: Option<TriedPack>,
    /// Events that differ between the two, by output.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub differences: BTreeMap<String, OutputDifference>,
    /// Where the events come from, if they are recent ones of a pipeline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recent: Option<Recent>,
}

/// The newest events of a pipeline, as they were at the first points at which they may be shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Recent {
    pub pipeline: String,
    /// The points at which the agent took the events.
    pub taken: Vec<RecentPoint>,
    /// Where they entered the packs.
    pub entered: RecentEntry,
    /// When the oldest and the newest event passed; RFC 3339.
    pub oldest: String,
    pub newest: String,
}

/// A point at which the agent took events.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RecentPoint {
    pub point: String,
    pub events: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
}

/// Where recent events enter a pack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RecentEntry {
    /// Where they were taken: the nodes before do not run.
    #[default]
    Taken,
    /// At the input: the nodes before process events that they have processed already.
    Input,
}

/// What one version did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TriedPack {
    /// As `name@version`, or the name of the pipeline.
    pub pack: String,
    /// Events that were read from the input, and bytes of their bodies.
    pub events: u64,
    pub bytes: u64,
    /// Lines and documents of the input that were skipped because they are too long.
    #[serde(skip_serializing_if = "is_zero")]
    pub skipped_events: u64,
    /// Why the input was not processed to its end: the time limit, damaged data, or a limit of the input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_early: Option<String>,
    /// Whether every event is accounted for.
    pub balance: Balance,
    pub outputs: Vec<TriedOutput>,
    pub dropped_events: u64,
    /// Events that ended in the memory of nodes.
    pub held_events: u64,
    pub nodes: Vec<TriedNode>,
    /// Failed events by node and code, each with its first events.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<FailedEvents>,
    /// CPU seconds of all nodes.
    pub cpu_seconds: f64,
    /// What each of the first events was at each point.
    pub traces: Vec<TriedTrace>,
}

/// The way of one event, as in [`Trace`](crate::tap::Trace).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TriedTrace {
    pub steps: Vec<Step>,
    /// Whether further steps were left out.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TriedOutput {
    pub name: String,
    pub title: String,
    pub events: u64,
    pub failed_events: u64,
    /// Bytes of the bodies.
    pub bytes: u64,
    /// Bytes of the output divided by bytes of the input.
    pub share: f64,
    /// The first events, as the codec `json` writes them. A text if the event was too long and was cut.
    pub sample: Vec<Value>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TriedNode {
    pub name: String,
    /// As `type@version`.
    #[serde(rename = "type")]
    pub type_name: String,
    pub received_events: u64,
    pub dropped: BTreeMap<String, u64>,
    pub failed: BTreeMap<String, u64>,
    pub faults: u64,
    pub cpu_seconds: f64,
    /// WebAssembly instructions; the same in each run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fuel: Option<u64>,
    pub peak_memory_bytes: u64,
}

/// How an output differs between two versions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct OutputDifference {
    pub same: u64,
    pub changed: u64,
    /// Events that only `result` has.
    pub added: u64,
    /// Events that only `against` has.
    pub missing: u64,
    /// Events that were not compared, because one batch of the input became too many.
    #[serde(skip_serializing_if = "is_zero")]
    pub uncompared: u64,
    /// The first that differ: the event of `against`, and the event of `result`. A text if the event was too long and
    /// was cut; none on both sides if they are too long to be kept.
    pub first: Vec<(Option<Value>, Option<Value>)>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}
