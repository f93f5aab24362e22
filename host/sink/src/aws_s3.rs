//! The sink `aws_s3`: collects events into objects, and writes them to a bucket of S3 or of a server with its protocol.
//!
//! Workers encode the events, and choose the prefix and, with `object_per = "source_object"`, the name of their object
//! ([`encoder`]). The task collects the payloads of each prefix until an object is complete ([`collect`]), and writes a
//! bounded number of objects concurrently ([`deliver`]). Objects are encoded events or Parquet files ([`format`]).
//!
//! # Invariants
//!
//! - Events are acknowledged after S3 has confirmed their object, and those that are no rows of a Parquet file when they
//!   are in the dead letters.
//! - The key of an object depends only on its events, so an object that is written again replaces itself.
//! - Events in memory have at most `max_in_flight_bytes` and one payload, and the bodies of the objects that are being
//!   written as much again.

mod collect;
mod deliver;
mod encoder;
mod format;
mod object;
mod options;
mod target;
mod upload;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use serde_json::Value;
use tokio::task::JoinSet;
use wattle_options::OptionError;

use self::collect::Collector;
use self::deliver::Delivery;
use self::encoder::ObjectEncoder;
use self::options::{Checked, Settings};
use crate::error::SinkError;
use crate::sink::{Built, Prepared, Running, Sink, SinkContext};

/// Complete objects that may wait until another one is written. Without a limit, many tiny ones would need much more
/// memory than their bytes.
const MAX_WAITING: usize = 64;

pub(crate) fn prepare(options: &Value) -> Result<Prepared, Vec<OptionError>> {
    let Checked { template, encoding, object_per, settings } = options::read(options)?;
    Ok(Box::new(move |_: &Arc<str>| {
        let encoder = Arc::new(ObjectEncoder { encoding, template, object_per });
        Ok(Built { encoder, sink: Box::new(S3Sink { settings }) })
    }))
}

/// The JSON schema of the options.
pub(crate) fn schema() -> Value {
    options::schema()
}

struct S3Sink {
    settings: Settings,
}

impl Sink for S3Sink {
    fn run(self: Box<Self>, context: SinkContext) -> Running {
        Box::pin(write_all(self.settings, context))
    }
}

async fn write_all(settings: Settings, context: SinkContext) -> Result<(), SinkError> {
    let (concurrency, max_bytes) = (settings.concurrency, settings.max_in_flight_bytes);
    if settings.format.loses_values() {
        tracing::warn!(
            sink = %context.name,
            "no column of `encoding.schema` has the whole record, so values without a column are lost; add a column of type \
             `json` with the path `$` to keep them"
        );
    }
    let mut collector = Collector::new(settings.limits, settings.max_open_objects);
    let delivery = Arc::new(Delivery::new(context.name.clone(), settings, context.stats.clone()));
    // Dropping the set cancels the requests in flight; their events stay unacknowledged.
    let mut requests: JoinSet<usize> = JoinSet::new();
    let mut written_bytes = 0;
    let mut closed = false;
    let mut flush_signal = context.flush.clone();
    loop {
        let flush = closed || flush_signal.is_on();
        collector.close_due(flush);
        while requests.len() < concurrency
            && let Some(object) = collector.next()
        {
            let (bytes, delivery) = (object.events.byte_len(), delivery.clone());
            written_bytes += bytes;
            requests.spawn(async move {
                delivery.deliver(object).await;
                bytes
            });
        }
        if closed && collector.is_empty() && requests.is_empty() {
            return Ok(());
        }
        let is_full = collector.byte_len() + written_bytes >= max_bytes;
        // Most of the bytes being written will make room by themselves; an early object would be small.
        if is_full && collector.byte_len() >= max_bytes / 2 && requests.len() < concurrency && collector.close_largest()
        {
            continue;
        }
        let deadline = collector.deadline();
        let due = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
                None => std::future::pending().await,
            }
        };
        let has_room = !is_full && collector.complete() < MAX_WAITING;
        tokio::select! {
            Some(ended) = requests.join_next(), if !requests.is_empty() => {
                written_bytes -= ended.map_err(|error| SinkError::task("writing an object", error))?;
            }
            payload = context.input.pop(), if !closed && has_room => match payload {
                Some(payload) => collector.push(payload),
                None => closed = true,
            },
            () = due => {}
            () = flush_signal.on(), if !flush => {}
        }
    }
}
