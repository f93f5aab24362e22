//! A node that works on one event at a time: simple to write, and based on the same columns.
//!
//! [`EventNode::configure`] names the fields once. The adapter collects the values that the node
//! sets into columns, which cross the sandbox boundary once per batch.

use std::borrow::Cow;

use crate::batch::{Batch, Field, Form, Reasons};
use crate::column::{Column, ColumnWriter};
use crate::json::Kind;
use crate::node::{Node, Setup, Snapshot, Stateful, Timed};
use crate::tick::{Events, Tick};

/// What to do with an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Sends the event to port 0.
    Keep,
    /// Sends the event to the port with this index.
    Port(u8),
    /// Drops the event on purpose. The agent counts it under this code.
    Drop(&'static str),
    /// Sends the event to the port `failed`, unchanged.
    Fail {
        /// Short, in kebab-case.
        code: &'static str,
        /// A message for the operator.
        message: String,
    },
    /// Ends the event in the memory of the node, which must be a [`StatefulEventNode`].
    Hold,
}

/// A node that works on one event at a time.
pub trait EventNode: Sized {
    /// See [`Node::NAME`].
    const NAME: &'static str;
    /// See [`Node::VERSION`].
    const VERSION: &'static str;
    /// See [`Node::SUMMARY`].
    const SUMMARY: &'static str;
    /// See [`Node::OPTIONS_SCHEMA`].
    const OPTIONS_SCHEMA: &'static str;
    /// See [`Node::MASKS`].
    const MASKS: bool = false;
    /// See [`Node::Options`].
    type Options: serde::de::DeserializeOwned;

    /// Prepares the node. Registers every field that [`event`](Self::event) reads or sets with
    /// `fields`.
    fn configure(options: Self::Options, setup: &mut Setup<'_>, fields: &mut Fields) -> Option<Self>;

    /// Decides about one event.
    fn event(&mut self, event: &mut Event<'_>) -> Action;
}

/// An event node whose state survives its instance; see [`Stateful`].
/// [`export_stateful_node!`](crate::export_stateful_node) exports it as `PerEvent<Self>`.
pub trait StatefulEventNode: EventNode {
    /// See [`Stateful::STATE_VERSION`].
    const STATE_VERSION: u32;

    /// See [`Stateful::save`].
    fn save(&self) -> Vec<u8>;

    /// See [`Stateful::restore`].
    fn restore(&mut self, snapshots: Vec<Snapshot>) -> Result<(), String>;
}

/// An event node that acts on the time; see [`Timed`]. [`export_timed_node!`](crate::export_timed_node)
/// exports it as `PerEvent<Self>`.
pub trait TimedEventNode: EventNode {
    /// See [`Timed::tick`].
    ///
    /// # Errors
    ///
    /// What went wrong.
    fn tick(&mut self, tick: &mut Tick<'_>) -> Result<(), String>;
}

/// A field of an event, from [`Fields`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventField(usize);

/// The fields that a node uses.
#[derive(Debug, Default)]
pub struct Fields {
    fields: Vec<(Field, bool, bool)>,
}

impl Fields {
    /// Registers a field to read. `option` names the option that contains the path.
    pub fn read(&mut self, setup: &mut Setup<'_>, option: &str, path: &str) -> Option<EventField> {
        let field = setup.read(option, path)?;
        self.add(field, true, false)
    }

    /// Registers a field to set.
    pub fn write(&mut self, setup: &mut Setup<'_>, option: &str, path: &str) -> Option<EventField> {
        let field = setup.write(option, path)?;
        self.add(field, false, true)
    }

    fn add(&mut self, field: Field, read: bool, write: bool) -> Option<EventField> {
        self.fields.push((field, read, write));
        Some(EventField(self.fields.len() - 1))
    }
}

/// One event of the batch.
pub struct Event<'a> {
    row: usize,
    columns: &'a [Option<Column>],
    writers: &'a mut [Option<ColumnWriter>],
    made: &'a mut Vec<(u8, Events)>,
}

impl Event<'_> {
    /// The text of a field, if the event has it: strings unescaped, other values as JSON.
    pub fn get(&self, field: EventField) -> Option<Cow<'_, str>> {
        self.bytes(field).map(String::from_utf8_lossy)
    }

    /// The same as bytes.
    pub fn bytes(&self, field: EventField) -> Option<&[u8]> {
        self.columns.get(field.0)?.as_ref()?.get(self.row)
    }

    /// What kind of value the field has.
    pub fn kind(&self, field: EventField) -> Kind {
        self.columns.get(field.0).and_then(Option::as_ref).map_or(Kind::Missing, |c| c.kind(self.row))
    }

    /// Sets a field to a string.
    pub fn set(&mut self, field: EventField, value: &str) {
        if let Some(Some(writer)) = self.writers.get_mut(field.0) {
            // Setting twice keeps the last value.
            if writer.len() > self.row {
                writer.bytes.truncate(writer.offsets.get(self.row).copied().unwrap_or(0) as usize);
                writer.offsets.truncate(self.row + 1);
                writer.kinds.truncate(self.row);
            }
            writer.push(value.as_bytes());
        }
    }

    /// Makes other events, which leave on a port.
    pub fn emit(&mut self, port: u8, events: Events) {
        self.made.push((port, events));
    }
}

/// Turns an event node into a column node.
pub struct PerEvent<N> {
    node: N,
    fields: Fields,
}

impl<N: EventNode> Node for PerEvent<N> {
    const NAME: &'static str = N::NAME;
    const VERSION: &'static str = N::VERSION;
    const SUMMARY: &'static str = N::SUMMARY;
    const OPTIONS_SCHEMA: &'static str = N::OPTIONS_SCHEMA;
    const MASKS: bool = N::MASKS;
    type Options = N::Options;

    fn configure(options: Self::Options, setup: &mut Setup<'_>) -> Option<Self> {
        let mut fields = Fields::default();
        let node = N::configure(options, setup, &mut fields)?;
        Some(Self { node, fields })
    }

    fn process(&mut self, batch: &mut Batch<'_>) -> Result<(), String> {
        let rows = batch.len();
        let fields = &self.fields.fields;
        let columns: Vec<Option<Column>> =
            fields.iter().map(|(f, read, _)| read.then(|| batch.read(*f, Form::Text))).collect();
        let mut writers: Vec<Option<ColumnWriter>> =
            fields.iter().map(|(.., write)| write.then(|| ColumnWriter::with_capacity(0, rows))).collect();
        let mut ports = vec![0; rows];
        let mut dropped: Vec<(&'static str, Vec<u32>)> = Vec::new();
        let (mut held, mut made) = (Vec::new(), Vec::new());
        let mut reasons = Reasons::default();
        for (row, port) in ports.iter_mut().enumerate() {
            match self.node.event(&mut Event { row, columns: &columns, writers: &mut writers, made: &mut made }) {
                Action::Keep => {}
                Action::Port(to) => *port = to,
                Action::Drop(code) => {
                    let row = u32::try_from(row).unwrap_or(u32::MAX);
                    match dropped.iter_mut().find(|(c, _)| *c == code) {
                        Some((_, rows)) => rows.push(row),
                        None => dropped.push((code, vec![row])),
                    }
                }
                Action::Fail { code, message } => reasons.add(row, code, &message),
                Action::Hold => held.push(u32::try_from(row).unwrap_or(u32::MAX)),
            }
            for writer in writers.iter_mut().flatten() {
                if writer.len() == row {
                    writer.push_none();
                }
            }
        }
        for ((field, ..), writer) in fields.iter().zip(writers) {
            if let Some(writer) = writer.filter(|w| w.kinds.iter().any(|&k| k != 0)) {
                batch.set(*field, Form::Text, writer);
            }
        }
        for (code, rows) in dropped {
            batch.drop_rows(&rows, code);
        }
        batch.hold(&held);
        for (port, events) in made {
            batch.emit(port, events);
        }
        batch.fail(&reasons);
        if ports.iter().any(|&p| p != 0) {
            batch.route(&ports);
        }
        Ok(())
    }
}

impl<N: StatefulEventNode> Stateful for PerEvent<N> {
    const STATE_VERSION: u32 = N::STATE_VERSION;

    fn save(&self) -> Vec<u8> {
        self.node.save()
    }

    fn restore(&mut self, snapshots: Vec<Snapshot>) -> Result<(), String> {
        self.node.restore(snapshots)
    }
}

impl<N: TimedEventNode> Timed for PerEvent<N> {
    fn tick(&mut self, tick: &mut Tick<'_>) -> Result<(), String> {
        self.node.tick(tick)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{option_errors, run};
    use serde_json::json;

    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Options {
        from: String,
    }

    /// Upper-cases a field into an attribute; drops `skip`, fails `bad`, holds `later`, and sends
    /// `loud` to another port with an event in addition.
    struct Upper {
        from: EventField,
        to: EventField,
    }

    impl EventNode for Upper {
        const NAME: &'static str = "upper";
        const VERSION: &'static str = "1.0.0";
        const SUMMARY: &'static str = "Upper-cases.";
        const OPTIONS_SCHEMA: &'static str = "{}";
        type Options = Options;

        fn configure(options: Options, setup: &mut Setup<'_>, fields: &mut Fields) -> Option<Self> {
            setup.ports(vec!["out".into(), "loud".into()]);
            let from = fields.read(setup, "from", &options.from);
            let to = fields.write(setup, "", "attributes.upper");
            Some(Self { from: from?, to: to? })
        }

        fn event(&mut self, event: &mut Event<'_>) -> Action {
            let Some(text) = event.get(self.from) else { return Action::Drop("missing") };
            let text = text.into_owned();
            match text.as_str() {
                "skip" => Action::Drop("skipped"),
                "later" => Action::Hold,
                "bad" => Action::Fail { code: "bad", message: "bad text".into() },
                _ => {
                    event.set(self.to, "first");
                    event.set(self.to, &text.to_uppercase());
                    if text != "loud" {
                        return Action::Keep;
                    }
                    let mut events = Events::default();
                    events.push(b"heard", None, None);
                    event.emit(0, events);
                    Action::Port(1)
                }
            }
        }
    }

    #[test]
    fn every_action_has_its_effect() {
        let events: Vec<_> = ["a", "skip", "bad", "loud", "later", "b"]
            .iter()
            .map(|t| json!({"body": {"t": t}}))
            .chain([json!({"body": "plain"})])
            .collect();
        let ran = run::<PerEvent<Upper>>(&json!({"from": "body.t"}), &events).unwrap();
        let uppers = |port: &str| ran.ports[port].iter().map(|e| e["attributes"]["upper"].clone()).collect::<Vec<_>>();
        assert_eq!(uppers("out"), [json!("A"), json!("B"), json!(null)]);
        assert_eq!(ran.bodies("out").last().map(String::as_str), Some("heard"));
        assert_eq!(ran.held, 1);
        assert_eq!(uppers("loud"), [json!("LOUD")]);
        assert_eq!(ran.codes(), ["bad"]);
        assert_eq!(ran.dropped.iter().collect::<Vec<_>>(), [(&"missing".to_owned(), &1), (&"skipped".to_owned(), &1)]);
    }

    #[test]
    fn wrong_options_name_the_option() {
        let errors = |options| {
            option_errors::<PerEvent<Upper>>(&options).into_iter().map(|e| (e.path, e.message)).collect::<Vec<_>>()
        };
        let unknown = errors(json!({"form": "x"}));
        assert!(unknown[0].1.contains("unknown field `form`, expected `from`"), "{unknown:?}");
        let bad_path = errors(json!({"from": "nowhere.x"}));
        assert_eq!(bad_path[0].0, "from");
        assert!(bad_path[0].1.contains("must begin with `body`"), "{bad_path:?}");
    }
}
