//! The messages that this source has received and not finished: SQS hides them from other receivers while their leases
//! are extended.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;
use wattle_aws::{Message, Sqs};

use crate::stats::{SourceStats, add};

/// Maximum number of messages in a request to SQS.
pub(super) const MAX_BATCH: usize = 10;

/// How long giving back messages may take when the source is dropped.
const LAST_MOMENT: Duration = Duration::from_secs(2);

/// All leases of a source.
pub(super) struct Leases {
    queue: Sqs,
    source: Arc<str>,
    visibility: Duration,
    entries: Mutex<HashMap<String, Entry>>,
    stats: Arc<SourceStats>,
}

#[derive(Debug)]
struct Entry {
    /// The newest handle; SQS gives a new one with each delivery.
    receipt: String,
    /// When the message becomes visible to other receivers.
    until: Instant,
    sent_at: Option<i64>,
    has_complained: bool,
}

/// One message in work. Dropping it ends the heartbeat, so the message comes again unless it is deleted.
pub(super) struct Lease {
    pub(super) id: String,
    leases: Arc<Leases>,
}

impl Lease {
    /// The newest handle of the message.
    pub(super) fn receipt(&self) -> Option<String> {
        self.leases.entries.lock().get(&self.id).map(|entry| entry.receipt.clone())
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut entries = self.leases.entries.lock();
        entries.remove(&self.id);
        self.leases.stats.queue.in_flight.store(entries.len() as u64, Ordering::Relaxed);
    }
}

impl Leases {
    pub(super) fn new(queue: Sqs, source: Arc<str>, visibility: Duration, stats: Arc<SourceStats>) -> Arc<Self> {
        Arc::new(Self { queue, source, visibility, entries: Mutex::default(), stats })
    }

    /// Begins the lease of a message that was received just now. `None` if this source already works on the message,
    /// because its lease was extended too late or SQS delivered it twice; the new handle replaces the old one.
    pub(super) fn begin(self: &Arc<Self>, message: &Message) -> Option<Lease> {
        let until = Instant::now() + self.visibility;
        let mut entries = self.entries.lock();
        if let Some(entry) = entries.get_mut(&message.id) {
            entry.receipt.clone_from(&message.receipt);
            entry.until = until;
            entry.has_complained = false;
            return None;
        }
        let entry =
            Entry { receipt: message.receipt.clone(), until, sent_at: message.sent_at(), has_complained: false };
        entries.insert(message.id.clone(), entry);
        self.stats.queue.in_flight.store(entries.len() as u64, Ordering::Relaxed);
        Some(Lease { id: message.id.clone(), leases: self.clone() })
    }

    /// Extends leases before they end, and keeps the age of the oldest message up to date. Never returns.
    pub(super) async fn keep(&self) {
        let pause = (self.visibility / 6).min(Duration::from_secs(1));
        loop {
            tokio::time::sleep(pause).await;
            let sent = self.entries.lock().values().filter_map(|entry| entry.sent_at).min();
            self.stats.queue.oldest_sent_at.store(sent.unwrap_or_default(), Ordering::Relaxed);
            let due: Vec<(String, String)> = {
                let entries = self.entries.lock();
                let now = Instant::now();
                let is_due = |entry: &Entry| entry.until.saturating_duration_since(now) < self.visibility / 2;
                let due = entries.iter().filter(|(_, entry)| is_due(entry));
                due.map(|(id, entry)| (id.clone(), entry.receipt.clone())).collect()
            };
            for batch in due.chunks(MAX_BATCH) {
                self.extend(batch).await;
            }
        }
    }

    async fn extend(&self, batch: &[(String, String)]) {
        let receipts: Vec<&str> = batch.iter().map(|(_, receipt)| receipt.as_str()).collect();
        let begun = Instant::now();
        let failures = match self.queue.change_visibility(&receipts, self.visibility).await {
            Ok(failures) => failures,
            // The leases still have half of their time, so the next attempts are soon.
            Err(error) => {
                tracing::warn!(source = %self.source, error = %error, "cannot extend the time that messages stay hidden");
                return;
            }
        };
        let mut entries = self.entries.lock();
        for (index, (id, receipt)) in batch.iter().enumerate() {
            // Another delivery may have brought a newer handle meanwhile.
            let Some(entry) = entries.get_mut(id).filter(|entry| entry.receipt == *receipt) else { continue };
            match failures.iter().find(|failure| failure.index == index) {
                None => {
                    entry.until = begun + self.visibility;
                    add(&self.stats.queue.extended, 1);
                }
                Some(failure) => {
                    if !std::mem::replace(&mut entry.has_complained, true) {
                        tracing::warn!(
                            source = %self.source, message_id = %id, error = %failure.error,
                            "cannot extend the time that a message stays hidden; its objects may be read twice"
                        );
                    }
                }
            }
        }
    }

    /// Gives back what is still in work when the source is dropped, as far as the time allows: the drain ran out of time.
    pub(super) fn abandon(&self) {
        let receipts: Vec<String> = self.entries.lock().values().map(|entry| entry.receipt.clone()).collect();
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if receipts.is_empty() {
            return;
        }
        tracing::warn!(
            source = %self.source, messages = receipts.len(),
            "the source ends before its messages are finished; giving them back to the queue"
        );
        let queue = self.queue.clone();
        runtime.spawn(tokio::time::timeout(LAST_MOMENT, async move {
            for batch in receipts.chunks(MAX_BATCH) {
                let batch: Vec<&str> = batch.iter().map(String::as_str).collect();
                // Without it, the messages come again when their time ends.
                let _ = queue.change_visibility(&batch, Duration::ZERO).await;
            }
        }));
    }
}
