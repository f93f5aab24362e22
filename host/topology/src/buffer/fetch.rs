//! Delivers events from the disk to the sink.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::watch;
use wattle_batch::{Ack, Disposition};
use wattle_buffer::Queue;
use wattle_buffer::disk::{Acknowledger, BufferStats, Delivery, Events, Folder, Reader};
use wattle_sink::Payload;

use super::store::RETRY;

/// Minimum time between two writes of the position.
pub(super) const KEEP_INTERVAL: Duration = Duration::from_millis(10);

/// Maximum bytes per read.
const READ_BYTES: usize = 1 << 20;
/// Number of failed reads of a place before `fetch` skips it.
const ATTEMPTS: u32 = 5;

/// Delivers events on disk to the sink.
pub(super) struct Fetch {
    pub(super) name: Arc<str>,
    pub(super) output: Queue<Payload>,
    pub(super) acknowledger: Acknowledger<Folder>,
    pub(super) stats: Arc<BufferStats>,
    pub(super) events: Arc<Events>,
}

impl Fetch {
    /// Runs until it is stopped or the sink takes no more events; with `once`, until everything on
    /// disk is acknowledged.
    pub(super) async fn run(&self, reader: Reader<Folder>, mut stopped: watch::Receiver<bool>, once: bool) {
        tokio::select! {
            () = self.hand_on(reader, once) => {}
            _ = stopped.wait_for(|stop| *stop) => {}
        }
    }

    async fn hand_on(&self, reader: Reader<Folder>, once: bool) {
        let mut reader = Some(reader);
        let mut failures = 0;
        while let Some(mut taken) = reader.take() {
            let read = tokio::task::spawn_blocking(move || {
                let done = read_some(&mut taken);
                (taken, done)
            });
            let (mut back, (deliveries, error)) = match read.await {
                Ok(read) => read,
                Err(error) => {
                    tracing::error!(sink = %self.name, %error, "the thread that reads the disk buffer ended");
                    return;
                }
            };
            let idle = deliveries.is_empty();
            for delivery in deliveries {
                let Some(payload) = self.payload(&mut back, delivery) else { continue };
                if self.output.push(payload).await.is_err() {
                    return;
                }
            }
            match error {
                None => failures = 0,
                Some(error) => {
                    failures += 1;
                    self.stats.errors.fetch_add(1, Ordering::Relaxed);
                    tracing::warn!(sink = %self.name, %error, attempt = failures, "cannot read the disk buffer");
                    if failures == ATTEMPTS {
                        failures = 0;
                        back.skip();
                    } else {
                        tokio::time::sleep(RETRY).await;
                    }
                    reader = Some(back);
                    continue;
                }
            }
            reader = Some(back);
            if idle {
                if once && self.acknowledger.is_empty() {
                    return;
                }
                let wait = self.events.readable.notified();
                if once {
                    // Readers need not learn of the end of the last delivery.
                    let _ = tokio::time::timeout(KEEP_INTERVAL, wait).await;
                } else {
                    wait.await;
                }
            }
        }
    }

    /// Creates a payload whose acknowledgement moves the position of the buffer.
    fn payload(&self, reader: &mut Reader<Folder>, delivery: Delivery) -> Option<Payload> {
        let Delivery { id, events, content } = delivery;
        let acknowledger = self.acknowledger.clone();
        let ack = Ack::new(move |disposition| acknowledger.end(id, disposition != Disposition::Retry));
        let payload = Payload::decode(content, events, ack);
        if payload.is_none() {
            // Dropping its acknowledgement returned it, but no sink is left to take it.
            reader.reject(id);
        }
        payload
    }
}

/// Reads until there is enough data, no more data, or an error.
fn read_some(reader: &mut Reader<Folder>) -> (Vec<Delivery>, Option<io::Error>) {
    let mut deliveries = Vec::new();
    let mut bytes = 0;
    while bytes < READ_BYTES {
        match reader.read() {
            Ok(Some(delivery)) => {
                bytes += delivery.content.len();
                deliveries.push(delivery);
            }
            Ok(None) => break,
            Err(error) => return (deliveries, Some(error)),
        }
    }
    (deliveries, None)
}
