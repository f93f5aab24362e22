//! Tracks acknowledgements: the position of each file up to which everything is delivered.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tokio::sync::Notify;
use wattle_batch::{Ack, Disposition};

use super::checkpoint::Entry;
use super::clock;
use super::identity::Proof;
use super::known::{Known, Serial};
use crate::positions::now;
use crate::stats::{SourceStats, add};

/// First pause before undelivered events are read again; it doubles up to the maximum.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LAST_PAUSE: Duration = Duration::from_secs(30);

/// How long a removed file is remembered, in seconds: a volume may be mounted again.
const REMEMBERED: u64 = 24 * 60 * 60;

/// Identifies a watched file. A file that starts again gets a new key, so that late
/// acknowledgements do not match.
pub(crate) type Key = u64;

/// Positions of all files, shared by the reading thread, the task and the acknowledgements.
pub(crate) struct Tracker {
    stats: Arc<SourceStats>,
    state: Mutex<State>,
    reader: Condvar,
    task: Notify,
    /// Notifies about positions to save.
    changed: Notify,
}

#[derive(Default)]
struct State {
    files: BTreeMap<Key, Progress>,
    /// Known files that are not watched now.
    known: Known,
    /// Events delivered since the last snapshot.
    unsaved_events: u64,
    /// Files to read again, with the time.
    rewinds: BTreeMap<Key, Instant>,
    /// Batches in flight.
    outstanding: usize,
    /// Positions changed since the last snapshot.
    is_dirty: bool,
    /// The reader searched for files, so that a snapshot covers all of them.
    has_scanned: bool,
    /// The reader should check its files.
    is_woken: bool,
    is_stopped: bool,
}

struct Progress {
    entry: Entry,
    /// Increased when the file is read again from its position; earlier batches do not count any
    /// more.
    epoch: u32,
    /// Parts of the file in flight, in order. The first has the number `first`.
    parts: VecDeque<Part>,
    first: u64,
    /// Unacknowledged batches since the file was last read again.
    in_flight: u64,
    attempt: u32,
    /// Returned events since the file was last read again.
    returned_events: u64,
    /// The file is no longer watched, and is remembered once it has nothing in flight.
    is_leaving: bool,
}

struct Part {
    end: u64,
    proof: Option<Proof>,
    is_done: bool,
}

/// Identifies a part.
struct Ticket {
    key: Key,
    epoch: u32,
    number: u64,
    events: u64,
}

impl Tracker {
    pub(crate) fn new(stats: Arc<SourceStats>) -> Self {
        Self { stats, state: Mutex::default(), reader: Condvar::new(), task: Notify::new(), changed: Notify::new() }
    }

    /// Restores saved positions.
    pub(crate) fn restore(&self, saved: Vec<Entry>) {
        let mut state = self.state.lock();
        saved.into_iter().for_each(|entry| state.known.insert(entry));
        // Save even if nothing changes, so that the next start finds an earlier run.
        state.is_dirty = true;
    }

    /// Records that the reader searched for files.
    pub(crate) fn scanned(&self) {
        self.state.lock().has_scanned = true;
        self.changed.notify_one();
    }

    /// Returns entries of unwatched files of this inode or path, the most likely first.
    pub(super) fn known_at(&self, inode: u64, path: &Path) -> Vec<(Serial, Entry)> {
        let state = self.state.lock();
        with_entries(&state.known, state.known.at(inode, path))
    }

    /// Returns entries of unwatched files with this start, the most likely first.
    pub(super) fn known_like(&self, head: &[u8]) -> Vec<(Serial, Entry)> {
        let state = self.state.lock();
        with_entries(&state.known, state.known.like(head))
    }

    /// Returns whether an unwatched file with this start has events in flight.
    pub(super) fn is_leaving_like(&self, head: &[u8]) -> bool {
        let state = self.state.lock();
        state
            .files
            .values()
            .any(|p| p.is_leaving && p.entry.fingerprint.length() > 0 && p.entry.fingerprint.begins(head))
    }

    /// Returns whether there are entries of unwatched files.
    pub(super) fn knows_files(&self) -> bool {
        self.state.lock().known.iter().next().is_some()
    }

    /// Takes an entry from the list, because its file is watched again.
    pub(super) fn take_known(&self, serial: Serial) {
        self.state.lock().known.take(serial);
    }

    /// Returns all entries of unwatched files.
    pub(super) fn all_known(&self) -> Vec<(Serial, Entry)> {
        self.state.lock().known.iter().map(|(serial, entry)| (*serial, entry.clone())).collect()
    }

    /// Starts to track a file.
    pub(crate) fn watch(&self, key: Key, entry: Entry) {
        let mut state = self.state.lock();
        let progress = Progress {
            entry,
            epoch: 0,
            parts: VecDeque::new(),
            first: 0,
            in_flight: 0,
            attempt: 0,
            returned_events: 0,
            is_leaving: false,
        };
        state.files.insert(key, progress);
        state.is_dirty = true;
        self.changed.notify_one();
    }

    /// Stops tracking a file. It is remembered for a while if it may return.
    pub(crate) fn unwatch(&self, key: Key, remember: bool) {
        let mut state = self.state.lock();
        let came_back = state.rewinds.remove(&key).is_some();
        if let Some(progress) = state.files.get_mut(&key) {
            progress.entry.seen = now();
            progress.is_leaving = remember;
            let events = progress.returned_events;
            // Events in flight may still move the position of a file that is remembered.
            if !remember || progress.in_flight == 0 {
                state.remember(key);
            }
            // The returned events can no longer be read again.
            if came_back {
                self.count_lost(events);
            }
            state.is_dirty = true;
            self.changed.notify_one();
        }
    }

    /// Changes the entry of a file.
    pub(crate) fn update(&self, key: Key, change: impl FnOnce(&mut Entry)) {
        let mut state = self.state.lock();
        if let Some(progress) = state.files.get_mut(&key) {
            change(&mut progress.entry);
            state.is_dirty = true;
            self.changed.notify_one();
        }
    }

    /// Creates the acknowledgement of the next part of a file, which has some events and ends at
    /// `end`. Also returns whether bytes of this part were [offered](Self::offered) before.
    pub(crate) fn ack(self: &Arc<Self>, key: Key, end: u64, proof: Option<Proof>, events: u64) -> (Ack, bool) {
        let mut state = self.state.lock();
        state.outstanding += 1;
        let mut ticket = Ticket { key, epoch: 0, number: 0, events };
        let mut is_redelivered = false;
        if let Some(progress) = state.files.get_mut(&key) {
            is_redelivered = progress.read_to() < progress.entry.offered;
            ticket.epoch = progress.epoch;
            progress.in_flight += 1;
            ticket.number = progress.first + progress.parts.len() as u64;
            progress.parts.push_back(Part { end, proof, is_done: false });
        }
        drop(state);
        let tracker = self.clone();
        (Ack::new(move |disposition| tracker.report(&ticket, disposition)), is_redelivered)
    }

    /// Records that the events before `end` of a file went to the output. The position of this is
    /// saved too, so that the source recognizes these events after a restart.
    pub(crate) fn offered(&self, key: Key, end: u64) {
        let mut state = self.state.lock();
        if let Some(progress) = state.files.get_mut(&key).filter(|progress| progress.entry.offered < end) {
            progress.entry.offered = end;
            state.is_dirty = true;
            self.changed.notify_one();
        }
    }

    /// Records that there are no events between the last part of a file and `end`.
    pub(crate) fn pass(&self, key: Key, end: u64, proof: Option<Proof>) {
        let mut state = self.state.lock();
        if let Some(progress) = state.files.get_mut(&key)
            && progress.read_to() < end
        {
            progress.parts.push_back(Part { end, proof, is_done: true });
            if progress.advance() {
                state.is_dirty = true;
                self.changed.notify_one();
            }
        }
    }

    fn report(&self, ticket: &Ticket, disposition: Disposition) {
        let mut state = self.state.lock();
        let State { files, rewinds, outstanding, .. } = &mut *state;
        *outstanding -= 1;
        let is_drained = *outstanding == 0;
        let mut wake = is_drained;
        let mut moved = false;
        let mut has_left = false;
        if let Some(progress) = files.get_mut(&ticket.key).filter(|progress| progress.epoch == ticket.epoch) {
            progress.in_flight = progress.in_flight.saturating_sub(1);
        }
        match files.get_mut(&ticket.key) {
            // The file was read again after this batch was sent, so its result no longer counts.
            Some(progress) if progress.epoch != ticket.epoch => {}
            Some(progress) if disposition == Disposition::Retry && !progress.is_leaving => {
                progress.returned_events += ticket.events;
                rewinds.entry(ticket.key).or_insert_with(|| clock::now() + pause(progress.attempt));
                wake = true;
            }
            Some(progress) if disposition != Disposition::Retry => {
                moved = progress.deliver(ticket.number);
                has_left = progress.is_leaving && progress.in_flight == 0;
                wake |= progress.parts.is_empty();
            }
            gone if disposition == Disposition::Retry => {
                // Earlier parts may still be delivered and move the position.
                has_left = gone.is_some_and(|progress| progress.in_flight == 0);
                self.count_lost(ticket.events);
            }
            _ => {}
        }
        if has_left {
            state.remember(ticket.key);
        }
        if moved {
            state.unsaved_events += ticket.events;
        }
        state.is_dirty |= moved | has_left;
        state.is_woken |= wake;
        drop(state);
        if moved || has_left {
            self.changed.notify_one();
        }
        if wake {
            self.reader.notify_one();
        }
        if is_drained {
            self.task.notify_one();
        }
    }

    fn count_lost(&self, events: u64) {
        add(&self.stats.lost, events);
        tracing::error!(events, "events were not delivered, and their file was replaced or removed");
    }

    /// Returns the files to read again now, with the position to return to and its proof.
    pub(crate) fn take_rewinds(&self) -> Vec<(Key, u64, Option<Proof>)> {
        let now = clock::now();
        let mut state = self.state.lock();
        let State { files, rewinds, .. } = &mut *state;
        let due: Vec<Key> = rewinds.extract_if(.., |_, at| *at <= now).map(|(key, _)| key).collect();
        due.into_iter()
            .filter_map(|key| {
                let progress = files.get_mut(&key)?;
                progress.rewind();
                Some((key, progress.entry.position, progress.entry.proof))
            })
            .collect()
    }

    /// Returns whether a file must be read again from an earlier position.
    pub(crate) fn is_going_back(&self, key: Key) -> bool {
        self.state.lock().rewinds.contains_key(&key)
    }

    /// Returns when the next file must be read again.
    pub(crate) fn next_rewind(&self) -> Option<Instant> {
        self.state.lock().rewinds.values().min().copied()
    }

    /// Returns whether a file is delivered to its end.
    pub(crate) fn is_delivered(&self, key: Key) -> bool {
        let state = self.state.lock();
        state.files.get(&key).is_some_and(|p| p.parts.is_empty() && p.entry.end == Some(p.entry.position))
    }

    /// Returns whether a file has nothing in flight.
    pub(crate) fn is_idle(&self, key: Key) -> bool {
        self.state.lock().files.get(&key).is_none_or(|progress| progress.parts.is_empty())
    }

    /// Returns whether nothing is in flight and nothing waits to be read again.
    pub(crate) fn is_done(&self) -> bool {
        let state = self.state.lock();
        state.outstanding == 0 && state.rewinds.is_empty()
    }

    /// Waits until nothing is in flight.
    pub(crate) async fn drained(&self) {
        while self.state.lock().outstanding > 0 {
            self.task.notified().await;
        }
    }

    /// Blocks the reading thread until something happens.
    pub(crate) fn wait(&self, longest: Duration) {
        #[cfg(test)]
        if !self.is_stopped() && clock::fake::wait(longest) {
            return;
        }
        let mut state = self.state.lock();
        if !state.is_woken && !state.is_stopped {
            self.reader.wait_for(&mut state, longest);
        }
        state.is_woken = false;
    }

    /// Wakes the reading thread: a batch was taken, so the output has room.
    pub(crate) fn wake(&self) {
        self.state.lock().is_woken = true;
        self.reader.notify_one();
    }

    /// Stops the reading thread.
    pub(crate) fn stop(&self) {
        self.state.lock().is_stopped = true;
        self.reader.notify_one();
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.state.lock().is_stopped
    }

    /// Waits until there are positions to save.
    pub(crate) async fn changed(&self) {
        while !self.state.lock().is_to_be_saved() {
            self.changed.notified().await;
        }
    }

    /// Waits until at least this many events were delivered since the last snapshot.
    pub(crate) async fn delivered(&self, events: u64) {
        while self.state.lock().unsaved_events < events {
            self.changed.notified().await;
        }
    }

    /// Returns whether a position moved since the last snapshot.
    pub(crate) fn has_moved(&self) -> bool {
        self.state.lock().unsaved_events > 0
    }

    /// Records that a save failed.
    pub(crate) fn not_saved(&self) {
        self.state.lock().is_dirty = true;
        self.changed.notify_one();
    }

    /// Returns the entries to save, if any changed since the last call.
    pub(crate) fn snapshot(&self) -> Option<Vec<Entry>> {
        let now = now();
        let mut state = self.state.lock();
        if !state.is_to_be_saved() {
            return None;
        }
        state.is_dirty = false;
        state.unsaved_events = 0;
        state.known.retain(|entry| entry.seen.saturating_add(REMEMBERED) >= now);
        let State { files, known, .. } = &*state;
        let seen = files.values().map(|progress| Entry { seen: now, ..progress.entry.clone() });
        // Watched files come last: of several entries with one inode, an older agent uses the last
        // one.
        Some(known.iter().map(|(_, entry)| entry.clone()).chain(seen).collect())
    }
}

impl State {
    fn is_to_be_saved(&self) -> bool {
        self.is_dirty && self.has_scanned
    }

    /// Moves an unwatched file to the known files.
    fn remember(&mut self, key: Key) {
        if let Some(progress) = self.files.remove(&key)
            && progress.is_leaving
        {
            self.known.insert(progress.entry);
        }
    }
}

fn with_entries(known: &Known, serials: Vec<Serial>) -> Vec<(Serial, Entry)> {
    serials.into_iter().filter_map(|serial| Some((serial, known.get(serial)?.clone()))).collect()
}

impl Progress {
    /// The end of the last part.
    fn read_to(&self) -> u64 {
        self.parts.back().map_or(self.entry.position, |part| part.end)
    }

    /// Marks a part as delivered; returns whether the position moved.
    fn deliver(&mut self, number: u64) -> bool {
        let index = usize::try_from(number.saturating_sub(self.first)).unwrap_or(usize::MAX);
        if let Some(part) = self.parts.get_mut(index) {
            part.is_done = true;
        }
        self.advance()
    }

    /// Moves the position past the parts that are done; returns whether there were any.
    fn advance(&mut self) -> bool {
        let before = self.first;
        while let Some(part) = self.parts.pop_front_if(|part| part.is_done) {
            self.entry.position = part.end;
            self.entry.proof = part.proof.or(self.entry.proof);
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
        self.returned_events = 0;
        self.in_flight = 0;
        self.first += self.parts.len() as u64;
        self.parts.clear();
        self.entry.end = None;
    }
}

fn pause(attempt: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(1 << attempt.min(10)).min(LAST_PAUSE)
}
