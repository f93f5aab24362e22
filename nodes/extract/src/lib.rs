//! The node `extract`: copies values of an event to attributes, resource, body or timestamp.

mod delay;
mod options;
mod rule;
mod value;

use wattle_node::{Batch, Node, Setup, export_node};

pub use crate::options::{FieldOptions, FormatOption, Group, OnError, OnMissing, Options, TimeFormat};
use crate::rule::{Rule, Verdicts};

/// The configured node.
pub struct Extract {
    rules: Vec<Rule>,
}

impl Node for Extract {
    const NAME: &'static str = "extract";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "Copies values of an event to attributes, resource, body or timestamp.";
    const OPTIONS_SCHEMA: &'static str = include_str!("../options.schema.json");
    type Options = Options;

    fn configure(options: Options, setup: &mut Setup<'_>) -> Option<Self> {
        if options.fields.is_empty() {
            setup.error("fields", "at least one field is needed");
        }
        let fields = options.fields.iter().enumerate();
        // Prepare all rules before the first `None` ends the collection, to report every error at
        // once.
        let rules: Vec<_> = fields.map(|(i, field)| Rule::new(&format!("fields[{i}]"), field, setup)).collect();
        Some(Self { rules: rules.into_iter().collect::<Option<_>>()? })
    }

    fn process(&mut self, batch: &mut Batch<'_>) -> Result<(), String> {
        let mut verdicts = Verdicts::default();
        for rule in &mut self.rules {
            rule.run(batch, &mut verdicts);
        }
        batch.drop_rows(&verdicts.without_field, "missing-field");
        batch.drop_rows(&verdicts.without_match, "no-match");
        batch.fail(&verdicts.reasons);
        batch.count("bad-timestamp", verdicts.bad_times);
        Ok(())
    }
}

export_node!(Extract);
