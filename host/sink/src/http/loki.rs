//! The sink `loki`: events to the push API of Loki, as JSON (<https://grafana.com/docs/loki/latest/reference/loki-http-api/>).
//!
//! A payload has two lines for each event: the labels of its stream, and its entry in the stream. A request groups the entries
//! by stream, and orders them by time.

mod encoder;
mod options;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;
use wattle_http_client::Response;
use wattle_options::OptionError;

use self::encoder::StreamEncoder;
use super::destination::{Destination, Meaning, Target};
use super::error::RequestError;
use super::options::Settings;
use super::response::Outcome;
use super::writing::tenant_target;
use crate::batcher::RequestBatch;
use crate::sink::Prepared;

pub(crate) fn prepare(options: &Value) -> Result<Prepared, Vec<OptionError>> {
    let (encoder, settings) = wattle_options::read(options, options::check)?;
    super::prepared(settings, |name| Arc::new(StreamEncoder { sink: name.clone(), ..encoder }))
}

/// The JSON schema of the options.
pub(crate) fn schema() -> Value {
    crate::encode::schema_without_parquet::<options::Options>()
}

/// The entries of a stream, each with its time.
type Entries<'e> = Vec<(i64, &'e [u8])>;

/// The push API.
#[derive(Debug)]
struct Push {
    /// Whether events have tenants.
    has_tenants: bool,
}

impl Destination for Push {
    fn is_partitioned(&self) -> bool {
        self.has_tenants
    }

    fn target(&self, settings: &Settings, tenant: Option<&str>, _: &RequestBatch) -> Target {
        tenant_target(settings, tenant)
    }

    fn join(&self, batch: &RequestBatch) -> Bytes {
        let mut streams: Vec<(&[u8], Entries<'_>)> = Vec::new();
        let mut places: HashMap<&[u8], usize> = HashMap::new();
        for event in batch.events() {
            let (labels, entry) = parts(event);
            let place = *places.entry(labels).or_insert_with(|| {
                streams.push((labels, Vec::new()));
                streams.len() - 1
            });
            if let Some((_, entries)) = streams.get_mut(place) {
                entries.push((time(entry), entry));
            }
        }
        let mut out = Vec::with_capacity(batch.byte_len() + 32);
        let mut before: &[u8] = b"{\"streams\":[";
        for (labels, mut entries) in streams {
            // Stable, so that events of the same time stay in their order.
            entries.sort_by_key(|(time, _)| *time);
            write_stream(before, labels, entries.into_iter().map(|(_, entry)| entry), &mut out);
            before = b",";
        }
        out.extend_from_slice(b"]}");
        out.into()
    }

    fn read(&self, response: &Response, _: &RequestBatch) -> Result<Meaning, RequestError> {
        let mut meaning = Meaning::of(response);
        // The limit of messages between the parts of Loki is lower than that of requests, and is not a separate error.
        if meaning.outcome == Outcome::Retry && meaning.reason.contains("larger than max") {
            meaning.outcome = Outcome::TooLarge;
        }
        Ok(meaning)
    }

    /// The event as a stream of one entry.
    fn letter<'e>(&self, event: &'e [u8]) -> Cow<'e, [u8]> {
        let (labels, entry) = parts(event);
        let mut out = Vec::with_capacity(event.len() + 32);
        write_stream(b"", labels, std::iter::once(entry), &mut out);
        out.into()
    }
}

/// The labels and the entry of an encoded event. They are JSON on one line, so the first line feed separates them.
fn parts(event: &[u8]) -> (&[u8], &[u8]) {
    let end = memchr::memchr(b'\n', event).unwrap_or(event.len());
    let entry = event.get(end + 1..).unwrap_or_default();
    (event.get(..end).unwrap_or_default(), entry.strip_suffix(b"\n").unwrap_or(entry))
}

/// The time of an entry, which begins like `["1767323045000000000","`.
fn time(entry: &[u8]) -> i64 {
    let text = entry.strip_prefix(b"[\"").unwrap_or_default();
    let end = memchr::memchr(b'"', text).unwrap_or_default();
    text.get(..end)
        .and_then(|digits| std::str::from_utf8(digits).ok())
        .and_then(|text| text.parse().ok())
        .unwrap_or_default()
}

fn write_stream<'e>(before: &[u8], labels: &[u8], entries: impl Iterator<Item = &'e [u8]>, out: &mut Vec<u8>) {
    for part in [before, b"{\"stream\":", labels, b",\"values\":"] {
        out.extend_from_slice(part);
    }
    let mut before = b'[';
    for entry in entries {
        out.push(before);
        out.extend_from_slice(entry);
        before = b',';
    }
    out.extend_from_slice(b"]}");
}

#[cfg(test)]
mod tests;
