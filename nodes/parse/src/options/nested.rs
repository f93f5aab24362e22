//! The option `nested`.

use serde::Deserialize;

/// Which strings hold JSON.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "expected `true`, or a list of paths such as `message`")]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub enum NestedStrings {
    /// All that begin with `{` or `[`, or none.
    All(bool),
    /// Those at these paths below the parsed value, in order.
    Paths(Vec<String>),
}
