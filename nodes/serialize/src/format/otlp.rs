//! `otlp`: a `LogsData` message in JSON with one record, after the JSON mapping of OTLP
//! (<https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>).

use wattle_convert::syslog;
use wattle_document::{Documents, Place, UniqueKeys};
use wattle_node::json::Kind;

use super::json::write_string;
use crate::header::Header;

/// Values below this depth are written as strings of JSON.
const MAX_DEPTH: usize = 64;

/// Numbers of severities (`SeverityNumber`) for severities of syslog.
const SEVERITY_NUMBERS: [u32; 8] = [24, 22, 21, 17, 13, 10, 9, 5];

/// Writes the record; `attributes` and `resource` are objects.
pub(crate) fn write(
    documents: &mut Documents,
    attributes: Place,
    resource: Option<Place>,
    header: &Header,
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(b"{\"resourceLogs\":[{\"resource\":{\"attributes\":");
    match resource {
        Some(resource) => key_values(documents, resource, MAX_DEPTH, out),
        None => out.extend_from_slice(b"[]"),
    }
    out.extend_from_slice(b"},\"scopeLogs\":[{\"scope\":{");
    let scope = header.get("scope_name");
    if !scope.is_empty() {
        out.extend_from_slice(b"\"name\":");
        write_string(scope, out);
    }
    out.extend_from_slice(b"},\"logRecords\":[{");
    if let Some(nanoseconds) = super::nanoseconds(header.get("timestamp")).filter(|n| *n >= 0) {
        out.extend_from_slice(format!("\"timeUnixNano\":\"{nanoseconds}\",").as_bytes());
    }
    let severity = header.get("severity_text");
    if !severity.is_empty() {
        let number = syslog::severity(severity).and_then(|number| SEVERITY_NUMBERS.get(number as usize));
        if let Some(number) = number {
            out.extend_from_slice(format!("\"severityNumber\":{number},").as_bytes());
        }
        out.extend_from_slice(b"\"severityText\":");
        write_string(severity, out);
        out.push(b',');
    }
    out.extend_from_slice(b"\"body\":{\"stringValue\":");
    write_string(header.get("body"), out);
    out.extend_from_slice(b"},\"attributes\":");
    key_values(documents, attributes, MAX_DEPTH, out);
    out.extend_from_slice(b"}]}]}]}");
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
            // A 64-bit integer is a string in the JSON of protobuf.
            match std::str::from_utf8(text).ok().and_then(|text| text.parse::<i64>().ok()) {
                Some(number) => out.extend_from_slice(format!("{{\"intValue\":\"{number}\"}}").as_bytes()),
                None => {
                    out.extend_from_slice(b"{\"doubleValue\":");
                    out.extend_from_slice(text);
                    out.push(b'}');
                }
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
        Kind::String | Kind::Object | Kind::Array => {
            out.extend_from_slice(b"{\"stringValue\":");
            write_string(documents.text(content, &mut memory), out);
            out.push(b'}');
        }
    }
}
