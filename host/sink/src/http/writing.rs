//! What the encoders of destinations share: members of JSON objects that are made of templates, and events grouped by key.

use std::collections::HashMap;

use wattle_batch::Batch;

use crate::encode::{Rendering, Template};
use crate::sink::Payload;

/// Templates by the names of their members. A member whose value is empty is left out.
#[derive(Debug, Default)]
pub(super) struct Members(pub(super) Vec<(String, Template)>);

/// Members, prepared for a batch.
pub(super) struct BoundMembers<'a> {
    templates: Vec<(&'a str, Rendering<'a>)>,
    value: Vec<u8>,
}

impl Members {
    pub(super) fn bind<'a>(&'a self, batch: &'a Batch) -> BoundMembers<'a> {
        let templates = self.0.iter().map(|(name, template)| (&**name, template.bind(batch))).collect();
        BoundMembers { templates, value: Vec::new() }
    }
}

impl BoundMembers<'_> {
    pub(super) fn is_empty(&self) -> bool {
        self.templates.is_empty()
    }

    /// Calls `each` with the name and the value of every member of a row.
    pub(super) fn each(&mut self, row: usize, mut each: impl FnMut(&str, &[u8])) {
        for (name, template) in &self.templates {
            self.value.clear();
            template.write(row, &mut self.value);
            if !self.value.is_empty() {
                each(name, &self.value);
            }
        }
    }

    /// Writes the members of a row, with `before` before the first. Returns whether there is one.
    pub(super) fn write(&mut self, row: usize, before: &[u8], out: &mut Vec<u8>) -> bool {
        let mut next = before;
        let start = out.len();
        self.each(row, |name, value| {
            out.extend_from_slice(std::mem::replace(&mut next, b","));
            write_member(name, value, out);
        });
        out.len() > start
    }
}

/// Writes a member of a JSON object, with its value as a string.
pub(super) fn write_member(name: &str, value: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    wattle_json::escape(name.as_bytes(), out);
    out.extend_from_slice(b"\":\"");
    wattle_json::escape(value, out);
    out.push(b'"');
}

/// Encoded events, and the end of each.
#[derive(Debug, Default)]
pub(super) struct Encoded {
    pub(super) bytes: Vec<u8>,
    pub(super) ends: Vec<usize>,
}

/// The events of a batch by their keys.
#[derive(Debug, Default)]
pub(super) struct Groups {
    places: HashMap<Vec<u8>, usize>,
    groups: Vec<(String, Encoded)>,
}

impl Groups {
    /// The events with a key so far.
    pub(super) fn of(&mut self, key: &[u8]) -> &mut Encoded {
        let place = match self.places.get(key) {
            Some(place) => *place,
            None => {
                self.places.insert(key.to_vec(), self.groups.len());
                self.groups.push((String::from_utf8_lossy(key).into_owned(), Encoded::default()));
                self.groups.len() - 1
            }
        };
        match self.groups.get_mut(place) {
            Some((_, encoded)) => encoded,
            None => unreachable!("every place has a group"),
        }
    }

    /// A payload for each key, with a share of the acknowledgement.
    pub(super) fn into_payloads(self, batch: Batch) -> Vec<Payload> {
        let ack = batch.into_ack();
        let payload = |(key, Encoded { bytes, ends }): (String, Encoded)| Payload {
            key: Some(key.into()),
            bytes,
            events: ends.len(),
            ends,
            ack: ack.share(),
        };
        let payloads = self.groups.into_iter().map(payload).collect();
        // Each payload has its own share, so this one ends.
        ack.deliver();
        payloads
    }
}
