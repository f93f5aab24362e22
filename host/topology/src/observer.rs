//! Observes a running topology: counts, states, and fill levels of queues.
//!
//! Counts belong to a name and stay when its node, source or sink is removed or replaced, so they
//! never decrease and the sums of a pipeline still add up. Queues and states belong to the running
//! endpoint.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use wattle_buffer::disk::BufferStats;
use wattle_buffer::{Queue, Sized};
use wattle_sink::{Payload, SinkStats};
use wattle_source::{Batches, SourceStats};

use crate::counts::Counts;
use crate::shadow::{ShadowSnapshot, Shadows};
use crate::stops::Stops;
use crate::tap::Taps;

/// A view of a topology. Clones share it.
#[derive(Clone, Default)]
pub struct Observer {
    counts: Counts,
    sources: Arc<Mutex<BTreeMap<String, Entry<SourceStats, Batches>>>>,
    sinks: Arc<Mutex<BTreeMap<String, Entry<SinkStats, Payload>>>>,
    buffers: Arc<Mutex<BTreeMap<String, Arc<BufferStats>>>>,
    stops: Stops,
    shadows: Shadows,
    generation: Arc<AtomicU64>,
    taps: Taps,
}

/// Result of an endpoint; empty while it runs. Errors have the same text as in the log.
pub(crate) type End = Arc<OnceLock<Result<(), String>>>;

/// The endpoints that had one name.
struct Entry<S, T> {
    type_name: String,
    stats: Arc<S>,
    /// The queue of the endpoint (before a sink, after a source), while it runs.
    running: Option<(Queue<T>, End)>,
    /// How long the queues of former endpoints were blocked.
    blocked_before: Duration,
}

/// State of a source or a sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndpointState {
    /// It was started and is not ready yet.
    Starting,
    /// It is ready.
    Running,
    /// It ended regularly.
    Ended,
    /// It ended with this error.
    Failed(String),
    /// It was removed from the configuration.
    Removed,
}

/// Fill level of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buffer {
    /// Events in it.
    pub events: usize,
    /// Bytes in it.
    pub bytes: usize,
    /// Size at which it is full, in bytes.
    pub max_bytes: usize,
}

/// A source or a sink at one moment.
#[derive(Clone, Debug)]
pub struct Endpoint<S> {
    /// Name in the configuration.
    pub name: String,
    /// Type such as `file`.
    pub type_name: String,
    /// Whether it runs.
    pub state: EndpointState,
    /// Its counts.
    pub stats: Arc<S>,
    /// Its queue, unless it was removed.
    pub buffer: Option<Buffer>,
    /// Total time that it waited for space in that queue.
    pub blocked: Duration,
}

impl<S: Default, T: Sized> Entry<S, T> {
    fn new() -> Self {
        Self { type_name: String::new(), stats: Arc::default(), running: None, blocked_before: Duration::ZERO }
    }

    fn start(&mut self, type_name: &str, queue: &Queue<T>) -> End {
        self.stop();
        type_name.clone_into(&mut self.type_name);
        let end = End::default();
        self.running = Some((queue.clone(), end.clone()));
        end
    }

    fn stop(&mut self) {
        if let Some((queue, _)) = self.running.take() {
            self.blocked_before += queue.blocked();
        }
    }

    fn see(&self, name: &str, started: impl Fn(&S) -> bool) -> Endpoint<S> {
        let state = match self.running.as_ref().map(|(_, end)| end.get()) {
            None => EndpointState::Removed,
            Some(Some(Ok(()))) => EndpointState::Ended,
            Some(Some(Err(error))) => EndpointState::Failed(error.clone()),
            Some(None) if started(&self.stats) => EndpointState::Running,
            Some(None) => EndpointState::Starting,
        };
        let queue = self.running.as_ref().map(|(queue, _)| queue);
        Endpoint {
            name: name.to_owned(),
            type_name: self.type_name.clone(),
            state,
            stats: self.stats.clone(),
            buffer: queue.map(|queue| {
                let usage = queue.usage();
                Buffer { events: usage.events, bytes: usage.bytes, max_bytes: queue.max_bytes() }
            }),
            blocked: self.blocked_before + queue.map_or(Duration::ZERO, Queue::blocked),
        }
    }
}

impl Observer {
    /// Counts of all pipelines.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Pipelines that stopped by themselves.
    pub fn stops(&self) -> &Stops {
        &self.stops
    }

    /// Events as they pass points of the graph, and samples of failed events.
    pub fn taps(&self) -> &Taps {
        &self.taps
    }

    /// Results of shadows, by pipeline.
    pub fn shadows(&self) -> BTreeMap<String, ShadowSnapshot> {
        self.shadows.all().into_iter().map(|(name, report)| (name, report.snapshot())).collect()
    }

    pub(crate) fn shadow_reports(&self) -> &Shadows {
        &self.shadows
    }

    /// Counts of the buffer of a sink, if it is on disk or drops.
    pub fn buffer(&self, sink: &str) -> Option<Arc<BufferStats>> {
        self.buffers.lock().get(sink).cloned()
    }

    pub(crate) fn buffer_stats(&self, sink: &str) -> Arc<BufferStats> {
        self.buffers.lock().entry(sink.into()).or_default().clone()
    }

    /// Number of the generation that runs; 0 before the first.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// All sources by name, including removed ones.
    pub fn sources(&self) -> Vec<Endpoint<SourceStats>> {
        let started = |stats: &SourceStats| stats.started.load(Ordering::Acquire);
        self.sources.lock().iter().map(|(name, entry)| entry.see(name, started)).collect()
    }

    /// All sinks by name, including removed ones.
    pub fn sinks(&self) -> Vec<Endpoint<SinkStats>> {
        self.sinks.lock().iter().map(|(name, entry)| entry.see(name, |_| true)).collect()
    }

    pub(crate) fn set_generation(&self, number: u64) {
        self.generation.store(number, Ordering::Release);
    }

    pub(crate) fn source_stats(&self, name: &str) -> Arc<SourceStats> {
        self.sources.lock().entry(name.into()).or_insert_with(Entry::new).stats.clone()
    }

    pub(crate) fn sink_stats(&self, name: &str) -> Arc<SinkStats> {
        self.sinks.lock().entry(name.into()).or_insert_with(Entry::new).stats.clone()
    }

    /// Registers a source that starts; the caller sets the returned value when the source ends.
    pub(crate) fn start_source(&self, name: &str, type_name: &str, queue: &Queue<Batches>) -> End {
        let mut sources = self.sources.lock();
        let entry = sources.entry(name.into()).or_insert_with(Entry::new);
        entry.stats.started.store(false, Ordering::Release);
        entry.start(type_name, queue)
    }

    /// Like [`Self::start_source`], for a sink.
    pub(crate) fn start_sink(&self, name: &str, type_name: &str, queue: &Queue<Payload>) -> End {
        self.sinks.lock().entry(name.into()).or_insert_with(Entry::new).start(type_name, queue)
    }

    pub(crate) fn remove_source(&self, name: &str) {
        if let Some(entry) = self.sources.lock().get_mut(name) {
            entry.stop();
        }
    }

    pub(crate) fn remove_sink(&self, name: &str) {
        if let Some(entry) = self.sinks.lock().get_mut(name) {
            entry.stop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_source_goes_through_its_states_and_keeps_its_counts() {
        let observer = Observer::default();
        let see = || observer.sources().remove(0);
        let queue = || Queue::<Batches>::new(1000, None, None);
        let end = observer.start_source("in", "file", &queue());
        assert_eq!((see().state, see().type_name.as_str()), (EndpointState::Starting, "file"));
        see().stats.started.store(true, Ordering::Release);
        see().stats.events.store(7, Ordering::Relaxed);
        assert_eq!(see().state, EndpointState::Running);
        end.set(Err("gone".into())).unwrap();
        assert_eq!(see().state, EndpointState::Failed("gone".into()));

        let next = observer.start_source("in", "http", &queue());
        assert_eq!(
            (see().state, see().type_name.as_str()),
            (EndpointState::Starting, "http"),
            "not as its predecessor"
        );
        assert_eq!(see().stats.events.load(Ordering::Relaxed), 7);
        assert_eq!(see().buffer, Some(Buffer { events: 0, bytes: 0, max_bytes: 1000 }));
        next.set(Ok(())).unwrap();
        assert_eq!(see().state, EndpointState::Ended);
        observer.remove_source("in");
        assert_eq!((see().state, see().buffer), (EndpointState::Removed, None));
        assert_eq!(see().stats.events.load(Ordering::Relaxed), 7);
    }

    #[tokio::test]
    async fn blocked_time_adds_up_over_queues() {
        let observer = Observer::default();
        let payload =
            || Payload { key: None, bytes: vec![0; 10], events: 3, ends: Vec::new(), ack: wattle_batch::Ack::none() };
        let first = Queue::new(1, None, None);
        observer.start_sink("out", "file", &first);
        assert!(first.try_push(payload()).is_ok());
        let see = || observer.sinks().remove(0);
        assert_eq!(see().buffer.map(|buffer| buffer.events), Some(3));
        let writer = first.clone();
        let wait = tokio::spawn(async move { writer.push(payload()).await.is_ok() });
        tokio::task::yield_now().await;
        drop(first.try_pop());
        assert!(wait.await.unwrap());
        let before = see().blocked;
        assert!(before > Duration::ZERO);
        observer.start_sink("out", "file", &Queue::new(1, None, None));
        assert!(see().blocked >= before);
    }
}
