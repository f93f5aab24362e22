//! What a user may set: a list of steps.
//!
//! A step is a table with one operation, whose value is the field that it works on, and parameters of the operation.

mod declare;
mod kinds;
mod read;
mod steps;

use serde::Deserialize;
use serde_json::{Map, Value};

pub use kinds::{
    Case, CharacterSide, Coding, ConvertError, ConvertType, EmptyKind, Fact, Field, Fields, InvalidUtf8, NumberOrField,
    OnError, OnMissing, OnNotJson, Unit,
};
pub use steps::*;

/// Options of the node `edit`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub struct Options {
    /// Steps, in order; each sees what the steps before it changed. No default.
    /// Example: `[{ remove = "attributes.debug_*" }, { set = "attributes.env", value = "prod" }]`.
    #[cfg_attr(not(target_arch = "wasm32"), schemars(with = "Vec<Step>"))]
    pub steps: Vec<Map<String, Value>>,
    /// What happens if a step changes a field below `body`, and the body is not JSON. Default: `fail`.
    #[serde(default)]
    pub on_not_json: OnNotJson,
}
