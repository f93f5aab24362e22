//! Collects events into objects, one or more for each prefix.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use super::object::{Name, Object};
use super::target::{Target, Which};
use crate::batcher::{BatchLimits, Batcher, RequestBatch};
use crate::sink::Payload;

/// The objects that are not being written yet.
#[derive(Debug)]
pub(super) struct Collector {
    limits: BatchLimits,
    max_open: usize,
    /// Incomplete objects by their prefix.
    open: HashMap<Arc<str>, Open>,
    complete: VecDeque<Object>,
    /// Bytes of all events.
    bytes: usize,
}

#[derive(Debug)]
struct Open {
    batcher: Batcher,
    /// Time of the oldest event.
    oldest: i64,
}

impl Collector {
    pub(super) fn new(limits: BatchLimits, max_open: usize) -> Self {
        Self { limits, max_open, open: HashMap::new(), complete: VecDeque::new(), bytes: 0 }
    }

    /// Whether there are no events.
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty() && self.complete.is_empty()
    }

    /// Bytes of all events.
    pub(super) fn byte_len(&self) -> usize {
        self.bytes
    }

    /// Number of complete objects.
    pub(super) fn complete(&self) -> usize {
        self.complete.len()
    }

    /// When the oldest event of any incomplete object has waited for the timeout; `None` without incomplete objects.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.open.values().filter_map(|open| open.batcher.deadline()).min()
    }

    /// Adds the events of a payload.
    pub(super) fn push(&mut self, payload: Payload) {
        let Target { prefix, object } = Target::parse(payload.key.as_deref().unwrap_or_default());
        self.bytes += payload.bytes.len();
        let oldest = match object {
            Which::Own { name, events } => {
                let name = if events == payload.events { Name::Given(name) } else { Name::PartOf(name) };
                self.complete.push_back(Object { prefix, name, events: RequestBatch::of(payload) });
                return;
            }
            Which::Shared { oldest } => oldest,
        };
        let new = || Open { batcher: Batcher::new(self.limits), oldest };
        let open = self.open.entry(prefix.clone()).or_insert_with(new);
        open.oldest = open.oldest.min(oldest);
        open.batcher.push(payload);
        while let Some(events) = open.batcher.take(false) {
            let name = Name::Contents { oldest: open.oldest };
            self.complete.push_back(Object { prefix: prefix.clone(), name, events });
            // What is left is of this payload.
            open.oldest = oldest;
        }
        if open.batcher.is_empty() {
            self.open.remove(&prefix);
        }
        while self.open.len() > self.max_open && self.close(|_, open| open.batcher.deadline()) {}
    }

    /// Completes the objects whose events have waited for the timeout; all of them if `flush` is set.
    pub(super) fn close_due(&mut self, flush: bool) {
        let now = Instant::now();
        let is_due = |open: &Open| flush || open.batcher.deadline().is_some_and(|deadline| deadline <= now);
        let due: Vec<Arc<str>> =
            self.open.iter().filter(|(_, open)| is_due(open)).map(|(prefix, _)| prefix.clone()).collect();
        due.into_iter().for_each(|prefix| self.close_one(prefix));
    }

    /// Completes the largest object; false if there is none.
    pub(super) fn close_largest(&mut self) -> bool {
        self.close(|_, open| std::cmp::Reverse(open.batcher.byte_len()))
    }

    /// Completes the object for which this is least.
    fn close<K: Ord>(&mut self, mut of: impl FnMut(&Arc<str>, &Open) -> K) -> bool {
        let first = self.open.iter().min_by_key(|(prefix, open)| of(prefix, open)).map(|(prefix, _)| prefix.clone());
        first.map(|prefix| self.close_one(prefix)).is_some()
    }

    fn close_one(&mut self, prefix: Arc<str>) {
        let Some(Open { mut batcher, oldest }) = self.open.remove(&prefix) else { return };
        // The batcher has less than a full object, so this happens once.
        while let Some(events) = batcher.take(true) {
            self.complete.push_back(Object { prefix: prefix.clone(), name: Name::Contents { oldest }, events });
        }
    }

    /// The complete object that has waited longest.
    pub(super) fn next(&mut self) -> Option<Object> {
        let object = self.complete.pop_front()?;
        self.bytes -= object.events.byte_len();
        Some(object)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::testing::Rig;

    const LIMITS: BatchLimits = BatchLimits { max_bytes: 10, max_events: 4, timeout: Duration::from_secs(100) };

    fn push(collector: &mut Collector, prefix: &str, oldest: i64, events: &[&str]) {
        let target = Target { prefix: prefix.into(), object: Which::Shared { oldest } };
        let mut payload = Rig::new().payload(Some(&target.to_string()), &events.concat(), events.len());
        let mut end = 0;
        payload.ends.extend(events.iter().map(|event| {
            end += event.len();
            end
        }));
        collector.push(payload);
    }

    fn complete(collector: &mut Collector) -> Vec<(String, i64, String)> {
        std::iter::from_fn(|| collector.next())
            .map(|object| {
                let Name::Contents { oldest } = object.name else { panic!("{object:?}") };
                let text = String::from_utf8(object.events.concatenated().to_vec()).unwrap();
                (object.prefix.to_string(), oldest, text)
            })
            .collect()
    }

    fn of(prefix: &str, oldest: i64, text: &str) -> (String, i64, String) {
        (prefix.to_owned(), oldest, text.to_owned())
    }

    #[test]
    fn objects_are_complete_by_size_and_have_the_time_of_their_oldest_event() {
        let mut collector = Collector::new(LIMITS, 10);
        push(&mut collector, "a", 5, &["aaaa"]);
        push(&mut collector, "b", 1, &["b"]);
        push(&mut collector, "a", 3, &["cccc"]);
        assert_eq!((complete(&mut collector), collector.byte_len()), (vec![], 9));
        push(&mut collector, "a", 9, &["dd", "eeee"]);
        assert_eq!(complete(&mut collector), [of("a", 3, "aaaaccccdd")]);
        collector.close_due(false);
        assert_eq!((complete(&mut collector), collector.byte_len()), (vec![], 5));
        collector.close_due(true);
        let mut rest = complete(&mut collector);
        rest.sort();
        assert_eq!(rest, [of("a", 9, "eeee"), of("b", 1, "b")]);
        assert!(collector.is_empty() && collector.byte_len() == 0 && collector.deadline().is_none());
    }

    #[test]
    fn the_oldest_object_is_completed_beyond_the_limit_of_open_ones() {
        let mut collector = Collector::new(LIMITS, 2);
        for prefix in ["a", "b", "a", "c"] {
            push(&mut collector, prefix, 0, &["x"]);
        }
        assert_eq!(complete(&mut collector), [of("a", 0, "xx")]);
        push(&mut collector, "c", 0, &["x"]);
        assert!(collector.close_largest());
        assert_eq!(complete(&mut collector), [of("c", 0, "xx")]);
        assert!(collector.close_largest() && !collector.close_largest());
    }

    #[test]
    fn payloads_with_their_own_name_are_objects_and_parts_of_them_are_told_apart() {
        let mut collector = Collector::new(LIMITS, 10);
        let target = Target { prefix: "p/".into(), object: Which::Own { name: "n".to_owned(), events: 2 } }.to_string();
        let mut whole = Rig::new().payload(Some(&target), "one two ", 2);
        whole.ends = vec![4, 8];
        collector.push(whole);
        assert_eq!(collector.next().unwrap().key(".x"), "p/n.x");
        let mut first = Rig::new().payload(Some(&target), "one two ", 2);
        first.ends = vec![4, 8];
        let second = first.split_half().unwrap();
        [first, second].into_iter().for_each(|half| collector.push(half));
        let keys: Vec<String> = std::iter::from_fn(|| collector.next()).map(|object| object.key(".x")).collect();
        assert!(keys[0] != keys[1] && keys.iter().all(|key| key.starts_with("p/n-")), "{keys:?}");
    }
}
