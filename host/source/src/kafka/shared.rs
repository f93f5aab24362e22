//! What the reader, the sender, the listener and acknowledgements share.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;
use wattle_batch::{Ack, Batch, Disposition};
use wattle_kafka::krafka::consumer::Consumer;

use super::events::Part;
use super::offsets::{Commit, Key, Offsets, Range};
use crate::broker::send::Waiting;

/// First pause before batches that returned are sent again; it doubles up to the maximum.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LAST_PAUSE: Duration = Duration::from_secs(30);

/// A batch on its way to the queue.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) range: Range,
    /// The events, without an acknowledgement.
    pub(super) batch: Batch,
    cost: usize,
    /// How often it returned.
    attempt: u32,
    /// Position in the order of the source.
    number: u64,
}

#[derive(Default)]
struct State {
    offsets: Offsets,
    /// Batches that were not sent yet.
    queue: VecDeque<Outgoing>,
    /// Batches that returned undelivered, and when they are sent again.
    returned: Vec<Outgoing>,
    retry_at: Option<Instant>,
    /// Batches that are pushed and not acknowledged.
    in_flight: usize,
    /// Bytes of all batches that are not acknowledged.
    held_bytes: usize,
    number: u64,
    is_stopping: bool,
    /// The group has assigned partitions to this member, since the consumer began.
    was_assigned: bool,
    consumer: Weak<Consumer>,
    /// The consumer is paused.
    is_paused: bool,
}

/// What a source has read and not committed.
pub(super) struct Shared {
    state: Mutex<State>,
    max_bytes: usize,
    /// There is something for the sender to do.
    pub(super) to_send: Notify,
}

impl Shared {
    pub(super) fn new(max_bytes: usize) -> Self {
        Self { state: Mutex::default(), max_bytes, to_send: Notify::new() }
    }

    /// Sets the consumer that commits and that more room wakes up.
    pub(super) fn set_consumer(&self, consumer: &Arc<Consumer>) {
        let mut state = self.state.lock();
        state.consumer = Arc::downgrade(consumer);
        state.was_assigned = false;
    }

    pub(super) fn consumer(&self) -> Option<Arc<Consumer>> {
        self.state.lock().consumer.upgrade()
    }

    /// Whether `max_in_flight_bytes` are held, so that reading must pause.
    pub(super) fn is_full(&self) -> bool {
        self.state.lock().held_bytes >= self.max_bytes
    }

    /// Whether there is enough room to go on after a pause.
    pub(super) fn has_room(&self) -> bool {
        self.state.lock().held_bytes <= self.max_bytes / 2
    }

    /// Says whether the consumer is paused.
    pub(super) fn set_paused(&self, is_paused: bool) {
        self.state.lock().is_paused = is_paused;
    }

    /// Whether everything that was read is acknowledged.
    pub(super) fn is_idle(&self) -> bool {
        let state = self.state.lock();
        state.in_flight == 0 && state.queue.is_empty() && state.returned.is_empty()
    }

    /// Whether the group has assigned partitions to this member.
    pub(super) fn was_assigned(&self) -> bool {
        self.state.lock().was_assigned
    }

    /// Takes the messages of a partition: their events wait for the sender.
    pub(super) fn take(&self, part: Part) {
        let Part { key, batch, first, next, leader_epoch, cost } = part;
        let mut state = self.state.lock();
        let range = state.offsets.begin(key, first, next, leader_epoch);
        match batch {
            Some(batch) => {
                state.held_bytes += cost;
                state.number += 1;
                let number = state.number;
                state.queue.push_back(Outgoing { range, batch, cost, attempt: 0, number });
            }
            None => state.offsets.done(&range),
        }
        drop(state);
        self.to_send.notify_one();
    }

    fn ended(&self, mut outgoing: Outgoing, disposition: Disposition) {
        let mut state = self.state.lock();
        state.in_flight -= 1;
        let is_returned = disposition == Disposition::Retry;
        if is_returned && !state.is_stopping && state.offsets.is_wanted(&outgoing.range) {
            // Its bytes stay counted until it is delivered.
            outgoing.attempt += 1;
            let pause = FIRST_PAUSE.saturating_mul(1 << (outgoing.attempt - 1).min(10)).min(LAST_PAUSE);
            state.retry_at.get_or_insert_with(|| Instant::now() + pause);
            state.returned.push(outgoing);
        } else {
            if is_returned {
                state.offsets.abandon(&outgoing.range);
            } else {
                // Rejected events were counted where they were rejected; reading them again cannot help.
                state.offsets.done(&outgoing.range);
            }
            state.held_bytes = state.held_bytes.saturating_sub(outgoing.cost);
        }
        let has_room = state.held_bytes <= self.max_bytes / 2 || state.is_stopping;
        let wake = (state.is_paused && has_room).then(|| state.consumer.clone());
        drop(state);
        self.to_send.notify_one();
        // A paused consumer looks for room again. Waking up one that waits for messages would only cost a request.
        if let Some(consumer) = wake.and_then(|consumer| consumer.upgrade()) {
            consumer.wakeup();
        }
    }

    /// The source stops: what was not sent is not sent any more.
    pub(super) fn stop(&self) {
        let mut state = self.state.lock();
        state.is_stopping = true;
        state.drop_unwanted();
        drop(state);
        self.to_send.notify_one();
    }

    /// This member got partitions.
    pub(super) fn assign(&self, keys: Vec<Key>) {
        let mut state = self.state.lock();
        state.was_assigned = true;
        keys.into_iter().for_each(|key| state.offsets.assign(key));
    }

    /// Partitions will move to other members: what was not sent of them is not sent any more.
    pub(super) fn leave(&self, keys: &[Key]) {
        let mut state = self.state.lock();
        keys.iter().for_each(|key| state.offsets.leave(key));
        state.drop_unwanted();
        drop(state);
        self.to_send.notify_one();
    }

    /// Partitions were revoked.
    pub(super) fn forget(&self, keys: &[Key]) {
        let mut state = self.state.lock();
        keys.iter().for_each(|key| state.offsets.forget(key));
        state.drop_unwanted();
    }

    /// The consumer ended, and its partitions were revoked.
    pub(super) fn forget_all(&self) {
        let mut state = self.state.lock();
        state.offsets.forget_all();
        state.drop_unwanted();
    }

    /// Number of batches of these partitions that are not acknowledged.
    pub(super) fn outstanding(&self, keys: &[Key]) -> usize {
        self.state.lock().offsets.outstanding(keys)
    }

    /// What can be committed, of one or of all partitions.
    pub(super) fn to_commit(&self, keys: Option<&[Key]>) -> Vec<Commit> {
        self.state.lock().offsets.to_commit(keys)
    }

    /// The brokers have these offsets.
    pub(super) fn committed(&self, commits: &[Commit]) {
        self.state.lock().offsets.committed(commits);
    }

    /// The partitions for which it is not known where reading begins.
    pub(super) fn without_start(&self) -> Vec<Key> {
        self.state.lock().offsets.without_start()
    }

    /// Where reading a partition begins.
    pub(super) fn start_at(&self, key: &Key, offset: i64) {
        self.state.lock().offsets.start_at(key, offset);
    }

    /// Up to where a partition is delivered.
    pub(super) fn done_to(&self, key: &Key) -> Option<i64> {
        self.state.lock().offsets.done_to(key)
    }
}

impl Waiting for Shared {
    type Outgoing = Outgoing;

    /// While some batches wait to be sent again, others wait too, to keep the order.
    fn next(&self) -> Result<Outgoing, Option<Instant>> {
        let mut state = self.state.lock();
        state.drop_unwanted();
        if let Some(at) = state.retry_at {
            if at > Instant::now() {
                return Err(Some(at));
            }
            state.retry_at = None;
            let mut again = std::mem::take(&mut state.returned);
            again.sort_unstable_by_key(|outgoing| std::cmp::Reverse(outgoing.number));
            again.into_iter().for_each(|outgoing| state.queue.push_front(outgoing));
        }
        state.queue.pop_front().ok_or(None)
    }

    fn with_ack(self: &Arc<Self>, outgoing: Outgoing) -> Batch {
        self.state.lock().in_flight += 1;
        let batch = outgoing.batch.detached();
        let batch = if outgoing.attempt > 0 { batch.redelivered() } else { batch };
        let shared = self.clone();
        batch.with_ack(Ack::new(move |disposition| shared.ended(outgoing, disposition)))
    }

    fn changed(&self) -> &Notify {
        &self.to_send
    }
}

impl State {
    /// Drops the batches that wait and that this member must not send any more.
    fn drop_unwanted(&mut self) {
        let Self { offsets, queue, returned, held_bytes, is_stopping, .. } = self;
        let mut is_wanted = |outgoing: &Outgoing| {
            let is_wanted = !*is_stopping && offsets.is_wanted(&outgoing.range);
            if !is_wanted {
                *held_bytes = held_bytes.saturating_sub(outgoing.cost);
                offsets.abandon(&outgoing.range);
            }
            is_wanted
        };
        queue.retain(&mut is_wanted);
        returned.retain(&mut is_wanted);
        if returned.is_empty() {
            self.retry_at = None;
        }
    }
}
