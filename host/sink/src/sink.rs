//! What a sink is, and what it is given to run.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::watch;
use wattle_batch::{Ack, Batch};
use wattle_buffer::{Queue, Sized};

use crate::backlog::{Backlog, Pending};

/// Encoded events on their way out.
#[derive(Debug)]
pub struct Payload {
    /// Where they go inside the sink, for a sink with several places: the rendered path of a file.
    pub key: Option<Arc<str>>,
    /// The bytes, framed as the sink writes them.
    pub bytes: Vec<u8>,
    /// Number of events in them.
    pub events: usize,
    /// Ends of the events within `bytes` (each after its framing), for sinks that must take payloads apart; may be empty.
    pub ends: Vec<usize>,
    /// Responsibility for these events.
    pub ack: Ack,
}

impl Sized for Payload {
    fn byte_len(&self) -> usize {
        self.bytes.len() + self.ends.len() * size_of::<usize>() + size_of::<Self>()
    }

    fn event_count(&self) -> usize {
        self.events
    }
}

impl Payload {
    /// Takes the later half of the events off, with a share of the acknowledgement. `None` if there is only one, or if
    /// nobody knows where they end.
    pub fn split_half(&mut self) -> Option<Self> {
        let half = self.ends.len() / 2;
        let (cut, ends) = split_ends(&mut self.ends, half)?;
        let bytes = self.bytes.split_off(cut);
        self.events -= ends.len();
        Some(Self { key: self.key.clone(), bytes, events: ends.len(), ends, ack: self.ack.share() })
    }

    /// What is left of the payload when its bytes are written.
    pub(crate) fn into_written(self) -> Written {
        Written { events: self.events, bytes: self.bytes.len(), ack: self.ack }
    }
}

/// Takes the ends of all but the first `count` events off, as they are in what remains of the bytes when the first are cut
/// off, and says where that is. `None` if that leaves nothing on either side.
pub(crate) fn split_ends(ends: &mut Vec<usize>, count: usize) -> Option<(usize, Vec<usize>)> {
    let cut = count.checked_sub(1).and_then(|last| ends.get(last).copied())?;
    let rest: Vec<usize> = ends.split_off(count).into_iter().map(|end| end - cut).collect();
    (!rest.is_empty()).then_some((cut, rest))
}

/// Events that are on their way but not yet safe.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) events: usize,
    pub(crate) bytes: usize,
    pub(crate) ack: Ack,
}

/// Turns batches into payloads, on the workers.
pub trait Encoder: Send + Sync {
    /// Encodes every event of the batch, in order, and moves its acknowledgement into the payloads.
    fn encode(&self, batch: Batch) -> Vec<Payload>;
}

/// Counts of a sink, read by metrics and the summary.
#[derive(Debug, Default)]
pub struct SinkStats {
    /// Events that were encoded for the sink.
    pub received_events: AtomicU64,
    /// Events that the far side has.
    pub delivered_events: AtomicU64,
    /// Bytes that the far side has, before compression.
    pub delivered_bytes: AtomicU64,
    /// Events that the far side will never take.
    pub rejected_events: AtomicU64,
    /// Attempts that failed and were repeated.
    pub retries: AtomicU64,
    /// Since when attempts have failed without a delivery in between.
    troubled: Mutex<Option<Instant>>,
    pending: Arc<Pending>,
    /// Whether the reader of the sink's output has closed it for good.
    closed: AtomicBool,
    /// The error that keeps the sink from delivering until an operator acts, and since when.
    broken: Mutex<Option<(Instant, String)>>,
}

impl SinkStats {
    /// Counts the events of a payload as a backlog of the sink until their acknowledgement ends.
    pub fn expect(&self, payload: &mut Payload) {
        let bytes = payload.bytes.len();
        self.pending.add(payload.events, bytes, &mut payload.ack);
    }

    /// Events that were handed to the sink and are neither delivered, rejected nor returned.
    pub fn backlog(&self) -> Backlog {
        self.pending.backlog()
    }

    /// Since when the sink's attempts have failed; `None` after a delivery.
    pub fn troubled_since(&self) -> Option<Instant> {
        *self.troubled.lock()
    }

    /// Whether the reader of the sink's output has closed it, as `head` does.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// The error that keeps the sink from delivering anything until an operator acts, if it has lasted for so long.
    pub fn broken(&self, at_least: Duration) -> Option<String> {
        let broken = self.broken.lock();
        broken.as_ref().filter(|(since, _)| since.elapsed() >= at_least).map(|(_, error)| error.clone())
    }

    /// Notes an error that does not pass by itself.
    pub(crate) fn note_broken(&self, error: impl FnOnce() -> String) {
        self.broken.lock().get_or_insert_with(|| (Instant::now(), error()));
    }

    /// Notes an error that may pass by itself.
    pub(crate) fn note_passing(&self) {
        *self.broken.lock() = None;
    }

    /// Counts events that the far side has, and acknowledges them.
    pub(crate) fn deliver(&self, written: Written) {
        *self.troubled.lock() = None;
        *self.broken.lock() = None;
        self.delivered_events.fetch_add(written.events as u64, Ordering::Relaxed);
        self.delivered_bytes.fetch_add(written.bytes as u64, Ordering::Relaxed);
        written.ack.deliver();
    }

    /// Counts a failed attempt.
    pub(crate) fn retried(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
        self.troubled.lock().get_or_insert_with(Instant::now);
    }
}

/// What a sink is given to run.
pub struct SinkContext {
    /// Name of the sink in the configuration.
    pub name: Arc<str>,
    /// What to send. When it is closed and empty, the sink flushes and ends.
    pub input: Queue<Payload>,
    /// The agent's data folder; a sink keeps its own files in `sinks/<name>/` below it.
    pub data_dir: PathBuf,
    /// Where to count.
    pub stats: Arc<SinkStats>,
    /// When to deliver at once.
    pub hurry: Hurry,
}

/// Tells a sink to deliver at once what it holds back: events that wait for a full request or for the next sync. It is
/// on while the agent stops, and while a reload waits for the sink or its sources.
#[derive(Clone, Debug)]
pub struct Hurry(watch::Receiver<bool>);

impl Hurry {
    /// The signal, off, and the sender that turns it on and off.
    pub fn new() -> (watch::Sender<bool>, Self) {
        let (sender, receiver) = watch::channel(false);
        (sender, Self(receiver))
    }

    /// Whether it is on.
    pub fn is_on(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until it is on.
    ///
    /// # Cancel safety
    ///
    /// The wait can be cancelled and repeated.
    pub async fn on(&mut self) {
        if self.0.wait_for(|on| *on).await.is_err() {
            // Without a sender it stays off.
            std::future::pending::<()>().await;
        }
    }
}

/// Why a sink could not be built or ended before its time.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct SinkError {
    /// What, where, and how to mend it.
    pub message: String,
}

/// Both halves of a sink.
pub struct Built {
    /// The half that runs on the workers.
    pub encoder: Arc<dyn Encoder>,
    /// The half that runs as a task.
    pub sink: Box<dyn Sink>,
}

/// The future of a running sink.
pub(crate) type Running = Pin<Box<dyn Future<Output = Result<(), SinkError>> + Send>>;

/// A sink that is ready to run.
pub trait Sink: Send {
    /// Sends payloads in order until the queue is closed and empty. Temporary troubles of the far side are waited out
    /// inside, with backoff; the queue fills up meanwhile and stops the sources.
    fn run(self: Box<Self>, context: SinkContext) -> Pin<Box<dyn Future<Output = Result<(), SinkError>> + Send>>;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use wattle_batch::Disposition;

    #[test]
    fn halves_hold_all_events_and_share_the_acknowledgement() {
        let told = Arc::new(Mutex::new(None));
        let ack = Ack::new({
            let told = told.clone();
            move |disposition| *told.lock().unwrap() = Some(disposition)
        });
        let mut first = Payload { key: None, bytes: b"a\nbb\nccc\n".to_vec(), events: 3, ends: vec![2, 5, 9], ack };
        let mut second = first.split_half().unwrap();
        assert_eq!((&first.bytes[..], &first.ends[..], first.events), (&b"a\n"[..], &[2][..], 1));
        assert_eq!((&second.bytes[..], &second.ends[..], second.events), (&b"bb\nccc\n"[..], &[3, 7][..], 2));
        assert!(first.split_half().is_none(), "one event stays whole");
        let third = second.split_half().unwrap();
        assert_eq!((&second.bytes[..], &third.bytes[..], &third.ends[..]), (&b"bb\n"[..], &b"ccc\n"[..], &[4][..]));
        first.ack.deliver();
        third.ack.deliver();
        assert_eq!(*told.lock().unwrap(), None, "a share is still out");
        second.ack.deliver();
        assert_eq!(*told.lock().unwrap(), Some(Disposition::Delivered));
    }
}
