//! Metrics: each data point is an event. `docs/FORMATS.md` has the shape of its body.

use bytes::Bytes;
use data_encoding::HEXLOWER;

use crate::collector::metrics::v1::ExportMetricsServiceRequest;
use crate::events::{Builder, Row, event_time, read_hex, read_time, write_time};
use crate::messages::opentelemetry::proto::metrics::v1::exponential_histogram_data_point::Buckets;
use crate::messages::opentelemetry::proto::metrics::v1::metric::Data;
use crate::messages::opentelemetry::proto::metrics::v1::summary_data_point::ValueAtQuantile;
use crate::messages::opentelemetry::proto::metrics::v1::{
    Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint, Metric,
    NumberDataPoint, Sum, Summary, SummaryDataPoint, exemplar, number_data_point,
};
use crate::object::{Object, Read, list};
use crate::spans::{attributes, read_name, write_attributes, write_name};
use crate::value::{self, double, read_double};

const TEMPORALITIES: [&str; 2] = ["delta", "cumulative"];

pub(crate) fn events(request: &ExportMetricsServiceRequest, builder: &mut Builder<'_>) {
    for resource in &request.resource_metrics {
        for scope in &resource.scope_metrics {
            builder.begin(resource.resource.as_ref(), &resource.schema_url, scope.scope.as_ref(), &scope.schema_url);
            for metric in &scope.metrics {
                points(metric, builder);
            }
        }
    }
}

/// What all types of data points have.
struct Common<'p> {
    attributes: &'p [crate::common::KeyValue],
    start: u64,
    time: u64,
    flags: u32,
    exemplars: &'p [Exemplar],
}

/// What the types of data points have in common, of a data point and its exemplars.
macro_rules! common {
    ($point:ident, $exemplars:expr) => {
        Common {
            attributes: &$point.attributes,
            start: $point.start_time_unix_nano,
            time: $point.time_unix_nano,
            flags: $point.flags,
            exemplars: $exemplars,
        }
    };
}

fn points(metric: &Metric, builder: &mut Builder<'_>) {
    match &metric.data {
        None => {}
        Some(Data::Gauge(gauge)) => gauge.data_points.iter().for_each(|point| {
            number(metric, "gauge", point, builder, |_| {});
        }),
        Some(Data::Sum(sum)) => sum.data_points.iter().for_each(|point| {
            number(metric, "sum", point, builder, |object| {
                write_name("temporality", sum.aggregation_temporality, &TEMPORALITIES, object);
                object.display("monotonic", sum.is_monotonic);
            });
        }),
        Some(Data::Histogram(histogram)) => histogram.data_points.iter().for_each(|point| {
            let common = common!(point, &point.exemplars);
            event(metric, "histogram", &common, builder, |object| {
                write_name("temporality", histogram.aggregation_temporality, &TEMPORALITIES, object);
                object.display("count", point.count);
                write_doubles([("sum", point.sum), ("min", point.min), ("max", point.max)], object);
                list(&point.explicit_bounds, object.key(b"bounds"), |bound, out| double(*bound, out));
                counts(&point.bucket_counts, object.key(b"bucket_counts"));
            });
        }),
        Some(Data::ExponentialHistogram(histogram)) => histogram.data_points.iter().for_each(|point| {
            let common = common!(point, &point.exemplars);
            event(metric, "exponential_histogram", &common, builder, |object| {
                write_name("temporality", histogram.aggregation_temporality, &TEMPORALITIES, object);
                object.display("count", point.count);
                write_doubles([("sum", point.sum), ("min", point.min), ("max", point.max)], object);
                object.display("scale", point.scale);
                object.display("zero_count", point.zero_count);
                if point.zero_threshold != 0.0 {
                    double(point.zero_threshold, object.key(b"zero_threshold"));
                }
                for (key, buckets) in [("positive", &point.positive), ("negative", &point.negative)] {
                    if let Some(Buckets { offset, bucket_counts }) = buckets {
                        let mut object = Object::begin(object.key(key.as_bytes()));
                        object.display("offset", offset);
                        counts(bucket_counts, object.key(b"bucket_counts"));
                        object.end();
                    }
                }
            });
        }),
        Some(Data::Summary(summary)) => summary.data_points.iter().for_each(|point| {
            let common = common!(point, &[]);
            event(metric, "summary", &common, builder, |object| {
                object.display("count", point.count);
                double(point.sum, object.key(b"sum"));
                list(&point.quantile_values, object.key(b"quantiles"), |value, out| {
                    let mut object = Object::begin(out);
                    double(value.quantile, object.key(b"quantile"));
                    double(value.value, object.key(b"value"));
                    object.end();
                });
            });
        }),
    }
}

fn write_doubles(values: [(&str, Option<f64>); 3], object: &mut Object<'_>) {
    for (key, value) in values {
        if let Some(value) = value {
            double(value, object.key(key.as_bytes()));
        }
    }
}

fn counts(counts: &[u64], out: &mut Vec<u8>) {
    list(counts, out, |count, out| out.extend_from_slice(count.to_string().as_bytes()));
}

fn number(
    metric: &Metric,
    r#type: &str,
    point: &NumberDataPoint,
    builder: &mut Builder<'_>,
    about: impl FnOnce(&mut Object<'_>),
) {
    let common = common!(point, &point.exemplars);
    event(metric, r#type, &common, builder, |object| {
        about(object);
        match point.value {
            Some(number_data_point::Value::AsInt(value)) => object.display("value", value),
            Some(number_data_point::Value::AsDouble(value)) => double(value, object.key(b"value")),
            None => {}
        }
    });
}

fn event(
    metric: &Metric,
    r#type: &str,
    common: &Common<'_>,
    builder: &mut Builder<'_>,
    about: impl FnOnce(&mut Object<'_>),
) {
    let body = builder.write(|out| {
        let mut object = Object::begin(out);
        crate::object::text(&metric.name, object.key(b"name"));
        object.text("description", &metric.description);
        crate::object::text(&metric.unit, object.key(b"unit"));
        object.text("type", r#type.as_bytes());
        if !metric.metadata.is_empty() {
            attributes(&metric.metadata, object.key(b"metadata"));
        }
        write_time("start", common.start, &mut object);
        if event_time(common.time).is_none() {
            write_time("time", common.time, &mut object);
        }
        object.number("flags", common.flags);
        about(&mut object);
        if !common.exemplars.is_empty() {
            list(common.exemplars, object.key(b"exemplars"), exemplar);
        }
        object.end();
    });
    let row = Row {
        body,
        attributes: builder.write(|out| attributes(common.attributes, out)),
        time: event_time(common.time),
        ..Row::default()
    };
    builder.push(row);
}

fn exemplar(exemplar: &Exemplar, out: &mut Vec<u8>) {
    let mut object = Object::begin(out);
    match exemplar.value {
        Some(exemplar::Value::AsInt(value)) => object.display("value", value),
        Some(exemplar::Value::AsDouble(value)) => double(value, object.key(b"value")),
        None => {}
    }
    write_time("timestamp", exemplar.time_unix_nano, &mut object);
    object.text("trace_id", HEXLOWER.encode(&exemplar.trace_id).as_bytes());
    object.text("span_id", HEXLOWER.encode(&exemplar.span_id).as_bytes());
    write_attributes(&exemplar.filtered_attributes, &mut object);
    object.end();
}

/// The members of a body, of all types.
#[derive(Default)]
struct Body {
    r#type: Vec<u8>,
    temporality: i32,
    is_monotonic: bool,
    start: u64,
    time: Option<u64>,
    flags: u32,
    integer: Option<i64>,
    value: Option<f64>,
    count: u64,
    sum: Option<f64>,
    min: Option<f64>,
    max: Option<f64>,
    bounds: Vec<f64>,
    bucket_counts: Vec<u64>,
    scale: i32,
    zero_count: u64,
    zero_threshold: f64,
    positive: Option<Buckets>,
    negative: Option<Buckets>,
    quantiles: Vec<ValueAtQuantile>,
    exemplars: Vec<Exemplar>,
}

/// The metric of an event, with one data point. `None` if the body is not that of a metric.
pub(crate) fn record(event: &crate::requests::Event<'_>) -> Option<Metric> {
    let mut metric = Metric::default();
    let mut body = Body::default();
    event.json_body()?.members(|key, value| match key {
        b"name" => metric.name = value.to_field(),
        b"description" => metric.description = value.to_field(),
        b"unit" => metric.unit = value.to_field(),
        b"metadata" => metric.metadata = value::read_members(value),
        _ => body.read(key, value),
    });
    metric.data = Some(body.data(event)?);
    Some(metric)
}

impl Body {
    fn read(&mut self, key: &[u8], value: Read<'_>) {
        match key {
            b"type" => self.r#type = value.bytes().into_owned(),
            b"temporality" => self.temporality = read_name(value, &TEMPORALITIES),
            b"monotonic" => self.is_monotonic = value.is_true(),
            b"start" => self.start = read_time(value),
            b"time" => self.time = Some(read_time(value)),
            b"flags" => self.flags = value.parse().unwrap_or(0),
            b"value" => (self.integer, self.value) = (integer(value), read_double(value)),
            b"count" => self.count = value.parse().unwrap_or(0),
            b"sum" => self.sum = read_double(value),
            b"min" => self.min = read_double(value),
            b"max" => self.max = read_double(value),
            b"bounds" => self.bounds = value.elements().into_iter().filter_map(read_double).collect(),
            b"bucket_counts" => self.bucket_counts = read_counts(value),
            b"scale" => self.scale = value.parse().unwrap_or(0),
            b"zero_count" => self.zero_count = value.parse().unwrap_or(0),
            b"zero_threshold" => self.zero_threshold = read_double(value).unwrap_or(0.0),
            b"positive" => self.positive = Some(buckets(value)),
            b"negative" => self.negative = Some(buckets(value)),
            b"quantiles" => self.quantiles = value.elements().into_iter().map(quantile).collect(),
            b"exemplars" => self.exemplars = value.elements().into_iter().map(read_exemplar).collect(),
            _ => {}
        }
    }

    fn data(self, event: &crate::requests::Event<'_>) -> Option<Data> {
        let attributes = event.all_attributes();
        let (start_time_unix_nano, time_unix_nano) = (self.start, self.time.unwrap_or(event.time));
        let (flags, exemplars, aggregation_temporality) = (self.flags, self.exemplars, self.temporality);
        let (count, sum, min, max) = (self.count, self.sum, self.min, self.max);
        Some(match &self.r#type[..] {
            b"gauge" | b"sum" => {
                let integer = self.integer.map(number_data_point::Value::AsInt);
                let value = integer.or_else(|| self.value.map(number_data_point::Value::AsDouble));
                let data_points =
                    vec![NumberDataPoint { attributes, start_time_unix_nano, time_unix_nano, exemplars, flags, value }];
                match &self.r#type[..] {
                    b"gauge" => Data::Gauge(Gauge { data_points }),
                    _ => Data::Sum(Sum { data_points, aggregation_temporality, is_monotonic: self.is_monotonic }),
                }
            }
            b"histogram" => {
                let (bucket_counts, explicit_bounds) = (self.bucket_counts, self.bounds);
                let data_points = vec![HistogramDataPoint {
                    attributes,
                    start_time_unix_nano,
                    time_unix_nano,
                    count,
                    sum,
                    bucket_counts,
                    explicit_bounds,
                    exemplars,
                    flags,
                    min,
                    max,
                }];
                Data::Histogram(Histogram { data_points, aggregation_temporality })
            }
            b"exponential_histogram" => {
                let data_points = vec![ExponentialHistogramDataPoint {
                    attributes,
                    start_time_unix_nano,
                    time_unix_nano,
                    count,
                    sum,
                    scale: self.scale,
                    zero_count: self.zero_count,
                    positive: self.positive,
                    negative: self.negative,
                    flags,
                    exemplars,
                    min,
                    max,
                    zero_threshold: self.zero_threshold,
                }];
                Data::ExponentialHistogram(ExponentialHistogram { data_points, aggregation_temporality })
            }
            b"summary" => {
                let (sum, quantile_values) = (sum.unwrap_or(0.0), self.quantiles);
                let data_points = vec![SummaryDataPoint {
                    attributes,
                    start_time_unix_nano,
                    time_unix_nano,
                    count,
                    sum,
                    quantile_values,
                    flags,
                }];
                Data::Summary(Summary { data_points })
            }
            _ => return None,
        })
    }
}

/// A number without a point and an exponent.
fn integer(value: Read<'_>) -> Option<i64> {
    std::str::from_utf8(value.json()).ok()?.parse().ok()
}

fn read_counts(value: Read<'_>) -> Vec<u64> {
    value.elements().into_iter().map(|count| count.parse().unwrap_or(0)).collect()
}

fn buckets(value: Read<'_>) -> Buckets {
    let mut buckets = Buckets::default();
    value.members(|key, value| match key {
        b"offset" => buckets.offset = value.parse().unwrap_or(0),
        b"bucket_counts" => buckets.bucket_counts = read_counts(value),
        _ => {}
    });
    buckets
}

fn quantile(value: Read<'_>) -> ValueAtQuantile {
    let mut quantile = ValueAtQuantile::default();
    value.members(|key, value| match key {
        b"quantile" => quantile.quantile = read_double(value).unwrap_or(0.0),
        b"value" => quantile.value = read_double(value).unwrap_or(0.0),
        _ => {}
    });
    quantile
}

fn read_exemplar(value: Read<'_>) -> Exemplar {
    let mut exemplar = Exemplar::default();
    value.members(|key, value| match key {
        b"value" => {
            let integer = integer(value).map(exemplar::Value::AsInt);
            exemplar.value = integer.or_else(|| read_double(value).map(exemplar::Value::AsDouble));
        }
        b"timestamp" => exemplar.time_unix_nano = read_time(value),
        b"trace_id" => exemplar.trace_id = read_hex(&value.bytes()),
        b"span_id" => exemplar.span_id = read_hex(&value.bytes()),
        b"attributes" => exemplar.filtered_attributes = value::read_members(value),
        _ => {}
    });
    exemplar
}

/// What metrics must have in common so that their data points are of one metric.
pub(crate) type Identity = (Bytes, Bytes, Bytes, Vec<u8>, u8, i32, bool);

/// The identity of a metric.
pub(crate) fn identity(metric: &Metric) -> Identity {
    let (r#type, temporality, is_monotonic) = match &metric.data {
        None => (0, 0, false),
        Some(Data::Gauge(_)) => (1, 0, false),
        Some(Data::Sum(sum)) => (2, sum.aggregation_temporality, sum.is_monotonic),
        Some(Data::Histogram(histogram)) => (3, histogram.aggregation_temporality, false),
        Some(Data::ExponentialHistogram(histogram)) => (4, histogram.aggregation_temporality, false),
        Some(Data::Summary(_)) => (5, 0, false),
    };
    let mut metadata = Vec::new();
    attributes(&metric.metadata, &mut metadata);
    let (name, description, unit) = (metric.name.clone(), metric.description.clone(), metric.unit.clone());
    (name, description, unit, metadata, r#type, temporality, is_monotonic)
}

/// Adds the data points of a metric to those of another one with the same identity.
pub(crate) fn append(to: &mut Metric, from: Metric) {
    match (&mut to.data, from.data) {
        (Some(Data::Gauge(to)), Some(Data::Gauge(from))) => to.data_points.extend(from.data_points),
        (Some(Data::Sum(to)), Some(Data::Sum(from))) => to.data_points.extend(from.data_points),
        (Some(Data::Histogram(to)), Some(Data::Histogram(from))) => to.data_points.extend(from.data_points),
        (Some(Data::ExponentialHistogram(to)), Some(Data::ExponentialHistogram(from))) => {
            to.data_points.extend(from.data_points);
        }
        (Some(Data::Summary(to)), Some(Data::Summary(from))) => to.data_points.extend(from.data_points),
        // The identity includes the type.
        _ => {}
    }
}
