//! The end: sources stop, what is under way is delivered, and what is not by the deadline stays unacknowledged.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use wattle_source::SourceError;

use super::{RunningSource, Topology};
use crate::generation::Generation;
use crate::lane::Lanes;

/// What is left of a drain for sinks to end what they have begun, or a quarter of it.
const HAND_OVER_SINK: Duration = Duration::from_secs(5);

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
    /// neither within the deadline stays unacknowledged. Answers whether all has. What is on disk stays there for the next
    /// start, unless the sources have ended by themselves: then it is delivered as far as the deadline lets it.
    pub async fn drain(mut self, deadline: Duration) -> bool {
        let until = Instant::now() + deadline;
        let finished = self.sources.values().all(|source| source.task.is_none());
        let sources_until = until.checked_sub(HAND_OVER_SINK.min(deadline / 4)).unwrap_or(until);
        let deliver_until = if finished { sources_until } else { Instant::now() };
        self.deliver_until.send_replace(Some(deliver_until));
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
            clean &=
                end_source(&name, source, &self.lanes, sources_until.saturating_duration_since(Instant::now())).await;
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
        clean
    }

    /// Stops the workers. One that is in a call of a node is waited for no longer than until then, and left behind: its
    /// time limit may be long, and nothing of what it does counts any more. Answers whether all have ended.
    pub(super) async fn stop_workers(&mut self, until: Instant) -> bool {
        self.lanes.stop();
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

/// Stops a source, waits for its acknowledgements, and removes its lane. Answers whether all was delivered in time.
pub(super) async fn end_source(name: &str, mut source: RunningSource, lanes: &Arc<Lanes>, deadline: Duration) -> bool {
    let _ = source.stop.send(true);
    let mut in_time = true;
    if let Some(mut task) = source.task.take()
        && tokio::time::timeout(deadline, &mut task).await.is_err()
    {
        in_time = false;
        task.abort();
        tracing::warn!(source = %name, "source did not hand over in time; what is not delivered is offered again");
    }
    source.lane.queue.close();
    let until = Instant::now() + deadline.min(Duration::from_secs(1));
    while in_time && !source.lane.is_drained() && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let clean = in_time && source.lane.is_drained();
    source.lane.close();
    lanes.remove(&source.lane);
    lanes.wake_all();
    clean
}
