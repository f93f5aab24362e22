//! The batch: columns of events that travel together under one acknowledgement.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use wattle_json::Kind;

use crate::ack::Ack;
use crate::column::{Column, ColumnBuilder, ColumnTooLarge, Span};
use crate::edit::set_value;
use crate::field::{FieldPath, Form, Root};
use crate::object::{Object, ValueColumn, find};
use crate::origin::{Failure, Origin};
use crate::timestamp::format_rfc3339;

/// How deep JSON may nest before it counts as invalid; the deepest CloudTrail record seen nests 20 levels.
pub const MAX_JSON_DEPTH: usize = 512;

/// Events in columns. Cloning the columns shares their buffers.
#[derive(Debug)]
pub struct Batch {
    body: Column,
    pub(crate) attributes: Object,
    pub(crate) resource: Object,
    timestamps: Option<Arc<[Option<i64>]>>,
    failures: Option<Arc<[Failure]>>,
    origin: Arc<Origin>,
    ack: Ack,
    /// Which JSON value each body is, once somebody asked.
    body_kinds: OnceLock<Arc<[u8]>>,
}

/// Why a row kept its fields when a decision was applied: the value had no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowFailed {
    /// Index of the row.
    pub row: u32,
}

/// Why spans cannot be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpliceError {
    /// The span of this index is out of order, out of bounds, or without a text.
    Span(usize),
    /// The value of this row, written as JSON, would be none afterwards.
    NotJson(usize),
    /// The column would exceed 4 GiB.
    TooLarge,
}

impl std::fmt::Display for SpliceError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Span(span) => write!(f, "span {span} is out of order or out of bounds"),
            Self::NotJson(row) => write!(f, "the value of row {row} would be no JSON any more"),
            Self::TooLarge => f.write_str("the column would exceed 4 GiB"),
        }
    }
}

impl std::error::Error for SpliceError {}

/// Why a split cannot be carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SplitError {
    /// Child of this index has a parent that does not exist or lies before its predecessor's.
    Parent(usize),
}

impl std::fmt::Display for SplitError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Parent(child) => write!(f, "the parent of child {child} does not exist or comes before the last one"),
        }
    }
}

impl std::error::Error for SplitError {}

/// Text for the spans of a replacement: one for all, or one for each.
#[derive(Clone, Debug)]
pub struct Replacement(pub Column);

impl Replacement {
    fn text(&self, span: usize) -> &[u8] {
        self.0.row(if self.0.rows() == 1 { 0 } else { span })
    }
}

impl Batch {
    /// A batch of fresh events.
    pub fn new(body: Column, origin: Arc<Origin>, ack: Ack) -> Self {
        let resource = Object::shared(&origin.resource);
        Self {
            body,
            attributes: Object::none(),
            resource,
            timestamps: None,
            failures: None,
            origin,
            ack,
            body_kinds: OnceLock::new(),
        }
    }

    /// Number of events.
    pub fn rows(&self) -> usize {
        self.body.rows()
    }

    /// Bytes of the bodies, the measure that limits use.
    pub fn byte_len(&self) -> usize {
        self.body.byte_len()
    }

    /// The bodies.
    pub fn body(&self) -> &Column {
        &self.body
    }

    /// Where the events came from.
    pub fn origin(&self) -> &Arc<Origin> {
        &self.origin
    }

    /// The acknowledgement of this batch.
    pub fn ack(&self) -> &Ack {
        &self.ack
    }

    /// Ends the batch and hands its acknowledgement on.
    pub fn into_ack(self) -> Ack {
        self.ack
    }

    /// The time of an event in nanoseconds since the epoch, if it has one of its own.
    pub fn timestamp(&self, row: usize) -> Option<i64> {
        *self.timestamps.as_ref()?.get(row)?
    }

    /// Why the row failed, on batches that left on a failure port.
    pub fn failure(&self, row: usize) -> Option<&Failure> {
        self.failures.as_ref()?.get(row)
    }

    /// Whether these rows failed at a node.
    pub fn is_failed(&self) -> bool {
        self.failures.is_some()
    }

    /// A further batch of the same events under a share of the acknowledgement.
    pub fn share(&self) -> Self {
        Self {
            body: self.body.clone(),
            attributes: self.attributes.clone(),
            resource: self.resource.clone(),
            timestamps: self.timestamps.clone(),
            failures: self.failures.clone(),
            origin: self.origin.clone(),
            ack: self.ack.share(),
            body_kinds: self.body_kinds.clone(),
        }
    }

    /// These rows, in this order, under a share of the acknowledgement. Copies no text.
    pub fn select(&self, rows: &[u32]) -> Self {
        let body_kinds = OnceLock::new();
        if let Some(kinds) = self.body_kinds.get() {
            let _ = body_kinds.set(rows.iter().map(|&r| kinds.get(r as usize).copied().unwrap_or(0)).collect());
        }
        Self { body_kinds, ..self.heirs(rows, self.body.select(rows)) }
    }

    /// The rows marked as failed for these reasons, one for each row.
    pub fn with_failures(mut self, failures: Vec<Failure>) -> Self {
        self.failures = Some(failures.into());
        self
    }

    /// As many rows with empty bodies and no attributes: what may be told of events that must not be seen.
    pub fn without_contents(self) -> Self {
        let rows = self.rows();
        let body = Column::from_spans(Bytes::new(), vec![Span::default(); rows]).unwrap_or_default();
        Self { body, attributes: Object::none(), body_kinds: OnceLock::new(), ..self }
    }

    /// New bodies for heirs of these rows, with everything else inherited.
    fn heirs(&self, parents: &[u32], body: Column) -> Self {
        let pick = |row: &u32| *row as usize;
        Self {
            body,
            attributes: self.attributes.select(parents),
            resource: self.resource.select(parents),
            timestamps: self
                .timestamps
                .as_ref()
                .map(|t| parents.iter().map(|p| t.get(pick(p)).copied().flatten()).collect()),
            failures: self.failures.as_ref().map(|f| parents.iter().filter_map(|p| f.get(pick(p)).cloned()).collect()),
            origin: self.origin.clone(),
            ack: self.ack.share(),
            body_kinds: OnceLock::new(),
        }
    }

    /// Which JSON value each body is: 0 where it is no valid JSON. Checked once and remembered.
    pub fn body_kinds(&self) -> &Arc<[u8]> {
        self.body_kinds.get_or_init(|| check_rows(self.body.iter()))
    }

    /// Which JSON value the text of a field is, as in [`body_kinds`](Self::body_kinds), 0 also where it is missing.
    pub fn check_json(&self, field: &FieldPath) -> Arc<[u8]> {
        if field.root == Root::Body && field.is_whole() {
            return self.body_kinds().clone();
        }
        let (bytes, offsets, kinds) = self.read(field, Form::Text);
        let rows = offsets.windows(2).map(|o| match *o {
            [start, end] => bytes.get(start as usize..end as usize).unwrap_or_default(),
            _ => &[],
        });
        let mut checked: Vec<u8> = check_rows(rows).to_vec();
        for (value, kind) in checked.iter_mut().zip(&kinds) {
            if *kind == 0 {
                *value = 0;
            }
        }
        checked.into()
    }

    /// A field of every row in this form: bytes, offsets and kinds as the guest contract describes them.
    pub fn read(&self, field: &FieldPath, form: Form) -> (Bytes, Vec<u32>, Vec<u8>) {
        if field.is_whole() && field.root == Root::Body {
            let (bytes, offsets) = self.body.to_contiguous();
            return (bytes, offsets, vec![Kind::String as u8; self.rows()]);
        }
        let values = self.project(&[field]).pop().unwrap_or_else(|| self.nothing());
        let kinds = values.kinds.to_vec();
        let (bytes, offsets) = match form {
            Form::Json => values.values.to_contiguous(),
            Form::Text => values.to_text(),
        };
        (bytes, offsets, kinds)
    }

    /// The JSON values of several fields. Fields of the same JSON text are found in one pass over it, and values that
    /// nobody changed are spans of that text, not copies. A whole body counts as a string.
    pub fn project(&self, fields: &[&FieldPath]) -> Vec<ValueColumn> {
        let mut out: Vec<Option<ValueColumn>> = fields.iter().map(|f| self.project_whole(f)).collect();
        for root in [Root::Body, Root::Attributes] {
            self.project_together(root, fields, &mut out);
        }
        out.into_iter().zip(fields).map(|(done, field)| done.unwrap_or_else(|| self.project_each(field))).collect()
    }

    /// Fields that need no search: whole roots, and attributes that a node set on every row.
    fn project_whole(&self, field: &FieldPath) -> Option<ValueColumn> {
        let object = match field.root {
            Root::Timestamp => {
                return Some(self.build_values(|row, out| {
                    let nanoseconds = self.timestamp(row)?;
                    out.push(b'"');
                    out.extend_from_slice(format_rfc3339(nanoseconds).as_bytes());
                    out.push(b'"');
                    Some(Kind::String)
                }));
            }
            Root::Body if field.is_whole() => return ValueColumn::from_text(&self.body, &[]).ok(),
            Root::Body => return None,
            Root::Attributes => &self.attributes,
            Root::Resource => &self.resource,
        };
        if field.is_whole() {
            return Some(self.build_values(|row, out| {
                object.is_present(row).then(|| {
                    object.write(row, out);
                    Kind::Object
                })
            }));
        }
        let column = object.full_overlay(field.head.as_deref()?)?;
        if field.tail.segments().is_empty() {
            return Some(column.clone());
        }
        None
    }

    /// Fields of one root whose text lies in one column without an overlay before it.
    fn project_together(&self, root: Root, fields: &[&FieldPath], out: &mut [Option<ValueColumn>]) {
        let texts = match root {
            Root::Body => &self.body,
            _ => match self.attributes.base_column() {
                Some(column) => column,
                None => return,
            },
        };
        let wanted: Vec<usize> = (0..fields.len())
            .filter(|&i| {
                let (Some(field), Some(None)) = (fields.get(i), out.get(i)) else { return false };
                let shadowed = root != Root::Body
                    && field.head.as_deref().is_none_or(|head| self.attributes.overlay(head).is_some());
                field.root == root && !shadowed
            })
            .collect();
        if wanted.is_empty() {
            return;
        }
        let paths: Vec<&wattle_json::Path> = wanted.iter().filter_map(|&i| fields.get(i)).map(|f| &f.below).collect();
        let mut columns: Vec<(Vec<Span>, Vec<u8>)> =
            wanted.iter().map(|_| (Vec::with_capacity(self.rows()), Vec::with_capacity(self.rows()))).collect();
        let mut found = vec![None; paths.len()];
        for (row, span) in texts.spans().iter().enumerate() {
            found.fill(None);
            if wattle_json::find_many(texts.row(row), &paths, &mut found).is_err() {
                found.fill(None);
            }
            for (value, (spans, kinds)) in found.iter().zip(&mut columns) {
                match value {
                    Some(value) => {
                        // Positions inside a row are less than its length, which fits.
                        let at = |position: usize| span.start + u32::try_from(position).unwrap_or(0);
                        spans.push(Span { start: at(value.start), end: at(value.end) });
                        kinds.push(value.kind as u8);
                    }
                    None => {
                        spans.push(Span::default());
                        kinds.push(0);
                    }
                }
            }
        }
        for (index, (spans, kinds)) in wanted.into_iter().zip(columns) {
            if let (Some(slot), Some(values)) = (out.get_mut(index), Column::from_spans(texts.bytes().clone(), spans)) {
                *slot = Some(ValueColumn { values, kinds: kinds.into() });
            }
        }
    }

    /// A field looked up row by row, through the overlay.
    fn project_each(&self, field: &FieldPath) -> ValueColumn {
        self.build_values(|row, out| {
            let (text, kind) = self.value(row, field)?;
            out.extend_from_slice(text);
            Some(kind)
        })
    }

    /// The JSON value of a field that is not a whole root.
    fn value(&self, row: usize, field: &FieldPath) -> Option<(&[u8], Kind)> {
        match (field.root, field.head.as_deref()) {
            (Root::Body, _) => find(self.body.row(row), &field.below),
            (Root::Attributes, Some(head)) => self.attributes.get(row, head, &field.tail, &field.below),
            (Root::Resource, Some(head)) => self.resource.get(row, head, &field.tail, &field.below),
            _ => None,
        }
    }

    fn build_values(&self, mut write: impl FnMut(usize, &mut Vec<u8>) -> Option<Kind>) -> ValueColumn {
        let mut builder = ColumnBuilder::with_capacity(0, self.rows());
        let mut kinds = Vec::with_capacity(self.rows());
        for row in 0..self.rows() {
            let kind = write(row, builder.buffer()).unwrap_or(Kind::Missing);
            kinds.push(kind as u8);
            if builder.finish_row().is_err() {
                return self.nothing();
            }
        }
        ValueColumn { values: builder.finish(), kinds: kinds.into() }
    }

    fn nothing(&self) -> ValueColumn {
        let rows = self.rows();
        let values = Column::from_spans(Bytes::new(), vec![Span::default(); rows]).unwrap_or_default();
        ValueColumn { values, kinds: vec![0; rows].into() }
    }

    /// Replaces spans of the text that [`read`](Self::read) gives for the body. `spans` must be sorted, must not
    /// overlap, and each must lie inside one row.
    ///
    /// # Errors
    ///
    /// The first span that breaks a rule; nothing is changed then.
    pub fn replace_body(&mut self, starts: &[u32], ends: &[u32], with: &Replacement) -> Result<(), SpliceError> {
        let (bytes, offsets) = self.body.to_contiguous();
        let (bytes, offsets) = splice(&bytes, &offsets, starts, ends, with)?;
        if let Some(column) = Column::from_offsets(bytes.into(), &offsets) {
            self.set_body_column(column);
        }
        Ok(())
    }

    /// Replaces spans of the column that [`read`](Self::read) gives for a field in this form.
    ///
    /// # Errors
    ///
    /// The first span that breaks a rule; nothing is changed then. Rows whose value has no place are returned.
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
        // Only rows with a span in them are set again.
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
                if kind != 0 && wattle_json::check(text, MAX_JSON_DEPTH).is_err() {
                    return Err(SpliceError::NotJson(row));
                }
            }
        }
        self.set(field, form, &column, &kinds).map_err(|_| SpliceError::TooLarge)
    }

    /// Sets a field of the rows whose kind is not 0 (all rows if `kinds` is empty). In form [`Form::Json`] the values
    /// must be valid JSON, which the caller has checked.
    ///
    /// Returns the rows in which the value had no place, because something on its path is not an object.
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
                Root::Timestamp => {}
            }
            return Ok(Vec::new());
        }
        let values = match form {
            Form::Text => ValueColumn::from_text(values, &present)?,
            Form::Json => {
                let kinds = values
                    .iter()
                    .zip(&present)
                    .map(
                        |(text, &p)| if p == 0 { 0 } else { text.first().map_or(0, |&b| Kind::of_first_byte(b) as u8) },
                    )
                    .collect();
                ValueColumn { values: values.clone(), kinds }
            }
        };
        self.set_values(field, values)
    }

    /// Sets a field that is not a whole root to JSON values.
    fn set_values(&mut self, field: &FieldPath, values: ValueColumn) -> Result<Vec<RowFailed>, ColumnTooLarge> {
        let mut failed = Vec::new();
        let (object, head) = match (field.root, field.head.as_deref()) {
            (Root::Attributes, Some(head)) => (&mut self.attributes, head),
            (Root::Resource, Some(head)) => (&mut self.resource, head),
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
        if field.tail.segments().is_empty() {
            object.set(head, values)?;
            return Ok(failed);
        }
        // A path inside an attribute: the attribute as a whole gets a new text.
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
        object.set(head, ValueColumn { values: builder.finish(), kinds: kinds.into() })?;
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

    /// Sets `target` of the marked rows to the JSON that the text of `source` holds. The caller has checked that text
    /// with [`check_json`](Self::check_json). Where both are whole roots, the text is shared, not copied.
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

    /// Sets the time of each row; the lowest value leaves a row as it is.
    pub fn set_timestamps(&mut self, nanoseconds: &[i64]) {
        let times = (0..self.rows()).map(|row| match nanoseconds.get(row) {
            Some(&i64::MIN) | None => self.timestamp(row),
            Some(&time) => Some(time),
        });
        self.timestamps = Some(times.collect());
    }

    /// The children of rows, each with a body of its own; they inherit everything else.
    ///
    /// # Errors
    ///
    /// A parent that does not exist, or the wrong number of bodies.
    pub fn split(&self, parents: &[u32], bodies: Column) -> Result<Self, SplitError> {
        self.check_parents(parents)?;
        if bodies.rows() != parents.len() {
            return Err(SplitError::Parent(parents.len().min(bodies.rows())));
        }
        Ok(self.heirs(parents, bodies))
    }

    /// Checks that parents exist and never decrease.
    ///
    /// # Errors
    ///
    /// The first parent that breaks the rule.
    pub fn check_parents(&self, parents: &[u32]) -> Result<(), SplitError> {
        let mut last = 0;
        for (index, &parent) in parents.iter().enumerate() {
            if parent < last || parent as usize >= self.rows() {
                return Err(SplitError::Parent(index));
            }
            last = parent;
        }
        Ok(())
    }
}

fn finish_edit(
    done: Option<Result<(), crate::edit::NotAnObject>>,
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
            failed.push(RowFailed { row: u32::try_from(row).unwrap_or(u32::MAX) });
        }
    }
    builder.finish_row()
}

fn check_rows<'r>(rows: impl Iterator<Item = &'r [u8]>) -> Arc<[u8]> {
    rows.map(|row| wattle_json::check(row, MAX_JSON_DEPTH).map_or(0, |kind| kind as u8)).collect()
}

/// Copies `bytes` with the spans replaced; offsets move along. One linear pass checks and copies.
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
        // Bytes between the last span and the end of the row are not copied yet.
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

#[cfg(test)]
mod tests;
