//! The half of the file sink that runs on the workers: encodes events and sorts them by the file they go to.

use std::collections::HashMap;
use std::sync::Arc;

use wattle_batch::Batch;

use super::template::Template;
use crate::encode::Encoding;
use crate::sink::{Encoder, Payload};

/// Encodes events for files whose path depends on the event.
pub(crate) struct SortingEncoder {
    pub(crate) encoding: Encoding,
    pub(crate) template: Template,
}

/// What goes to one file.
struct Pile {
    key: Arc<str>,
    bytes: Vec<u8>,
    events: usize,
}

impl Encoder for SortingEncoder {
    fn encode(&self, batch: Batch) -> Vec<Payload> {
        let mut rendering = self.template.bind(&batch);
        let mut path = String::new();
        let mut places: HashMap<Arc<str>, usize> = HashMap::new();
        let mut piles: Vec<Pile> = Vec::new();
        let mut last = 0;
        for row in 0..batch.rows() {
            rendering.write(row, &mut path);
            // Neighbours mostly go to the same file.
            if piles.get(last).is_none_or(|pile| *pile.key != *path) {
                last = match places.get(path.as_str()) {
                    Some(&place) => place,
                    None => {
                        let key: Arc<str> = path.as_str().into();
                        places.insert(key.clone(), piles.len());
                        piles.push(Pile { key, bytes: Vec::new(), events: 0 });
                        piles.len() - 1
                    }
                };
            }
            if let Some(pile) = piles.get_mut(last) {
                self.encoding.write(&batch, row, &mut pile.bytes);
                pile.events += 1;
            }
        }
        drop(rendering);
        let ack = batch.into_ack();
        let payloads = piles.into_iter().map(|pile| Payload {
            key: Some(pile.key),
            bytes: pile.bytes,
            events: pile.events,
            ends: Vec::new(),
            ack: ack.share(),
        });
        let payloads = payloads.collect();
        // Each payload answers for its part; this share has nothing left to answer for.
        ack.deliver();
        payloads
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::EncodingOptions;
    use crate::testing::Far;
    use wattle_batch::Disposition;

    #[test]
    fn sorts_events_by_path_and_shares_the_acknowledgement() {
        let encoding = Encoding::new(&serde_json::from_str::<EncodingOptions>(r#"{"codec":"text"}"#).unwrap());
        let encoder = SortingEncoder { encoding, template: Template::parse("{{ body.k }}").unwrap() };
        let far = Far::new();
        let rows = [r#"{"k":"a"}"#, r#"{"k":"b"}"#, r#"{"k":"a","n":2}"#, r#"{"k":"b","n":2}"#, r#"{"k":"b","n":3}"#];
        let payloads = encoder.encode(far.batch(&rows));
        let got: Vec<_> = payloads
            .iter()
            .map(|p| (p.key.as_deref().unwrap(), std::str::from_utf8(&p.bytes).unwrap(), p.events))
            .collect();
        assert_eq!(
            got,
            [
                ("a", "{\"k\":\"a\"}\n{\"k\":\"a\",\"n\":2}\n", 2),
                ("b", "{\"k\":\"b\"}\n{\"k\":\"b\",\"n\":2}\n{\"k\":\"b\",\"n\":3}\n", 3)
            ]
        );
        let mut payloads = payloads.into_iter();
        payloads.next().unwrap().ack.deliver();
        assert_eq!(far.heard(), []);
        drop(payloads);
        assert_eq!(far.heard(), [Disposition::Retry]);
        assert!(encoder.encode(far.batch(&[])).is_empty());
        assert_eq!(far.heard()[1], Disposition::Delivered);
    }
}
