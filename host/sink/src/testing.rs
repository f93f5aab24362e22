//! Test rig of a sink: its queue, and the acknowledgements of its payloads.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use wattle_batch::{Ack, Batch, Column, Disposition, Origin};
use wattle_buffer::Queue;

use crate::error::SinkError;
use crate::sink::{Encoder, FlushSignal, Payload, SinkContext, SinkStats};

pub(crate) struct Rig {
    input: Queue<Payload>,
    stats: Arc<SinkStats>,
    acks: Arc<Mutex<Vec<Disposition>>>,
    flush: (tokio::sync::watch::Sender<bool>, FlushSignal),
}

impl Rig {
    pub(crate) fn new() -> Self {
        Self::with_queue(64 << 20)
    }

    /// A rig with a queue of this size in bytes.
    pub(crate) fn with_queue(bytes: usize) -> Self {
        Self {
            input: Queue::new(bytes, None, None),
            stats: Arc::default(),
            acks: Arc::default(),
            flush: FlushSignal::new(),
        }
    }

    pub(crate) fn context(&self) -> SinkContext {
        SinkContext {
            name: "out".into(),
            input: self.input.clone(),
            data_dir: std::path::PathBuf::new(),
            stats: self.stats.clone(),
            flush: self.flush.1.clone(),
        }
    }

    /// Switches the signal on that requests a flush.
    #[cfg(any(feature = "aws", feature = "kafka"))]
    pub(crate) fn flush(&self) {
        self.flush.0.send_replace(true);
    }

    pub(crate) fn ack(&self) -> Ack {
        let acks = self.acks.clone();
        Ack::new(move |disposition| acks.lock().unwrap().push(disposition))
    }

    pub(crate) fn payload(&self, key: Option<&str>, text: &str, events: usize) -> Payload {
        Payload { key: key.map(Into::into), bytes: text.into(), events, ends: Vec::new(), ack: self.ack() }
    }

    pub(crate) fn push(&self, text: &str, events: usize) {
        self.push_to(None, text, events);
    }

    pub(crate) fn push_to(&self, key: Option<&str>, text: &str, events: usize) {
        assert!(self.input.try_push(self.payload(key, text, events)).is_ok(), "the queue has room");
    }

    /// Encodes a batch of these bodies and queues the payloads.
    pub(crate) fn push_batch(&self, encoder: &dyn Encoder, bodies: &[&str]) {
        for payload in encoder.encode(self.batch(bodies)) {
            assert!(self.input.try_push(payload).is_ok(), "the queue has room");
        }
    }

    pub(crate) fn batch(&self, bodies: &[&str]) -> Batch {
        let origin = Arc::new(Origin { source: "in".into(), resource: r#"{"host":{"name":"h"}}"#.into(), observed: 0 });
        Batch::new(Column::from_rows(bodies).unwrap(), origin, self.ack())
    }

    /// The dispositions of all ended acknowledgements, in that order.
    pub(crate) fn acks(&self) -> Vec<Disposition> {
        self.acks.lock().unwrap().clone()
    }

    /// Events delivered, bytes delivered, events rejected, retries.
    pub(crate) fn counts(&self) -> (u64, u64, u64, u64) {
        let get = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let stats = &self.stats;
        (get(&stats.delivered_events), get(&stats.delivered_bytes), get(&stats.rejected_events), get(&stats.retries))
    }

    /// Waits until this number of acknowledgements has ended.
    pub(crate) async fn wait(&self, acks: usize) {
        self.until("acknowledgements", || self.acks.lock().unwrap().len() >= acks).await;
    }

    /// Waits until this number of attempts has failed.
    pub(crate) async fn wait_for_retries(&self, retries: u64) {
        self.until("retries", || self.counts().3 >= retries).await;
    }

    pub(crate) async fn until(&self, what: &str, mut reached: impl FnMut() -> bool) {
        for _ in 0..4000 {
            if reached() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("timed out waiting for {what}; acknowledgements {:?}, counts {:?}", self.acks(), self.counts());
    }
}

/// A running sink with a rig.
pub(crate) struct Running {
    pub(crate) rig: Rig,
    pub(crate) encoder: Arc<dyn Encoder>,
    pub(crate) task: tokio::task::JoinHandle<Result<(), SinkError>>,
}

impl Running {
    pub(crate) fn start(type_name: &str, options: &serde_json::Value) -> Self {
        let built = crate::build("out", type_name, options).unwrap();
        let rig = Rig::new();
        built.encoder.count_in(&rig.stats);
        let task = tokio::spawn(built.sink.run(rig.context()));
        Self { rig, encoder: built.encoder, task }
    }

    pub(crate) fn push(&self, bodies: &[&str]) {
        self.rig.push_batch(&*self.encoder, bodies);
    }

    /// Ends the input and waits until the sink has ended.
    pub(crate) async fn finish(self) -> Rig {
        self.rig.context().input.close();
        tokio::time::timeout(Duration::from_secs(20), self.task).await.unwrap().unwrap().unwrap();
        self.rig
    }

    /// Ends as a kill does.
    #[cfg(feature = "aws")]
    pub(crate) async fn kill(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }
}
