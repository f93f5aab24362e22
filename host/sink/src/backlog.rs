//! The backlog of a sink: the events that it has received and not finished, and the age of the
//! oldest.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use wattle_batch::{Ack, Disposition};

/// Events in a sink and in its queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Number of events.
    pub events: u64,
    /// Their encoded bytes, before compression.
    pub bytes: u64,
    /// How long the oldest event has waited; `None` if there are no events.
    pub oldest: Option<Duration>,
}

/// A payload in the backlog.
#[derive(Debug)]
struct Entry {
    since: Instant,
    events: u64,
    bytes: u64,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    entries: BTreeMap<u64, Entry>,
    events: u64,
    bytes: u64,
}

/// The payloads whose acknowledgements have not ended.
#[derive(Debug, Default)]
pub(crate) struct Pending(Mutex<State>);

impl Pending {
    /// Adds a payload and wraps its acknowledgement, so that the payload leaves the backlog when it
    /// ends.
    pub(crate) fn add(self: &Arc<Self>, events: usize, bytes: usize, ack: &mut Ack) {
        let (events, bytes) = (events as u64, bytes as u64);
        let mut state = self.0.lock();
        let number = state.next;
        state.next += 1;
        state.events += events;
        state.bytes += bytes;
        state.entries.insert(number, Entry { since: Instant::now(), events, bytes });
        drop(state);
        let pending = self.clone();
        let inner = std::mem::replace(ack, Ack::none());
        *ack = Ack::counting(move |disposition, rejected| {
            pending.remove(number);
            match disposition {
                Disposition::Delivered => inner.deliver(),
                Disposition::Rejected => inner.reject(rejected),
                Disposition::GivenUp => inner.give_up(),
                Disposition::Retry => drop(inner),
            }
        });
    }

    fn remove(&self, number: u64) {
        let mut state = self.0.lock();
        if let Some(Entry { events, bytes, .. }) = state.entries.remove(&number) {
            state.events -= events;
            state.bytes -= bytes;
        }
    }

    pub(crate) fn backlog(&self) -> Backlog {
        let state = self.0.lock();
        let oldest = state.entries.values().next().map(|entry| entry.since.elapsed());
        Backlog { events: state.events, bytes: state.bytes, oldest }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_backlog_counts_unfinished_payloads_and_the_age_of_the_oldest() {
        let pending = Arc::new(Pending::default());
        let reported = Arc::new(std::sync::Mutex::new(Vec::new()));
        let add = |events| {
            let to = reported.clone();
            let mut ack = Ack::new(move |disposition| to.lock().unwrap().push(disposition));
            pending.add(events, 10 * events, &mut ack);
            ack
        };
        let backlog = |events| {
            let Backlog { events: found, bytes, oldest } = pending.backlog();
            assert_eq!((found, bytes, oldest.is_some()), (events, 10 * events, events > 0));
            oldest
        };
        backlog(0);
        let first = add(3);
        std::thread::sleep(Duration::from_millis(2));
        let (second, third, fourth) = (add(2), add(1), add(1));
        backlog(7);
        let half = first.share();
        first.deliver();
        let before = backlog(7);
        assert!(before >= Some(Duration::from_millis(2)));
        half.deliver();
        backlog(4);
        second.reject(1);
        third.give_up();
        drop(fourth);
        backlog(0);
        use Disposition::{Delivered, GivenUp, Rejected, Retry};
        assert_eq!(*reported.lock().unwrap(), [Delivered, Rejected, GivenUp, Retry]);
    }
}
