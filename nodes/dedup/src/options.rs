//! What a user may set.

use serde::Deserialize;
use wattle_condition::{Condition, OneOrMany};

/// Options of the node `dedup`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub struct Options {
    /// Field or fields whose values make two events the same. An event without any of them passes. Default: `body`. Example:
    /// `body.eventID`.
    pub key: OneOrMany<String>,
    /// Fields within those of `key` that are not compared, such as the time of a JSON body. Default: none. Example:
    /// `["body.receivedAt"]`.
    pub ignore: Vec<String>,
    /// Time within which a second event with the same key is a duplicate. Default: `1h`. Example: `10m`.
    pub window: String,
    /// Events for which this condition does not hold pass. Default: none. Example: `{ field = "attributes.source", equals =
    /// "sqs" }`.
    pub when: Option<Condition>,
    /// What happens to duplicates. Default: `drop`.
    pub duplicates: Duplicates,
    /// Time after the timestamp of the first event that the node saw in which it only learns keys, because every key is new
    /// then: with `duplicates = "drop"`, first events are dropped too, with `pass` none leaves on the port `first`. Default:
    /// `0s`. Example: `7d`.
    pub warm_up: Option<String>,
    /// Field that is `true` in duplicates, for `duplicates = "mark"`. Default: `attributes.duplicate`. Example:
    /// `attributes.seen_before`.
    pub mark_field: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            key: OneOrMany::One("body".into()),
            ignore: Vec::new(),
            window: "1h".into(),
            when: None,
            duplicates: Duplicates::Drop,
            warm_up: None,
            mark_field: None,
        }
    }
}

/// What happens to duplicates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub enum Duplicates {
    /// They are dropped with the reason `duplicate`.
    Drop,
    /// They pass with `mark_field`.
    Mark,
    /// They leave on the port `duplicates`.
    Route,
    /// They pass, and a copy of the first event with each key leaves on the port `first`.
    Pass,
}
