//! Spans. The body is a JSON object with the fields of the span; ids and attributes are those of the event.

use data_encoding::HEXLOWER;

use crate::collector::trace::v1::ExportTraceServiceRequest;
use crate::events::{Builder, Row, event_time, is_id, read_hex, read_time, write_time};
use crate::logs::{SPAN_ID, TRACE_ID};
use crate::messages::opentelemetry::proto::trace::v1::span::{Event, Link};
use crate::messages::opentelemetry::proto::trace::v1::{Span, Status};
use crate::object::{Object, Read, list};
use crate::value;

/// Names of the kinds from 1 on.
const KINDS: [&str; 5] = ["internal", "server", "client", "producer", "consumer"];
/// Names of the codes of a status from 1 on.
const CODES: [&str; 2] = ["ok", "error"];

pub(crate) fn events(request: &ExportTraceServiceRequest, builder: &mut Builder<'_>) {
    for resource in &request.resource_spans {
        for scope in &resource.scope_spans {
            builder.begin(resource.resource.as_ref(), &resource.schema_url, scope.scope.as_ref(), &scope.schema_url);
            for span in &scope.spans {
                let row = Row {
                    body: builder.write(|out| body(span, out)),
                    attributes: builder.write(|out| attributes(&span.attributes, out)),
                    trace_id: builder.write_id(&span.trace_id, TRACE_ID),
                    span_id: builder.write_id(&span.span_id, SPAN_ID),
                    time: event_time(span.start_time_unix_nano),
                    ..Row::default()
                };
                builder.push(row);
            }
        }
    }
}

/// Writes attributes as an object, unless there are none.
pub(crate) fn attributes(values: &[crate::common::KeyValue], out: &mut Vec<u8>) {
    if !values.is_empty() {
        let mut object = Object::begin(out);
        value::members(values, &mut object);
        object.end();
    }
}

fn body(span: &Span, out: &mut Vec<u8>) {
    let mut object = Object::begin(out);
    object.text("name", &span.name);
    write_name("kind", span.kind, &KINDS, &mut object);
    write_time("start", span.start_time_unix_nano, &mut object);
    write_time("end", span.end_time_unix_nano, &mut object);
    if !is_id(&span.trace_id, TRACE_ID) {
        object.text("trace_id", HEXLOWER.encode(&span.trace_id).as_bytes());
    }
    if !is_id(&span.span_id, SPAN_ID) {
        object.text("span_id", HEXLOWER.encode(&span.span_id).as_bytes());
    }
    object.text("parent_span_id", HEXLOWER.encode(&span.parent_span_id).as_bytes());
    object.text("trace_state", &span.trace_state);
    object.number("flags", span.flags);
    if let Some(status) = &span.status {
        let mut object = Object::begin(object.key(b"status"));
        write_name("code", status.code, &CODES, &mut object);
        object.text("message", &status.message);
        object.end();
    }
    if !span.events.is_empty() {
        list(&span.events, object.key(b"events"), |event, out| {
            let mut object = Object::begin(out);
            write_time("timestamp", event.time_unix_nano, &mut object);
            object.text("name", &event.name);
            write_attributes(&event.attributes, &mut object);
            object.number("dropped_attributes_count", event.dropped_attributes_count);
            object.end();
        });
    }
    if !span.links.is_empty() {
        list(&span.links, object.key(b"links"), |link, out| {
            let mut object = Object::begin(out);
            object.text("trace_id", HEXLOWER.encode(&link.trace_id).as_bytes());
            object.text("span_id", HEXLOWER.encode(&link.span_id).as_bytes());
            object.text("trace_state", &link.trace_state);
            write_attributes(&link.attributes, &mut object);
            object.number("dropped_attributes_count", link.dropped_attributes_count);
            object.number("flags", link.flags);
            object.end();
        });
    }
    object.number("dropped_attributes_count", span.dropped_attributes_count);
    object.number("dropped_events_count", span.dropped_events_count);
    object.number("dropped_links_count", span.dropped_links_count);
    object.end();
}

/// Writes the member `attributes`, unless there are none.
pub(crate) fn write_attributes(values: &[crate::common::KeyValue], object: &mut Object<'_>) {
    if !values.is_empty() {
        attributes(values, object.key(b"attributes"));
    }
}

/// Writes a number of an enumeration by its name; nothing for 0, a number without a name as it is.
pub(crate) fn write_name(key: &str, number: i32, names: &[&str], object: &mut Object<'_>) {
    let name = usize::try_from(number).ok().and_then(|number| names.get(number.checked_sub(1)?));
    match name {
        Some(name) => object.text(key, name.as_bytes()),
        None => object.number(key, number),
    }
}

/// Reads the number of an enumeration from its name or number.
pub(crate) fn read_name(value: Read<'_>, names: &[&str]) -> i32 {
    let text = value.bytes();
    match (1..).zip(names).find(|(_, name)| name.as_bytes() == &*text) {
        Some((number, _)) => number,
        None => value.parse().unwrap_or(0),
    }
}

/// The span of an event.
pub(crate) fn record(event: &crate::requests::Event<'_>) -> Span {
    let mut span = Span {
        start_time_unix_nano: event.time,
        trace_id: event.trace_id.clone(),
        span_id: event.span_id.clone(),
        attributes: event.all_attributes(),
        ..Span::default()
    };
    let Some(body) = event.json_body() else {
        // Nodes can make spans of any body.
        span.name = bytes::Bytes::copy_from_slice(event.body);
        return span;
    };
    body.members(|key, value| match key {
        b"name" => span.name = value.to_field(),
        b"kind" => span.kind = read_name(value, &KINDS),
        b"start" => span.start_time_unix_nano = read_time(value),
        b"end" => span.end_time_unix_nano = read_time(value),
        b"trace_id" if span.trace_id.is_empty() => span.trace_id = read_hex(&value.bytes()),
        b"span_id" if span.span_id.is_empty() => span.span_id = read_hex(&value.bytes()),
        b"parent_span_id" => span.parent_span_id = read_hex(&value.bytes()),
        b"trace_state" => span.trace_state = value.to_field(),
        b"flags" => span.flags = value.parse().unwrap_or(0),
        b"status" => span.status = Some(status(value)),
        b"events" => span.events = value.elements().into_iter().map(span_event).collect(),
        b"links" => span.links = value.elements().into_iter().map(link).collect(),
        b"dropped_attributes_count" => span.dropped_attributes_count = value.parse().unwrap_or(0),
        b"dropped_events_count" => span.dropped_events_count = value.parse().unwrap_or(0),
        b"dropped_links_count" => span.dropped_links_count = value.parse().unwrap_or(0),
        _ => {}
    });
    span
}

fn status(value: Read<'_>) -> Status {
    let mut status = Status::default();
    value.members(|key, value| match key {
        b"code" => status.code = read_name(value, &CODES),
        b"message" => status.message = value.to_field(),
        _ => {}
    });
    status
}

fn span_event(value: Read<'_>) -> Event {
    let mut event = Event::default();
    value.members(|key, value| match key {
        b"timestamp" => event.time_unix_nano = read_time(value),
        b"name" => event.name = value.to_field(),
        b"attributes" => event.attributes = value::read_members(value),
        b"dropped_attributes_count" => event.dropped_attributes_count = value.parse().unwrap_or(0),
        _ => {}
    });
    event
}

fn link(value: Read<'_>) -> Link {
    let mut link = Link::default();
    value.members(|key, value| match key {
        b"trace_id" => link.trace_id = read_hex(&value.bytes()),
        b"span_id" => link.span_id = read_hex(&value.bytes()),
        b"trace_state" => link.trace_state = value.to_field(),
        b"attributes" => link.attributes = value::read_members(value),
        b"dropped_attributes_count" => link.dropped_attributes_count = value.parse().unwrap_or(0),
        b"flags" => link.flags = value.parse().unwrap_or(0),
        _ => {}
    });
    link
}
