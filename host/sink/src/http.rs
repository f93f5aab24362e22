//! Sinks that send events to a server over HTTP, many per request: `http`, `otlp`, `elasticsearch`, `splunk_hec`,
//! `loki`, `prometheus_remote_write`, `datadog_logs` and `clickhouse`.
//!
//! They differ in their [`Destination`], which makes requests and reads responses. The rest is common. The task
//! collects events into request batches ([`partition`]) and runs a bounded number of requests concurrently ([`limit`],
//! [`deliver`]). A request ends when the server has accepted or rejected its events ([`response`]), and occupies its
//! place until then. If the server is down, all places are occupied, the queue fills up, and the sources wait.

mod body;
pub(crate) mod clickhouse;
mod client;
mod common;
pub(crate) mod datadog_logs;
mod deliver;
mod destination;
pub(crate) mod elasticsearch;
mod error;
mod limit;
pub(crate) mod loki;
mod options;
pub(crate) mod otlp;
mod partition;
pub(crate) mod prometheus_remote_write;
mod response;
mod server;
pub(crate) mod splunk_hec;
mod writing;

pub(crate) use self::destination::Destination;

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;
use tokio::task::JoinSet;
use wattle_batch::Batch;
use wattle_options::OptionError;

use self::client::Client;
use self::deliver::Delivery;
use self::limit::Limit;
use self::options::Settings;
use self::partition::Partitions;
use crate::error::SinkError;
use crate::sink::{Built, Encoder, Payload, Prepared, Running, Sink, SinkContext};

pub(crate) fn prepare(options: &Value) -> Result<Prepared, Vec<OptionError>> {
    let (encoding, settings) = options::read(options)?;
    prepared(settings, |_| Arc::new(encoding))
}

/// A sink with one kind of requests. `encoder` makes the half on the workers of the sink with this name.
///
/// # Errors
///
/// A file or a proxy cannot be used.
fn prepared(
    settings: Settings,
    encoder: impl FnOnce(&Arc<str>) -> Arc<dyn Encoder> + 'static,
) -> Result<Prepared, Vec<OptionError>> {
    settings.server().check().map_err(|error| vec![error])?;
    Ok(Box::new(move |name: &Arc<str>| {
        let client = Arc::new(Client::new(name, &settings)?);
        let sink = HttpSink { lanes: vec![settings], client, lane_of: |_| 0 };
        Ok(Built { encoder: encoder(name), sink: Box::new(sink) })
    }))
}

/// The events of a batch as one payload, from their bytes and the end of each.
fn one_payload(batch: Batch, bytes: Vec<u8>, ends: Vec<usize>) -> Vec<Payload> {
    let ack = batch.into_ack();
    if ends.is_empty() {
        ack.deliver();
        return Vec::new();
    }
    vec![Payload { key: None, bytes, events: ends.len(), ends, ack }]
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
    partitions: Partitions,
    delivery: Arc<Delivery>,
}

impl Sink for HttpSink {
    fn run(self: Box<Self>, context: SinkContext) -> Running {
        Box::pin(send_all(*self, context))
    }
}

async fn send_all(sink: HttpSink, context: SinkContext) -> Result<(), SinkError> {
    let HttpSink { lanes, client, lane_of } = sink;
    let Some(first) = lanes.first().cloned() else { return Ok(()) };
    let limit = Limit::new(first.concurrency);
    let max_unconfirmed = first.max_unconfirmed_bytes;
    let mut background = first.destination.clone().background(first.clone(), client.clone());
    let lane = |settings: Settings| Lane {
        partitions: Partitions::new(settings.limits, settings.destination.is_partitioned()),
        delivery: Arc::new(Delivery::new(context.name.clone(), settings, client.clone(), context.stats.clone())),
    };
    let mut lanes: Vec<Lane> = lanes.into_iter().map(lane).collect();
    // Dropping the set cancels the requests in flight; their events stay unacknowledged.
    let mut requests = JoinSet::new();
    let mut closed = false;
    let mut flush_signal = context.flush.clone();
    loop {
        let flush = closed || flush_signal.is_on();
        let freed = limit.freed();
        tokio::pin!(freed);
        // Before the places are counted, so that one that becomes free in between is not missed.
        freed.as_mut().enable();
        for Lane { partitions, delivery } in &mut lanes {
            while limit.unconfirmed() < max_unconfirmed
                && let Some(slot) = limit.try_acquire()
                && let Some((key, batch)) = partitions.take(flush)
            {
                requests.spawn(delivery.clone().deliver(key, batch, slot));
            }
        }
        if closed && lanes.iter().all(|lane| lane.partitions.is_empty()) && requests.is_empty() {
            return Ok(());
        }
        let has_room = limit.has_room() && limit.unconfirmed() < max_unconfirmed;
        let next = lanes.iter().filter_map(|lane| lane.partitions.deadline()).min();
        let waits = next.filter(|_| has_room);
        let is_full = lanes.iter().any(|lane| lane.partitions.is_full());
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
                        lane.partitions.push(payload);
                    }
                }
                None => closed = true,
            },
            () = due => {}
            () = flush_signal.on(), if !flush => {}
            () = freed, if !has_room => {}
            () = &mut background => {}
        }
    }
}

#[cfg(test)]
mod adaptive_tests;
#[cfg(test)]
mod edges_tests;
#[cfg(test)]
mod impostor_tests;
#[cfg(test)]
mod proxy_tests;
#[cfg(test)]
mod response_tests;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tls_tests;
