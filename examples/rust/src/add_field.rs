//! Sets a field to a prefix and the text of another field, for events that have it.

use wattle_node::event::{Action, Event, EventField, EventNode, Fields};
use wattle_node::{Batch, ColumnWriter, Field, Form, Node, Setup};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Options {
    from: String,
    to: String,
    prefix: String,
}

const NAME: &str = "add-field";
const VERSION: &str = "1.0.0";
const SUMMARY: &str = "Sets a field to a prefix and the text of another.";
const SCHEMA: &str = r#"{"type":"object","required":["from","to","prefix"],"additionalProperties":false,
"properties":{"from":{"type":"string"},"to":{"type":"string"},"prefix":{"type":"string"}}}"#;

/// One event at a time.
pub(crate) struct Events {
    from: EventField,
    to: EventField,
    prefix: String,
}

impl EventNode for Events {
    const NAME: &'static str = NAME;
    const VERSION: &'static str = VERSION;
    const SUMMARY: &'static str = SUMMARY;
    const OPTIONS_SCHEMA: &'static str = SCHEMA;
    type Options = Options;

    fn configure(options: Options, setup: &mut Setup<'_>, fields: &mut Fields) -> Option<Self> {
        let from = fields.read(setup, "from", &options.from);
        let to = fields.write(setup, "to", &options.to);
        Some(Self { from: from?, to: to?, prefix: options.prefix })
    }

    fn event(&mut self, event: &mut Event<'_>) -> Action {
        if let Some(text) = event.get(self.from) {
            let value = format!("{}{text}", self.prefix);
            event.set(self.to, &value);
        }
        Action::Keep
    }
}

/// Columns.
pub(crate) struct Columns {
    from: Field,
    to: Field,
    prefix: String,
}

impl Node for Columns {
    const NAME: &'static str = NAME;
    const VERSION: &'static str = VERSION;
    const SUMMARY: &'static str = SUMMARY;
    const OPTIONS_SCHEMA: &'static str = SCHEMA;
    type Options = Options;

    fn configure(options: Options, setup: &mut Setup<'_>) -> Option<Self> {
        let from = setup.read("from", &options.from);
        let to = setup.write("to", &options.to);
        Some(Self { from: from?, to: to?, prefix: options.prefix })
    }

    fn process(&mut self, batch: &mut Batch<'_>) -> Result<(), String> {
        let from = batch.read(self.from, Form::Text);
        let mut values = ColumnWriter::with_capacity(from.bytes.len() + self.prefix.len() * from.len(), from.len());
        for row in 0..from.len() {
            match from.get(row) {
                Some(text) => {
                    // The bytes of an event may not be UTF-8; a value that the node sets must be.
                    values.bytes.extend_from_slice(self.prefix.as_bytes());
                    values.bytes.extend_from_slice(String::from_utf8_lossy(text).as_bytes());
                    values.end_row();
                }
                None => values.push_none(),
            }
        }
        batch.set(self.to, Form::Text, values);
        Ok(())
    }
}
