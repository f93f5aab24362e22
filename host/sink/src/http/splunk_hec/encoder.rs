//! Encodes events as the collector takes them.

use std::io::Write as _;

use wattle_batch::Batch;

use crate::encode::Encoding;
use crate::http::writing::{Groups, Members, percent_encode};
use crate::sink::{Encoder, Payload};

const NANOSECONDS: i64 = 1_000_000_000;

/// Encodes events for one of the endpoints.
pub(super) struct CollectorEncoder {
    pub(super) encoding: Encoding,
    pub(super) is_raw: bool,
    /// Metadata of an event by its name in the collector.
    pub(super) metadata: Members,
    /// Indexed fields.
    pub(super) fields: Members,
}

impl Encoder for CollectorEncoder {
    fn encode(&self, batch: Batch) -> Vec<Payload> {
        if self.is_raw { self.encode_lines(batch) } else { self.encode_events(batch) }
    }
}

impl CollectorEncoder {
    /// Each event is a JSON object with its metadata.
    fn encode_events(&self, batch: Batch) -> Vec<Payload> {
        let rows = batch.rows();
        let mut bytes = Vec::with_capacity(batch.written_bytes() + 128 * rows);
        let mut ends = Vec::with_capacity(rows);
        let mut events = self.encoding.bind(&batch);
        let (mut metadata, mut fields) = (self.metadata.bind(&batch), self.fields.bind(&batch));
        for row in 0..rows {
            let time = batch.timestamp(row).unwrap_or(batch.origin().observed);
            // Writing to a vector cannot fail.
            let _ = write!(bytes, "{{\"time\":{}", seconds(time));
            metadata.write(row, b",", &mut bytes);
            if !fields.is_empty() {
                bytes.extend_from_slice(b",\"fields\":{");
                fields.write(row, b"", &mut bytes);
                bytes.push(b'}');
            }
            bytes.extend_from_slice(b",\"event\":");
            events.write(row, &mut bytes);
            bytes.extend_from_slice(b"}\n");
            ends.push(bytes.len());
        }
        crate::http::one_payload(batch, bytes, ends)
    }

    /// Each event is a line; the metadata is in the query, so there is a payload for each.
    fn encode_lines(&self, batch: Batch) -> Vec<Payload> {
        let mut events = self.encoding.bind(&batch);
        let mut metadata = self.metadata.bind(&batch);
        let mut groups = Groups::default();
        let mut query = String::new();
        for row in 0..batch.rows() {
            query.clear();
            metadata.each(row, |name, value| {
                query.push_str(if query.is_empty() { "" } else { "&" });
                query.push_str(name);
                query.push('=');
                percent_encode(value, &mut query);
            });
            let encoded = groups.of(query.as_bytes());
            events.write(row, &mut encoded.bytes);
            encoded.ends.push(encoded.bytes.len());
        }
        drop((events, metadata));
        groups.into_payloads(batch)
    }
}

/// Seconds since 1970 with their fraction.
fn seconds(nanoseconds: i64) -> String {
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let (whole, fraction) = (nanoseconds / NANOSECONDS, nanoseconds % NANOSECONDS);
    format!("{sign}{}.{:09}", whole.unsigned_abs(), fraction.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_with_nine_digits_after_the_point() {
        for (nanoseconds, text) in [
            (0, "0.000000000"),
            (1_767_323_045_000_000_001, "1767323045.000000001"),
            (-1, "-0.000000001"),
            (-1_500_000_000, "-1.500000000"),
            (i64::MIN, "-9223372036.854775808"),
        ] {
            assert_eq!(seconds(nanoseconds), text);
        }
    }
}
