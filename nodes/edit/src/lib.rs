//! The node `edit`: changes fields of events by a list of steps.
//!
//! Rows are opened some at a time as documents ([`rows`]). Each step runs over all of them, so that conditions work on
//! columns, and then the roots that changed are written. The README has every operation.

mod condition;
mod field;
mod number;
mod operation;
pub mod options;
mod plan;
mod problem;
mod rows;
mod step;
mod takes;
mod time;

use wattle_condition::Spare;
use wattle_node::{Batch, Form, Node, Setup, export_node};

use crate::condition::chunks;
use crate::field::Root;
pub use crate::options::Options;
use crate::plan::{Plan, Roots};
use crate::rows::{Columns, Rows, Writers};

/// The configured node.
pub struct Edit {
    steps: Vec<step::Step>,
    roots: Roots,
    rows: Rows,
    marks: Vec<bool>,
    spare: Spare,
}

impl Node for Edit {
    const NAME: &'static str = "edit";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "Changes fields of events by a list of steps.";
    const OPTIONS_SCHEMA: &'static str = include_str!("../options.schema.json");
    type Options = Options;

    fn configure(options: Options, setup: &mut Setup<'_>) -> Option<Self> {
        if options.steps.is_empty() {
            setup.error("steps", "at least one step is needed");
        }
        let mut plan = Plan::default();
        let steps = options.steps.iter().enumerate();
        // Compile all steps before the first `None` ends the collection, to report every error at once.
        let steps: Vec<_> = steps.map(|(number, step)| step::Step::new(number, step, &mut plan, setup)).collect();
        let roots = plan.roots(setup);
        let rows = Rows::new(plan.into_documents(), options.on_not_json);
        let steps = steps.into_iter().collect::<Option<_>>()?;
        Some(Self { steps, roots, rows, marks: Vec::new(), spare: Spare::default() })
    }

    fn process(&mut self, batch: &mut Batch<'_>) -> Result<(), String> {
        let rows = &mut self.rows;
        rows.load(columns(&self.roots, batch), batch.len());
        let mut writers = Writers::with_capacity(rows, batch.len(), &self.roots);
        for chunk in chunks(batch.len()) {
            rows.open(chunk);
            for (number, step) in self.steps.iter_mut().enumerate() {
                rows.step = number;
                step.run(rows, &mut self.marks, &mut self.spare);
            }
            rows.finish(&mut writers);
        }
        rows.decide(batch, &self.roots.fields, writers);
        Ok(())
    }
}

/// Reads the roots that steps use.
fn columns(roots: &Roots, batch: &mut Batch<'_>) -> Columns {
    let [body, ..] = roots.fields;
    let kinds = body.filter(|_| roots.is_below_body).map(|body| batch.check_json(body)).unwrap_or_default();
    let mut columns = Columns { kinds, ..Columns::default() };
    for ((column, field), root) in columns.roots.iter_mut().zip(roots.fields).zip(Root::ALL) {
        let form = if root == Root::Body { Form::Text } else { Form::Json };
        *column = field.map(|field| batch.read(field, form));
    }
    columns
}

export_node!(Edit);
