//! The node `unroll`: turns one event with an array of records into one event for each record.
//!
//! Children are spans of the input text: the guest parses and copies no record.

mod children;
mod joined;
mod known;
mod options;
mod records;
mod salvage;

use wattle_node::json::{Path, Segment};
use wattle_node::{Batch, Column, ColumnWriter, Field, Form, Node, Reasons, Setup, export_node};

use crate::children::{Children, Messages};
use crate::joined::Joined;
use crate::known::Known;
pub use crate::options::{Broken, Copied, Keyed, Lengths, Options, Paths, Unsupported};
use crate::records::Shapes;

/// The configured node.
pub struct Unroll {
    from: Field,
    shapes: Shapes,
    children: Children,
    /// What children get in addition to their record.
    joined: Option<Joined>,
    messages: Messages,
}

impl Node for Unroll {
    const NAME: &'static str = "unroll";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "Splits an event that holds an array of records into one event for each record.";
    const OPTIONS_SCHEMA: &'static str = include_str!("../options.schema.json");
    type Options = Options;

    fn configure(options: Options, setup: &mut Setup<'_>) -> Option<Self> {
        let from = setup.read("from", &options.from);
        let texts = match &options.path {
            Paths::One(text) => vec![("path".to_owned(), text)],
            Paths::Many(texts) => texts.iter().enumerate().map(|(i, text)| (format!("path[{i}]"), text)).collect(),
        };
        if texts.is_empty() {
            setup.error("path", "at least one path is needed; `$` stands for the root");
        }
        let mut paths = Vec::new();
        for (option, text) in texts {
            match Path::parse(text) {
                Ok(path) if path.around_each().is_some() => {
                    setup.error(option, format!("path `{text}` must not hold `[*]`; name the array itself"));
                }
                Ok(path) => paths.push(path),
                Err(error) => setup.error(option, error.to_string()),
            }
        }
        if options.broken == Broken::Apart && options.single.is_none() {
            setup.error("broken", "`apart` needs `single`, the key that tells where the next record begins");
        }
        let joined = Joined::new(&options, setup);
        if options.broken == Broken::Apart && joined.is_some() {
            setup.error(
                "broken",
                "`apart` goes with none of `keep`, `zip` and `index`, since a broken text has no root",
            );
        }
        let known = Known::new(&options.unsupported, setup);
        let messages = Messages::new(&options, &paths);
        let key = |key: &String| Path::from(vec![Segment::Key(key.as_str().into())]);
        let single = options.single.as_ref().map(key);
        let shapes = Shapes { paths, single, known, salvages: options.broken == Broken::Apart };
        Some(Self { from: from?, shapes, children: Children::new(options.into.as_deref()), joined, messages })
    }

    fn process(&mut self, batch: &mut Batch<'_>) -> Result<(), String> {
        let texts = batch.read(self.from, Form::Text);
        if self.joined.is_some() {
            self.join(&texts, batch);
            return Ok(());
        }
        let mut reasons = Reasons::default();
        self.children.clear();
        for row in 0..texts.len() {
            let (code, message) = match texts.get(row) {
                Some(text) => match self.children.add(row, texts.start(row), text, &self.shapes) {
                    Ok(()) => continue,
                    Err(fault) => self.messages.of(&fault, &self.shapes.known, None),
                },
                None => self.messages.missing_field(),
            };
            reasons.add(row, code, &message);
        }
        batch.fail(&reasons);
        self.children.split(batch, self.from, &texts.bytes);
        Ok(())
    }
}

impl Unroll {
    /// Splits rows into children that get more than their record.
    fn join(&mut self, texts: &Column, batch: &mut Batch<'_>) {
        let Some(joined) = &mut self.joined else { return };
        let mut reasons = Reasons::default();
        let mut parents = Vec::new();
        let mut bodies = ColumnWriter::with_capacity(texts.bytes.len() * 2, texts.len());
        for row in 0..texts.len() {
            let (code, message) = match texts.get(row) {
                Some(text) => match joined.write(row, text, &self.shapes, &mut parents, &mut bodies) {
                    Ok(()) => continue,
                    Err(fault) => self.messages.of(&fault, &self.shapes.known, Some(joined)),
                },
                None => self.messages.missing_field(),
            };
            reasons.add(row, code, &message);
        }
        batch.fail(&reasons);
        batch.split_into(&parents, bodies);
    }
}

export_node!(Unroll);
