//! What a user may set.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use wattle_condition::{OneOrMany, Written};

/// Options of the node `aggregate`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub struct Options {
    /// Field or fields whose values are the key: each window has one event for each key. Default: none; one event for each
    /// window. Example: `["attributes.service", { field = "attributes.http.status", name = "status" }]`.
    #[serde(default)]
    pub by: Option<OneOrMany<By>>,
    /// Length of a window, at least 100 ms. Windows begin at multiples of it since 1970. No default. Example: `1m`.
    pub window: String,
    /// Time between the starts of two windows, of which `window` is a multiple; makes sliding windows. Default: `window`.
    /// Example: `10s`.
    #[serde(default)]
    pub slide: Option<String>,
    /// The time that decides about the window of an event. Default: `processing`.
    #[serde(default)]
    pub time: Time,
    /// How much older than the newest event an event may be to still find its window open, for `time = "event"`. Default:
    /// `1m`. Example: `10m`.
    #[serde(default)]
    pub lateness: Option<String>,
    /// Time without events after which windows that ended by the clock are made, for `time = "event"`. Default: `30s`.
    /// Example: `5m`.
    #[serde(default)]
    pub idle: Option<String>,
    /// How far ahead of the clock an event may be, for `time = "event"`; an event that is further ahead is treated like a late
    /// one. Default: `1h`. Example: `5m`.
    #[serde(default)]
    pub max_ahead: Option<String>,
    /// What happens to an event whose windows are closed. Default: `drop` for `mode = "hold"`, `pass` for `mode = "pass"`.
    #[serde(default)]
    pub on_late: Option<OnLate>,
    /// What to compute: output names with a function each. Default: `{ count = { count = true } }`. Example: `{ requests = {
    /// count = true }, bytes = { sum = "attributes.bytes" } }`.
    #[serde(default)]
    pub compute: Option<BTreeMap<String, Compute>>,
    /// What happens to the events that were counted. Default: `hold`.
    #[serde(default)]
    pub mode: Mode,
    /// Count only events for which this condition holds; all others pass. Default: none. Example: `{ field =
    /// "attributes.status", ge = 500 }`.
    #[serde(default, rename = "if")]
    pub condition: Option<Written>,
    /// Largest number of open groups, which are keys in windows (in slides of sliding windows), of at least 1. Default: 10000.
    /// Example: `1000`.
    #[serde(default)]
    pub max_keys: Option<usize>,
    /// What happens to the event of a new key when `max_keys` or `max_state` is reached. Default: `other`.
    #[serde(default)]
    pub on_full: OnFull,
    /// Largest size of all open groups, `64KiB` to `8MiB`. Default: `4MiB`. Example: `1MiB`.
    #[serde(default)]
    pub max_state: Option<String>,
    /// Part of the ids of the events that the node makes. Give nodes with the same options different names. Default: empty.
    /// Example: `errors-eu`.
    #[serde(default)]
    pub name: String,
}

/// A field of the key.
#[derive(Clone, Debug)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
#[cfg_attr(not(target_arch = "wasm32"), schemars(untagged))]
pub enum By {
    /// The last part of the path is the name.
    Field(String),
    /// The field with a name.
    Named(NamedBy),
}

impl<'de> Deserialize<'de> for By {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct FieldOrTable;
        impl<'de> Visitor<'de> for FieldOrTable {
            type Value = By;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a field such as `attributes.service`, or a table with `field` and `name`")
            }

            fn visit_str<E: serde::de::Error>(self, field: &str) -> Result<By, E> {
                Ok(By::Field(field.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<By, A::Error> {
                NamedBy::deserialize(MapAccessDeserializer::new(map)).map(By::Named)
            }
        }
        // Not `untagged`: a derived struct also reads a list of its values, so a list of two fields would be one field and
        // its name.
        from.deserialize_any(FieldOrTable)
    }
}

/// A field of the key with a name.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub struct NamedBy {
    /// The field. No default. Example: `attributes.http.status`.
    pub field: String,
    /// Its name in the body of the event that the node makes. No default. Example: `status`.
    pub name: String,
}

/// The time that decides about the window of an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub enum Time {
    /// The time at which the node receives it.
    #[default]
    Processing,
    /// Its timestamp.
    Event,
}

/// What happens to an event whose windows are closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub enum OnLate {
    /// It is dropped with the code `late` or `ahead`.
    Drop,
    /// It leaves on the port `out`.
    Pass,
    /// It leaves on the port `late`.
    Port,
}

/// What happens to the events that were counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub enum Mode {
    /// They end in the node.
    #[default]
    Hold,
    /// They leave unchanged on the port `out`.
    Pass,
}

/// What happens to the event of a new key when no further group fits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub enum OnFull {
    /// It is counted for the key `_other` of its window.
    #[default]
    Other,
    /// All open windows are made early, and go on as a further part.
    Flush,
}

/// A value to compute: one function, its options, and a condition.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub struct Compute {
    /// Number of events (`true`), or of events that have this field. Default: none. Example: `attributes.user`.
    pub count: Option<CountOf>,
    /// Sum of the numbers in this field. Default: none. Example: `attributes.bytes`.
    pub sum: Option<String>,
    /// The smallest number in this field. Default: none. Example: `attributes.duration`.
    pub min: Option<String>,
    /// The greatest number in this field. Default: none. Example: `attributes.duration`.
    pub max: Option<String>,
    /// The arithmetic mean of the numbers in this field. Default: none. Example: `attributes.duration`.
    pub mean: Option<String>,
    /// The first value of this field: of the oldest event for `time = "event"`, else of the first one that arrived. Default:
    /// none. Example: `attributes.version`.
    pub first: Option<String>,
    /// The last value of this field. Default: none. Example: `attributes.version`.
    pub last: Option<String>,
    /// The values of this field in the order of arrival. Default: none. Example: `attributes.path`.
    pub list: Option<String>,
    /// Estimate of the number of distinct values of this field (HyperLogLog). Default: none. Example: `attributes.user`.
    pub distinct: Option<String>,
    /// Estimates of quantiles of the numbers in this field (DDSketch). Default: none. Example: `attributes.duration`.
    pub quantiles: Option<String>,
    /// The quantiles, of 0 to 1, for `quantiles`. Default: `[0.5, 0.9, 0.99]`. Example: `[0.5, 0.999]`.
    pub at: Option<Vec<f64>>,
    /// Largest relative error of a quantile, 0.001 to 0.2, for `quantiles`. Default: 0.01. Example: `0.05`.
    pub accuracy: Option<f64>,
    /// Largest number of values, 1 to 1000, for `list`; further ones are counted as `list-full`. Default: 100. Example: `10`.
    pub limit: Option<usize>,
    /// Whether equal values are listed once, for `list`. Default: `false`.
    pub unique: bool,
    /// Bits of a hash that choose a register, 4 to 16, for `distinct`: the standard error is `1.04 / sqrt(2^precision)`.
    /// Default: 12, which is 1.6 %. Example: `14`.
    pub precision: Option<u8>,
    /// Count only events for which this condition holds. Default: none. Example: `{ field = "attributes.status", ge = 500 }`.
    #[serde(rename = "if")]
    pub condition: Option<Written>,
}

/// Which events are counted.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "expected `true` or a field such as `attributes.user`")]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub enum CountOf {
    /// All.
    All(bool),
    /// Those that have this field, and not null.
    Field(String),
}
