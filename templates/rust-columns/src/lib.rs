//! Sets a field to the text of another in capitals. Fails events without it, and drops events that contain a text.

use wattle_node::{Batch, ColumnWriter, Field, Form, Node, Reasons, Setup, export_node};

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
    from: Field,
    to: Field,
    skip: String,
    missing: String,
}

impl Node for MyNode {
    const NAME: &'static str = "my-node";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "Sets a field to the text of another in capitals.";
    const OPTIONS_SCHEMA: &'static str = SCHEMA;
    type Options = Options;

    fn configure(options: Options, setup: &mut Setup<'_>) -> Option<Self> {
        let from = setup.read("from", &options.from);
        let to = setup.write("to", &options.to);
        let missing = format!("the field `{}` is missing", options.from);
        Some(Self { from: from?, to: to?, skip: options.skip, missing })
    }

    fn process(&mut self, batch: &mut Batch<'_>) -> Result<(), String> {
        let from = batch.read(self.from, Form::Text);
        let mut values = ColumnWriter::with_capacity(from.bytes.len(), from.len());
        let mut dropped = Vec::new();
        let mut reasons = Reasons::default();
        for row in 0..from.len() {
            match from.get(row).map(String::from_utf8_lossy) {
                None => reasons.add(row, "missing", &self.missing),
                Some(text) if text.contains(&self.skip) => dropped.push(row as u32),
                Some(text) => {
                    values.push(text.to_uppercase().as_bytes());
                    continue;
                }
            }
            values.push_none();
        }
        batch.set(self.to, Form::Text, values);
        batch.drop_rows(&dropped, "skipped");
        batch.fail(&reasons);
        Ok(())
    }
}

export_node!(MyNode);

#[cfg(test)]
mod tests {
    #[test]
    fn cases_hold_natively_too() {
        let cases = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
        wattle_node::testing::run_cases::<super::MyNode>(&cases).unwrap();
    }
}
