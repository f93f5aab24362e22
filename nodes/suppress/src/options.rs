//! What a user may set.

use serde::Deserialize;
use wattle_condition::{Condition, OneOrMany};

/// Options of the node `suppress`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub struct Options {
    /// Field or fields: an event with the same values as an earlier one is a repeat. An event without any of them passes.
    /// Default: `body`. Example: `["attributes.host", "attributes.message"]`.
    pub key: OneOrMany<String>,
    /// Number of events of a key that pass within a window, 1 to 100. Default: 1. Example: `5`.
    pub allow: usize,
    /// Time after an event passed in which its repeats do not. Default: `5m`. Example: `30s`.
    pub window: String,
    /// Events for which this condition does not hold pass. Default: none. Example: `{ field = "attributes.level", equals =
    /// "warn" }`.
    pub when: Option<Condition>,
    /// What happens to repeats. Default: `drop`.
    pub repeats: Repeats,
    /// Where the summaries go: one event for each key and window with repeats. Default: `out`.
    pub summary: Summary,
    /// Largest number of keys whose repeats one instance (8 share the keys) counts one by one; those of further keys are counted together, with the key
    /// `_other`. Default: 10000. Example: `1000`.
    pub max_keys: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            key: OneOrMany::One("body".into()),
            allow: 1,
            window: "5m".into(),
            when: None,
            repeats: Repeats::Drop,
            summary: Summary::Out,
            max_keys: 10_000,
        }
    }
}

/// What happens to repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub enum Repeats {
    /// They are dropped with the reason `suppressed`.
    Drop,
    /// They leave on the port `suppressed`.
    Route,
}

/// Where summaries go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub enum Summary {
    /// To the port `out`, with the events that pass.
    Out,
    /// To the port `summary`.
    Port,
    /// There are none.
    None,
}
