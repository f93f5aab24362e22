//! The node `unroll`: turns one event with an array of records into one event for each record.
//!
//! Children are spans of the input text: the guest parses and copies no record.

mod budget;
mod children;
mod joined;
mod messages;
mod nested;
mod options;
mod records;
mod rules;
mod salvage;

use wattle_node::json::{Path, Segment};
use wattle_node::{Batch, Column, ColumnWriter, Field, Form, Node, Reasons, Setup, export_node};

use crate::budget::Budget;
use crate::children::Children;
use crate::joined::Joined;
use crate::messages::Messages;
pub use crate::options::{Broken, Copied, Decode, Keyed, Lengths, Options, Paths, Rule, Scalar, Unsupported};
use crate::records::Shapes;
use crate::rules::Rules;

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
            None => Vec::new(),
            Some(Paths::One(text)) => vec![("path".to_owned(), text)],
            Some(Paths::Many(texts)) => {
                texts.iter().enumerate().map(|(i, text)| (format!("path[{i}]"), text)).collect()
            }
        };
        if texts.is_empty() && (options.path.is_some() || options.rules.is_empty()) {
            setup.error("path", "at least one path is needed, or `rules`; `$` stands for the root");
        }
        if options.path.is_none() {
            check_without_path(&options, setup);
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
        let salvages = options.broken != Broken::Fail;
        let broken = if options.broken == Broken::Port { "port" } else { "apart" };
        if salvages && options.path.is_some() && options.single.is_none() {
            let message = format!("`{broken}` needs `single`, the key that shows where the next record begins");
            setup.error("broken", message);
        }
        let joined = Joined::new(&options, setup);
        if salvages && joined.is_some() {
            let message =
                format!("`{broken}` goes with none of `keep`, `zip` and `index`, since a broken text has no root");
            setup.error("broken", message);
        }
        let mut ports = vec!["out".to_owned()];
        let broken_port = u8::from(options.broken == Broken::Port);
        if broken_port > 0 {
            ports.push("broken".to_owned());
        }
        let rules = Rules::new(&options.rules, &options.unsupported, &mut ports, setup);
        if joined.is_some() && !rules.only_fail() {
            setup.error("rules", "rules with `unwrap`, `drop` or `port` go with none of `keep`, `zip` and `index`");
        }
        setup.ports(ports);
        let messages = Messages::new(&options, &paths);
        let key = |key: &String| Path::from(vec![Segment::Key(key.as_str().into())]);
        let single = options.single.as_ref().map(key);
        let shapes = Shapes { paths, single, rules, salvages, broken_port };
        Some(Self { from: from?, shapes, children: Children::new(options.into.as_deref()), joined, messages })
    }

    fn process(&mut self, batch: &mut Batch<'_>) -> Result<(), String> {
        let texts = batch.read(self.from, Form::Text);
        if self.joined.is_some() {
            self.join(&texts, batch);
            return Ok(());
        }
        let mut reasons = Reasons::default();
        self.children.begin(texts.bytes.len());
        for row in 0..texts.len() {
            let (code, message) = match texts.get(row) {
                Some(text) => match self.children.add(row, texts.start(row), text, &self.shapes) {
                    Ok(()) => continue,
                    Err(fault) => self.messages.of(&fault, &self.shapes.rules, None),
                },
                None => self.messages.missing_field(),
            };
            reasons.add(row, code, &message);
        }
        batch.fail(&reasons);
        self.children.drop_documents(batch, &self.shapes);
        // Rows that no rule matches leave as they are, which costs the host nothing.
        if !self.children.is_unchanged(texts.len()) {
            self.children.split(batch, self.from, &texts.bytes);
        }
        Ok(())
    }
}

/// Reports options that have no meaning if there are only rules.
fn check_without_path(options: &Options, setup: &mut Setup<'_>) {
    let given = [
        ("into", options.into.is_some()),
        ("single", options.single.is_some()),
        ("keep", !options.keep.is_empty()),
        ("zip", !options.zip.is_empty()),
        ("index", options.index.is_some()),
    ];
    if options.from != "body" {
        setup.error(
            "from",
            "`from` must be `body` if there is no `path`, since documents without a rule leave unchanged",
        );
    }
    for (option, _) in given.into_iter().filter(|(_, is_given)| *is_given) {
        setup.error(option, format!("`{option}` belongs to `path`, the array of records"));
    }
}

impl Unroll {
    /// Splits rows into children that get more than their record.
    fn join(&mut self, texts: &Column, batch: &mut Batch<'_>) {
        let Some(joined) = &mut self.joined else { return };
        let mut reasons = Reasons::default();
        let mut parents = Vec::new();
        let mut bodies = ColumnWriter::with_capacity(texts.bytes.len() * 2, texts.len());
        let mut budget = Budget::new(texts.bytes.len());
        for row in 0..texts.len() {
            let (code, message) = match texts.get(row) {
                Some(text) => match joined.write(row, text, &self.shapes, &mut budget, &mut parents, &mut bodies) {
                    Ok(()) => continue,
                    Err(fault) => self.messages.of(&fault, &self.shapes.rules, Some(joined)),
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
