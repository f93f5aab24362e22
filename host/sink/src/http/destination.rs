//! What a destination over HTTP says about itself: how events become a request, and what a response means.
//!
//! Everything else is common to all of them: the connection, batching ([`super::partition`]), concurrency
//! ([`super::limit`]), retries, `Retry-After`, splitting of requests, and dead letters ([`super::deliver`]). A new
//! destination implements [`Destination`] and reads its options into [`Settings`].

use std::borrow::Cow;
use std::fmt;
use std::future::{Future, pending, ready};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::Uri;
use hyper::header::HeaderMap;
use jiff::Timestamp;
use wattle_http_client::{MAX_RESPONSE_BYTES, Response};

use super::client::Client;
use super::error::RequestError;
use super::options::Settings;
use super::response::{Item, MAX_RETRY_AFTER, Outcome};
use crate::batcher::RequestBatch;
use crate::compress::Compression;

/// The future of a method of a destination.
pub(crate) type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Where a request goes, and the headers that it has in addition to those of the settings.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(super) uri: Uri,
    pub(super) headers: HeaderMap,
}

impl Target {
    /// The address of the settings.
    pub(super) fn of(settings: &Settings) -> Self {
        Self { uri: settings.uri.clone(), headers: HeaderMap::new() }
    }
}

/// What the response to a request means.
#[derive(Debug)]
pub(crate) struct Meaning {
    pub(super) outcome: Outcome,
    /// What the server says.
    pub(super) reason: String,
    /// The wait that the server asks for.
    pub(super) retry_after: Option<Duration>,
    /// How many events the server rejected of a request that it accepted, without saying which.
    pub(super) rejected: u64,
    /// The outcome of each event, if the response has one per event and not all were accepted.
    pub(super) items: Option<Vec<Item>>,
    /// Number by which the server confirms the events later, see [`Destination::confirm`].
    pub(super) ticket: Option<u64>,
}

impl Meaning {
    /// A meaning for all events of the request.
    pub(super) fn new(outcome: Outcome, reason: String) -> Self {
        Self { outcome, reason, retry_after: None, rejected: 0, items: None, ticket: None }
    }

    /// The meaning of a response, without secrets of the request in the reasons.
    ///
    /// # Errors
    ///
    /// The response says nothing about the events.
    pub(super) fn read(
        destination: &dyn Destination,
        response: &Response,
        batch: &RequestBatch,
    ) -> Result<Self, RequestError> {
        if response.status.is_success() && destination.is_api() && response.is_web_page() {
            let reason = "the response is a web page; a proxy or a login page answers instead of the server";
            return Ok(Self::new(Outcome::NeedsOperator, reason.to_owned()));
        }
        let mut meaning = destination.read(response, batch)?;
        meaning.reason = response.redact(&meaning.reason);
        for item in meaning.items.iter_mut().flatten() {
            item.rejection.reason = response.redact(&item.rejection.reason);
        }
        Ok(meaning)
    }

    /// Whether the server turned away events that it may take later.
    pub(super) fn is_busy(&self) -> bool {
        let items = self.items.iter().flatten().map(|item| item.outcome);
        std::iter::once(self.outcome).chain(items).any(|outcome| outcome == Outcome::Retry)
    }

    /// The meaning of the status and of `Retry-After`.
    pub(super) fn of(response: &Response) -> Self {
        let retry_after = wattle_http_client::retry_after(&response.headers, Timestamp::now(), MAX_RETRY_AFTER);
        Self { retry_after, ..Self::new(Outcome::of(response.status), response.reason()) }
    }
}

/// A destination over HTTP. The encoder of its sink writes events so that [`join`](Self::join) only has to join them.
pub(crate) trait Destination: fmt::Debug + Send + Sync {
    /// Whether a request has events with one [`key`](crate::Payload::key) only, because its address or headers depend
    /// on the key.
    fn is_partitioned(&self) -> bool {
        false
    }

    /// Where a request with these events of this key goes. The key is `None` unless requests are partitioned.
    fn target(&self, settings: &Settings, _key: Option<&str>, _batch: &RequestBatch) -> Target {
        Target::of(settings)
    }

    /// Whether the encoder writes events that are never sent, as [`write_refused`](crate::refusal::write_refused) does.
    fn has_refusals(&self) -> bool {
        false
    }

    /// The events of a request in one buffer. Runs on the threads of the runtime, so it only copies.
    fn join(&self, batch: &RequestBatch) -> Bytes {
        batch.concatenated()
    }

    /// Whether [`encode`](Self::encode) takes long even without compression, and so must run on another thread.
    fn is_slow(&self) -> bool {
        false
    }

    /// The body of a request, from joined events.
    ///
    /// # Errors
    ///
    /// The body cannot be compressed, or the events cannot be encoded.
    fn encode(&self, joined: Bytes, compression: Compression) -> io::Result<Bytes> {
        if compression == Compression::None {
            return Ok(joined);
        }
        compression.compress([&joined[..]]).map(Bytes::from)
    }

    /// Whether the server is that of an API, so that a web page with a status of success is not its response.
    fn is_api(&self) -> bool {
        true
    }

    /// What a response means for the events of its request.
    ///
    /// # Errors
    ///
    /// The response does not say what happened to the events. The request is sent again.
    fn read(&self, response: &Response, _batch: &RequestBatch) -> Result<Meaning, RequestError> {
        Ok(Meaning::of(response))
    }

    /// Maximum bytes of a response body that are read. If more arrive, the connection is given up.
    fn max_response_bytes(&self) -> usize {
        MAX_RESPONSE_BYTES
    }

    /// An event in the form of the dead-letter file, from the form of requests.
    fn letter<'e>(&self, event: &'e [u8]) -> Cow<'e, [u8]> {
        event.strip_suffix(b"\n").unwrap_or(event).into()
    }

    /// Waits until the server confirms the events of an accepted request with this [`ticket`](Meaning::ticket).
    ///
    /// # Errors
    ///
    /// The server did not confirm them in time, for this reason. The request is sent again.
    fn confirm(&self, _ticket: u64) -> Pending<'_, Result<(), String>> {
        Box::pin(ready(Ok(())))
    }

    /// Work beside the requests, for as long as the sink runs, such as asking for confirmations. Never ends.
    fn background(self: Arc<Self>, _settings: Settings, _client: Arc<Client>) -> Pending<'static, ()> {
        Box::pin(pending())
    }
}
