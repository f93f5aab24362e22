//! The sink `splunk_hec`: events to the HTTP Event Collector of Splunk.
//!
//! A payload has the events as the collector takes them, so a request is its payloads one after the other
//! (<https://help.splunk.com/en/splunk-enterprise/get-data-in/collect-http-event-data>). What is accepted is not yet indexed:
//! see [`acks`].

mod acks;
mod encoder;
mod options;

use std::sync::Arc;

use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::Value;
use wattle_http_client::Response;
use wattle_options::OptionError;

use self::acks::Acks;
use super::client::Client;
use super::destination::{Destination, Meaning, Pending, Target};
use super::error::RequestError;
use super::options::Settings;
use super::response::{Item, Outcome};
use crate::batcher::RequestBatch;
use crate::dead_letter::Rejection;
use crate::sink::Prepared;

/// The header with the channel of a request, within which the collector numbers its acknowledgements.
const CHANNEL: HeaderName = HeaderName::from_static("x-splunk-request-channel");

pub(crate) fn prepare(options: &Value) -> Result<Prepared, Vec<OptionError>> {
    let (encoder, settings) = wattle_options::read(options, options::check)?;
    super::prepared(settings, |_| Arc::new(encoder))
}

/// The JSON schema of the options.
pub(crate) fn schema() -> Value {
    crate::encode::schema_without_parquet::<options::Options>()
}

/// The collector.
#[derive(Debug)]
struct Collector {
    /// Whether requests go to the endpoint for raw lines, whose metadata is in the query.
    is_raw: bool,
    /// Whether the events of a request can be of several indices.
    has_indices: bool,
    channel: HeaderValue,
    /// `None` if events count as delivered when the collector accepts them.
    acks: Option<Acks>,
}

/// The body of a response.
#[derive(Deserialize)]
struct Body {
    code: u32,
    #[serde(default)]
    text: String,
    #[serde(rename = "invalid-event-number")]
    invalid_event: Option<usize>,
    #[serde(rename = "ackId")]
    ack_id: Option<u64>,
}

impl Collector {
    fn headers(&self) -> HeaderMap {
        HeaderMap::from_iter([(CHANNEL, self.channel.clone())])
    }
}

impl Destination for Collector {
    fn is_partitioned(&self) -> bool {
        self.is_raw
    }

    fn target(&self, settings: &Settings, query: Option<&str>, _: &RequestBatch) -> Target {
        Target { uri: settings.with_query(query.unwrap_or_default()), headers: self.headers() }
    }

    fn read(&self, response: &Response, batch: &RequestBatch) -> Result<Meaning, RequestError> {
        let mut meaning = Meaning::of(response);
        let body: Body = match serde_json::from_slice(response.body()) {
            Ok(body) => body,
            // A load balancer answers for a collector that does not run.
            Err(_) if meaning.outcome != Outcome::Delivered => return Ok(meaning),
            Err(error) => return Err(RequestError::NotCollector(error)),
        };
        meaning.reason = format!("code {}: {}", body.code, body.text);
        meaning.outcome = match body.code {
            // Token disabled, required, invalid; channel missing or invalid; acknowledgements or tokens in queries disabled.
            1..=4 | 10 | 11 | 14 | 16 => Outcome::NeedsOperator,
            // Incorrect index. If all events have the same, an operator must allow it.
            7 if !self.has_indices => Outcome::NeedsOperator,
            // An error with a status of success, as servers that imitate the collector send it. Invalid format, incorrect
            // index, event field missing, event field blank, error in indexed fields.
            6 | 7 | 12 | 13 | 15 if meaning.outcome == Outcome::Delivered => Outcome::Rejected,
            code if code != 0 && meaning.outcome == Outcome::Delivered => Outcome::Retry,
            _ => meaning.outcome,
        };
        match meaning.outcome {
            Outcome::Delivered if self.acks.is_some() => meaning.ticket = body.ack_id,
            Outcome::Rejected => {
                meaning.items = body.invalid_event.and_then(|event| items(event, &meaning, response, batch))
            }
            _ => {}
        }
        Ok(meaning)
    }

    fn confirm(&self, ticket: u64) -> Pending<'_, Result<(), String>> {
        match &self.acks {
            Some(acks) => Box::pin(acks.wait(ticket)),
            None => Box::pin(std::future::ready(Ok(()))),
        }
    }

    fn background(self: Arc<Self>, settings: Settings, client: Arc<Client>) -> Pending<'static, ()> {
        Box::pin(async move {
            match &self.acks {
                Some(acks) => acks.poll(&settings, &client, self.headers()).await,
                None => std::future::pending().await,
            }
        })
    }
}

/// The collector refuses a whole request because of one event: this one is rejected, and the others are sent again.
fn items(event: usize, meaning: &Meaning, response: &Response, batch: &RequestBatch) -> Option<Vec<Item>> {
    let rejection = Rejection { status: Some(response.status.as_u16()), reason: meaning.reason.clone() };
    let item = |number| Item {
        outcome: if number == event { Outcome::Rejected } else { Outcome::Again },
        rejection: rejection.clone(),
    };
    (event < batch.len()).then(|| (0..batch.len()).map(item).collect())
}

#[cfg(test)]
mod tests;
