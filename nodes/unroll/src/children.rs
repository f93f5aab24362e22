//! The children found in a batch, and what is said about rows that have none.

use memchr::memchr;
use wattle_node::json::{self, Kind, Path};
use wattle_node::{Batch, ChildSpans, ColumnWriter, Field, Form};

use crate::options::Options;
use crate::records::{Fault, Shapes};

/// Children as spans of the column that was read; the lists are kept from batch to batch.
pub(crate) struct Children {
    parents: Vec<u32>,
    starts: Vec<u32>,
    ends: Vec<u32>,
    prefix: Vec<u8>,
    suffix: &'static [u8],
    /// Which children are strings that stand for themselves; empty where children are wrapped.
    strings: Vec<bool>,
    /// Some of those strings hold escapes, so spans will not do.
    escaped: bool,
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
        Self { parents, starts, ends, prefix, suffix, strings, escaped: false }
    }

    pub(crate) fn clear(&mut self) {
        self.parents.clear();
        self.starts.clear();
        self.ends.clear();
        self.strings.clear();
        self.escaped = false;
    }

    /// Adds the records of a row whose text begins at `base`. On a fault it adds none.
    pub(crate) fn add(&mut self, row: usize, base: u32, text: &[u8], shapes: &Shapes) -> Result<(), Fault> {
        let before = self.parents.len();
        let wrapped = !self.prefix.is_empty();
        // Columns are less than 4 GiB, and there are fewer rows than bytes.
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
        // Nothing of a row is delivered where a part of it is at fault.
        let keep = if done.is_ok() { self.starts.len() } else { before };
        self.parents.resize(keep, narrow(row));
        self.starts.truncate(keep);
        self.ends.truncate(keep);
        self.strings.truncate(keep);
        done
    }

    /// Tells the host.
    pub(crate) fn split(&self, batch: &mut Batch<'_>, field: Field, bytes: &[u8]) {
        if !self.escaped {
            let spans = ChildSpans { parents: &self.parents, starts: &self.starts, ends: &self.ends };
            return batch.split(field, Form::Text, spans, &self.prefix, self.suffix);
        }
        let mut bodies = ColumnWriter::with_capacity(bytes.len(), self.parents.len());
        for ((&start, &end), &string) in self.starts.iter().zip(&self.ends).zip(&self.strings) {
            let body = bytes.get(start as usize..end as usize).unwrap_or_default();
            match string {
                true => json::unescape_lossy(body, &mut bodies.bytes),
                false => bodies.bytes.extend_from_slice(body),
            }
            bodies.end_row();
        }
        batch.split_into(&self.parents, bodies);
    }
}

/// What is said about rows that fail.
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
    pub(crate) fn of(&self, fault: &Fault) -> (&'static str, String) {
        let from = &self.from;
        match fault {
            Fault::NotJson(error) => ("not-json", format!("`{from}` is not JSON: {error}")),
            Fault::MissingPath(0) => ("missing-path", format!("`{from}` has {}", self.missing)),
            Fault::MissingPath(at) => {
                ("missing-path", format!("the value at byte {at} of `{from}` has {}", self.missing))
            }
            Fault::NotAnArray(number, kind) => {
                let path = self.paths.get(*number).map_or("$", String::as_str);
                let kind = match kind {
                    Kind::Bool => "a boolean",
                    Kind::Null => "null",
                    Kind::Number => "a number",
                    Kind::String => "a string",
                    _ => "an object",
                };
                ("not-an-array", format!("`{path}` in `{from}` is {kind}, not an array"))
            }
        }
    }
}
