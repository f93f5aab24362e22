//! Makes batches of messages, with what NATS says about them in `attributes.nats`.

use std::io::Write as _;
use std::sync::Arc;

use wattle_batch::{Ack, Batch, ColumnBuilder, ColumnTooLarge, FieldPath, Form, Origin, Root};
use wattle_nats::async_nats::{HeaderMap, Message};

use crate::assemble::BatchLimits;
use crate::broker::format::Format;
use crate::frame::Skipped;

/// Memory of a batch and of a row, in addition to their texts.
const BATCH_BYTES: usize = 512;
const ROW_BYTES: usize = 64;

/// What JetStream says about a message, in the subject of its acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    /// Position in the stream.
    pub(super) sequence: u64,
    /// Position among the deliveries of the consumer.
    pub(super) number: u64,
    /// How often it was delivered, this time included.
    pub(super) deliveries: u64,
    /// When the stream got it, in nanoseconds since 1970.
    pub(super) time: i64,
}

impl Facts {
    /// Reads `$JS.ACK.<stream>.<consumer>.<deliveries>.<sequence>.<its own sequence>.<time>.<pending>`, also with
    /// `<domain>.<account>` before the stream and more after the end.
    pub(super) fn of(reply: &str) -> Option<Self> {
        let tokens: Vec<&str> = reply.strip_prefix("$JS.ACK.")?.split('.').collect();
        let before = match tokens.len() {
            7 => 0,
            9.. => 2,
            _ => return None,
        };
        let token = |at: usize| tokens.get(before + at).copied().unwrap_or_default();
        Some(Self {
            deliveries: token(2).parse().ok()?,
            sequence: token(3).parse().ok()?,
            number: token(4).parse().ok()?,
            time: token(5).parse().ok()?,
        })
    }
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Made {
    /// Events.
    Events,
    /// No events, since there are none in it.
    Nothing,
    /// No events, since all of them are too long.
    TooLong,
}

/// Consecutive messages.
#[derive(Debug)]
pub(super) struct Part {
    /// The events, without an acknowledgement.
    pub(super) batch: Batch,
    /// Positions of the messages in the stream; empty without JetStream.
    pub(super) sequences: Vec<u64>,
    /// Most deliveries of a message.
    pub(super) deliveries: u64,
    /// Approximate memory of the batch in bytes.
    pub(super) cost: usize,
}

/// Collects messages.
#[derive(Default)]
pub(super) struct Builder {
    body: ColumnBuilder,
    attributes: ColumnBuilder,
    /// Nanoseconds since 1970; `i64::MIN` for messages without a time.
    times: Vec<i64>,
    sequences: Vec<u64>,
    deliveries: u64,
    skipped: Skipped,
}

impl Builder {
    /// Adds the events of a message.
    ///
    /// # Errors
    ///
    /// The events of a batch have more than 4 GiB.
    pub(super) fn add(
        &mut self,
        message: &Message,
        facts: Option<Facts>,
        format: &Format,
        limits: &BatchLimits,
    ) -> Result<Made, ColumnTooLarge> {
        let (before, too_long) = (self.body.rows(), self.skipped.too_long);
        let at = facts.map_or(0, |facts| facts.sequence);
        format.read(&message.payload, at, limits, &mut self.body, &mut self.skipped)?;
        let rows = self.body.rows() - before;
        if rows == 0 {
            return Ok(if self.skipped.too_long > too_long { Made::TooLong } else { Made::Nothing });
        }
        let mut attributes = Vec::new();
        write_attributes(message, facts, &mut attributes);
        for _ in 0..rows {
            self.attributes.push(&attributes)?;
            self.times.push(facts.map_or(i64::MIN, |facts| facts.time));
        }
        if let Some(Facts { sequence, deliveries, .. }) = facts {
            self.sequences.push(sequence);
            self.deliveries = self.deliveries.max(deliveries);
        }
        Ok(Made::Events)
    }

    /// Whether there are no events.
    pub(super) fn is_empty(&self) -> bool {
        self.body.rows() == 0
    }

    /// Approximate memory of the events.
    pub(super) fn cost(&self) -> usize {
        BATCH_BYTES + self.body.byte_len() + self.attributes.byte_len() + ROW_BYTES * self.body.rows()
    }

    /// Whether the events fill a batch.
    pub(super) fn is_full(&self, limits: &BatchLimits) -> bool {
        limits.reached(self.body.byte_len(), self.body.rows())
    }

    /// What became no event since the last call.
    pub(super) fn skipped(&mut self) -> Option<Skipped> {
        let skipped = std::mem::take(&mut self.skipped);
        (skipped != Skipped::default()).then_some(skipped)
    }

    /// The events so far, with this origin; `None` if there are none.
    ///
    /// # Errors
    ///
    /// The events have more than 4 GiB.
    pub(super) fn finish(&mut self, origin: impl FnOnce() -> Arc<Origin>) -> Result<Option<Part>, ColumnTooLarge> {
        if self.is_empty() {
            return Ok(None);
        }
        let cost = self.cost();
        let empty = Self { skipped: self.skipped, ..Self::default() };
        let Self { body, attributes, times, sequences, deliveries, .. } = std::mem::replace(self, empty);
        let (body, attributes) = (body.finish(), attributes.finish());
        let mut batch = Batch::new(body, origin(), Ack::none());
        batch.set(&FieldPath::whole(Root::Attributes), Form::Json, &attributes, &[])?;
        batch.set_timestamps(&times);
        if deliveries > 1 {
            batch = batch.redelivered();
        }
        Ok(Some(Part { batch, sequences, deliveries, cost }))
    }
}

/// Writes `{"nats":{…}}` with the subject, the position, the number of deliveries and the headers.
fn write_attributes(message: &Message, facts: Option<Facts>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"nats\":{\"subject\":");
    write_string(&message.subject, out);
    if let Some(Facts { sequence, deliveries, .. }) = facts {
        // Writing to a vector cannot fail.
        let _ = write!(out, ",\"sequence\":{sequence},\"deliveries\":{deliveries}");
    } else if let Some(reply) = &message.reply {
        out.extend_from_slice(b",\"reply\":");
        write_string(reply, out);
    }
    if let Some(headers) = message.headers.as_ref().filter(|headers| !headers.is_empty()) {
        out.extend_from_slice(b",\"headers\":{");
        write_headers(headers, out);
        out.push(b'}');
    }
    out.extend_from_slice(b"}}");
}

/// Writes the members of an object: a value, or a list of values for a name that occurs more than once. The client does not
/// keep the order of names, so they are sorted.
fn write_headers(headers: &HeaderMap, out: &mut Vec<u8>) {
    let mut all: Vec<(&str, Vec<&str>)> = headers
        .iter()
        .map(|(name, values)| (name.as_ref(), values.iter().map(|value| value.as_str()).collect()))
        .collect();
    all.sort_unstable();
    for (index, (name, values)) in all.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_string(name, out);
        out.push(b':');
        match &values[..] {
            [value] => write_string(value, out),
            values => {
                out.push(b'[');
                for (index, value) in values.iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    write_string(value, out);
                }
                out.push(b']');
            }
        }
    }
}

fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    wattle_json::escape(text.as_bytes(), out);
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_subject_of_an_acknowledgement_says_what_jetstream_knows() {
        let facts = |sequence, number, deliveries, time| Some(Facts { sequence, number, deliveries, time });
        assert_eq!(Facts::of("$JS.ACK.s.c.2.17.5.1700000000000000001.9"), facts(17, 5, 2, 1_700_000_000_000_000_001));
        assert_eq!(Facts::of("$JS.ACK._.hash.s.c.1.3.3.5.0"), facts(3, 3, 1, 5));
        assert_eq!(Facts::of("$JS.ACK.hub.hash.s.c.1.3.3.5.0.token"), facts(3, 3, 1, 5));
        for other in ["", "_INBOX.a.b", "$JS.ACK.s.c.1.2", "$JS.ACK.s.c.x.1.1.1.1"] {
            assert_eq!(Facts::of(other), None, "{other}");
        }
    }
}
