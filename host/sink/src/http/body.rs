//! The body of a request in each format.

use bytes::Bytes;

use super::options::Format;
use crate::batcher::RequestBatch;

/// The action line before each event in format `bulk`: create a document, with an id from the server. Data streams accept
/// no other action.
const BULK_ACTION: &[u8] = b"{\"create\":{}}\n";

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
