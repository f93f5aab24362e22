//! Sends batches to the queue of a source, and sends those that returned undelivered again after a pause.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use wattle_batch::{Ack, Batch, Disposition};

use crate::source::{Batches, SourceContext};
use crate::stats::add;

/// First pause before what returned is delivered again; it doubles up to the maximum.
pub(crate) const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LAST_PAUSE: Duration = Duration::from_secs(30);

/// The pause after this many attempts.
pub(crate) fn pause(attempts: u64) -> Duration {
    let doublings = u32::try_from(attempts.saturating_sub(1)).unwrap_or(u32::MAX).min(10);
    FIRST_PAUSE.saturating_mul(1 << doublings).min(LAST_PAUSE)
}

/// A batch on its way to the queue.
#[derive(Debug)]
pub(crate) struct Outgoing<T> {
    /// The events, without an acknowledgement.
    pub(crate) batch: Batch,
    /// What the source needs when the batch ends.
    pub(crate) about: T,
    /// How often it returned.
    attempt: u64,
    /// Position in the order of the source.
    pub(crate) number: u64,
}

/// The batches of a source that are not acknowledged.
#[derive(Debug)]
pub(crate) struct Unacknowledged<T> {
    /// Batches that were not sent yet.
    queue: VecDeque<Outgoing<T>>,
    /// Batches that returned undelivered, and when they are sent again.
    returned: Vec<Outgoing<T>>,
    retry_at: Option<Instant>,
    /// Batches that are sent.
    in_flight: usize,
    number: u64,
}

impl<T> Default for Unacknowledged<T> {
    fn default() -> Self {
        Self { queue: VecDeque::new(), returned: Vec::new(), retry_at: None, in_flight: 0, number: 0 }
    }
}

impl<T> Unacknowledged<T> {
    /// Adds a batch. Returns its position in the order of the source.
    pub(crate) fn push(&mut self, batch: Batch, about: T) -> u64 {
        self.number += 1;
        self.queue.push_back(Outgoing { batch, about, attempt: 0, number: self.number });
        self.number
    }

    /// The next batch to send, which counts as in flight, and otherwise when to look again. While some batches wait to be
    /// sent again, others wait too, to keep the order.
    ///
    /// # Errors
    ///
    /// No batch can be sent before this time; without one, not before a batch is added or ends.
    pub(crate) fn next(&mut self) -> Result<Outgoing<T>, Option<Instant>> {
        if let Some(at) = self.retry_at {
            if at > Instant::now() {
                return Err(Some(at));
            }
            self.retry_at = None;
            let mut again = std::mem::take(&mut self.returned);
            again.sort_unstable_by_key(|outgoing| std::cmp::Reverse(outgoing.number));
            again.into_iter().for_each(|outgoing| self.queue.push_front(outgoing));
        }
        let next = self.queue.pop_front();
        // In the same step, so that the batch is never nowhere.
        self.in_flight += usize::from(next.is_some());
        next.ok_or(None)
    }

    /// A batch that was sent has ended.
    pub(crate) fn end(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// Sends a batch again after a pause.
    pub(crate) fn send_again(&mut self, mut outgoing: Outgoing<T>) {
        outgoing.attempt += 1;
        self.retry_at.get_or_insert_with(|| Instant::now() + pause(outgoing.attempt));
        self.returned.push(outgoing);
    }

    /// Keeps the waiting batches that fulfil a condition.
    pub(crate) fn retain(&mut self, mut is_kept: impl FnMut(&Outgoing<T>) -> bool) {
        self.queue.retain(&mut is_kept);
        self.returned.retain(&mut is_kept);
        if self.returned.is_empty() {
            self.retry_at = None;
        }
    }

    /// Takes the batches that were not sent yet and fulfil a condition.
    #[cfg_attr(not(feature = "nats"), allow(dead_code, reason = "only `nats` gives batches back"))]
    pub(crate) fn take_unsent(&mut self, is_taken: impl Fn(&Outgoing<T>) -> bool) -> Vec<Outgoing<T>> {
        let (taken, left): (Vec<_>, Vec<_>) = std::mem::take(&mut self.queue).into_iter().partition(is_taken);
        self.queue = left.into();
        taken
    }

    /// Takes the batches that returned undelivered.
    #[cfg_attr(not(feature = "nats"), allow(dead_code, reason = "only `nats` counts them as lost"))]
    pub(crate) fn take_returned(&mut self) -> Vec<Outgoing<T>> {
        self.retry_at = None;
        std::mem::take(&mut self.returned)
    }

    /// Number of batches that are sent.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Whether no batch waits or is sent.
    pub(crate) fn is_empty(&self) -> bool {
        self.in_flight == 0 && self.queue.is_empty() && self.returned.is_empty()
    }
}

/// The state of a source that the sender and acknowledgements share.
pub(crate) trait Shared: Send + Sync + 'static {
    /// What the source needs when a batch ends.
    type About: Send + Sync + 'static;

    /// [`Unacknowledged::next`].
    fn next(&self) -> Result<Outgoing<Self::About>, Option<Instant>>;

    /// Ends a batch. Calls [`Unacknowledged::end`].
    fn ended(&self, outgoing: Outgoing<Self::About>, disposition: Disposition);

    /// Notified when there may be a batch to send.
    fn changed(&self) -> &Notify;
}

/// Adds the acknowledgement to a batch.
pub(crate) fn with_ack<S: Shared>(shared: &Arc<S>, outgoing: Outgoing<S::About>) -> Batch {
    let batch = outgoing.batch.detached();
    let batch = if outgoing.attempt > 0 { batch.redelivered() } else { batch };
    let shared = shared.clone();
    batch.with_ack(Ack::new(move |disposition| shared.ended(outgoing, disposition)))
}

/// Sends batches until the queue is closed.
pub(crate) async fn run<S: Shared>(context: &SourceContext, shared: &Arc<S>) {
    loop {
        let outgoing = match shared.next() {
            Ok(outgoing) => outgoing,
            Err(at) => {
                let due = async {
                    match at {
                        Some(at) => tokio::time::sleep_until(at).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    () = shared.changed().notified() => {}
                    () = due => {}
                }
                continue;
            }
        };
        let batch = with_ack(shared, outgoing);
        let (events, bytes) = (batch.rows() as u64, batch.byte_len() as u64);
        if batch.is_redelivered() {
            add(&context.stats.retries, 1);
        }
        // A closed queue returns the batch; dropping it here returns its events.
        if context.output.push(Batches(batch)).await.is_err() {
            return;
        }
        add(&context.stats.events, events);
        add(&context.stats.bytes, bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_last_one() {
        assert_eq!([1, 2, 7, u64::MAX].map(|n| pause(n).as_millis()), [500, 1000, 30_000, 30_000]);
    }
}
