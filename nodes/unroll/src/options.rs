//! What a user may set.

use serde::Deserialize;

/// Options of the node `unroll`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub struct Options {
    /// Field whose text holds the records. Default: `body`. Example: `attributes.payload`.
    #[serde(default = "body")]
    pub from: String,
    /// Where the array of records is in that text: a path, or alternatives of which the first that names an array is
    /// taken. Keys are separated by dots, quoted where they hold dots themselves; `$` is the root. No default.
    /// Example: `["Records", "$"]`.
    pub path: Paths,
    /// Key under which each record is put, so that it becomes `{"<into>":<record>}`. Default: none, each record stands
    /// for itself. Example: `Record`.
    #[serde(default)]
    pub into: Option<String>,
    /// Key that tells a record: a root object that has it, and no array at any path, is one record by itself.
    /// Default: none, such a text fails. Example: `eventVersion`.
    #[serde(default)]
    pub single: Option<String>,
}

/// One path, or several to be tried in order.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "expected a path such as `Records`, or a list of paths")]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub enum Paths {
    /// The only path.
    One(String),
    /// Alternatives.
    Many(Vec<String>),
}

fn body() -> String {
    "body".into()
}
