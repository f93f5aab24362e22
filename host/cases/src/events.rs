//! Converts events of a case to a batch, and the output of a node back to events.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use wattle_batch::{Ack, Batch, Column, EventKind, FieldPath, Form, Origin, Outcome, parse_rfc3339};

use crate::event::EVENT_KEYS;

/// Maximum depth of an event: that of attributes, which are one level below.
const MAX_DEPTH: usize = 513;

/// Output of a node, whose events are values, or texts for tools that show them as they are.
#[derive(Clone, Debug, PartialEq)]
pub struct Ran<E = Value> {
    /// Events by port, as the `json` codec writes them.
    pub ports: BTreeMap<String, Vec<E>>,
    /// Failed events, with `failure`.
    pub failed: Vec<E>,
    /// Rows dropped on purpose, by code.
    pub dropped: BTreeMap<String, usize>,
    /// Rows that ended in the memory of the node.
    pub held: usize,
    /// Counts that the node reported, by name.
    pub counts: BTreeMap<String, u64>,
}

impl<E> Default for Ran<E> {
    fn default() -> Self {
        Self { ports: BTreeMap::new(), failed: Vec::new(), dropped: BTreeMap::new(), held: 0, counts: BTreeMap::new() }
    }
}

impl<E> Ran<E> {
    /// Converts the events of an outcome of `rows` input rows, each batch by `events`.
    ///
    /// # Errors
    ///
    /// The number of output rows does not match the input, or the events of a batch could not be converted.
    pub fn converted(
        ports: &[String],
        outcome: Outcome,
        rows: usize,
        events: impl Fn(&Batch) -> Result<Vec<E>, String>,
    ) -> Result<Self, String> {
        let mut ran = Self { held: outcome.held, ..Self::default() };
        // The events that combined rows became are among those emitted.
        let mut seen = outcome.parents + outcome.held;
        for (port, batch) in &outcome.emitted {
            let name = ports.get(*port).cloned().unwrap_or_default();
            seen += batch.rows();
            ran.ports.entry(name).or_default().extend(events(batch)?);
        }
        for (port, batch) in &outcome.made {
            ran.ports.entry(ports.get(*port).cloned().unwrap_or_default()).or_default().extend(events(batch)?);
        }
        for (port, mut children) in outcome.children {
            let name = ports.get(port).cloned().unwrap_or_default();
            let all = ran.ports.entry(name).or_default();
            // Small pieces, so that every test of a split covers more than one.
            while let Some(piece) = children.next_batch(64) {
                all.extend(events(&piece)?);
            }
        }
        if let Some(batch) = &outcome.failed {
            ran.failed = events(batch)?;
            seen += batch.rows();
        }
        for (code, count) in outcome.dropped {
            seen += count;
            *ran.dropped.entry(code).or_default() += count;
        }
        for (name, count) in outcome.counts {
            *ran.counts.entry(name).or_default() += count;
        }
        if seen != rows + outcome.copied + outcome.combined {
            return Err(format!("{rows} input rows, {} copies, {seen} output rows", outcome.copied));
        }
        Ok(ran)
    }
}

impl Ran {
    /// Converts the events of an outcome of `rows` input rows.
    ///
    /// # Errors
    ///
    /// The number of output rows does not match the input, or an event is not JSON that this program can keep: numbers up
    /// to 1.8e308, and at most 128 levels.
    pub fn of(ports: &[String], outcome: Outcome, rows: usize) -> Result<Self, String> {
        Self::converted(ports, outcome, rows, events)
    }

    /// Adds the output of a further batch.
    pub fn add(&mut self, other: Self) {
        for (port, events) in other.ports {
            self.ports.entry(port).or_default().extend(events);
        }
        self.failed.extend(other.failed);
        self.held += other.held;
        for (code, count) in other.dropped {
            *self.dropped.entry(code).or_default() += count;
        }
        for (name, count) in other.counts {
            *self.counts.entry(name).or_default() += count;
        }
    }

    /// Bodies of the events of a port.
    pub fn bodies(&self, port: &str) -> Vec<String> {
        let events = self.ports.get(port).map(Vec::as_slice).unwrap_or_default();
        events.iter().map(|e| e.get("body").and_then(Value::as_str).unwrap_or_default().to_owned()).collect()
    }

    /// Codes of the failed events, in order.
    pub fn codes(&self) -> Vec<String> {
        let code = |event: &Value| event.pointer("/failure/code").and_then(Value::as_str).map(str::to_owned);
        self.failed.iter().filter_map(code).collect()
    }
}

/// The events of a batch as JSON texts, as the `json` codec writes them: with all digits of numbers and at any depth.
#[must_use]
pub fn texts(batch: &Batch) -> Vec<String> {
    let text = |row| {
        let mut out = Vec::new();
        batch.write_json(row, &mut out);
        String::from_utf8_lossy(&out).into_owned()
    };
    (0..batch.rows()).map(text).collect()
}

/// The events of a batch, as the `json` codec writes them.
///
/// # Errors
///
/// A written event is not JSON.
pub fn events(batch: &Batch) -> Result<Vec<Value>, String> {
    (0..batch.rows())
        .map(|row| {
            let mut out = Vec::new();
            batch.write_json(row, &mut out);
            serde_json::from_slice(&out).map_err(|e| format!("event is not JSON: {e}"))
        })
        .collect()
}

/// Keys of an event that a node gets: those that [`events`] writes.
fn input_keys() -> impl Iterator<Item = &'static str> {
    EVENT_KEYS.into_iter().filter(|key| *key != "body_json")
}

/// Creates a batch from events as [`events`] writes them. `failure` is ignored: a failed event is offered
/// like any other.
///
/// # Errors
///
/// An event is invalid, events have different kinds or resources, or all together are too large.
pub fn batch(events: &[Value]) -> Result<Batch, String> {
    let bodies = events.iter().enumerate().map(|(index, event)| body(event).map_err(|problem| at(index, &problem)));
    let bodies = Column::from_rows(bodies.collect::<Result<Vec<_>, _>>()?).map_err(|e| e.to_string())?;
    let of_all = |key: &str| {
        let values: Vec<Option<&Value>> = events.iter().map(|event| event.get(key)).collect();
        let other = values.windows(2).position(|pair| matches!(pair, [one, two] if one != two));
        match other {
            Some(index) => Err(at(index + 1, &format!("`{key}` differs from that of the event before"))),
            None => Ok(values.first().copied().flatten()),
        }
    };
    let resource = match of_all("resource")? {
        None => r#"{"source":{"name":"test"}}"#.to_owned(),
        Some(resource) if resource.is_object() => resource.to_string(),
        Some(_) => return Err("`resource` is not an object".to_owned()),
    };
    let kind = match of_all("kind")? {
        None => EventKind::Log,
        Some(kind) => kind
            .as_str()
            .and_then(EventKind::of_name)
            .ok_or_else(|| format!("the kind {kind} is not log, metric or span"))?,
    };
    let origin = Origin { source: "test".into(), resource: resource.as_str().into(), observed: 0 };
    let mut batch = Batch::new(bodies, Arc::new(origin), Ack::none()).of_kind(kind);
    for root in ["attributes", "severity", "trace_id", "span_id", "scope"] {
        let values: Vec<String> =
            events.iter().map(|e| e.get(root).map(|value| value.to_string()).unwrap_or_default()).collect();
        set(&mut batch, root, &values)?;
    }
    let times = events.iter().enumerate().map(|(index, event)| time(event).map_err(|problem| at(index, &problem)));
    let times = times.collect::<Result<Vec<Option<i64>>, _>>()?;
    if times.iter().any(Option::is_some) {
        batch.set_timestamps(&times.iter().map(|time| time.unwrap_or(i64::MIN)).collect::<Vec<_>>());
    }
    Ok(batch)
}

/// Sets a root of the rows that have a value, as JSON.
fn set(batch: &mut Batch, root: &str, values: &[String]) -> Result<(), String> {
    let kinds: Vec<u8> = values.iter().map(|value| u8::from(!value.is_empty())).collect();
    if !kinds.contains(&1) {
        return Ok(());
    }
    let path = FieldPath::parse(root).map_err(|e| e.to_string())?;
    let column = Column::from_rows(values).map_err(|e| e.to_string())?;
    let failed = batch.set(&path, Form::Json, &column, &kinds).map_err(|e| e.to_string())?;
    failed.first().map_or(Ok(()), |failed| Err(at(failed.row as usize, &failed.problem.message(&path))))
}

/// Creates a batch of one event from its text. The attributes, and a body that is not a string, stay byte for byte.
/// `received` is the time of an event without `timestamp`.
///
/// # Errors
///
/// The text is not JSON, or not an event as [`batch`] takes it.
pub fn batch_of_text(text: &str, received: &str) -> Result<Batch, String> {
    let bytes = text.as_bytes();
    let kind = wattle_json::check(bytes, MAX_DEPTH).map_err(|error| error.to_string())?;
    if kind != wattle_json::Kind::Object {
        return Err("the value is not an object".to_owned());
    }
    let start = wattle_json::white(bytes, 0);
    let whole = wattle_json::Value { start, end: start + text.trim().len(), kind };
    let mut raw = Vec::new();
    let walked = wattle_json::members(bytes, whole, |key, value| {
        let part = |value: wattle_json::Value| text.get(value.start..value.end).unwrap_or_default().to_owned();
        raw.push((part(key), value.kind, part(value)));
    });
    walked.map_err(|error| error.to_string())?;
    let mut event = Map::new();
    let mut attributes = String::new();
    for (key, kind, value) in raw {
        let key: String = serde_json::from_str(&key).map_err(|error| error.to_string())?;
        let value = match (key.as_str(), kind) {
            ("attributes", wattle_json::Kind::Object) => {
                attributes = value;
                continue;
            }
            ("body", kind) if kind != wattle_json::Kind::String => Value::String(value),
            _ => serde_json::from_str(&value).map_err(|error| format!("`{key}`: {error}"))?,
        };
        event.insert(key, value);
    }
    event.entry("timestamp").or_insert_with(|| received.into());
    let event = Value::Object(event);
    let one = |problem: String| problem.strip_prefix("event 1: ").map(str::to_owned).unwrap_or(problem);
    let mut batch = batch(std::slice::from_ref(&event)).map_err(one)?;
    set(&mut batch, "attributes", &[attributes]).map_err(one)?;
    Ok(batch)
}

fn at(index: usize, problem: &str) -> String {
    format!("event {}: {problem}", index + 1)
}

/// The body of an event, after a check of its keys.
fn body(event: &Value) -> Result<Vec<u8>, String> {
    let keys = event.as_object().into_iter().flat_map(|event| event.keys());
    if let Some(unknown) = keys.into_iter().find(|key| !input_keys().any(|known| known == *key)) {
        return Err(format!("unknown key `{unknown}`; an event has {}", input_keys().collect::<Vec<_>>().join(", ")));
    }
    if event.get("attributes").is_some_and(|attributes| !attributes.is_object() && !attributes.is_null()) {
        return Err("`attributes` is not an object".to_owned());
    }
    match (event.get("body"), event.get("body_base64")) {
        (Some(_), Some(_)) => Err("`body` and `body_base64` exclude each other".to_owned()),
        (Some(Value::String(text)), None) => Ok(text.clone().into_bytes()),
        (Some(other), None) => Ok(other.to_string().into_bytes()),
        (None, Some(encoded)) => {
            let encoded = encoded.as_str().ok_or("`body_base64` is not a string")?;
            STANDARD.decode(encoded).map_err(|error| format!("`body_base64` is not base64: {error}"))
        }
        (None, None) => Ok(Vec::new()),
    }
}

fn time(event: &Value) -> Result<Option<i64>, String> {
    let Some(time) = event.get("timestamp") else { return Ok(None) };
    let parsed = time.as_str().and_then(parse_rfc3339);
    parsed.map(Some).ok_or_else(|| format!("the timestamp {time} is not RFC 3339, such as \"2026-01-31T23:59:59Z\""))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn events_that_were_written_are_read_back() {
        let all = [
            json!({"timestamp": "2026-01-31T23:59:59Z", "kind": "metric", "severity": {"number": 9, "text": "INFO"},
                   "body": "text", "attributes": {"a": 1}, "resource": {"host": "h"}}),
            json!({"timestamp": "2026-01-31T23:59:59Z", "kind": "metric", "body_base64": "/w==", "resource": {"host": "h"}}),
        ];
        assert_eq!(events(&batch(&all).unwrap()).unwrap(), all);
    }

    #[test]
    fn what_a_node_would_not_get_is_an_error() {
        for (event, problem) in [
            (json!({"body": "x", "timestamp": "yesterday"}), "event 2: the timestamp \"yesterday\" is not RFC 3339"),
            (json!({"body": "x", "timestamp": 7}), "event 2: the timestamp 7 is not RFC 3339"),
            (json!({"message": "x"}), "event 2: unknown key `message`; an event has timestamp, kind"),
            (json!({"body": "x", "body_base64": "eA=="}), "event 2: `body` and `body_base64` exclude each other"),
            (json!({"body_base64": "?"}), "event 2: `body_base64` is not base64"),
            (json!({"body": "x", "attributes": [1]}), "event 2: `attributes` is not an object"),
            (json!({"body": "x", "kind": "log"}), "event 2: `kind` differs from that of the event before"),
        ] {
            let error = batch(&[json!({"body": "good"}), event.clone()]).unwrap_err();
            assert!(error.starts_with(problem), "{event}: {error}");
        }
        assert_eq!(batch(&[json!({"kind": "trace"})]).unwrap_err(), "the kind \"trace\" is not log, metric or span");
    }
}
