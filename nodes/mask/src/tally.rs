//! Counts how many values each rule masked, for the operator.

use wattle_node::{Batch, Column, Reasons};

use crate::column::{Rows, Walk};
use crate::options::{Keys, Rule};
use crate::span::Span;

/// Longest name that the host counts separately.
const MAX_NAME_BYTES: usize = 64;
/// The name under which fields count that were masked as a whole.
const WHOLE: &str = "whole-field";

/// Counts the values masked in a batch, by rule.
pub(crate) struct Tally {
    names: Vec<Box<str>>,
    /// Row and rule of each value masked in this batch.
    masked: Vec<(usize, usize)>,
    counts: Vec<u64>,
}

impl Tally {
    /// A tally of these rules.
    pub(crate) fn new(rules: &[Rule]) -> Self {
        Self::named(rules.iter().enumerate().map(|(index, rule)| name(index, rule)).collect())
    }

    /// A tally of rules with these names.
    pub(crate) fn named(mut names: Vec<Box<str>>) -> Self {
        names.push(WHOLE.into());
        Self { counts: vec![0; names.len()], names, masked: Vec::new() }
    }

    /// Notes the values found in a column.
    pub(crate) fn add(&mut self, column: &Column, spans: &[Span]) {
        let rows = Rows { bytes: &column.bytes, offsets: &column.offsets };
        let mut walk = Walk::default();
        self.masked.extend(spans.iter().map(|span| (walk.row_of(rows, span.start).0, span.rule)));
    }

    /// Reports the counts of the batch to the host, without those of rows that fail, because these
    /// leave unchanged.
    pub(crate) fn report(&mut self, batch: &mut Batch<'_>, failed: &Reasons) {
        let mut failed: Vec<usize> = failed.rows().collect();
        failed.sort_unstable();
        for (row, rule) in self.masked.drain(..) {
            let rule = rule.min(self.counts.len() - 1);
            if let Some(count) = self.counts.get_mut(rule)
                && failed.binary_search(&row).is_err()
            {
                *count += 1;
            }
        }
        for (name, count) in self.names.iter().zip(&mut self.counts) {
            batch.count(name, std::mem::take(count));
        }
    }
}

/// The name of the rule, or its default.
pub(crate) fn name(index: usize, rule: &Rule) -> Box<str> {
    let name = match (&rule.name, &rule.json_key, &rule.preset) {
        (Some(name), ..) => name.clone(),
        (_, Some(Keys::One(key)), _) => key.clone(),
        (_, Some(Keys::Many(keys)), _) => keys.first().cloned().unwrap_or_default(),
        (.., Some(preset)) => preset.clone(),
        _ => format!("pattern {}", index + 1),
    };
    name.get(..name.floor_char_boundary(MAX_NAME_BYTES)).unwrap_or_default().into()
}
