//! The encoder of the file sink: encodes events and groups them by file.

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

/// The events of one file.
struct Group {
    key: Arc<str>,
    bytes: Vec<u8>,
    events: usize,
}

impl Encoder for SortingEncoder {
    fn encode(&self, batch: Batch) -> Vec<Payload> {
        let mut rendering = self.template.bind(&batch);
        let mut events = self.encoding.bind(&batch);
        let mut path = String::new();
        let mut places: HashMap<Arc<str>, usize> = HashMap::new();
        let mut groups: Vec<Group> = Vec::new();
        let mut last = 0;
        for row in 0..batch.rows() {
            rendering.write(row, &mut path);
            // Neighbouring events usually have the same file.
            if groups.get(last).is_none_or(|group| *group.key != *path) {
                last = match places.get(path.as_str()) {
                    Some(&place) => place,
                    None => {
                        let key: Arc<str> = path.as_str().into();
                        places.insert(key.clone(), groups.len());
                        groups.push(Group { key, bytes: Vec::new(), events: 0 });
                        groups.len() - 1
                    }
                };
            }
            if let Some(group) = groups.get_mut(last) {
                events.write(row, &mut group.bytes);
                group.events += 1;
            }
        }
        drop((rendering, events));
        let ack = batch.into_ack();
        let payloads = groups.into_iter().map(|group| Payload {
            key: Some(group.key),
            bytes: group.bytes,
            events: group.events,
            ends: Vec::new(),
            ack: ack.share(),
        });
        let payloads = payloads.collect();
        // Each payload has its own share, so this one ends.
        ack.deliver();
        payloads
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Rig;
    use wattle_batch::Disposition;

    #[test]
    fn events_are_grouped_by_path_and_share_the_acknowledgement() {
        let encoding = crate::encode::tests::read(r#"{"codec":"text"}"#).unwrap();
        let encoder = SortingEncoder { encoding, template: Template::parse("{{ body.k }}").unwrap() };
        let rig = Rig::new();
        let rows = [r#"{"k":"a"}"#, r#"{"k":"b"}"#, r#"{"k":"a","n":2}"#, r#"{"k":"b","n":2}"#, r#"{"k":"b","n":3}"#];
        let payloads = encoder.encode(rig.batch(&rows));
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
        assert_eq!(rig.acks(), []);
        drop(payloads);
        assert_eq!(rig.acks(), [Disposition::Retry]);
        assert!(encoder.encode(rig.batch(&[])).is_empty());
        assert_eq!(rig.acks()[1], Disposition::Delivered);
    }
}
