//! Collects events into request batches, limited by size, number and age. For sinks that send many
//! events per request.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use wattle_batch::Ack;

use crate::sink::{Payload, SinkStats, Written, split_ends};

/// When a request batch is full.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BatchLimits {
    /// Maximum bytes before compression. A single event may exceed it.
    pub(crate) max_bytes: usize,
    /// Maximum number of events.
    pub(crate) max_events: usize,
    /// Maximum time that an event waits for others.
    pub(crate) timeout: Duration,
}

/// Consecutive events of one payload.
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
        // A payload without `ends` counts as one event.
        let ends = if payload.ends.is_empty() { vec![payload.bytes.len()] } else { payload.ends };
        Self { bytes: payload.bytes.into(), ends, ack: payload.ack, arrived: Instant::now() }
    }

    /// Splits off the first `count` events; `None` if no event would remain.
    fn split_off_first(&mut self, count: usize) -> Option<Self> {
        let (cut, rest) = split_ends(&mut self.ends, count)?;
        Some(Self {
            bytes: self.bytes.split_to(cut.min(self.bytes.len())),
            ends: std::mem::replace(&mut self.ends, rest),
            ack: self.ack.share(),
            arrived: self.arrived,
        })
    }

    /// The events that are not marked, and those that are. Neither may be empty.
    fn part(self, marks: &[bool]) -> (Self, Self) {
        let mut parts = [(Vec::new(), Vec::new()), (Vec::new(), Vec::new())];
        let [plain, marked] = &mut parts;
        for (event, is_marked) in self.events().zip(marks) {
            let (bytes, ends) = if *is_marked { &mut *marked } else { &mut *plain };
            bytes.extend_from_slice(event);
            ends.push(bytes.len());
        }
        let other = self.ack.share();
        let [plain, marked] = parts;
        let chunk = |(bytes, ends): (Vec<u8>, _), ack| Self { bytes: bytes.into(), ends, ack, arrived: self.arrived };
        (chunk(plain, self.ack), chunk(marked, other))
    }

    fn events(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| self.bytes.get(start..end).unwrap_or_default())
    }

    #[cfg(any(feature = "kafka", feature = "nats"))]
    fn shared_events(&self) -> impl Iterator<Item = Bytes> {
        self.events().map(|event| self.bytes.slice_ref(event))
    }
}

/// The events of one request, with their acknowledgements.
#[derive(Debug, Default)]
pub(crate) struct RequestBatch {
    chunks: Vec<Chunk>,
}

impl RequestBatch {
    /// The events of a payload.
    pub(crate) fn of(payload: Payload) -> Self {
        Self { chunks: vec![Chunk::new(payload)] }
    }

    /// Number of events.
    pub(crate) fn len(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.ends.len()).sum()
    }

    /// Bytes of all events.
    pub(crate) fn byte_len(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.bytes.len()).sum()
    }

    /// Every event as it was encoded.
    pub(crate) fn events(&self) -> impl Iterator<Item = &[u8]> {
        self.chunks.iter().flat_map(Chunk::events)
    }

    /// The same without a copy, for clients that keep messages.
    #[cfg(any(feature = "kafka", feature = "nats"))]
    pub(crate) fn shared_events(&self) -> impl Iterator<Item = Bytes> {
        self.chunks.iter().flat_map(Chunk::shared_events)
    }

    /// All events without separators. Copies nothing if they come from one payload.
    pub(crate) fn concatenated(&self) -> Bytes {
        if let [chunk] = &self.chunks[..] {
            return chunk.bytes.clone();
        }
        let mut out = Vec::with_capacity(self.byte_len());
        self.chunks.iter().for_each(|chunk| out.extend_from_slice(&chunk.bytes));
        out.into()
    }

    /// Splits off the first `count` events.
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
            // Adds nothing when `left` is 0: then all further chunks stay.
            first.chunks.extend(chunk.split_off_first(left));
            left = 0;
            self.chunks.push(chunk);
        }
        first
    }

    /// Takes out the events that `is_refused`, in their order. Copies events only where both kinds came in one payload.
    ///
    /// # Errors
    ///
    /// The first error of `is_refused`. Then the batch has lost events.
    pub(crate) fn take_out<E>(&mut self, mut is_refused: impl FnMut(&[u8]) -> Result<bool, E>) -> Result<Self, E> {
        let mut refused = Self::default();
        for chunk in std::mem::take(&mut self.chunks) {
            let marks: Vec<bool> = chunk.events().map(&mut is_refused).collect::<Result<_, _>>()?;
            if !marks.contains(&true) {
                self.chunks.push(chunk);
            } else if !marks.contains(&false) {
                refused.chunks.push(chunk);
            } else {
                let (plain, marked) = chunk.part(&marks);
                self.chunks.push(plain);
                refused.chunks.push(marked);
            }
        }
        Ok(refused)
    }

    /// Appends the events of another batch.
    pub(crate) fn append(&mut self, other: Self) {
        self.chunks.extend(other.chunks);
    }

    /// Acknowledges the events as delivered and counts them, except the last `rejected` ones: the server reports a
    /// number only, so the last events count as the rejected ones.
    pub(crate) fn deliver_all_but(mut self, rejected: usize, stats: &SinkStats) {
        let rejected = rejected.min(self.len());
        self.split_first(self.len() - rejected).deliver(stats);
        stats.rejected_events.fetch_add(rejected as u64, Ordering::Relaxed);
        stats.lost_events.fetch_add(rejected as u64, Ordering::Relaxed);
        self.into_acks().for_each(|(ack, events)| ack.reject(events));
    }

    /// Acknowledges the events as delivered and counts them.
    pub(crate) fn deliver(self, stats: &SinkStats) {
        for chunk in self.chunks {
            stats.deliver(Written { events: chunk.ends.len(), bytes: chunk.bytes.len(), ack: chunk.ack });
        }
    }

    /// The acknowledgements of the events, each with the number of its events.
    pub(crate) fn into_acks(self) -> impl Iterator<Item = (Ack, usize)> {
        self.chunks.into_iter().map(|chunk| (chunk.ack, chunk.ends.len()))
    }
}

/// Collects events until they fill a request.
#[derive(Debug)]
pub(crate) struct Batcher {
    limits: BatchLimits,
    chunks: VecDeque<Chunk>,
    bytes: usize,
    events: usize,
}

impl Batcher {
    pub(crate) fn new(limits: BatchLimits) -> Self {
        Self { limits, chunks: VecDeque::new(), bytes: 0, events: 0 }
    }

    /// Whether the batcher has no events.
    pub(crate) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Bytes of all events.
    pub(crate) fn byte_len(&self) -> usize {
        self.bytes
    }

    /// Whether there are enough events for a request.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes >= self.limits.max_bytes || self.events >= self.limits.max_events
    }

    /// When the oldest event has waited for `timeout`; `None` without events.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.chunks.front().map(|chunk| chunk.arrived + self.limits.timeout)
    }

    /// Adds the events of a payload.
    pub(crate) fn push(&mut self, payload: Payload) {
        let chunk = Chunk::new(payload);
        self.bytes += chunk.bytes.len();
        self.events += chunk.ends.len();
        self.chunks.push_back(chunk);
    }

    /// The next request batch, if it is full, or its oldest event has waited for `timeout`, or
    /// `flush` is set.
    pub(crate) fn take(&mut self, flush: bool) -> Option<RequestBatch> {
        let due = flush || self.deadline().is_some_and(|deadline| deadline <= Instant::now());
        if self.is_empty() || !(due || self.is_full()) {
            return None;
        }
        let mut batch = RequestBatch::default();
        let (mut bytes, mut events) = (0, 0);
        while let Some(chunk) = self.chunks.front_mut() {
            let room = self.limits.max_bytes.saturating_sub(bytes);
            let mut fits = chunk.ends.partition_point(|&end| end <= room).min(self.limits.max_events - events);
            if fits == 0 && batch.chunks.is_empty() {
                // A single event may exceed the limit.
                fits = 1;
            }
            let whole = fits == chunk.ends.len();
            let part = if whole { self.chunks.pop_front() } else { chunk.split_off_first(fits) };
            if let Some(part) = part {
                bytes += part.bytes.len();
                events += part.ends.len();
                batch.chunks.push(part);
            }
            if !whole {
                break;
            }
        }
        self.bytes -= bytes;
        self.events -= events;
        Some(batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: BatchLimits = BatchLimits { max_bytes: 10, max_events: 4, timeout: Duration::from_secs(100) };

    fn payload(events: &[&str]) -> Payload {
        let mut payload =
            Payload { key: None, bytes: Vec::new(), events: events.len(), ends: Vec::new(), ack: Ack::none() };
        for event in events {
            payload.bytes.extend_from_slice(event.as_bytes());
            payload.ends.push(payload.bytes.len());
        }
        payload
    }

    fn texts(batch: &RequestBatch) -> Vec<&str> {
        batch.events().map(|event| std::str::from_utf8(event).unwrap()).collect()
    }

    fn batches(limits: BatchLimits, payloads: &[&[&str]]) -> Vec<Vec<String>> {
        let mut batcher = Batcher::new(limits);
        payloads.iter().for_each(|events| batcher.push(payload(events)));
        let mut out = Vec::new();
        while let Some(batch) = batcher.take(true) {
            assert_eq!(batch.len(), texts(&batch).len());
            out.push(texts(&batch).into_iter().map(str::to_owned).collect());
        }
        assert!(batcher.is_empty() && !batcher.is_full());
        out
    }

    #[test]
    fn batches_respect_the_limits_and_keep_the_order() {
        let check = |payloads: &[&[&str]], expected: &[&[&str]]| assert_eq!(batches(LIMITS, payloads), expected);
        check(&[&["a", "b"], &["c"]], &[&["a", "b", "c"]]);
        check(&[&["a", "b", "c"], &["d", "e", "f"]], &[&["a", "b", "c", "d"], &["e", "f"]]);
        check(&[&["aaaaa", "bbbbb", "c"]], &[&["aaaaa", "bbbbb"], &["c"]]);
        check(&[&["aaaaaaa"], &["bbbb", "c"]], &[&["aaaaaaa"], &["bbbb", "c"]]);
        check(&[&["a"], &["larger than the limit", "b"]], &[&["a"], &["larger than the limit"], &["b"]]);
        check(&[&["", ""], &["", "", ""]], &[&["", "", "", ""], &[""]]);
    }

    #[test]
    fn a_batch_waits_until_it_is_full_or_its_timeout_has_passed() {
        let mut batcher = Batcher::new(LIMITS);
        assert_eq!(batcher.deadline(), None);
        batcher.push(payload(&["a"]));
        assert!(batcher.take(false).is_none());
        batcher.push(payload(&["b", "c", "d"]));
        assert_eq!(texts(&batcher.take(false).unwrap()), ["a", "b", "c", "d"]);
        let mut batcher = Batcher::new(BatchLimits { timeout: Duration::ZERO, ..LIMITS });
        batcher.push(payload(&["a"]));
        assert_eq!(texts(&batcher.take(false).unwrap()), ["a"]);
    }

    #[test]
    fn a_split_keeps_every_event_once() {
        for sizes in [&[2][..], &[1, 1], &[3, 2], &[1, 4, 2], &[7]] {
            let mut batcher = Batcher::new(BatchLimits { max_bytes: 100, max_events: 100, ..LIMITS });
            let mut number = 0;
            for &size in sizes {
                let events: Vec<String> = (number..number + size).map(|n| n.to_string()).collect();
                batcher.push(payload(&events.iter().map(String::as_str).collect::<Vec<_>>()));
                number += size;
            }
            let mut batch = batcher.take(true).unwrap();
            let whole: Vec<String> = texts(&batch).into_iter().map(str::to_owned).collect();
            assert_eq!(whole.len(), number);
            for count in [0, 1, number / 2, number] {
                let mut first = batch.split_first(count);
                assert_eq!((first.len(), batch.len()), (count, number - count));
                first.append(batch);
                batch = first;
                assert_eq!(texts(&batch), whole);
            }
        }
    }
}
