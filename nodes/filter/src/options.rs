//! What a user may set.

use serde::Deserialize;
use wattle_condition::Condition;

/// Options of the node `filter`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub struct Options {
    /// Keep the events for which this condition holds, and drop all others. Default: none; exactly one of `keep`, `drop`
    /// and `rules` is needed. Example: `{ field = "attributes.level", in = ["warn", "error"] }`.
    pub keep: Option<Condition>,
    /// Drop the events for which this condition holds, and keep all others. Default: none. Example: `{ field =
    /// "attributes.path", equals = "/health" }`.
    pub drop: Option<Condition>,
    /// Reason under which the agent counts the dropped events, in kebab-case. Default: `filtered`. Example:
    /// `health-check`.
    pub reason: Option<String>,
    /// Rules in order; the first one whose condition holds decides, and events that match no rule stay. Default: none.
    /// Example: `[{ keep = { field = "attributes.status", ge = 400 } }, { drop = { field = "attributes.path", equals =
    /// "/health" }, reason = "health-check" }]`.
    pub rules: Option<Vec<Rule>>,
}

/// One rule: `keep` or `drop`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub struct Rule {
    /// Keep the events for which this condition holds, whatever later rules say. Default: none; exactly one of `keep` and
    /// `drop` is needed.
    pub keep: Option<Condition>,
    /// Drop the events for which this condition holds. Default: none.
    pub drop: Option<Condition>,
    /// Reason under which the agent counts the dropped events, in kebab-case. Default: that of the node. Example:
    /// `health-check`.
    pub reason: Option<String>,
}
