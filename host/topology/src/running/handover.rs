//! The handover of a sink that a reload replaced or removed.
//!
//! The sink gets a short time to deliver its events. Meanwhile its sources are on hold, so no event
//! overtakes those in the sink, on any path of the new generation. If the sink is not done in time,
//! it is dropped: its events and those in the lanes of its sources return to those sources,
//! unacknowledged, and take the new path. A disk buffer keeps its stored events for the successor
//! of the same name or for a later configuration.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinHandle;
use wattle_buffer::Queue;
use wattle_sink::{Backlog, Payload, SinkStats};

use crate::buffer;
use crate::lanes::{Hold, Lanes};
use crate::observer::Observer;

/// How long a disk buffer may take to store events after its time is over.
const STORE: Duration = Duration::from_secs(4);
/// For this long after events were returned, later events of the same sources are returned as well.
/// Sources pause for longer before they send again.
const RETURN_TIME: Duration = Duration::from_millis(100);
const RETURN_INTERVAL: Duration = Duration::from_millis(5);
/// Interval at which deliveries of sinks are counted.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(20);

/// A task that is aborted when this handle is dropped.
pub(super) struct SinkTask(pub(super) JoinHandle<()>);

impl Drop for SinkTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A leaving sink.
pub(super) struct Handover {
    pub(super) name: String,
    pub(super) queue: Queue<Payload>,
    pub(super) stats: Arc<SinkStats>,
    /// Makes the sink deliver at once.
    pub(super) flush: watch::Sender<bool>,
    /// Whether it has ended.
    pub(super) ended: watch::Receiver<bool>,
    pub(super) task: SinkTask,
    pub(super) is_disk: bool,
    /// The data folder, if no sink of that name succeeds it.
    pub(super) removed_from: Option<PathBuf>,
    /// Its sources.
    pub(super) hold: Hold,
    pub(super) lanes: Arc<Lanes>,
    /// Deadline of the handover.
    pub(super) until: Instant,
}

impl Handover {
    /// Waits for the end of the sink, or drops it at the deadline.
    pub(super) async fn run(mut self) {
        self.flush.send_replace(true);
        if !self.ends_by(self.until).await {
            self.let_go().await;
        }
        if let Some(data_dir) = self.removed_from.take().filter(|_| self.is_disk) {
            let name = self.name.clone();
            let report = move || buffer::report_orphans(&data_dir, |sink| sink != name);
            // No other step depends on the result.
            let _ = tokio::task::spawn_blocking(report).await;
        }
    }

    async fn ends_by(&mut self, until: Instant) -> bool {
        tokio::time::timeout_at(until.into(), ended(&mut self.ended)).await.is_ok()
    }

    async fn let_go(&mut self) {
        let Backlog { events, bytes, .. } = self.stats.backlog();
        tracing::warn!(
            sink = %self.name, events, bytes,
            "sink did not deliver its events before a reload replaced it; they return to their sources"
        );
        self.queue.close();
        self.lanes.wake_all();
        if !(self.is_disk && self.ends_by(Instant::now() + STORE).await) {
            self.task.0.abort();
            while self.queue.try_pop().is_some() {}
            ended(&mut self.ended).await;
        }
        let until = Instant::now() + RETURN_TIME;
        while Instant::now() < until {
            self.lanes.return_all(&self.hold.sources);
            tokio::time::sleep(RETURN_INTERVAL).await;
        }
    }
}

/// Waits until a sink has ended, by itself or because its task was aborted.
pub(super) async fn ended(ended: &mut watch::Receiver<bool>) {
    // The sender is dropped with the task.
    let _ = ended.wait_for(|ended| *ended).await;
}

/// Waits until sinks have delivered no event for `quiet`, or at most for `most`.
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
