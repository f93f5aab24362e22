//! A record: the data point of an event as payloads have it.
//!
//! Payloads can be in a buffer on disk when another version of the agent starts, so a record is a message of protobuf,
//! to which later versions can add fields.

use std::collections::BTreeMap;

use crate::prometheus::{self as metrics, escape};

/// The data point of an event.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Record {
    /// The name of the family; a counter ends with `_total`.
    #[prost(string, tag = "1")]
    pub(super) name: String,
    /// Empty if the name has none.
    #[prost(string, tag = "2")]
    pub(super) unit: String,
    #[prost(string, tag = "3")]
    pub(super) help: String,
    /// As in the text format, without braces.
    #[prost(string, tag = "4")]
    pub(super) labels: String,
    /// Whether the value is a change since the last one.
    #[prost(bool, tag = "5")]
    pub(super) is_delta: bool,
    /// Milliseconds since 1970.
    #[prost(sint64, tag = "6")]
    pub(super) time: i64,
    #[prost(message, repeated, tag = "7")]
    pub(super) exemplars: Vec<Exemplar>,
    #[prost(oneof = "Value", tags = "8, 9, 10, 11, 12")]
    pub(super) value: Option<Value>,
}

/// An exemplar.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Exemplar {
    #[prost(double, tag = "1")]
    pub(super) value: f64,
    /// Milliseconds since 1970.
    #[prost(sint64, optional, tag = "2")]
    pub(super) time: Option<i64>,
    /// As in the text format, without braces.
    #[prost(string, tag = "3")]
    pub(super) labels: String,
}

/// The value of a data point.
#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum Value {
    #[prost(double, tag = "8")]
    Counter(f64),
    #[prost(double, tag = "9")]
    Gauge(f64),
    #[prost(message, tag = "10")]
    Histogram(Histogram),
    #[prost(message, tag = "11")]
    Exponential(Exponential),
    #[prost(message, tag = "12")]
    Summary(Summary),
}

/// A histogram with explicit bounds.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Histogram {
    #[prost(uint64, tag = "1")]
    count: u64,
    #[prost(double, optional, tag = "2")]
    sum: Option<f64>,
    #[prost(double, repeated, tag = "3")]
    bounds: Vec<f64>,
    #[prost(uint64, repeated, tag = "4")]
    counts: Vec<u64>,
}

/// A histogram whose buckets grow exponentially.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Exponential {
    #[prost(uint64, tag = "1")]
    count: u64,
    #[prost(double, optional, tag = "2")]
    sum: Option<f64>,
    #[prost(sint32, tag = "3")]
    scale: i32,
    #[prost(uint64, tag = "4")]
    zero_count: u64,
    #[prost(double, tag = "5")]
    zero_threshold: f64,
    #[prost(sint32, tag = "6")]
    positive_offset: i32,
    #[prost(uint64, repeated, tag = "7")]
    positive: Vec<u64>,
    #[prost(sint32, tag = "8")]
    negative_offset: i32,
    #[prost(uint64, repeated, tag = "9")]
    negative: Vec<u64>,
}

/// Quantiles of a distribution. Both lists have the same length.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Summary {
    #[prost(uint64, tag = "1")]
    count: u64,
    #[prost(double, optional, tag = "2")]
    sum: Option<f64>,
    #[prost(double, repeated, tag = "3")]
    quantiles: Vec<f64>,
    #[prost(double, repeated, tag = "4")]
    values: Vec<f64>,
}

impl Value {
    /// The value of a data point as a record has it.
    pub(super) fn of(value: metrics::Value) -> Self {
        match value {
            metrics::Value::Counter(value) => Self::Counter(value),
            metrics::Value::Gauge(value) => Self::Gauge(value),
            metrics::Value::Histogram(metrics::Histogram { count, sum, bounds, counts }) => {
                Self::Histogram(Histogram { count, sum, bounds, counts })
            }
            metrics::Value::Exponential(exponential) => Self::Exponential(Exponential {
                count: exponential.count,
                sum: exponential.sum,
                scale: exponential.scale,
                zero_count: exponential.zero_count,
                zero_threshold: exponential.zero_threshold,
                positive_offset: exponential.positive.offset,
                positive: exponential.positive.counts,
                negative_offset: exponential.negative.offset,
                negative: exponential.negative.counts,
            }),
            metrics::Value::Summary(metrics::Summary { count, sum, quantiles }) => {
                let (quantiles, values) = quantiles.into_iter().unzip();
                Self::Summary(Summary { count, sum, quantiles, values })
            }
        }
    }

    /// The value that a record has.
    pub(super) fn read(self) -> metrics::Value {
        match self {
            Self::Counter(value) => metrics::Value::Counter(value),
            Self::Gauge(value) => metrics::Value::Gauge(value),
            Self::Histogram(Histogram { count, sum, bounds, counts }) => {
                metrics::Value::Histogram(metrics::Histogram { count, sum, bounds, counts })
            }
            Self::Exponential(exponential) => metrics::Value::Exponential(metrics::Exponential {
                count: exponential.count,
                sum: exponential.sum,
                scale: exponential.scale,
                zero_count: exponential.zero_count,
                zero_threshold: exponential.zero_threshold,
                positive: metrics::Buckets { offset: exponential.positive_offset, counts: exponential.positive },
                negative: metrics::Buckets { offset: exponential.negative_offset, counts: exponential.negative },
            }),
            Self::Summary(Summary { count, sum, quantiles, values }) => metrics::Value::Summary(metrics::Summary {
                count,
                sum,
                quantiles: quantiles.into_iter().zip(values).collect(),
            }),
        }
    }
}

/// Labels as in the text format, without braces, in the order of their names.
pub(super) fn label_text(labels: &BTreeMap<String, String>) -> String {
    let mut out = String::new();
    for (name, value) in labels {
        if !out.is_empty() {
            out.push(',');
        }
        out.push_str(name);
        out.push_str("=\"");
        escape(value, true, &mut out);
        out.push('"');
    }
    out
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::prometheus::{Buckets, Exponential, Histogram, Summary};

    #[test]
    fn records_keep_every_value() {
        let buckets = |offset, counts: &[u64]| Buckets { offset, counts: counts.to_vec() };
        for value in [
            metrics::Value::Counter(0.0),
            metrics::Value::Gauge(f64::NEG_INFINITY),
            metrics::Value::Histogram(Histogram { count: 3, sum: None, bounds: vec![1.0], counts: vec![1, 2] }),
            metrics::Value::Exponential(Exponential {
                count: 9,
                sum: Some(-0.5),
                scale: -4,
                zero_count: 1,
                zero_threshold: 0.25,
                positive: buckets(-3, &[0, 1]),
                negative: buckets(7, &[4, 3]),
            }),
            metrics::Value::Summary(Summary { count: 2, sum: Some(3.0), quantiles: vec![(0.5, 1.0), (1.0, 2.0)] }),
        ] {
            let record = Record { name: "m".to_owned(), value: Some(Value::of(value.clone())), ..Record::default() };
            let bytes = record.encode_to_vec();
            // So that it is not a refused event.
            assert_ne!(bytes[0], 0);
            assert_eq!(Record::decode(&bytes[..]).unwrap().value.unwrap().read(), value);
        }
    }

    #[test]
    fn labels_stay_on_their_line() {
        let labels = [("b", "say \"hi\"\n"), ("a", "c:\\d\u{e9}")];
        let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        assert_eq!(label_text(&labels), "a=\"c:\\\\d\u{e9}\",b=\"say \\\"hi\\\"\\n\"");
    }
}
