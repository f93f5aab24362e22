//! Delivers one request batch: sends it until the server has accepted its events or has rejected them for good.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use wattle_batch::Ack;

use super::client::Client;
use super::destination::{Meaning, Target};
use super::error::RequestError;
use super::limit::Slot;
use super::options::Settings;
use super::partition::Key;
use super::response::{Item, Outcome};
use crate::batcher::RequestBatch;
use crate::compress::Compression;
use crate::dead_letter::{DeadLetters, Rejection};
use crate::refusal::refusal;
use crate::retry::{Backoff, Outage, Recovery};
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
        let dead_letters = dead_letters.of_destination(settings.destination.clone());
        Self { sink, address, settings, client, stats, dead_letters, outage: Mutex::default() }
    }

    /// Delivers or rejects every event of a batch and ends its acknowledgements, however long that takes.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, events that were not delivered are not acknowledged.
    pub(crate) async fn deliver(self: Arc<Self>, key: Key, mut batch: RequestBatch, mut slot: Slot) {
        if self.settings.destination.has_refusals() {
            self.refuse(&mut batch).await;
            if batch.len() == 0 {
                return;
            }
        }
        let mut batches = vec![batch];
        let mut requests = MAX_SEARCH_REQUESTS;
        while let Some(mut batch) = batches.pop() {
            let target = self.settings.destination.target(&self.settings, key.as_deref(), &batch);
            match self.send(&target, &mut batch, &mut slot).await {
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

    /// Rejects the events that the encoder refused.
    async fn refuse(&self, batch: &mut RequestBatch) {
        let reason = |event| refusal(event).map(|(reason, _)| (1, reason.to_owned()));
        let reasons: Vec<(usize, String)> = batch.events().filter_map(reason).collect();
        if !reasons.is_empty() {
            let Ok(refused) = batch.take_out(|event| Ok::<_, Infallible>(refusal(event).is_some()));
            self.dead_letters.refuse(refused, reasons).await;
        }
    }

    /// Sends a batch until its end. Events with their own outcome leave the batch earlier.
    async fn send(&self, target: &Target, batch: &mut RequestBatch, slot: &mut Slot) -> End {
        let mut backoff = Backoff::new(self.settings.retry_initial_backoff, self.settings.retry_max_backoff);
        let (mut attempts, mut refused) = (0, 0);
        let mut body: Option<Bytes> = None;
        loop {
            let attempt = self.attempt(target, batch, &mut body, slot).await;
            let mut attempt = attempt.unwrap_or_else(|error| Attempt {
                outcome: Outcome::Retry,
                rejection: Rejection { status: None, reason: error.with_option(self.settings.address_option) },
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
                Outcome::Again if refused < MAX_SEARCH_REQUESTS => {
                    refused += 1;
                    self.stats.retried();
                    continue;
                }
                Outcome::Rejected | Outcome::Again => return End::Rejected(attempt.rejection),
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

    /// Sends a batch once, and waits for its confirmation if the destination has any. The first attempt creates the body; later
    /// ones reuse it.
    async fn attempt(
        &self,
        target: &Target,
        batch: &RequestBatch,
        body: &mut Option<Bytes>,
        slot: &mut Slot,
    ) -> Result<Attempt, RequestError> {
        let destination = &self.settings.destination;
        let bytes = match body {
            Some(bytes) => bytes.clone(),
            None => body.insert(self.body(batch).await?).clone(),
        };
        // A confirmation of this batch, or of another half of it, gave the place up.
        slot.reacquire().await;
        let started = Instant::now();
        let response = self.client.send_to(&self.settings, target, bytes).await;
        let elapsed = started.elapsed();
        let read = response
            .and_then(|response| Ok((Meaning::read(&**destination, &response, batch)?, response.status.as_u16())));
        // A server that does not respond, or cannot take more, gets fewer requests at a time.
        slot.observe(elapsed, read.as_ref().map_or(true, |(meaning, _)| meaning.is_busy()));
        let (mut meaning, status) = read?;
        if meaning.outcome == Outcome::Delivered
            && let Some(ticket) = meaning.ticket
        {
            slot.release(batch.byte_len());
            if let Err(reason) = destination.confirm(ticket).await {
                (meaning.outcome, meaning.reason) = (Outcome::Retry, reason);
            }
        }
        Ok(Attempt {
            outcome: meaning.outcome,
            rejection: Rejection { status: Some(status), reason: meaning.reason },
            retry_after: meaning.retry_after,
            items: meaning.items,
            rejected: usize::try_from(meaning.rejected).unwrap_or(usize::MAX).min(batch.len()),
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
        let (destination, compression) = (self.settings.destination.clone(), self.settings.compression);
        let joined = destination.join(batch);
        if compression == Compression::None && !destination.is_slow() {
            return destination.encode(joined, compression).map_err(RequestError::Compression);
        }
        // Compression takes milliseconds, which would delay the other tasks of the thread.
        let encoded = tokio::task::spawn_blocking(move || destination.encode(joined, compression)).await;
        encoded.map_err(std::io::Error::from).flatten().map_err(RequestError::Compression)
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
        if let Some(Recovery { lasted, attempts }) = self.outage.lock().over() {
            tracing::info!(sink = %self.sink, address = self.address, ?lasted, attempts, "server accepts events again");
        }
    }
}
