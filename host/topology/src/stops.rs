//! Pipelines that stopped by themselves: a node with `on_fault = "stop"` faulted too often, or the
//! quarantine could not be written in a run that ends with its input.
//!
//! A stop belongs to a generation: a reload starts every pipeline again.

use std::time::SystemTime;

use tokio::sync::watch;

/// A pipeline that stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// Its name.
    pub pipeline: String,
    /// The node whose circuit opened, or whose failed rows could not be stored.
    pub node: String,
    /// The reason, as text.
    pub reason: String,
    /// Time of the stop.
    pub since: SystemTime,
    pub(crate) generation: u64,
}

impl std::fmt::Display for Stopped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "pipeline `{}` stopped at node `{}`: {}", self.pipeline, self.node, self.reason)
    }
}

#[derive(Debug, Default)]
struct State {
    /// Stops of older generations no longer count.
    generation: u64,
    stopped: Vec<Stopped>,
}

/// The stopped pipelines of the running generation. Clones share the list.
#[derive(Clone, Debug, Default)]
pub struct Stops {
    state: watch::Sender<State>,
}

impl Stops {
    /// The stopped pipelines.
    pub fn list(&self) -> Vec<Stopped> {
        self.state.borrow().stopped.clone()
    }

    pub(crate) fn add(&self, stopped: Stopped) {
        self.state.send_if_modified(|state| {
            let is_new = stopped.generation >= state.generation;
            if is_new {
                state.stopped.push(stopped);
            }
            is_new
        });
    }

    /// Starts a new generation: every pipeline runs again.
    pub(crate) fn begin(&self, generation: u64) {
        self.state.send_modify(|state| {
            state.generation = generation;
            state.stopped.retain(|s| s.generation >= generation);
        });
    }

    /// Waits for a condition that a stop makes true.
    pub(crate) async fn wait_until(&self, holds: impl Fn() -> bool) {
        let mut changes = self.state.subscribe();
        // `self` holds a sender, so the wait cannot fail.
        let _ = changes.wait_for(|_| holds()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stopped(pipeline: &str, generation: u64) -> Stopped {
        let (node, reason) = ("n".into(), "faults".into());
        Stopped { pipeline: pipeline.into(), node, reason, since: SystemTime::now(), generation }
    }

    #[test]
    fn a_new_generation_begins_without_stops_and_ignores_late_ones() {
        let stops = Stops::default();
        stops.begin(1);
        stops.add(stopped("a", 1));
        assert_eq!(stops.list().len(), 1);
        stops.begin(2);
        assert!(stops.list().is_empty());
        stops.add(stopped("late", 1));
        stops.add(stopped("b", 2));
        assert_eq!(stops.list().iter().map(|s| s.pipeline.as_str()).collect::<Vec<_>>(), ["b"]);
    }
}
