//! All rules over one column: which places to mask, and with which text.

use std::ops::Range;

use wattle_node::{Column, ColumnWriter};

use crate::column::{Rows, Walk};
use crate::fit::{fit, looks_like_json};
use crate::json_key::KeySearch;
use crate::literals::Literals;
use crate::options::OnUndecidable;
use crate::pattern::PatternRule;
use crate::preset::PresetRule;
use crate::replacement::{Replacement, Writer};
use crate::scan::{Scan, Window};
use crate::span::{Place, Span, merge};
use crate::undecided::{self, Undecided, is_torn};

/// A rule that does not search for JSON keys.
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
    /// Finds the places to look at for keys and presets.
    scan: Scan,
    /// Finds where to try the patterns, if there are many.
    literals: Option<Literals>,
    /// By index of the rule; the last one is for whole fields.
    replacements: Vec<Replacement>,
    on_undecidable: OnUndecidable,
    skip: Vec<Box<[u8]>>,
    /// The replacement of every place except bare numbers, if it is always the same.
    constant: Option<Box<str>>,
    writer: Writer,
    spans: Vec<Span>,
    undecided: Vec<(usize, Undecided)>,
}

impl Masker {
    /// Combines the rules; the last replacement is for whole fields.
    pub(crate) fn new(
        keys: Option<KeySearch>,
        rules: Vec<Rule>,
        replacements: Vec<Replacement>,
        skip: Vec<Box<[u8]>>,
        on_undecidable: OnUndecidable,
    ) -> Self {
        let mut texts = replacements.iter().map(Replacement::constant);
        let constant = texts.next().flatten().filter(|first| texts.all(|text| text == Some(first))).map(Into::into);
        let literals = Literals::new(rules.iter().map(|rule| match rule {
            Rule::Pattern(pattern) => pattern.text(),
            Rule::Preset(_) => "",
        }));
        let mut windows: Vec<Window> = keys.iter().flat_map(KeySearch::windows).collect();
        for rule in &rules {
            if let Rule::Preset(preset) = rule {
                windows.extend(preset.windows());
            }
        }
        Self {
            keys,
            rules,
            scan: Scan::new(&windows),
            literals,
            replacements,
            on_undecidable,
            skip,
            constant,
            writer: Writer::default(),
            spans: Vec::new(),
            undecided: Vec::new(),
        }
    }

    /// Finds the places to mask in a column. Afterwards [`spans`](Self::spans) are sorted and do
    /// not overlap.
    ///
    /// Calls back for rows that fail, because the rules cannot search them.
    pub(crate) fn find(&mut self, column: &Column, fails: impl FnMut((usize, Undecided))) {
        let Self { keys, rules, scan, literals, skip, writer, spans, undecided, on_undecidable, replacements, .. } =
            self;
        let rows = Rows { bytes: &column.bytes, offsets: &column.offsets };
        spans.clear();
        undecided.clear();
        if *on_undecidable != OnUndecidable::Pass && (keys.is_some() || !rules.is_empty()) {
            undecided::each(rows, keys.is_some(), |row, why| undecided.push((row, why)));
        }
        let mut places = scan.find(rows.bytes);
        if let Some(keys) = keys {
            keys.find(rows, &mut places, spans, |row| undecided.push((row, Undecided::TooDeep)));
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
                Rule::Preset(preset) => preset.each(rows, &mut places, |place, found| {
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
        if *on_undecidable != OnUndecidable::Pass && !rules.is_empty() {
            let mut walk = Walk::default();
            for span in spans.iter() {
                let (row, place) = walk.row_of(rows, span.start);
                let text = rows.bytes.get(place.clone()).unwrap_or_default();
                if is_torn(text, span.start - place.start, span.end - place.start) {
                    undecided.push((row, Undecided::NotUtf8));
                }
            }
        }
        undecided.sort_by_key(|(row, _)| *row);
        undecided.dedup_by_key(|(row, _)| *row);
        match on_undecidable {
            OnUndecidable::Quarantine => undecided.iter().copied().for_each(fails),
            OnUndecidable::Mask if !undecided.is_empty() => {
                let whole = |(row, _): &(usize, _)| {
                    let (place, _) = rows.get(*row)?;
                    let rule = replacements.len() - 1;
                    Some(Span { start: place.start, end: place.end, rule, place: Place::Text })
                };
                let wholes: Vec<Span> = undecided.iter().filter_map(whole).collect();
                let after = |span: &Span| wholes.partition_point(|whole| whole.end <= span.start);
                spans.retain(|span| wholes.get(after(span)).is_none_or(|whole| span.end <= whole.start));
                spans.extend(wholes);
                spans.sort_by_key(|span| span.start);
            }
            OnUndecidable::Mask | OnUndecidable::Pass => {}
        }
    }

    /// Whether the rules, applied one after the other, each to the result of the one before, give the result of the latest
    /// search. May say no where they do.
    pub(crate) fn are_rules_independent(&mut self) -> bool {
        let is_certain = |span: &Span| !matches!(span.place, Place::Text);
        self.undecided.is_empty()
            && self.rules.is_empty()
            && self.spans.iter().all(is_certain)
            && self.keys.as_mut().is_none_or(KeySearch::are_independent)
    }

    /// The result of the latest search.
    pub(crate) fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// The replacements of the places: one text for all, or one for each.
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

    /// Appends the masked text of a row to `out`, given its spans.
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
    // An escaped character takes six bytes, and more in nested escapes; a longer text cannot be an
    // escaped form of the value.
    const MAX_SPELLING: usize = 24;
    if !skip.iter().any(|s| s.len() <= raw.len() && raw.len() <= MAX_SPELLING * s.len()) {
        return false;
    }
    let value = if raw.contains(&b'\\') { writer.value(raw, place) } else { raw };
    skip.iter().any(|s| **s == *value)
}
