//! The drain: sources stop, events in progress are delivered, and events that miss the deadline
//! stay unacknowledged.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use wattle_sink::Backlog;
use wattle_source::SourceError;

use super::Topology;
use crate::generation::Generation;
use crate::snapshots::Snapshots;

/// Part of a drain that is reserved for sinks to finish their requests; at most a quarter of the
/// drain.
const HAND_OVER_SINK: Duration = Duration::from_secs(5);
/// How long a worker may take to process the result of a node, even after the deadline.
const PUT_AWAY: Duration = Duration::from_millis(250);
/// Undelivered events are counted this long before the sources give up.
const COUNT_BEFORE: Duration = Duration::from_millis(20);
/// Result of a drain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    /// Whether everything is delivered or in disk buffers.
    pub is_clean: bool,
    /// Events that sinks did not deliver. The sources send them again at the next start.
    pub left: Vec<Left>,
    /// Files for the state of nodes that could not be written: the nodes start with older state, or
    /// without any. The log has the reasons.
    pub unsaved: Vec<PathBuf>,
}

/// Undelivered events of a sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// Name of the sink.
    pub sink: String,
    /// Number of events.
    pub events: u64,
    /// Their bytes as sent, before compression.
    pub bytes: u64,
}

impl Topology {
    /// Waits until every source has ended by itself and all of its events are delivered. Returns
    /// the errors of sources that ended early. A source whose pipeline stopped never ends by
    /// itself; with `unless_stopped`, it is not waited for.
    ///
    /// # Cancel safety
    ///
    /// A cancelled wait can be resumed.
    pub async fn finished(&mut self, unless_stopped: bool) -> Vec<(String, SourceError)> {
        let mut errors = Vec::new();
        let ends: Vec<_> = self.sources.values().map(|source| source.at_end.clone()).collect();
        let sinks: Vec<_> = self.sinks.values().map(|sink| sink.flush.clone()).collect();
        // Nothing comes that sinks could collect more events for.
        let flush = async {
            for mut end in ends {
                // A source that has ended dropped the sender.
                let _ = end.wait_for(|is_at_end| *is_at_end).await;
            }
            sinks.iter().for_each(|sink| _ = sink.send_replace(true));
            std::future::pending::<Infallible>().await
        };
        tokio::pin!(flush);
        for (name, source) in &mut self.sources {
            if let Some(task) = &mut source.task {
                let current = &self.current;
                let is_stopped = || unless_stopped && current.load().is_stopped(name);
                let done = tokio::select! {
                    done = &mut *task => done,
                    () = self.observer.stops().wait_until(is_stopped) => continue,
                    never = &mut flush => match never {},
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

    /// Stops the sources, lets all events in progress reach the sinks or their disk buffers, and
    /// ends. Events that reach neither within the deadline stay unacknowledged and are named in the
    /// result. Events on disk stay there for the next start, unless the sources have ended by
    /// themselves: then they are delivered as far as the deadline allows.
    pub async fn drain(mut self, deadline: Duration) -> Drained {
        let until = Instant::now() + deadline;
        let finished = self.sources.values().all(|source| source.task.is_none());
        // Sources wait for acknowledgements that wait for snapshots.
        self.snapshots.iter().for_each(Snapshots::hurry);
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
            // Workers take nothing from there, so there is nothing to wait for.
            if self.current.load().is_stopped(name) {
                source.lane.close();
            }
        }
        let mut clean = true;
        for (name, source) in std::mem::take(&mut self.sources) {
            let give_up = tokio::time::sleep_until(sources_until.into());
            clean &= source.end(&name, &self.lanes, give_up).await;
        }
        if !self.stop_workers(sources_until).await {
            clean = false;
            // The worker that was left behind still has its handles to them.
            self.sinks.values().for_each(|sink| sink.handle.queue.close());
        }
        let current = self.current.load_full();
        if finished && clean {
            clean &= self.tick_last(current.clone(), sources_until).await;
        }
        current.inherit();
        let unsaved = self.states.write();
        drop(current);
        // These are the last handles to the sinks: their queues close, and they flush.
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
        // After the sinks: a snapshot must not be written before everything that it follows is
        // delivered.
        if let Some(snapshots) = self.snapshots.take() {
            let _ = tokio::task::spawn_blocking(move || snapshots.finish()).await;
        }
        if clean {
            counted.abort();
            return Drained { is_clean: true, left: Vec::new(), unsaved };
        }
        let counted = counted.await.unwrap_or_default();
        let left = counted.into_iter().filter(|(_, backlog)| backlog.events > 0);
        let left = left.map(|(sink, Backlog { events, bytes, .. })| Left { sink, events, bytes });
        Drained { is_clean: false, left: left.collect(), unsaved }
    }

    /// Has the nodes make everything that they still owe, because the run ends with its input. Returns
    /// whether the sinks have all of it. No worker may be running.
    async fn tick_last(&self, generation: Arc<Generation>, until: Instant) -> bool {
        let lanes = self.lanes.clone();
        let ticked = tokio::task::spawn_blocking(move || {
            generation.tick_last(&lanes.timers);
            while !lanes.timers.is_idle() && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(1));
            }
            lanes.timers.is_idle()
        });
        ticked.await.unwrap_or(false)
    }

    /// Stops the workers. Leaves a worker that is in a call of a node after `until`: its time limit
    /// may be long, and its results no longer count. Returns whether all workers have ended.
    pub(super) async fn stop_workers(&mut self, until: Instant) -> bool {
        self.lanes.stop();
        // A worker that waited for a sink continues now that its lane is closed, so the remaining
        // ones are in a node.
        let until = until.max(Instant::now() + PUT_AWAY);
        let mut ended = true;
        for worker in self.workers.drain(..) {
            while !worker.is_finished() && Instant::now() < until {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            if !worker.is_finished() {
                tracing::warn!("a node did not return in time; the source sends its batch again");
                ended = false;
            } else if worker.join().is_err() {
                tracing::error!("a worker thread ended by a panic");
            }
        }
        ended
    }
}
