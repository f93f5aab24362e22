//! Reads the data point of a metric event, in the shape of `docs/FORMATS.md`.

use serde::{Deserialize, Deserializer};
use wattle_batch::{Batch, EventKind};

use super::exemplar::{self, Exemplar};

/// Why an event is not sent. The texts have no contents of the event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PointError {
    #[error("is not a metric event; send metrics only, such as those of the node `to-metric`")]
    NotMetric,
    #[error("the body is not that of a metric: {what} at column {column}")]
    Body { what: &'static str, column: usize },
    #[error("the metric has no name with letters or digits")]
    Name,
    #[error("the metric has no value")]
    NoValue,
    #[error("`temporality` is missing; it must be `delta` or `cumulative`")]
    NoTemporality,
    #[error("the temporality is `delta`, and Prometheus needs `cumulative`; have the application add the values up")]
    Delta,
    #[error("`bucket_counts` must have one element more than `bounds`, which must increase")]
    Buckets,
    #[error("the buckets have more values than `count`")]
    Count,
    #[error("`scale` must be from -4 to 20")]
    Scale,
    #[error("the samples of the event would have more than {} MiB", MAX_SAMPLE_BYTES >> 20)]
    TooLarge,
    #[error("the samples of the events of a batch would have more than {} MiB", MAX_BATCH_BYTES >> 20)]
    BatchTooLarge,
}

/// Maximum bytes of the names and labels of the samples of one event. Every bucket has all labels of its event.
pub(crate) const MAX_SAMPLE_BYTES: usize = 1 << 20;

/// Maximum bytes of the samples of the events of one batch, which are in memory at the same time. A batch has at most 4 MiB
/// of events, of which only many buckets with long labels make so many samples.
pub(crate) const MAX_BATCH_BYTES: usize = 64 << 20;

/// How values of one series relate to each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Temporality {
    /// Each value is the change since the one before.
    Delta,
    /// Each value is the total since `start`.
    #[default]
    Cumulative,
}

/// A data point.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Point {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) unit: String,
    /// Always `Cumulative` for gauges and summaries.
    pub(crate) temporality: Temporality,
    pub(crate) value: Value,
    /// Those that are valid, with labels that fit.
    pub(crate) exemplars: Vec<Exemplar>,
}

/// The value of a data point.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// A monotonic sum.
    Counter(f64),
    /// A gauge, or a sum that is not monotonic.
    Gauge(f64),
    Histogram(Histogram),
    Exponential(Exponential),
    Summary(Summary),
}

impl Default for Value {
    fn default() -> Self {
        Self::Gauge(0.0)
    }
}

/// A histogram with explicit bounds. `counts` has one element more than `bounds`, or both are empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Histogram {
    pub(crate) count: u64,
    pub(crate) sum: Option<f64>,
    pub(crate) bounds: Vec<f64>,
    pub(crate) counts: Vec<u64>,
}

/// A histogram whose buckets grow exponentially.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Exponential {
    pub(crate) count: u64,
    pub(crate) sum: Option<f64>,
    pub(crate) scale: i32,
    pub(crate) zero_count: u64,
    pub(crate) zero_threshold: f64,
    pub(crate) positive: Buckets,
    pub(crate) negative: Buckets,
}

/// Buckets from an index on.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Buckets {
    pub(crate) offset: i32,
    #[serde(rename = "bucket_counts")]
    pub(crate) counts: Vec<u64>,
}

impl Buckets {
    /// The number of values in all buckets.
    fn total(&self) -> Option<u64> {
        self.counts.iter().try_fold(0_u64, |total, count| total.checked_add(*count))
    }
}

/// Quantiles of a distribution.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Summary {
    pub(crate) count: u64,
    pub(crate) sum: Option<f64>,
    pub(crate) quantiles: Vec<(f64, f64)>,
}

/// A double as metric events have them: a number, or the name of one that is not finite.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Double(f64);

impl<'de> Deserialize<'de> for Double {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Double;

            fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str("a number")
            }

            fn visit_f64<E>(self, value: f64) -> Result<Double, E> {
                Ok(Double(value))
            }

            #[expect(clippy::cast_precision_loss, reason = "Prometheus has doubles only")]
            fn visit_u64<E>(self, value: u64) -> Result<Double, E> {
                Ok(Double(value as f64))
            }

            #[expect(clippy::cast_precision_loss, reason = "Prometheus has doubles only")]
            fn visit_i64<E>(self, value: i64) -> Result<Double, E> {
                Ok(Double(value as f64))
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Double, E> {
                match text {
                    "NaN" => Ok(Double(f64::NAN)),
                    "Infinity" => Ok(Double(f64::INFINITY)),
                    "-Infinity" => Ok(Double(f64::NEG_INFINITY)),
                    _ => Err(E::custom("not a number")),
                }
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Type {
    Sum,
    Gauge,
    Histogram,
    ExponentialHistogram,
    Summary,
}

#[derive(Deserialize)]
struct Quantile {
    quantile: Double,
    value: Double,
}

/// The body of a metric event. Members that Prometheus has no place for are skipped.
#[derive(Deserialize)]
struct Body {
    name: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    unit: String,
    r#type: Type,
    temporality: Option<Temporality>,
    #[serde(default)]
    monotonic: bool,
    value: Option<Double>,
    #[serde(default)]
    count: u64,
    sum: Option<Double>,
    #[serde(default)]
    bounds: Vec<Double>,
    #[serde(default)]
    bucket_counts: Vec<u64>,
    #[serde(default)]
    scale: i32,
    #[serde(default)]
    zero_count: u64,
    zero_threshold: Option<Double>,
    #[serde(default)]
    positive: Buckets,
    #[serde(default)]
    negative: Buckets,
    #[serde(default)]
    quantiles: Vec<Quantile>,
    /// Exemplars are extra, so a wrong one does not refuse its event.
    #[serde(default)]
    exemplars: serde_json::Value,
}

impl Point {
    /// Reads the data point of an event.
    ///
    /// # Errors
    ///
    /// The event is not a metric, or its numbers contradict each other.
    pub(crate) fn read(batch: &Batch, row: usize) -> Result<Self, PointError> {
        if batch.kind() != EventKind::Metric {
            return Err(PointError::NotMetric);
        }
        let body: Body = serde_json::from_slice(batch.body().row(row)).map_err(|error| {
            // The text of the error can have a part of the event.
            let what = match error.classify() {
                serde_json::error::Category::Data => "a value that does not fit, or a missing one,",
                _ => "invalid JSON",
            };
            PointError::Body { what, column: error.column() }
        })?;
        let temporality = match body.r#type {
            Type::Gauge | Type::Summary => Temporality::Cumulative,
            _ => body.temporality.ok_or(PointError::NoTemporality)?,
        };
        let (name, description, unit) = (body.name.clone(), body.description.clone(), body.unit.clone());
        let exemplars = exemplar::read(&body.exemplars);
        Ok(Self { name, description, unit, temporality, value: body.value()?, exemplars })
    }
}

impl Body {
    fn value(self) -> Result<Value, PointError> {
        let (count, sum) = (self.count, self.sum.map(|Double(sum)| sum));
        Ok(match self.r#type {
            Type::Sum | Type::Gauge => {
                let Double(value) = self.value.ok_or(PointError::NoValue)?;
                match self.r#type {
                    Type::Sum if self.monotonic => Value::Counter(value),
                    _ => Value::Gauge(value),
                }
            }
            Type::Histogram => {
                let bounds: Vec<f64> = self.bounds.iter().map(|Double(bound)| *bound).collect();
                let counts = self.bucket_counts;
                let fits = counts.len() == bounds.len() + 1 || counts.is_empty() && bounds.is_empty();
                let increases = bounds.is_sorted_by(|one, next| one < next);
                if !fits || !increases || bounds.iter().any(|bound| bound.is_nan()) {
                    return Err(PointError::Buckets);
                }
                check_count([counts.iter().try_fold(0_u64, |total, count| total.checked_add(*count))], count)?;
                Value::Histogram(Histogram { count, sum, bounds, counts })
            }
            Type::ExponentialHistogram => {
                let (positive, negative) = (self.positive, self.negative);
                check_count([positive.total(), negative.total(), Some(self.zero_count)], count)?;
                if !(-4..=20).contains(&self.scale) {
                    return Err(PointError::Scale);
                }
                let zero_threshold = self.zero_threshold.map_or(0.0, |Double(threshold)| threshold);
                let (scale, zero_count) = (self.scale, self.zero_count);
                Value::Exponential(Exponential { count, sum, scale, zero_count, zero_threshold, positive, negative })
            }
            Type::Summary => {
                let quantiles = self.quantiles.iter().map(|Quantile { quantile, value }| (quantile.0, value.0));
                Value::Summary(Summary { count, sum, quantiles: quantiles.collect() })
            }
        })
    }
}

/// A server that finds more values in buckets than in all refuses the request with a status that asks to send it again.
fn check_count<const N: usize>(parts: [Option<u64>; N], count: u64) -> Result<(), PointError> {
    let total = parts.into_iter().try_fold(0_u64, |total, part| total.checked_add(part?));
    total.filter(|total| *total <= count).map(|_| ()).ok_or(PointError::Count)
}
