//! Reads a batch: finds fields in the text on demand and returns them as columns.

use std::sync::Arc;

use bytes::Bytes;
use wattle_json::Kind;

use super::{Batch, MAX_JSON_DEPTH};
use crate::column::{Column, ColumnBuilder, Span};
use crate::field::{FieldPath, Form, Root};
use crate::object::{ValueColumn, find};
use crate::timestamp::format_rfc3339;

impl Batch {
    /// The JSON kind of each body; 0 if it is not valid JSON. The batch checks once and keeps the
    /// result.
    pub fn body_kinds(&self) -> &Arc<[u8]> {
        self.body_kinds.get_or_init(|| {
            let kind = |(row, text): (usize, &[u8])| match self.body.is_known(row) {
                true => text.first().map_or(0, |&byte| Kind::of_first_byte(byte) as u8),
                false => check_row(text),
            };
            self.body.iter().enumerate().map(kind).collect()
        })
    }

    /// The JSON kind of the text of a field, as in [`body_kinds`](Self::body_kinds); 0 also if the
    /// field is missing.
    pub fn check_json(&self, field: &FieldPath) -> Arc<[u8]> {
        if field.root == Root::Body && field.is_whole() {
            return self.body_kinds().clone();
        }
        let (bytes, offsets, kinds) = self.read(field, Form::Text);
        let rows = offsets.windows(2).map(|o| match *o {
            [start, end] => bytes.get(start as usize..end as usize).unwrap_or_default(),
            _ => &[],
        });
        let mut checked: Vec<u8> = rows.map(check_row).collect();
        for (value, kind) in checked.iter_mut().zip(&kinds) {
            if *kind == 0 {
                *value = 0;
            }
        }
        checked.into()
    }

    /// A field of every row in this form: bytes, offsets and kinds in the layout of the guest
    /// contract.
    pub fn read(&self, field: &FieldPath, form: Form) -> (Bytes, Vec<u32>, Vec<u8>) {
        if field.is_whole() && field.root == Root::Body {
            let (bytes, offsets) = self.body.to_contiguous();
            return (bytes, offsets, vec![Kind::String as u8; self.rows()]);
        }
        // `project` returns one column per field, so the default is never used.
        let values = self.project(&[field]).pop().unwrap_or_else(|| self.nothing());
        let kinds = values.kinds.to_vec();
        let (bytes, offsets) = match form {
            Form::Json => values.values.to_contiguous(),
            Form::Text => values.to_text(),
        };
        (bytes, offsets, kinds)
    }

    /// The JSON values of several fields. One pass over a JSON text finds all its fields; unchanged
    /// values are spans of that text, not copies. A whole body counts as a string.
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
                // As in the output: an event whose time no node set has the time at which it was read.
                let observed = self.origin().observed;
                let mut last = (observed, format_rfc3339(observed));
                return Some(self.build_values(|row, out| {
                    let nanoseconds = self.timestamp(row).unwrap_or(observed);
                    if nanoseconds != last.0 {
                        last = (nanoseconds, format_rfc3339(nanoseconds));
                    }
                    out.push(b'"');
                    out.extend_from_slice(last.1.as_bytes());
                    out.push(b'"');
                    Some(Kind::String)
                }));
            }
            Root::Body if field.is_whole() => return ValueColumn::from_text(&self.body, &[]).ok(),
            Root::Body => return None,
            Root::Attributes => &self.attributes,
            Root::Resource => &self.resource,
            Root::Context => &self.context,
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

    /// Fields of one root whose text lies in one column without an overlay.
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
                // An overlay hides the text below it, so such a field is looked up row by row.
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
                // A text that is not JSON has no fields, not even those before the error.
                found.fill(None);
            }
            for (value, (spans, kinds)) in found.iter().zip(&mut columns) {
                match value {
                    Some(value) => {
                        // A position inside a row is less than its length, which is a u32.
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

    /// Looks up a field row by row, through the overlay.
    fn project_each(&self, field: &FieldPath) -> ValueColumn {
        self.build_values(|row, out| {
            let (text, kind) = self.value(row, field)?;
            out.extend_from_slice(text);
            Some(kind)
        })
    }

    /// The JSON value of a field below a root.
    fn value(&self, row: usize, field: &FieldPath) -> Option<(&[u8], Kind)> {
        match (field.root, field.head.as_deref()) {
            (Root::Body, _) => find(self.body.row(row), &field.below),
            (Root::Attributes, Some(head)) => self.attributes.get(row, head, &field.tail, &field.below),
            (Root::Resource, Some(head)) => self.resource.get(row, head, &field.tail, &field.below),
            (Root::Context, Some(head)) => self.context.get(row, head, &field.tail, &field.below),
            _ => None,
        }
    }

    fn build_values(&self, mut write: impl FnMut(usize, &mut Vec<u8>) -> Option<Kind>) -> ValueColumn {
        let mut builder = ColumnBuilder::with_capacity(0, self.rows());
        let mut kinds = Vec::with_capacity(self.rows());
        for row in 0..self.rows() {
            let kind = write(row, builder.buffer()).unwrap_or(Kind::Missing);
            kinds.push(kind as u8);
            // The column would exceed 4 GiB: treat the field as missing in all rows.
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
}

fn check_row(text: &[u8]) -> u8 {
    wattle_json::check(text, MAX_JSON_DEPTH).map_or(0, |kind| kind as u8)
}
