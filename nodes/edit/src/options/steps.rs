//! The operations and their parameters.

mod fields;
mod texts;
mod values;

use serde_json::{Map, Value};

use super::declare::steps;
use super::read::{StepError, read_step};
use crate::condition::Condition;

pub use fields::*;
pub use texts::*;
pub use values::*;

steps! {
    Set = "set",
    Copy = "copy",
    Move = "move",
    Append = "append",
    Merge = "merge",
    Rename = "rename",
    Remove = "remove",
    Keep = "keep",
    Convert = "convert",
    Replace = "replace",
    Lower = "lower",
    Upper = "upper",
    Trim = "trim",
    Split = "split",
    Join = "join",
    Slice = "slice",
    RemoveEmpty = "remove_empty",
    Flatten = "flatten",
    Unflatten = "unflatten",
    Hash = "hash",
    Encode = "encode",
    Decode = "decode",
    Url = "url",
    Network = "network",
    Now = "now",
    Math = "math",
}
