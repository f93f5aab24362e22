//! The children found in a batch, and the messages for rows that have none.

use memchr::memchr;
use wattle_node::json::{self, Kind, Path};
use wattle_node::{Batch, ChildSpans, ColumnWriter, Field, Form};

use crate::joined::Joined;
use crate::known::Known;
use crate::options::Options;
use crate::records::{Fault, Shapes};

/// The deepest JSON that the host accepts.
const MAX_JSON_DEPTH: usize = 512;

/// Children as spans of the column. Keeps its lists from batch to batch.
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
    /// Which children are broken parts, in order; these have no wrapper.
    broken: Vec<usize>,
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
        let (parents, starts, ends, strings) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { parents, starts, ends, prefix, suffix, strings, escaped: false, broken: Vec::new() }
    }

    pub(crate) fn clear(&mut self) {
        self.parents.clear();
        self.starts.clear();
        self.ends.clear();
        self.strings.clear();
        self.escaped = false;
        self.broken.clear();
    }

    /// Adds the records of a row whose text begins at `base`. On a fault it adds none.
    pub(crate) fn add(&mut self, row: usize, base: u32, text: &[u8], shapes: &Shapes) -> Result<(), Fault> {
        let before = self.parents.len();
        let wrapped = !self.prefix.is_empty();
        // Columns are smaller than 4 GiB, and there are fewer rows than bytes.
        let narrow = |position: usize| u32::try_from(position).unwrap_or(u32::MAX);
        let done = shapes.records(text, |record| {
            let (mut start, mut end) = (record.start, record.end);
            if !wrapped {
                let string = record.string(text);
                self.strings.push(string.is_some());
                if let Some(inner) = string {
                    start += 1;
                    end -= 1;
                    self.escaped |= memchr(b'\\', inner).is_some();
                }
            }
            self.starts.push(base + narrow(start));
            self.ends.push(base + narrow(end));
        });
        let done = match done {
            Err(Fault::NotJson(_) | Fault::MissingPath(_)) if shapes.salvages => {
                self.salvage(base, text, shapes, before, done)
            }
            done => done,
        };
        // If a part of a row is at fault, deliver nothing of the row.
        let keep = if done.is_ok() { self.starts.len() } else { before };
        self.parents.resize(keep, narrow(row));
        self.starts.truncate(keep);
        self.ends.truncate(keep);
        self.strings.truncate(keep);
        self.broken.retain(|&child| child < keep);
        done
    }

    /// Adds the records that follow a broken part. A row without any record fails as a whole.
    fn salvage(
        &mut self,
        base: u32,
        text: &[u8],
        shapes: &Shapes,
        before: usize,
        fault: Result<(), Fault>,
    ) -> Result<(), Fault> {
        let narrow = |position: usize| u32::try_from(position).unwrap_or(u32::MAX);
        // The brackets of a broken record can balance with those of its neighbours, so it may
        // include them.
        while let (Some(&start), Some(&end)) = (self.starts.get(before..).and_then(<[u32]>::last), self.ends.last()) {
            let found = text.get(start.saturating_sub(base) as usize..end.saturating_sub(base) as usize);
            if json::check(found.unwrap_or_default(), MAX_JSON_DEPTH).is_ok() {
                break;
            }
            self.starts.pop();
            self.ends.pop();
            self.strings.truncate(self.starts.len());
        }
        let last = self.ends.get(before..).and_then(|ends| ends.last().copied());
        let from = last.map_or(0, |end| end.saturating_sub(base) as usize);
        let (starts, ends, broken) = (&mut self.starts, &mut self.ends, &mut self.broken);
        let mut found: Vec<(usize, usize, bool)> = Vec::new();
        let pieces = std::cell::RefCell::new(&mut found);
        shapes.salvage(
            text,
            from,
            |record| pieces.borrow_mut().push((record.start, record.end, false)),
            |part| pieces.borrow_mut().push((part.start, part.end, true)),
        );
        if last.is_none() && found.iter().all(|(.., is_broken)| *is_broken) {
            return fault;
        }
        for (start, end, is_broken) in found {
            if is_broken {
                broken.push(starts.len());
            }
            starts.push(base + narrow(start));
            ends.push(base + narrow(end));
        }
        if self.prefix.is_empty() {
            self.strings.resize(self.starts.len(), false);
        }
        Ok(())
    }

    /// Passes the split to the host.
    pub(crate) fn split(&self, batch: &mut Batch<'_>, field: Field, bytes: &[u8]) {
        if !self.escaped && self.broken.is_empty() {
            let spans = ChildSpans { parents: &self.parents, starts: &self.starts, ends: &self.ends };
            return batch.split(field, Form::Text, spans, &self.prefix, self.suffix);
        }
        let mut bodies = ColumnWriter::with_capacity(bytes.len(), self.parents.len());
        let mut broken = self.broken.iter().copied().peekable();
        for (child, (&start, &end)) in self.starts.iter().zip(&self.ends).enumerate() {
            let body = bytes.get(start as usize..end as usize).unwrap_or_default();
            let is_broken = broken.next_if_eq(&child).is_some();
            let (prefix, suffix) = if is_broken { (&[][..], &[][..]) } else { (&*self.prefix, self.suffix) };
            bodies.bytes.extend_from_slice(prefix);
            match self.strings.get(child) {
                Some(true) => json::unescape_lossy(body, &mut bodies.bytes),
                _ => bodies.bytes.extend_from_slice(body),
            }
            bodies.bytes.extend_from_slice(suffix);
            bodies.end_row();
        }
        batch.split_into(&self.parents, bodies);
    }
}

fn with_article(kind: Kind) -> &'static str {
    match kind {
        Kind::Bool => "a boolean",
        Kind::Null => "null",
        Kind::Number => "a number",
        Kind::String => "a string",
        Kind::Array => "an array",
        _ => "an object",
    }
}

/// The messages for rows that fail.
pub(crate) struct Messages {
    from: String,
    paths: Vec<String>,
    missing: String,
}

impl Messages {
    pub(crate) fn new(options: &Options, paths: &[Path]) -> Self {
        let paths: Vec<String> = paths.iter().map(ToString::to_string).collect();
        let mut missing = format!("no array at `{}`", paths.join("` or `"));
        if let Some(single) = &options.single {
            missing += &format!(" and no key `{single}` at the root");
        }
        Self { from: options.from.clone(), paths, missing }
    }

    pub(crate) fn missing_field(&self) -> (&'static str, String) {
        ("missing-field", format!("the event has no field `{}`", self.from))
    }

    /// Code and message for a fault.
    pub(crate) fn of(&self, fault: &Fault, known: &Known, joined: Option<&Joined>) -> (&'static str, String) {
        let zip = |number: usize| joined.map(|joined| joined.zip_path(number)).unwrap_or_default();
        let from = &self.from;
        match fault {
            Fault::NotJson(error) => ("not-json", format!("`{from}` is not JSON: {error}")),
            Fault::Unsupported(number) => ("unsupported", known.message(*number).to_owned()),
            Fault::MissingPath(0) => ("missing-path", format!("`{from}` has {}", self.missing)),
            Fault::MissingPath(at) => {
                ("missing-path", format!("the value at byte {at} of `{from}` has {}", self.missing))
            }
            Fault::NotAnArray(number, kind) => {
                let path = self.paths.get(*number).map_or("$", String::as_str);
                ("not-an-array", format!("`{path}` in `{from}` is {}, not an array", with_article(*kind)))
            }
            Fault::NotAnArrayToZip(number, kind) => {
                let (path, kind) = (zip(*number), with_article(*kind));
                ("not-an-array", format!("`{path}` in `{from}` is {kind}, not an array"))
            }
            Fault::Lengths(number, records, length) => {
                let path = zip(*number);
                ("different-lengths", format!("`{from}` has {records} records, but {length} elements in `{path}`"))
            }
            Fault::NotAnObject(kind) => {
                let kind = with_article(*kind);
                ("not-an-object", format!("`{from}` has a record that is {kind} and takes no fields; set `into`"))
            }
            Fault::TooLarge(bytes) => (
                "too-large",
                format!("`{from}` has children of more than {bytes} bytes; remove large fields from `keep`"),
            ),
        }
    }
}
