//! Sends the batches of a source that cannot read its input again, and keeps each batch until it is
//! acknowledged.
//!
//! A batch that returns undelivered is sent again after a pause. The retained batch shares its
//! bytes with the one in flight, so it costs memory only while that is in flight, and the bytes in
//! flight are bounded.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;
use wattle_batch::{Ack, Batch, Column, Disposition, Origin};

use crate::assemble::{Chunk, Unwanted};
use crate::source::{Batches, SourceContext, Stop};
use crate::stats::add;
use crate::waits::Waits;

/// First pause before a batch is sent again; it doubles up to the maximum.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LAST_PAUSE: Duration = Duration::from_secs(30);
/// With this many bytes in flight, new chunks wait, unless the source has an option for it.
const MAX_HELD_BYTES: usize = 16 << 20;
/// Interval at which a stop is checked.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Events that were sent and are not acknowledged yet.
struct Retained {
    column: Column,
    origin: Arc<Origin>,
    /// Bytes that count as held until the events are acknowledged.
    charge: usize,
    attempt: u32,
    /// Position in the order of the source.
    number: u64,
}

#[derive(Default)]
struct State {
    outstanding: usize,
    /// Bytes received and not acknowledged.
    held_bytes: usize,
    returned: Vec<Retained>,
}

struct Shared {
    max_held_bytes: usize,
    state: Mutex<State>,
    changed: Notify,
    /// There may be room: for threads, and for tasks.
    room: Condvar,
    task_room: Notify,
}

/// Events of one batch. Without an origin, they have that of the source.
struct Accepted {
    column: Column,
    origin: Option<Arc<Origin>>,
    charge: usize,
}

/// The sender of framed chunks, for a thread.
pub(crate) struct Intake {
    chunks: mpsc::Sender<Accepted>,
    shared: Arc<Shared>,
    stop: Stop,
    waits: Waits,
}

impl Intake {
    /// Returns whether the receiver of chunks is closed.
    pub(crate) fn is_unwanted(&self) -> bool {
        self.chunks.is_closed()
    }

    /// Sends a chunk; waits while too many bytes are unacknowledged.
    pub(crate) fn send(&self, chunk: Chunk) -> Result<(), Unwanted> {
        let charge = chunk.column.byte_len();
        let max = self.shared.max_held_bytes;
        let mut state = self.shared.state.lock();
        let is_full = state.held_bytes >= max && !self.stop.is_stopped();
        let _wait = is_full.then(|| self.waits.begin());
        while state.held_bytes >= max && !self.stop.is_stopped() {
            if self.is_unwanted() {
                return Err(Unwanted);
            }
            self.shared.room.wait_for(&mut state, LOOK_AGAIN);
        }
        state.held_bytes += charge;
        drop(state);
        self.chunks.blocking_send(Accepted { column: chunk.column, origin: None, charge }).map_err(|_| Unwanted)
    }
}

/// The sender of events, for tasks. Clones send to the same outbox.
#[derive(Clone)]
pub(crate) struct TaskIntake {
    chunks: mpsc::Sender<Accepted>,
    shared: Arc<Shared>,
    stop: Stop,
    waits: Waits,
}

impl TaskIntake {
    /// Sends the events of one origin; waits while too many bytes are unacknowledged.
    pub(crate) async fn send(&self, column: Column, origin: Arc<Origin>) -> Result<(), Unwanted> {
        // Clients can send many small events, which use more memory than their bytes.
        let charge = column.byte_len() + 64 * column.rows();
        let mut wait = None;
        let mut stop = self.stop.clone();
        loop {
            let mut room = std::pin::pin!(self.shared.task_room.notified());
            // Before the check, so that no release in between is missed.
            room.as_mut().enable();
            {
                let mut state = self.shared.state.lock();
                if state.held_bytes < self.shared.max_held_bytes || stop.is_stopped() {
                    state.held_bytes += charge;
                    break;
                }
            }
            wait.get_or_insert_with(|| self.waits.begin());
            tokio::select! {
                () = room => {}
                () = stop.stopped() => {}
                () = self.chunks.closed() => return Err(Unwanted),
            }
        }
        self.chunks.send(Accepted { column, origin: Some(origin), charge }).await.map_err(|_| Unwanted)
    }
}

/// Sends the chunks of a thread until the thread ends and everything is acknowledged.
pub(crate) struct Outbox {
    context: SourceContext,
    type_name: &'static str,
    chunks: mpsc::Receiver<Accepted>,
    shared: Arc<Shared>,
}

impl Outbox {
    /// Creates an outbox and its sender for a thread.
    pub(crate) fn new(context: SourceContext, type_name: &'static str) -> (Intake, Self) {
        let (TaskIntake { chunks, shared, stop, waits }, outbox) = Self::for_tasks(context, type_name, MAX_HELD_BYTES);
        (Intake { chunks, shared, stop, waits }, outbox)
    }

    /// Creates an outbox and its sender for tasks. At most about `max_held_bytes` are unacknowledged at a time.
    pub(crate) fn for_tasks(
        context: SourceContext,
        type_name: &'static str,
        max_held_bytes: usize,
    ) -> (TaskIntake, Self) {
        let (sender, chunks) = mpsc::channel(1);
        let shared = Arc::new(Shared {
            max_held_bytes,
            state: Mutex::default(),
            changed: Notify::new(),
            room: Condvar::new(),
            task_room: Notify::new(),
        });
        let (stop, waits) = (context.stop.clone(), context.waits.clone());
        let intake = TaskIntake { chunks: sender, shared: shared.clone(), stop, waits };
        (intake, Self { context, type_name, chunks, shared })
    }

    /// Sends every chunk, and returns after the last one is acknowledged. When the source is
    /// stopped or the queue closed, returned batches count as lost.
    pub(crate) async fn run(mut self) {
        let mut retry_at: Option<Instant> = None;
        let mut open = true;
        let mut number = 0;
        let mut stop = self.context.stop.clone();
        let mut stopped = false;
        let mut wait = None;
        loop {
            let returned = self.shared.state.lock().returned.iter().map(|retained| retained.attempt).max();
            if let Some(attempt) = returned {
                if stopped {
                    self.give_up();
                } else {
                    retry_at.get_or_insert_with(|| Instant::now() + pause(attempt));
                }
            }
            if !open {
                if self.is_done() {
                    return;
                }
                wait.get_or_insert_with(|| self.context.end_of_input());
            }
            let due = retry_at.unwrap_or_else(Instant::now);
            tokio::select! {
                // New chunks wait until returned batches are sent again, to keep the order.
                chunk = self.chunks.recv(), if open && (retry_at.is_none() || stopped) => match chunk {
                    Some(Accepted { column, origin, charge }) => {
                        let origin = origin.unwrap_or_else(|| self.context.origin(self.type_name, &[]));
                        number += 1;
                        if !self.send(Retained { column, origin, charge, attempt: 0, number }).await {
                            open = false;
                            self.chunks.close();
                        }
                    }
                    None => open = false,
                },
                () = tokio::time::sleep_until(due), if retry_at.is_some() && !stopped => {
                    retry_at = None;
                    self.offer_again().await;
                }
                () = self.shared.changed.notified() => {}
                () = stop.stopped(), if !stopped => stopped = true,
            }
        }
    }

    /// Returns whether the queue still accepts batches.
    async fn send(&self, retained: Retained) -> bool {
        let Retained { column, origin, charge, attempt, number } = retained;
        let events = column.rows() as u64;
        let bytes = column.byte_len();
        self.shared.state.lock().outstanding += 1;
        let shared = self.shared.clone();
        let (again, again_origin) = (column.clone(), origin.clone());
        let ack = Ack::new(move |disposition| {
            let mut state = shared.state.lock();
            state.outstanding -= 1;
            // The bytes of a returned batch stay counted until it is delivered.
            if disposition == Disposition::Retry {
                let (column, origin, attempt) = (again, again_origin, attempt + 1);
                state.returned.push(Retained { column, origin, charge, attempt, number });
            } else {
                state.held_bytes -= charge;
                drop(again);
            }
            drop(state);
            shared.room.notify_all();
            shared.task_room.notify_waiters();
            shared.changed.notify_one();
        });
        let mut batch = Batch::new(column, origin, ack);
        if attempt > 0 {
            batch = batch.redelivered();
        }
        // A closed queue returns the batch; dropping it here returns its events.
        if self.context.output.push(Batches(batch)).await.is_ok() {
            add(&self.context.stats.events, events);
            add(&self.context.stats.bytes, bytes as u64);
            return true;
        }
        self.give_up();
        false
    }

    async fn offer_again(&self) {
        let mut returned = std::mem::take(&mut self.shared.state.lock().returned);
        // Batches return in any order.
        returned.sort_unstable_by_key(|retained| retained.number);
        let count = returned.len();
        tracing::warn!(source = %self.context.name, batches = count, "batches returned undelivered; sending them again");
        add(&self.context.stats.retries, count as u64);
        for retained in returned {
            self.send(retained).await;
        }
    }

    fn give_up(&self) {
        let returned = std::mem::take(&mut self.shared.state.lock().returned);
        let events: usize = returned.iter().map(|retained| retained.column.rows()).sum();
        if events > 0 {
            add(&self.context.stats.lost, events as u64);
            tracing::error!(
                source = %self.context.name, events,
                "events were not delivered before the source was stopped, and its input cannot be read again"
            );
        }
    }

    fn is_done(&self) -> bool {
        let state = self.shared.state.lock();
        state.outstanding == 0 && state.returned.is_empty()
    }
}

fn pause(attempt: u32) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(1 << attempt.saturating_sub(1).min(10));
    doubled.min(LAST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_maximum() {
        let pauses: Vec<u64> = [1, 2, 3, 7, 8, u32::MAX].map(|n| pause(n).as_millis() as u64).to_vec();
        assert_eq!(pauses, [500, 1000, 2000, 30_000, 30_000, 30_000]);
    }
}
