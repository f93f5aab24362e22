//! Publishes messages, and ends their acknowledgements.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use wattle_batch::Ack;
use wattle_nats::async_nats::PublishErrorKind as CoreErrorKind;
use wattle_nats::async_nats::jetstream::context::{PublishAckFuture, PublishErrorKind};
use wattle_nats::async_nats::jetstream::message::PublishMessage;
use wattle_nats::async_nats::jetstream::{Context, ContextBuilder};
use wattle_nats::{Failure, Session};

use super::message::{Message, read, value};
use super::options::Settings;
use crate::batcher::RequestBatch;
use crate::dead_letter::{DeadLetters, Rejection};
use crate::error::SinkError;
use crate::retry::{Backoff, Outage, Recovery};
use crate::sink::{Payload, SinkContext};

/// Bounds of the wait before messages that failed are sent again.
const FIRST_BACKOFF: Duration = Duration::from_millis(200);
const LAST_BACKOFF: Duration = Duration::from_secs(30);

/// Most messages that are sent as one item.
const MAX_ITEM: usize = 256;

/// Messages for which the client may wait. This sink limits them before.
const CLIENT_IN_FLIGHT: usize = 1 << 20;

/// The client holds no messages of subscriptions for this sink, only answers.
const CAPACITY: usize = 16;

/// Consecutive messages of a payload.
struct Item {
    /// Position in the order of the sink: of the payload, and of the first message in it.
    place: (u64, usize),
    subject: Arc<str>,
    batch: RequestBatch,
}

/// What a result means for its message.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Class {
    Delivered,
    /// It can never be stored.
    Refused(String),
    Again(Failure),
}

/// A message on its way.
enum Sent {
    /// A stream will confirm it.
    Waiting(PublishAckFuture),
    Ended(Class),
}

/// An item that ended, with the result of each message.
type Ended = (Item, Vec<Class>);

/// A connection, and what publishes over it.
#[derive(Clone)]
struct Publisher {
    session: Arc<Session>,
    context: Context,
}

/// The sending half.
pub(super) struct Delivery {
    settings: Settings,
    context: SinkContext,
    dead_letters: DeadLetters,
    outage: Outage,
    backoff: Backoff,
    /// Connects with the first message.
    publisher: Option<Publisher>,
    in_flight: JoinSet<Ended>,
    in_flight_messages: usize,
    in_flight_bytes: usize,
    /// What was not sent yet.
    ready: VecDeque<Item>,
    /// What must be sent again, and when.
    again: Vec<Item>,
    retry_at: Instant,
    /// Number of payloads so far.
    payloads: u64,
}

impl Delivery {
    pub(super) fn new(settings: Settings, context: SinkContext) -> Self {
        let backoff = Backoff::new(FIRST_BACKOFF, LAST_BACKOFF);
        let (name, stats, path) = (context.name.clone(), context.stats.clone(), settings.dead_letter.clone());
        let address = settings.connection.servers();
        let dead_letters = DeadLetters::new(name, address, stats, path, backoff.clone()).of_messages(value);
        Self {
            settings,
            context,
            dead_letters,
            outage: Outage::default(),
            backoff,
            publisher: None,
            in_flight: JoinSet::new(),
            in_flight_messages: 0,
            in_flight_bytes: 0,
            ready: VecDeque::new(),
            again: Vec::new(),
            retry_at: Instant::now(),
            payloads: 0,
        }
    }

    /// Delivers or rejects everything in the queue until it is closed and empty.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, events that were not delivered are not acknowledged. The client may still deliver some of
    /// them.
    pub(super) async fn run(mut self) -> Result<(), SinkError> {
        if self.settings.connection.is_unverified() {
            tracing::warn!(
                sink = %self.context.name,
                "`tls.verify` is false: others on the network path can read and change events"
            );
        }
        let input = self.context.input.clone();
        let mut closed = false;
        loop {
            let is_due = self.in_flight.is_empty() && !self.again.is_empty();
            if is_due && Instant::now() >= self.retry_at {
                self.again.sort_unstable_by_key(|item| item.place);
                std::mem::take(&mut self.again).into_iter().rev().for_each(|item| self.ready.push_front(item));
            }
            while self.again.is_empty()
                && self.has_room()
                && let Some(item) = self.ready.pop_front()
            {
                self.send(item).await;
            }
            if closed && self.in_flight.is_empty() && self.again.is_empty() && self.ready.is_empty() {
                return Ok(());
            }
            let wants_more = !closed && self.ready.is_empty() && self.again.is_empty() && self.has_room();
            let is_due = self.in_flight.is_empty() && !self.again.is_empty();
            tokio::select! {
                Some(ended) = self.in_flight.join_next(), if !self.in_flight.is_empty() => {
                    let ended = ended.map_err(|error| SinkError::task("waiting for a confirmation", error))?;
                    self.end(ended).await;
                }
                payload = input.pop(), if wants_more => match payload {
                    Some(payload) => self.take(payload),
                    None => closed = true,
                },
                () = tokio::time::sleep_until(self.retry_at), if is_due => {}
            }
        }
    }

    fn has_room(&self) -> bool {
        self.in_flight_messages < self.settings.max_in_flight
            && self.in_flight_bytes < self.settings.max_in_flight_bytes
    }

    /// Cuts a payload into items.
    fn take(&mut self, payload: Payload) {
        let subject = payload.key.clone().unwrap_or_default();
        self.payloads += 1;
        let most = MAX_ITEM.min(self.settings.max_in_flight);
        let mut rest = RequestBatch::of(payload);
        let mut first = 0;
        while rest.len() > 0 {
            let batch = rest.split_first(most);
            let messages = batch.len();
            self.ready.push_back(Item { place: (self.payloads, first), subject: subject.clone(), batch });
            first += messages;
        }
    }

    /// Publishes the messages of an item.
    async fn send(&mut self, item: Item) {
        let Some(publisher) = self.publisher().await else {
            return self.again.push(item);
        };
        let mut sent = Vec::with_capacity(item.batch.len());
        for message in item.batch.shared_events() {
            if let Some(Sent::Ended(Class::Again(failure))) = sent.last() {
                // Nothing overtakes what failed.
                sent.push(Sent::Ended(Class::Again(failure.clone())));
                continue;
            }
            let Some(message) = read(message) else {
                // A later version of the agent may have written it to the buffer on disk.
                let reason = "the message has a format that this version of the agent does not know".to_owned();
                sent.push(Sent::Ended(Class::Refused(reason)));
                continue;
            };
            sent.push(match self.settings.is_jetstream {
                true => publisher.publish(&item.subject, message).await,
                false => Sent::Ended(publisher.publish_core(&item.subject, message).await),
            });
        }
        self.in_flight_messages += item.batch.len();
        self.in_flight_bytes += item.batch.byte_len();
        let is_jetstream = self.settings.is_jetstream;
        let deadline = Instant::now() + self.settings.request_timeout;
        self.in_flight.spawn(async move {
            let mut classes = publisher.confirm(sent, deadline).await;
            if !is_jetstream && classes.contains(&Class::Delivered) {
                classes = publisher.flushed(classes, deadline).await;
            }
            (item, classes)
        });
    }

    /// Ends the messages of an item by their results.
    async fn end(&mut self, (mut item, classes): Ended) {
        self.in_flight_messages = self.in_flight_messages.saturating_sub(item.batch.len());
        self.in_flight_bytes = self.in_flight_bytes.saturating_sub(item.batch.byte_len());
        let mut first = item.place.1;
        for run in classes.chunk_by(|one, next| one == next) {
            let batch = item.batch.split_first(run.len());
            match run.first() {
                Some(Class::Delivered) => {
                    batch.deliver(&self.context.stats);
                    self.recovered();
                }
                Some(Class::Refused(reason)) => {
                    let rejection = Rejection { status: None, reason: reason.clone() };
                    self.dead_letters.reject(batch, &rejection, Ack::reject).await;
                }
                Some(Class::Again(failure)) => {
                    self.again.push(Item { place: (item.place.0, first), subject: item.subject.clone(), batch });
                    self.failed(failure);
                }
                None => {}
            }
            first += run.len();
        }
    }

    /// The connection, if there can be one now.
    async fn publisher(&mut self) -> Option<Publisher> {
        if self.publisher.as_ref().is_some_and(|publisher| publisher.session.is_lost()) {
            self.publisher = None;
        }
        if self.publisher.is_none() {
            match self.settings.connection.connect(CAPACITY, self.settings.request_timeout).await {
                Ok(session) => {
                    let context = ContextBuilder::new()
                        .timeout(self.settings.request_timeout)
                        .ack_timeout(self.settings.request_timeout)
                        .max_ack_inflight(CLIENT_IN_FLIGHT)
                        .build(session.client.clone());
                    self.publisher = Some(Publisher { session: Arc::new(session), context });
                }
                Err(failure) => self.failed(&failure),
            }
        }
        self.publisher.clone()
    }

    fn failed(&mut self, failure: &Failure) {
        // Messages that failed together wait once.
        if self.retry_at <= Instant::now() {
            self.retry_at = Instant::now() + self.backoff.next();
        }
        self.context.stats.retried();
        let needs_operator = failure.kind.needs_operator();
        if needs_operator {
            self.context.stats.set_broken(|| failure.text.clone());
        } else {
            self.context.stats.clear_broken();
        }
        let Some(attempts) = self.outage.failed() else { return };
        let (sink, error) = (&self.context.name, &failure.text);
        if needs_operator {
            tracing::error!(%sink, error, attempts, "cannot write to NATS until an operator acts; retrying");
        } else {
            tracing::warn!(%sink, error, attempts, "cannot write to NATS; retrying");
        }
    }

    fn recovered(&mut self) {
        self.backoff.reset();
        if let Some(Recovery { lasted, attempts }) = self.outage.over() {
            tracing::info!(sink = %self.context.name, ?lasted, attempts, "the server accepts events again");
        }
    }
}

impl Publisher {
    /// Gives a message to the client, which sends it in order.
    async fn publish(&self, subject: &str, Message { id, headers, value }: Message) -> Sent {
        let message = PublishMessage::build().headers(headers).payload(value);
        let message = if id.is_empty() { message } else { message.message_id(id) };
        match self.context.send_publish(subject.to_owned(), message).await {
            Ok(waiting) => Sent::Waiting(waiting),
            Err(error) => Sent::Ended(match Failure::of_refusal(&error) {
                Some(reason) => Class::Refused(reason),
                // Without an answer that could explain it, the connection is lost or the client is full.
                None if error.kind() == PublishErrorKind::Other => Class::Again(self.session.failure()),
                None => Class::Again(Failure::of_publish(&error, self.session.said())),
            }),
        }
    }

    /// The same without JetStream.
    async fn publish_core(&self, subject: &str, Message { headers, value, .. }: Message) -> Class {
        let subject = subject.to_owned();
        let published = match headers.is_empty() {
            true => self.session.client.publish(subject, value).await,
            false => self.session.client.publish_with_headers(subject, headers, value).await,
        };
        match published {
            Ok(()) => Class::Delivered,
            Err(error) if error.kind() == CoreErrorKind::MaxPayloadExceeded => {
                Class::Refused("the message is larger than `max_payload` of the server".to_owned())
            }
            Err(_) => Class::Again(self.session.failure()),
        }
    }

    /// Waits for the confirmations of messages.
    async fn confirm(&self, sent: Vec<Sent>, deadline: Instant) -> Vec<Class> {
        let mut classes = Vec::with_capacity(sent.len());
        for sent in sent {
            classes.push(match sent {
                Sent::Ended(class) => class,
                Sent::Waiting(waiting) => match timeout_at(deadline, waiting.into_future()).await {
                    Ok(Ok(_)) => Class::Delivered,
                    Ok(Err(error)) => match Failure::of_refusal(&error) {
                        Some(reason) => Class::Refused(reason),
                        None => Class::Again(Failure::of_publish(&error, self.session.said())),
                    },
                    Err(_) => Class::Again(match self.session.said() {
                        Some(said) => Failure::of_server(&said),
                        None => Failure::no_answer(),
                    }),
                },
            });
        }
        classes
    }

    /// Waits until messages without confirmations are written.
    async fn flushed(&self, mut classes: Vec<Class>, deadline: Instant) -> Vec<Class> {
        let failure = match timeout_at(deadline, self.session.client.flush()).await {
            Ok(Ok(())) if !self.session.is_lost() => match self.session.take_said() {
                // It is about a message of this connection, and the text does not say which one.
                Some(said) => Failure::of_server(&said),
                None => return classes,
            },
            Ok(_) => self.session.failure(),
            Err(_) => Failure::no_answer(),
        };
        let delivered = classes.iter_mut().filter(|class| **class == Class::Delivered);
        delivered.for_each(|class| *class = Class::Again(failure.clone()));
        classes
    }
}
