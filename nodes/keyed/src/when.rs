//! The option `when`: a condition for the events that a node looks at.

use wattle_condition::{Check, Compiler, Condition, ReadFields, Spare};
use wattle_node::{Batch, Column, Setup};

/// A compiled condition with its memory; without a condition, all events are looked at.
#[derive(Debug, Default)]
pub struct When {
    check: Option<Check>,
    fields: ReadFields,
    columns: Vec<Column>,
    spare: Spare,
    rows: Vec<bool>,
}

impl When {
    /// Compiles the option `when`. Returns `None` after it reported all errors to `setup`.
    pub fn new(condition: Option<&Condition>, setup: &mut Setup<'_>) -> Option<Self> {
        let mut compiler = Compiler::new(ReadFields::default());
        let check = match condition {
            Some(condition) => Some(compiler.condition("when", condition, setup)?),
            None => None,
        };
        Some(Self { check, fields: compiler.into_resolver(), ..Self::default() })
    }

    /// Whether the condition holds, for each row of a batch.
    pub fn rows(&mut self, batch: &mut Batch<'_>) -> &[bool] {
        self.rows.clear();
        self.rows.resize(batch.len(), true);
        if let Some(check) = &self.check {
            self.fields.read(batch, &mut self.columns);
            check.narrow(&self.columns, &mut self.rows, &mut self.spare);
            // The columns are spans of the host's buffers; drop them before the batch ends.
            self.columns.clear();
        }
        &self.rows
    }
}
