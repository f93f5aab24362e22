//! Why there is nothing to watch.

use std::collections::BTreeSet;

use super::MAX_SUBSCRIPTIONS;

/// How an operator allows to show every event.
const GRANT: &str = "to show unmasked events as well, set `tap = \"all\"` in [admin]";

/// Why a subscription was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TapError {
    /// The operator allows nothing.
    #[error("taps are switched off by `tap = \"off\"` in [admin]; set it to \"masked\" to show masked events")]
    Off,
    /// There is no such point or pipeline.
    #[error(
        "no point `{point}`: {hint}; a point is `PIPELINE/input`, `PIPELINE/NODE.PORT`, `PIPELINE.OUTPUT`, or the name \
         of a pipeline"
    )]
    Unknown {
        /// The name of the request.
        point: String,
        /// The nearest names.
        hint: String,
    },
    /// The events of the point may not be shown.
    #[error("the events of `{point}` may not be shown: {}; {grant}", listed(.masks), grant = GRANT)]
    Hidden {
        /// The point.
        point: String,
        /// The masking nodes that come later, as `PIPELINE/NODE`.
        masks: BTreeSet<String>,
    },
    /// There are too many subscriptions.
    #[error("there are {max} subscriptions already; close one of them", max = MAX_SUBSCRIPTIONS)]
    TooMany,
}

fn listed(masks: &BTreeSet<String>) -> String {
    let names: Vec<String> = masks.iter().map(|mask| format!("`{mask}`")).collect();
    match names.as_slice() {
        [] => "not all of them have passed a masking node".to_owned(),
        [one] => format!("they come before the masking node {one}, so watch a point after it"),
        several => format!("they come before the masking nodes {}, so watch a point after them", several.join(", ")),
    }
}
