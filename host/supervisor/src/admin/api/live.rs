//! `GET /api/v1/stream`: the status once a second, and the graph when the generation changes.
//!
//! The documents are made once for all clients, and only while there are clients. A client that reads slowly skips
//! documents and always gets the newest one next.

use std::sync::Arc;
use std::time::Duration;

use hyper::body::Bytes;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::super::response::Refusal;
use super::super::state::State;
use super::super::status;
use super::event_stream::{EventSender, frame};
use super::{Call, Task};

/// Time between two documents. A new generation has one at once.
const INTERVAL: Duration = Duration::from_secs(1);

/// Documents as events of a stream.
struct Snapshot {
    status: Bytes,
    graph: Bytes,
    /// Generation of the graph.
    generation: u64,
}

/// What all clients of the stream share.
#[derive(Default)]
pub(crate) struct Live {
    latest: watch::Sender<Option<Arc<Snapshot>>>,
    /// Whether a task makes documents.
    is_running: Mutex<bool>,
}

/// Feeds one client.
pub(crate) fn stream(call: &Call, sender: EventSender) -> Result<Task<()>, Refusal> {
    call.query.only(&[])?;
    let mut latest = subscribe(&call.state);
    Ok(Box::pin(async move {
        let mut shown = None;
        loop {
            let snapshot = latest.borrow_and_update().clone();
            if let Some(snapshot) = snapshot {
                if shown != Some(snapshot.generation) {
                    if sender.send(snapshot.graph.clone()).await.is_err() {
                        return;
                    }
                    shown = Some(snapshot.generation);
                }
                if sender.send(snapshot.status.clone()).await.is_err() {
                    return;
                }
            }
            if latest.changed().await.is_err() {
                return;
            }
        }
    }))
}

fn subscribe(state: &Arc<State>) -> watch::Receiver<Option<Arc<Snapshot>>> {
    let latest = state.live.latest.subscribe();
    let mut is_running = state.live.is_running.lock();
    if !*is_running {
        *is_running = true;
        tokio::spawn(publish(state.clone()));
    }
    latest
}

/// Makes documents until the last client has left.
async fn publish(state: Arc<State>) {
    let mut tick = interval(INTERVAL);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut changes = state.changes();
    let mut graph = None;
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            // The sender lives as long as the state.
            _ = changes.changed() => {}
        }
        {
            let mut is_running = state.live.is_running.lock();
            if state.live.latest.receiver_count() == 0 {
                *is_running = false;
                state.live.latest.send_replace(None);
                return;
            }
        }
        let (of, before) = (state.clone(), graph.take());
        // If it panics, the hook has logged it, and the clients wait for the next document.
        if let Ok(snapshot) = tokio::task::spawn_blocking(move || make(&of, before)).await {
            graph = Some((snapshot.generation, snapshot.graph.clone()));
            state.live.latest.send_replace(Some(Arc::new(snapshot)));
        }
    }
}

fn make(state: &State, before: Option<(u64, Bytes)>) -> Snapshot {
    let graph = state.graph();
    let known = before.filter(|(generation, _)| *generation == graph.generation());
    let frame_of_graph = known.map_or_else(|| frame("graph", graph.drawn()), |(_, graph)| graph);
    let generation = graph.generation();
    Snapshot { status: frame("status", &status::collect(state)), graph: frame_of_graph, generation }
}
