//! What the reader, the sender, the listener and acknowledgements share.

use std::collections::HashSet;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;
use wattle_batch::Disposition;
use wattle_kafka::krafka::consumer::Consumer;

use super::events::Part;
use super::offsets::{Commit, Key, Offsets, Range};
use crate::sending::{self, Outgoing, Unacknowledged};

/// What ends with a batch.
#[derive(Debug)]
pub(super) struct About {
    pub(super) range: Range,
    cost: usize,
}

#[derive(Default)]
struct State {
    offsets: Offsets,
    batches: Unacknowledged<About>,
    /// Bytes of all batches that are not acknowledged.
    held_bytes: usize,
    is_stopping: bool,
    /// The partitions of which a commit succeeded, also those of other members now.
    has_committed: HashSet<Key>,
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
        self.state.lock().batches.is_empty()
    }

    /// Whether the group has assigned partitions to this member.
    pub(super) fn was_assigned(&self) -> bool {
        self.state.lock().was_assigned
    }

    /// Takes the messages of a partition: their events wait for the sender. If reading went back, returns the offset up to which
    /// the partition was read before.
    pub(super) fn take(&self, part: Part) -> Option<i64> {
        let Part { key, batch, first, next, leader_epoch, cost } = part;
        let mut state = self.state.lock();
        let (range, went_back) = state.offsets.begin(key, first, next, leader_epoch);
        match batch {
            Some(batch) => {
                state.held_bytes += cost;
                state.batches.push(batch, About { range, cost });
            }
            None => state.offsets.done(&range),
        }
        drop(state);
        self.to_send.notify_one();
        went_back
    }

    /// Passes the offsets from `from` to before `to`, whose messages do not exist any more.
    pub(super) fn pass(&self, key: &Key, from: i64, to: i64) {
        let mut state = self.state.lock();
        let (range, _) = state.offsets.begin(key.clone(), from, to, -1);
        state.offsets.done(&range);
    }

    /// Whether a commit of the partition succeeded since the source began.
    pub(super) fn has_committed(&self, key: &Key) -> bool {
        self.state.lock().has_committed.contains(key)
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
        let mut state = self.state.lock();
        state.offsets.committed(commits);
        state.has_committed.extend(commits.iter().map(|commit| commit.key.clone()));
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

impl sending::Shared for Shared {
    type About = About;

    fn next(&self) -> Result<Outgoing<About>, Option<Instant>> {
        let mut state = self.state.lock();
        state.drop_unwanted();
        state.batches.next()
    }

    fn ended(&self, outgoing: Outgoing<About>, disposition: Disposition) {
        let mut state = self.state.lock();
        state.batches.end();
        let is_returned = disposition == Disposition::Retry;
        if is_returned && !state.is_stopping && state.offsets.is_wanted(&outgoing.about.range) {
            // Its bytes stay counted until it is delivered.
            state.batches.send_again(outgoing);
        } else {
            if is_returned {
                state.offsets.abandon(&outgoing.about.range);
            } else {
                // Rejected events were counted where they were rejected; reading them again cannot help.
                state.offsets.done(&outgoing.about.range);
            }
            state.held_bytes = state.held_bytes.saturating_sub(outgoing.about.cost);
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

    fn changed(&self) -> &Notify {
        &self.to_send
    }
}

impl State {
    /// Drops the batches that wait and that this member must not send any more.
    fn drop_unwanted(&mut self) {
        let Self { offsets, batches, held_bytes, is_stopping, .. } = self;
        batches.retain(|Outgoing { about, .. }| {
            let is_wanted = !*is_stopping && offsets.is_wanted(&about.range);
            if !is_wanted {
                *held_bytes = held_bytes.saturating_sub(about.cost);
                offsets.abandon(&about.range);
            }
            is_wanted
        });
    }
}
