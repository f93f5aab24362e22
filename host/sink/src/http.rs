//! The sink `http`: sends events to a server, many per request. The sink `otlp` is this one with the requests of OTLP.
//!
//! The task collects events into request batches ([`Batcher`]) and runs a bounded number of
//! requests concurrently ([`deliver`]). A request ends when the server has accepted or rejected its
//! events ([`response`]), and occupies its place until then. If the server is down, all places are
//! occupied, the queue fills up, and the sources wait.

mod body;
mod client;
mod connect;
mod deliver;
mod error;
mod options;
pub(crate) mod otlp;
mod proxy;
mod response;

pub use self::proxy::{ProxyAddressError, ProxyError};

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;
use tokio::task::JoinSet;
use wattle_options::OptionError;

use self::client::Client;
use self::deliver::Delivery;
use self::options::Settings;
use crate::batcher::Batcher;
use crate::error::SinkError;
use crate::sink::{Built, Payload, Prepared, Running, Sink, SinkContext};

pub(crate) fn prepare(options: &Value) -> Result<Prepared, Vec<OptionError>> {
    let (encoding, settings) = options::read(options)?;
    client::check(&settings).map_err(|error| vec![error])?;
    Ok(Box::new(move |name: &Arc<str>| {
        let client = Arc::new(Client::new(name, &settings)?);
        let sink = HttpSink { lanes: vec![settings], client, lane_of: |_| 0 };
        Ok(Built { encoder: Arc::new(encoding), sink: Box::new(sink) })
    }))
}

/// The files that options name and the sink reads.
pub(crate) fn files(options: &Value) -> Vec<PathBuf> {
    options::files(options)
}

/// The JSON schema of the options.
pub(crate) fn schema() -> Value {
    options::schema()
}

/// The sink, ready to run.
struct HttpSink {
    /// The settings of each kind of requests. They differ in where and how requests are sent only.
    lanes: Vec<Settings>,
    client: Arc<Client>,
    /// Which of them a payload is sent by.
    lane_of: fn(&Payload) -> usize,
}

/// Requests of one kind.
struct Lane {
    batcher: Batcher,
    delivery: Arc<Delivery>,
}

impl Sink for HttpSink {
    fn run(self: Box<Self>, context: SinkContext) -> Running {
        Box::pin(send_all(*self, context))
    }
}

async fn send_all(sink: HttpSink, context: SinkContext) -> Result<(), SinkError> {
    let HttpSink { lanes, client, lane_of } = sink;
    let concurrency = lanes.first().map_or(1, |settings| settings.concurrency);
    let lane = |settings: Settings| Lane {
        batcher: Batcher::new(settings.limits),
        delivery: Arc::new(Delivery::new(context.name.clone(), settings, client.clone(), context.stats.clone())),
    };
    let mut lanes: Vec<Lane> = lanes.into_iter().map(lane).collect();
    // Dropping the set cancels the requests in flight; their events stay unacknowledged.
    let mut requests = JoinSet::new();
    let mut closed = false;
    let mut flush_signal = context.flush.clone();
    loop {
        let flush = closed || flush_signal.is_on();
        for Lane { batcher, delivery } in &mut lanes {
            while requests.len() < concurrency
                && let Some(batch) = batcher.take(flush)
            {
                requests.spawn(delivery.clone().deliver(batch));
            }
        }
        if closed && lanes.iter().all(|lane| lane.batcher.is_empty()) && requests.is_empty() {
            return Ok(());
        }
        let next = lanes.iter().filter_map(|lane| lane.batcher.deadline()).min();
        let waits = next.filter(|_| requests.len() < concurrency);
        let is_full = lanes.iter().any(|lane| lane.batcher.is_full());
        let due = async {
            match waits {
                Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some(ended) = requests.join_next(), if !requests.is_empty() => {
                ended.map_err(|error| SinkError::task("a request", error))?;
            }
            payload = context.input.pop(), if !closed && !is_full => match payload {
                Some(payload) => {
                    if let Some(lane) = lanes.get_mut(lane_of(&payload)) {
                        lane.batcher.push(payload);
                    }
                }
                None => closed = true,
            },
            () = due => {}
            () = flush_signal.on(), if !flush => {}
        }
    }
}

#[cfg(test)]
mod proxy_tests;
#[cfg(test)]
mod response_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tls_tests;
