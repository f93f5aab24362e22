//! Fails events that lack a field.

use wattle_node::event::{Action, Event, EventField, EventNode, Fields};
use wattle_node::{Batch, Field, Form, Node, Reasons, Setup};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Options {
    field: String,
}

const NAME: &str = "require";
const VERSION: &str = "1.0.0";
const SUMMARY: &str = "Fails events that lack a field, or have it empty.";
const SCHEMA: &str = r#"{"type":"object","required":["field"],"additionalProperties":false,
"properties":{"field":{"type":"string"}}}"#;

/// One event at a time.
pub(crate) struct Events {
    field: EventField,
    path: String,
}

impl EventNode for Events {
    const NAME: &'static str = NAME;
    const VERSION: &'static str = VERSION;
    const SUMMARY: &'static str = SUMMARY;
    const OPTIONS_SCHEMA: &'static str = SCHEMA;
    type Options = Options;

    fn configure(options: Options, setup: &mut Setup<'_>, fields: &mut Fields) -> Option<Self> {
        Some(Self { field: fields.read(setup, "field", &options.field)?, path: options.field })
    }

    fn event(&mut self, event: &mut Event<'_>) -> Action {
        match event.bytes(self.field) {
            None => Action::Fail { code: "missing", message: format!("the field `{}` is missing", self.path) },
            Some(b"") => Action::Fail { code: "empty", message: format!("the field `{}` is empty", self.path) },
            Some(_) => Action::Keep,
        }
    }
}

/// Columns.
pub(crate) struct Columns {
    field: Field,
    missing: String,
    empty: String,
}

impl Node for Columns {
    const NAME: &'static str = NAME;
    const VERSION: &'static str = VERSION;
    const SUMMARY: &'static str = SUMMARY;
    const OPTIONS_SCHEMA: &'static str = SCHEMA;
    type Options = Options;

    fn configure(options: Options, setup: &mut Setup<'_>) -> Option<Self> {
        Some(Self {
            field: setup.read("field", &options.field)?,
            missing: format!("the field `{}` is missing", options.field),
            empty: format!("the field `{}` is empty", options.field),
        })
    }

    fn process(&mut self, batch: &mut Batch<'_>) -> Result<(), String> {
        let column = batch.read(self.field, Form::Text);
        let mut reasons = Reasons::default();
        for row in 0..column.len() {
            match column.get(row) {
                None => reasons.add(row, "missing", &self.missing),
                Some(b"") => reasons.add(row, "empty", &self.empty),
                Some(_) => {}
            }
        }
        batch.fail(&reasons);
        Ok(())
    }
}
