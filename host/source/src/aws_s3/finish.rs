//! Deletes finished messages and gives back others, in batches.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, OwnedSemaphorePermit, mpsc};
use tokio::time::timeout;
use wattle_aws::{BatchFailure, Error, Sqs};

use super::backoff::Backoff;
use super::lease::{Lease, MAX_BATCH};
use crate::stats::{SourceStats, add};

/// How long an incomplete batch waits for more messages.
const LINGER: Duration = Duration::from_millis(20);

/// Attempts for a request. After that, the message comes again when its time ends.
const MAX_ATTEMPTS: u32 = 6;

/// Pauses between attempts.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LAST_PAUSE: Duration = Duration::from_secs(10);

/// What happens to a message at last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Delete,
    /// It becomes visible again after this time.
    Return(Duration),
}

/// A message that ends. The lease and the place last until SQS knows.
pub(super) struct Ending {
    pub(super) lease: Lease,
    pub(super) end: End,
    /// Frees the place of the message when this is dropped.
    pub(super) _place: OwnedSemaphorePermit,
}

/// Sends the ends of messages.
pub(super) struct Finisher {
    pub(super) queue: Sqs,
    pub(super) source: Arc<str>,
    pub(super) endings: Mutex<mpsc::Receiver<Ending>>,
    pub(super) stats: Arc<SourceStats>,
}

impl Finisher {
    /// Sends ends until the channel is closed and empty. Several of these can run at the same time.
    pub(super) async fn run(&self) {
        loop {
            let mut batch = Vec::with_capacity(MAX_BATCH);
            {
                let mut endings = self.endings.lock().await;
                let Some(first) = endings.recv().await else { return };
                batch.push(first);
                let fill = async {
                    while batch.len() < MAX_BATCH {
                        match endings.recv().await {
                            Some(next) => batch.push(next),
                            None => return,
                        }
                    }
                };
                // The time is not an error; what came until then is in the batch.
                let _ = timeout(LINGER, fill).await;
            }
            while let Some(end) = batch.first().map(|ending| ending.end) {
                let (same, others) = batch.into_iter().partition(|ending| ending.end == end);
                batch = others;
                self.send(end, same).await;
            }
        }
    }

    async fn send(&self, end: End, mut endings: Vec<Ending>) {
        let mut backoff = Backoff::new(FIRST_PAUSE, LAST_PAUSE);
        while !endings.is_empty() {
            let receipts: Vec<String> = endings.iter().map(|e| e.lease.receipt().unwrap_or_default()).collect();
            let failures = match self.request(end, &receipts).await {
                Ok(failures) => failures,
                // Any of them may be done, and doing it again does no harm.
                Err(error) => (0..endings.len()).map(|index| BatchFailure { index, error: error.clone() }).collect(),
            };
            let done = endings.len() - failures.len();
            let count = match end {
                End::Delete => &self.stats.queue.deleted,
                End::Return(_) => &self.stats.queue.returned,
            };
            add(count, done as u64);
            let Some(first) = failures.first() else { return };
            if backoff.attempts() >= MAX_ATTEMPTS {
                let action = if end == End::Delete { "delete" } else { "give back" };
                tracing::warn!(
                    source = %self.source, messages = failures.len(), error = %first.error,
                    "cannot {action} messages; they come again when their time ends"
                );
                return;
            }
            let mut index = 0;
            endings.retain(|_| {
                index += 1;
                failures.iter().any(|failure| failure.index == index - 1)
            });
            add(&self.stats.queue.retried_requests, 1);
            tokio::time::sleep(backoff.next()).await;
        }
    }

    async fn request(&self, end: End, receipts: &[String]) -> Result<Vec<BatchFailure>, Error> {
        let receipts: Vec<&str> = receipts.iter().map(String::as_str).collect();
        match end {
            End::Delete => self.queue.delete(&receipts).await,
            End::Return(after) => self.queue.change_visibility(&receipts, after).await,
        }
    }
}
