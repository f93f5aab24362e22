//! Summaries that a node has written but not made yet.

use std::collections::VecDeque;

use wattle_convert::time::{Output, Zone};
use wattle_node::json::{self, Kind};
use wattle_node::{EventKind, Events};
use wattle_snapshot::{Damaged, Reader, Writer};

/// Bytes of the events that one tick makes, so that the end of a window of many keys does not stop a worker.
const TICK_BYTES: usize = 512 << 10;
/// Bytes of owed events above which a tick makes all.
const MAX_BYTES: usize = 4 << 20;

/// A summary: body, attributes, and time.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Summary {
    body: Vec<u8>,
    attributes: Vec<u8>,
    timestamp: i64,
}

/// Summaries that are due, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owed {
    summaries: VecDeque<Summary>,
    bytes: usize,
}

impl Owed {
    /// Adds a summary. `attributes` is a JSON object.
    pub fn push(&mut self, body: Vec<u8>, attributes: Vec<u8>, timestamp: i64) {
        self.bytes += body.len() + attributes.len();
        self.summaries.push_back(Summary { body, attributes, timestamp });
    }

    /// Takes the events for one tick, or all.
    pub fn take(&mut self, all: bool) -> Events {
        let mut events = Events::new(EventKind::Log);
        let mut made = 0;
        let all = all || self.bytes > MAX_BYTES;
        while all || made < TICK_BYTES {
            let Some(Summary { body, attributes, timestamp }) = self.summaries.pop_front() else { break };
            made += body.len() + attributes.len();
            events.push(&body, Some(&attributes), Some(timestamp));
        }
        self.bytes = self.bytes.saturating_sub(made);
        events
    }

    /// Writes them to a snapshot.
    pub fn save(&self, writer: &mut Writer) {
        writer.size(self.summaries.len());
        for Summary { body, attributes, timestamp } in &self.summaries {
            writer.bytes(body);
            writer.bytes(attributes);
            writer.signed(*timestamp);
        }
    }

    /// Adds those of a snapshot.
    ///
    /// # Errors
    ///
    /// The snapshot is damaged.
    pub fn load(&mut self, reader: &mut Reader<'_>) -> Result<(), Damaged> {
        for _ in 0..reader.size(3)? {
            let (body, attributes) = (reader.bytes()?.to_vec(), reader.bytes()?.to_vec());
            // The host checks what a node makes; a wrong snapshot must not become a fault at the next tick.
            if json::check(&attributes, 16) != Ok(Kind::Object) {
                return Err(Damaged);
            }
            self.push(body, attributes, reader.signed()?);
        }
        Ok(())
    }
}

/// Appends a time as a JSON string, as in RFC 3339.
pub fn write_time(time: i64, out: &mut Vec<u8>) {
    out.push(b'"');
    Output::Rfc3339(None).write(time, &Zone::UTC, out);
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_makes_a_part_unless_too_much_waits() {
        let mut owed = Owed::default();
        (0..3).for_each(|time| owed.push(vec![b'x'; TICK_BYTES], b"{}".to_vec(), time));
        assert_eq!([owed.take(false).len(), owed.take(true).len(), owed.take(true).len()], [1, 2, 0]);
        (0..20).for_each(|time| owed.push(vec![b'x'; TICK_BYTES], b"{}".to_vec(), time));
        assert_eq!(owed.take(false).len(), 20);
        assert_eq!(owed, Owed::default());
    }

    #[test]
    fn saved_summaries_are_restored() {
        let mut owed = Owed::default();
        owed.push(b"body".to_vec(), b"{\"a\":1}".to_vec(), -5);
        let mut writer = Writer::new();
        owed.save(&mut writer);
        let saved = writer.finish();
        let mut restored = Owed::default();
        restored.load(&mut Reader::new(&saved).unwrap()).unwrap();
        assert_eq!(restored, owed);
    }

    #[test]
    fn times_are_written_as_json() {
        let mut out = Vec::new();
        write_time(1_714_521_600_500_000_000, &mut out);
        assert_eq!(out, b"\"2024-05-01T00:00:00.5Z\"");
    }
}
