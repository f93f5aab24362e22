//! Makes requests of events.
//!
//! Each event is encoded by itself ([`Encoder::encode`]), so that it can wait in a buffer. The encodings of several events
//! after each other are a request, too; [`join`] puts records of the same resource and scope together.

use std::cell::RefCell;
use std::collections::HashMap;

use bytes::Bytes;
use prost::Message as _;
use wattle_batch::{Batch, EventKind, FieldPath, ValueColumn};

use crate::collector::metrics::v1::ExportMetricsServiceRequest;
use crate::common::{EntityRef, InstrumentationScope, KeyValue};
use crate::events::{OTLP, read_hex};
use crate::messages::opentelemetry::proto::metrics::v1::Metric;
use crate::object::Read;
use crate::resource::Resource;
use crate::wire::{self, Damaged};
use crate::{Encoding, Signal, json, logs, metrics, spans, value};

/// The roots that an encoder reads, in the order of [`Encoder`]'s columns.
const ROOTS: [&str; 6] = ["attributes", "resource", "severity", "trace_id", "span_id", "scope"];
const RESOURCE: usize = 1;
const SCOPE: usize = 5;

/// Encodes the events of a batch.
pub struct Encoder<'b> {
    batch: &'b Batch,
    columns: Vec<ValueColumn>,
    /// Those of the event that was encoded last.
    heads: RefCell<Option<Heads>>,
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

impl<'b> Encoder<'b> {
    /// Prepares the encoding of a batch.
    pub fn new(batch: &'b Batch) -> Self {
        let paths: Vec<FieldPath> = ROOTS.iter().filter_map(|root| FieldPath::parse(root).ok()).collect();
        let columns = batch.project(&paths.iter().collect::<Vec<_>>());
        Self { batch, columns, heads: RefCell::default() }
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
        let read = |column: usize| self.text(column, row).and_then(Read::of);
        let id = |column: usize| read(column).map_or(Bytes::new(), |id| read_hex(&id.bytes()));
        let mut heads = self.heads.borrow_mut();
        let (resource, scope) = (self.text(RESOURCE, row), self.text(SCOPE, row));
        // Most events have the same resource and scope as the one before.
        if heads
            .as_ref()
            .is_none_or(|heads| (self.text(RESOURCE, heads.row), self.text(SCOPE, heads.row)) != (resource, scope))
        {
            *heads = Some(Heads::new(row, resource.and_then(Read::of), scope.and_then(Read::of)));
        }
        let Some(heads) = heads.as_ref() else { return false };
        let event = Event {
            is_otlp: heads.is_otlp,
            time: self.batch.timestamp(row).and_then(|time| u64::try_from(time).ok()).unwrap_or(0),
            body: self.batch.body().row(row),
            severity: read(2),
            trace_id: id(3),
            span_id: id(4),
            attributes: read(0),
        };
        let record = match signal {
            Signal::Logs => {
                let observed = u64::try_from(self.batch.origin().observed).unwrap_or(0);
                logs::record(&event, observed).encode_to_vec()
            }
            Signal::Metrics => match metrics::record(&event) {
                Some(metric) => metric.encode_to_vec(),
                None => return false,
            },
            Signal::Traces => spans::record(&event).encode_to_vec(),
        };
        let resource = (heads.resource.as_deref(), &heads.resource_url[..]);
        wire::write_one(resource, (heads.scope.as_deref(), &heads.scope_url), &record, out);
        true
    }

    /// The JSON of a root.
    fn text(&self, column: usize, row: usize) -> Option<&[u8]> {
        Some(self.columns.get(column)?.get(row)?.0)
    }
}

/// The encoded resource and scope of an event.
struct Heads {
    /// The row of the event.
    row: usize,
    is_otlp: bool,
    resource: Option<Vec<u8>>,
    resource_url: Bytes,
    scope: Option<Vec<u8>>,
    scope_url: Bytes,
}

impl Heads {
    fn new(row: usize, resource: Option<Read<'_>>, scope: Option<Read<'_>>) -> Self {
        let is_otlp = resource.is_some_and(is_otlp);
        let From { resource, resource_url, scope, scope_url } = from(resource, scope, is_otlp);
        Self {
            row,
            is_otlp,
            resource: (resource != Resource::default()).then(|| resource.encode_to_vec()),
            resource_url,
            scope: (scope != InstrumentationScope::default()).then(|| scope.encode_to_vec()),
            scope_url,
        }
    }
}

/// Whether a resource is that of an event which a source `otlp` made.
fn is_otlp(resource: Read<'_>) -> bool {
    let mut found = None;
    resource.members(|key, value| {
        if key == b"source" && found.is_none() {
            let mut is_otlp = false;
            value.members(|key, value| is_otlp |= key == b"type" && *value.bytes() == *b"otlp");
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
            b"name" => from.scope.name = value.to_field(),
            b"version" => from.scope.version = value.to_field(),
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
            b"schema_url" => from.resource_url = value.to_field(),
            b"scope_schema_url" => from.scope_url = value.to_field(),
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
    let texts = |value: Read<'_>| value.elements().into_iter().map(|text| text.to_field()).collect();
    let mut entity = EntityRef::default();
    value.members(|key, value| match key {
        b"schema_url" => entity.schema_url = value.to_field(),
        b"type" => entity.r#type = value.to_field(),
        b"id_keys" => entity.id_keys = texts(value),
        b"description_keys" => entity.description_keys = texts(value),
        _ => {}
    });
    entity
}

/// Makes the body of one request of the encodings of events, after each other. Records of the same resource, scope and
/// metric are put together, in the order of the events.
///
/// # Errors
///
/// The bytes are not what [`Encoder::encode`] wrote.
pub fn join(signal: Signal, encoding: Encoding, events: &[u8]) -> Result<Vec<u8>, Damaged> {
    let mut joined = wire::join(events)?;
    if signal == Signal::Metrics {
        joined = join_metrics(joined)?;
    }
    Ok(match encoding {
        Encoding::Protobuf => joined,
        Encoding::Json => json::of_protobuf(signal, &joined),
    })
}

/// Puts the data points of a metric together.
fn join_metrics(request: Vec<u8>) -> Result<Vec<u8>, Damaged> {
    let mut request = ExportMetricsServiceRequest::decode(Bytes::from(request)).map_err(|_| Damaged)?;
    for scope in request.resource_metrics.iter_mut().flat_map(|resource| &mut resource.scope_metrics) {
        let mut places: HashMap<metrics::Identity, usize> = HashMap::new();
        let mut joined: Vec<Metric> = Vec::new();
        for metric in std::mem::take(&mut scope.metrics) {
            let place = *places.entry(metrics::identity(&metric)).or_insert(joined.len());
            match joined.get_mut(place) {
                Some(other) => metrics::append(other, metric),
                None => joined.push(metric),
            }
        }
        scope.metrics = joined;
    }
    Ok(request.encode_to_vec())
}
