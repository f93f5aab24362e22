//! Pushes batches to the queue.

use std::convert::Infallible;
use std::sync::Arc;

use tokio::sync::Notify;
use tokio::time::Instant;
use wattle_batch::Batch;

use crate::source::{Batches, SourceContext};
use crate::stats::add;

/// Batches that wait to be sent.
pub(crate) trait Waiting {
    /// A batch that waits.
    type Outgoing;

    /// The next batch to send, and otherwise when to look again; `None` when [`changed`](Self::changed) is notified.
    fn next(&self) -> Result<Self::Outgoing, Option<Instant>>;

    /// The batch with an acknowledgement that ends its messages.
    fn with_ack(self: &Arc<Self>, outgoing: Self::Outgoing) -> Batch;

    /// Notified when there may be a batch to send.
    fn changed(&self) -> &Notify;
}

/// Sends batches until the future is dropped. A batch that returned undelivered is sent again after a pause.
pub(crate) async fn run(context: &SourceContext, waiting: &Arc<impl Waiting>) -> Infallible {
    loop {
        let outgoing = match waiting.next() {
            Ok(outgoing) => outgoing,
            Err(at) => {
                let due = async {
                    match at {
                        Some(at) => tokio::time::sleep_until(at).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    () = waiting.changed().notified() => {}
                    () = due => {}
                }
                continue;
            }
        };
        let batch = waiting.with_ack(outgoing);
        let (events, bytes) = (batch.rows() as u64, batch.byte_len() as u64);
        if batch.is_redelivered() {
            add(&context.stats.retries, 1);
        }
        // A closed queue returns the batch; dropping it here returns its events, and the reader stops.
        if context.output.push(Batches(batch)).await.is_ok() {
            add(&context.stats.events, events);
            add(&context.stats.bytes, bytes);
        }
    }
}
