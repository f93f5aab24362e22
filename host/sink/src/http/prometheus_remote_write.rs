//! The sink `prometheus_remote_write`: metric events by remote write 1.0
//! (<https://prometheus.io/docs/specs/prw/remote_write_spec/>).
//!
//! A payload has the series of each event as a message of their own. Messages of protobuf can be joined, so a request
//! is its payloads one after the other; before it is compressed, series with the same labels become one, in the order
//! of time.

mod messages;
mod native;
mod options;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use prost::Message as _;
use serde_json::Value;
use wattle_batch::Batch;
use wattle_http_client::Response;
use wattle_options::OptionError;

use self::messages::{Label, Sample, TimeSeries, WriteRequest};
use super::destination::{Destination, Meaning, Target};
use super::error::RequestError;
use super::options::Settings;
use super::response::Outcome;
use super::writing::{Groups, tenant_target, write_tenant};
use crate::batcher::RequestBatch;
use crate::compress::Compression;
use crate::encode::Template;
use crate::prometheus::{self as metrics, Labels, Point, PointError, Temporality};
use crate::refusal::{refusal, write_refused};
use crate::sink::{Encoder, Payload, Prepared};

pub(crate) fn prepare(options: &Value) -> Result<Prepared, Vec<OptionError>> {
    let (encoder, settings) = wattle_options::read(options, options::check)?;
    super::prepared(settings, |_| Arc::new(encoder))
}

/// The JSON schema of the options.
pub(crate) fn schema() -> Value {
    wattle_options::schema_of::<options::Options>()
}

/// A receiver of remote write.
#[derive(Debug)]
struct Receiver {
    /// Whether events have tenants.
    has_tenants: bool,
}

impl Destination for Receiver {
    fn is_partitioned(&self) -> bool {
        self.has_tenants
    }

    fn target(&self, settings: &Settings, tenant: Option<&str>, _: &RequestBatch) -> Target {
        tenant_target(settings, tenant)
    }

    fn has_refusals(&self) -> bool {
        true
    }

    fn is_slow(&self) -> bool {
        true
    }

    fn encode(&self, joined: Bytes, _: Compression) -> io::Result<Bytes> {
        let request = WriteRequest::decode(joined).map_err(io::Error::other)?;
        let message = merged(request).encode_to_vec();
        snap::raw::Encoder::new().compress_vec(&message).map(Bytes::from).map_err(io::Error::other)
    }

    fn read(&self, response: &Response, _: &RequestBatch) -> Result<Meaning, RequestError> {
        let mut meaning = Meaning::of(response);
        // Prometheus responds with 500, but only an operator can switch them on.
        if meaning.outcome == Outcome::Retry && meaning.reason.contains("native histograms are disabled") {
            meaning.outcome = Outcome::NeedsOperator;
            meaning.reason.push_str("; enable them in the server, or set `exponential_histograms = \"classic\"`");
        }
        Ok(meaning)
    }

    /// The samples of the event in the text format; an event that was never sent as it is.
    fn letter<'e>(&self, event: &'e [u8]) -> Cow<'e, [u8]> {
        match (refusal(event), WriteRequest::decode(event)) {
            (Some((_, event)), _) => event.into(),
            (None, Ok(request)) => text(&request).into_bytes().into(),
            (None, Err(_)) => event.into(),
        }
    }
}

/// The same samples, with one series for the same labels, and its samples in the order of time.
fn merged(request: WriteRequest) -> WriteRequest {
    let mut places: HashMap<Vec<Label>, usize> = HashMap::new();
    let mut series: Vec<TimeSeries> = Vec::with_capacity(request.series.len());
    for next in request.series {
        let place = places.get(&next.labels).copied();
        match place.and_then(|place| series.get_mut(place)) {
            Some(known) => {
                known.samples.extend(next.samples);
                known.histograms.extend(next.histograms);
            }
            None => {
                places.insert(next.labels.clone(), series.len());
                series.push(next);
            }
        }
    }
    for TimeSeries { samples, histograms, .. } in &mut series {
        // Stable, so that samples of the same time stay in their order.
        samples.sort_by_key(|sample| sample.timestamp);
        histograms.sort_by_key(|histogram| histogram.timestamp);
    }
    WriteRequest { series }
}

/// A line for each sample, with its time in milliseconds. A native histogram has its count and its sum only.
fn text(request: &WriteRequest) -> String {
    let mut out = String::new();
    for TimeSeries { labels, samples, histograms } in &request.series {
        let pairs = || labels.iter().map(|label| [&label.name, &label.value].map(|part| String::from_utf8_lossy(part)));
        let name = pairs().find(|[name, _]| name == "__name__").map(|[_, name]| name).unwrap_or_default();
        let pairs: Vec<_> = pairs().filter(|[name, _]| name != "__name__").collect();
        let mut line = |suffix: &str, value: f64, timestamp: i64| {
            let labels = pairs.iter().map(|[name, value]| (&**name, &**value));
            let separator = if out.is_empty() { "" } else { "\n" };
            out.push_str(separator);
            metrics::write_sample(&format!("{name}{suffix}"), labels, value, &mut out);
            out.push_str(&format!(" {timestamp}"));
        };
        samples.iter().for_each(|sample| line("", sample.value, sample.timestamp));
        for histogram in histograms {
            line("_sum", histogram.sum, histogram.timestamp);
            line("_count", metrics::double(histogram.count.unwrap_or_default()), histogram.timestamp);
        }
    }
    out
}

/// Encodes metric events as series.
struct SeriesEncoder {
    labels: Labels,
    tenant: Option<Template>,
    /// Whether exponential histograms become native ones.
    is_native: bool,
}

impl Encoder for SeriesEncoder {
    fn encode(&self, batch: Batch) -> Vec<Payload> {
        let labels = self.labels.bind(&batch);
        let tenant = self.tenant.as_ref().map(|template| template.bind(&batch));
        let mut groups = Groups::default();
        let (mut of_tenant, mut total) = (Vec::new(), 0);
        for row in 0..batch.rows() {
            write_tenant(tenant.as_ref(), row, &mut of_tenant);
            let encoded = groups.of(&of_tenant);
            let series = Point::read(&batch, row).and_then(|point| {
                let nanoseconds = batch.timestamp(row).unwrap_or(batch.origin().observed);
                self.series(&point, labels.of(row), nanoseconds.div_euclid(1_000_000))
            });
            let message = series.map(|series| WriteRequest { series }.encode_to_vec());
            match message {
                Ok(message) if total + message.len() <= metrics::MAX_BATCH_BYTES => {
                    total += message.len();
                    encoded.bytes.extend_from_slice(&message);
                }
                Ok(_) => {
                    let reason = PointError::BatchTooLarge.to_string();
                    write_refused(&reason, &batch, row, &mut encoded.bytes);
                }
                Err(error) => write_refused(&error.to_string(), &batch, row, &mut encoded.bytes),
            }
            encoded.ends.push(encoded.bytes.len());
        }
        drop((labels, tenant));
        groups.into_payloads(batch)
    }
}

impl SeriesEncoder {
    /// The series of a data point, with one sample each.
    fn series(
        &self,
        point: &Point,
        mut labels: BTreeMap<String, String>,
        timestamp: i64,
    ) -> Result<Vec<TimeSeries>, PointError> {
        let name = metrics::family_name(point);
        if name.is_empty() {
            return Err(PointError::Name);
        }
        if point.temporality == Temporality::Delta {
            return Err(PointError::Delta);
        }
        metrics::free_reserved(&point.value, &mut labels);
        if let (metrics::Value::Exponential(exponential), true) = (&point.value, self.is_native) {
            let histograms = vec![native::native(exponential, timestamp)];
            return Ok(vec![TimeSeries { labels: sorted(&name, &labels, None), samples: Vec::new(), histograms }]);
        }
        let samples = metrics::samples(&point.value, &name, &labels)?;
        let series = samples.into_iter().map(|sample| TimeSeries {
            labels: sorted(&format!("{name}{}", sample.suffix), &labels, sample.label.as_ref()),
            samples: vec![Sample { value: sample.value, timestamp }],
            histograms: Vec::new(),
        });
        Ok(series.collect())
    }
}

/// Labels in the order of their names, as the protocol wants them.
fn sorted(name: &str, labels: &BTreeMap<String, String>, own: Option<&(&'static str, String)>) -> Vec<Label> {
    let label = |(name, value): (&str, &str)| Label {
        name: Bytes::copy_from_slice(name.as_bytes()),
        value: Bytes::copy_from_slice(value.as_bytes()),
    };
    let all = labels.iter().map(|(name, value)| (&**name, &**value));
    let own = own.map(|(name, value)| (*name, &**value));
    let mut labels: Vec<Label> = all.chain(own).chain([("__name__", name)]).map(label).collect();
    labels.sort_by(|one, next| one.name.cmp(&next.name));
    labels
}

#[cfg(test)]
mod tests;
