//! The cost of the usual plugin interface: one event per call, as a JSON text that is parsed,
//! changed and serialized.
//!
//! The benchmark replaces every node of the CloudTrail pack by this guest. An event is `{"body":
//! {"Record": ...}, "attributes": ...}`; before the unrolling it is the document itself.

use serde_json::{Map, Value};
use wattle_node::{Batch, ColumnWriter, Field, Form, Node, Setup, export_node};

/// The node of the pack that the guest replaces.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Does nothing: measures the cost of a call.
    Nothing,
    /// Reads the bodies of the whole batch and ignores them.
    Read,
    /// Replaces the values of keys at any depth.
    Mask(Vec<String>),
    /// Splits a document into its records.
    Unroll,
    /// Copies the body to the attributes.
    Parse,
    /// Copies the name and the time of the record to their fields.
    Extract,
    /// Routes events whose name starts with one of these to a separate port.
    Route(Vec<String>),
}

/// Options of the guest.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    step: Step,
}

/// The guest.
pub struct JsonPerEvent {
    step: Step,
    body: Field,
}

impl Node for JsonPerEvent {
    const NAME: &'static str = "json-per-event";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "Does what a node of the CloudTrail pack does, an event and a JSON text at a time.";
    const OPTIONS_SCHEMA: &'static str = r#"{"type":"object"}"#;
    type Options = Options;

    fn configure(options: Options, setup: &mut Setup<'_>) -> Option<Self> {
        if matches!(options.step, Step::Route(_)) {
            setup.ports(vec!["not_important_event".into(), "unmatched".into()]);
        }
        Some(Self { body: setup.read_write("body", "body")?, step: options.step })
    }

    fn process(&mut self, batch: &mut Batch<'_>) -> Result<(), String> {
        if self.step == Step::Nothing {
            return Ok(());
        }
        let column = batch.read(self.body, Form::Text);
        if self.step == Step::Read {
            return Ok(());
        }
        let mut rows = column.rows();
        let (Some(text), None) = (rows.next(), rows.next()) else { return Err("takes one event a call".into()) };
        let mut event: Value = serde_json::from_slice(text).map_err(|e| e.to_string())?;
        match &self.step {
            Step::Nothing | Step::Read => {}
            Step::Mask(keys) => mask(&mut event, keys),
            Step::Unroll => return self.unroll(event, batch),
            Step::Parse => {
                let body = event.get("body").cloned().unwrap_or_default();
                set(&mut event, "attributes", body);
            }
            Step::Extract => extract(&mut event),
            Step::Route(starts) => {
                let name = event.pointer("/attributes/eventName").and_then(Value::as_str).unwrap_or_default();
                batch.route(&[u8::from(!starts.iter().any(|start| name.starts_with(start.as_str())))]);
            }
        }
        let text = serde_json::to_vec(&event).map_err(|e| e.to_string())?;
        batch.set(self.body, Form::Text, ColumnWriter::of(&text));
        Ok(())
    }
}

impl JsonPerEvent {
    fn unroll(&self, mut document: Value, batch: &mut Batch<'_>) -> Result<(), String> {
        let Some(Value::Array(records)) = document.get_mut("Records").map(Value::take) else {
            return Err("no Records".into());
        };
        let mut bodies = ColumnWriter::with_capacity(0, records.len());
        for record in records {
            let event = serde_json::json!({ "body": { "Record": record } });
            serde_json::to_writer(&mut bodies.bytes, &event).map_err(|e| e.to_string())?;
            bodies.end_row();
        }
        batch.split_into(&vec![0; bodies.len()], bodies);
        Ok(())
    }
}

fn set(event: &mut Value, key: &str, value: Value) {
    if let Some(event) = event.as_object_mut() {
        event.insert(key.into(), value);
    }
}

fn extract(event: &mut Value) {
    let field = |name: &str| event.pointer("/attributes/Record").and_then(|record| record.get(name)).cloned();
    let (name, time) = (field("eventName"), field("eventTime"));
    if let Some(attributes) = event.get_mut("attributes") {
        set(attributes, "eventName", name.unwrap_or_default());
    }
    set(event, "timestamp", time.unwrap_or_default());
}

/// Masks like a plugin: the values of these keys anywhere in the tree. Keys inside escaped JSON,
/// which the node `mask` finds, stay.
fn mask(value: &mut Value, keys: &[String]) {
    match value {
        Value::Object(members) => mask_members(members, keys),
        Value::Array(items) => items.iter_mut().for_each(|item| mask(item, keys)),
        _ => {}
    }
}

fn mask_members(members: &mut Map<String, Value>, keys: &[String]) {
    for (key, value) in members {
        if value.is_string() && keys.contains(key) {
            *value = "*******************".into();
        } else {
            mask(value, keys);
        }
    }
}

export_node!(JsonPerEvent);
