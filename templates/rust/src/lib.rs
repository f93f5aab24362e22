//! Sets a field to the text of another in capitals. Fails events without it, and drops events that contain a text.

use wattle_node::event::{Action, Event, EventField, EventNode, Fields, PerEvent};
use wattle_node::{Setup, export_node};

/// The options.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    from: String,
    to: String,
    skip: String,
}

const SCHEMA: &str = r#"{"type": "object", "additionalProperties": false, "required": ["from", "to", "skip"],
"properties": {"from": {"type": "string"}, "to": {"type": "string"}, "skip": {"type": "string"}}}"#;

/// The node.
pub struct MyNode {
    from: EventField,
    to: EventField,
    skip: String,
    missing: String,
}

impl EventNode for MyNode {
    const NAME: &'static str = "my-node";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "Sets a field to the text of another in capitals.";
    const OPTIONS_SCHEMA: &'static str = SCHEMA;
    type Options = Options;

    fn configure(options: Options, setup: &mut Setup<'_>, fields: &mut Fields) -> Option<Self> {
        let from = fields.read(setup, "from", &options.from);
        let to = fields.write(setup, "to", &options.to);
        let missing = format!("the field `{}` is missing", options.from);
        Some(Self { from: from?, to: to?, skip: options.skip, missing })
    }

    fn event(&mut self, event: &mut Event<'_>) -> Action {
        let Some(text) = event.get(self.from) else {
            return Action::Fail { code: "missing", message: self.missing.clone() };
        };
        if text.contains(&self.skip) {
            return Action::Drop("skipped");
        }
        let loud = text.to_uppercase();
        event.set(self.to, &loud);
        Action::Keep
    }
}

export_node!(PerEvent<MyNode>);

#[cfg(test)]
mod tests {
    #[test]
    fn cases_hold_natively_too() {
        let cases = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
        wattle_node::testing::run_cases::<super::PerEvent<super::MyNode>>(&cases).unwrap();
    }
}
