//! The sink `http`: sends events to a server in requests of many.
//!
//! The task gathers events into requests ([`group`]) and runs a bounded number of them at a time ([`deliver`]). A request
//! ends when the far side has its events or refused them for good ([`answer`]); until then its place is taken, so a far
//! side that is down stops the sink, its queue fills, and the sources wait.

mod answer;
mod client;
mod connect;
mod dead_letter;
mod deliver;
mod group;
mod options;
mod proxy;
mod tls;
mod trouble;

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;
use tokio::task::JoinSet;

use self::client::Client;
use self::deliver::Courier;
use self::group::Gatherer;
use self::options::Settings;
use crate::options::{OptionError, summary};
use crate::sink::{Built, Running, Sink, SinkContext, SinkError};

pub(crate) fn check(options: &Value) -> Result<(), Vec<OptionError>> {
    options::read(options).map(|_| ())
}

/// The files that options name and the sink reads.
pub(crate) fn files(options: &Value) -> Vec<PathBuf> {
    options::files(options)
}

/// The schema of the options.
pub(crate) fn schema() -> Value {
    options::schema()
}

pub(crate) fn build(name: &Arc<str>, options: &Value) -> Result<Built, SinkError> {
    let (encoding, settings) = options::read(options).map_err(|errors| SinkError { message: summary(&errors) })?;
    let client = Client::new(name, &settings).map_err(|message| SinkError { message })?;
    Ok(Built { encoder: Arc::new(encoding), sink: Box::new(HttpSink { settings, client }) })
}

struct HttpSink {
    settings: Settings,
    client: Client,
}

impl Sink for HttpSink {
    fn run(self: Box<Self>, context: SinkContext) -> Running {
        Box::pin(send_all(*self, context))
    }
}

async fn send_all(sink: HttpSink, context: SinkContext) -> Result<(), SinkError> {
    let HttpSink { settings, client } = sink;
    let concurrency = settings.concurrency;
    let mut gatherer = Gatherer::new(settings.limits);
    let courier = Arc::new(Courier::new(context.name.clone(), settings, client, context.stats.clone()));
    // Dropping the set stops the requests that are on their way, and their events stay unacknowledged.
    let mut requests = JoinSet::new();
    let mut closed = false;
    let mut hurry = context.hurry.clone();
    loop {
        let flush = closed || hurry.is_on();
        while requests.len() < concurrency
            && let Some(group) = gatherer.take(flush)
        {
            requests.spawn(courier.clone().deliver(group));
        }
        if closed && gatherer.is_empty() && requests.is_empty() {
            return Ok(());
        }
        let waits = gatherer.deadline().filter(|_| requests.len() < concurrency);
        let due = async {
            match waits {
                Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some(ended) = requests.join_next(), if !requests.is_empty() => ended.map_err(|error| SinkError {
                message: format!("sink `{}`: a request ended before its time: {error}", context.name),
            })?,
            payload = context.input.pop(), if !closed && !gatherer.is_full() => match payload {
                Some(payload) => gatherer.push(payload),
                None => closed = true,
            },
            () = due => {}
            () = hurry.on(), if !flush => {}
        }
    }
}

#[cfg(test)]
mod answers_tests;
#[cfg(test)]
mod proxy_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tls_tests;
