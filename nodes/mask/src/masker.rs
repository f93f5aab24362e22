//! All rules over one column: what to mask, and what stands there then.

use std::ops::Range;

use wattle_node::{Column, ColumnWriter};

use crate::column::Rows;
use crate::fit::{fit, looks_like_json};
use crate::json_key::KeySearch;
use crate::literals::Literals;
use crate::pattern::PatternRule;
use crate::preset::PresetRule;
use crate::replacement::{Replacement, Writer};
use crate::span::{Place, Span, merge};

/// A rule that does not go by JSON keys.
pub(crate) enum Rule {
    /// A regular expression.
    Pattern(PatternRule),
    /// A ready-made rule.
    Preset(PresetRule),
}

/// The rules, ready for use.
pub(crate) struct Masker {
    keys: Option<KeySearch>,
    rules: Vec<Rule>,
    /// Tells where the patterns among the rules have to be tried, if there are many.
    literals: Option<Literals>,
    /// By index of the rule.
    replacements: Vec<Replacement>,
    skip: Vec<Box<[u8]>>,
    /// Text that every place but bare numbers becomes, if it is always the same.
    constant: Option<Box<str>>,
    writer: Writer,
    spans: Vec<Span>,
}

impl Masker {
    /// Takes the rules together.
    pub(crate) fn new(
        keys: Option<KeySearch>,
        rules: Vec<Rule>,
        replacements: Vec<Replacement>,
        skip: Vec<Box<[u8]>>,
    ) -> Self {
        let mut texts = replacements.iter().map(Replacement::constant);
        let constant = texts.next().flatten().filter(|first| texts.all(|text| text == Some(first))).map(Into::into);
        let literals = Literals::new(rules.iter().map(|rule| match rule {
            Rule::Pattern(pattern) => pattern.text(),
            Rule::Preset(_) => "",
        }));
        Self { keys, rules, literals, replacements, skip, constant, writer: Writer::default(), spans: Vec::new() }
    }

    /// Finds what to mask in a column; afterwards [`spans`](Self::spans) are sorted and do not overlap.
    ///
    /// Calls back for rows that could not be searched in full, because they are escaped too often.
    pub(crate) fn find(&mut self, column: &Column, too_deep: impl FnMut(usize)) {
        let Self { keys, rules, literals, skip, writer, spans, .. } = self;
        let rows = Rows { bytes: &column.bytes, offsets: &column.offsets };
        spans.clear();
        if let Some(keys) = keys {
            keys.find(rows, spans, too_deep);
        }
        if let Some(literals) = literals {
            literals.find(rows);
        }
        for (index, rule) in rules.iter_mut().enumerate() {
            match rule {
                Rule::Pattern(pattern) => {
                    let mut search = |(place, row): (Range<usize>, &[u8])| {
                        let rule = pattern.rule;
                        let json = looks_like_json(row);
                        pattern.each(row, |found| add(spans, rule, row, place.start, found, json, false));
                    };
                    match literals.as_ref().and_then(|literals| literals.rows_of(index)) {
                        Some(some) => some.iter().filter_map(|&row| rows.get(row)).for_each(&mut search),
                        None => rows.iter().for_each(&mut search),
                    }
                }
                Rule::Preset(preset) => preset.each(rows, |place, found| {
                    let row = rows.bytes.get(place.clone()).unwrap_or_default();
                    add(spans, preset.rule, row, place.start, found, looks_like_json(row), true);
                }),
            }
        }
        spans.retain(|span| {
            let raw = rows.bytes.get(span.start..span.end).unwrap_or_default();
            !raw.is_empty() && !is_skipped(skip, writer, raw, span.place)
        });
        merge(spans);
    }

    /// What the latest search found.
    pub(crate) fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// What the places found become: one text for all, or one for each.
    pub(crate) fn texts(&mut self, column: &Column) -> ColumnWriter {
        if let Some(constant) = &self.constant
            && self.spans.iter().all(|s| !matches!(s.place, Place::Bare(_)))
        {
            return ColumnWriter::of(constant.as_bytes());
        }
        let mut texts = ColumnWriter::with_capacity(32 * self.spans.len(), self.spans.len());
        for span in &self.spans {
            let raw = column.bytes.get(span.start..span.end).unwrap_or_default();
            if let Some(replacement) = self.replacements.get(span.rule) {
                self.writer.write(replacement, raw, span, &mut texts.bytes);
            }
            texts.end_row();
        }
        texts
    }

    /// Appends to `out` what a row becomes, given the spans that are in it.
    pub(crate) fn rewrite(&mut self, column: &Column, row: usize, spans: Range<usize>, out: &mut Vec<u8>) {
        let mut at = column.start(row) as usize;
        for span in self.spans.get(spans).unwrap_or_default() {
            out.extend_from_slice(column.bytes.get(at..span.start).unwrap_or_default());
            let raw = column.bytes.get(span.start..span.end).unwrap_or_default();
            if let Some(replacement) = self.replacements.get(span.rule) {
                self.writer.write(replacement, raw, span, out);
            }
            at = span.end;
        }
        out.extend_from_slice(column.bytes.get(at..column.start(row + 1) as usize).unwrap_or_default());
    }
}

fn add(spans: &mut Vec<Span>, rule: usize, row: &[u8], row_start: usize, found: Range<usize>, json: bool, deep: bool) {
    let fitted = if json { fit(row, found, deep) } else { Some((found, Place::Text)) };
    if let Some((found, place)) = fitted {
        spans.push(Span { start: row_start + found.start, end: row_start + found.end, rule, place });
    }
}

fn is_skipped(skip: &[Box<[u8]>], writer: &mut Writer, raw: &[u8], place: Place) -> bool {
    // A character takes six bytes as an escape, and more in escaped text; what is longer than this is none of them.
    const LONGEST_SPELLING: usize = 24;
    if !skip.iter().any(|s| s.len() <= raw.len() && raw.len() <= LONGEST_SPELLING * s.len()) {
        return false;
    }
    let value = if raw.contains(&b'\\') { writer.value(raw, place) } else { raw };
    skip.iter().any(|s| **s == *value)
}
