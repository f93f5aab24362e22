//! The lane of one source: its batches in order, into the workers and out of them.
//!
//! Any number of workers can take batches of a lane at once. Each batch gets a sequence number, and its results go to the
//! sinks only after those of all earlier batches, so the order of the source is kept. A sink without room stops its lane, not
//! a worker: what waits is kept in the lane, and no further batch is taken from it while too much waits. Only a document
//! whose own outputs exceed the bound makes its worker wait.
//!
//! # Invariants
//!
//! - While there are other lanes, those whose nodes lately faulted and took long (suspects) never have all workers
//!   together, unless there is but one.
//! - The spare worker takes only from lanes that have no other worker and are no suspects.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, RwLock};
use wattle_batch::Batch;
use wattle_buffer::{Queue, Sized};
use wattle_sink::Payload;
use wattle_source::Batches;

use crate::generation::SinkHandle;
use crate::watch::Watch;

/// Bytes of outputs that may wait in a lane for sinks before its workers stop taking from it.
const MAX_WAITING_BYTES: usize = 4 << 20;
/// Safety net for a wake-up that was missed; every one that is needed is also signalled.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// How long a lane is a suspect after a slow fault: some hundred times what such a fault may take unnoticed.
const SUSPICION: Duration = Duration::from_secs(10);

/// Payloads of one batch, each with the sink that it goes to.
#[derive(Default)]
struct BatchResults {
    payloads: VecDeque<(Arc<SinkHandle>, Payload)>,
    done: bool,
    /// Its source offers its events again, so nothing of it goes to a sink any more.
    void: bool,
}

#[derive(Default)]
struct State {
    /// Sequence number of the next batch that a worker takes.
    next_sequence: u64,
    /// Sequence number of the batch whose payloads go to the sinks now.
    sending: u64,
    results: BTreeMap<u64, BatchResults>,
    waiting_bytes: usize,
    /// Workers that process a batch of this lane.
    working: usize,
    suspect_until: Option<Instant>,
    closed: bool,
}

/// Batches of one source on their way through the workers.
pub(crate) struct Lane {
    lanes: Weak<Lanes>,
    pub(crate) source: Arc<str>,
    pub(crate) queue: Queue<Batches>,
    /// Whether `state.suspect_until` is set, so that a lane is seen to be none without a lock.
    suspect: AtomicBool,
    state: Mutex<State>,
    moved: Condvar,
}

/// A batch that a worker has taken.
pub(crate) struct Work {
    pub(crate) lane: Arc<Lane>,
    pub(crate) sequence: u64,
    pub(crate) batch: Batch,
}

impl Lane {
    pub(crate) fn new(source: Arc<str>, max_bytes: usize, lanes: &Arc<Lanes>) -> Arc<Self> {
        let wake = Arc::downgrade(lanes);
        let on_item = move || {
            if let Some(lanes) = wake.upgrade() {
                lanes.wake_one();
            }
        };
        let queue = Queue::new(max_bytes, Some(Box::new(on_item)), None);
        Arc::new(Self {
            lanes: Arc::downgrade(lanes),
            source,
            queue,
            suspect: AtomicBool::new(false),
            state: Mutex::default(),
            moved: Condvar::new(),
        })
    }

    /// Makes the lane a suspect for a while: one of its nodes faulted, and kept its worker for long.
    pub(crate) fn suspect(&self) {
        let mut state = self.state.lock();
        state.suspect_until = Some(Instant::now() + SUSPICION);
        if !self.suspect.swap(true, Ordering::AcqRel) {
            tracing::debug!(source = %self.source, "nodes of a source fault slowly; a worker is kept free for others");
        }
    }

    fn is_suspect(&self, now: impl FnOnce() -> Instant) -> bool {
        if !self.suspect.load(Ordering::Acquire) {
            return false;
        }
        let mut state = self.state.lock();
        let is_over = state.suspect_until.is_none_or(|until| until <= now());
        if is_over {
            state.suspect_until = None;
            self.suspect.store(false, Ordering::Release);
        }
        !is_over
    }

    fn working(&self) -> usize {
        self.state.lock().working
    }

    /// Takes the next batch, unless too much waits for the sinks.
    fn take(self: &Arc<Self>) -> Option<Work> {
        let mut state = self.state.lock();
        self.flush(&mut state);
        if state.closed || state.waiting_bytes >= MAX_WAITING_BYTES {
            return None;
        }
        let Batches(batch) = self.queue.try_pop()?;
        let sequence = state.next_sequence;
        state.next_sequence += 1;
        state.working += 1;
        state.results.insert(sequence, BatchResults::default());
        Some(Work { lane: self.clone(), sequence, batch })
    }

    /// Adds payloads of a batch. With `done` these are its last. Waits while the payloads of this batch exceed the bound.
    pub(crate) fn put(&self, sequence: u64, payloads: Vec<(Arc<SinkHandle>, Payload)>, done: bool) {
        let mut state = self.state.lock();
        if let Some(entry) = state.results.get_mut(&sequence) {
            entry.done = done;
            if !entry.void {
                let bytes = payloads.iter().map(|(_, p)| p.byte_len()).sum::<usize>();
                entry.payloads.extend(payloads);
                state.waiting_bytes += bytes;
            }
        }
        state.working = state.working.saturating_sub(usize::from(done));
        self.flush(&mut state);
        while !done && !state.closed && Self::is_over(&state, sequence) {
            self.moved.wait_for(&mut state, LOOK_AGAIN);
            self.flush(&mut state);
        }
        drop(state);
        self.moved.notify_all();
    }

    fn is_over(state: &State, sequence: u64) -> bool {
        let waiting =
            state.results.get(&sequence).map_or(0, |own| own.payloads.iter().map(|(_, p)| p.byte_len()).sum());
        waiting >= MAX_WAITING_BYTES
    }

    /// Sends what can be sent, in the order of sequence numbers.
    fn flush(&self, state: &mut State) {
        while let Some(results) = state.results.get_mut(&state.sending) {
            while let Some((sink, payload)) = results.payloads.pop_front() {
                let bytes = payload.byte_len();
                match sink.queue.try_push(payload) {
                    Ok(()) => {}
                    // The sink is gone; its source offers the events again, since nobody acknowledges them.
                    Err(payload) if sink.queue.is_closed() => drop(payload),
                    Err(payload) if sink.drop_newest.is_some() => {
                        if let Some(stats) = &sink.drop_newest {
                            if stats.dropped_events.load(Ordering::Relaxed) == 0 {
                                tracing::warn!(source = %self.source, "buffer of a sink has no room, events are dropped");
                            }
                            stats.dropped(payload.events as u64, bytes as u64);
                        }
                        payload.ack.deliver();
                    }
                    Err(payload) => {
                        results.payloads.push_front((sink.clone(), payload));
                        if let Some(lanes) = self.lanes.upgrade() {
                            lanes.blocked.store(true, Ordering::Release);
                        }
                        // Room made between the attempt and the flag would wake nobody.
                        if sink.queue.is_full() {
                            return;
                        }
                        continue;
                    }
                }
                state.waiting_bytes = state.waiting_bytes.saturating_sub(bytes);
            }
            if !results.done {
                return;
            }
            state.results.remove(&state.sending);
            state.sending += 1;
        }
    }

    /// Whether the source has ended and everything of it is with the sinks.
    pub(crate) fn is_drained(&self) -> bool {
        let mut state = self.state.lock();
        self.flush(&mut state);
        self.queue.is_closed() && self.queue.is_empty() && state.results.is_empty()
    }

    /// Returns everything in the lane to the source, unacknowledged. The lane itself stays open.
    pub(crate) fn return_all(&self) {
        while self.queue.try_pop().is_some() {}
        let mut state = self.state.lock();
        for results in state.results.values_mut() {
            results.void = true;
            results.payloads.clear();
        }
        state.waiting_bytes = 0;
        self.flush(&mut state);
        drop(state);
        self.moved.notify_all();
    }

    /// Returns the payloads of a batch to the source, unacknowledged; with `later`, also those of all later batches.
    /// What the sinks have already stays with them.
    pub(crate) fn void(&self, sequence: u64, later: bool) {
        let mut state = self.state.lock();
        let mut bytes = 0;
        for (_, results) in state.results.range_mut(sequence..=if later { u64::MAX } else { sequence }) {
            results.void = true;
            bytes += results.payloads.drain(..).map(|(_, payload)| payload.byte_len()).sum::<usize>();
        }
        state.waiting_bytes = state.waiting_bytes.saturating_sub(bytes);
        self.flush(&mut state);
        drop(state);
        self.moved.notify_all();
    }

    /// Gives up what is in the lane; open acknowledgements tell the source.
    pub(crate) fn close(&self) {
        self.queue.close();
        while self.queue.try_pop().is_some() {}
        let mut state = self.state.lock();
        state.closed = true;
        for results in state.results.values_mut() {
            results.payloads.clear();
        }
        drop(state);
        self.moved.notify_all();
    }
}

/// Keeps workers from taking from sources, as long as it lives.
pub(crate) struct Hold {
    lanes: Arc<Lanes>,
    pub(crate) sources: Vec<String>,
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut holds = self.lanes.holds.write();
        for source in &self.sources {
            if let Some(count) = holds.get_mut(source) {
                *count -= 1;
            }
        }
        holds.retain(|_, count| *count > 0);
        self.lanes.has_holds.store(!holds.is_empty(), Ordering::Release);
        drop(holds);
        self.lanes.wake_all();
    }
}

/// All lanes, and the signal that there may be work in one of them.
pub(crate) struct Lanes {
    all: RwLock<Vec<Arc<Lane>>>,
    signals: Mutex<u64>,
    signal: Condvar,
    pub(crate) watch: Watch,
    /// Held while a worker takes from a suspect, so that two do not take the last place at once.
    suspects: Mutex<()>,
    /// Set while some lane waits for room in a sink, so that a sink that is never full wakes nobody.
    blocked: AtomicBool,
    /// Sources that are not taken from while a sink that they feed hands over, and for how many sinks.
    holds: RwLock<HashMap<String, usize>>,
    /// Whether there are any, so that this is known without a lock.
    has_holds: AtomicBool,
}

impl Lanes {
    /// No lanes yet, for so many workers.
    pub(crate) fn new(workers: usize) -> Arc<Self> {
        Arc::new(Self {
            all: RwLock::default(),
            signals: Mutex::new(0),
            signal: Condvar::new(),
            watch: Watch::new(workers),
            suspects: Mutex::new(()),
            blocked: AtomicBool::new(false),
            holds: RwLock::default(),
            has_holds: AtomicBool::new(false),
        })
    }

    pub(crate) fn add(&self, lane: Arc<Lane>) {
        self.all.write().push(lane);
    }

    pub(crate) fn remove(&self, lane: &Arc<Lane>) {
        self.all.write().retain(|l| !Arc::ptr_eq(l, lane));
    }

    /// Holds sources until the hold is dropped.
    pub(crate) fn hold(self: &Arc<Self>, sources: Vec<String>) -> Hold {
        let mut holds = self.holds.write();
        for source in &sources {
            *holds.entry(source.clone()).or_default() += 1;
        }
        self.has_holds.store(!holds.is_empty(), Ordering::Release);
        drop(holds);
        Hold { lanes: self.clone(), sources }
    }

    fn is_on_hold(&self, source: &str) -> bool {
        self.has_holds.load(Ordering::Acquire) && self.holds.read().contains_key(source)
    }

    /// Returns what is in the lanes of these sources to them, unacknowledged.
    pub(crate) fn return_all(&self, sources: &[String]) {
        let lanes: Vec<Arc<Lane>> = self.all.read().clone();
        lanes
            .iter()
            .filter(|lane| sources.iter().any(|name| **name == *lane.source))
            .for_each(|lane| lane.return_all());
    }

    /// Takes work from some lane, beginning the search behind the one that gave work last.
    /// Sources that are held are left alone, and suspects do not get the last worker.
    pub(crate) fn take(&self, last: &mut usize, is_held: impl Fn(&str) -> bool) -> Option<Work> {
        let all = self.all.read();
        let count = all.len();
        for step in 1..=count {
            let index = (*last + step) % count;
            let is_free = |lane: &&Arc<Lane>| !is_held(&lane.source) && !self.is_on_hold(&lane.source);
            let Some(lane) = all.get(index).filter(is_free) else { continue };
            let is_suspect = count > 1 && lane.is_suspect(Instant::now);
            let _suspects = is_suspect.then(|| self.suspects.lock());
            if is_suspect && !self.has_room_for_suspects(&all) {
                continue;
            }
            if let Some(work) = lane.take() {
                *last = index;
                return Some(work);
            }
        }
        None
    }

    fn has_room_for_suspects(&self, all: &[Arc<Lane>]) -> bool {
        let working: usize = all.iter().filter(|lane| lane.is_suspect(Instant::now)).map(|lane| lane.working()).sum();
        working < self.watch.workers().saturating_sub(1).max(1)
    }

    /// Takes work for the spare worker.
    pub(crate) fn take_spare(&self, is_held: impl Fn(&str) -> bool) -> Option<Work> {
        let all = self.all.read();
        let may_take = |lane: &&Arc<Lane>| {
            !is_held(&lane.source)
                && !self.is_on_hold(&lane.source)
                && lane.working() == 0
                && !lane.is_suspect(Instant::now)
        };
        all.iter().filter(may_take).find_map(Lane::take)
    }

    /// The number of signals so far; taken before a search, so that a signal during it is not missed.
    pub(crate) fn signals(&self) -> u64 {
        *self.signals.lock()
    }

    /// Waits for a signal after the given number, at most for so long.
    pub(crate) fn wait(&self, seen: u64, time: Duration) {
        let mut signals = self.signals.lock();
        if *signals == seen && !self.is_stopped() {
            self.signal.wait_for(&mut signals, time);
        }
    }

    /// Signals that a batch has come.
    pub(crate) fn wake_one(&self) {
        *self.signals.lock() += 1;
        self.signal.notify_one();
    }

    /// Signals that a sink has room, if a lane waits for it.
    pub(crate) fn wake_blocked(&self) {
        if self.blocked.swap(false, Ordering::AcqRel) {
            self.wake_all();
        }
    }

    /// Signals that much may have changed.
    pub(crate) fn wake_all(&self) {
        *self.signals.lock() += 1;
        self.signal.notify_all();
        for lane in self.all.read().iter() {
            lane.moved.notify_all();
        }
    }

    pub(crate) fn stop(&self) {
        self.watch.stop();
        self.wake_all();
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.watch.is_stopped()
    }
}

#[cfg(test)]
mod tests;
