//! Makes events of the body of a request.
//!
//! | of the collector | in the event |
//! | --- | --- |
//! | `event` | the body: the text of a string, or the JSON of another value |
//! | `time` | the timestamp |
//! | `fields` | the attributes |
//! | `host` | `resource.host.name` |
//! | `source`, `sourcetype`, `index` | `resource.splunk` |
//!
//! An event `"metric"` whose fields have `metric_name:<name>`, or `metric_name` and `_value`, is a metric event for each.

use std::borrow::Cow;

use bytes::Bytes;
use wattle_batch::{EventKind, MAX_JSON_DEPTH, RowParts, Rows, Span};
use wattle_json::{Kind, Value};

use super::time::nanoseconds;
use super::{Call, Code, METADATA};
use crate::assemble::BatchLimits;
use crate::http::body::lines;
use crate::http::refusal::Refusal;
use crate::in_flight::Share;

/// The beginning of the name of a field with the value of a metric.
const METRIC: &[u8] = b"metric_name:";
/// All metrics of an event have all of its other fields. Sinks write them for each, so their product is limited.
const MAX_METRIC_BYTES: usize = 64 << 20;

/// Converts a body to events in batches. Also returns the number of empty lines.
///
/// # Errors
///
/// An event is wrong; none of the others may be used then. Or there is no memory for them now.
pub(in crate::http) fn frame(
    body: &Bytes,
    call: &Call,
    resource: &str,
    share: &mut Share,
    limits: &BatchLimits,
) -> Result<(Vec<Rows>, u64), Refusal> {
    let (rows, empty) = if call.is_raw {
        let (spans, empty) = lines(body, share)?;
        let mut maker = Maker::new(call, resource, body.len() + spans.len() * size_of::<Span>(), limits);
        for span in spans {
            maker.line(body.get(span.start as usize..span.end as usize).unwrap_or_default());
            maker.cover(share)?;
        }
        (maker.finish(), empty)
    } else {
        let mut maker = Maker::new(call, resource, body.len(), limits);
        maker.documents(body, share)?;
        (maker.finish(), 0)
    };
    if rows.is_empty() {
        return Err(Refusal::of_code(Code::NoData, "the body has no event"));
    }
    Ok((rows, empty))
}

/// The members of an event.
#[derive(Clone, Copy, Default)]
struct Members {
    event: Option<Value>,
    time: Option<Value>,
    fields: Option<Value>,
    metadata: [Option<Value>; METADATA.len()],
}

/// Makes batches.
struct Maker<'c> {
    call: &'c Call,
    /// The resource of every event, without its closing brace.
    resource: &'c str,
    limits: &'c BatchLimits,
    /// Bytes that are not in the batches.
    other_bytes: usize,
    full: Vec<Rows>,
    full_bytes: usize,
    logs: Open,
    metrics: Open,
}

/// A batch that is being filled.
struct Open {
    rows: Rows,
    /// The metadata of its last event, and where the resource of it stands.
    last: Option<(Vec<u8>, Span)>,
}

impl Open {
    fn new(kind: EventKind) -> Self {
        Self { rows: Rows::new(kind), last: None }
    }

    fn bytes(&self) -> usize {
        self.rows.byte_len() + self.rows.rows() * size_of::<RowParts>()
    }

    /// The place of the resource with these members. Most events have that of the event before.
    fn resource(&mut self, begin: &str, metadata: &[u8]) -> Span {
        match &self.last {
            Some((last, span)) if last == metadata => *span,
            _ => {
                let span = self.rows.write(|out| {
                    out.extend_from_slice(begin.as_bytes());
                    out.extend_from_slice(metadata);
                    out.push(b'}');
                });
                self.last = Some((metadata.to_vec(), span));
                span
            }
        }
    }
}

impl<'c> Maker<'c> {
    fn new(call: &'c Call, resource: &'c str, other_bytes: usize, limits: &'c BatchLimits) -> Self {
        Self {
            call,
            resource: resource.strip_suffix('}').unwrap_or(resource),
            limits,
            other_bytes,
            full: Vec::new(),
            full_bytes: 0,
            logs: Open::new(EventKind::Log),
            metrics: Open::new(EventKind::Metric),
        }
    }

    /// Grows the share to cover everything that has been made.
    fn cover(&self, share: &mut Share) -> Result<(), Refusal> {
        let bytes = self.other_bytes + self.full_bytes + self.logs.bytes() + self.metrics.bytes();
        share.cover_all(bytes as u64)
    }

    /// Adds the events of objects that follow each other, with or without white space between them, and those in arrays.
    fn documents(&mut self, body: &Bytes, share: &mut Share) -> Result<(), Refusal> {
        let (mut at, mut number) = (wattle_json::white(body, 0), 0);
        while at < body.len() {
            let checked = wattle_json::skip(body, at).and_then(|value| {
                wattle_json::check(value.text(body), MAX_JSON_DEPTH)
                    .map(|_| value)
                    .map_err(|error| wattle_json::Error { kind: error.kind, offset: at + error.offset })
            });
            let value = checked.map_err(|error| {
                let reason = format!("not valid JSON: {} at byte {} of the body", error.kind, error.offset);
                Refusal::of_event(number, Code::InvalidFormat, reason)
            })?;
            if value.kind == Kind::Array {
                let mut result = Ok(());
                // The text is valid, so the walk cannot fail.
                let _ = wattle_json::elements(body, value, |element| {
                    if result.is_ok() {
                        result = self.event(body, element, number).and_then(|()| self.cover(share));
                        number += 1;
                    }
                });
                result?;
            } else {
                self.event(body, value, number)?;
                self.cover(share)?;
                number += 1;
            }
            at = wattle_json::white(body, value.end);
        }
        Ok(())
    }

    /// Adds one event.
    fn event(&mut self, body: &[u8], object: Value, number: usize) -> Result<(), Refusal> {
        let refuse = |code, reason: &str| Refusal::of_event(number, code, reason);
        if object.kind != Kind::Object {
            return Err(refuse(Code::InvalidFormat, "not an object"));
        }
        let members = members(body, object);
        let event = members.event.filter(|event| event.kind != Kind::Null);
        let event = event.ok_or_else(|| refuse(Code::EventRequired, "`event` is missing"))?;
        if event.string(body).is_some_and(<[u8]>::is_empty) {
            return Err(refuse(Code::EventBlank, "`event` is empty"));
        }
        let time = match members.time.map(|time| (time.kind, time.string(body).unwrap_or(time.text(body)))) {
            None | Some((Kind::Null, _)) | Some((Kind::String, b"")) => None,
            Some((Kind::Number | Kind::String, text)) => Some(
                nanoseconds(text)
                    .ok_or_else(|| refuse(Code::InvalidFormat, "`time` is not a number of seconds since 1970"))?,
            ),
            Some(_) => return Err(refuse(Code::InvalidFormat, "`time` is not a number of seconds since 1970")),
        };
        let fields = match members.fields.filter(|fields| fields.kind != Kind::Null) {
            Some(fields) if fields.kind != Kind::Object => {
                return Err(refuse(Code::IndexedFields, "`fields` is not an object"));
            }
            fields => fields,
        };
        let metadata = self
            .metadata(body, &members)
            .map_err(|name| refuse(Code::InvalidFormat, &format!("`{name}` is not a text")))?;
        if let Some(fields) = fields.filter(|_| event.text(body) == b"\"metric\"") {
            let measured = measured(body, fields).map_err(|reason| refuse(Code::IndexedFields, &reason))?;
            if !measured.metrics.is_empty() {
                self.metrics(&measured, &metadata, time);
                return Ok(());
            }
        }
        let rows = &mut self.logs;
        let resource = rows.resource(self.resource, &metadata);
        let text = rows.rows.write(|out| match event.string(body) {
            Some(text) => wattle_json::unescape_lossy(text, out),
            None => out.extend_from_slice(event.text(body)),
        });
        let is_empty = fields.is_none_or(|fields| fields.text(body).iter().all(|byte| b"{} \t\r\n".contains(byte)));
        let attributes = match fields.filter(|_| !is_empty) {
            Some(fields) => rows.rows.write(|out| out.extend_from_slice(fields.text(body))),
            None => Span::default(),
        };
        rows.rows.push(RowParts { body: text, attributes, resource, time, ..RowParts::default() });
        self.close(false);
        Ok(())
    }

    /// Adds a line of a raw body.
    fn line(&mut self, line: &[u8]) {
        let metadata = self.metadata(&[], &Members::default()).unwrap_or_default();
        let resource = self.logs.resource(self.resource, &metadata);
        let body = self.logs.rows.write(|out| out.extend_from_slice(line));
        self.logs.rows.push(RowParts { body, resource, ..RowParts::default() });
        self.close(false);
    }

    /// Adds the metrics of one event. They have the same attributes, which are written once: otherwise a body with many
    /// metrics and fields would need their product of memory.
    fn metrics(&mut self, measured: &Measured<'_>, metadata: &[u8], time: Option<i64>) {
        let rows = &mut self.metrics;
        let resource = rows.resource(self.resource, metadata);
        let attributes = match &measured.attributes[..] {
            b"{}" => Span::default(),
            text => rows.rows.write(|out| out.extend_from_slice(text)),
        };
        for (name, value) in &measured.metrics {
            let body = rows.rows.write(|out| {
                out.extend_from_slice(b"{\"name\":\"");
                out.extend_from_slice(name);
                out.extend_from_slice(b"\",\"unit\":\"\",\"type\":\"gauge\",\"value\":");
                out.extend_from_slice(value);
                out.push(b'}');
            });
            rows.rows.push(RowParts { body, attributes, resource, time, ..RowParts::default() });
        }
        self.close(false);
    }

    /// The members that an event adds to its resource; the name of one that is not a text otherwise.
    fn metadata(&self, body: &[u8], members: &Members) -> Result<Vec<u8>, &'static str> {
        let mut found: [Option<Cow<'_, [u8]>>; METADATA.len()] = Default::default();
        for (((slot, value), name), default) in
            found.iter_mut().zip(members.metadata).zip(METADATA).zip(&self.call.defaults)
        {
            *slot = match value.map(|value| (value.kind, value.text(body))) {
                None | Some((Kind::Null, _)) | Some((Kind::String, b"\"\"")) => default.as_deref().map(Cow::Borrowed),
                Some((Kind::String, text)) => Some(Cow::Borrowed(text)),
                Some((Kind::Number | Kind::Bool, text)) => Some(Cow::Owned([b"\"", text, b"\""].concat())),
                Some(_) => return Err(name),
            };
        }
        let mut out = Vec::new();
        let [host, others @ ..] = found;
        if let Some(host) = host {
            out.extend_from_slice(b",\"host\":{\"name\":");
            out.extend_from_slice(&host);
            out.push(b'}');
        }
        let mut separator: &[u8] = b",\"splunk\":{";
        for (name, value) in METADATA.iter().skip(1).zip(others) {
            let Some(value) = value else { continue };
            out.extend_from_slice(separator);
            out.push(b'"');
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"\":");
            out.extend_from_slice(&value);
            separator = b",";
        }
        if separator == b"," {
            out.push(b'}');
        }
        Ok(out)
    }

    /// Closes the batches that are full, or all.
    fn close(&mut self, all: bool) {
        for open in [&mut self.logs, &mut self.metrics] {
            let rows = &open.rows;
            if rows.rows() > 0 && (all || self.limits.reached(rows.byte_len(), rows.rows())) {
                self.full_bytes += open.bytes();
                let kind = open.rows.kind();
                self.full.push(std::mem::replace(open, Open::new(kind)).rows);
            }
        }
    }

    fn finish(mut self) -> Vec<Rows> {
        self.close(true);
        self.full
    }
}

fn members(body: &[u8], object: Value) -> Members {
    let mut found = Members::default();
    // The text is valid, so the walk cannot fail.
    let _ = wattle_json::members(body, object, |key, value| {
        let name = name(body, key);
        let place = match &*name {
            b"event" => &mut found.event,
            b"time" => &mut found.time,
            b"fields" => &mut found.fields,
            other => {
                let at = METADATA.iter().position(|name| name.as_bytes() == other);
                match at.and_then(|at| found.metadata.get_mut(at)) {
                    Some(place) => place,
                    None => return,
                }
            }
        };
        // Of repeated members, the first counts, as everywhere.
        *place = place.or(Some(value));
    });
    found
}

/// The text of a key.
fn name(body: &[u8], key: Value) -> Cow<'_, [u8]> {
    let inner = key.string(body).unwrap_or_default();
    if !inner.contains(&b'\\') {
        return Cow::Borrowed(inner);
    }
    let mut out = Vec::with_capacity(inner.len());
    wattle_json::unescape_lossy(inner, &mut out);
    Cow::Owned(out)
}

/// The fields of a metric event.
#[derive(Default)]
struct Measured<'b> {
    /// Names, still escaped, and numbers.
    metrics: Vec<(&'b [u8], &'b [u8])>,
    /// The other fields, all as texts.
    attributes: Vec<u8>,
}

/// Splits fields into metrics and dimensions.
fn measured(body: &[u8], fields: Value) -> Result<Measured<'_>, String> {
    let (mut found, mut name, mut value, mut wrong) = (Measured::default(), None, None, None);
    found.attributes.push(b'{');
    let _ = wattle_json::members(body, fields, |key, of_key| {
        let key = key.string(body).unwrap_or_default();
        let text = of_key.string(body).unwrap_or(of_key.text(body));
        match (key, key.strip_prefix(METRIC)) {
            (b"metric_name", _) => name = Some(text),
            (b"_value", _) => value = Some(text),
            (_, Some(metric)) => found.metrics.push((metric, text)),
            _ if of_key.kind == Kind::Null => {}
            _ => {
                if found.attributes.len() > 1 {
                    found.attributes.push(b',');
                }
                found.attributes.push(b'"');
                found.attributes.extend_from_slice(key);
                found.attributes.extend_from_slice(b"\":\"");
                match of_key.kind {
                    // Still escaped.
                    Kind::String => found.attributes.extend_from_slice(text),
                    _ => wattle_json::escape(text, &mut found.attributes),
                }
                found.attributes.push(b'"');
            }
        }
    });
    found.attributes.push(b'}');
    if let Some(name) = name {
        found.metrics.push((name, value.unwrap_or_default()));
    }
    for (name, value) in &found.metrics {
        if name.is_empty() || wattle_json::check(value, 0) != Ok(Kind::Number) {
            let name = String::from_utf8_lossy(name);
            wrong = Some(format!("the metric `{name}` has no name, or its value is not a number"));
        }
    }
    if found.metrics.len().saturating_mul(found.attributes.len()) > MAX_METRIC_BYTES {
        wrong = Some("the event has too many metrics and other fields; send fewer in one event".to_owned());
    }
    wrong.map_or(Ok(found), Err)
}
