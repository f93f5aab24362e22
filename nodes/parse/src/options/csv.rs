//! Options of the format `csv` that are more than one value.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The columns of a line.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "expected a list of names, or `header`")]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub enum Columns {
    /// Their names, in order.
    Names(Vec<String>),
    /// The lines themselves name them.
    From(ColumnsFrom),
}

/// What names the columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub enum ColumnsFrom {
    /// The last header line of the stream.
    Header,
}

/// Columns that depend on a value.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub struct ColumnSets {
    /// The number of the column that names the set, from 0, or a field of the event. No default. Example: `3`, or
    /// `attributes.kind`.
    pub by: By,
    /// The columns, in order, for each value. No default. Example: `{ TRAFFIC = ["domain", "time"] }`.
    pub sets: BTreeMap<String, Vec<String>>,
}

/// What names the set of columns.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "expected the number of a column, or a field such as `attributes.kind`")]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub enum By {
    /// The number of a column, from 0.
    Column(usize),
    /// A field of the event.
    Field(String),
}

/// What stands between columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "expected one character, or `whitespace`")]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub enum Delimiter {
    /// One character.
    One(char),
    /// Characters that have a name.
    Named(NamedDelimiter),
}

/// Characters between columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub enum NamedDelimiter {
    /// Any number of spaces and tabs.
    Whitespace,
}

/// What to do with columns that have no name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub enum ExtraColumns {
    /// The event fails.
    #[default]
    Fail,
    /// The columns after the last name are left out.
    Ignore,
    /// The last column has the rest of the line; for the delimiter `whitespace`.
    Join,
}
