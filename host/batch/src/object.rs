//! Attributes and resource of a batch: one JSON text per row, and an overlay of columns that nodes
//! set.
//!
//! Setting one attribute of every row costs one small column; the JSON text is neither parsed nor
//! copied. [`Object::write`] merges overlay and text when a sink writes the event.

use std::sync::Arc;

use bytes::Bytes;
use wattle_json::{Kind, Path};

use crate::batch::copy::own;
use crate::batch::merge::{PartRow, gather};
use crate::column::{Column, ColumnBuilder, ColumnTooLarge, Span};

/// A column of JSON values with their kinds; kind 0 means that the row has no value.
#[derive(Clone, Debug)]
pub struct ValueColumn {
    /// JSON texts, strings with their quotes.
    pub values: Column,
    /// [`Kind`] of each row.
    pub kinds: Arc<[u8]>,
}

impl ValueColumn {
    /// The value of a row, if it has one.
    pub fn get(&self, row: usize) -> Option<(&[u8], Kind)> {
        match Kind::from_u8(self.kinds.get(row).copied()?)? {
            Kind::Missing => None,
            kind => Some((self.values.row(row), kind)),
        }
    }

    /// Converts texts to JSON strings. Bytes that are not UTF-8 become U+FFFD. An empty `kinds`
    /// means that all rows have a value.
    pub fn from_text(text: &Column, kinds: &[u8]) -> Result<Self, ColumnTooLarge> {
        let mut builder = ColumnBuilder::with_capacity(text.byte_len() + 2 * text.rows(), text.rows());
        let mut out = Vec::with_capacity(text.rows());
        for (index, row) in text.iter().enumerate() {
            let present = kinds.get(index).is_none_or(|&k| k != 0);
            if present {
                write_string(row, builder.buffer());
            }
            builder.finish_row()?;
            out.push(if present { Kind::String as u8 } else { 0 });
        }
        Ok(Self { values: builder.finish(), kinds: out.into() })
    }

    /// Returns the values in text form as one buffer with offsets; strings are unquoted and
    /// unescaped.
    pub fn to_text(&self) -> (Bytes, Vec<u32>) {
        let mut builder = ColumnBuilder::with_capacity(self.values.byte_len(), self.values.rows());
        for row in 0..self.values.rows() {
            if let Some((text, kind)) = self.get(row) {
                write_text_form(text, kind, builder.buffer());
            }
            if builder.finish_row().is_err() {
                // Text form is never longer than the JSON, which fitted, so this cannot happen.
                break;
            }
        }
        builder.finish().to_contiguous()
    }

    fn select(&self, rows: &[u32]) -> Self {
        let kinds = rows.iter().map(|&r| self.kinds.get(r as usize).copied().unwrap_or(0)).collect();
        Self { values: self.values.select(rows), kinds }
    }
}

/// Writes a text as a JSON string.
pub(crate) fn write_string(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    wattle_json::escape(text, out);
    out.push(b'"');
}

/// Writes a JSON value in text form.
pub(crate) fn write_text_form(json: &[u8], kind: Kind, out: &mut Vec<u8>) {
    let inner = json.strip_prefix(b"\"").and_then(|j| j.strip_suffix(b"\""));
    match inner {
        Some(inner) if kind == Kind::String => {
            let before = out.len();
            if wattle_json::unescape(inner, out).is_err() {
                // A string with a lone surrogate or an invalid escape has no text form, so it stays
                // as it was written.
                out.truncate(before);
                out.extend_from_slice(inner);
            }
        }
        _ => out.extend_from_slice(json),
    }
}

#[derive(Clone, Debug)]
enum Base {
    None,
    /// One object for every row.
    Shared(Bytes),
    /// One object per row; an empty row has none.
    Rows(Column),
}

/// The attributes, or the resource, of all rows.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    base: Base,
    overlay: Vec<(Box<str>, ValueColumn)>,
}

impl Object {
    pub(crate) fn none() -> Self {
        Self { base: Base::None, overlay: Vec::new() }
    }

    /// Whether no row has an object.
    pub(crate) fn is_none(&self) -> bool {
        matches!(self.base, Base::None) && self.overlay.is_empty()
    }

    pub(crate) fn shared(text: &str) -> Self {
        Self { base: Base::Shared(Bytes::copy_from_slice(text.as_bytes())), overlay: Vec::new() }
    }

    pub(crate) fn select(&self, rows: &[u32]) -> Self {
        let base = match &self.base {
            Base::Rows(column) => Base::Rows(column.select(rows)),
            other => other.clone(),
        };
        Self { base, overlay: self.overlay.iter().map(|(k, v)| (k.clone(), v.select(rows))).collect() }
    }

    /// The same in buffers of its own.
    pub(crate) fn owned(&self) -> Result<Self, ColumnTooLarge> {
        let base = match &self.base {
            Base::None => Base::None,
            Base::Shared(text) => Base::Shared(Bytes::copy_from_slice(text)),
            Base::Rows(column) => Base::Rows(own(column)?),
        };
        let overlay = self.overlay.iter().map(|(name, column)| {
            Ok((name.clone(), ValueColumn { values: own(&column.values)?, kinds: column.kinds.clone() }))
        });
        Ok(Self { base, overlay: overlay.collect::<Result<_, ColumnTooLarge>>()? })
    }

    /// Approximate memory of an object that shares no buffer, in bytes.
    pub(crate) fn held_bytes(&self) -> usize {
        let base = match &self.base {
            Base::None => 0,
            Base::Shared(text) => text.len(),
            Base::Rows(column) => column.held_bytes(),
        };
        let column = |(name, column): &(Box<str>, ValueColumn)| {
            size_of::<(Box<str>, ValueColumn)>() + name.len() + column.values.held_bytes() + column.kinds.len()
        };
        base + self.overlay.iter().map(column).sum::<usize>()
    }

    /// The rows of several objects in this order.
    pub(crate) fn gather(parts: &[&Self], order: &[PartRow]) -> Result<Self, ColumnTooLarge> {
        let base = match parts {
            _ if parts.iter().all(|part| matches!(part.base, Base::None)) => Base::None,
            [Self { base: Base::Shared(first), .. }, others @ ..]
                if others.iter().all(|o| matches!(&o.base, Base::Shared(text) if text.as_ptr() == first.as_ptr())) =>
            {
                Base::Shared(first.clone())
            }
            _ => {
                let columns: Option<Vec<&Column>> = parts.iter().map(|part| part.base_column()).collect();
                match columns {
                    Some(columns) => Base::Rows(gather(&columns, order)?),
                    None => Base::Rows(Column::from_rows(
                        order.iter().map(|&(part, row)| parts.get(part).map_or(&[][..], |part| part.base(row))),
                    )?),
                }
            }
        };
        let mut names: Vec<&Box<str>> = Vec::new();
        for (name, _) in parts.iter().flat_map(|part| &part.overlay) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let overlay = names.into_iter().map(|name| {
            let columns: Vec<Option<&ValueColumn>> = parts.iter().map(|part| part.overlay(name)).collect();
            let column = |part: usize| columns.get(part).copied().flatten();
            let kind = |&(part, row): &PartRow| column(part).and_then(|c| c.kinds.get(row)).copied().unwrap_or(0);
            let kinds = order.iter().map(kind).collect();
            let whole: Option<Vec<&Column>> = columns.iter().map(|column| column.map(|c| &c.values)).collect();
            let values = match whole {
                Some(columns) => gather(&columns, order)?,
                None => Column::from_rows(
                    order.iter().map(|&(part, row)| column(part).map_or(&[][..], |column| column.values.row(row))),
                )?,
            };
            Ok((name.clone(), ValueColumn { values, kinds }))
        });
        Ok(Self { base, overlay: overlay.collect::<Result<_, ColumnTooLarge>>()? })
    }

    /// The overlay column of an attribute, if a node set it on every row.
    pub(crate) fn full_overlay(&self, key: &str) -> Option<&ValueColumn> {
        self.overlay(key).filter(|c| c.kinds.iter().all(|&k| k != 0))
    }

    pub(crate) fn overlay(&self, key: &str) -> Option<&ValueColumn> {
        self.overlay.iter().find(|(k, _)| **k == *key).map(|(_, v)| v)
    }

    /// The texts of all rows, if there is no overlay.
    pub(crate) fn base_column(&self) -> Option<&Column> {
        match &self.base {
            Base::Rows(column) => Some(column),
            _ => None,
        }
    }

    /// The JSON text of a row's object without the overlay; empty if the row has no object.
    pub(crate) fn base(&self, row: usize) -> &[u8] {
        match &self.base {
            Base::None => &[],
            Base::Shared(bytes) => bytes,
            Base::Rows(column) => column.row(row),
        }
    }

    /// Looks up `key`, then `tail` below it, in one row.
    pub(crate) fn get(&self, row: usize, key: &str, tail: &Path, below: &Path) -> Option<(&[u8], Kind)> {
        if let Some((text, kind)) = self.overlay(key).and_then(|c| c.get(row)) {
            return if tail.segments().is_empty() { Some((text, kind)) } else { find(text, tail) };
        }
        find(self.base(row), below)
    }

    /// Sets one attribute in the rows that have a value.
    pub(crate) fn set(&mut self, key: &str, values: ValueColumn) -> Result<(), ColumnTooLarge> {
        let all = values.kinds.iter().all(|&k| k != 0);
        let Some((_, old)) = self.overlay.iter_mut().find(|(k, _)| **k == *key) else {
            self.overlay.push((key.into(), values));
            return Ok(());
        };
        if all {
            *old = values;
            return Ok(());
        }
        let mut builder = ColumnBuilder::with_capacity(old.values.byte_len(), old.values.rows());
        let mut kinds = Vec::with_capacity(old.values.rows());
        for row in 0..old.values.rows() {
            let (text, kind) = values.get(row).or_else(|| old.get(row)).unwrap_or((&[], Kind::Missing));
            builder.push(text)?;
            kinds.push(kind as u8);
        }
        *old = ValueColumn { values: builder.finish(), kinds: kinds.into() };
        Ok(())
    }

    /// Removes an attribute from the rows in which a node set it to `null`.
    pub(crate) fn drop_null(&mut self, key: &str) {
        let null = Kind::Null as u8;
        if let Some((_, column)) =
            self.overlay.iter_mut().find(|(k, column)| **k == *key && column.kinds.contains(&null))
        {
            column.kinds = column.kinds.iter().map(|&kind| if kind == null { 0 } else { kind }).collect();
        }
    }

    /// Replaces the whole object, including the overlay, of the rows in `which`.
    pub(crate) fn set_whole(&mut self, texts: &Column, which: &[u8]) -> Result<(), ColumnTooLarge> {
        if which.iter().all(|&w| w != 0) {
            *self = Self { base: Base::Rows(texts.clone()), overlay: Vec::new() };
            return Ok(());
        }
        let is_set = |row: usize| which.get(row).is_some_and(|&w| w != 0);
        if matches!(self.base, Base::None) {
            let spans: Vec<Span> =
                texts.spans().iter().enumerate().map(|(i, s)| if is_set(i) { *s } else { Span::default() }).collect();
            if let Some(column) = Column::from_spans(texts.bytes().clone(), spans) {
                self.base = Base::Rows(column);
            }
        } else {
            let mut builder = ColumnBuilder::with_capacity(texts.byte_len(), texts.rows());
            for row in 0..texts.rows() {
                builder.push(if is_set(row) { texts.row(row) } else { self.base(row) })?;
            }
            self.base = Base::Rows(builder.finish());
        }
        for (_, column) in &mut self.overlay {
            let kinds = column.kinds.iter().enumerate().map(|(i, &k)| if is_set(i) { 0 } else { k }).collect();
            column.kinds = kinds;
        }
        Ok(())
    }

    /// Whether the row has an object.
    pub(crate) fn is_present(&self, row: usize) -> bool {
        !self.base(row).is_empty() || self.overlay.iter().any(|(_, c)| c.get(row).is_some())
    }

    /// Estimates the size of [`write`](Self::write) for a row; never too low.
    pub(crate) fn byte_len(&self, row: usize) -> usize {
        let overlay = self.overlay.iter().filter_map(|(key, column)| Some(key.len() + 4 + column.get(row)?.0.len()));
        self.base(row).len() + 2 + overlay.sum::<usize>()
    }

    /// Writes the row's object as compact JSON; `{}` if the row has no object. Existing keys keep
    /// their order, new keys follow.
    pub(crate) fn write(&self, row: usize, out: &mut Vec<u8>) {
        let base = self.base(row);
        let set: Vec<(&str, &[u8])> =
            self.overlay.iter().filter_map(|(k, c)| c.get(row).map(|(text, _)| (&**k, text))).collect();
        if set.is_empty() {
            if base.is_empty() {
                out.extend_from_slice(b"{}")
            } else {
                write_line(base, out)
            }
            return;
        }
        out.push(b'{');
        let mut comma = false;
        let mut separate = |out: &mut Vec<u8>| {
            if std::mem::replace(&mut comma, true) {
                out.push(b',');
            }
        };
        let root = wattle_json::skip(base, 0).ok();
        // The text was checked when it was set, so this cannot fail.
        let _ = root.map(|root| {
            wattle_json::members(base, root, |key, value| {
                let name = decoded(key.text(base));
                if !set.iter().any(|(k, _)| k.as_bytes() == &*name) {
                    separate(out);
                    write_line(key.text(base), out);
                    out.push(b':');
                    write_line(value.text(base), out);
                }
            })
        });
        for (key, text) in set {
            separate(out);
            write_string(key.as_bytes(), out);
            out.push(b':');
            write_line(text, out);
        }
        out.push(b'}');
    }
}

/// Writes JSON without line breaks.
pub(crate) fn write_line(json: &[u8], out: &mut Vec<u8>) {
    if json.iter().any(|&b| b == b'\n' || b == b'\r') {
        wattle_json::minify(json, out);
    } else {
        out.extend_from_slice(json);
    }
}

/// The content of a JSON string.
fn decoded(string: &[u8]) -> std::borrow::Cow<'_, [u8]> {
    let inner = string.strip_prefix(b"\"").and_then(|s| s.strip_suffix(b"\"")).unwrap_or(string);
    if !inner.contains(&b'\\') {
        return inner.into();
    }
    let mut out = Vec::with_capacity(inner.len());
    write_text_form(string, Kind::String, &mut out);
    out.into()
}

/// Finds a path in a JSON text; text that is not JSON has no fields.
pub(crate) fn find<'t>(text: &'t [u8], path: &Path) -> Option<(&'t [u8], Kind)> {
    let value = wattle_json::find(text, path).ok()??;
    Some((value.text(text), value.kind))
}
