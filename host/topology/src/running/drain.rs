//! The end: sources stop, what is under way is delivered, and what is not by the deadline stays unacknowledged.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use wattle_sink::Backlog;
use wattle_source::SourceError;

use super::{RunningSource, Topology};
use crate::generation::Generation;
use crate::lane::Lanes;
use crate::observer::Observer;

/// What is left of a drain for sinks to end what they have begun, or a quarter of it.
const HAND_OVER_SINK: Duration = Duration::from_secs(5);
/// How long a worker may take to put away what a node gave it, also when the deadline is over.
const PUT_AWAY: Duration = Duration::from_millis(250);
/// So long before the sources give up, what is left is counted.
const COUNT_BEFORE: Duration = Duration::from_millis(20);
/// How often it is checked whether sinks deliver.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(20);

/// How a drain ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    /// Whether everything is delivered or in disk buffers.
    pub is_clean: bool,
    /// What sinks did not deliver. The sources offer it again at the next start.
    pub left: Vec<Left>,
}

/// What a sink did not deliver before the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// Name of the sink.
    pub sink: String,
    /// Number of events.
    pub events: u64,
    /// Their bytes as they leave the agent, before compression.
    pub bytes: u64,
}

impl Topology {
    /// Waits until every source has ended by itself and all of its events are delivered. Answers with the errors of
    /// those that ended before their time. A source whose pipeline stopped never ends by itself; `unless_stopped` says
    /// not to wait for it.
    ///
    /// # Cancel safety
    ///
    /// A cancelled wait can be taken up again.
    pub async fn finished(&mut self, unless_stopped: bool) -> Vec<(String, SourceError)> {
        let mut errors = Vec::new();
        for (name, source) in &mut self.sources {
            if let Some(task) = &mut source.task {
                let current = &self.current;
                let is_stopped = || unless_stopped && current.load().is_stopped(name);
                let done = tokio::select! {
                    done = &mut *task => done,
                    () = self.observer.stops().wait_until(is_stopped) => continue,
                };
                if let Ok(Err(error)) = done {
                    errors.push((name.clone(), error));
                }
                source.task = None;
            }
            source.lane.queue.close();
        }
        errors
    }

    /// Stops the sources, lets everything under way reach the sinks or their disk buffers, and ends. What has got to
    /// neither within the deadline stays unacknowledged, and is named in the answer. What is on disk stays there for the next
    /// start, unless the sources have ended by themselves: then it is delivered as far as the deadline lets it.
    pub async fn drain(mut self, deadline: Duration) -> Drained {
        let until = Instant::now() + deadline;
        let finished = self.sources.values().all(|source| source.task.is_none());
        let sources_until = until.checked_sub(HAND_OVER_SINK.min(deadline / 4)).unwrap_or(until);
        let deliver_until = if finished { sources_until } else { Instant::now() };
        self.deliver_until.send_replace(Some(deliver_until));
        let counted = tokio::spawn({
            let observer = self.observer.clone();
            async move {
                tokio::time::sleep_until(sources_until.checked_sub(COUNT_BEFORE).unwrap_or(sources_until).into()).await;
                let sinks = observer.sinks().into_iter();
                sinks.map(|sink| (sink.name, sink.stats.backlog())).collect::<Vec<(String, Backlog)>>()
            }
        });
        self.sinks.values().for_each(|sink| _ = sink.flush.send_replace(true));
        for source in self.sources.values() {
            let _ = source.stop.send(true);
        }
        for (name, source) in &self.sources {
            // Nobody takes what waits there, so there is nothing to wait for.
            if self.current.load().is_stopped(name) {
                source.lane.close();
            }
        }
        let mut clean = true;
        for (name, source) in std::mem::take(&mut self.sources) {
            clean &= end_source(&name, source, &self.lanes, tokio::time::sleep_until(sources_until.into())).await;
        }
        if !self.stop_workers(sources_until).await {
            clean = false;
            // The worker that was left behind still has its handles to them.
            self.sinks.values().for_each(|sink| sink.handle.queue.close());
        }
        let current = self.current.load();
        current.inherit();
        self.states.write(|pipeline, node| current.is_heir_of(pipeline, node));
        drop(current);
        // The last handles to the sinks: their queues close, and they flush.
        self.current.store(Arc::new(Generation::empty(u64::MAX)));
        let mut tasks: Vec<JoinHandle<()>> = std::mem::take(&mut self.leaving);
        tasks.extend(std::mem::take(&mut self.sinks).into_values().map(|sink| sink.task));
        for mut task in tasks {
            let left = until.saturating_duration_since(Instant::now()).max(Duration::from_millis(100));
            if tokio::time::timeout(left, &mut task).await.is_err() {
                task.abort();
                clean = false;
            }
        }
        if clean {
            counted.abort();
            return Drained { is_clean: true, left: Vec::new() };
        }
        let counted = counted.await.unwrap_or_default();
        let left = counted.into_iter().filter(|(_, backlog)| backlog.events > 0);
        let left = left.map(|(sink, Backlog { events, bytes, .. })| Left { sink, events, bytes });
        Drained { is_clean: false, left: left.collect() }
    }

    /// Stops the workers. One that is in a call of a node is waited for no longer than until then, and left behind: its
    /// time limit may be long, and nothing of what it does counts any more. Answers whether all have ended.
    pub(super) async fn stop_workers(&mut self, until: Instant) -> bool {
        self.lanes.stop();
        // A worker that waited for a sink goes on now that its lane is closed, so who is left then is in a node.
        let until = until.max(Instant::now() + PUT_AWAY);
        let mut ended = true;
        for worker in self.workers.drain(..) {
            while !worker.is_finished() && Instant::now() < until {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            if !worker.is_finished() {
                tracing::warn!("a node did not come back in time; what it was called for is offered again");
                ended = false;
            } else if worker.join().is_err() {
                tracing::error!("a worker thread ended by a panic");
            }
        }
        ended
    }
}

/// Stops a source, waits for its acknowledgements until `give_up` comes, and removes its lane. Answers whether all was
/// delivered by then.
pub(super) async fn end_source(
    name: &str,
    mut source: RunningSource,
    lanes: &Arc<Lanes>,
    give_up: impl Future<Output = ()>,
) -> bool {
    let _ = source.stop.send(true);
    let mut in_time = true;
    if let Some(mut task) = source.task.take() {
        tokio::select! {
            biased;
            _ = &mut task => {}
            () = give_up => {
                in_time = false;
                task.abort();
                tracing::warn!(source = %name, "source did not stop in time; what is not delivered is offered again");
            }
        }
    }
    source.lane.queue.close();
    let until = Instant::now() + Duration::from_secs(1);
    while in_time && !source.lane.is_drained() && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let clean = in_time && source.lane.is_drained();
    source.lane.close();
    lanes.remove(&source.lane);
    lanes.wake_all();
    clean
}

/// Waits until sinks have ended no event for so long, or at most for `most`.
pub(super) async fn stalled(observer: &Observer, quiet: Duration, most: Duration) {
    let ended = || {
        let sinks = observer.sinks().into_iter();
        let ended = |stats: &wattle_sink::SinkStats| {
            stats.received_events.load(Ordering::Relaxed).saturating_sub(stats.backlog().events)
        };
        sinks.map(|sink| ended(&sink.stats)).sum::<u64>()
    };
    let until = Instant::now() + most;
    let (mut last, mut since) = (ended(), Instant::now());
    while since.elapsed() < quiet && Instant::now() < until {
        tokio::time::sleep(PROGRESS_INTERVAL).await;
        let now = ended();
        if std::mem::replace(&mut last, now) != now {
            since = Instant::now();
        }
    }
}
