//! A running source, and how it ends.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinHandle;
use wattle_source::SourceError;

use crate::lane::Lane;
use crate::lanes::Lanes;

/// A source that a topology runs.
pub(super) struct RunningSource {
    pub(super) digest: String,
    pub(super) lane: Arc<Lane>,
    pub(super) stop: watch::Sender<bool>,
    /// Becomes true when it has read all of its input.
    pub(super) at_end: watch::Receiver<bool>,
    /// `None` after its end was observed.
    pub(super) task: Option<JoinHandle<Result<(), SourceError>>>,
}

impl RunningSource {
    /// Stops the source, waits for its acknowledgements until `give_up`, and removes its lane.
    /// Returns whether everything was delivered by then.
    pub(super) async fn end(mut self, name: &str, lanes: &Arc<Lanes>, give_up: impl Future<Output = ()>) -> bool {
        let _ = self.stop.send(true);
        let mut in_time = true;
        if let Some(mut task) = self.task.take() {
            tokio::select! {
                biased;
                _ = &mut task => {}
                () = give_up => {
                    in_time = false;
                    task.abort();
                    tracing::warn!(source = %name, "the source did not stop in time; it sends undelivered events again");
                }
            }
        }
        self.lane.queue.close();
        let until = Instant::now() + Duration::from_secs(1);
        while in_time && !self.lane.is_drained() && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let clean = in_time && self.lane.is_drained();
        self.lane.close();
        lanes.remove(&self.lane);
        lanes.wake_all();
        clean
    }
}
