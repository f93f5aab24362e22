//! What a user may set.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use wattle_condition::{OneOrMany, Written};

/// Options of the node `to-metric`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub struct Options {
    /// The metrics to make, at least one. No default. Example: `[{ name = "requests", type = "counter" }]`.
    pub metrics: Vec<MetricOptions>,
    /// Time between two data points of a series, at least `100ms`; they are made at multiples of it since 1970. Default: `1m`.
    /// Example: `10s`.
    #[serde(default)]
    pub interval: Option<String>,
    /// What a data point of a sum or histogram covers. Default: `delta`.
    #[serde(default)]
    pub temporality: Temporality,
    /// Whether a known series without new values makes a data point with 0, for `temporality = "delta"`. Default: `false`.
    #[serde(default)]
    pub zeros: bool,
    /// Time without values after which a series is forgotten, at least `interval`. Default: `1h`. Example: `24h`.
    #[serde(default)]
    pub expire_after: Option<String>,
    /// Whether the metrics are also on `/metrics` of the agent; needs the grant `metrics`. Default: `false`.
    #[serde(default)]
    pub expose: bool,
    /// Count only events for which this condition holds. Default: none. Example: `{ field = "attributes.status", exists = true
    /// }`.
    #[serde(default, rename = "if")]
    pub condition: Option<Written>,
    /// Largest size of all series, `64KiB` to `8MiB`. Default: `4MiB`. Example: `1MiB`.
    #[serde(default)]
    pub max_state: Option<String>,
}

/// A metric.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub struct MetricOptions {
    /// Name: a letter, then letters, digits, `_`, `.`, `-` and `/`, at most 255 bytes. No default. Example:
    /// `http.server.requests`.
    pub name: String,
    /// What is computed. No default. Example: `histogram`.
    #[serde(rename = "type")]
    pub kind: KindOption,
    /// Field with the number; a counter without a field counts events. No default for other types. Example:
    /// `attributes.duration`.
    #[serde(default)]
    pub field: Option<String>,
    /// Unit, in UCUM as in OpenTelemetry. Default: empty. Example: `s`.
    #[serde(default)]
    pub unit: String,
    /// What the metric means. Default: empty. Example: `Duration of requests`.
    #[serde(default)]
    pub description: String,
    /// Field or fields whose values are the dimensions; each combination is a series. Default: none. Example:
    /// `["attributes.service", { field = "attributes.http.status", name = "status", default = "none" }]`.
    #[serde(default)]
    pub dimensions: Option<OneOrMany<Dimension>>,
    /// Count only events for which this condition holds. Default: none. Example: `{ field = "attributes.status", ge = 500 }`.
    #[serde(default, rename = "if")]
    pub condition: Option<Written>,
    /// Upper bounds of the buckets of a `histogram`, 1 to 100 increasing numbers. Default: `[0, 5, 10, 25, 50, 75, 100, 250,
    /// 500, 750, 1000, 2500, 5000, 7500, 10000]`. Example: `[0.1, 0.5, 1, 5]`.
    #[serde(default)]
    pub bounds: Option<Vec<f64>>,
    /// Largest number of buckets for each sign of an `exponential_histogram`, 2 to 320. Default: 160. Example: `80`.
    #[serde(default)]
    pub max_size: Option<usize>,
    /// Largest number of series, of at least 1; further ones are counted for the series `_other`. Default: 1000. Example: `100`.
    #[serde(default)]
    pub max_series: Option<usize>,
    /// Sample events in each data point. Default: none. Example: `{ attributes = ["attributes.trace_id"] }`.
    #[serde(default)]
    pub exemplars: Option<ExemplarOptions>,
    /// Whether this metric is on `/metrics`. Default: `expose` of the node.
    #[serde(default)]
    pub expose: Option<bool>,
}

/// Sample events in a data point.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub struct ExemplarOptions {
    /// Exemplars of a data point, 1 to 10: the events with the greatest values. Default: 1. Example: `5`.
    #[serde(default)]
    pub max: Option<usize>,
    /// Field or fields that identify the event. Default: none. Example: `["attributes.trace_id", "attributes.span_id"]`.
    #[serde(default)]
    pub attributes: Option<OneOrMany<Dimension>>,
}

/// The type of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub enum KindOption {
    /// A sum that only grows: of events, or of the values of `field`, which are not negative.
    Counter,
    /// The sum of the values of `field`.
    Sum,
    /// The last value of `field`.
    Gauge,
    /// Counts of the values of `field` by `bounds`.
    Histogram,
    /// Counts of the values of `field` in buckets whose bounds grow by a factor.
    ExponentialHistogram,
}

/// What a data point of a sum or histogram covers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub enum Temporality {
    /// The time since the last data point.
    #[default]
    Delta,
    /// The time since the series began.
    Cumulative,
}

/// A dimension.
#[derive(Clone, Debug)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
#[cfg_attr(not(target_arch = "wasm32"), schemars(untagged))]
pub enum Dimension {
    /// The last part of the path is the name.
    Field(String),
    /// The field with a name.
    Named(NamedDimension),
}

/// A dimension with a name.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(target_arch = "wasm32"), derive(schemars::JsonSchema))]
pub struct NamedDimension {
    /// The field. No default. Example: `attributes.http.status`.
    pub field: String,
    /// Its name. Default: the last part of the path. Example: `status`.
    #[serde(default)]
    pub name: Option<String>,
    /// The value for events without the field. Default: none; their data points lack the dimension. Example: `none`.
    #[serde(default)]
    pub default: Option<String>,
}

impl<'de> Deserialize<'de> for Dimension {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct FieldOrTable;
        impl<'de> Visitor<'de> for FieldOrTable {
            type Value = Dimension;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a field such as `attributes.service`, or a table with `field`")
            }

            fn visit_str<E: serde::de::Error>(self, field: &str) -> Result<Dimension, E> {
                Ok(Dimension::Field(field.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Dimension, A::Error> {
                NamedDimension::deserialize(MapAccessDeserializer::new(map)).map(Dimension::Named)
            }
        }
        // Not `untagged`: a derived struct also reads a list of its values, so a list of two fields would be one field and
        // its name.
        from.deserialize_any(FieldOrTable)
    }
}
