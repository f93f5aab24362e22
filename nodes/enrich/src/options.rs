//! What a user may set.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};
use wattle_condition::{Condition, OneOrMany};
use wattle_convert::Type;

/// Options of the node `enrich`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub struct Options {
    /// Lookups in order; each looks up every event in one table. At most 32, with 200 columns in total. No default.
    /// Example: `[{ table = "accounts", key = "attributes.account", columns = ["name", "team"] }]`.
    pub lookups: Vec<Lookup>,
}

/// A lookup in a table.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub struct Lookup {
    /// Name of the table in `grants.lookup.tables` of the pipeline. No default. Example: `accounts`.
    pub table: String,
    /// Field with the key, or a list of fields: the first that is present, not null and not empty is the key. No default.
    /// Example: `["attributes.client", "attributes.peer"]`.
    pub key: OneOrMany<String>,
    /// Columns to set: a list, or a table of each column and its field below `into`. In a list, dots in a name make nested
    /// fields. No default. Example: `{ "country.iso_code" = "country", "location.latitude" = "lat" }`.
    pub columns: Columns,
    /// Where the columns go: `attributes`, `resource`, `body`, or a path below one of them; missing objects are created.
    /// Default: `attributes`. Example: `attributes.geo`.
    #[serde(default = "attributes")]
    pub into: String,
    /// Only events for which this condition holds are looked up. Default: all. Example: `{ field = "attributes.client",
    /// exists = true }`.
    #[serde(default, rename = "if")]
    pub condition: Option<Condition>,
    /// Convert the letters of the key before the lookup. Default: none. Example: `lower`.
    #[serde(default)]
    pub case: Option<Case>,
    /// Types of columns whose cells are texts. Without one, a text stays a string. Default: none. Example:
    /// `{ port = "integer" }`.
    #[serde(default)]
    pub types: BTreeMap<String, Type>,
    /// Values of columns for events with a key that has no row, or whose row has no value in the column. Default: none.
    /// Example: `{ team = "unknown" }`.
    #[serde(default)]
    pub default: Map<String, Value>,
    /// What to do with an event whose key has no row, or a row without a value in any of the columns. Default: `skip`.
    #[serde(default)]
    pub on_missing: OnMissing,
    /// Whether to replace fields that exist and are not null. Default: true. Example: `false`.
    #[serde(default = "yes")]
    pub overwrite: bool,
}

/// Columns, and the fields that they set.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "expected a list of columns, or a table of each column and its field")]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub enum Columns {
    /// Columns that set the fields of the same name.
    Same(Vec<String>),
    /// Columns with their fields.
    Named(BTreeMap<String, String>),
}

/// How to convert the letters of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub enum Case {
    /// To lower case.
    Lower,
    /// To upper case.
    Upper,
}

/// What to do with an event whose key has no row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub enum OnMissing {
    /// The event continues with the values of `default`, or without the fields.
    #[default]
    Skip,
    /// The event fails.
    Fail,
    /// The node drops the event, and counts it as dropped.
    Drop,
    /// The event leaves on the port `not_found`, with the values of `default`.
    Route,
}

fn attributes() -> String {
    "attributes".to_owned()
}

const fn yes() -> bool {
    true
}
