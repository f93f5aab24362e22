//! What a user may set in a condition.

use serde::{Deserialize, Deserializer};
use serde_json::{Number, Value};

/// A condition: tests of one field, which must all hold, or one of `all`, `any`, `not`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub struct Condition {
    /// Field to test. Default: none. Example: `attributes.Record.errorCode`.
    pub field: Option<String>,
    /// The field exists and is not null (`true`), or is missing or null (`false`). Default: not
    /// tested. Example: `true`.
    pub exists: Option<bool>,
    /// The field has this JSON value; the type must match. Default: not tested. Example: `true`.
    #[serde(deserialize_with = "any_value")]
    pub equals: Option<Value>,
    /// The field has one of these JSON values. Default: not tested. Example: `["GetObject", "PutObject"]`.
    #[serde(rename = "in")]
    pub one_of: Option<Vec<Value>>,
    /// The text of the field is this, whatever its type. Default: not tested. Example: `"false"`.
    pub equals_text: Option<String>,
    /// The text of the field starts with this. Default: not tested. Example: `Get`.
    pub starts_with: Option<String>,
    /// The text of the field contains this. Default: not tested. Example: `Secret`.
    pub contains: Option<String>,
    /// The text of the field matches this regular expression. Default: not tested. Example: `^(Get|List|Describe)`.
    pub regex: Option<String>,
    /// The field is a number, or a string that contains one, less than this. Default: not tested.
    /// Example: `500`.
    pub lt: Option<Number>,
    /// The same, less than this or equal. Default: not tested. Example: `499`.
    pub le: Option<Number>,
    /// The same, greater than this. Default: not tested. Example: `399`.
    pub gt: Option<Number>,
    /// The same, greater than this or equal. Default: not tested. Example: `400`.
    pub ge: Option<Number>,
    /// All of these conditions hold. Default: none.
    pub all: Option<Vec<Condition>>,
    /// At least one of these conditions holds. Default: none.
    pub any: Option<Vec<Condition>>,
    /// This condition does not hold. Default: none.
    pub not: Option<Box<Condition>>,
}

/// Reads null as a value instead of `None`.
fn any_value<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(from).map(Some)
}
