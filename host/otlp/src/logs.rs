//! Log records.
//!
//! What has no root of its own is in the attribute `otlp`: `observed_time`, `event_name`, `flags`,
//! `dropped_attributes_count`, and `body`, the type of a body that is not a string. A time after 2262, a severity number
//! outside 1 to 24 and ids that are not valid are there too.

use data_encoding::HEXLOWER;

use crate::collector::logs::v1::ExportLogsServiceRequest;
use crate::common::AnyValue;
use crate::common::any_value::Value;
use crate::events::{Builder, Row, event_time, is_id, read_hex, read_time, write_others, write_time};
use crate::messages::opentelemetry::proto::logs::v1::LogRecord;
use crate::object::{Object, Read};
use crate::value;

/// Length of the ids in bytes.
pub(crate) const TRACE_ID: usize = 16;
pub(crate) const SPAN_ID: usize = 8;

const SEVERITIES: std::ops::RangeInclusive<i32> = 1..=24;

pub(crate) fn events(request: &ExportLogsServiceRequest, builder: &mut Builder<'_>) {
    for resource in &request.resource_logs {
        for scope in &resource.scope_logs {
            builder.begin(resource.resource.as_ref(), &resource.schema_url, scope.scope.as_ref(), &scope.schema_url);
            for record in &scope.log_records {
                let row = event(record, builder);
                builder.push(row);
            }
        }
    }
}

fn event(record: &LogRecord, builder: &mut Builder<'_>) -> Row {
    let body = record.body.as_ref().and_then(|body| body.value.as_ref());
    let (body_type, body) = match body {
        Some(Value::StringValue(text)) => ("", builder.write(|out| out.extend_from_slice(text))),
        Some(Value::BytesValue(bytes)) => ("bytes", builder.write(|out| out.extend_from_slice(bytes))),
        Some(_) => ("any", builder.write(|out| value::write(record.body.as_ref(), out))),
        None => ("none", builder.write(|_| {})),
    };
    let is_severity = SEVERITIES.contains(&record.severity_number);
    let mut more = Vec::new();
    let mut others = Object::begin(&mut more);
    if event_time(record.time_unix_nano).is_none() {
        write_time("time", record.time_unix_nano, &mut others);
    }
    write_time("observed_time", record.observed_time_unix_nano, &mut others);
    others.text("event_name", &record.event_name);
    others.text("body", body_type.as_bytes());
    others.number("flags", record.flags);
    others.number("dropped_attributes_count", record.dropped_attributes_count);
    if !is_severity {
        others.number("severity_number", record.severity_number);
    }
    for (key, id, length) in [("trace_id", &record.trace_id, TRACE_ID), ("span_id", &record.span_id, SPAN_ID)] {
        if !is_id(id, length) {
            others.text(key, HEXLOWER.encode(id).as_bytes());
        }
    }
    others.end();
    Row {
        body,
        attributes: builder.write(|out| {
            if more != b"{}" || !record.attributes.is_empty() {
                let mut object = Object::begin(out);
                write_others(&more, &record.attributes, &mut object);
                value::members(&record.attributes, &mut object);
                object.end();
            }
        }),
        severity: builder.write(|out| {
            if is_severity || !record.severity_text.is_empty() {
                let mut object = Object::begin(out);
                object.text("text", &record.severity_text);
                object.number("number", if is_severity { record.severity_number } else { 0 });
                object.end();
            }
        }),
        trace_id: builder.write_id(&record.trace_id, TRACE_ID),
        span_id: builder.write_id(&record.span_id, SPAN_ID),
        time: event_time(record.time_unix_nano),
        ..Row::default()
    }
}

/// Fills a record with the parts of an event. `observed` is when the agent read it.
pub(crate) fn record(event: &crate::requests::Event<'_>, observed: u64) -> LogRecord {
    let mut record = LogRecord {
        time_unix_nano: event.time,
        trace_id: event.trace_id.clone(),
        span_id: event.span_id.clone(),
        observed_time_unix_nano: observed,
        ..LogRecord::default()
    };
    if let Some(severity) = event.severity {
        severity.members(|key, value| match key {
            b"text" => record.severity_text = value.to_field(),
            b"number" => record.severity_number = value.parse().unwrap_or(0),
            _ => {}
        });
    }
    let mut body_type = Vec::new();
    if event.is_otlp {
        record.observed_time_unix_nano = 0;
    }
    let mut others = |others: Read<'_>| {
        others.members(|key, value| match key {
            b"time" => record.time_unix_nano = read_time(value),
            b"observed_time" => record.observed_time_unix_nano = read_time(value),
            b"event_name" => record.event_name = value.to_field(),
            b"body" => body_type = value.bytes().into_owned(),
            b"flags" => record.flags = value.parse().unwrap_or(0),
            b"dropped_attributes_count" => record.dropped_attributes_count = value.parse().unwrap_or(0),
            b"severity_number" => record.severity_number = value.parse().unwrap_or(0),
            b"trace_id" if record.trace_id.is_empty() => record.trace_id = read_hex(&value.bytes()),
            b"span_id" if record.span_id.is_empty() => record.span_id = read_hex(&value.bytes()),
            _ => {}
        });
    };
    let attributes = event.attributes(&mut others);
    record.attributes = attributes;
    let body = || bytes::Bytes::copy_from_slice(event.body);
    let string = || Value::StringValue(body());
    let made = match &body_type[..] {
        b"none" if event.body.is_empty() => None,
        b"bytes" => Some(Value::BytesValue(body())),
        b"any" if wattle_json::check(event.body, wattle_batch::MAX_JSON_DEPTH).is_ok() => {
            Read::of(event.body).and_then(|body| value::read(body).value)
        }
        // Strings of protobuf are UTF-8, but what came as a string leaves as it came.
        _ if event.is_otlp || std::str::from_utf8(event.body).is_ok() => Some(string()),
        _ => Some(Value::BytesValue(body())),
    };
    record.body = made.map(|value| AnyValue { value: Some(value) });
    record
}
