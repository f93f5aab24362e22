//! What a user may set.

use serde::Deserialize;
use serde_json::Number;
use wattle_condition::{Condition, OneOrMany};

/// Options of the node `sample`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub struct Options {
    /// Keep one event in this many. Default: none; without `classes`, either `rate` or `ratio` is needed. Example: `10`.
    pub rate: Option<u64>,
    /// Keep this share of the events, more than 0 and at most 1. Default: none. Example: `0.1`.
    pub ratio: Option<Number>,
    /// Field or fields whose values decide: events with the same values are kept or dropped together. Default: none; a
    /// counter decides. Example: `attributes.trace_id`.
    pub key: Option<OneOrMany<String>>,
    /// Selects another, independent share of the keys. Default: 0. Example: `7`.
    pub seed: u64,
    /// Classes of events with rates of their own; the first one whose condition holds decides. Default: none. Example:
    /// `[{ name = "errors", when = { field = "attributes.status", ge = 500 }, rate = 2 }]`.
    pub classes: Vec<Class>,
    /// Keep all events for which this condition holds. Default: none. Example: `{ field = "attributes.level", equals =
    /// "error" }`.
    pub always_keep: Option<Condition>,
    /// Field for the number of events that a kept event stands for, below `attributes`, `resource`, `scope.attributes` or a
    /// JSON body; a number more than 0 in it, also as a string, is multiplied. Empty writes none.
    /// Default: `attributes.sample_rate`. Example: `attributes.rate`.
    pub rate_field: Option<String>,
}

/// A class of events.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub struct Class {
    /// Name in kebab-case, at most 56 bytes: dropped events are counted under `sampled-NAME`. No default. Example: `health`.
    pub name: String,
    /// The events that belong to the class. No default. Example: `{ field = "attributes.path", equals = "/health" }`.
    pub when: Condition,
    /// Keep one event in this many. Default: none; either `rate` or `ratio` is needed. Example: `100`.
    pub rate: Option<u64>,
    /// Keep this share of the events, more than 0 and at most 1. Default: none. Example: `0.01`.
    pub ratio: Option<Number>,
    /// Field or fields whose values decide. Default: `key` of the node. Example: `attributes.trace_id`.
    pub key: Option<OneOrMany<String>>,
    /// Keep the first events of each period, up to this many, whatever the rate. Default: none. Example: `10`.
    pub floor: Option<u64>,
    /// Length of the periods of `floor`, in the time of the events. Default: `1m`. Example: `30s`.
    pub period: Option<String>,
}
