//! What a user may set.

use serde::Deserialize;

/// Options of the node `timestamp`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub struct Options {
    /// Field with the time, or a list of fields: the first that has a time in one of the formats is used. No default.
    /// Example: `["body.time", "body.ts"]`.
    pub from: Texts,
    /// How the time is written, as one format or a list of formats that are tried in order: `rfc3339`, `iso8601`,
    /// `rfc2822`, `clf` (or `apache`), `nginx`, `syslog`, `klog`, `kubernetes`, `epoch` (the size of the number decides its
    /// unit), `epoch_s`, `epoch_ms`, `epoch_us`, `epoch_ns`, or directives of `strptime`. Default: `["iso8601", "epoch"]`.
    /// Example: `["%d.%m.%Y %H:%M:%S", "epoch_ms"]`.
    #[serde(default = "formats")]
    pub formats: Texts,
    /// Zone of times without a zone: a name of the IANA database, or an offset. Default: `UTC`. Example: `Europe/Berlin`.
    #[serde(default = "utc")]
    pub timezone: String,
    /// Field with the zone of times without a zone: a name of the IANA database, or an offset. An event without it has
    /// `timezone`. Default: none. Example: `attributes.timezone`.
    #[serde(default)]
    pub timezone_from: Option<String>,
    /// Where the time goes: `timestamp`, `attributes.<key>`, `resource.<key>`, `scope.attributes.<key>` or `body`.
    /// Default: `timestamp`. Example: `attributes.time`.
    #[serde(default = "timestamp")]
    pub into: String,
    /// For `into` other than `timestamp`: how to write the time: `rfc3339`, `rfc3339_s`, `rfc3339_ms`, `rfc3339_us`,
    /// `rfc3339_ns`, `epoch` (seconds with a fraction), `epoch_s`, `epoch_ms`, `epoch_us`, `epoch_ns`, or directives of
    /// `strftime`. Default: `rfc3339`. Example: `%Y-%m-%d`.
    #[serde(default)]
    pub output: Option<String>,
    /// For `into` other than `timestamp`: zone in which to write the time. Default: `UTC`. Example: `America/New_York`.
    #[serde(default)]
    pub output_timezone: Option<String>,
    /// How long before the present timestamp of the event a time can be. Default: no limit. Example: `7d`.
    #[serde(default)]
    pub max_age: Option<String>,
    /// How long after the present timestamp of the event a time can be. Default: no limit. Example: `1h`.
    #[serde(default)]
    pub max_future: Option<String>,
    /// What to do with an event whose time is not within these limits. Default: `fail`.
    #[serde(default)]
    pub on_skew: OnSkew,
    /// For `on_skew = "tag"`: field that becomes `too-old` or `in-future`. Default: `attributes.time_skew`.
    #[serde(default)]
    pub skew_field: Option<String>,
    /// What to do with an event that has no value in any of the fields. Default: `keep`.
    #[serde(default)]
    pub on_missing: OnMissing,
    /// What to do with an event whose values are not times in any of the formats. Default: `fail`.
    #[serde(default)]
    pub on_error: OnError,
}

/// A text or a list of texts.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "expected a string or a list of strings")]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub enum Texts {
    /// One text.
    One(String),
    /// Several, in order.
    Several(Vec<String>),
}

impl Texts {
    /// The texts, each with the path of its option.
    pub(crate) fn each<'a>(&'a self, option: &'a str) -> impl Iterator<Item = (String, &'a str)> {
        let (one, several) = match self {
            Self::One(text) => (Some((option.to_owned(), text.as_str())), &[][..]),
            Self::Several(texts) => (None, texts.as_slice()),
        };
        let several = several.iter().enumerate().map(move |(i, text)| (format!("{option}[{i}]"), text.as_str()));
        one.into_iter().chain(several)
    }
}

/// What to do with an event whose time is not within the limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub enum OnSkew {
    /// The event fails.
    #[default]
    Fail,
    /// The event continues as it is, and the node counts it.
    Keep,
    /// The limit becomes the time, and the node counts the event.
    Clamp,
    /// The time is set as it was read, `skew_field` becomes `too-old` or `in-future`, and the node counts the event.
    Tag,
    /// The node drops the event, and counts it as dropped.
    Drop,
}

/// What to do with an event without a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub enum OnMissing {
    /// The event continues as it is.
    #[default]
    Keep,
    /// The event fails.
    Fail,
    /// The node drops the event, and counts it as dropped.
    Drop,
}

/// What to do with an event whose values are not times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub enum OnError {
    /// The event fails.
    #[default]
    Fail,
    /// The event continues as it is, and the node counts it.
    Keep,
    /// The node drops the event, and counts it as dropped.
    Drop,
}

fn formats() -> Texts {
    Texts::Several(vec!["iso8601".to_owned(), "epoch".to_owned()])
}

fn utc() -> String {
    "UTC".to_owned()
}

fn timestamp() -> String {
    "timestamp".to_owned()
}
