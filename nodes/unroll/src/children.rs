//! The children found in a batch.

use memchr::memchr;
use wattle_node::json::{self, Value};
use wattle_node::{Batch, ChildSpans, ColumnWriter, Field, Form};

use crate::records::{Fault, Found, Shapes};
use crate::salvage::Piece;

/// The deepest JSON that the host accepts.
pub(crate) const MAX_JSON_DEPTH: usize = 512;

/// Children as spans of the column, or of `decoded`. Keeps its lists from batch to batch.
#[derive(Default)]
pub(crate) struct Children {
    parents: Vec<u32>,
    starts: Vec<u32>,
    ends: Vec<u32>,
    prefix: Vec<u8>,
    suffix: &'static [u8],
    /// Which children are strings without a wrapper; empty if children are wrapped.
    strings: Vec<bool>,
    /// Whether some of those strings contain escapes, so spans are not sufficient.
    escaped: bool,
    /// Which children leave unchanged, without the wrapper, in order, and on which port.
    unchanged: Vec<(usize, u8)>,
    /// How many rows leave as they are, because there is no path and no rule for them.
    whole_rows: usize,
    /// Size of the column. Spans after it are of `decoded`.
    column: usize,
    /// The children that are not in the column, because they were inside strings.
    pub(super) decoded: Vec<u8>,
    /// Memory for strings that are being decoded, one for each level.
    pub(super) levels: Vec<Vec<u8>>,
    /// Bytes that compressed values of the row may still decode to.
    pub(super) room: usize,
    /// The first fault in a document inside the row.
    fault: Option<Fault>,
    /// How many children are broken parts.
    broken: usize,
    /// The rules that dropped documents of the row.
    pub(super) drops: Vec<usize>,
    /// Rows of which nothing is left but drops, and the rule of the first.
    dropped_rows: Vec<(u32, usize)>,
    /// How many documents each rule dropped from rows that have children.
    dropped_parts: Vec<u64>,
}

/// How far the lists are, to take back what came later.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    children: usize,
    unchanged: usize,
    decoded: usize,
    drops: usize,
    broken: usize,
}

/// A column is smaller than 4 GiB, and so is the memory of a guest.
fn narrow(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
}

impl Children {
    pub(crate) fn new(into: Option<&str>) -> Self {
        let mut prefix = Vec::new();
        if let Some(key) = into {
            prefix.extend_from_slice(b"{\"");
            json::escape(key.as_bytes(), &mut prefix);
            prefix.extend_from_slice(b"\":");
        }
        let suffix: &[u8] = if into.is_some() { b"}" } else { b"" };
        Self { prefix, suffix, ..Self::default() }
    }

    /// Forgets the batch before, and begins one with a column of this size.
    pub(crate) fn begin(&mut self, column: usize) {
        self.parents.clear();
        self.starts.clear();
        self.ends.clear();
        self.strings.clear();
        self.escaped = false;
        self.unchanged.clear();
        self.whole_rows = 0;
        self.column = column;
        self.decoded.clear();
        self.broken = 0;
        self.dropped_rows.clear();
        self.dropped_parts.clear();
    }

    pub(super) fn mark(&self) -> Mark {
        Mark {
            children: self.starts.len(),
            unchanged: self.unchanged.len(),
            decoded: self.decoded.len(),
            drops: self.drops.len(),
            broken: self.broken,
        }
    }

    pub(super) fn take_back(&mut self, mark: Mark) {
        self.starts.truncate(mark.children);
        self.ends.truncate(mark.children);
        self.strings.truncate(mark.children);
        self.unchanged.truncate(mark.unchanged);
        self.decoded.truncate(mark.decoded);
        self.drops.truncate(mark.drops);
        self.broken = mark.broken;
    }

    /// Adds the records of a row whose text begins at `base`. On a fault it adds none.
    pub(crate) fn add(&mut self, row: usize, base: u32, text: &[u8], shapes: &Shapes) -> Result<(), Fault> {
        self.drops.clear();
        self.fault = None;
        self.room = crate::nested::MAX_DECODED_BYTES;
        let before = self.mark();
        let mut done = match shapes.passes(text) {
            true => {
                self.whole_rows += 1;
                self.push_unchanged(Some(base), text, 0, text.len(), 0);
                Ok(())
            }
            false => self.walk(Some(base), text, shapes, 0),
        };
        if shapes.salvages && matches!(done, Err(Fault::NotJson(_) | Fault::MissingPath(_))) {
            done = self.salvage(base, text, shapes, before, done);
        }
        // Such a string is what a node with `broken` leaves of a value that it could not decode.
        if !shapes.salvages
            && matches!(done, Err(Fault::MissingPath(_)))
            && let Some(fault) = self.undecodable(text, shapes)
        {
            done = Err(fault);
        }
        // A row of which nothing is good fails as a whole, with the reason of its first part.
        if done.is_ok()
            && let Some(fault) = self.fault.take()
            && (!shapes.salvages || self.is_all_broken(before))
        {
            done = Err(fault);
        }
        // If a part of a row is at fault, deliver nothing of the row.
        if done.is_err() {
            self.take_back(before);
        }
        self.parents.resize(self.starts.len(), narrow(row));
        match (self.drops.first(), self.starts.len() > before.children) {
            (Some(&rule), false) => self.dropped_rows.push((narrow(row), rule)),
            (Some(_), true) => {
                for &rule in &self.drops {
                    if self.dropped_parts.len() <= rule {
                        self.dropped_parts.resize(rule + 1, 0);
                    }
                    if let Some(count) = self.dropped_parts.get_mut(rule) {
                        *count += 1;
                    }
                }
            }
            (None, _) => {}
        }
        done
    }

    fn is_all_broken(&self, before: Mark) -> bool {
        self.drops.is_empty() && self.starts.len() - before.children == self.broken - before.broken
    }

    /// Adds what is in a text: at `base` of the column, or `None` for one that was decoded.
    pub(super) fn walk(&mut self, base: Option<u32>, text: &[u8], shapes: &Shapes, depth: usize) -> Result<(), Fault> {
        let wrapped = !self.prefix.is_empty();
        let mut fault = None;
        shapes.records(text, |found| match found {
            Found::Record(record) => match self.push_record(base, text, record, wrapped) {
                Ok(()) => {}
                Err(broken) if shapes.salvages => self.push_broken(base, text, record, shapes, broken),
                Err(broken) => fault = fault.take().or(Some(broken)),
            },
            other => self.add_nested(base, text, other, shapes, depth),
        })?;
        fault.map_or(Ok(()), Err)
    }

    /// Adds a record. A string that loses its quotes must be one that has a text.
    #[inline]
    fn push_record(&mut self, base: Option<u32>, text: &[u8], record: Value, wrapped: bool) -> Result<(), Fault> {
        let (mut start, mut end) = (record.start, record.end);
        if !wrapped {
            let string = record.string(text);
            if let Some(inner) = string {
                start += 1;
                end -= 1;
                if memchr(b'\\', inner).is_some() {
                    self.check_escapes(inner, start)?;
                    self.escaped = true;
                }
            }
            self.strings.push(string.is_some());
        }
        self.push_span(base, text, start, end);
        Ok(())
    }

    /// Checks the escapes of a string that begins at `start`: half of a surrogate pair has no text.
    fn check_escapes(&mut self, inner: &[u8], start: usize) -> Result<(), Fault> {
        let mut plain = self.levels.pop().unwrap_or_default();
        plain.clear();
        let checked = json::unescape(inner, &mut plain);
        self.levels.push(plain);
        checked.map_err(|error| Fault::NotJson(json::Error { offset: start + error.offset, ..error }))
    }

    #[inline]
    fn push_span(&mut self, base: Option<u32>, text: &[u8], start: usize, end: usize) {
        let base = base.unwrap_or_else(|| {
            // Position 0 of the text, as if it were in `decoded` as a whole.
            let place = self.column + self.decoded.len();
            self.decoded.extend_from_slice(text.get(start..end).unwrap_or_default());
            narrow(place).wrapping_sub(narrow(start))
        });
        self.starts.push(base.wrapping_add(narrow(start)));
        self.ends.push(base.wrapping_add(narrow(end)));
    }

    /// Adds a child that leaves on a port as it is.
    pub(super) fn push_unchanged(&mut self, base: Option<u32>, text: &[u8], start: usize, end: usize, port: u8) {
        self.unchanged.push((self.starts.len(), port));
        if self.prefix.is_empty() {
            self.strings.push(false);
        }
        self.push_span(base, text, start, end);
    }

    /// Adds a part that nothing can be done with, and remembers why.
    pub(super) fn push_broken(&mut self, base: Option<u32>, text: &[u8], value: Value, shapes: &Shapes, fault: Fault) {
        self.fault.get_or_insert(fault);
        if shapes.salvages {
            self.push_unchanged(base, text, value.start, value.end, shapes.broken_port);
            self.broken += 1;
        }
    }

    /// Whether the row fails in any case, so that the rest of it does not matter.
    pub(super) fn is_lost(&self, shapes: &Shapes) -> bool {
        self.fault.is_some() && !shapes.salvages
    }

    /// Adds the records that follow a broken part. A row without any record fails as a whole.
    fn salvage(
        &mut self,
        base: u32,
        text: &[u8],
        shapes: &Shapes,
        before: Mark,
        fault: Result<(), Fault>,
    ) -> Result<(), Fault> {
        if self.unchanged.len() > before.unchanged || self.decoded.len() > before.decoded || !self.drops.is_empty() {
            // The end of the last child does not say how far the text was read.
            self.take_back(before);
        }
        // The brackets of a broken record can balance with those of its neighbours, so it may
        // include them.
        while let (Some(&start), Some(&end)) =
            (self.starts.get(before.children..).and_then(<[u32]>::last), self.ends.last())
        {
            let found = text.get(start.saturating_sub(base) as usize..end.saturating_sub(base) as usize);
            if json::check(found.unwrap_or_default(), MAX_JSON_DEPTH).is_ok() {
                break;
            }
            self.starts.pop();
            self.ends.pop();
            self.strings.truncate(self.starts.len());
        }
        let last = self.ends.get(before.children..).and_then(|ends| ends.last().copied());
        let from = last.map_or(0, |end| end.saturating_sub(base) as usize);
        let mut pieces = Vec::new();
        shapes.salvage(text, from, |piece| pieces.push(piece));
        if last.is_none() && pieces.iter().all(|piece| matches!(piece, Piece::Broken(_))) {
            return fault;
        }
        if let Err(fault) = fault {
            self.fault.get_or_insert(fault);
        }
        for piece in pieces {
            match piece {
                Piece::Found(Found::Record(record)) => {
                    if let Err(broken) = self.push_record(Some(base), text, record, !self.prefix.is_empty()) {
                        self.push_broken(Some(base), text, record, shapes, broken);
                    }
                }
                Piece::Found(other) => self.add_nested(Some(base), text, other, shapes, 0),
                Piece::Broken(part) => {
                    self.push_unchanged(Some(base), text, part.start, part.end, shapes.broken_port);
                    self.broken += 1;
                }
            }
        }
        Ok(())
    }

    /// Passes the children to the host.
    pub(crate) fn split(&self, batch: &mut Batch<'_>, field: Field, bytes: &[u8]) {
        if !self.escaped && self.unchanged.is_empty() && self.decoded.is_empty() {
            let spans = ChildSpans { parents: &self.parents, starts: &self.starts, ends: &self.ends };
            return batch.split(field, Form::Text, spans, &self.prefix, self.suffix);
        }
        let mut bodies = ColumnWriter::with_capacity(bytes.len() + self.decoded.len(), self.parents.len());
        let mut unchanged = self.unchanged.iter().copied().peekable();
        let mut ports = Vec::new();
        for (child, (&start, &end)) in self.starts.iter().zip(&self.ends).enumerate() {
            let (start, end) = (start as usize, end as usize);
            let body = match start.checked_sub(self.column) {
                Some(from) => self.decoded.get(from..end - self.column),
                None => bytes.get(start..end),
            };
            let body = body.unwrap_or_default();
            let own = unchanged.next_if(|(number, _)| *number == child);
            let (prefix, suffix) = if own.is_some() { (&[][..], &[][..]) } else { (&*self.prefix, self.suffix) };
            bodies.bytes.extend_from_slice(prefix);
            match self.strings.get(child) {
                Some(true) => json::unescape_lossy(body, &mut bodies.bytes),
                _ => bodies.bytes.extend_from_slice(body),
            }
            bodies.bytes.extend_from_slice(suffix);
            bodies.end_row();
            ports.push(own.map_or(0, |(_, port)| port));
        }
        batch.split_into(&self.parents, bodies);
        if ports.iter().any(|port| *port != 0) {
            batch.route(&ports);
        }
    }

    /// Whether every row of the batch leaves as it is.
    pub(crate) fn is_unchanged(&self, rows: usize) -> bool {
        self.whole_rows == rows
    }

    /// Drops the rows of which nothing is left, and counts the documents dropped from others.
    pub(crate) fn drop_documents(&self, batch: &mut Batch<'_>, shapes: &Shapes) {
        let mut rows = self.dropped_rows.clone();
        // Rules can have the same reason.
        rows.sort_by_key(|(row, rule)| (shapes.rules.reason(*rule), *row));
        for same in rows.chunk_by(|a, b| shapes.rules.reason(a.1) == shapes.rules.reason(b.1)) {
            let reason = same.first().map_or("", |(_, rule)| shapes.rules.reason(*rule));
            batch.drop_rows(&same.iter().map(|(row, _)| *row).collect::<Vec<_>>(), reason);
        }
        for (rule, &count) in self.dropped_parts.iter().enumerate() {
            batch.count(shapes.rules.reason(rule), count);
        }
    }
}
