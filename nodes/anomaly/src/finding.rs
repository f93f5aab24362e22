//! Findings as events.

use std::io::Write as _;

use wattle_convert::time::{Output, Zone};
use wattle_node::{EventKind, Events, json, write_object};
use wattle_snapshot::EventId;

use crate::detector::{Detector, Found};
use crate::key::Key;
use crate::options::Kind;

/// Between the values of a key; not a byte of UTF-8.
pub(crate) const SEPARATOR: u8 = 0xff;

/// Writes the findings of an interval. `fields` are the names of the values of a key, `id` begins the ids of the events.
pub(crate) fn events(index: i64, found: &[Found], detector: &Detector, fields: &[String], id: &EventId) -> Events {
    let mut events = Events::new(EventKind::Log);
    let (mut body, mut attributes) = (Vec::new(), Vec::new());
    let grid = &detector.grid;
    for found in found {
        let key = found.key.and_then(|place| detector.keys.get(place));
        let kind = found.kind.name();
        body.clear();
        text(&mut body, "finding", kind.as_bytes());
        member(&mut body, "key");
        match key {
            Some(key) => {
                let values = fields.iter().map(String::as_str).zip(key.name.split(|byte| *byte == SEPARATOR));
                write_object(values, &mut body);
            }
            None => body.extend_from_slice(b"null"),
        }
        if key.is_none() {
            number(&mut body, "keys", found.keys as u64);
        }
        time(&mut body, "start", grid.start(index));
        time(&mut body, "end", grid.start(index + 1));
        number(&mut body, "observed", found.observed);
        if let Some([low, expected, high]) = found.expected {
            float(&mut body, "expected", expected);
            if found.kind != Kind::New {
                float(&mut body, "usual_low", low);
                float(&mut body, "usual_high", high);
            }
        }
        float(&mut body, "score", found.score);
        number(&mut body, "periods", found.periods as u64);
        if let Some(key) = key {
            of_key(&mut body, found.kind, key, index, detector);
        }
        body.push(b'}');
        let name = key.map_or(&[][..], |key| &key.name);
        let id = id.clone().with_number(grid.start(index)).with(kind.as_bytes()).with(name).finish();
        attributes.clear();
        let shown = name.split(|byte| *byte == SEPARATOR).collect::<Vec<_>>().join(&b' ');
        let pairs = [("id", &id[..]), ("finding", kind.as_bytes()), ("key", &shown)];
        write_object(pairs.into_iter().filter(|(name, _)| *name != "key" || key.is_some()), &mut attributes);
        events.push(&body, Some(&attributes), Some(grid.start(index + 1)));
    }
    events
}

fn of_key(body: &mut Vec<u8>, kind: Kind, key: &Key, index: i64, detector: &Detector) {
    let grid = &detector.grid;
    if kind != Kind::New {
        time(body, "first_seen", grid.start(key.first));
    }
    if kind == Kind::Vanished {
        time(body, "last_seen", grid.start(key.last));
    }
    let mut has_samples = false;
    for (number, sample) in key.samples_until(index).enumerate() {
        has_samples = true;
        if number == 0 {
            member(body, "samples");
        }
        body.extend_from_slice(if number == 0 { b"[\"" } else { b",\"" });
        json::escape(sample.as_bytes(), body);
        body.push(b'"');
    }
    if has_samples {
        body.push(b']');
    }
}

fn member(body: &mut Vec<u8>, key: &str) {
    body.push(if body.is_empty() { b'{' } else { b',' });
    body.push(b'"');
    body.extend_from_slice(key.as_bytes());
    body.extend_from_slice(b"\":");
}

fn text(body: &mut Vec<u8>, key: &str, text: &[u8]) {
    member(body, key);
    body.push(b'"');
    json::escape(text, body);
    body.push(b'"');
}

fn number(body: &mut Vec<u8>, key: &str, number: u64) {
    member(body, key);
    // Writing to a vector cannot fail.
    let _ = write!(body, "{number}");
}

/// Writes a number with two digits after the point.
fn float(body: &mut Vec<u8>, key: &str, number: f64) {
    member(body, key);
    let rounded = (number * 100.0).round() / 100.0;
    body.extend_from_slice(zmij::Buffer::new().format_finite(rounded).as_bytes());
}

fn time(body: &mut Vec<u8>, key: &str, time: i64) {
    member(body, key);
    body.push(b'"');
    Output::Rfc3339(None).write(time, &Zone::UTC, body);
    body.push(b'"');
}
