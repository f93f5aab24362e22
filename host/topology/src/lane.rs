//! The lane of one source: passes its batches to the workers in order, and their results to the
//! sinks in the same order.
//!
//! Any number of workers can take batches of a lane at once. Each batch gets a sequence number, and
//! its results go to the sinks only after those of all earlier batches, so the order of the source
//! is kept. A sink without room stops the lane and not a worker: waiting results stay in the lane,
//! and workers take no further batch from it while too much waits. Only a document whose own
//! outputs exceed the limit makes its worker wait.
//!
//! # Invariants
//!
//! - While there are other lanes, suspects (lanes whose nodes recently faulted and took long) together never occupy
//!   all workers, unless there is only one.
//! - The spare worker takes only from lanes that have no other worker and are not suspects.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, RwLock};
use wattle_batch::Batch;
use wattle_buffer::{Queue, Sized};
use wattle_sink::Payload;
use wattle_source::Batches;

use crate::sink_handle::SinkHandle;
use crate::watch::Watch;

/// Bytes of results that may wait in a lane for sinks before workers stop taking from it.
const MAX_WAITING_BYTES: usize = 4 << 20;
/// Safety net for a missed wake-up; every needed wake-up is also signalled.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// How long a lane stays a suspect after a slow fault: several hundred times the duration of a
/// fault that is too short to count.
const SUSPICION: Duration = Duration::from_secs(10);

/// Payloads of one batch, each with its sink.
#[derive(Default)]
struct BatchResults {
    payloads: VecDeque<(Arc<SinkHandle>, Payload)>,
    done: bool,
    /// The source sends its events again, so none of its payloads may go to a sink.
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

/// Batches of one source that are in progress.
pub(crate) struct Lane {
    lanes: Weak<Lanes>,
    pub(crate) source: Arc<str>,
    pub(crate) queue: Queue<Batches>,
    /// Whether `state.suspect_until` is set, so that workers can check a lane without a lock.
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

    /// Makes the lane a suspect for a while: one of its nodes faulted and occupied its worker for
    /// long.
    pub(crate) fn suspect(&self) {
        let mut state = self.state.lock();
        state.suspect_until = Some(Instant::now() + SUSPICION);
        if !self.suspect.swap(true, Ordering::AcqRel) {
            tracing::debug!(source = %self.source, "nodes of a source fault slowly; keeping a worker free for other sources");
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

    /// Adds payloads of a batch. With `done` these are its last. Waits while the payloads of this
    /// batch exceed the bound.
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
                    // The sink has ended; dropping the payload returns its events to the source
                    // unacknowledged.
                    Err(payload) if sink.queue.is_closed() => drop(payload),
                    Err(payload) if sink.drop_newest.is_some() => {
                        if let Some(stats) = &sink.drop_newest {
                            if stats.dropped_events.load(Ordering::Relaxed) == 0 {
                                tracing::warn!(source = %self.source, "the buffer of a sink is full, dropping events");
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
                        // If room appeared between the attempt and the flag, no signal would
                        // follow.
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

    /// Whether the source has ended and the sinks have all its events.
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

    /// Returns the payloads of a batch to the source, unacknowledged; with `later`, also those of
    /// all later batches. Sinks keep the payloads that they already have.
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

    /// Drops everything in the lane; dropped acknowledgements inform the source.
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

/// Keeps workers from taking from sources until it is dropped.
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
    /// Held while a worker takes from a suspect, so two workers do not take the last place at once.
    suspects: Mutex<()>,
    /// Set while a lane waits for space in a sink, so a sink that is never full sends no signals.
    blocked: AtomicBool,
    /// Sources on hold while a sink that they feed hands over, with the number of such sinks.
    holds: RwLock<HashMap<String, usize>>,
    /// Whether any source is on hold, so that workers can check without a lock.
    has_holds: AtomicBool,
}

impl Lanes {
    /// Creates an empty set of lanes for this number of workers.
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

    /// Returns everything in the lanes of these sources to them, unacknowledged.
    pub(crate) fn return_all(&self, sources: &[String]) {
        let lanes: Vec<Arc<Lane>> = self.all.read().clone();
        lanes
            .iter()
            .filter(|lane| sources.iter().any(|name| **name == *lane.source))
            .for_each(|lane| lane.return_all());
    }

    /// Takes work from a lane, starting the search after the lane that gave work last. Skips
    /// sources on hold, and does not give the last worker to suspects.
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

    /// The number of signals so far. Read it before a search, so no signal during the search is
    /// missed.
    pub(crate) fn signals(&self) -> u64 {
        *self.signals.lock()
    }

    /// Waits for a signal after the given number, at most for `time`.
    pub(crate) fn wait(&self, seen: u64, time: Duration) {
        let mut signals = self.signals.lock();
        if *signals == seen && !self.is_stopped() {
            self.signal.wait_for(&mut signals, time);
        }
    }

    /// Signals that a batch arrived.
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

    /// Signals that anything may have changed.
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
