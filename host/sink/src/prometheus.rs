//! Metric events as Prometheus has them: names, labels and samples.
//!
//! The rules are those of OpenTelemetry for Prometheus
//! (<https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/>).

mod exemplar;
mod labels;
mod name;
mod point;
mod series;

pub(crate) use self::exemplar::Exemplar;
pub(crate) use self::labels::Labels;
pub(crate) use self::name::{family_name, unit_of};
pub(crate) use self::point::{
    Buckets, Exponential, Histogram, MAX_BATCH_BYTES, Point, PointError, Summary, Temporality, Value,
};
pub(crate) use self::series::{
    MAX_BUCKETS, Sample, double, escape, free_reserved, number, samples, samples_of, write_sample,
};
