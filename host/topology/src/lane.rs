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

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use wattle_batch::Batch;
use wattle_buffer::{Queue, Sized};
use wattle_sink::Payload;
use wattle_source::Batches;

use crate::lanes::Lanes;
use crate::sink_handle::SinkHandle;

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
    /// For pipelines: the batch has passed all shared nodes with a lower rank.
    passed: Vec<(usize, u32)>,
}

impl BatchResults {
    /// Whether the batch no longer needs the shared node of a pipeline with this rank.
    fn has_passed(&self, pipeline: usize, rank: u32) -> bool {
        self.done || self.passed.iter().any(|&(of, passed)| of == pipeline && passed > rank)
    }
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
        Self::within(source, max_bytes, Arc::downgrade(lanes))
    }

    pub(crate) fn within(source: Arc<str>, max_bytes: usize, lanes: Weak<Lanes>) -> Arc<Self> {
        let wake = lanes.clone();
        let on_item = move || {
            if let Some(lanes) = wake.upgrade() {
                lanes.wake_one();
            }
        };
        let queue = Queue::new(max_bytes, Some(Box::new(on_item)), None);
        Arc::new(Self {
            lanes,
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

    pub(crate) fn is_suspect(&self, now: impl FnOnce() -> Instant) -> bool {
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

    pub(crate) fn working(&self) -> usize {
        self.state.lock().working
    }

    /// Takes the next batch, unless too much waits for the sinks.
    pub(crate) fn take(self: &Arc<Self>) -> Option<Work> {
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

    /// Begins a batch that does not come from a source, such as what timers make; `None` if too much
    /// waits for the sinks. It must be ended with [`put`](Self::put).
    pub(crate) fn begin(&self) -> Option<u64> {
        let mut state = self.state.lock();
        self.flush(&mut state);
        if state.closed || state.waiting_bytes >= MAX_WAITING_BYTES {
            return None;
        }
        let sequence = state.next_sequence;
        state.next_sequence += 1;
        state.working += 1;
        state.results.insert(sequence, BatchResults::default());
        Some(sequence)
    }

    /// Waits until all earlier batches have passed the shared node of a pipeline with this rank. The
    /// earliest batch never waits, so all get their turn.
    pub(crate) fn wait_for_turn(&self, sequence: u64, pipeline: usize, rank: u32) {
        let mut state = self.state.lock();
        let is_next = |state: &State| {
            state.closed || state.results.range(..sequence).all(|(_, earlier)| earlier.has_passed(pipeline, rank))
        };
        while !is_next(&state) {
            self.moved.wait_for(&mut state, LOOK_AGAIN);
        }
    }

    /// A batch has passed all shared nodes of a pipeline with a lower rank.
    pub(crate) fn pass(&self, sequence: u64, pipeline: usize, rank: u32) {
        let mut state = self.state.lock();
        if let Some(results) = state.results.get_mut(&sequence) {
            match results.passed.iter_mut().find(|(of, _)| *of == pipeline) {
                Some((_, passed)) => *passed = rank,
                None => results.passed.push((pipeline, rank)),
            }
        }
        drop(state);
        self.moved.notify_all();
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
        let lanes = if !done && Self::is_over(&state, sequence) { self.lanes.upgrade() } else { None };
        let mut wait = || {
            while !done && !state.closed && Self::is_over(&state, sequence) {
                self.moved.wait_for(&mut state, LOOK_AGAIN);
                self.flush(&mut state);
            }
        };
        match lanes {
            Some(lanes) => lanes.watch.while_waiting(wait),
            None => wait(),
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
                            lanes.wait_for_room();
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

    /// Sends what waits, as far as the sinks have room.
    pub(crate) fn send_waiting(&self) {
        self.flush(&mut self.state.lock());
    }

    /// Wakes all that wait for a change of the lane.
    pub(crate) fn wake(&self) {
        self.moved.notify_all();
    }

    /// Whether the sinks have everything that was made.
    pub(crate) fn is_idle(&self) -> bool {
        let mut state = self.state.lock();
        self.flush(&mut state);
        state.results.is_empty()
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

#[cfg(test)]
mod tests;
