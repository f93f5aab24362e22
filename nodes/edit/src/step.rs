//! One step, compiled from its options.

use serde_json::{Map, Value};
use wattle_condition::Spare;
use wattle_node::Setup;

use crate::condition::StepCheck;
use crate::operation::{self, Operation};
use crate::options;
use crate::plan::Plan;
use crate::rows::Rows;

/// A step, ready for use.
pub(crate) struct Step {
    check: Option<StepCheck>,
    operation: Box<dyn Operation>,
    memory: Vec<u8>,
}

impl Step {
    /// Compiles a step. Returns `None` after it reported errors.
    pub(crate) fn new(
        number: usize,
        options: &Map<String, Value>,
        plan: &mut Plan,
        setup: &mut Setup<'_>,
    ) -> Option<Self> {
        let at = format!("steps[{number}]");
        let step = match options::Step::of(options) {
            Ok(step) => step,
            Err(errors) => {
                for error in errors {
                    let dot = if error.path.is_empty() { "" } else { "." };
                    setup.error(format!("{at}{dot}{}", error.path), error.message);
                }
                return None;
            }
        };
        let check = step.condition().map(|condition| StepCheck::new(&format!("{at}.if"), condition, plan, setup));
        let operation = operation::compile(&at, step, plan, setup);
        let check = match check {
            Some(check) => Some(check?),
            None => None,
        };
        Some(Self { check, operation: operation?, memory: Vec::new() })
    }

    /// Carries the step out on the open rows.
    pub(crate) fn run(&mut self, rows: &mut Rows, marks: &mut Vec<bool>, spare: &mut Spare) {
        rows.mark(marks);
        if let Some(check) = &mut self.check {
            check.narrow(rows, marks, spare, &mut self.memory);
        }
        self.operation.run(rows, marks);
    }
}
