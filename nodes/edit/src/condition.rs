//! Conditions of steps: their fields are read as the steps before left them.

use std::ops::Range;

use wattle_condition::{Check, Compiler, ResolveField, Spare};
use wattle_node::{Column, Setup};

pub(crate) use wattle_condition::Condition;

use crate::field::Field;
use crate::plan::Plan;
use crate::rows::Rows;

/// A condition with the fields that it reads.
#[derive(Debug)]
pub(crate) struct StepCheck {
    check: Check,
    fields: Vec<Field>,
    /// Kept from call to call for their memory.
    columns: Vec<Column>,
}

/// Collects the fields of a condition.
struct Fields<'p> {
    plan: &'p mut Plan,
    fields: Vec<Field>,
}

impl ResolveField for Fields<'_> {
    fn resolve(&mut self, option: &str, path: &str, setup: &mut Setup<'_>) -> Option<usize> {
        let known = self.fields.iter().position(|field| *field.name == *path);
        if known.is_none() {
            self.fields.push(self.plan.read(option, path, setup)?);
        }
        known.or(self.fields.len().checked_sub(1))
    }
}

impl StepCheck {
    /// Compiles a condition. Returns `None` after it reported errors.
    pub(crate) fn new(at: &str, condition: &Condition, plan: &mut Plan, setup: &mut Setup<'_>) -> Option<Self> {
        let mut compiler = Compiler::new(Fields { plan, fields: Vec::new() });
        let check = compiler.condition(at, condition, setup)?;
        Some(Self { check, fields: compiler.into_resolver().fields, columns: Vec::new() })
    }

    /// Clears the marks of rows for which the condition does not hold.
    pub(crate) fn narrow(&mut self, rows: &mut Rows, marks: &mut [bool], spare: &mut Spare, memory: &mut Vec<u8>) {
        self.columns.resize_with(self.fields.len(), Column::default);
        for (field, column) in self.fields.iter().zip(&mut self.columns) {
            let mut bytes = Vec::from(std::mem::take(&mut column.bytes));
            bytes.clear();
            column.offsets.clear();
            column.offsets.push(0);
            column.kinds.clear();
            for (row, is_marked) in marks.iter().enumerate() {
                let kind = if *is_marked {
                    let (kind, text) = rows.read_text(row, field, memory);
                    bytes.extend_from_slice(text);
                    kind as u8
                } else {
                    0
                };
                column.offsets.push(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
                column.kinds.push(kind);
            }
            column.bytes = bytes.into();
        }
        self.check.narrow(&self.columns, marks, spare);
    }
}

/// How many rows are open at the same time: enough that work per step is small, few enough to stay in the cache.
pub(crate) fn chunks(rows: usize) -> impl Iterator<Item = Range<usize>> {
    const ROWS: usize = 64;
    (0..rows).step_by(ROWS).map(move |start| start..rows.min(start + ROWS))
}
