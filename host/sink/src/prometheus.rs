//! Metric events as Prometheus has them: names, labels and samples.
//!
//! The rules are those of OpenTelemetry for Prometheus
//! (<https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/>).

mod labels;
mod name;
mod point;
mod series;

pub(crate) use self::labels::Labels;
pub(crate) use self::name::family_name;
pub(crate) use self::point::{Buckets, Exponential, MAX_BATCH_BYTES, Point, PointError, Temporality, Value};
pub(crate) use self::series::{double, free_reserved, samples, write_sample};
