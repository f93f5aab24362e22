//! What a user may set.

use serde::Deserialize;

/// Options of the node `unroll`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub struct Options {
    /// Field that contains the records. Default: `body`. Example: `attributes.payload`.
    #[serde(default = "body")]
    pub from: String,
    /// Path of the array of records in that text, or a list of paths, of which the first that names
    /// an array is used. Keys are separated by dots, and quoted if they contain dots; `$` is the
    /// root. No default. Example: `["Records", "$"]`.
    pub path: Paths,
    /// Key that wraps each record: `{"<into>":<record>}`. Default: none, the body is the record
    /// itself. Example: `Record`.
    #[serde(default)]
    pub into: Option<String>,
    /// Key that identifies a record: a root object that has it, and no array at any path, is one
    /// record. Default: none, such a text fails. Example: `eventVersion`.
    #[serde(default)]
    pub single: Option<String>,
    /// What to do with a text that is partly broken: a line of several, an element of the array, or
    /// a missing end. Default: `fail`.
    #[serde(default)]
    pub broken: Broken,
    /// Documents to refuse. A document that has all keys of an entry, at its root or in the first
    /// element of its array, fails under the code `unsupported` with the message of the entry.
    /// Default: `[]`. Example: `[{ keys = ["detail-type", "detail"], message = "this looks like an
    /// EventBridge event" }]`.
    #[serde(default)]
    pub unsupported: Vec<Unsupported>,
}

/// What to do with a text that is partly broken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub enum Broken {
    /// The event fails as a whole.
    #[default]
    Fail,
    /// Records with the `single` key, which must be set, continue. Each broken part becomes a
    /// separate event, unchanged and without `into`; the node that parses the records fails it. A
    /// text without any record fails as a whole.
    Apart,
}

/// A kind of document to refuse.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub struct Unsupported {
    /// Keys that the document has, all of them. Example: `["detail-type", "detail"]`.
    pub keys: Vec<String>,
    /// What the document is and what to do instead. Example: `this looks like an EventBridge event;
    /// send its "detail"`.
    pub message: String,
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
