//! Converts events of a case to a batch, and the output of a node back to events.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use wattle_batch::{Ack, Batch, Column, FieldPath, Form, Origin, Outcome, parse_rfc3339};

/// Output of a node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ran {
    /// Events by port, as the `json` codec writes them.
    pub ports: BTreeMap<String, Vec<Value>>,
    /// Failed events, with `failure`.
    pub failed: Vec<Value>,
    /// Rows dropped on purpose, by code.
    pub dropped: BTreeMap<String, usize>,
    /// Rows that ended in the memory of the node.
    pub held: usize,
    /// Counts that the node reported, by name.
    pub counts: BTreeMap<String, u64>,
}

impl Ran {
    /// Converts the events of an outcome of `rows` input rows.
    ///
    /// # Errors
    ///
    /// The number of output rows does not match the input, or an event is not JSON.
    pub fn of(ports: &[String], outcome: Outcome, rows: usize) -> Result<Self, String> {
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

/// Creates a batch from the events of a case file.
///
/// # Errors
///
/// An event is invalid: its attributes are not an object, or all events together are too large.
pub fn batch(events: &[Value]) -> Result<Batch, String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let bodies = events.iter().map(|e| e.get("body").map(text).unwrap_or_default());
    let origin = Origin { source: "test".into(), resource: r#"{"source":{"name":"test"}}"#.into(), observed: 0 };
    let bodies = Column::from_rows(bodies).map_err(|e| e.to_string())?;
    let mut batch = Batch::new(bodies, Arc::new(origin), Ack::none());
    for root in ["attributes", "severity", "trace_id", "span_id", "scope"] {
        let values: Vec<String> =
            events.iter().map(|e| e.get(root).map(|value| value.to_string()).unwrap_or_default()).collect();
        let kinds: Vec<u8> = values.iter().map(|value| u8::from(!value.is_empty())).collect();
        if kinds.contains(&1) {
            let path = FieldPath::parse(root).map_err(|e| e.to_string())?;
            let column = Column::from_rows(&values).map_err(|e| e.to_string())?;
            let failed = batch.set(&path, Form::Json, &column, &kinds).map_err(|e| e.to_string())?;
            if let Some(failed) = failed.first() {
                return Err(format!("event {}: {}", failed.row + 1, failed.problem));
            }
        }
    }
    let time = |event: &Value| event.get("timestamp").and_then(Value::as_str).and_then(parse_rfc3339);
    if events.iter().any(|e| time(e).is_some()) {
        batch.set_timestamps(&events.iter().map(|e| time(e).unwrap_or(i64::MIN)).collect::<Vec<_>>());
    }
    Ok(batch)
}
