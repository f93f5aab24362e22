//! `GET /api/v1/status`: the state and the counts of an agent.
//!
//! Counts are totals since the agent started, so that a client computes rates from two documents.

#![expect(missing_docs, reason = "the fields are those of the JSON document, with the same names")]

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The whole document. Versions only add fields, and readers must ignore unknown ones.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Status {
    pub version: String,
    /// Time of this document.
    pub at: String,
    /// `starting`, `running` or `draining`.
    pub phase: String,
    pub ready: bool,
    /// Why it is not ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    pub pid: u32,
    /// RFC 3339, as all times here.
    pub started_at: String,
    pub uptime_seconds: f64,
    pub config: String,
    pub workers: usize,
    pub cpu_seconds: f64,
    pub resident_memory_bytes: u64,
    pub generation: u64,
    pub loaded_at: String,
    pub reloads: Reloads,
    pub sources: Vec<Source>,
    pub pipelines: Vec<Pipeline>,
    pub sinks: Vec<Sink>,
    pub canaries: Vec<Canary>,
    /// Reports of shadows, by pipeline, without events.
    pub shadows: BTreeMap<String, serde_json::Value>,
    pub registries: Vec<Registry>,
    /// Quarantines with events.
    pub quarantines: Vec<Quarantined>,
}

/// A version that takes a share of a pipeline's batches.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Canary {
    pub pipeline: String,
    /// As `name@version`; none for a graph written inline.
    pub candidate: Option<String>,
    /// Share of the batches that it takes, at most 1.
    pub share: f64,
    pub received_events: u64,
    pub failed_events: u64,
    pub faulted_batches: u64,
    /// Minimum time before it is promoted.
    pub promoted_after_seconds: f64,
    /// Minimum number of events before it is promoted.
    pub min_events: u64,
    /// How long it has run.
    pub elapsed_seconds: f64,
    /// The rules that it must keep.
    pub rules: Vec<CanaryRule>,
}

/// A rule of a canary. A difference rolls the candidate back only if chance does not explain it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct CanaryRule {
    /// The option of the configuration, such as `max_fail_rate`.
    pub name: String,
    /// `share`: the candidate may exceed `primary` by `allowed`; `ratio`: `candidate` is the time of the candidate divided
    /// by that of the running version, at most `allowed`.
    pub unit: String,
    pub allowed: f64,
    /// Figure of the running version; 1 for a ratio.
    pub primary: f64,
    pub candidate: f64,
}

/// What a sink has not delivered.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Backlog {
    pub events: u64,
    pub bytes: u64,
    /// Age of the oldest event in memory that waits for this sink.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest_seconds: Option<f64>,
}

/// A pack of a registry.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Registry {
    /// As in the configuration.
    pub reference: String,
    /// Digest of the image that runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Digest of the image that the tag names and the configuration refuses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// Time of the last successful response of the registry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answered_at: Option<String>,
    pub unchanged_polls: u64,
    pub changed_polls: u64,
    pub failed_polls: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Reloads {
    pub applied: u64,
    pub unchanged: u64,
    pub invalid: u64,
    pub failed: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<LastReload>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LastReload {
    /// `applied`, `unchanged`, `invalid` or `failed`.
    pub outcome: String,
    pub at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Queue {
    pub events: usize,
    pub bytes: usize,
    pub max_bytes: usize,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Source {
    pub name: String,
    #[serde(rename = "type")]
    pub type_name: String,
    /// `starting`, `running`, `ended` or `failed`.
    pub state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Time and reason of the last failed input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<LastFailure>,
    /// Globs that match no file, each with the likely reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unmatched: Vec<String>,
    pub buffer: Queue,
    pub blocked_seconds: f64,
    /// The counts of the table, by key.
    #[serde(flatten)]
    pub counts: Counted,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LastFailure {
    pub at: String,
    pub reason: String,
}

/// Events of a pipeline that could not be masked. The pipeline may no longer exist.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Quarantined {
    pub pipeline: String,
    pub bytes: u64,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Pipeline {
    pub name: String,
    /// As `name@version`; none for a graph written inline.
    pub pack: Option<String>,
    /// Received events a second, over the last ten.
    pub events_per_second: f64,
    pub bytes_per_second: f64,
    pub nodes: Vec<Node>,
    pub outputs: Vec<Output>,
    pub balance: Balance,
    /// The counts of the table, by key.
    #[serde(flatten)]
    pub counts: Counted,
}

/// An output of a pipeline.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Output {
    pub name: String,
    pub events: u64,
    /// Those of them that failed at a node.
    pub failed_events: u64,
    /// Bytes of the bodies.
    pub bytes: u64,
}

/// Whether every event of a pipeline is accounted for: `received + split + copied + made = delivered + failed +
/// dropped + held + returned`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Balance {
    pub received: u64,
    /// Events that splitting added and combining removed.
    pub split: i64,
    pub copied: u64,
    pub made: u64,
    pub delivered: u64,
    pub failed: u64,
    pub dropped: u64,
    pub held: u64,
    pub returned: u64,
    /// Events of the batches that workers process at this moment; not an error.
    pub in_progress: i64,
    /// Events that a finished batch did not account for. The agent checks each batch; any number but 0 is a bug.
    pub unbalanced: u64,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Node {
    pub name: String,
    /// As `type@version`.
    #[serde(rename = "type")]
    pub type_name: String,
    /// Values that a masking node masked, by rule.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub masked_values: BTreeMap<String, u64>,
    /// Counts that another node reports itself, by name.
    #[serde(rename = "counts", skip_serializing_if = "BTreeMap::is_empty")]
    pub counts_by_name: BTreeMap<String, u64>,
    pub calls: u64,
    pub call_seconds: f64,
    pub faults: Vec<Fault>,
    /// Events that left, by port.
    pub ports: BTreeMap<String, u64>,
    /// Failed events, by code.
    pub failures: BTreeMap<String, u64>,
    /// Events dropped on purpose, by reason.
    pub drops: BTreeMap<String, u64>,
    /// The counts of the table, by key.
    #[serde(flatten)]
    pub counts: Counted,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Fault {
    pub kind: String,
    /// `guest` or `host`.
    pub blame: String,
    pub count: u64,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Sink {
    pub name: String,
    #[serde(rename = "type")]
    pub type_name: String,
    /// `running`, `retrying` or `failed`.
    pub state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// How long its attempts have failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retrying_seconds: Option<f64>,
    pub backlog: Backlog,
    pub buffer: Queue,
    /// The counts of the table, by key.
    #[serde(flatten)]
    pub counts: Counted,
}

/// The counts of one subject, by key. `docs/METRICS.md` describes them; the key is the name of the metric without
/// `wattle_`, the subject and `_total`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Counted(Map<String, Value>);

impl Counted {
    /// A count by its key; 0 if the agent does not report it.
    pub fn get(&self, key: &str) -> u64 {
        self.0.get(key).and_then(Value::as_u64).unwrap_or_default()
    }
}

impl<'a> FromIterator<(&'a str, u64)> for Counted {
    fn from_iter<I: IntoIterator<Item = (&'a str, u64)>>(counts: I) -> Self {
        Self(counts.into_iter().map(|(key, count)| (key.to_owned(), count.into())).collect())
    }
}
