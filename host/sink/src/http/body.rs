//! The formats of the sink `http`: the body of a request, and what a response means.

use bytes::Bytes;
use wattle_http_client::{MAX_RESPONSE_BYTES, Response};

use super::client::MAX_ITEMS_BYTES;
use super::destination::{Destination, Meaning};
use super::error::RequestError;
use super::options::Format;
use super::response::{Outcome, items};
use crate::batcher::RequestBatch;

/// The action line before each event in format `bulk`: create a document, with an id from the server. Data streams accept
/// no other action.
const BULK_ACTION: &[u8] = b"{\"create\":{}}\n";

impl Destination for Format {
    // A server of the user may answer with anything.
    fn is_api(&self) -> bool {
        *self == Self::Bulk
    }

    fn join(&self, batch: &RequestBatch) -> Bytes {
        body(batch, *self)
    }

    fn read(&self, response: &Response, batch: &RequestBatch) -> Result<Meaning, RequestError> {
        let mut meaning = Meaning::of(response);
        if *self == Self::Bulk && meaning.outcome == Outcome::Delivered {
            meaning.items = items(response.body(), batch.len())?;
        }
        Ok(meaning)
    }

    fn max_response_bytes(&self) -> usize {
        if *self == Self::Bulk { MAX_ITEMS_BYTES } else { MAX_RESPONSE_BYTES }
    }
}

/// The body of a request, before compression.
pub(super) fn body(batch: &RequestBatch, format: Format) -> Bytes {
    match format {
        Format::Ndjson => batch.concatenated(),
        Format::Bulk => {
            let mut out = Vec::with_capacity(batch.byte_len() + BULK_ACTION.len() * batch.len());
            for event in batch.events() {
                out.extend_from_slice(BULK_ACTION);
                out.extend_from_slice(event);
            }
            out.into()
        }
        Format::Array => {
            let mut out = Vec::with_capacity(batch.byte_len() + batch.len() + 2);
            let mut before = b'[';
            for event in batch.events() {
                out.push(before);
                out.extend_from_slice(event);
                before = b',';
            }
            out.push(b']');
            out.into()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::batcher::{BatchLimits, Batcher};
    use crate::testing::Rig;

    #[test]
    fn bodies_are_lines_or_an_array_or_bulk_actions() {
        let rig = Rig::new();
        let body_of = |payloads: &[&[&str]], format| {
            let limits = BatchLimits { max_bytes: 100, max_events: 100, timeout: Duration::ZERO };
            let mut batcher = Batcher::new(limits);
            for events in payloads {
                let mut payload = rig.payload(None, &events.concat(), events.len());
                payload.ends =
                    events.iter().scan(0, |end, event| Some(*end + event.len()).inspect(|e| *end = *e)).collect();
                batcher.push(payload);
            }
            String::from_utf8(body(&batcher.take(true).unwrap(), format).to_vec()).unwrap()
        };
        assert_eq!(body_of(&[&["1\n", "2\n"]], Format::Ndjson), "1\n2\n");
        assert_eq!(body_of(&[&["1\n"], &["2\n"]], Format::Ndjson), "1\n2\n");
        assert_eq!(body_of(&[&["1"], &["2", "3"]], Format::Array), "[1,2,3]");
        assert_eq!(body_of(&[&["1"]], Format::Array), "[1]");
        assert_eq!(body_of(&[&["1\n", "2\n"]], Format::Bulk), "{\"create\":{}}\n1\n{\"create\":{}}\n2\n");
    }
}
