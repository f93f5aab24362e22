//! Makes batches of entries.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use wattle_batch::{Ack, Batch, Column, ColumnBuilder, ColumnTooLarge, FieldPath, Form, Origin, Root};

use super::entry;
use super::export::Entry;
use super::options::Settings;
use super::position::Position;
use crate::assemble::BatchLimits;
use crate::frame::Skipped;

/// Memory of a batch and of a row, in addition to their texts.
const BATCH_BYTES: usize = 512;
const ROW_BYTES: usize = 128;

/// Facts about the origin, each a field of the journal and a key of the resource in the names of OpenTelemetry.
const FACTS: [&str; 3] = ["resource.\"host.name\"", "resource.\"host.id\"", "resource.\"service.name\""];

/// Consecutive entries.
#[derive(Debug)]
pub(super) struct Part {
    /// The events, without an acknowledgement; `None` if all entries are excluded.
    pub(super) batch: Option<Batch>,
    /// That of the last entry.
    pub(super) position: Position,
    /// Approximate memory of the batch in bytes.
    pub(super) cost: usize,
}

/// A column of JSON values that some rows lack.
#[derive(Default)]
struct Values {
    texts: ColumnBuilder,
    present: Vec<u8>,
}

impl Values {
    fn push(&mut self, write: impl FnOnce(&mut Vec<u8>) -> bool) -> Result<(), ColumnTooLarge> {
        let is_present = write(self.texts.buffer());
        self.present.push(u8::from(is_present));
        self.texts.finish_row()
    }

    fn finish(self) -> (Column, Vec<u8>) {
        (self.texts.finish(), self.present)
    }
}

/// Collects entries.
#[derive(Default)]
pub(super) struct Builder {
    body: ColumnBuilder,
    attributes: ColumnBuilder,
    severity: Values,
    facts: [Values; FACTS.len()],
    /// Nanoseconds since 1970; `i64::MIN` for entries without a time.
    times: Vec<i64>,
    position: Option<Position>,
    skipped: Skipped,
}

impl Builder {
    /// Adds an entry, unless the options exclude it.
    ///
    /// # Errors
    ///
    /// The batch has more than 4 GiB.
    pub(super) fn add(&mut self, entry: &Entry, settings: &Settings) -> Result<(), ColumnTooLarge> {
        self.position = Some(Position::of(entry, self.position.take()));
        if entry.is_too_long {
            self.skipped.too_long += 1;
            self.skipped.too_long_bytes += entry.bytes;
            self.skipped.too_long_at.get_or_insert(entry.realtime.unwrap_or_default());
            return Ok(());
        }
        if settings.excludes(entry) {
            return Ok(());
        }
        self.body.push(entry.get("MESSAGE").unwrap_or_default())?;
        write_attributes(entry, self.attributes.buffer());
        self.attributes.finish_row()?;
        self.severity.push(|out| match entry::severity(entry) {
            Some((text, number)) => {
                out.extend_from_slice(format!("{{\"text\":\"{text}\",\"number\":{number}}}").as_bytes());
                true
            }
            None => false,
        })?;
        let found = [entry.get("_HOSTNAME"), entry.get("_MACHINE_ID"), entry::service(entry)];
        for (fact, value) in self.facts.iter_mut().zip(found) {
            fact.push(|out| match value {
                Some(value) => {
                    write_bytes(value, out);
                    true
                }
                None => false,
            })?;
        }
        self.times.push(entry::time(entry).unwrap_or(i64::MIN));
        Ok(())
    }

    /// Whether no entry was added, not even an excluded one.
    pub(super) fn is_empty(&self) -> bool {
        self.position.is_none()
    }

    /// Whether the events fill a batch.
    pub(super) fn is_full(&self, limits: &BatchLimits) -> bool {
        // Attributes are most of an entry.
        limits.reached(self.body.byte_len() + self.attributes.byte_len(), self.body.rows())
    }

    /// What became no event since the last call.
    pub(super) fn skipped(&mut self) -> Option<Skipped> {
        let skipped = std::mem::take(&mut self.skipped);
        (skipped != Skipped::default()).then_some(skipped)
    }

    /// The entries so far; `None` if there are none.
    ///
    /// # Errors
    ///
    /// The batch has more than 4 GiB.
    pub(super) fn finish(&mut self, origin: impl FnOnce() -> Arc<Origin>) -> Result<Option<Part>, ColumnTooLarge> {
        let skipped = std::mem::take(&mut self.skipped);
        let Self { body, attributes, severity, facts, times, position, .. } =
            std::mem::replace(self, Self { skipped, ..Self::default() });
        let Some(position) = position else { return Ok(None) };
        if body.rows() == 0 {
            return Ok(Some(Part { batch: None, position, cost: 0 }));
        }
        let facts_bytes: usize = facts.iter().map(|fact| fact.texts.byte_len()).sum();
        let cost = BATCH_BYTES + body.byte_len() + attributes.byte_len() + facts_bytes + ROW_BYTES * body.rows();
        let mut batch = Batch::new(body.finish(), origin(), Ack::none());
        batch.set(&FieldPath::whole(Root::Attributes), Form::Json, &attributes.finish(), &[])?;
        let roots = std::iter::once(("severity", severity)).chain(FACTS.into_iter().zip(facts));
        for (path, values) in roots {
            let (texts, present) = values.finish();
            // The paths are constants that a test parses.
            if let Ok(path) = FieldPath::parse(path)
                && present.contains(&1)
            {
                batch.set(&path, Form::Json, &texts, &present)?;
            }
        }
        batch.set_timestamps(&times);
        Ok(Some(Part { batch: Some(batch), position, cost }))
    }
}

/// Writes all fields but the message, sorted by their names: a value, or a list of values for a name that occurs more than
/// once.
fn write_attributes(entry: &Entry, out: &mut Vec<u8>) {
    let mut names: BTreeMap<&[u8], Vec<&[u8]>> = BTreeMap::new();
    let mut has_message = false;
    for (name, value) in entry.fields() {
        // The first one is the body.
        if name == b"MESSAGE" && !std::mem::replace(&mut has_message, true) {
            continue;
        }
        names.entry(name).or_default().push(value);
    }
    out.push(b'{');
    for (index, (name, values)) in names.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.push(b'"');
        wattle_json::escape(name, out);
        out.extend_from_slice(b"\":");
        let is_list = values.len() > 1;
        if is_list {
            out.push(b'[');
        }
        for (index, value) in values.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            write_bytes(value, out);
        }
        if is_list {
            out.push(b']');
        }
    }
    out.push(b'}');
}

/// Writes a string, or an object with base64 for bytes that are not UTF-8, as events from OTLP have it.
fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    if std::str::from_utf8(bytes).is_ok() {
        out.push(b'"');
        wattle_json::escape(bytes, out);
        out.push(b'"');
    } else {
        out.extend_from_slice(b"{\"bytesValue\":\"");
        out.extend_from_slice(BASE64_STANDARD.encode(bytes).as_bytes());
        out.extend_from_slice(b"\"}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_paths_of_facts_are_valid() {
        for path in FACTS {
            assert!(FieldPath::parse(path).is_ok(), "{path}");
        }
    }
}
