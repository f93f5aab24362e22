//! Requests of the program around the supervisor, for example after signals.

use std::sync::Arc;

use tokio::sync::{Notify, watch};

/// A request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// Drain and end.
    Stop,
    /// Load the configuration again.
    Reload,
}

/// Sends requests. Can be used from any thread.
#[derive(Clone, Debug)]
pub struct Requester {
    stop: watch::Sender<bool>,
    reload: Arc<Notify>,
}

impl Requester {
    /// Asks the agent to drain and end.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Asks the agent to load its configuration again. Several requests before the next load count
    /// as one.
    pub fn reload(&self) {
        self.reload.notify_one();
    }
}

/// Receives requests.
#[derive(Debug)]
pub struct Requests {
    stop: watch::Receiver<bool>,
    reload: Arc<Notify>,
}

/// A sender and a receiver of requests.
pub fn requests() -> (Requester, Requests) {
    let (sender, receiver) = watch::channel(false);
    let reload = Arc::<Notify>::default();
    (Requester { stop: sender, reload: reload.clone() }, Requests { stop: receiver, reload })
}

impl Requests {
    /// Waits for the next request; returns at once if the agent was asked to stop before.
    ///
    /// # Cancel safety
    ///
    /// No request is lost if the wait is cancelled.
    pub(crate) async fn next(&mut self) -> Request {
        tokio::select! {
            biased;
            // Without a sender this branch never completes, and only a reload can arrive.
            Ok(_) = self.stop.wait_for(|stop| *stop) => Request::Stop,
            () = self.reload.notified() => Request::Reload,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stop_precedes_reloads_and_reloads_before_a_load_count_as_one() {
        let (requester, mut requests) = requests();
        requester.reload();
        requester.reload();
        assert_eq!(requests.next().await, Request::Reload);
        requester.reload();
        requester.stop();
        assert_eq!(requests.next().await, Request::Stop);
        assert_eq!(requests.next().await, Request::Stop);
    }
}
