//! Makes events of requests.

use bytes::Bytes;
use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
pub(crate) use wattle_batch::RowParts as Row;
use wattle_batch::{EventKind, Rows, Span, format_rfc3339, parse_rfc3339};

use crate::common::InstrumentationScope;
use crate::object::{Object, Read, list, text};
use crate::resource::Resource;
use crate::{Request, Signal, logs, metrics, spans, value};

/// Key in the resource, and in the attributes of logs, of what has no other place in an event.
pub(crate) const OTLP: &str = "otlp";

impl Request {
    /// Makes an event of each log record, data point and span, in batches of at most `max_events` and about `max_bytes`.
    /// `resource` is the object that the resource of each event begins with, such as `{"source":{"name":"in"}}`.
    ///
    /// Metrics without data points, and scopes and resources without records, have no events.
    pub fn into_events(self, resource: &str, max_events: usize, max_bytes: usize) -> Vec<Rows> {
        let kind = match self.signal() {
            Signal::Logs => EventKind::Log,
            Signal::Metrics => EventKind::Metric,
            Signal::Traces => EventKind::Span,
        };
        let mut builder = Builder::new(kind, resource, max_events, max_bytes);
        match self {
            Self::Logs(request) => logs::events(&request, &mut builder),
            Self::Metrics(request) => metrics::events(&request, &mut builder),
            Self::Traces(request) => spans::events(&request, &mut builder),
        }
        builder.finish()
    }
}

/// Collects events.
pub(crate) struct Builder<'s> {
    source: &'s str,
    max_events: usize,
    max_bytes: usize,
    full: Vec<Rows>,
    open: Rows,
    /// The resource and scope of the next events, and where they stand in the open text.
    resource: Vec<u8>,
    scope: Vec<u8>,
    places: Option<(Span, Span)>,
}

impl<'s> Builder<'s> {
    fn new(kind: EventKind, source: &'s str, max_events: usize, max_bytes: usize) -> Self {
        let open = Rows::new(kind);
        let (resource, scope) = (Vec::new(), Vec::new());
        Self { source, max_events, max_bytes, full: Vec::new(), open, resource, scope, places: None }
    }

    /// Sets where the next events come from.
    pub(crate) fn begin(
        &mut self,
        resource: Option<&Resource>,
        resource_url: &[u8],
        scope: Option<&InstrumentationScope>,
        scope_url: &[u8],
    ) {
        self.places = None;
        self.resource.clear();
        self.resource.extend_from_slice(self.source.strip_suffix('}').unwrap_or("{").as_bytes());
        let attributes = resource.map_or(&[][..], |resource| &resource.attributes);
        let mut object = Object::after(&mut self.resource);
        let mut more = Vec::new();
        let mut others = Object::begin(&mut more);
        others.text("schema_url", resource_url);
        others.text("scope_schema_url", scope_url);
        others.number("dropped_attributes_count", resource.map_or(0, |resource| resource.dropped_attributes_count));
        others.number("scope_dropped_attributes_count", scope.map_or(0, |scope| scope.dropped_attributes_count));
        if let Some(references) = resource.map(|resource| &resource.entity_refs).filter(|all| !all.is_empty()) {
            list(references, others.key(b"entity_refs"), |reference, out| {
                let mut object = Object::begin(out);
                object.text("schema_url", &reference.schema_url);
                object.text("type", &reference.r#type);
                list(&reference.id_keys, object.key(b"id_keys"), |key, out| text(key, out));
                list(&reference.description_keys, object.key(b"description_keys"), |key, out| text(key, out));
                object.end();
            });
        }
        others.end();
        write_others(&more, attributes, &mut object);
        value::members(attributes, &mut object);
        object.end();
        self.scope.clear();
        let Some(scope) = scope else { return };
        if scope.name.is_empty() && scope.version.is_empty() && scope.attributes.is_empty() {
            return;
        }
        let mut object = Object::begin(&mut self.scope);
        object.text("name", &scope.name);
        object.text("version", &scope.version);
        if !scope.attributes.is_empty() {
            let mut attributes = Object::begin(object.key(b"attributes"));
            value::members(&scope.attributes, &mut attributes);
            attributes.end();
        }
        object.end();
    }

    /// Writes a part of the next event.
    pub(crate) fn write(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Span {
        self.open.write(write)
    }

    /// Writes an id as a JSON string, if it is valid.
    pub(crate) fn write_id(&mut self, id: &[u8], length: usize) -> Span {
        if !is_id(id, length) {
            return Span::default();
        }
        self.write(|out| {
            out.push(b'"');
            let start = out.len();
            out.resize(start + HEXLOWER.encode_len(id.len()), 0);
            HEXLOWER.encode_mut(id, out.get_mut(start..).unwrap_or_default());
            out.push(b'"');
        })
    }

    /// Adds the event whose parts have been written.
    pub(crate) fn push(&mut self, row: Row) {
        let (resource, scope) = match self.places {
            Some(places) => places,
            None => {
                let (resource, scope) = (std::mem::take(&mut self.resource), std::mem::take(&mut self.scope));
                let places = (
                    self.write(|out| out.extend_from_slice(&resource)),
                    self.write(|out| out.extend_from_slice(&scope)),
                );
                (self.resource, self.scope) = (resource, scope);
                *self.places.insert(places)
            }
        };
        self.open.push(Row { resource, scope, ..row });
        if self.open.rows() >= self.max_events || self.open.byte_len() >= self.max_bytes {
            self.close();
        }
    }

    fn close(&mut self) {
        let next = Rows::new(self.open.kind());
        self.full.push(std::mem::replace(&mut self.open, next));
        self.places = None;
    }

    fn finish(mut self) -> Vec<Rows> {
        if self.open.rows() > 0 {
            self.close();
        }
        self.full
    }
}

/// Writes the member `otlp`, an object, if it has members, or if an attribute of this name would be taken for it.
pub(crate) fn write_others(others: &[u8], attributes: &[crate::common::KeyValue], object: &mut Object<'_>) {
    if others != b"{}" || attributes.iter().any(|attribute| attribute.key == OTLP) {
        object.key(OTLP.as_bytes()).extend_from_slice(others);
    }
}

/// Whether an id has this number of bytes, and one that is not 0.
pub(crate) fn is_id(id: &[u8], length: usize) -> bool {
    id.len() == length && id.iter().any(|byte| *byte != 0)
}

/// Reads hexadecimal digits; nothing if they are not valid.
pub(crate) fn read_hex(digits: &[u8]) -> Bytes {
    HEXLOWER_PERMISSIVE.decode(digits).unwrap_or_default().into()
}

/// The time of an event; `None` for 0, which stands for no time, and after 2262.
pub(crate) fn event_time(nanoseconds: u64) -> Option<i64> {
    i64::try_from(nanoseconds).ok().filter(|time| *time != 0)
}

/// Writes a time: RFC 3339, or nanoseconds after the year 2262, as a string; nothing for 0.
pub(crate) fn write_time(key: &str, nanoseconds: u64, object: &mut Object<'_>) {
    match event_time(nanoseconds) {
        Some(time) => object.text(key, format_rfc3339(time).as_bytes()),
        None if nanoseconds == 0 => {}
        None => object.text(key, nanoseconds.to_string().as_bytes()),
    }
}

/// Reads a time that [`write_time`] wrote; 0 for any other value, and before 1970.
pub(crate) fn read_time(value: Read<'_>) -> u64 {
    let text = value.bytes();
    let time = std::str::from_utf8(&text).ok().and_then(parse_rfc3339);
    time.map_or_else(|| value.parse().unwrap_or(0), |time| u64::try_from(time).unwrap_or(0))
}
