//! What a user may set.

use serde::Deserialize;
use wattle_condition::Condition;

/// Options of the node `route`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub struct Options {
    /// Paths, tried in order; an event takes the first path that matches. No default. Example: `[{
    /// name = "reads", when = { field = "attributes.eventName", starts_with = "Get" } }]`.
    pub paths: Vec<RoutePath>,
}

/// One path.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub struct RoutePath {
    /// Name of the port that events leave on: a letter, then letters, digits, `_` and `-`. No
    /// default. Example: `not_important_event`.
    pub name: String,
    /// Which events take the path. No default.
    pub when: Condition,
    /// Whether these events are also tested against the following paths. Default: false.
    #[serde(default, rename = "continue")]
    pub goes_on: bool,
}
