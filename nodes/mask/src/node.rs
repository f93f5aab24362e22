//! The node: turns columns into decisions.

use std::collections::BTreeSet;

use wattle_node::json::{Kind, check};
use wattle_node::{Batch, Column, ColumnWriter, Field, Form, Fusible, Node, Reasons, Setup};

use crate::fuse;
use crate::masker::Masker;
use crate::options::Options;
use crate::plan;
use crate::tally::Tally;

/// The deepest JSON that the host accepts.
pub(crate) const MAX_JSON_DEPTH: usize = 512;

/// The node `mask`.
pub struct Mask {
    fields: Vec<MaskedField>,
    masker: Masker,
    tally: Tally,
    /// Whether it does the work of several nodes in a row.
    is_fused: bool,
    /// Positions for the host, kept for the next batch.
    starts: Vec<u32>,
    ends: Vec<u32>,
}

struct MaskedField {
    path: String,
    field: Field,
}

impl Node for Mask {
    const NAME: &'static str = "mask";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "Masks secrets and personal data by JSON key, by pattern or by ready-made rules.";
    const OPTIONS_SCHEMA: &'static str = include_str!("../options.schema.json");
    const MASKS: bool = true;
    type Options = Options;

    fn configure(options: Options, setup: &mut Setup<'_>) -> Option<Self> {
        plan::check_fields(&options.fields, setup);
        let fields: Vec<MaskedField> = (0..)
            .zip(&options.fields)
            .filter(|(_, path)| *path != "timestamp")
            .filter_map(|(index, path)| {
                let field = setup.read_write(&format!("fields[{index}]"), path)?;
                Some(MaskedField { path: path.clone(), field })
            })
            .collect();
        let masker = plan::masker(&options, setup)?;
        let tally = Tally::new(&options.rules);
        Some(Self { fields, masker, tally, is_fused: false, starts: Vec::new(), ends: Vec::new() })
    }

    fn process(&mut self, batch: &mut Batch<'_>) -> Result<(), String> {
        let Self { fields, masker, tally, is_fused, starts, ends } = self;
        let mut failures = Failures::default();
        for MaskedField { path, field } in fields {
            let column = batch.read(*field, Form::Text);
            masker.find(&column, |(row, why)| failures.add(row, why.code(), path, why.message()));
            if *is_fused && !masker.are_rules_independent() {
                return Err("the rules of one node can find what those of another one leave".into());
            }
            if masker.spans().is_empty() {
                continue;
            }
            tally.add(&column, masker.spans());
            if path == "body" {
                starts.clear();
                ends.clear();
                starts.extend(masker.spans().iter().map(|s| position(s.start)));
                ends.extend(masker.spans().iter().map(|s| position(s.end)));
                let texts = masker.texts(&column);
                batch.replace(*field, Form::Text, starts, ends, texts);
            } else {
                set(masker, path, *field, &column, batch, &mut failures);
            }
        }
        batch.fail(&failures.reasons);
        tally.report(batch, &failures.reasons);
        Ok(())
    }
}

impl Fusible for Mask {
    fn fuse(options: Vec<Options>, setup: &mut Setup<'_>) -> Option<Self> {
        let (options, names) = fuse::fuse(options)?;
        Some(Self { tally: Tally::named(names), is_fused: true, ..Self::configure(options, setup)? })
    }
}

/// Rows that fail, each with the first reason found.
#[derive(Default)]
struct Failures {
    reasons: Reasons,
    rows: BTreeSet<usize>,
}

impl Failures {
    /// Fails a row because of a field; `why` continues a sentence that begins with the field's
    /// name.
    fn add(&mut self, row: usize, code: &str, path: &str, why: &str) {
        if self.rows.insert(row) {
            self.reasons.add(row, code, &format!("`{path}` {why}"));
        }
    }
}

/// Sets the rows with matches: strings and scalars as strings, objects and arrays as JSON.
fn set(masker: &mut Masker, path: &str, field: Field, column: &Column, batch: &mut Batch<'_>, failures: &mut Failures) {
    let mut texts = ColumnWriter::default();
    let mut jsons = ColumnWriter::default();
    let (mut any_text, mut any_json) = (false, false);
    let mut next = 0;
    for row in 0..column.len() {
        let first = next;
        let end = column.start(row + 1) as usize;
        next += masker.spans().get(first..).unwrap_or_default().iter().take_while(|s| s.start < end).count();
        if next > first {
            if matches!(column.kind(row), Kind::Array | Kind::Object) {
                let start = jsons.bytes.len();
                masker.rewrite(column, row, first..next, &mut jsons.bytes);
                if check(jsons.bytes.get(start..).unwrap_or_default(), MAX_JSON_DEPTH).is_ok() {
                    jsons.end_row();
                    any_json = true;
                } else {
                    jsons.bytes.truncate(start);
                    let why = "would not be JSON after masking; let the rules find only what is inside strings";
                    failures.add(row, "not-json", path, why);
                }
            } else {
                masker.rewrite(column, row, first..next, &mut texts.bytes);
                texts.end_row();
                any_text = true;
            }
        }
        for writer in [&mut texts, &mut jsons] {
            if writer.len() == row {
                writer.push_none();
            }
        }
    }
    if any_text {
        batch.set(field, Form::Text, texts);
    }
    if any_json {
        batch.set(field, Form::Json, jsons);
    }
}

/// Columns are smaller than 4 GiB, so every position fits.
fn position(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}
