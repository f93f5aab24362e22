//! Which events go into one request: gathering them, taking requests apart, and writing bodies.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use wattle_batch::Ack;

use super::options::Format;
use crate::sink::{Payload, SinkStats, Written, split_ends};

/// What stands before each event in a request of format `bulk`: it is new, and the far side makes its key. Data streams
/// take nothing else.
const BULK_ACTION: &[u8] = b"{\"create\":{}}\n";

/// When a request is full.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Bytes before compression; one event may be larger.
    pub(crate) max_bytes: usize,
    /// Number of events.
    pub(crate) max_events: usize,
    /// How long an event waits for others.
    pub(crate) timeout: Duration,
}

/// Neighbouring events of one payload.
#[derive(Debug)]
struct Chunk {
    bytes: Bytes,
    /// End of each event within `bytes`.
    ends: Vec<usize>,
    ack: Ack,
    arrived: Instant,
}

impl Chunk {
    fn new(payload: Payload) -> Self {
        let ends = if payload.ends.is_empty() { vec![payload.bytes.len()] } else { payload.ends };
        Self { bytes: payload.bytes.into(), ends, ack: payload.ack, arrived: Instant::now() }
    }

    /// Takes the first `count` events off, if that leaves some.
    fn split_off_first(&mut self, count: usize) -> Option<Self> {
        let (cut, rest) = split_ends(&mut self.ends, count)?;
        Some(Self {
            bytes: self.bytes.split_to(cut.min(self.bytes.len())),
            ends: std::mem::replace(&mut self.ends, rest),
            ack: self.ack.share(),
            arrived: self.arrived,
        })
    }

    fn events(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| self.bytes.get(start..end).unwrap_or_default())
    }
}

/// Events of one request.
#[derive(Debug, Default)]
pub(crate) struct Group {
    chunks: Vec<Chunk>,
}

impl Group {
    /// Number of events.
    pub(crate) fn len(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.ends.len()).sum()
    }

    /// Every event as it was encoded.
    pub(crate) fn events(&self) -> impl Iterator<Item = &[u8]> {
        self.chunks.iter().flat_map(Chunk::events)
    }

    /// The body of the request, before compression.
    pub(crate) fn body(&self, format: Format) -> Bytes {
        if let ([chunk], Format::Ndjson) = (&self.chunks[..], format) {
            return chunk.bytes.clone();
        }
        let bytes: usize = self.chunks.iter().map(|chunk| chunk.bytes.len() + chunk.ends.len()).sum();
        let mut out = Vec::with_capacity(bytes + 2);
        match format {
            Format::Ndjson => self.chunks.iter().for_each(|chunk| out.extend_from_slice(&chunk.bytes)),
            Format::Bulk => {
                out.reserve(BULK_ACTION.len() * self.len());
                for event in self.events() {
                    out.extend_from_slice(BULK_ACTION);
                    out.extend_from_slice(event);
                }
            }
            Format::Array => {
                let mut before = b'[';
                for event in self.events() {
                    out.push(before);
                    out.extend_from_slice(event);
                    before = b',';
                }
                out.push(b']');
            }
        }
        out.into()
    }

    /// Takes the first `count` events off.
    pub(crate) fn split_first(&mut self, count: usize) -> Self {
        let mut left = count;
        let mut first = Self::default();
        for mut chunk in std::mem::take(&mut self.chunks) {
            let events = chunk.ends.len();
            if events <= left {
                left -= events;
                first.chunks.push(chunk);
                continue;
            }
            first.chunks.extend(chunk.split_off_first(left));
            left = 0;
            self.chunks.push(chunk);
        }
        first
    }

    /// Adds the events of another group behind its own.
    pub(crate) fn append(&mut self, other: Self) {
        self.chunks.extend(other.chunks);
    }

    /// Acknowledges the events, which the far side has.
    pub(crate) fn deliver(self, stats: &SinkStats) {
        for chunk in self.chunks {
            stats.deliver(Written { events: chunk.ends.len(), bytes: chunk.bytes.len(), ack: chunk.ack });
        }
    }

    /// Hands over the acknowledgements.
    pub(crate) fn into_acks(self) -> impl Iterator<Item = Ack> {
        self.chunks.into_iter().map(|chunk| chunk.ack)
    }
}

/// Gathers events until they fill a request.
#[derive(Debug)]
pub(crate) struct Gatherer {
    limits: Limits,
    chunks: VecDeque<Chunk>,
    bytes: usize,
    events: usize,
}

impl Gatherer {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, chunks: VecDeque::new(), bytes: 0, events: 0 }
    }

    /// Whether no events are held.
    pub(crate) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Whether there are enough events for a request.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes >= self.limits.max_bytes || self.events >= self.limits.max_events
    }

    /// When the events that are held have waited long enough.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.chunks.front().map(|chunk| chunk.arrived + self.limits.timeout)
    }

    /// Takes in events.
    pub(crate) fn push(&mut self, payload: Payload) {
        let chunk = Chunk::new(payload);
        self.bytes += chunk.bytes.len();
        self.events += chunk.ends.len();
        self.chunks.push_back(chunk);
    }

    /// The next request, if there are enough events for one, or the oldest has waited long enough, or `all` must go.
    pub(crate) fn take(&mut self, all: bool) -> Option<Group> {
        let due = all || self.deadline().is_some_and(|deadline| deadline <= Instant::now());
        if self.is_empty() || !(due || self.is_full()) {
            return None;
        }
        let mut group = Group::default();
        let (mut bytes, mut events) = (0, 0);
        while let Some(chunk) = self.chunks.front_mut() {
            let room = self.limits.max_bytes.saturating_sub(bytes);
            let mut fits = chunk.ends.partition_point(|&end| end <= room).min(self.limits.max_events - events);
            if fits == 0 && group.chunks.is_empty() {
                fits = 1;
            }
            let whole = fits == chunk.ends.len();
            let part = if whole { self.chunks.pop_front() } else { chunk.split_off_first(fits) };
            if let Some(part) = part {
                bytes += part.bytes.len();
                events += part.ends.len();
                group.chunks.push(part);
            }
            if !whole {
                break;
            }
        }
        self.bytes -= bytes;
        self.events -= events;
        Some(group)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wattle_batch::Ack;

    const LIMITS: Limits = Limits { max_bytes: 10, max_events: 4, timeout: Duration::from_secs(100) };

    fn payload(events: &[&str]) -> Payload {
        let mut payload =
            Payload { key: None, bytes: Vec::new(), events: events.len(), ends: Vec::new(), ack: Ack::none() };
        for event in events {
            payload.bytes.extend_from_slice(event.as_bytes());
            payload.ends.push(payload.bytes.len());
        }
        payload
    }

    fn texts(group: &Group) -> Vec<&str> {
        group.events().map(|event| std::str::from_utf8(event).unwrap()).collect()
    }

    fn groups(limits: Limits, payloads: &[&[&str]]) -> Vec<Vec<String>> {
        let mut gatherer = Gatherer::new(limits);
        payloads.iter().for_each(|events| gatherer.push(payload(events)));
        let mut out = Vec::new();
        while let Some(group) = gatherer.take(true) {
            assert_eq!(group.len(), texts(&group).len());
            out.push(texts(&group).into_iter().map(str::to_owned).collect());
        }
        assert!(gatherer.is_empty() && !gatherer.is_full());
        out
    }

    #[test]
    fn requests_keep_to_the_limits_and_the_order() {
        let check = |payloads: &[&[&str]], expected: &[&[&str]]| assert_eq!(groups(LIMITS, payloads), expected);
        check(&[&["a", "b"], &["c"]], &[&["a", "b", "c"]]);
        check(&[&["a", "b", "c"], &["d", "e", "f"]], &[&["a", "b", "c", "d"], &["e", "f"]]);
        check(&[&["aaaaa", "bbbbb", "c"]], &[&["aaaaa", "bbbbb"], &["c"]]);
        check(&[&["aaaaaaa"], &["bbbb", "c"]], &[&["aaaaaaa"], &["bbbb", "c"]]);
        check(&[&["a"], &["larger than the limit", "b"]], &[&["a"], &["larger than the limit"], &["b"]]);
        check(&[&["", ""], &["", "", ""]], &[&["", "", "", ""], &[""]]);
    }

    #[test]
    fn a_request_waits_until_it_is_full_or_its_time_has_come() {
        let mut gatherer = Gatherer::new(LIMITS);
        assert_eq!(gatherer.deadline(), None);
        gatherer.push(payload(&["a"]));
        assert!(gatherer.take(false).is_none());
        gatherer.push(payload(&["b", "c", "d"]));
        assert_eq!(texts(&gatherer.take(false).unwrap()), ["a", "b", "c", "d"]);
        let mut gatherer = Gatherer::new(Limits { timeout: Duration::ZERO, ..LIMITS });
        gatherer.push(payload(&["a"]));
        assert_eq!(texts(&gatherer.take(false).unwrap()), ["a"]);
    }

    #[test]
    fn bodies_are_lines_or_an_array() {
        let group = |payloads: &[&[&str]]| {
            let mut gatherer = Gatherer::new(Limits { max_bytes: 100, max_events: 100, ..LIMITS });
            payloads.iter().for_each(|events| gatherer.push(payload(events)));
            gatherer.take(true).unwrap()
        };
        assert_eq!(&group(&[&["1\n", "2\n"]]).body(Format::Ndjson)[..], b"1\n2\n");
        assert_eq!(&group(&[&["1\n"], &["2\n"]]).body(Format::Ndjson)[..], b"1\n2\n");
        assert_eq!(&group(&[&["1"], &["2", "3"]]).body(Format::Array)[..], b"[1,2,3]");
        assert_eq!(&group(&[&["1"]]).body(Format::Array)[..], b"[1]");
        assert_eq!(&group(&[&["1\n", "2\n"]]).body(Format::Bulk)[..], b"{\"create\":{}}\n1\n{\"create\":{}}\n2\n");
    }

    #[test]
    fn parts_hold_every_event_once() {
        for sizes in [&[2][..], &[1, 1], &[3, 2], &[1, 4, 2], &[7]] {
            let mut gatherer = Gatherer::new(Limits { max_bytes: 100, max_events: 100, ..LIMITS });
            let mut number = 0;
            for &size in sizes {
                let events: Vec<String> = (number..number + size).map(|n| n.to_string()).collect();
                gatherer.push(payload(&events.iter().map(String::as_str).collect::<Vec<_>>()));
                number += size;
            }
            let mut group = gatherer.take(true).unwrap();
            let whole: Vec<String> = texts(&group).into_iter().map(str::to_owned).collect();
            assert_eq!(whole.len(), number);
            for count in [0, 1, number / 2, number] {
                let mut first = group.split_first(count);
                assert_eq!((first.len(), group.len()), (count, number - count));
                first.append(group);
                group = first;
                assert_eq!(texts(&group), whole);
            }
        }
    }
}
