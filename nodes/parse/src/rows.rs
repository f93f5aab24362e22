//! The rows of a batch: which of them to parse, and how to store the values.

use wattle_node::json::{self, Kind};
use wattle_node::{Batch, Column, ColumnWriter, Field, Form, Reasons};

use crate::format::{HEADER, Reader};
use crate::merge::{Conflict, Merger};
use crate::nested::Nested;
use crate::options::{InvalidUtf8, OnConflict};

/// The deepest JSON that the host accepts as valid; see `check-json` in the contract.
const MAX_DEPTH: usize = 512;

/// The field to read, the place to write to, and its current values.
pub(crate) struct Place {
    pub(crate) field: Field,
    pub(crate) field_name: String,
    pub(crate) into: Field,
    pub(crate) into_name: String,
    /// The values become all attributes, so they must be an object.
    pub(crate) whole: bool,
    pub(crate) on_conflict: OnConflict,
    pub(crate) merger: Merger,
    pub(crate) nested: Option<Nested>,
}

impl Place {
    /// The current values of `into`, or `None` if all rows are empty there.
    fn occupied(&self, batch: &mut Batch<'_>) -> Option<Column> {
        let before = batch.read(self.into, Form::Json);
        before.kinds.iter().any(|&kind| is_value(kind)).then_some(before)
    }

    /// Appends one row to `out`: `new`, merged with the current value.
    fn put(&mut self, row: usize, before: &[u8], new: &[u8], out: &mut ColumnWriter, reasons: &mut Reasons) {
        let start = out.bytes.len();
        match self.merger.merge(before, new, self.on_conflict, &mut out.bytes) {
            Ok(()) => out.end_row(),
            Err(Conflict(key)) => {
                let message = match key {
                    Some(key) => format!("`{}` has a key `{key}` already", self.into_name),
                    None => format!("`{}` has a value already, and the two are not both objects", self.into_name),
                };
                out.bytes.truncate(start);
                out.push_none();
                reasons.add(row, "conflict", &message);
            }
        }
    }

    fn add_missing(&self, row: usize, reasons: &mut Reasons) {
        reasons.add(row, "missing-field", &format!("the event has no field `{}`", self.field_name));
    }
}

/// The text of a row; none for a field that is null, which a text of these letters is not.
fn value(texts: &Column, row: usize) -> Option<&[u8]> {
    (texts.kind(row) > Kind::Null).then(|| texts.row(row))
}

/// JSON null counts as no value.
fn is_value(kind: u8) -> bool {
    kind > Kind::Null as u8
}

/// JSON: the host already has the text, so the node only names the rows, and no text crosses the
/// sandbox boundary.
#[derive(Default)]
pub(crate) struct Stored {
    marks: Vec<u8>,
}

impl Stored {
    pub(crate) fn process(&mut self, place: &mut Place, batch: &mut Batch<'_>) {
        let kinds = batch.check_json(place.field);
        let before = place.occupied(batch);
        let takes = |kind: u8| if place.whole { kind == Kind::Object as u8 } else { kind != 0 };
        self.marks.clear();
        self.marks.extend(kinds.iter().map(|&kind| u8::from(takes(kind))));
        let mut reasons = Reasons::default();
        // The host looks at the text only, which does not distinguish null from a text of these letters.
        let has_nulls = kinds.contains(&(Kind::Null as u8));
        if before.is_some() || place.nested.is_some() || has_nulls || self.marks.contains(&0) {
            let texts = batch.read(place.field, Form::Text);
            if has_nulls {
                let missing = self.marks.iter_mut().enumerate().filter(|(row, _)| value(&texts, *row).is_none());
                missing.for_each(|(_, mark)| *mark = 0);
            }
            for (row, _) in self.marks.iter().enumerate().filter(|(_, mark)| **mark == 0) {
                place.refuse(row, &texts, &mut reasons);
            }
            if before.is_some() || place.nested.is_some() {
                self.write(place, &texts, before.as_ref(), batch, &mut reasons);
            }
        }
        if self.marks.contains(&1) {
            batch.set_json_from(place.into, place.field, &self.marks);
        }
        batch.fail(&reasons);
    }

    /// Writes the rows that already have a value, and those with JSON in strings, and unmarks them.
    fn write(
        &mut self,
        place: &mut Place,
        texts: &Column,
        before: Option<&Column>,
        batch: &mut Batch<'_>,
        reasons: &mut Reasons,
    ) {
        let mut nested = place.nested.take();
        let bytes = before.map_or(0, |before| before.bytes.len());
        let mut out = ColumnWriter::with_capacity(texts.bytes.len() + bytes, texts.len());
        for (row, mark) in self.marks.iter_mut().enumerate() {
            if *mark == 0 {
                out.push_none();
                continue;
            }
            let expanded = nested.as_mut().and_then(|nested| nested.expand(texts.row(row)));
            match (before.filter(|before| is_value(before.kind(row) as u8)), expanded) {
                (Some(before), expanded) => {
                    place.put(row, before.row(row), expanded.unwrap_or(texts.row(row)), &mut out, reasons);
                }
                (None, Some(expanded)) => out.push(expanded),
                (None, None) => {
                    out.push_none();
                    continue;
                }
            }
            *mark = 0;
        }
        place.nested = nested;
        batch.set(place.into, Form::Json, out);
    }
}

impl Place {
    /// Reports why the JSON of a row was refused.
    fn refuse(&self, row: usize, texts: &Column, reasons: &mut Reasons) {
        let Some(text) = value(texts, row) else {
            return self.add_missing(row, reasons);
        };
        let field = &self.field_name;
        match json::check(text, MAX_DEPTH) {
            Err(error) if error.kind == json::ErrorKind::TooDeep => {
                let message =
                    format!("objects and arrays in `{field}` lie more than {MAX_DEPTH} deep inside each other");
                reasons.add(row, "too-deep", &message);
            }
            Err(error) => reasons.add(row, "not-json", &format!("`{field}` is not JSON: {error}")),
            Ok(kind) => {
                let message = format!(
                    "`{field}` holds JSON of the kind {}, not an object; set `into` to a path such as `{}.value`",
                    kind.name(),
                    self.into_name
                );
                reasons.add(row, "not-an-object", &message);
            }
        }
    }
}

/// Formats that the node reads itself.
pub(crate) struct Made {
    reader: Reader,
    selector: Option<Field>,
    invalid_utf8: InvalidUtf8,
    object: Vec<u8>,
}

impl Made {
    pub(crate) fn new(reader: Reader, selector: Option<Field>, invalid_utf8: InvalidUtf8) -> Self {
        Self { reader, selector, invalid_utf8, object: Vec::new() }
    }

    pub(crate) fn process(&mut self, place: &mut Place, batch: &mut Batch<'_>) {
        let texts = batch.read(place.field, Form::Text);
        let before = place.occupied(batch);
        let mut reasons = Reasons::default();
        let mut headers = Vec::new();
        let mut selected = Selected { field: self.selector, column: None };
        let is_utf8 = is_utf8(&texts);
        let mut replaced = String::new();
        let mut out = ColumnWriter::with_capacity(texts.bytes.len() * 2, texts.len());
        for row in 0..texts.len() {
            let Some(mut text) = value(&texts, row) else {
                out.push_none();
                place.add_missing(row, &mut reasons);
                continue;
            };
            if !is_utf8 && std::str::from_utf8(text).is_err() {
                match self.invalid_utf8 {
                    InvalidUtf8::Keep => {
                        out.push_none();
                        continue;
                    }
                    InvalidUtf8::Fail => {
                        out.push_none();
                        reasons.add(row, "not-utf8", &format!("`{}` is not UTF-8", place.field_name));
                        continue;
                    }
                    InvalidUtf8::Replace => {
                        replaced.clear();
                        replaced.push_str(&String::from_utf8_lossy(text));
                        text = replaced.as_bytes();
                    }
                }
            }
            self.object.clear();
            if self.reader.selects() {
                self.reader.select(selected.row(batch, row));
            }
            if let Err(fault) = self.reader.write(text, &mut self.object) {
                out.push_none();
                if fault.code == HEADER {
                    self.reader.adopt(selected.row(batch, row));
                    headers.push(u32::try_from(row).unwrap_or(u32::MAX));
                    continue;
                }
                reasons.add(row, fault.code, &format!("`{}` {}", place.field_name, fault.message));
                continue;
            }
            if let Some(expanded) = place.nested.as_mut().and_then(|nested| nested.expand(&self.object)) {
                expanded.clone_into(&mut self.object);
            }
            match before.as_ref().filter(|before| is_value(before.kind(row) as u8)) {
                Some(before) => place.put(row, before.row(row), &self.object, &mut out, &mut reasons),
                None => out.push(&self.object),
            }
        }
        batch.set(place.into, Form::Json, out);
        batch.drop_rows(&headers, HEADER);
        batch.fail(&reasons);
    }
}

/// The values of the selector, which are read only when a row needs one.
struct Selected {
    field: Option<Field>,
    column: Option<Column>,
}

impl Selected {
    fn row(&mut self, batch: &mut Batch<'_>, row: usize) -> &[u8] {
        let Some(field) = self.field else { return &[] };
        self.column.get_or_insert_with(|| batch.read(field, Form::Text)).row(row)
    }
}

/// Whether every row is UTF-8. One pass over the whole column is several times faster than one for each row; a character
/// that two rows share would begin the second one with a byte that begins no character.
fn is_utf8(texts: &Column) -> bool {
    let begins_inside = |row: usize| texts.row(row).first().is_some_and(|byte| byte & 0b1100_0000 == 0b1000_0000);
    std::str::from_utf8(&texts.bytes).is_ok() && !(0..texts.len()).any(begins_inside)
}
