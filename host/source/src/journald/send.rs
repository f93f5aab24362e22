//! Pushes batches to the queue.

use std::sync::Arc;

use super::shared::Shared;
use crate::source::{Batches, SourceContext};
use crate::stats::add;

/// Sends batches until the queue is closed. A batch that returned undelivered is sent again after a pause.
pub(super) async fn run(context: &SourceContext, shared: &Arc<Shared>) {
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
                    () = shared.to_send.notified() => {}
                    () = due => {}
                }
                continue;
            }
        };
        let batch = shared.sent(outgoing);
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
