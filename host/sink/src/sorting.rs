//! Encodes the events of a batch and groups them by a path that depends on the event.

use std::collections::HashMap;
use std::sync::Arc;

use wattle_batch::Batch;

use crate::encode::Encoding;
use crate::path_template::Template;
use crate::sink::{Encoder, Payload};

/// Encodes events for destinations whose path depends on the event: a payload for each path, with the path as its key.
pub(crate) struct SortingEncoder {
    pub(crate) encoding: Encoding,
    pub(crate) template: Template,
}

/// The events of one path, in their order.
pub(crate) struct Group {
    pub(crate) path: Arc<str>,
    pub(crate) bytes: Vec<u8>,
    /// Number of events.
    pub(crate) events: usize,
    /// End of each event in `bytes`, if the encoding records them.
    pub(crate) ends: Vec<usize>,
}

/// Encodes every event of a batch. Calls `each` with the index of the group and the row of every event.
pub(crate) fn groups(
    encoding: &Encoding,
    template: &Template,
    batch: &Batch,
    mut each: impl FnMut(usize, usize),
) -> Vec<Group> {
    let mut rendering = template.bind(batch);
    let mut events = encoding.bind(batch);
    let mut path = String::new();
    let mut places: HashMap<Arc<str>, usize> = HashMap::new();
    let mut groups: Vec<Group> = Vec::new();
    let mut last = 0;
    for row in 0..batch.rows() {
        rendering.write(row, &mut path);
        // Neighbouring events usually have the same path.
        if groups.get(last).is_none_or(|group| *group.path != *path) {
            last = match places.get(path.as_str()) {
                Some(&place) => place,
                None => {
                    let path: Arc<str> = path.as_str().into();
                    places.insert(path.clone(), groups.len());
                    groups.push(Group { path, bytes: Vec::new(), events: 0, ends: Vec::new() });
                    groups.len() - 1
                }
            };
        }
        if let Some(group) = groups.get_mut(last) {
            events.write(row, &mut group.bytes);
            group.events += 1;
            if encoding.ends {
                group.ends.push(group.bytes.len());
            }
            each(last, row);
        }
    }
    groups
}

impl Encoder for SortingEncoder {
    fn encode(&self, batch: Batch) -> Vec<Payload> {
        let groups = groups(&self.encoding, &self.template, &batch, |_, _| {});
        let ack = batch.into_ack();
        let payloads = groups.into_iter().map(|Group { path, bytes, events, ends }| Payload {
            key: Some(path),
            bytes,
            events,
            ends,
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
