//! `GET /api/v1/packs`: the packs that run.

#![expect(missing_docs, reason = "the fields are those of the JSON document, with the same names")]

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Packs {
    pub packs: Vec<Pack>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Pack {
    /// As the configuration names it.
    pub reference: String,
    pub name: String,
    pub version: String,
    /// `builtin`, `library`, `folder`, or the address of a registry with a digest.
    pub origin: String,
    pub digest: String,
    /// Result of the trust policy: the key that signed it, `unsigned`, or `not checked` with the reason.
    pub signature: String,
    /// Pipelines that use it.
    pub pipelines: Vec<String>,
    /// Its nodes with capabilities: what each artifact asks for, and what is granted.
    pub nodes: Vec<NodeCapabilities>,
    /// Digests of its artifacts, by path in the pack.
    pub artifacts: BTreeMap<String, String>,
    /// Parameters by pipeline, with secrets hidden.
    pub parameters: BTreeMap<String, Value>,
    /// Result of its own tests at the last load: `passed`, `failed`, `none` or `not run`.
    pub tests: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct NodeCapabilities {
    pub pipeline: String,
    pub node: String,
    pub asked: Vec<String>,
    pub granted: Vec<String>,
}
