//! `otlp`: a `LogsData` message in JSON with one record, after the JSON mapping of OTLP
//! (<https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>).

use data_encoding::BASE64;
use wattle_convert::otel::{SPAN_ID, TRACE_ID, is_id, severity_number};
use wattle_convert::syslog;
use wattle_document::{Documents, Place, UniqueKeys};
use wattle_node::json::Kind;

use super::json::write_string;
use crate::header::Header;

/// Values below this depth are written as strings of JSON.
const MAX_DEPTH: usize = 64;

/// Numbers of severities (`SeverityNumber`) for severities of syslog.
const SEVERITY_NUMBERS: [u32; 8] = [24, 22, 21, 17, 13, 10, 9, 5];

/// Short names of severities, each of four numbers: `TRACE` is 1, `TRACE2` is 2, `DEBUG` is 5.
const SHORT_NAMES: [&str; 6] = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"];

/// Writes the record; `attributes`, `resource` and `scope` (the attributes of the scope) are objects.
pub(crate) fn write(
    documents: &mut Documents,
    attributes: Place,
    resource: Option<Place>,
    scope: Option<Place>,
    header: &Header,
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(b"{\"resourceLogs\":[{\"resource\":{\"attributes\":");
    match resource {
        Some(resource) => key_values(documents, resource, MAX_DEPTH, out),
        None => out.extend_from_slice(b"[]"),
    }
    out.extend_from_slice(b"},\"scopeLogs\":[{\"scope\":{");
    for (key, part) in [("name", "scope_name"), ("version", "scope_version")] {
        write_part(key, header.get(part), out);
    }
    if let Some(scope) = scope {
        write_key("attributes", out);
        key_values(documents, scope, MAX_DEPTH, out);
    }
    out.extend_from_slice(b"},\"logRecords\":[{");
    // The times of OTLP begin in 1970.
    if let Some(nanoseconds) = super::nanoseconds(header.get("timestamp")).filter(|n| *n >= 0) {
        write_key("timeUnixNano", out);
        out.extend_from_slice(format!("\"{nanoseconds}\"").as_bytes());
    }
    let severity = header.get("severity_text");
    let written = severity_number(header.get("severity_number")).map(u32::from);
    if let Some(number) = written.or_else(|| number_of_name(severity)) {
        write_key("severityNumber", out);
        out.extend_from_slice(number.to_string().as_bytes());
    }
    write_part("severityText", severity, out);
    for (key, part, digits) in [("traceId", "trace_id", TRACE_ID), ("spanId", "span_id", SPAN_ID)] {
        let id = header.get(part);
        if is_id(id, digits) {
            write_part(key, &id.to_ascii_lowercase(), out);
        }
    }
    write_key("body", out);
    let body = header.get("body");
    if std::str::from_utf8(body).is_ok() {
        string_value(body, out);
    } else {
        // Strings of protobuf are UTF-8. Bytes are base64 in JSON.
        out.extend_from_slice(format!("{{\"bytesValue\":\"{}\"}}", BASE64.encode(body)).as_bytes());
    }
    write_key("attributes", out);
    key_values(documents, attributes, MAX_DEPTH, out);
    out.extend_from_slice(b"}]}]}]}");
}

/// The number of a severity with a short name of OpenTelemetry in any case, or a name or number of syslog.
fn number_of_name(text: &[u8]) -> Option<u32> {
    let (name, place) = match text.split_last() {
        Some((digit @ b'2'..=b'4', name)) => (name, u32::from(digit - b'1')),
        _ => (text, 0),
    };
    let short = (0..).zip(SHORT_NAMES).find(|(_, short)| short.as_bytes().eq_ignore_ascii_case(name));
    let number = short.map(|(number, _)| number * 4 + 1 + place);
    number.or_else(|| SEVERITY_NUMBERS.get(syslog::severity(text)? as usize).copied())
}

/// Appends the key of a member, with a comma if the object has a member.
fn write_key(key: &str, out: &mut Vec<u8>) {
    if out.last() != Some(&b'{') {
        out.push(b',');
    }
    out.extend_from_slice(format!("\"{key}\":").as_bytes());
}

/// Appends a member with a text, unless it is empty.
fn write_part(key: &str, text: &[u8], out: &mut Vec<u8>) {
    if !text.is_empty() {
        write_key(key, out);
        write_string(text, out);
    }
}

/// Writes the members of an object as a list of `KeyValue`.
fn key_values(documents: &mut Documents, object: Place, depth: usize, out: &mut Vec<u8>) {
    let mut memory = Vec::new();
    out.push(b'[');
    let mut child = documents.first(object);
    // The keys of a list are unique, but a JSON object can have one twice.
    let mut keys = documents.may_repeat_keys(object).then(UniqueKeys::default);
    let mut is_first = true;
    while let Some(place) = child {
        if !std::mem::take(&mut is_first) {
            out.push(b',');
        }
        out.extend_from_slice(b"{\"key\":");
        match &mut keys {
            Some(keys) => {
                let mut key = documents.key(place, &mut memory).to_vec();
                keys.add(&mut key, 0, usize::MAX);
                write_string(&key, out);
            }
            None => write_string(documents.key(place, &mut memory), out),
        }
        out.extend_from_slice(b",\"value\":");
        any_value(documents, place, depth, out);
        out.push(b'}');
        child = documents.next(place);
    }
    out.push(b']');
}

/// Writes a value as an `AnyValue`.
fn any_value(documents: &mut Documents, place: Place, depth: usize, out: &mut Vec<u8>) {
    let content = documents.content(place);
    let mut memory = Vec::new();
    match content.kind() {
        Kind::Missing | Kind::Null => out.extend_from_slice(b"{}"),
        Kind::Bool => {
            out.extend_from_slice(b"{\"boolValue\":");
            documents.json(content, out);
            out.push(b'}');
        }
        Kind::Number => {
            let text = documents.text(content, &mut memory);
            match as_number(text) {
                // A 64-bit integer is a string in the JSON of protobuf.
                Number::Integer(number) => out.extend_from_slice(format!("{{\"intValue\":\"{number}\"}}").as_bytes()),
                Number::Double => {
                    out.extend_from_slice(b"{\"doubleValue\":");
                    out.extend_from_slice(text);
                    out.push(b'}');
                }
                Number::Neither => string_value(text, out),
            }
        }
        Kind::Object if depth > 0 => {
            out.extend_from_slice(b"{\"kvlistValue\":{\"values\":");
            key_values(documents, place, depth - 1, out);
            out.extend_from_slice(b"}}");
        }
        Kind::Array if depth > 0 => {
            out.extend_from_slice(b"{\"arrayValue\":{\"values\":[");
            let mut child = documents.first(place);
            let mut is_first = true;
            while let Some(element) = child {
                if !std::mem::take(&mut is_first) {
                    out.push(b',');
                }
                any_value(documents, element, depth - 1, out);
                child = documents.next(element);
            }
            out.extend_from_slice(b"]}}");
        }
        Kind::String | Kind::Object | Kind::Array => string_value(documents.text(content, &mut memory), out),
    }
}

fn string_value(text: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"stringValue\":");
    write_string(text, out);
    out.push(b'}');
}

/// What a number of JSON is in OTLP.
enum Number {
    Integer(i64),
    Double,
    /// It is beyond the range of both. OpenTelemetry makes a string of such a number.
    Neither,
}

fn as_number(text: &[u8]) -> Number {
    let Ok(text) = std::str::from_utf8(text) else { return Number::Neither };
    let is_integer = !text.contains(['.', 'e', 'E']);
    // Integers have no negative zero.
    if is_integer && text != "-0" {
        return text.parse().map_or(Number::Neither, Number::Integer);
    }
    let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
    let is_zero = !mantissa.contains(|digit: char| matches!(digit, '1'..='9'));
    match text.parse::<f64>() {
        // A number next to zero must not become zero.
        Ok(number) if number.is_finite() && (number != 0.0 || is_zero) => Number::Double,
        _ => Number::Neither,
    }
}
