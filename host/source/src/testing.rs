//! A queue, a context and a consumer for the tests of sources.

pub(crate) mod tls;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use wattle_batch::Batch;
use wattle_buffer::Queue;

use crate::assemble::BatchLimits;
use crate::error::SourceError;
use crate::source::{Batches, Source, SourceContext, Stop};
use crate::stats::SourceStats;
use crate::types::build;
use crate::waits::{InputEnd, Waits};
use wattle_listen::Listeners;

/// Maximum time of any step in a test.
const PATIENCE: Duration = Duration::from_secs(20);

/// The environment of one source.
pub(crate) struct Rig {
    pub(crate) queue: Queue<Batches>,
    pub(crate) stats: Arc<SourceStats>,
    pub(crate) limits: BatchLimits,
    pub(crate) once: bool,
    pub(crate) data_dir: PathBuf,
    pub(crate) listeners: Listeners,
    pub(crate) waits: Waits,
    stop: watch::Sender<bool>,
    stopped: Stop,
}

/// A running source.
pub(crate) struct Running(JoinHandle<Result<(), SourceError>>);

impl Rig {
    pub(crate) fn new(data_dir: &Path) -> Self {
        let (stop, stopped) = Stop::new();
        Self {
            queue: Queue::new(64 << 20, None, None),
            stats: Arc::default(),
            limits: BatchLimits { max_bytes: 256 << 10, max_events: 4096, max_age: Duration::from_millis(20) },
            once: false,
            data_dir: data_dir.to_owned(),
            listeners: Listeners::default(),
            waits: Waits::default(),
            stop,
            stopped,
        }
    }

    pub(crate) fn once(mut self) -> Self {
        self.once = true;
        self
    }

    pub(crate) fn context(&self) -> SourceContext {
        SourceContext {
            name: "in".into(),
            output: self.queue.clone(),
            stop: self.stopped.clone(),
            once: self.once,
            data_dir: self.data_dir.clone(),
            limits: self.limits,
            stats: self.stats.clone(),
            waits: self.waits.clone(),
            input_end: InputEnd::new().0,
        }
    }

    pub(crate) fn start(&self, type_name: &str, options: Value) -> Running {
        self.start_source(build(type_name, &options, &self.listeners).unwrap())
    }

    pub(crate) fn start_source(&self, source: Box<dyn Source>) -> Running {
        Running(tokio::spawn(source.run(self.context())))
    }

    pub(crate) fn stop(&self) {
        self.stop.send(true).unwrap();
    }

    /// The next batch.
    #[track_caller]
    pub(crate) fn pop(&self) -> impl Future<Output = Batch> {
        let caller = std::panic::Location::caller();
        let queue = self.queue.clone();
        async move {
            let popped = tokio::time::timeout(PATIENCE, queue.pop()).await;
            popped.unwrap_or_else(|_| panic!("no batch arrived at {caller}")).expect("the queue is open").0
        }
    }

    /// Takes and delivers batches until this many events arrived; returns their bodies.
    #[track_caller]
    pub(crate) fn take(&self, events: usize) -> impl Future<Output = Vec<String>> {
        let next = (0..).map(|_| self.pop());
        async move {
            let mut bodies = Vec::new();
            for batch in next {
                if bodies.len() >= events {
                    break;
                }
                let batch = batch.await;
                bodies.extend(texts(&batch));
                batch.into_ack().deliver();
            }
            assert_eq!(bodies.len(), events, "{bodies:?}");
            bodies
        }
    }

    /// Delivers everything until the source ends; returns the bodies and the result of the source.
    pub(crate) async fn drain(&self, running: Running) -> (Vec<String>, Result<(), SourceError>) {
        let mut task = running.0;
        let mut bodies = Vec::new();
        let run = async {
            loop {
                tokio::select! {
                    biased;
                    batch = self.queue.pop() => {
                        let batch = batch.unwrap().0;
                        bodies.extend(texts(&batch));
                        batch.into_ack().deliver();
                    }
                    ended = &mut task => break ended.unwrap(),
                }
            }
        };
        let ended = tokio::time::timeout(PATIENCE, run).await.expect("the source ends");
        (bodies, ended)
    }

    /// Waits a little and checks that no batch arrived.
    pub(crate) async fn expect_quiet(&self, time: Duration) {
        let came = tokio::time::timeout(time, self.queue.pop()).await;
        assert!(came.is_err(), "unexpected batch {:?}", came.map(|b| b.map(|b| texts(&b.0))));
    }

    /// Waits until a condition holds.
    #[track_caller]
    pub(crate) fn until(&self, mut holds: impl FnMut() -> bool) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            let wait = async {
                while !holds() {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            };
            tokio::time::timeout(PATIENCE, wait)
                .await
                .unwrap_or_else(|_| panic!("the condition did not become true at {caller}"));
        }
    }
}

impl Running {
    pub(crate) async fn ended(self) -> Result<(), SourceError> {
        tokio::time::timeout(PATIENCE, self.0).await.expect("the source ends").unwrap()
    }

    /// Drops the source without a stop, like a kill.
    pub(crate) async fn kill(self) {
        self.0.abort();
        let _ = self.0.await;
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.0.is_finished()
    }
}

/// The bodies of a batch.
pub(crate) fn texts(batch: &Batch) -> Vec<String> {
    batch.body().iter().map(|row| String::from_utf8_lossy(row).into_owned()).collect()
}

/// The object `source` of a batch's resource.
pub(crate) fn resource(batch: &Batch) -> Value {
    let resource: Value = serde_json::from_str(&batch.origin().resource).unwrap();
    resource.get("source").cloned().unwrap_or(json!(null))
}

/// Compresses bytes to one gzip member.
pub(crate) fn gzip(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes.as_ref()).unwrap();
    encoder.finish().unwrap()
}
