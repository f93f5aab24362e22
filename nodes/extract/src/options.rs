//! What a user may set.

use serde::Deserialize;

/// Options of the node `extract`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub struct Options {
    /// The values to extract, in order; if two entries write to the same place, the later one wins.
    /// No default. Example: `[{ from = "attributes.Record.eventName", into = "attributes.eventName"
    /// }]`.
    pub fields: Vec<FieldOptions>,
}

/// One value to extract.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub struct FieldOptions {
    /// Field to read; with one `[*]`, the values of all elements as a JSON array. No default.
    /// Example: `attributes.Record.resources[*].ARN`.
    pub from: String,
    /// Regular expression applied to the text of the field; the match becomes the value, as a
    /// string. Default: none. Example: `^arn:aws:\w+::(\d+):`.
    #[serde(default)]
    pub pattern: Option<String>,
    /// Group of the pattern, by number or name, that is the value. Default: the first group, or the whole match if
    /// the pattern has no group. Example: `account`.
    #[serde(default)]
    pub group: Option<Group>,
    /// Where the value goes: `attributes.<key>`, `resource.<key>`, `body`, `timestamp`,
    /// `severity.number`, `severity.text`, `trace_id`, `span_id` or `scope.<key>`. No default.
    /// Example: `timestamp`.
    pub into: String,
    /// For `timestamp`: how the time is written. Default: `rfc3339`. Example: `%d/%b/%Y:%H:%M:%S %z`.
    #[serde(default)]
    pub format: Option<FormatOption>,
    /// What to do with an event that lacks the value. Default: `keep`.
    #[serde(default)]
    pub on_missing: OnMissing,
    /// For `timestamp`: what to do with an event whose value is not a time in this
    /// format. Default: `fail`.
    #[serde(default)]
    pub on_error: OnError,
    /// For `timestamp`: attribute for the seconds between the new timestamp and the present one, which is the time at which
    /// the source read the event unless a node has set another. Default: none. Example: `attributes.delay`.
    #[serde(default)]
    pub delay_into: Option<String>,
}

/// What to do with an event whose value is not a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub enum OnError {
    /// The event fails.
    #[default]
    Fail,
    /// The event keeps its timestamp. The node counts it as `bad-timestamp`, which the summary, the
    /// metrics and the status show.
    Keep,
}

/// A group of a pattern.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "expected the number or the name of a group")]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub enum Group {
    /// By number; 0 is the whole match.
    Number(usize),
    /// By name.
    Name(String),
}

/// How a time is written: one of the formats with a name, or directives of `strptime`.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub enum FormatOption {
    /// A format with a name.
    Named(TimeFormat),
    /// Directives of `strptime`, such as `%d/%b/%Y:%H:%M:%S %z`. A time without a zone is UTC.
    Directives(#[cfg_attr(not(target_arch = "wasm32"), schemars(regex(pattern = "%")))] String),
}

/// The named formats of times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub enum TimeFormat {
    /// As in RFC 3339, such as `2023-10-17T04:53:21.5Z`.
    #[default]
    Rfc3339,
    /// Seconds since 1970, with fractions or without.
    Epoch,
    /// Milliseconds since 1970.
    EpochMs,
    /// Microseconds since 1970.
    EpochUs,
    /// Nanoseconds since 1970.
    EpochNs,
    /// A time of ISO 8601, where a time without a zone is UTC, or a number since 1970, whose unit
    /// depends on its size.
    Auto,
}

/// What to do with an event that lacks a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub enum OnMissing {
    /// The event continues without the value.
    #[default]
    Keep,
    /// The field becomes null; not for `body` and `timestamp`.
    Null,
    /// The event fails.
    Fail,
    /// The node drops the event, and counts it as dropped.
    Drop,
}
