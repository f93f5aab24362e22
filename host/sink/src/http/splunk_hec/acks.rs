//! Acknowledgements of indexers: an accepted request has a number, and its events are indexed when the collector says so.
//!
//! Numbers are counted within a channel, which each run of the sink creates. A collector that restarts forgets them; the
//! requests are sent again after the timeout.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use hyper::Uri;
use hyper::header::HeaderMap;
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::{Notify, oneshot};

use crate::http::client::Client;
use crate::http::destination::Target;
use crate::http::options::Settings;
use crate::retry::{Outage, Recovery};

/// The requests that wait for an acknowledgement.
#[derive(Debug)]
pub(super) struct Acks {
    /// Where the collector is asked.
    uri: Uri,
    /// How often.
    interval: Duration,
    /// How long a request waits before it is sent again.
    timeout: Duration,
    waiting: Mutex<HashMap<u64, oneshot::Sender<()>>>,
    /// Notified when the first request begins to wait.
    first: Notify,
    outage: Mutex<Outage>,
}

#[derive(Deserialize)]
struct Body {
    acks: HashMap<String, bool>,
}

impl Acks {
    pub(super) fn new(uri: Uri, interval: Duration, timeout: Duration) -> Self {
        let (waiting, outage) = (Mutex::default(), Mutex::default());
        Self { uri, interval, timeout, waiting, first: Notify::new(), outage }
    }

    /// Waits until a request is acknowledged.
    ///
    /// # Errors
    ///
    /// It was not, within the timeout or before another request got its number.
    pub(super) async fn wait(&self, id: u64) -> Result<(), String> {
        let (sender, receiver) = oneshot::channel();
        // A collector that restarted counts from the beginning again. Dropping the sender ends the older request.
        drop(self.waiting.lock().insert(id, sender));
        self.first.notify_one();
        match tokio::time::timeout(self.timeout, receiver).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err("the server restarted before it acknowledged the events".to_owned()),
            Err(_) => {
                self.waiting.lock().remove(&id);
                Err(format!("the indexers did not acknowledge the events within {:?}", self.timeout))
            }
        }
    }

    /// Asks the collector again and again, while requests wait. Never ends.
    pub(super) async fn poll(&self, settings: &Settings, client: &Client, headers: HeaderMap) {
        let target = Target { uri: self.uri.clone(), headers };
        loop {
            if self.waiting.lock().is_empty() {
                self.first.notified().await;
            }
            tokio::time::sleep(self.interval).await;
            let ids: Vec<u64> = self.waiting.lock().keys().copied().collect();
            if ids.is_empty() {
                continue;
            }
            match self.ask(settings, client, &target, &ids).await {
                Ok(acknowledged) => {
                    if let Some(Recovery { lasted, attempts }) = self.outage.lock().over() {
                        tracing::info!(uri = %self.uri, ?lasted, attempts, "acknowledgements are answered again");
                    }
                    for id in acknowledged {
                        if let Some(sender) = self.waiting.lock().remove(&id) {
                            // The request may have given up by now.
                            let _ = sender.send(());
                        }
                    }
                }
                Err(error) => {
                    if let Some(attempts) = self.outage.lock().failed() {
                        tracing::warn!(uri = %self.uri, error, attempts, "cannot ask for acknowledgements; retrying");
                    }
                }
            }
        }
    }

    /// Which of these requests are acknowledged.
    async fn ask(&self, settings: &Settings, client: &Client, to: &Target, ids: &[u64]) -> Result<Vec<u64>, String> {
        let body = Bytes::from(json!({ "acks": ids }).to_string());
        // The headers of the client say that bodies are compressed.
        let body = settings.destination.encode(body, settings.compression).map_err(|error| error.to_string())?;
        let response = client.send_to(settings, to, body).await;
        let response = response.map_err(|error| error.with_option(settings.address_option))?;
        if !response.status.is_success() {
            return Err(format!("status {}: {}", response.status.as_u16(), response.reason()));
        }
        let body: Body = serde_json::from_slice(response.body()).map_err(|error| error.to_string())?;
        Ok(body.acks.iter().filter(|(_, acknowledged)| **acknowledged).filter_map(|(id, _)| id.parse().ok()).collect())
    }
}
