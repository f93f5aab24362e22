//! The traits of a sink, its payloads, its counters, and the context that it runs in.

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::watch;
use wattle_batch::{Ack, Batch};
use wattle_buffer::{Queue, Sized};
use wattle_listen::{Listeners, TlsStats};

use crate::backlog::{Backlog, Pending};
use crate::error::SinkError;

/// Encoded events.
#[derive(Debug)]
pub struct Payload {
    /// The target inside the sink, if it has several: for example, the rendered path of a file.
    pub key: Option<Arc<str>>,
    /// The events as the sink writes them, with framing.
    pub bytes: Vec<u8>,
    /// Number of events in `bytes`.
    pub events: usize,
    /// Offset in `bytes` after each event and its framing. Empty for sinks that never split a
    /// payload.
    pub ends: Vec<usize>,
    /// Acknowledgement of these events.
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
    /// Splits off the second half of the events, with a share of the acknowledgement. `None` if
    /// there is only one event, or if the payload has no `ends`.
    pub fn split_half(&mut self) -> Option<Self> {
        let half = self.ends.len() / 2;
        let (cut, ends) = split_ends(&mut self.ends, half)?;
        let bytes = self.bytes.split_off(cut);
        self.events -= ends.len();
        Some(Self { key: self.key.clone(), bytes, events: ends.len(), ends, ack: self.ack.share() })
    }

    /// What the acknowledgement needs after the bytes are written.
    pub(crate) fn into_written(self) -> Written {
        Written { events: self.events, bytes: self.bytes.len(), ack: self.ack }
    }
}

/// Splits the ends after the first `count` events. Returns the offset at which to split the bytes,
/// and the ends of the second part relative to that offset. `None` if either part would be empty.
pub(crate) fn split_ends(ends: &mut Vec<usize>, count: usize) -> Option<(usize, Vec<usize>)> {
    let cut = count.checked_sub(1).and_then(|last| ends.get(last).copied())?;
    let rest: Vec<usize> = ends.split_off(count).into_iter().map(|end| end - cut).collect();
    (!rest.is_empty()).then_some((cut, rest))
}

/// Events that are written but not yet acknowledged.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) events: usize,
    pub(crate) bytes: usize,
    pub(crate) ack: Ack,
}

/// Turns batches into payloads, on the workers.
pub trait Encoder: Send + Sync {
    /// Encodes every event of the batch, in order, and passes its acknowledgement to the payloads.
    fn encode(&self, batch: Batch) -> Vec<Payload>;

    /// Receives the counters of the sink, before the first batch. Only an encoder that counts events needs them.
    fn count_in(&self, stats: &Arc<SinkStats>) {
        let _ = stats;
    }
}

/// Counters and state of a sink, read by metrics, `/status` and the summary.
#[derive(Debug, Default)]
pub struct SinkStats {
    /// Events that were encoded for the sink.
    pub received_events: AtomicU64,
    /// Events that the destination accepted.
    pub delivered_events: AtomicU64,
    /// Bytes that the destination accepted, before compression.
    pub delivered_bytes: AtomicU64,
    /// Events that the sink could not deliver: the destination rejected them, or the attempts ran
    /// out.
    pub rejected_events: AtomicU64,
    /// Rejected events that the sink wrote to its dead-letter file.
    pub dead_letter_events: AtomicU64,
    /// Events that the destination rejected, or for which the attempts ran out, and that no
    /// dead-letter file has.
    pub lost_events: AtomicU64,
    /// Failed attempts that were repeated.
    pub retries: AtomicU64,
    /// Values that did not fit their column of a Parquet file and became null.
    pub misfit_values: AtomicU64,
    /// Events that a sink `loki` sent to the stream `overflow`, because their labels would make too many streams.
    pub overflow_events: AtomicU64,
    /// Address of a listening sink.
    pub address: OnceLock<SocketAddr>,
    /// Failed TLS handshakes of a listening sink.
    pub tls: Arc<TlsStats>,
    /// Time of the first failed attempt since the last delivery.
    failing: Mutex<Option<Instant>>,
    pending: Arc<Pending>,
    /// Whether the reader closed the sink's output, for example the pipe behind standard output.
    closed: AtomicBool,
    /// An error that only an operator can fix, and the time when it began.
    broken: Mutex<Option<(Instant, String)>>,
}

impl SinkStats {
    /// Adds a payload to the backlog of the sink until the payload's acknowledgement ends.
    pub fn expect(&self, payload: &mut Payload) {
        let bytes = payload.bytes.len();
        self.pending.add(payload.events, bytes, &mut payload.ack);
    }

    /// Events that the sink received and that are neither delivered, rejected nor returned.
    pub fn backlog(&self) -> Backlog {
        self.pending.backlog()
    }

    /// Time of the first failed attempt since the last delivery; `None` while attempts succeed.
    pub fn failing_since(&self) -> Option<Instant> {
        *self.failing.lock()
    }

    /// Whether the reader closed the sink's output, as `head` does.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// The error that only an operator can fix, if it has lasted for `at_least`.
    pub fn broken(&self, at_least: Duration) -> Option<String> {
        let broken = self.broken.lock();
        broken.as_ref().filter(|(since, _)| since.elapsed() >= at_least).map(|(_, error)| error.clone())
    }

    /// Records an error that only an operator can fix.
    pub fn set_broken(&self, error: impl FnOnce() -> String) {
        self.broken.lock().get_or_insert_with(|| (Instant::now(), error()));
    }

    /// Records that the last error is temporary.
    pub fn clear_broken(&self) {
        *self.broken.lock() = None;
    }

    /// Counts events that the destination accepted, and acknowledges them.
    pub(crate) fn deliver(&self, written: Written) {
        *self.failing.lock() = None;
        *self.broken.lock() = None;
        self.delivered_events.fetch_add(written.events as u64, Ordering::Relaxed);
        self.delivered_bytes.fetch_add(written.bytes as u64, Ordering::Relaxed);
        written.ack.deliver();
    }

    /// Counts a failed attempt.
    pub(crate) fn retried(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
        self.failing.lock().get_or_insert_with(Instant::now);
    }
}

/// What a sink needs to run.
pub struct SinkContext {
    /// Name of the sink in the configuration.
    pub name: Arc<str>,
    /// Payloads to send. When the queue is closed and empty, the sink flushes and ends.
    pub input: Queue<Payload>,
    /// The agent's data folder; a sink stores its own files in `sinks/<name>/` below it.
    pub data_dir: PathBuf,
    /// Counters of the sink.
    pub stats: Arc<SinkStats>,
    /// Whether to deliver without waiting for full requests.
    pub flush: FlushSignal,
}

/// Requests that a sink delivers at once the events that wait for a full request or for the next
/// sync. The signal is on while the agent stops, and while a reload waits for the sink or its
/// sources.
#[derive(Clone, Debug)]
pub struct FlushSignal(watch::Receiver<bool>);

impl FlushSignal {
    /// A signal that is off, and the sender that switches it.
    pub fn new() -> (watch::Sender<bool>, Self) {
        let (sender, receiver) = watch::channel(false);
        (sender, Self(receiver))
    }

    /// Whether the signal is on.
    pub fn is_on(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until the signal is on.
    ///
    /// # Cancel safety
    ///
    /// The wait can be cancelled and repeated.
    pub async fn on(&mut self) {
        if self.0.wait_for(|on| *on).await.is_err() {
            // Without a sender the signal never turns on.
            std::future::pending::<()>().await;
        }
    }
}

/// Both halves of a sink.
pub struct Built {
    /// The half that runs on the workers.
    pub encoder: Arc<dyn Encoder>,
    /// The half that runs as a task.
    pub sink: Box<dyn Sink>,
}

/// Builds a sink of this name from validated options. Reads the files that the options name, such
/// as certificates, but opens no file for writing.
pub type Prepared = Box<dyn FnOnce(&Arc<str>) -> Result<Built, SinkError>>;

/// The future of a running sink.
pub(crate) type Running = Pin<Box<dyn Future<Output = Result<(), SinkError>> + Send>>;

/// A sink that is ready to run.
pub trait Sink: Send {
    /// Takes the listening socket before the sink runs, if the sink has one. So an address in use refuses a new
    /// configuration instead of ending a running sink.
    ///
    /// # Errors
    ///
    /// The sink cannot listen on its address.
    fn listen(&mut self, _listeners: &Listeners) -> Result<(), SinkError> {
        Ok(())
    }

    /// Sends payloads in order until the queue is closed and empty. The sink retries temporary
    /// errors of the destination with backoff; meanwhile the queue fills up and the sources wait.
    fn run(self: Box<Self>, context: SinkContext) -> Pin<Box<dyn Future<Output = Result<(), SinkError>> + Send>>;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use wattle_batch::Disposition;

    #[test]
    fn halves_contain_all_events_and_share_the_acknowledgement() {
        let reported = Arc::new(Mutex::new(None));
        let ack = Ack::new({
            let reported = reported.clone();
            move |disposition| *reported.lock().unwrap() = Some(disposition)
        });
        let mut first = Payload { key: None, bytes: b"a\nbb\nccc\n".to_vec(), events: 3, ends: vec![2, 5, 9], ack };
        let mut second = first.split_half().unwrap();
        assert_eq!((&first.bytes[..], &first.ends[..], first.events), (&b"a\n"[..], &[2][..], 1));
        assert_eq!((&second.bytes[..], &second.ends[..], second.events), (&b"bb\nccc\n"[..], &[3, 7][..], 2));
        assert!(first.split_half().is_none(), "a single event cannot be split");
        let third = second.split_half().unwrap();
        assert_eq!((&second.bytes[..], &third.bytes[..], &third.ends[..]), (&b"bb\n"[..], &b"ccc\n"[..], &[4][..]));
        first.ack.deliver();
        third.ack.deliver();
        assert_eq!(*reported.lock().unwrap(), None, "the second half still has a share");
        second.ack.deliver();
        assert_eq!(*reported.lock().unwrap(), Some(Disposition::Delivered));
    }
}
