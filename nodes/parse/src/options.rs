//! What a user may set.

use std::collections::BTreeMap;

use serde::Deserialize;
use wattle_convert::Type;

/// Options of the node `parse`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub struct Options {
    /// Field to parse. Default: `body`. Example: `attributes.Record.message`.
    #[serde(default = "body")]
    pub field: String,
    /// How the text is written. Default: `json`.
    #[serde(default)]
    pub format: Format,
    /// Where the values go: `attributes`, `resource`, or a path below one of them. Default: `attributes`.
    /// Example: `attributes.parsed`.
    #[serde(default = "attributes")]
    pub into: String,
    /// What to do with keys that already exist. Default: `overwrite`.
    #[serde(default)]
    pub on_conflict: OnConflict,
    /// For `regex`: the pattern; each named group becomes a key. Required there.
    /// Example: `^(?<ip>\S+) (?<status>\d+)$`.
    #[serde(default)]
    pub pattern: Option<String>,
    /// For `key_value`: the separator between pairs. Default: one space, which means any white
    /// space. The node skips empty pairs. Example: `;`.
    #[serde(default)]
    pub field_split: Option<String>,
    /// For `key_value`: the separator between key and value. Default: `=`. Example: `:`.
    #[serde(default)]
    pub pair_split: Option<String>,
    /// For `key_value`: the value of a key without a value, such as `debug` in `a=1 debug b=2`. A
    /// text with only such keys fails. Default: `true`.
    #[serde(default)]
    pub bare_keys: Option<BareKeys>,
    /// For `csv`: a key for each column, in order. Required there. Example: `["time", "status"]`.
    #[serde(default)]
    pub columns: Option<Vec<String>>,
    /// For `csv`: the ASCII character between columns. Default: `,`. Example: `\t`.
    #[serde(default)]
    pub delimiter: Option<char>,
    /// For `csv`: the ASCII character that escapes the next one in quotes. Default: none, a quote is
    /// doubled. Example: `\\`.
    #[serde(default)]
    pub escape: Option<char>,
    /// For `csv`: drops lines whose columns are the names in `columns`, in order, and counts them as
    /// dropped under `header`. Default: `false`.
    #[serde(default)]
    pub skip_header: Option<bool>,
    /// For `regex`, `key_value` and `csv`: types of keys whose values are not strings; an empty text becomes null.
    /// Default: none. Example: `{ status = "integer" }`.
    #[serde(default)]
    pub types: BTreeMap<String, Type>,
}

/// The value of a key that stands alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub enum BareKeys {
    /// The string `true`, or with the type `boolean` true itself.
    #[default]
    True,
    /// The empty string.
    Empty,
    /// None: the event fails.
    Fail,
}

/// How a text is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub enum Format {
    /// JSON; types are kept.
    #[default]
    Json,
    /// A regular expression with named groups.
    Regex,
    /// Pairs such as `level=info msg="all well"`.
    KeyValue,
    /// Columns as in RFC 4180.
    Csv,
}

/// What to do with keys that already exist.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub enum OnConflict {
    /// The parsed value replaces the old one.
    #[default]
    Overwrite,
    /// The old value stays.
    Keep,
    /// The event fails.
    Fail,
}

fn body() -> String {
    "body".into()
}

fn attributes() -> String {
    "attributes".into()
}
