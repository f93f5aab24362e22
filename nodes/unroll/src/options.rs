//! What a user may set.

use std::collections::BTreeMap;

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
    /// root. Default: none, the node only applies `rules`, and documents without a rule leave
    /// unchanged. Example: `["Records", "$"]`.
    #[serde(default)]
    pub path: Option<Paths>,
    /// Key that wraps each record: `{"<into>":<record>}`. Default: none, the body is the record
    /// itself. Example: `Record`.
    #[serde(default)]
    pub into: Option<String>,
    /// Key that identifies a record: a root object that has it, and no array at any path, is one
    /// record. Default: none, such a text fails. Example: `eventVersion`.
    #[serde(default)]
    pub single: Option<String>,
    /// Fields beside the array that each child gets, as paths from the root; a field that is missing is left out, and a
    /// member of the record with the same key wins. Needs records that are objects, or `into`. The key is the last of
    /// the path. Default: `[]`. Example: `["account", { path = "meta.host", key = "host" }]`.
    #[serde(default)]
    pub keep: Vec<Copied>,
    /// Further arrays, as paths from the root: each child gets the element with the same index as its record.
    /// Default: `[]`. Example: `["times", "meta.units"]`.
    #[serde(default)]
    pub zip: Vec<Copied>,
    /// What to do if the arrays of `zip` are longer or shorter than the array of records. Default: `fail`.
    #[serde(default)]
    pub lengths: Option<Lengths>,
    /// Key for the index of the record in its array, from 0. Default: none. Example: `index`.
    #[serde(default)]
    pub index: Option<String>,
    /// What to do with a text that is partly broken: a line of several, an element of the array, or
    /// a missing end. Default: `fail`.
    #[serde(default)]
    pub broken: Broken,
    /// What to do with documents that are not plain arrays or records: wrapped, of another kind, or
    /// of no use. The first rule that matches the root of a document is used; if the first element of
    /// an array matches a rule, each element is handled as a document. Default: `[]`. Example:
    /// `[{ keys = ["detail-type", "detail"], unwrap = "detail" }]`.
    #[serde(default)]
    pub rules: Vec<Rule>,
    /// An older form of `rules` with `fail`: `keys`, and the `message`. Default: `[]`. Example:
    /// `[{ keys = ["detail-type", "detail"], message = "this looks like an EventBridge event" }]`.
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
    /// Like `apart`, but broken parts leave on the port `broken`. Connect it to a second `unroll` with
    /// the same options, which fails each part with its own reason.
    Port,
}

/// What to do with documents of one kind. It has one of `unwrap`, `drop`, `port` and `fail`; `unwrap` may also have a
/// `port`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub struct Rule {
    /// Keys that the document has, all of them. Default: `[]`, then `equals` is needed. Example:
    /// `["messageType", "logEvents"]`.
    #[serde(default)]
    pub keys: Vec<String>,
    /// Members that the document has, with their values: texts, whole numbers or booleans. Default: `{}`. Example:
    /// `{ messageType = "CONTROL_MESSAGE" }`.
    #[serde(default)]
    pub equals: BTreeMap<String, Scalar>,
    /// Path of the documents inside the document: an object, an array, or a string that contains
    /// JSON. Each is handled like a document that arrived alone. `[*]` stands for all elements of an array.
    /// Default: none. Example: `logEvents[*].message`.
    #[serde(default)]
    pub unwrap: Option<String>,
    /// How the strings at `unwrap` are encoded. Default: none, they are JSON.
    #[serde(default)]
    pub decode: Option<Decode>,
    /// Reason for which the document is dropped and counted: small letters, digits and `-`. Default: none. Example:
    /// `control-message`.
    #[serde(default)]
    pub drop: Option<String>,
    /// Port that the document leaves on, unchanged; with `unwrap`, the port that the documents in it
    /// leave on. A letter, then letters, digits, `_` and `-`. Default: none. Example: `digests`.
    #[serde(default)]
    pub port: Option<String>,
    /// Message with which the document fails, under the code `unsupported`: what it is and what to do instead. Default:
    /// none. Example: `this looks like an S3 event notification; send the file that it names`.
    #[serde(default)]
    pub fail: Option<String>,
}

/// A value that a member must have.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "expected a text, a whole number or a boolean")]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub enum Scalar {
    /// A text.
    Text(String),
    /// A boolean.
    Bool(bool),
    /// A whole number.
    Number(i64),
}

/// How a string is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub enum Decode {
    /// Base64 of a text, or of a text compressed with gzip, which the first bytes show.
    Base64,
}

/// A value that children get.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "expected a path, or `{ path = ..., key = ... }`")]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub enum Copied {
    /// Its path; the last key is its key in the child.
    Path(String),
    /// Its path and its key.
    Keyed(Keyed),
}

/// A value that children get, with its key.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub struct Keyed {
    /// Path from the root. Example: `meta.host`.
    pub path: String,
    /// Key in the child. Example: `host`.
    pub key: String,
}

/// What to do with arrays of different lengths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub enum Lengths {
    /// The event fails.
    #[default]
    Fail,
    /// As many children as the shortest array has elements; the other elements are left out.
    Shortest,
    /// As many children as the longest array has elements; missing elements are null.
    Null,
}

/// A kind of document to refuse, in the older form.
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
