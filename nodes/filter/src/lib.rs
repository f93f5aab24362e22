//! The node `filter`: keeps or drops events by conditions.

mod options;

use wattle_condition::{Check, Compiler, Condition, ReadFields, Spare};
use wattle_node::{Batch, Column, Node, Setup, export_node};

pub use crate::options::{Options, Rule};

/// The reason for dropped events without a configured one.
const FILTERED: &str = "filtered";

/// The configured node. Keeps its memory from batch to batch.
pub struct Filter {
    steps: Vec<Step>,
    fields: ReadFields,
    columns: Vec<Column>,
    /// Rows that no step has decided yet.
    open: Vec<bool>,
    dropped: Vec<u32>,
    spare: Spare,
}

/// A rule, compiled.
struct Step {
    check: Check,
    /// Whether the step decides about the rows for which the check does not hold.
    inverted: bool,
    /// The reason for which rows are dropped; `None` keeps them.
    reason: Option<String>,
}

impl Node for Filter {
    const NAME: &'static str = "filter";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "Keeps or drops events by conditions.";
    const OPTIONS_SCHEMA: &'static str = include_str!("../options.schema.json");
    type Options = Options;

    fn configure(options: Options, setup: &mut Setup<'_>) -> Option<Self> {
        let mut compiler = Compiler::new(ReadFields::default());
        let reason = reason("reason", options.reason.as_deref(), setup);
        let steps = match (&options.keep, &options.drop, &options.rules) {
            (Some(keep), None, None) => {
                let check = compiler.condition("keep", keep, setup);
                vec![check.map(|check| Step { check, inverted: true, reason: Some(reason.to_owned()) })]
            }
            (None, Some(drop), None) => {
                let check = compiler.condition("drop", drop, setup);
                vec![check.map(|check| Step { check, inverted: false, reason: Some(reason.to_owned()) })]
            }
            (None, None, Some(rules)) => {
                if rules.is_empty() {
                    setup.error("rules", "at least one rule is needed");
                }
                let rules = rules.iter().enumerate();
                rules.map(|(i, rule)| step(&format!("rules[{i}]"), rule, reason, &mut compiler, setup)).collect()
            }
            _ => {
                setup.error("", "needs exactly one of `keep`, `drop` and `rules`");
                return None;
            }
        };
        Some(Self {
            steps: steps.into_iter().collect::<Option<_>>()?,
            fields: compiler.into_resolver(),
            columns: Vec::new(),
            open: Vec::new(),
            dropped: Vec::new(),
            spare: Spare::default(),
        })
    }

    fn process(&mut self, batch: &mut Batch<'_>) -> Result<(), String> {
        self.fields.read(batch, &mut self.columns);
        self.open.clear();
        self.open.resize(batch.len(), true);
        for step in &self.steps {
            let mut hits = self.spare.copy_of(&self.open);
            step.check.narrow(&self.columns, &mut hits, &mut self.spare);
            self.dropped.clear();
            for ((row, open), hit) in (0_u32..).zip(&mut self.open).zip(&hits) {
                if *open && *hit != step.inverted {
                    *open = false;
                    self.dropped.push(row);
                }
            }
            if let Some(reason) = &step.reason {
                batch.drop_rows(&self.dropped, reason);
            }
            self.spare.give_back(hits);
        }
        // The columns are spans of the host's buffers; drop them before the batch ends.
        self.columns.clear();
        Ok(())
    }
}

/// Compiles the rule at `at`.
fn step(
    at: &str,
    rule: &Rule,
    default: &str,
    compiler: &mut Compiler<ReadFields>,
    setup: &mut Setup<'_>,
) -> Option<Step> {
    let (name, condition): (&str, &Condition) = match (&rule.keep, &rule.drop) {
        (Some(keep), None) => ("keep", keep),
        (None, Some(drop)) => ("drop", drop),
        _ => {
            setup.error(at, "needs exactly one of `keep` and `drop`");
            return None;
        }
    };
    let option = format!("{at}.reason");
    let reason = match &rule.reason {
        Some(_) if name == "keep" => {
            setup.error(option, "a rule with `keep` drops no event; remove the reason");
            default
        }
        Some(given) => reason(&option, Some(given), setup),
        None => default,
    };
    let check = compiler.condition(&format!("{at}.{name}"), condition, setup)?;
    Some(Step { check, inverted: false, reason: (name == "drop").then(|| reason.to_owned()) })
}

/// The reason of the option, checked.
fn reason<'a>(option: &str, given: Option<&'a str>, setup: &mut Setup<'_>) -> &'a str {
    let Some(reason) = given else { return FILTERED };
    let mut words = reason.split('-');
    let fits = words.all(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()));
    if !fits || reason.len() > 64 {
        let message =
            format!("`{reason}` is not kebab-case of at most 64 bytes; write a reason such as `health-check`");
        setup.error(option, message);
    }
    reason
}

export_node!(Filter);
