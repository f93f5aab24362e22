//! Follows acknowledgements: how far each file is delivered, without gaps.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tokio::sync::Notify;
use wattle_batch::{Ack, Disposition};

use super::checkpoint::{Entry, now};
use super::identity::FileId;
use crate::stats::{SourceStats, add};

/// The first pause before undelivered events are read again; it doubles up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LAST_PAUSE: Duration = Duration::from_secs(30);

/// How long a file that is not there any more is remembered, in seconds: a volume may come back.
const REMEMBERED: u64 = 24 * 60 * 60;

/// Stands for a watched file; a file that is started anew gets a new one, so that late acknowledgements miss it.
pub(crate) type Key = u64;

/// Positions of all files, shared by the reading thread, the task and the acknowledgements.
pub(crate) struct Tracker {
    stats: Arc<SourceStats>,
    state: Mutex<State>,
    reader: Condvar,
    task: Notify,
}

#[derive(Default)]
struct State {
    files: HashMap<Key, Progress>,
    /// Files that were known and are not watched now.
    unseen: HashMap<FileId, Entry>,
    /// Files to read again, and when.
    rewinds: HashMap<Key, Instant>,
    /// Batches that are in flight.
    outstanding: usize,
    /// Something changed since the last snapshot.
    is_dirty: bool,
    /// The reader should look around.
    is_woken: bool,
    is_stopped: bool,
}

struct Progress {
    entry: Entry,
    /// Raised when the file is read again from its position; what was sent before does not count any more.
    epoch: u32,
    /// Parts of the file in flight, in order. The first has the number `first`.
    parts: VecDeque<Part>,
    first: u64,
    attempt: u32,
}

struct Part {
    end: u64,
    is_done: bool,
}

/// Names a part.
struct Ticket {
    key: Key,
    epoch: u32,
    number: u64,
    events: u64,
}

impl Tracker {
    pub(crate) fn new(stats: Arc<SourceStats>) -> Self {
        Self { stats, state: Mutex::default(), reader: Condvar::new(), task: Notify::new() }
    }

    /// Takes over what was saved. Returns whether anything ever was.
    pub(crate) fn restore(&self, saved: Option<Vec<Entry>>) -> bool {
        let is_known = saved.is_some();
        let mut state = self.state.lock();
        state.unseen = saved.unwrap_or_default().into_iter().map(|entry| (entry.id, entry)).collect();
        // So that the next start knows that there was one.
        state.is_dirty = true;
        is_known
    }

    /// What is known of a file that is not watched.
    pub(crate) fn unseen(&self, id: FileId) -> Option<Entry> {
        self.state.lock().unseen.get(&id).cloned()
    }

    /// Everything that is known and not watched.
    pub(crate) fn all_unseen(&self) -> Vec<Entry> {
        self.state.lock().unseen.values().cloned().collect()
    }

    /// Starts to follow a file.
    pub(crate) fn watch(&self, key: Key, entry: Entry) {
        let mut state = self.state.lock();
        state.unseen.remove(&entry.id);
        let progress = Progress { entry, epoch: 0, parts: VecDeque::new(), first: 0, attempt: 0 };
        state.files.insert(key, progress);
        state.is_dirty = true;
    }

    /// Ceases to follow a file, which is remembered for a while if it may come back.
    pub(crate) fn unwatch(&self, key: Key, remember: bool) {
        let mut state = self.state.lock();
        state.rewinds.remove(&key);
        if let Some(progress) = state.files.remove(&key) {
            state.is_dirty = true;
            if remember {
                let entry = Entry { seen: now(), ..progress.entry };
                state.unseen.insert(entry.id, entry);
            }
        }
    }

    /// Changes what is known of a file.
    pub(crate) fn update(&self, key: Key, change: impl FnOnce(&mut Entry)) {
        let mut state = self.state.lock();
        if let Some(progress) = state.files.get_mut(&key) {
            change(&mut progress.entry);
            state.is_dirty = true;
        }
    }

    /// Makes the acknowledgement of the next part of a file, which holds some events and ends at `end`.
    pub(crate) fn ack(self: &Arc<Self>, key: Key, end: u64, events: u64) -> Ack {
        let mut state = self.state.lock();
        state.outstanding += 1;
        let mut ticket = Ticket { key, epoch: 0, number: 0, events };
        if let Some(progress) = state.files.get_mut(&key) {
            ticket.epoch = progress.epoch;
            ticket.number = progress.first + progress.parts.len() as u64;
            progress.parts.push_back(Part { end, is_done: false });
        }
        drop(state);
        let tracker = self.clone();
        Ack::new(move |disposition| tracker.report(&ticket, disposition))
    }

    /// Notes that what lies between the last part of a file and `end` holds no event.
    pub(crate) fn pass(&self, key: Key, end: u64) {
        let mut state = self.state.lock();
        if let Some(progress) = state.files.get_mut(&key)
            && progress.parts.back().map_or(progress.entry.position, |part| part.end) < end
        {
            progress.parts.push_back(Part { end, is_done: true });
            state.is_dirty |= progress.advance();
        }
    }

    fn report(&self, ticket: &Ticket, disposition: Disposition) {
        let mut state = self.state.lock();
        let State { files, rewinds, outstanding, .. } = &mut *state;
        *outstanding -= 1;
        let is_settled = *outstanding == 0;
        let mut wake = is_settled;
        let mut moved = false;
        match files.get_mut(&ticket.key) {
            Some(progress) if progress.epoch != ticket.epoch => {}
            Some(progress) if disposition == Disposition::Retry => {
                rewinds.entry(ticket.key).or_insert_with(|| Instant::now() + pause(progress.attempt));
                wake = true;
            }
            Some(progress) => {
                moved = progress.deliver(ticket.number);
                wake |= progress.parts.is_empty();
            }
            None if disposition == Disposition::Retry => {
                add(&self.stats.lost, ticket.events);
                tracing::error!(
                    events = ticket.events,
                    "events were not delivered, and their file was replaced or is gone"
                );
            }
            None => {}
        }
        state.is_dirty |= moved;
        state.is_woken |= wake;
        drop(state);
        if wake {
            self.reader.notify_one();
        }
        if is_settled {
            self.task.notify_one();
        }
    }

    /// Files to read again now, with the position to go back to.
    pub(crate) fn take_rewinds(&self) -> Vec<(Key, u64)> {
        let now = Instant::now();
        let mut state = self.state.lock();
        let State { files, rewinds, .. } = &mut *state;
        let due: Vec<Key> = rewinds.extract_if(|_, at| *at <= now).map(|(key, _)| key).collect();
        due.into_iter()
            .filter_map(|key| {
                let progress = files.get_mut(&key)?;
                progress.rewind();
                Some((key, progress.entry.position))
            })
            .collect()
    }

    /// When the next file is to be read again.
    pub(crate) fn next_rewind(&self) -> Option<Instant> {
        self.state.lock().rewinds.values().min().copied()
    }

    /// Whether all that was read of the file is delivered, to its end.
    pub(crate) fn is_delivered(&self, key: Key) -> bool {
        let state = self.state.lock();
        state.files.get(&key).is_some_and(|p| p.parts.is_empty() && p.entry.end == Some(p.entry.position))
    }

    /// Whether nothing of the file is in flight.
    pub(crate) fn is_idle(&self, key: Key) -> bool {
        self.state.lock().files.get(&key).is_none_or(|progress| progress.parts.is_empty())
    }

    /// Whether nothing is in flight and nothing waits to be read again.
    pub(crate) fn is_settled(&self) -> bool {
        let state = self.state.lock();
        state.outstanding == 0 && state.rewinds.is_empty()
    }

    /// Waits until nothing is in flight.
    pub(crate) async fn settled(&self) {
        while self.state.lock().outstanding > 0 {
            self.task.notified().await;
        }
    }

    /// Lets the reading thread sleep until something happens.
    pub(crate) fn wait(&self, longest: Duration) {
        let mut state = self.state.lock();
        if !state.is_woken && !state.is_stopped {
            self.reader.wait_for(&mut state, longest);
        }
        state.is_woken = false;
    }

    /// Tells the reading thread to end.
    pub(crate) fn stop(&self) {
        self.state.lock().is_stopped = true;
        self.reader.notify_one();
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.state.lock().is_stopped
    }

    /// What was to be saved was not.
    pub(crate) fn not_saved(&self) {
        self.state.lock().is_dirty = true;
    }

    /// What to save, if anything changed since the last call.
    pub(crate) fn snapshot(&self) -> Option<Vec<Entry>> {
        let now = now();
        let mut state = self.state.lock();
        if !std::mem::take(&mut state.is_dirty) {
            return None;
        }
        state.unseen.retain(|_, entry| entry.seen.saturating_add(REMEMBERED) >= now);
        let seen = state.files.values().map(|progress| Entry { seen: now, ..progress.entry.clone() });
        Some(seen.chain(state.unseen.values().cloned()).collect())
    }
}

impl Progress {
    /// Takes a part as delivered; returns whether the position moved.
    fn deliver(&mut self, number: u64) -> bool {
        let index = usize::try_from(number.saturating_sub(self.first)).unwrap_or(usize::MAX);
        if let Some(part) = self.parts.get_mut(index) {
            part.is_done = true;
        }
        self.advance()
    }

    /// Moves the position over the parts that are done; returns whether there were any.
    fn advance(&mut self) -> bool {
        let before = self.first;
        while let Some(part) = self.parts.pop_front_if(|part| part.is_done) {
            self.entry.position = part.end;
            self.first += 1;
        }
        let moved = self.first > before;
        if moved {
            self.attempt = 0;
        }
        moved
    }

    fn rewind(&mut self) {
        self.epoch += 1;
        self.attempt += 1;
        self.first += self.parts.len() as u64;
        self.parts.clear();
        self.entry.end = None;
    }
}

fn pause(attempt: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(1 << attempt.min(10)).min(LAST_PAUSE)
}
