//! The node `user-agent`: name and version of the client, its operating system and its device.

mod cache;
mod options;
mod rules;

use wattle_node::{Batch, ColumnWriter, Field, Form, Node, Setup, export_node};

use crate::cache::Cache;
pub use crate::options::Options;
use crate::rules::Rules;

/// Texts that the node can remember.
const MAX_CACHE: usize = 100_000;

/// The configured node.
pub struct UserAgent {
    field: Field,
    into: Field,
    rules: Rules,
    cache: Cache,
}

impl Node for UserAgent {
    const NAME: &'static str = "user-agent";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "Finds browser, operating system and device in the user agent of a request.";
    const OPTIONS_SCHEMA: &'static str = include_str!("../options.schema.json");
    type Options = Options;

    fn configure(options: Options, setup: &mut Setup<'_>) -> Option<Self> {
        let field = setup.read("field", &options.field);
        let into = match options.into.as_str() {
            "body" | "timestamp" | "attributes" | "resource" => {
                setup.error("into", "the result is one object; give it a field such as `attributes.user_agent`");
                None
            }
            into => setup.write_value("into", into),
        };
        if !(1..=MAX_CACHE).contains(&options.cache_size) {
            setup.error("cache_size", format!("`{}` is not between 1 and 100000", options.cache_size));
            return None;
        }
        let rules = match Rules::new() {
            Ok(rules) => rules,
            Err(error) => {
                setup.error("", format!("the rules cannot be prepared: {error}"));
                return None;
            }
        };
        Some(Self { field: field?, into: into?, rules, cache: Cache::new(options.cache_size) })
    }

    fn process(&mut self, batch: &mut Batch<'_>) -> Result<(), String> {
        let agents = batch.read(self.field, Form::Text);
        let mut out = ColumnWriter::with_capacity(agents.len() * 128, agents.len());
        let mut has_some = false;
        for row in 0..agents.len() {
            let Some(agent) = agents.get(row) else {
                out.push_none();
                continue;
            };
            match self.cache.get(agent, |out| self.rules.write(agent, out)) {
                [] => out.push_none(),
                object => {
                    has_some = true;
                    out.push(object);
                }
            }
        }
        if has_some {
            batch.set(self.into, Form::Json, out);
        }
        Ok(())
    }
}

export_node!(UserAgent);
