//! The sink `elasticsearch`: documents by the bulk API of Elasticsearch, OpenSearch and Quickwit.
//!
//! A payload has two lines for each event, an action and a document, so a request is its payloads one after the other
//! (<https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-bulk>). The response has a status for each.

mod document;
mod options;

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::Value;
use wattle_batch::Batch;
use wattle_http_client::Response;
use wattle_options::OptionError;

use self::document::Documents;
use self::options::{Action, Index};
use super::client::MAX_ITEMS_BYTES;
use super::destination::{Destination, Meaning};
use super::error::RequestError;
use super::response::{Outcome, items};
use super::writing::write_member;
use crate::batcher::RequestBatch;
use crate::encode::{Encoding, Template};
use crate::event_id::{self, EventIds};
use crate::path_template;
use crate::sink::{Encoder, Payload, Prepared};

/// Maximum bytes of `_id`. Longer ones are replaced by their hash.
const MAX_ID_BYTES: usize = 512;
/// Maximum bytes of the name of an index.
const MAX_INDEX_BYTES: usize = 255;

pub(crate) fn prepare(options: &Value) -> Result<Prepared, Vec<OptionError>> {
    let (encoder, settings) = wattle_options::read(options, options::check)?;
    super::prepared(settings, |_| Arc::new(encoder))
}

/// The JSON schema of the options.
pub(crate) fn schema() -> Value {
    crate::encode::schema_without_parquet::<options::Options>()
}

/// The bulk API.
#[derive(Debug)]
struct Bulk;

impl Destination for Bulk {
    fn read(&self, response: &Response, batch: &RequestBatch) -> Result<Meaning, RequestError> {
        let mut meaning = Meaning::of(response);
        if meaning.outcome == Outcome::Delivered {
            meaning.items = items(response.body(), batch.len())?;
            // The document exists: an earlier request created it, whose response did not arrive.
            let conflicts = meaning.items.iter_mut().flatten().filter(|item| item.is_conflict());
            conflicts.for_each(|item| item.outcome = Outcome::Delivered);
        }
        Ok(meaning)
    }

    fn max_response_bytes(&self) -> usize {
        MAX_ITEMS_BYTES
    }

    /// The document without its action.
    fn letter<'e>(&self, event: &'e [u8]) -> Cow<'e, [u8]> {
        let start = memchr::memchr(b'\n', event).map_or(0, |end| end + 1);
        event.get(start..).map(|document| document.strip_suffix(b"\n").unwrap_or(document)).unwrap_or_default().into()
    }
}

/// Encodes events as actions and documents.
struct BulkEncoder {
    encoding: Encoding,
    documents: Documents,
    action: Action,
    index: Index,
    pipeline: Option<Template>,
    id: Option<Template>,
    /// Whether events without an id get one.
    with_ids: bool,
}

impl Encoder for BulkEncoder {
    fn encode(&self, batch: Batch) -> Vec<Payload> {
        let rows = batch.rows();
        let mut bytes = Vec::with_capacity(batch.written_bytes() + 128 * rows);
        let mut ends = Vec::with_capacity(rows);
        let mut events = self.encoding.bind(&batch);
        let mut indices = self.index.bind(&batch);
        let own_ids = self.id.as_ref().map(|template| template.bind(&batch));
        let pipelines = self.pipeline.as_ref().map(|template| template.bind(&batch));
        let mut ids = self.with_ids.then(|| EventIds::of(&batch));
        let (mut text, mut value) = (String::new(), Vec::new());
        for row in 0..rows {
            bytes.extend_from_slice(self.action.start());
            indices.write(row, &mut text);
            write_member("_index", text.as_bytes(), &mut bytes);
            value.clear();
            if let Some(own) = &own_ids {
                own.write(row, &mut value);
            }
            text.clear();
            if value.len() > MAX_ID_BYTES {
                event_id::of_text(&value, &mut text);
                value.clear();
            } else if value.is_empty()
                && let Some(ids) = &mut ids
            {
                ids.write(row, &mut text);
            }
            value.extend_from_slice(text.as_bytes());
            if !value.is_empty() {
                bytes.push(b',');
                write_member("_id", &value, &mut bytes);
            }
            value.clear();
            if let Some(pipelines) = &pipelines {
                pipelines.write(row, &mut value);
            }
            if !value.is_empty() {
                bytes.push(b',');
                write_member("pipeline", &value, &mut bytes);
            }
            bytes.extend_from_slice(b"}}\n");
            value.clear();
            events.write(row, &mut value);
            let time = batch.timestamp(row).unwrap_or(batch.origin().observed);
            self.documents.write(&value, time, &mut bytes);
            bytes.push(b'\n');
            ends.push(bytes.len());
        }
        super::one_payload(batch, bytes, ends)
    }
}

#[cfg(test)]
mod tests;
