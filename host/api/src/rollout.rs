//! `GET /api/v1/shadows` and `GET /api/v1/history`: versions that are tried, and versions that ran. Canaries are in the
//! status.

#![expect(missing_docs, reason = "the fields are those of the JSON document, with the same names")]

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Shadows {
    /// By pipeline.
    pub shadows: BTreeMap<String, Shadow>,
}

/// The comparison of a candidate with the running version.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Shadow {
    /// As `name@version`.
    pub candidate: String,
    /// RFC 3339.
    pub since: String,
    pub batches: u64,
    pub skipped_batches: u64,
    pub faulted_batches: u64,
    pub differing_events: u64,
    /// CPU time of the candidate divided by that of the running version.
    pub cpu_ratio: f64,
    pub outputs: BTreeMap<String, ShadowOutput>,
    /// The first events that differ; without contents where `tap` may not show them.
    pub first: Vec<Difference>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ShadowOutput {
    pub primary: u64,
    pub candidate: u64,
    pub missing: u64,
    pub added: u64,
    pub changed: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Difference {
    pub output: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub primary: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub candidate: Option<String>,
    /// Whether the contents are left out because they may not be shown.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub hidden: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct History {
    /// The newest last; at most 200.
    pub entries: Vec<HistoryEntry>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct HistoryEntry {
    /// RFC 3339.
    pub at: String,
    pub generation: u64,
    /// `started`, `applied`, `invalid`, `failed`, `promoted` or `rolled-back`.
    pub what: String,
    /// The cause: the changed files, or the request.
    pub why: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Packs that run, by pipeline.
    pub packs: BTreeMap<String, String>,
}
