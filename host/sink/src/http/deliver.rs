//! Delivers one request batch: sends it until the server has accepted its events or has rejected them for good.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use parking_lot::Mutex;
use wattle_batch::Ack;

use super::body::body;
use super::client::Client;
use super::error::RequestError;
use super::options::{Format, Settings};
use super::otlp::Meaning;
use super::response::{Item, Outcome, items, retry_after};
use crate::batcher::RequestBatch;
use crate::compress::Compression;
use crate::dead_letter::{DeadLetters, Rejection};
use crate::retry::{Backoff, Outage};
use crate::sink::SinkStats;

/// Maximum number of requests that search for the rejected events of one request batch. After that, all events that are
/// still in doubt are rejected together.
const MAX_SEARCH_REQUESTS: u32 = 1000;

/// State shared by all requests of a sink.
pub(crate) struct Delivery {
    sink: Arc<str>,
    /// Address of the server, without query and credentials.
    address: String,
    settings: Settings,
    client: Arc<Client>,
    stats: Arc<SinkStats>,
    dead_letters: DeadLetters,
    outage: Mutex<Outage>,
}

/// The result of one attempt.
struct Attempt {
    outcome: Outcome,
    rejection: Rejection,
    /// The wait that the server requests.
    retry_after: Option<Duration>,
    /// The outcome of each event, if the response has one per event and not all were accepted.
    items: Option<Vec<Item>>,
    /// How many events the server rejected of a request that it accepted, without saying which.
    rejected: usize,
}

/// How sending a request batch ended.
enum End {
    Delivered,
    /// The server accepted all events but so many, and does not say which.
    AllBut(usize, Rejection),
    TooLarge(Rejection),
    /// The server rejects the batch, or a part of it.
    Rejected(Rejection),
    /// The attempts are used up.
    GivenUp(Rejection),
}

impl Delivery {
    pub(crate) fn new(sink: Arc<str>, settings: Settings, client: Arc<Client>, stats: Arc<SinkStats>) -> Self {
        let uri = &settings.uri;
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let address = format!("{}://{authority}{}", uri.scheme_str().unwrap_or_default(), uri.path());
        let backoff = Backoff::new(settings.retry_initial_backoff, settings.retry_max_backoff);
        let dead_letters =
            DeadLetters::new(sink.clone(), address.clone(), stats.clone(), settings.dead_letter.clone(), backoff);
        let dead_letters = match settings.otlp {
            Some(call) => dead_letters.of_otlp(call.signal),
            None => dead_letters,
        };
        Self { sink, address, settings, client, stats, dead_letters, outage: Mutex::default() }
    }

    /// Delivers or rejects every event of a batch and ends its acknowledgements, however long that takes.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, events that were not delivered are not acknowledged.
    pub(crate) async fn deliver(self: Arc<Self>, batch: RequestBatch) {
        let mut batches = vec![batch];
        let mut requests = MAX_SEARCH_REQUESTS;
        while let Some(mut batch) = batches.pop() {
            match self.send(&mut batch).await {
                End::Delivered => batch.deliver(&self.stats),
                End::AllBut(rejected, rejection) => {
                    let Rejection { reason, .. } = &rejection;
                    let (sink, address) = (&self.sink, &self.address);
                    tracing::error!(%sink, address, events = rejected, ?reason, "server rejected events");
                    batch.deliver_all_but(rejected, &self.stats);
                }
                // The batch is halved until the rejected events are alone, so that the others are delivered.
                end @ (End::TooLarge(_) | End::Rejected(_)) if batch.len() > 1 && requests > 1 => {
                    // Only searches for rejected events are limited. Halving a request that is too
                    // large ends by itself.
                    if matches!(end, End::Rejected(_)) {
                        requests -= 2;
                    }
                    self.stats.retried();
                    let first = batch.split_first(batch.len() / 2);
                    // The first half is sent next, to keep the order.
                    batches.push(batch);
                    batches.push(first);
                }
                End::TooLarge(rejection) | End::Rejected(rejection) => {
                    self.dead_letters.reject(batch, &rejection, Ack::reject).await;
                }
                End::GivenUp(rejection) => self.dead_letters.reject(batch, &rejection, |ack, _| ack.give_up()).await,
            }
        }
    }

    /// Sends a batch until its end. Events with their own outcome leave the batch earlier.
    async fn send(&self, batch: &mut RequestBatch) -> End {
        let mut backoff = Backoff::new(self.settings.retry_initial_backoff, self.settings.retry_max_backoff);
        let mut attempts = 0;
        let mut body: Option<Bytes> = None;
        loop {
            let mut attempt = self.attempt(batch, &mut body).await.unwrap_or_else(|error| Attempt {
                outcome: Outcome::Retry,
                rejection: Rejection { status: None, reason: error.to_string() },
                retry_after: None,
                items: None,
                rejected: 0,
            });
            if let Some(items) = attempt.items.take() {
                let Some(left) = self.apply_items(batch, items).await else {
                    self.recovered();
                    return End::Delivered;
                };
                (attempt.outcome, attempt.rejection) = (left.outcome, left.rejection);
                // The remaining events need a new body.
                body = None;
            }
            match attempt.outcome {
                Outcome::Delivered => {
                    self.recovered();
                    return match attempt.rejected {
                        0 => End::Delivered,
                        rejected => End::AllBut(rejected, attempt.rejection),
                    };
                }
                Outcome::TooLarge => return End::TooLarge(attempt.rejection),
                Outcome::Rejected => return End::Rejected(attempt.rejection),
                Outcome::Retry => self.stats.clear_broken(),
                Outcome::NeedsOperator => self.stats.set_broken(|| self.describe(&attempt.rejection)),
            }
            self.log_failure(&attempt.rejection, attempt.outcome == Outcome::NeedsOperator);
            if self.settings.retry_attempts.is_some_and(|max| attempts >= max) {
                return End::GivenUp(attempt.rejection);
            }
            attempts += 1;
            self.stats.retried();
            // Never retry sooner than the server requests.
            let wait = backoff.next().max(attempt.retry_after.unwrap_or_default());
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                // The old certificates may be why the request failed, so send it again at once.
                () = self.client.files_changed() => {}
            }
        }
    }

    /// Sends a batch once. The first attempt creates the body; later ones reuse it.
    async fn attempt(&self, batch: &RequestBatch, body: &mut Option<Bytes>) -> Result<Attempt, RequestError> {
        let bytes = match body {
            Some(bytes) => bytes.clone(),
            None => body.insert(self.body(batch).await?).clone(),
        };
        let response = self.client.send(&self.settings, bytes).await?;
        if let Some(call) = self.settings.otlp {
            let Meaning { outcome, reason, retry_after, rejected } = call.meaning(&response);
            let rejection = Rejection { status: Some(response.status.as_u16()), reason };
            let rejected = usize::try_from(rejected).unwrap_or(usize::MAX).min(batch.len());
            return Ok(Attempt { outcome, rejection, retry_after, items: None, rejected });
        }
        let outcome = Outcome::of(response.status);
        let has_items = self.settings.format == Format::Bulk && outcome == Outcome::Delivered;
        Ok(Attempt {
            outcome,
            rejection: Rejection { status: Some(response.status.as_u16()), reason: response.reason() },
            retry_after: retry_after(&response.headers, Timestamp::now()),
            items: if has_items { items(response.body(), batch.len())? } else { None },
            rejected: 0,
        })
    }

    /// Delivers and rejects events according to their items. The batch keeps the events to send
    /// again; returns the item of the first of them, or `None` if there is none.
    async fn apply_items(&self, batch: &mut RequestBatch, items: Vec<Item>) -> Option<Item> {
        let mut left: Option<Item> = None;
        let mut again = RequestBatch::default();
        for run in items.chunk_by(|one, next| one == next) {
            let part = batch.split_first(run.len());
            match run.first() {
                Some(Item { outcome: Outcome::Delivered, .. }) => part.deliver(&self.stats),
                Some(Item { outcome: Outcome::Rejected | Outcome::TooLarge, rejection }) => {
                    self.dead_letters.reject(part, rejection, Ack::reject).await;
                }
                other => {
                    again.append(part);
                    left = left.or_else(|| other.cloned());
                }
            }
        }
        *batch = again;
        left
    }

    async fn body(&self, batch: &RequestBatch) -> Result<Bytes, RequestError> {
        let compression = self.settings.compression;
        if let Some(call) = self.settings.otlp {
            let events = batch.concatenated();
            let made = tokio::task::spawn_blocking(move || call.body(events, compression)).await;
            return made.map_err(std::io::Error::from).flatten().map_err(RequestError::Compression);
        }
        let body = body(batch, self.settings.format);
        if compression == Compression::None {
            return Ok(body);
        }
        // Compression takes milliseconds, which would delay the other tasks of the thread.
        let compressed = tokio::task::spawn_blocking(move || compression.compress([&body[..]])).await;
        let compressed = compressed.map_err(std::io::Error::from).flatten();
        compressed.map(Bytes::from).map_err(RequestError::Compression)
    }

    fn describe(&self, Rejection { status, reason }: &Rejection) -> String {
        let status = status.map_or_else(String::new, |status| format!(" with status {status}"));
        format!(
            "server at `{}` rejects requests{status}: {reason}; check the sink's options and credentials",
            self.address
        )
    }

    fn log_failure(&self, rejection: &Rejection, needs_operator: bool) {
        let Some(attempts) = self.outage.lock().failed() else { return };
        let Rejection { status, reason } = rejection;
        let (sink, address) = (&self.sink, &self.address);
        if needs_operator {
            tracing::error!(
                %sink, address, status, reason = ?reason, attempts,
                "server rejects requests; check the sink's options and credentials; retrying"
            );
        } else {
            tracing::warn!(%sink, address, status, reason = ?reason, attempts, "cannot deliver events; retrying");
        }
    }

    fn recovered(&self) {
        if let Some(lasted) = self.outage.lock().over() {
            tracing::info!(sink = %self.sink, address = self.address, ?lasted, "server accepts events again");
        }
    }
}
