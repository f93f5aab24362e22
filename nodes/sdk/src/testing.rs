//! Runs a node over events natively: in unit tests, and from case files.
//!
//! A case file is JSON: `{"options": {…}, "input": [event, …], "expected": {"<port>": [event, …], "failed": […],
//! "dropped": {"<code>": 2}}}`. An input event has `body` (a string, or any other JSON value, which becomes its compact
//! text) and may have `attributes` and `timestamp`. An expected event has the keys that are to be compared, in the shape
//! of the `json` codec (`body`, `attributes`, `timestamp`, `failure`); `body` that is no string is compared as JSON.
//! `"options_errors": ["rules[0].pattern: part of the message"]` in place of input and expected checks a refusal.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value};
use wattle_batch::{Ack, Batch, Column, FieldPath, Form, Origin, Outcome, parse_rfc3339};

use crate::native::{CallError, Native};
use crate::node::{Node, OptionError};

/// What came out of a node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ran {
    /// Events by port, as the `json` codec writes them.
    pub ports: BTreeMap<String, Vec<Value>>,
    /// Failed events, with `failure`.
    pub failed: Vec<Value>,
    /// Rows dropped on purpose, by code.
    pub dropped: BTreeMap<String, usize>,
}

impl Ran {
    /// Bodies that left on a port.
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

/// Configures a node with options and runs it over one batch of events.
///
/// # Errors
///
/// What is wrong with the options, with the events, or with the node's answer.
pub fn run<N: Node>(options: &Value, events: &[Value]) -> Result<Ran, String> {
    let mut node = Native::<N>::configure("node", &options.to_string()).map_err(|e| format!("options: {e:?}"))?;
    let rows = events.len();
    let outcome = node.process(batch(events)?).map_err(|e| match e.1 {
        CallError::Invalid(error) => format!("invalid decision: {error}"),
        CallError::Node(error) => format!("node error: {error}"),
    })?;
    collect(&node.info().ports, outcome, rows)
}

/// Runs a node over bodies only.
///
/// # Errors
///
/// As [`run`].
pub fn run_bodies<N: Node>(options: &Value, bodies: &[&str]) -> Result<Ran, String> {
    let events: Vec<Value> = bodies.iter().map(|b| serde_json::json!({ "body": b })).collect();
    run::<N>(options, &events)
}

/// What a node says about options that it must refuse.
pub fn option_errors<N: Node>(options: &Value) -> Vec<OptionError> {
    Native::<N>::configure("node", &options.to_string()).err().unwrap_or_default()
}

/// Compares the committed schema of a node's options with the one that their type gives. `UPDATE_EXPECT=1` in the
/// environment rewrites the file.
///
/// # Errors
///
/// The file differs, or cannot be read or written.
pub fn check_schema<O: schemars::JsonSchema>(path: &Path) -> Result<(), String> {
    let schema = serde_json::to_string_pretty(&schemars::schema_for!(O)).map_err(|e| e.to_string())? + "\n";
    let shown = |e: std::io::Error| format!("{}: {e}", path.display());
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(path, &schema).map_err(shown)?;
    }
    if std::fs::read_to_string(path).map_err(shown)? == schema {
        Ok(())
    } else {
        Err(format!("{} is out of date; run the test with UPDATE_EXPECT=1", path.display()))
    }
}

/// Checks that a node refuses options with exactly these errors, in order: the path of each, and a part of its message.
///
/// # Errors
///
/// What it said instead.
pub fn check_refusal<N: Node>(options: &Value, expected: &[(&str, &str)]) -> Result<(), String> {
    let errors = option_errors::<N>(options);
    let meets =
        |(error, (path, part)): (&OptionError, &(&str, &str))| error.path == *path && error.message.contains(part);
    if errors.len() == expected.len() && errors.iter().zip(expected).all(meets) {
        Ok(())
    } else {
        Err(format!("{options}: {errors:?}"))
    }
}

fn batch(events: &[Value]) -> Result<Batch, String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let bodies = events.iter().map(|e| e.get("body").map(text).unwrap_or_default());
    let origin = Origin { source: "test".into(), resource: r#"{"source":{"name":"test"}}"#.into(), observed: 0 };
    let bodies = Column::from_rows(bodies).map_err(|e| e.to_string())?;
    let mut batch = Batch::new(bodies, Arc::new(origin), Ack::none());
    let attributes: Vec<String> = events.iter().map(|e| e.get("attributes").map(text).unwrap_or_default()).collect();
    let kinds: Vec<u8> = attributes.iter().map(|a| u8::from(!a.is_empty())).collect();
    if kinds.contains(&1) {
        let path = FieldPath::parse("attributes").map_err(|e| e.to_string())?;
        let column = Column::from_rows(&attributes).map_err(|e| e.to_string())?;
        batch.set(&path, Form::Json, &column, &kinds).map_err(|e| e.to_string())?;
    }
    let time = |event: &Value| event.get("timestamp").and_then(Value::as_str).and_then(parse_rfc3339);
    if events.iter().any(|e| time(e).is_some()) {
        batch.set_timestamps(&events.iter().map(|e| time(e).unwrap_or(i64::MIN)).collect::<Vec<_>>());
    }
    Ok(batch)
}

fn collect(ports: &[String], outcome: Outcome, rows: usize) -> Result<Ran, String> {
    fn events(batch: &Batch) -> Result<Vec<Value>, String> {
        (0..batch.rows())
            .map(|row| {
                let mut out = Vec::new();
                batch.write_json(row, &mut out);
                serde_json::from_slice(&out).map_err(|e| format!("event is not JSON: {e}"))
            })
            .collect()
    }
    let mut ran = Ran::default();
    let mut seen = outcome.parents;
    for (port, batch) in &outcome.emitted {
        let name = ports.get(*port).cloned().unwrap_or_default();
        seen += batch.rows();
        ran.ports.entry(name).or_default().extend(events(batch)?);
    }
    if let Some(mut children) = outcome.children {
        let name = ports.first().cloned().unwrap_or_default();
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
    if seen != rows + outcome.copied {
        return Err(format!("{rows} rows went in, {} copies were made, {seen} came out", outcome.copied));
    }
    Ok(ran)
}

/// Runs every `*.json` case file of a folder.
///
/// # Errors
///
/// Every difference, or that there is no case.
pub fn run_cases<N: Node>(folder: &Path) -> Result<(), String> {
    let mut problems = Vec::new();
    let mut count = 0;
    let entries = std::fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut paths: Vec<_> = entries.filter_map(|e| Some(e.ok()?.path())).collect();
    paths.retain(|p| p.extension().is_some_and(|e| e == "json"));
    paths.sort();
    for path in paths {
        count += 1;
        if let Err(problem) = run_case::<N>(&path) {
            problems.push(format!("{}: {problem}", path.display()));
        }
    }
    match (count, problems.is_empty()) {
        (0, _) => Err(format!("no case in {}", folder.display())),
        (_, true) => Ok(()),
        _ => Err(problems.join("\n")),
    }
}

fn run_case<N: Node>(path: &Path) -> Result<(), String> {
    let text = std::fs::read_to_string(path).map_err(|e| e.to_string())?;
    let case: Map<String, Value> = serde_json::from_str(&text).map_err(|e| e.to_string())?;
    let options = case.get("options").cloned().unwrap_or(Value::Object(Map::new()));
    if let Some(wanted) = case.get("options_errors").and_then(Value::as_array) {
        let got: Vec<String> =
            option_errors::<N>(&options).iter().map(|e| format!("{}: {}", e.path, e.message)).collect();
        let all_found = wanted.iter().filter_map(Value::as_str).all(|w| {
            let (path, part) = w.split_once(": ").unwrap_or((w, ""));
            got.iter().any(|g| g.starts_with(&format!("{path}: ")) && g.contains(part))
        });
        return if all_found && got.len() == wanted.len() { Ok(()) } else { Err(format!("option errors: {got:?}")) };
    }
    let input = case.get("input").and_then(Value::as_array).ok_or("`input` is missing")?;
    let expected = case.get("expected").and_then(Value::as_object).ok_or("`expected` is missing")?;
    let ran = run::<N>(&options, input)?;
    let empty = Vec::new();
    let names: std::collections::BTreeSet<&str> = expected
        .keys()
        .map(String::as_str)
        .chain(ran.ports.iter().filter(|(_, e)| !e.is_empty()).map(|(p, _)| p.as_str()))
        .chain((!ran.failed.is_empty()).then_some("failed"))
        .filter(|n| *n != "dropped")
        .collect();
    for name in names {
        let actual = if name == "failed" { &ran.failed } else { ran.ports.get(name).unwrap_or(&empty) };
        let wanted = expected.get(name).and_then(Value::as_array).unwrap_or(&empty);
        if wanted.len() != actual.len() {
            return Err(format!("port `{name}`: expected {} events, got {}: {actual:?}", wanted.len(), actual.len()));
        }
        for (index, (wanted, actual)) in wanted.iter().zip(actual).enumerate() {
            compare(wanted, actual).map_err(|e| format!("port `{name}`, event {index}: {e}"))?;
        }
    }
    let dropped = serde_json::to_value(&ran.dropped).map_err(|e| e.to_string())?;
    let wanted = expected.get("dropped").cloned().unwrap_or(Value::Object(Map::new()));
    if dropped != wanted { Err(format!("dropped: expected {wanted}, got {dropped}")) } else { Ok(()) }
}

/// Compares the keys that `wanted` has.
fn compare(wanted: &Value, actual: &Value) -> Result<(), String> {
    for (key, value) in wanted.as_object().into_iter().flatten() {
        let mut got = actual.get(key).cloned().unwrap_or(Value::Null);
        if key == "body" && !value.is_string() {
            got = got.as_str().and_then(|s| serde_json::from_str(s).ok()).unwrap_or(got);
        }
        if key == "failure" && value.is_object() {
            compare(value, &got)?;
        } else if got != *value {
            return Err(format!("`{key}`: expected {value}, got {got}"));
        }
    }
    Ok(())
}
