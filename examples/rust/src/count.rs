//! Numbers events: a stateful node, which continues counting in the next instance.

use wattle_node::event::{Action, Event, EventField, EventNode, Fields, StatefulEventNode};
use wattle_node::{Batch, ColumnWriter, Field, Form, Node, Setup, Snapshot, Stateful};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Options {
    to: String,
}

const NAME: &str = "count";
const VERSION: &str = "1.0.0";
const SUMMARY: &str = "Sets a field to the number of the event, counted from 1.";
const SCHEMA: &str = r#"{"type":"object","required":["to"],"additionalProperties":false,
"properties":{"to":{"type":"string"}}}"#;

/// Version of the state: the number of events, in decimal.
const STATE_VERSION: u32 = 1;

/// The sum of all saved counts.
fn restored(snapshots: Vec<Snapshot>) -> Result<u64, String> {
    let mut count = 0_u64;
    for Snapshot { version, bytes } in snapshots {
        if version != STATE_VERSION {
            return Err(format!("state of version {version} is not of version {STATE_VERSION}"));
        }
        let text = String::from_utf8(bytes).map_err(|error| error.to_string())?;
        let counted: u64 = text.parse().map_err(|error| format!("`{text}` is no count: {error}"))?;
        count = count.saturating_add(counted);
    }
    Ok(count)
}

/// One event at a time.
pub(crate) struct Events {
    to: EventField,
    count: u64,
}

impl EventNode for Events {
    const NAME: &'static str = NAME;
    const VERSION: &'static str = VERSION;
    const SUMMARY: &'static str = SUMMARY;
    const OPTIONS_SCHEMA: &'static str = SCHEMA;
    type Options = Options;

    fn configure(options: Options, setup: &mut Setup<'_>, fields: &mut Fields) -> Option<Self> {
        Some(Self { to: fields.write(setup, "to", &options.to)?, count: 0 })
    }

    fn event(&mut self, event: &mut Event<'_>) -> Action {
        self.count += 1;
        event.set(self.to, &self.count.to_string());
        Action::Keep
    }
}

impl StatefulEventNode for Events {
    const STATE_VERSION: u32 = STATE_VERSION;

    fn save(&self) -> Vec<u8> {
        self.count.to_string().into_bytes()
    }

    fn restore(&mut self, snapshots: Vec<Snapshot>) -> Result<(), String> {
        self.count = restored(snapshots)?;
        Ok(())
    }
}

/// Columns.
pub(crate) struct Columns {
    to: Field,
    count: u64,
}

impl Node for Columns {
    const NAME: &'static str = NAME;
    const VERSION: &'static str = VERSION;
    const SUMMARY: &'static str = SUMMARY;
    const OPTIONS_SCHEMA: &'static str = SCHEMA;
    type Options = Options;

    fn configure(options: Options, setup: &mut Setup<'_>) -> Option<Self> {
        Some(Self { to: setup.write("to", &options.to)?, count: 0 })
    }

    fn process(&mut self, batch: &mut Batch<'_>) -> Result<(), String> {
        let mut values = ColumnWriter::with_capacity(8 * batch.len(), batch.len());
        for _ in 0..batch.len() {
            self.count += 1;
            values.push(self.count.to_string().as_bytes());
        }
        batch.set(self.to, Form::Text, values);
        Ok(())
    }
}

impl Stateful for Columns {
    const STATE_VERSION: u32 = STATE_VERSION;

    fn save(&self) -> Vec<u8> {
        self.count.to_string().into_bytes()
    }

    fn restore(&mut self, snapshots: Vec<Snapshot>) -> Result<(), String> {
        self.count = restored(snapshots)?;
        Ok(())
    }
}
