//! `GET /api/v1/failures`: the last failed events, by pipeline, node and code.

#![expect(missing_docs, reason = "the fields are those of the JSON document, with the same names")]

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Failures {
    pub failures: Vec<FailedEvents>,
}

/// The failures of a node with one code.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct FailedEvents {
    pub pipeline: String,
    pub node: String,
    pub code: String,
    pub events: u64,
    /// The last events; without their contents where `tap` may not show them.
    pub samples: Vec<Sample>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Sample {
    /// RFC 3339.
    pub at: String,
    /// Empty where the event may not be shown, because it can contain parts of it.
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<Value>,
}
