//! What was expected, and what the log of the store says.

use std::collections::HashMap;
use std::io::Read as _;
use std::ops::Range;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use wattle_store::{Cause, Event};

use super::LAKE;
use crate::load::id_of;

/// An object of the source.
struct Object {
    /// Indexes of its events.
    events: Range<usize>,
    deliveries: u64,
}

/// Everything that is known about a run.
#[derive(Default)]
pub(super) struct Model {
    objects: Vec<Object>,
    /// The object of each message.
    messages: Vec<usize>,
    /// Indexes of events by id.
    index: HashMap<String, usize>,
    /// How often each event arrived.
    arrived: Vec<u64>,
    /// Number of events that have arrived.
    complete: usize,
    early: u64,
    unknown: u64,
    puts: u64,
    /// Deliveries after a timeout, of messages that were given back, and of a message that is in work.
    again: [u64; 3],
}

/// Counts of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) objects: u64,
    pub(super) messages: u64,
    pub(super) events: u64,
    pub(super) lost: u64,
    pub(super) doubled: u64,
    pub(super) repeated: u64,
    pub(super) early: u64,
    /// Lines that are no events of the input.
    pub(super) unknown: u64,
    pub(super) puts: u64,
    pub(super) again: [u64; 3],
}

impl Model {
    /// Adds an object with events of these ids, and returns its index.
    pub(super) fn add_object(&mut self, ids: Vec<String>) -> usize {
        let start = self.arrived.len();
        for id in ids {
            let known = self.index.insert(id, self.arrived.len());
            assert_eq!(known, None, "the generator gives every event its own id");
            self.arrived.push(0);
        }
        self.objects.push(Object { events: start..self.arrived.len(), deliveries: 0 });
        self.objects.len() - 1
    }

    /// Adds the next message of the queue, which announces this object.
    pub(super) fn add_message(&mut self, object: usize) {
        self.messages.push(object);
    }

    /// Whether every event arrived.
    pub(super) fn has_all(&self) -> bool {
        self.complete == self.arrived.len()
    }

    /// Takes the next part of the log.
    pub(super) fn take(&mut self, log: Vec<Event>) {
        for event in log {
            match event {
                Event::Delivered { message, cause } => {
                    let again = match cause {
                        Cause::First => None,
                        Cause::RanOut => Some(0),
                        Cause::Returned => Some(1),
                        Cause::Doubled => Some(2),
                    };
                    again.into_iter().for_each(|cause| self.again[cause] += 1);
                    self.objects[self.messages[message]].deliveries += 1;
                }
                Event::Deleted { message } => {
                    let events = self.objects[self.messages[message]].events.clone();
                    self.early += u64::from(self.arrived[events].contains(&0));
                }
                Event::Posted { body } => self.arrive(&body),
                Event::Put { bucket, body, .. } => {
                    assert_eq!(bucket, LAKE);
                    self.puts += 1;
                    self.arrive(&plain(&body));
                }
            }
        }
    }

    fn arrive(&mut self, lines: &[u8]) {
        for line in lines.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
            match id_of(line).and_then(|id| self.index.get(&id)) {
                Some(event) => {
                    let count = &mut self.arrived[*event];
                    self.complete += usize::from(*count == 0);
                    *count += 1;
                }
                None => self.unknown += 1,
            }
        }
    }

    /// Counts. An event may arrive once for each delivery of a message with its object: each delivery after the first has
    /// a reason that the store knows, and a second message is one.
    pub(super) fn tally(&self) -> Tally {
        let mut tally = Tally {
            objects: self.objects.len() as u64,
            messages: self.messages.len() as u64,
            events: self.arrived.len() as u64,
            early: self.early,
            unknown: self.unknown,
            puts: self.puts,
            again: self.again,
            ..Tally::default()
        };
        for object in &self.objects {
            for count in &self.arrived[object.events.clone()] {
                tally.lost += u64::from(*count == 0);
                let again = count.saturating_sub(1);
                let allowed = again.min(object.deliveries.saturating_sub(1));
                tally.repeated += allowed;
                tally.doubled += again - allowed;
            }
        }
        tally
    }

    /// Counts the events that are missing in the objects of a bucket, and those that are there too often.
    ///
    /// # Panics
    ///
    /// The bucket contains a line that is no event of the input.
    pub(super) fn tally_bucket(&self, objects: &[(String, Bytes)]) -> (u64, u64) {
        let mut counts = vec![0_u64; self.arrived.len()];
        for (key, body) in objects {
            for line in plain(body).split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
                let event = id_of(line).and_then(|id| self.index.get(&id).copied());
                counts[event.unwrap_or_else(|| panic!("{key}: a line is no event"))] += 1;
            }
        }
        let lost = counts.iter().filter(|count| **count == 0).count() as u64;
        (lost, counts.iter().map(|count| count.saturating_sub(1)).sum())
    }
}

fn plain(gzip: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    MultiGzDecoder::new(gzip).read_to_end(&mut bytes).unwrap();
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::gzip;

    fn lines(ids: &[&str]) -> Bytes {
        ids.iter()
            .map(|id| format!("{{\"Record\":{{\"eventID\":\"{id}\",\"eventName\":\"x\"}}}}\n"))
            .collect::<String>()
            .into()
    }

    fn model() -> Model {
        let mut model = Model::default();
        for ids in [&["a", "b"][..], &["c"]] {
            let object = model.add_object(ids.iter().map(|id| (*id).to_owned()).collect());
            model.add_message(object);
        }
        model
    }

    #[test]
    fn doubles_need_a_delivery_each_and_deletions_need_all_events() {
        let mut model = model();
        let first = |message| Event::Delivered { message, cause: Cause::First };
        model.take(vec![first(0), first(1), Event::Posted { body: lines(&["a", "a", "c"]) }]);
        model.take(vec![Event::Deleted { message: 0 }, Event::Deleted { message: 1 }]);
        let tally = model.tally();
        assert_eq!((tally.lost, tally.doubled, tally.repeated, tally.early), (1, 1, 0, 1));
        assert!(!model.has_all());
        model.take(vec![
            Event::Delivered { message: 0, cause: Cause::RanOut },
            Event::Posted { body: lines(&["b", "?"]) },
        ]);
        let tally = model.tally();
        assert_eq!((tally.lost, tally.doubled, tally.repeated, tally.unknown, tally.again), (0, 0, 1, 1, [1, 0, 0]));
        assert!(model.has_all());
    }

    #[test]
    fn events_in_two_objects_of_the_bucket_are_doubled() {
        let object = |key: &str, ids: &[&str]| (key.to_owned(), Bytes::from(gzip(&lines(ids))));
        let model = model();
        assert_eq!(model.tally_bucket(&[object("1", &["a", "b"]), object("2", &["c"])]), (0, 0));
        assert_eq!(model.tally_bucket(&[object("1", &["a", "b"]), object("2", &["a"])]), (1, 1));
    }
}
