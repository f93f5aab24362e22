//! The sink `datadog_logs`: events to the logs API of Datadog, version 2
//! (<https://docs.datadoghq.com/api/latest/logs/#send-logs>). A request is a JSON array with an object for each event.

mod options;

use std::io::Write as _;

use bytes::Bytes;
use serde_json::Value;
use wattle_batch::Batch;
use wattle_options::OptionError;

use super::body::body;
use super::destination::Destination;
use super::options::Format;
use super::writing::{Members, write_member, write_text};
use crate::batcher::RequestBatch;
use crate::encode::Encoding;
use crate::sink::{Encoder, Payload, Prepared};

pub(crate) fn prepare(options: &Value) -> Result<Prepared, Vec<OptionError>> {
    let (encoder, settings) = wattle_options::read(options, options::check)?;
    super::prepared(settings, |_| std::sync::Arc::new(encoder))
}

/// The JSON schema of the options.
pub(crate) fn schema() -> Value {
    crate::encode::schema_without_parquet::<options::Options>()
}

/// The logs API. What its statuses mean is what they mean in general.
#[derive(Debug)]
struct Intake;

impl Destination for Intake {
    fn join(&self, batch: &RequestBatch) -> Bytes {
        body(batch, Format::Array)
    }
}

/// Encodes events as logs.
struct LogEncoder {
    encoding: Encoding,
    /// Attributes that Datadog reserves, such as `service`.
    reserved: Members,
    /// Tags by their keys.
    tags: Members,
}

impl Encoder for LogEncoder {
    fn encode(&self, batch: Batch) -> Vec<Payload> {
        let rows = batch.rows();
        let mut bytes = Vec::with_capacity(batch.written_bytes() + 128 * rows);
        let mut ends = Vec::with_capacity(rows);
        let mut events = self.encoding.bind(&batch);
        let (mut reserved, mut tags) = (self.reserved.bind(&batch), self.tags.bind(&batch));
        let (mut text, mut list) = (Vec::new(), Vec::new());
        for row in 0..rows {
            let time = batch.timestamp(row).unwrap_or(batch.origin().observed).div_euclid(1_000_000);
            // Writing to a vector cannot fail.
            let _ = write!(bytes, "{{\"timestamp\":{time}");
            reserved.write(row, b",", &mut bytes);
            list.clear();
            tags.each(row, |key, value| {
                list.extend_from_slice(if list.is_empty() { b"" } else { b"," });
                list.extend_from_slice(key.as_bytes());
                list.push(b':');
                // A comma ends a tag.
                list.extend(value.iter().map(|byte| if *byte == b',' { b'_' } else { *byte }));
            });
            if !list.is_empty() {
                bytes.push(b',');
                write_member("ddtags", &list, &mut bytes);
            }
            text.clear();
            events.write(row, &mut text);
            bytes.extend_from_slice(b",\"message\":\"");
            write_text(&text, &mut bytes);
            bytes.extend_from_slice(b"\"}");
            ends.push(bytes.len());
        }
        super::one_payload(batch, bytes, ends)
    }
}

#[cfg(test)]
mod tests;
