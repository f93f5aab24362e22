//! Writing what steps changed.

use wattle_document::Place;
use wattle_node::json::{self, Kind};
use wattle_node::{Batch, ColumnWriter, Field, Form};

use super::{BodyDocument, MAX_DEPTH, Rows};
use crate::field::{ROOTS, Root};
use crate::plan::Roots;
use crate::problem::Problem;

/// The new values of a root, and whether a row has one.
#[derive(Debug)]
struct Writer {
    values: ColumnWriter,
    has_values: bool,
}

/// The new values of the roots of a batch, in the order of [`Root::ALL`]; `None` for a root that no step
/// changes, and for the timestamp.
#[derive(Debug)]
pub(crate) struct Writers([Option<Writer>; ROOTS]);

impl Writers {
    /// Writers for roots that steps use, with room for about what was read.
    pub(crate) fn with_capacity(rows: &Rows, count: usize, roots: &Roots) -> Self {
        let mut writers = [const { None }; ROOTS];
        for (((writer, column), field), root) in
            writers.iter_mut().zip(&rows.columns.roots).zip(roots.fields).zip(Root::ALL)
        {
            if let (Some(column), Some(_), true) = (column, field, root != Root::Timestamp) {
                let bytes = column.bytes.len() + column.bytes.len() / 4;
                *writer = Some(Writer { values: ColumnWriter::with_capacity(bytes, count), has_values: false });
            }
        }
        Self(writers)
    }
}

/// Shorter texts cannot be too deep: each level takes a bracket on both sides.
pub(super) const MIN_TOO_DEEP: usize = 2 * (MAX_DEPTH + 1);

impl Rows {
    /// Appends the changed roots of all open rows.
    pub(crate) fn finish(&mut self, writers: &mut Writers) {
        for (root, writer) in Root::ALL.into_iter().zip(&mut writers.0) {
            if let Some(writer) = writer {
                (0..self.rows.len()).for_each(|row| self.finish_root(row, root, writer));
            }
        }
    }

    fn finish_root(&mut self, row: usize, root: Root, writer: &mut Writer) {
        let start = writer.values.bytes.len();
        let is_written = self.write_root(row, root, &mut writer.values.bytes);
        let written = writer.values.bytes.get(start..).unwrap_or_default();
        let is_too_deep = is_written
            && written.len() >= MIN_TOO_DEEP
            && self.rows.get(row).is_some_and(|row| row.is_deep)
            && (root != Root::Body
                || matches!(Kind::of_first_byte(*written.first().unwrap_or(&0)), Kind::Array | Kind::Object))
            && matches!(json::check(written, MAX_DEPTH), Err(error) if error.kind == json::ErrorKind::TooDeep);
        if is_too_deep {
            self.fail(row, Problem::TooDeep, root.name());
        }
        if is_written && !is_too_deep {
            writer.values.end_row();
            writer.has_values = true;
        } else {
            writer.values.bytes.truncate(start);
            writer.values.push_none();
        }
    }

    /// Appends a root of a row if a step changed it.
    fn write_root(&mut self, row: usize, root: Root, out: &mut Vec<u8>) -> bool {
        let Some(state) = self.rows.get(row).copied().filter(|state| state.is_alive) else { return false };
        let mut write = |rows: &Self, place: Place| {
            let is_changed = rows.documents.is_changed(place);
            if is_changed {
                rows.documents.write(place, out);
            }
            is_changed
        };
        match root {
            Root::Timestamp => false,
            Root::Body => {
                if let BodyDocument::Open(document) = state.document
                    && self.documents.is_changed(document)
                {
                    self.write_body(state.body, document, out);
                    return true;
                }
                let is_changed = self.documents.is_changed(state.body);
                if is_changed {
                    let text = self.documents.content(state.body);
                    out.extend_from_slice(self.documents.text(text, &mut self.memory));
                }
                is_changed
            }
            root => state.roots.get(root as usize).is_some_and(|place| write(self, *place)),
        }
    }

    /// Makes the decisions about the batch.
    pub(crate) fn decide(&mut self, batch: &mut Batch<'_>, fields: &[Option<Field>; ROOTS], writers: Writers) {
        for ((field, writer), root) in fields.iter().zip(writers.0).zip(Root::ALL) {
            if let (Some(field), Some(writer)) = (field, writer.filter(|writer| writer.has_values)) {
                let form = if root == Root::Body { Form::Text } else { Form::Json };
                batch.set(*field, form, writer.values);
            }
        }
        if self.times.iter().any(|time| *time != i64::MIN) {
            batch.set_timestamp(&self.times);
        }
        batch.fail(&self.reasons);
    }
}
