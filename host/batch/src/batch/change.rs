//! Changes to a batch: replaces spans and sets fields.

use std::sync::OnceLock;

use wattle_json::Kind;

use super::{Batch, MAX_JSON_DEPTH, Replacement, RowFailed, SetProblem, SpliceError};
use crate::column::{Column, ColumnBuilder, ColumnTooLarge, Span};
use crate::context;
use crate::edit::{NotAnObject, set_value};
use crate::field::{FieldPath, Form, Root};
use crate::object::ValueColumn;

impl Batch {
    /// Replaces spans of the body, as [`read`](Self::read) returns it. `spans` must be sorted and
    /// must not overlap, and each must lie inside one row.
    ///
    /// # Errors
    ///
    /// The first span that breaks a rule; the batch is then unchanged.
    pub fn replace_body(&mut self, starts: &[u32], ends: &[u32], with: &Replacement) -> Result<(), SpliceError> {
        let (text, offsets) = self.body.to_contiguous();
        let (bytes, offsets) = splice(&text, &offsets, starts, ends, with)?;
        if let Some(column) = Column::from_offsets(bytes.into(), &offsets) {
            let edits = starts.iter().zip(ends).enumerate().map(|(edit, (&start, &end))| (start, end, with.text(edit)));
            let known = self.body.known_contiguous().and_then(|known| known.after(&text, edits));
            self.set_body_column(column.knowing(known));
        }
        Ok(())
    }

    /// Replaces spans of a field, as [`read`](Self::read) returns it in this form.
    ///
    /// # Errors
    ///
    /// The first span that breaks a rule; the batch is then unchanged. Returns the rows in which
    /// the path of the field does not exist.
    pub fn replace(
        &mut self,
        field: &FieldPath,
        form: Form,
        starts: &[u32],
        ends: &[u32],
        with: &Replacement,
    ) -> Result<Vec<RowFailed>, SpliceError> {
        if field.root == Root::Body && field.is_whole() {
            return self.replace_body(starts, ends, with).map(|()| Vec::new());
        }
        let (bytes, offsets, mut kinds) = self.read(field, form);
        let (new, new_offsets) = splice(&bytes, &offsets, starts, ends, with)?;
        // Set only rows that contain a span; the others keep their bytes.
        let mut spans = starts.iter().zip(ends).peekable();
        for (&row_end, kind) in offsets.iter().skip(1).zip(&mut kinds) {
            let mut touched = false;
            while spans.next_if(|&(&start, &end)| start < row_end || end <= row_end).is_some() {
                touched = true;
            }
            if !touched {
                *kind = 0;
            }
        }
        let column = Column::from_offsets(new.into(), &new_offsets).ok_or(SpliceError::TooLarge)?;
        if form == Form::Json {
            for (row, (text, &kind)) in column.iter().zip(&kinds).enumerate() {
                if kind == 0 {
                    continue;
                }
                match wattle_json::check(text, MAX_JSON_DEPTH) {
                    Err(_) => return Err(SpliceError::NotJson(row)),
                    Ok(kind) if field.is_whole() && kind != Kind::Object => return Err(SpliceError::NotAnObject(row)),
                    Ok(_) => {}
                }
            }
        }
        self.set(field, form, &column, &kinds).map_err(|_| SpliceError::TooLarge)
    }

    /// Sets a field in the rows with a kind other than 0, or in all rows if `kinds` is empty. The
    /// caller has checked that values in form [`Form::Json`] are valid JSON.
    ///
    /// Returns the rows that cannot hold the value: something on its path is not an object, the root
    /// does not take the value, or the field is the timestamp.
    pub fn set(
        &mut self,
        field: &FieldPath,
        form: Form,
        values: &Column,
        kinds: &[u8],
    ) -> Result<Vec<RowFailed>, ColumnTooLarge> {
        let present: Vec<u8> = (0..self.rows()).map(|r| u8::from(kinds.get(r).is_none_or(|&k| k != 0))).collect();
        if field.is_whole() {
            match field.root {
                Root::Body => self.set_body(values, &present)?,
                Root::Attributes => self.attributes.set_whole(values, &present)?,
                Root::Resource => self.resource.set_whole(values, &present)?,
                // `Call` has already refused text for a timestamp, and no path is the whole context.
                Root::Timestamp | Root::Context => {
                    let rows = present.iter().enumerate().filter(|&(_, &is_present)| is_present != 0);
                    return Ok(rows.map(|(row, _)| row_failed(row, SetProblem::NoPlace)).collect());
                }
            }
            return Ok(Vec::new());
        }
        let values = match form {
            Form::Text => ValueColumn::from_text(values, &present)?,
            Form::Json => {
                let values = without_white_space(values);
                let kind = |text: &[u8]| text.first().map_or(0, |&b| Kind::of_first_byte(b) as u8);
                let kinds = values.iter().zip(&present).map(|(text, &p)| if p == 0 { 0 } else { kind(text) }).collect();
                ValueColumn { values, kinds }
            }
        };
        self.set_values(field, values)
    }

    /// Sets a field below a root to JSON values.
    fn set_values(&mut self, field: &FieldPath, values: ValueColumn) -> Result<Vec<RowFailed>, ColumnTooLarge> {
        let mut failed = Vec::new();
        let (object, head) = match (field.root, field.head.as_deref()) {
            (Root::Attributes, Some(head)) => (&mut self.attributes, head),
            (Root::Resource, Some(head)) => (&mut self.resource, head),
            (Root::Context, Some(head)) => (&mut self.context, head),
            _ => {
                let mut builder = ColumnBuilder::with_capacity(self.body.byte_len(), self.rows());
                for row in 0..self.rows() {
                    let text = self.body.row(row);
                    let done = values.get(row).map(|(value, _)| set_value(text, &field.below, value, builder.buffer()));
                    finish_edit(done, row, text, &mut builder, &mut failed)?;
                }
                self.set_body_column(builder.finish());
                return Ok(failed);
            }
        };
        let values = if field.tail.segments().is_empty() {
            values
        } else {
            // The path leads into an attribute, so the attribute as a whole gets a new text.
            let root = wattle_json::Path::default();
            let first = wattle_json::Path::from(vec![wattle_json::Segment::Key(head.into())]);
            let mut builder = ColumnBuilder::with_capacity(values.values.byte_len(), values.values.rows());
            let mut kinds = Vec::with_capacity(values.values.rows());
            for row in 0..values.values.rows() {
                let old = object.get(row, head, &root, &first).map_or(&[][..], |(text, _)| text);
                let done = values.get(row).map(|(value, _)| set_value(old, &field.tail, value, builder.buffer()));
                let set = matches!(done, Some(Ok(())));
                finish_edit(done, row, &[], &mut builder, &mut failed)?;
                kinds.push(if set { Kind::Object as u8 } else { 0 });
            }
            ValueColumn { values: builder.finish(), kinds: kinds.into() }
        };
        if field.root != Root::Context {
            object.set(head, values)?;
            return Ok(failed);
        }
        let (values, refused) = context::check(head, &values)?;
        object.set(head, values)?;
        object.drop_null(head);
        failed.extend(refused.into_iter().map(|(row, problem)| row_failed(row, problem)));
        Ok(failed)
    }

    fn set_body(&mut self, values: &Column, present: &[u8]) -> Result<(), ColumnTooLarge> {
        if present.iter().all(|&p| p != 0) {
            self.set_body_column(values.clone());
            return Ok(());
        }
        let mut builder = ColumnBuilder::with_capacity(self.body.byte_len(), self.rows());
        for (row, &p) in present.iter().enumerate() {
            builder.push(if p == 0 { self.body.row(row) } else { values.row(row) })?;
        }
        self.set_body_column(builder.finish());
        Ok(())
    }

    fn set_body_column(&mut self, column: Column) {
        self.body = column;
        self.body_kinds = OnceLock::new();
    }

    /// Sets `target` in the marked rows to the JSON in the text of `source`, which the caller has
    /// checked with [`check_json`](Self::check_json). If both are whole roots, the rows share the
    /// text without a copy.
    pub fn set_json_from(
        &mut self,
        target: &FieldPath,
        source: &FieldPath,
        rows: &[u8],
    ) -> Result<Vec<RowFailed>, ColumnTooLarge> {
        let texts = if source.is_whole() && source.root == Root::Body {
            self.body.clone()
        } else {
            let (bytes, offsets, _) = self.read(source, Form::Text);
            Column::from_offsets(bytes, &offsets).unwrap_or_default()
        };
        self.set(target, Form::Json, &texts, rows)
    }
}

fn row_failed(row: usize, problem: SetProblem) -> RowFailed {
    RowFailed { row: u32::try_from(row).unwrap_or(u32::MAX), problem }
}

fn finish_edit(
    done: Option<Result<(), NotAnObject>>,
    row: usize,
    unchanged: &[u8],
    builder: &mut ColumnBuilder,
    failed: &mut Vec<RowFailed>,
) -> Result<(), ColumnTooLarge> {
    match done {
        Some(Ok(())) => {}
        None => builder.buffer().extend_from_slice(unchanged),
        Some(Err(_)) => {
            builder.buffer().extend_from_slice(unchanged);
            failed.push(row_failed(row, SetProblem::NoPlace));
        }
    }
    builder.finish_row()
}

/// Copies `bytes` with the spans replaced and moves the offsets accordingly. One linear pass checks
/// and copies.
fn splice(
    bytes: &[u8],
    offsets: &[u32],
    starts: &[u32],
    ends: &[u32],
    with: &Replacement,
) -> Result<(Vec<u8>, Vec<u32>), SpliceError> {
    if starts.len() != ends.len() || (with.0.rows() != 1 && with.0.rows() != starts.len()) {
        return Err(SpliceError::Span(starts.len().min(ends.len()).min(with.0.rows())));
    }
    let added: usize = with.0.byte_len() * if with.0.rows() == 1 { starts.len() } else { 1 };
    let mut out = Vec::with_capacity(bytes.len() + added);
    let mut new_offsets = Vec::with_capacity(offsets.len());
    new_offsets.push(0);
    let mut ends_of_rows = offsets.iter().skip(1).copied().peekable();
    let mut at = 0_u32;
    let position = |out: &Vec<u8>, at: u32, row_end: u32| {
        // The bytes after the last span of the row are not copied yet, but count for its offset.
        u32::try_from(out.len() + (row_end - at) as usize)
    };
    for (index, (&start, &end)) in starts.iter().zip(ends).enumerate() {
        let wrong = SpliceError::Span(index);
        while let Some(row_end) = ends_of_rows.next_if(|&row_end| row_end <= start && end > row_end) {
            new_offsets.push(position(&out, at, row_end).map_err(|_| wrong)?);
        }
        let row_end = *ends_of_rows.peek().ok_or(wrong)?;
        if start < at || end < start || end > row_end {
            return Err(wrong);
        }
        out.extend_from_slice(bytes.get(at as usize..start as usize).ok_or(wrong)?);
        out.extend_from_slice(with.text(index));
        at = end;
    }
    let last = SpliceError::Span(starts.len());
    for row_end in ends_of_rows {
        new_offsets.push(position(&out, at, row_end).map_err(|_| last)?);
    }
    out.extend_from_slice(bytes.get(at as usize..).ok_or(last)?);
    Ok((out, new_offsets))
}

/// The same rows without white space around the JSON. Copies no text.
fn without_white_space(values: &Column) -> Column {
    if values.iter().all(|text| text.trim_ascii().len() == text.len()) {
        return values.clone();
    }
    let trimmed = values.spans().iter().zip(values.iter()).map(|(span, text)| {
        // Neither can exceed the length of the span, which is a u32.
        let before = u32::try_from(text.len() - text.trim_ascii_start().len()).unwrap_or_default();
        let length = u32::try_from(text.trim_ascii().len()).unwrap_or_default();
        Span { start: span.start + before, end: span.start + before + length }
    });
    Column::from_spans(values.bytes().clone(), trimmed.collect()).unwrap_or_else(|| values.clone())
}
