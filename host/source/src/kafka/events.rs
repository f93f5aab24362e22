//! Makes batches of messages: one for each partition, with the key, the offset and the headers in `attributes.kafka`.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use wattle_batch::{Ack, Batch, ColumnBuilder, ColumnTooLarge, FieldPath, Form, Origin, Root};
use wattle_kafka::krafka::{ConsumerRecord, Headers};

use super::offsets::Key;
use crate::assemble::BatchLimits;
use crate::broker::format::Format;
use crate::frame::Skipped;

/// Memory of a batch and of a row, in addition to their texts.
const BATCH_BYTES: usize = 512;
const ROW_BYTES: usize = 64;

/// Consecutive messages of a partition.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) key: Key,
    /// The events, without an acknowledgement; `None` if the messages have none.
    pub(super) batch: Option<Batch>,
    /// Offset of the first message.
    pub(super) first: i64,
    /// The offset after the last message.
    pub(super) next: i64,
    pub(super) leader_epoch: i32,
    /// Approximate memory of the batch in bytes.
    pub(super) cost: usize,
}

/// Makes batches of the messages of one poll, in the order of their partitions, and of offsets in each. `origin` makes the
/// origin of a partition, and `skipped` gets what became no event.
///
/// # Errors
///
/// The events of a batch have more than 4 GiB, which no response of a broker has.
pub(super) fn parts(
    records: Vec<ConsumerRecord>,
    format: &Format,
    limits: &BatchLimits,
    mut origin: impl FnMut(&Key) -> Arc<Origin>,
    mut skipped: impl FnMut(&Key, &Skipped),
) -> Result<Vec<Part>, ColumnTooLarge> {
    let mut open: Vec<Builder> = Vec::new();
    let mut places: HashMap<Key, usize> = HashMap::new();
    let mut parts = Vec::new();
    for record in records {
        let key = (record.topic.clone(), record.partition);
        let place = *places.entry(key.clone()).or_insert_with(|| {
            open.push(Builder::new(key));
            open.len() - 1
        });
        let Some(builder) = open.get_mut(place) else { continue };
        builder.add(&record, format, limits)?;
        if limits.reached(builder.body.byte_len(), builder.body.rows()) {
            parts.extend(builder.finish(&mut origin)?);
        }
    }
    for mut builder in open {
        parts.extend(builder.finish(&mut origin)?);
        if builder.skipped != Skipped::default() {
            skipped(&builder.key, &builder.skipped);
        }
    }
    Ok(parts)
}

struct Builder {
    key: Key,
    body: ColumnBuilder,
    attributes: ColumnBuilder,
    /// Nanoseconds since 1970; `i64::MIN` for messages without a time.
    times: Vec<i64>,
    /// The offsets of the first message and after the last one.
    range: Option<(i64, i64)>,
    leader_epoch: i32,
    skipped: Skipped,
}

impl Builder {
    fn new(key: Key) -> Self {
        Self {
            key,
            body: ColumnBuilder::default(),
            attributes: ColumnBuilder::default(),
            times: Vec::new(),
            range: None,
            leader_epoch: -1,
            skipped: Skipped::default(),
        }
    }

    fn add(&mut self, record: &ConsumerRecord, format: &Format, limits: &BatchLimits) -> Result<(), ColumnTooLarge> {
        let first = self.range.map_or(record.offset, |(first, _)| first);
        self.range = Some((first, record.offset.saturating_add(1)));
        self.leader_epoch = record.leader_epoch.unwrap_or(-1);
        let before = self.body.rows();
        let (payload, at) =
            (record.value.as_deref().unwrap_or_default(), u64::try_from(record.offset).unwrap_or_default());
        format.read(payload, at, limits, &mut self.body, &mut self.skipped)?;
        let time = if record.timestamp < 0 { i64::MIN } else { record.timestamp.saturating_mul(1_000_000) };
        for _ in before..self.body.rows() {
            write_attributes(record, self.attributes.buffer());
            self.attributes.finish_row()?;
            self.times.push(time);
        }
        Ok(())
    }

    fn finish(&mut self, origin: &mut impl FnMut(&Key) -> Arc<Origin>) -> Result<Option<Part>, ColumnTooLarge> {
        let Some((first, next)) = self.range.take() else { return Ok(None) };
        let (body, attributes) =
            (std::mem::take(&mut self.body).finish(), std::mem::take(&mut self.attributes).finish());
        let times = std::mem::take(&mut self.times);
        let rows = body.rows();
        let cost = BATCH_BYTES + body.byte_len() + attributes.byte_len() + ROW_BYTES * rows;
        let mut batch = None;
        if rows > 0 {
            let mut made = Batch::new(body, origin(&self.key), Ack::none());
            made.set(&FieldPath::whole(Root::Attributes), Form::Json, &attributes, &[])?;
            made.set_timestamps(&times);
            batch = Some(made);
        }
        let (key, leader_epoch) = (self.key.clone(), self.leader_epoch);
        Ok(Some(Part { key, batch, first, next, leader_epoch, cost }))
    }
}

/// Writes `{"kafka":{…}}` with the offset, the key and the headers.
fn write_attributes(record: &ConsumerRecord, out: &mut Vec<u8>) {
    let mut offset = String::new();
    // Writing to a string cannot fail.
    let _ = write!(offset, "{{\"kafka\":{{\"offset\":{}", record.offset);
    out.extend_from_slice(offset.as_bytes());
    if let Some(key) = &record.key {
        out.extend_from_slice(b",\"key\":");
        write_bytes(key, out);
    }
    if !record.headers.is_empty() {
        out.extend_from_slice(b",\"headers\":{");
        write_headers(&record.headers, out);
        out.push(b'}');
    }
    out.extend_from_slice(b"}}");
}

/// Writes the members of an object: a value, or a list of values for a name that occurs more than once.
fn write_headers(headers: &Headers, out: &mut Vec<u8>) {
    let mut names: Vec<(&str, Vec<&Option<Bytes>>)> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    for (name, value) in headers {
        let place = *places.entry(name).or_insert_with(|| {
            names.push((name, Vec::new()));
            names.len() - 1
        });
        if let Some((_, values)) = names.get_mut(place) {
            values.push(value);
        }
    }
    for (index, (name, values)) in names.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.push(b'"');
        wattle_json::escape(name.as_bytes(), out);
        out.extend_from_slice(b"\":");
        if values.len() > 1 {
            out.push(b'[');
        }
        for (index, value) in values.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            match value {
                Some(value) => write_bytes(value, out),
                None => out.extend_from_slice(b"null"),
            }
        }
        if values.len() > 1 {
            out.push(b']');
        }
    }
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
