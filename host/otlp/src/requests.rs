//! Makes requests of events.
//!
//! Each event is encoded by itself ([`Encoder::encode`]), so that it can wait in a buffer. The encodings of several events
//! after each other are a request, too; [`Request::of_events`] puts records of the same resource and scope together.

use std::collections::HashMap;

use bytes::Bytes;
use prost::Message as _;
use wattle_batch::{Batch, EventKind, FieldPath, ValueColumn};

use crate::collector::logs::v1::ExportLogsServiceRequest;
use crate::collector::metrics::v1::ExportMetricsServiceRequest;
use crate::collector::trace::v1::ExportTraceServiceRequest;
use crate::common::{EntityRef, InstrumentationScope, KeyValue};
use crate::events::{OTLP, read_hex};
use crate::messages::opentelemetry::proto::logs::v1::{ResourceLogs, ScopeLogs};
use crate::messages::opentelemetry::proto::metrics::v1::{ResourceMetrics, ScopeMetrics};
use crate::messages::opentelemetry::proto::trace::v1::{ResourceSpans, ScopeSpans};
use crate::object::Read;
use crate::resource::Resource;
use crate::{Request, Signal, logs, metrics, spans, value};

/// The roots that an encoder reads, in the order of [`Encoder`]'s columns.
const ROOTS: [&str; 6] = ["attributes", "resource", "severity", "trace_id", "span_id", "scope"];

/// Encodes the events of a batch.
pub struct Encoder<'b> {
    batch: &'b Batch,
    columns: Vec<ValueColumn>,
}

/// The parts of an event that become a record.
pub(crate) struct Event<'e> {
    /// Whether the event came by OTLP, so `otlp` in it is what [`crate::events`] wrote.
    pub(crate) is_otlp: bool,
    /// Nanoseconds since 1970; 0 without a time and before 1970, which OTLP cannot say.
    pub(crate) time: u64,
    pub(crate) body: &'e [u8],
    pub(crate) severity: Option<Read<'e>>,
    pub(crate) trace_id: Bytes,
    pub(crate) span_id: Bytes,
    attributes: Option<Read<'e>>,
}

impl Event<'_> {
    /// The attributes, without `otlp` of an event that came by OTLP, which `others` gets.
    pub(crate) fn attributes(&self, others: &mut dyn FnMut(Read<'_>)) -> Vec<KeyValue> {
        let Some(attributes) = self.attributes else { return Vec::new() };
        let (mut is_first, mut found) = (self.is_otlp, Vec::new());
        attributes.members(|key, value| {
            if key == OTLP.as_bytes() && std::mem::take(&mut is_first) {
                others(value);
            } else {
                found.push(value::read_member(key, value));
            }
        });
        found
    }

    /// All attributes.
    pub(crate) fn all_attributes(&self) -> Vec<KeyValue> {
        self.attributes.map(value::read_members).unwrap_or_default()
    }

    /// The body, if it is a JSON object.
    pub(crate) fn json_body(&self) -> Option<Read<'_>> {
        let kind = wattle_json::check(self.body, wattle_batch::MAX_JSON_DEPTH).ok()?;
        (kind == wattle_json::Kind::Object).then(|| Read::of(self.body)).flatten()
    }
}

/// Resource and scope of an event, and the addresses of their schemas.
#[derive(Default)]
struct From {
    resource: Resource,
    resource_url: Bytes,
    scope: InstrumentationScope,
    scope_url: Bytes,
}

impl From {
    fn resource(self) -> (Option<Resource>, Option<InstrumentationScope>, Bytes, Bytes) {
        let resource = Some(self.resource).filter(|resource| *resource != Resource::default());
        let scope = Some(self.scope).filter(|scope| *scope != InstrumentationScope::default());
        (resource, scope, self.resource_url, self.scope_url)
    }
}

impl<'b> Encoder<'b> {
    /// Prepares the encoding of a batch.
    pub fn new(batch: &'b Batch) -> Self {
        let paths: Vec<FieldPath> = ROOTS.iter().filter_map(|root| FieldPath::parse(root).ok()).collect();
        let columns = batch.project(&paths.iter().collect::<Vec<_>>());
        Self { batch, columns }
    }

    /// The signal of the events.
    pub fn signal(&self) -> Signal {
        match self.batch.kind() {
            EventKind::Log => Signal::Logs,
            EventKind::Metric => Signal::Metrics,
            EventKind::Span => Signal::Traces,
        }
    }

    /// Appends a request with one event. Returns `false` for a metric whose body is not that of a metric; nothing is
    /// appended then.
    pub fn encode(&self, row: usize, out: &mut Vec<u8>) -> bool {
        self.encode_as(self.signal(), row, out)
    }

    /// Appends a request with one event as a log record, whatever its kind.
    pub fn encode_as_log(&self, row: usize, out: &mut Vec<u8>) {
        self.encode_as(Signal::Logs, row, out);
    }

    fn encode_as(&self, signal: Signal, row: usize, out: &mut Vec<u8>) -> bool {
        let read = |column: usize| self.columns.get(column)?.get(row).and_then(|(text, _)| Read::of(text));
        let id = |column: usize| read(column).map_or(Bytes::new(), |id| read_hex(&id.bytes()));
        let resource = read(1);
        let is_otlp = resource.is_some_and(is_otlp);
        let event = Event {
            is_otlp,
            time: self.batch.timestamp(row).and_then(|time| u64::try_from(time).ok()).unwrap_or(0),
            body: self.batch.body().row(row),
            severity: read(2),
            trace_id: id(3),
            span_id: id(4),
            attributes: read(0),
        };
        let (resource, scope, resource_url, scope_url) = from(resource, read(5), is_otlp).resource();
        // Encoding into a vector cannot fail.
        let _ = match signal {
            Signal::Logs => {
                let observed = u64::try_from(self.batch.origin().observed).unwrap_or(0);
                let log_records = vec![logs::record(&event, observed)];
                let scope_logs = vec![ScopeLogs { scope, log_records, schema_url: scope_url }];
                let resource_logs = vec![ResourceLogs { resource, scope_logs, schema_url: resource_url }];
                ExportLogsServiceRequest { resource_logs }.encode(out)
            }
            Signal::Metrics => {
                let Some(metric) = metrics::record(&event) else { return false };
                let scope_metrics = vec![ScopeMetrics { scope, metrics: vec![metric], schema_url: scope_url }];
                let resource_metrics = vec![ResourceMetrics { resource, scope_metrics, schema_url: resource_url }];
                ExportMetricsServiceRequest { resource_metrics }.encode(out)
            }
            Signal::Traces => {
                let scope_spans = vec![ScopeSpans { scope, spans: vec![spans::record(&event)], schema_url: scope_url }];
                let resource_spans = vec![ResourceSpans { resource, scope_spans, schema_url: resource_url }];
                ExportTraceServiceRequest { resource_spans }.encode(out)
            }
        };
        true
    }
}

/// Whether a resource is that of an event which a source `otlp` made.
fn is_otlp(resource: Read<'_>) -> bool {
    let mut found = None;
    resource.members(|key, value| {
        if key == b"source" && found.is_none() {
            let mut is_otlp = false;
            value.members(|key, value| is_otlp |= key == b"type" && value.bytes() == b"otlp");
            found = Some(is_otlp);
        }
    });
    found == Some(true)
}

/// Reads the resource and the scope of an event.
fn from(resource: Option<Read<'_>>, scope: Option<Read<'_>>, is_otlp: bool) -> From {
    let mut from = From::default();
    if let Some(scope) = scope {
        scope.members(|key, value| match key {
            b"name" => from.scope.name = value.bytes().into(),
            b"version" => from.scope.version = value.bytes().into(),
            b"attributes" => from.scope.attributes = value::read_members(value),
            _ => {}
        });
    }
    let Some(resource) = resource else { return from };
    // The first member of each name is the agent's; the others came with the event.
    let (mut has_source, mut has_otlp) = (!is_otlp, !is_otlp);
    resource.members(|key, value| match key {
        b"source" if !std::mem::replace(&mut has_source, true) => {}
        b"otlp" if !std::mem::replace(&mut has_otlp, true) => value.members(|key, value| match key {
            b"schema_url" => from.resource_url = value.bytes().into(),
            b"scope_schema_url" => from.scope_url = value.bytes().into(),
            b"dropped_attributes_count" => from.resource.dropped_attributes_count = value.parse().unwrap_or(0),
            b"scope_dropped_attributes_count" => from.scope.dropped_attributes_count = value.parse().unwrap_or(0),
            b"entity_refs" => from.resource.entity_refs = value.elements().into_iter().map(entity).collect(),
            _ => {}
        }),
        _ => from.resource.attributes.push(value::read_member(key, value)),
    });
    from
}

fn entity(value: Read<'_>) -> EntityRef {
    let texts = |value: Read<'_>| value.elements().into_iter().map(|text| text.bytes().into()).collect();
    let mut entity = EntityRef::default();
    value.members(|key, value| match key {
        b"schema_url" => entity.schema_url = value.bytes().into(),
        b"type" => entity.r#type = value.bytes().into(),
        b"id_keys" => entity.id_keys = texts(value),
        b"description_keys" => entity.description_keys = texts(value),
        _ => {}
    });
    entity
}

/// Puts together what has the same key, in the order of the first of each.
fn grouped<T, K: std::hash::Hash + Eq>(all: Vec<T>, key: impl Fn(&T) -> K, append: impl Fn(&mut T, T)) -> Vec<T> {
    let mut places: HashMap<K, usize> = HashMap::new();
    let mut groups: Vec<T> = Vec::new();
    for one in all {
        let place = *places.entry(key(&one)).or_insert(groups.len());
        match groups.get_mut(place) {
            Some(group) => append(group, one),
            None => groups.push(one),
        }
    }
    groups
}

/// The encoding of a message, as a key.
fn bytes_of<M: prost::Message>(message: Option<&M>) -> Option<Vec<u8>> {
    message.map(prost::Message::encode_to_vec)
}

impl Request {
    /// Makes one request of the encodings of events, after each other. Records of the same resource, scope and metric are
    /// put together, in the order of the events.
    ///
    /// # Errors
    ///
    /// The bytes are not what [`Encoder::encode`] wrote.
    pub fn of_events(signal: Signal, encoded: Bytes) -> Result<Self, prost::DecodeError> {
        Ok(match signal {
            Signal::Logs => {
                let request = ExportLogsServiceRequest::decode(encoded)?;
                let mut resource_logs = grouped(
                    request.resource_logs,
                    |group| (bytes_of(group.resource.as_ref()), group.schema_url.clone()),
                    |group, one| group.scope_logs.extend(one.scope_logs),
                );
                for group in &mut resource_logs {
                    group.scope_logs = grouped(
                        std::mem::take(&mut group.scope_logs),
                        |group| (bytes_of(group.scope.as_ref()), group.schema_url.clone()),
                        |group, one| group.log_records.extend(one.log_records),
                    );
                }
                Self::Logs(ExportLogsServiceRequest { resource_logs })
            }
            Signal::Metrics => {
                let request = ExportMetricsServiceRequest::decode(encoded)?;
                let mut resource_metrics = grouped(
                    request.resource_metrics,
                    |group| (bytes_of(group.resource.as_ref()), group.schema_url.clone()),
                    |group, one| group.scope_metrics.extend(one.scope_metrics),
                );
                for group in &mut resource_metrics {
                    group.scope_metrics = grouped(
                        std::mem::take(&mut group.scope_metrics),
                        |group| (bytes_of(group.scope.as_ref()), group.schema_url.clone()),
                        |group, one| group.metrics.extend(one.metrics),
                    );
                    for scope in &mut group.scope_metrics {
                        let all = std::mem::take(&mut scope.metrics);
                        scope.metrics = grouped(all, metrics::identity, metrics::append);
                    }
                }
                Self::Metrics(ExportMetricsServiceRequest { resource_metrics })
            }
            Signal::Traces => {
                let request = ExportTraceServiceRequest::decode(encoded)?;
                let mut resource_spans = grouped(
                    request.resource_spans,
                    |group| (bytes_of(group.resource.as_ref()), group.schema_url.clone()),
                    |group, one| group.scope_spans.extend(one.scope_spans),
                );
                for group in &mut resource_spans {
                    group.scope_spans = grouped(
                        std::mem::take(&mut group.scope_spans),
                        |group| (bytes_of(group.scope.as_ref()), group.schema_url.clone()),
                        |group, one| group.spans.extend(one.spans),
                    );
                }
                Self::Traces(ExportTraceServiceRequest { resource_spans })
            }
        })
    }
}
