//! Drops events whose field contains a text.

use wattle_node::event::{Action, Event, EventField, EventNode, Fields};
use wattle_node::{Batch, Field, Form, Node, Setup};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Options {
    field: String,
    contains: String,
}

const NAME: &str = "drop-if";
const VERSION: &str = "1.0.0";
const SUMMARY: &str = "Drops events whose field holds a text.";
const SCHEMA: &str = r#"{"type":"object","required":["field","contains"],"additionalProperties":false,
"properties":{"field":{"type":"string"},"contains":{"type":"string"}}}"#;

/// One event at a time.
pub(crate) struct Events {
    field: EventField,
    contains: String,
}

impl EventNode for Events {
    const NAME: &'static str = NAME;
    const VERSION: &'static str = VERSION;
    const SUMMARY: &'static str = SUMMARY;
    const OPTIONS_SCHEMA: &'static str = SCHEMA;
    type Options = Options;

    fn configure(options: Options, setup: &mut Setup<'_>, fields: &mut Fields) -> Option<Self> {
        Some(Self { field: fields.read(setup, "field", &options.field)?, contains: options.contains })
    }

    fn event(&mut self, event: &mut Event<'_>) -> Action {
        match event.get(self.field) {
            Some(text) if text.contains(&self.contains) => Action::Drop("matched"),
            _ => Action::Keep,
        }
    }
}

/// Columns.
pub(crate) struct Columns {
    field: Field,
    contains: String,
}

impl Node for Columns {
    const NAME: &'static str = NAME;
    const VERSION: &'static str = VERSION;
    const SUMMARY: &'static str = SUMMARY;
    const OPTIONS_SCHEMA: &'static str = SCHEMA;
    type Options = Options;

    fn configure(options: Options, setup: &mut Setup<'_>) -> Option<Self> {
        Some(Self { field: setup.read("field", &options.field)?, contains: options.contains })
    }

    fn process(&mut self, batch: &mut Batch<'_>) -> Result<(), String> {
        let column = batch.read(self.field, Form::Text);
        let holds =
            |row: usize| column.get(row).is_some_and(|text| String::from_utf8_lossy(text).contains(&self.contains));
        let matched: Vec<u32> = (0_u32..).zip(0..column.len()).filter(|&(_, row)| holds(row)).map(|(i, _)| i).collect();
        batch.drop_rows(&matched, "matched");
        Ok(())
    }
}
