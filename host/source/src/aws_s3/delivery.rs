//! Which parts of an object are delivered.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;
use wattle_batch::{Ack, Disposition};

use super::resume::Progress;
use crate::in_flight::Share;

/// The parts of one object that were sent. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Delivery(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Everything before this decompressed byte is delivered.
    done_to: u64,
    /// Batches and events of this delivery before that.
    batches: u64,
    events: u64,
    /// Parts after that, by their start.
    parts: BTreeMap<u64, Part>,
    outstanding: usize,
    has_returned: bool,
    /// No more parts of the object are read now.
    is_cut: bool,
    /// What keeps the position over a restart.
    progress: Option<Progress>,
}

#[derive(Debug)]
struct Part {
    end: u64,
    events: u64,
    is_done: bool,
}

/// How the sent parts of an object ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Settled {
    /// Everything before this decompressed byte is delivered.
    pub(super) done_to: u64,
    /// Events of this delivery before that.
    pub(super) events: u64,
    /// Some events after it returned undelivered and must be sent again.
    pub(super) has_returned: bool,
}

impl Delivery {
    /// An object of which everything before a position was delivered before.
    pub(super) fn starting_at(position: u64) -> Self {
        let delivery = Self::default();
        delivery.0.state.lock().done_to = position;
        delivery
    }

    /// The object is open and is read from this position. `progress` keeps how far it is delivered.
    pub(super) fn begin(&self, position: u64, progress: Option<Progress>) {
        let mut state = self.0.state.lock();
        state.done_to = position;
        state.progress = progress;
    }

    /// The acknowledgement of a part with so many events. The share ends with it.
    pub(super) fn ack(&self, (start, end): (u64, u64), events: u64, share: Share) -> Ack {
        let mut state = self.0.state.lock();
        state.outstanding += 1;
        state.parts.insert(start, Part { end, events, is_done: false });
        state.keep();
        drop(state);
        let shared = self.0.clone();
        Ack::new(move |disposition| {
            // Rejected events were counted as lost where they were rejected; reading the object again cannot help.
            let is_done = disposition != Disposition::Retry;
            shared.state.lock().end(start, is_done);
            drop(share);
            shared.changed.notify_one();
        })
    }

    /// The object is not read to its end now.
    pub(super) fn cut(&self) {
        let mut state = self.0.state.lock();
        state.is_cut = true;
        state.keep();
    }

    /// Waits until every sent part is acknowledged.
    pub(super) async fn settled(&self) -> Settled {
        loop {
            let changed = self.0.changed.notified();
            {
                let state = self.0.state.lock();
                if state.outstanding == 0 {
                    let State { done_to, events, has_returned, .. } = *state;
                    return Settled { done_to, events, has_returned };
                }
            }
            changed.await;
        }
    }
}

impl State {
    fn end(&mut self, start: u64, is_done: bool) {
        self.outstanding = self.outstanding.saturating_sub(1);
        self.has_returned |= !is_done;
        if let Some(part) = self.parts.get_mut(&start) {
            part.is_done = is_done;
        }
        let before = self.done_to;
        while let Some(first) = self.parts.first_entry().filter(|first| first.get().is_done) {
            let part = first.remove();
            self.done_to = self.done_to.max(part.end);
            self.events += part.events;
            self.batches += 1;
        }
        if self.done_to > before {
            // Under the lock: an object that is settled is forgotten, and nothing must keep it after that.
            self.keep();
        }
    }

    /// Keeps the position over a restart, unless the first batch may be the whole object, as that of most objects is.
    fn keep(&self) {
        let is_part = self.is_cut || self.batches > 1 || !self.parts.is_empty();
        if let Some(progress) = self.progress.as_ref().filter(|_| self.batches > 0 && is_part) {
            progress.keep(self.done_to);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::in_flight::InFlight;

    #[tokio::test]
    async fn delivered_parts_count_up_to_the_first_that_returned() {
        let all = InFlight::new(1 << 20);
        let delivery = Delivery::starting_at(10);
        let acks: Vec<Ack> = [(10, 20), (20, 30), (30, 40)].map(|part| delivery.ack(part, 3, all.share())).into();
        let mut acks = acks.into_iter();
        let (first, second, third) = (acks.next().unwrap(), acks.next().unwrap(), acks.next().unwrap());
        third.deliver();
        first.reject(1);
        drop(second);
        assert_eq!(delivery.settled().await, Settled { done_to: 20, events: 3, has_returned: true });
        let again = Delivery::starting_at(20);
        again.ack((20, 40), 6, all.share()).deliver();
        assert_eq!(again.settled().await, Settled { done_to: 40, events: 6, has_returned: false });
    }
}
