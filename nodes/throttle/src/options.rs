//! What a user may set.

use serde::Deserialize;
use wattle_condition::{Condition, OneOrMany};

/// Options of the node `throttle`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub struct Options {
    /// Field or fields: events with the same values share a limit, and so do all events without any of them. Default: none; all
    /// events share one. Example: `attributes.service`.
    pub key: Option<OneOrMany<String>>,
    /// Largest number of events of a key that pass in a window. Default: none; `events` or `bytes` is needed. Example: `100`.
    pub events: Option<u64>,
    /// Largest size of the bodies of a key that pass in a window. Default: none; `events` or `bytes` is needed. Example: `1MiB`.
    pub bytes: Option<String>,
    /// Length of the windows. Default: `1m`. Example: `1s`.
    pub window: String,
    /// Events for which this condition does not hold pass and do not count. Default: none. Example: `{ field =
    /// "attributes.level", in = ["debug", "info"] }`.
    pub when: Option<Condition>,
    /// What happens to the events beyond a limit. Default: `drop`.
    pub excess: Excess,
    /// Where the summaries go: one event for each window and key of which events were beyond a limit. Default: `out`.
    pub summary: Summary,
    /// Largest number of keys in a window of one instance (8 share the keys); further ones share one limit, with the key `_other`. Default: 10000. Example: `1000`.
    pub max_keys: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            key: None,
            events: None,
            bytes: None,
            window: "1m".into(),
            when: None,
            excess: Excess::Drop,
            summary: Summary::Out,
            max_keys: 10_000,
        }
    }
}

/// What happens to events beyond a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub enum Excess {
    /// They are dropped with the reason `throttled`.
    Drop,
    /// They leave on the port `throttled`.
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
