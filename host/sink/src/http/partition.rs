//! Batches of the events of each key, for destinations whose requests have events of one key only.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use crate::batcher::{BatchLimits, Batcher, RequestBatch};
use crate::sink::Payload;

/// Keys whose events may wait at the same time, and the multiple of a full request that their events may have together.
/// Beyond these, the events that wait longest are sent, so that memory is bounded with any number of keys.
const MAX_KEYS: usize = 1000;
const MAX_REQUESTS: usize = 4;

/// A key of events; without partitions, all have the same.
pub(super) type Key = Option<Arc<str>>;

/// Collects events until they fill a request, separately for each key.
#[derive(Debug)]
pub(super) struct Partitions {
    limits: BatchLimits,
    /// Whether payloads are separated by their keys.
    by_key: bool,
    /// None is empty.
    batchers: HashMap<Key, Batcher>,
}

impl Partitions {
    pub(super) fn new(limits: BatchLimits, by_key: bool) -> Self {
        Self { limits, by_key, batchers: HashMap::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.batchers.is_empty()
    }

    /// Adds the events of a payload.
    pub(super) fn push(&mut self, payload: Payload) {
        let key = payload.key.clone().filter(|_| self.by_key);
        self.batchers.entry(key).or_insert_with(|| Batcher::new(self.limits)).push(payload);
    }

    /// Whether a request must be taken before more events are added.
    pub(super) fn is_full(&self) -> bool {
        self.is_crowded() || self.batchers.values().any(Batcher::is_full)
    }

    /// Whether many keys have too many events together.
    fn is_crowded(&self) -> bool {
        if self.batchers.len() < 2 {
            return false;
        }
        let bytes: usize = self.batchers.values().map(Batcher::byte_len).sum();
        self.batchers.len() >= MAX_KEYS || bytes >= self.limits.max_bytes.saturating_mul(MAX_REQUESTS)
    }

    /// When the oldest event has waited long enough; `None` without events.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.batchers.values().filter_map(Batcher::deadline).min()
    }

    /// The next request that is full or due, of the key whose events wait longest. With `flush`, every request is due.
    pub(super) fn take(&mut self, flush: bool) -> Option<(Key, RequestBatch)> {
        let now = Instant::now();
        let is_ready = |batcher: &Batcher| {
            flush || batcher.is_full() || batcher.deadline().is_some_and(|deadline| deadline <= now)
        };
        let crowded = self.is_crowded();
        let ready = self.batchers.iter().filter(|(_, batcher)| crowded || is_ready(batcher));
        let key = ready.min_by_key(|(_, batcher)| batcher.deadline()).map(|(key, _)| key.clone())?;
        let batcher = self.batchers.get_mut(&key)?;
        let batch = batcher.take(true);
        if batcher.is_empty() {
            self.batchers.remove(&key);
        }
        batch.map(|batch| (key, batch))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::testing::Rig;

    fn partitions(max_bytes: usize, by_key: bool) -> Partitions {
        let limits = BatchLimits { max_bytes, max_events: 100, timeout: Duration::from_secs(100) };
        Partitions::new(limits, by_key)
    }

    #[test]
    fn a_request_has_the_events_of_one_key_in_their_order() {
        let rig = Rig::new();
        for (by_key, expected) in [(true, &[("a", "13"), ("b", "2")][..]), (false, &[("", "123")])] {
            let mut partitions = partitions(100, by_key);
            for (key, text) in [("a", "1"), ("b", "2"), ("a", "3")] {
                partitions.push(rig.payload(Some(key), text, 1));
            }
            assert!(!partitions.is_full() && partitions.take(false).is_none());
            let mut taken = Vec::new();
            while let Some((key, batch)) = partitions.take(true) {
                taken.push((
                    key.unwrap_or_default().to_string(),
                    String::from_utf8(batch.concatenated().to_vec()).unwrap(),
                ));
            }
            let taken: Vec<_> = taken.iter().map(|(key, text)| (&**key, &**text)).collect();
            assert_eq!(taken, expected);
            assert!(partitions.is_empty());
        }
    }

    #[test]
    fn many_keys_together_are_bounded_in_bytes_and_in_number() {
        let rig = Rig::new();
        let mut few = partitions(10, true);
        for (key, text) in [("a", "123456789"), ("b", "123456789"), ("c", "123456789"), ("d", "123456789")] {
            few.push(rig.payload(Some(key), text, 1));
        }
        assert!(!few.is_full());
        few.push(rig.payload(Some("e"), "1234", 1));
        assert!(few.is_full());
        assert_eq!(few.take(false).unwrap().0.as_deref(), Some("a"), "the oldest");
        assert!(!few.is_full() && few.take(false).is_none());
        let mut many = partitions(1 << 20, true);
        for key in 0..MAX_KEYS {
            assert!(!many.is_full());
            many.push(rig.payload(Some(&key.to_string()), "x", 1));
        }
        assert!(many.is_full());
        assert!(many.take(false).is_some() && many.take(false).is_none());
    }
}
