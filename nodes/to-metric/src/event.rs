//! Data points as events.

use wattle_convert::time::{Output, Zone};
use wattle_node::{Events, json};

use crate::metric::{END, Exemplar, Series, Spec};
use crate::value::{Kind, write_list};

/// Adds the data point of a series at the end of an interval.
pub(crate) fn write(spec: &Spec, series: &Series, (start, end): (i64, i64), made: &mut Events) {
    let mut body = Vec::with_capacity(256);
    body.extend_from_slice(b"{\"name\":");
    write_string(spec.name.as_bytes(), &mut body);
    if !spec.description.is_empty() {
        body.extend_from_slice(b",\"description\":");
        write_string(spec.description.as_bytes(), &mut body);
    }
    body.extend_from_slice(b",\"unit\":");
    write_string(spec.unit.as_bytes(), &mut body);
    let kind: &[u8] = match spec.kind {
        Kind::Counter | Kind::Sum => b"sum",
        Kind::Gauge => b"gauge",
        Kind::Histogram { .. } => b"histogram",
        Kind::Exponential { .. } => b"exponential_histogram",
    };
    body.extend_from_slice(b",\"type\":\"");
    body.extend_from_slice(kind);
    body.push(b'"');
    if spec.kind != Kind::Gauge {
        let temporality: &[u8] = if spec.is_cumulative { b"cumulative" } else { b"delta" };
        body.extend_from_slice(b",\"temporality\":\"");
        body.extend_from_slice(temporality);
        body.push(b'"');
    }
    match spec.kind {
        Kind::Counter => body.extend_from_slice(b",\"monotonic\":true"),
        Kind::Sum => body.extend_from_slice(b",\"monotonic\":false"),
        _ => {}
    }
    body.extend_from_slice(b",\"start\":");
    write_time(start, &mut body);
    spec.kind.write(&series.value, &mut body);
    if !series.exemplars.is_empty() {
        body.extend_from_slice(b",\"exemplars\":");
        write_list(&series.exemplars, write_exemplar, &mut body);
    }
    body.extend_from_slice(b",\"id\":\"");
    body.extend_from_slice(&spec.id.clone().with_number(end).with(&series.key).finish());
    body.extend_from_slice(b"\"}");

    let mut attributes = Vec::with_capacity(64);
    let values = spec.dimensions.iter().zip(series.key.split(|byte| *byte == END));
    write_texts(values.map(|(name, value)| (name.as_str(), value)), &mut attributes);
    made.push(&body, Some(&attributes), Some(end));
}

/// Appends an object of the texts that are not empty.
pub(crate) fn write_texts<'a>(pairs: impl Iterator<Item = (&'a str, &'a [u8])>, out: &mut Vec<u8>) {
    out.push(b'{');
    let mut is_first = true;
    for (name, value) in pairs.filter(|(_, value)| !value.is_empty()) {
        if !std::mem::replace(&mut is_first, false) {
            out.push(b',');
        }
        write_string(name.as_bytes(), out);
        out.push(b':');
        write_string(value, out);
    }
    out.push(b'}');
}

fn write_exemplar(exemplar: &Exemplar, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"value\":");
    exemplar.value.write(out);
    out.extend_from_slice(b",\"timestamp\":");
    write_time(exemplar.time, out);
    out.extend_from_slice(b",\"attributes\":");
    out.extend_from_slice(&exemplar.attributes);
    out.push(b'}');
}

fn write_time(time: i64, out: &mut Vec<u8>) {
    out.push(b'"');
    Output::Rfc3339(None).write(time, &Zone::UTC, out);
    out.push(b'"');
}

fn write_string(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    json::escape(text, out);
    out.push(b'"');
}
