//! Gives messages to the producer, and ends their acknowledgements.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use wattle_batch::Ack;
use wattle_kafka::krafka::error::ErrorCode;
use wattle_kafka::krafka::producer::{Acks, Producer};
use wattle_kafka::krafka::{CloseOptions, KrafkaError, ProtocolErrorKind};
use wattle_kafka::{Failure, FailureKind};

use super::message::{record, value};
use super::options::Settings;
use crate::batcher::RequestBatch;
use crate::dead_letter::{DeadLetters, Rejection};
use crate::error::SinkError;
use crate::retry::{Backoff, Outage, Recovery};
use crate::sink::{Payload, SinkContext};

/// Name of the client in the logs of brokers.
const CLIENT_ID: &str = "wattle";

/// Bounds of the wait before messages that failed are sent again.
const FIRST_BACKOFF: Duration = Duration::from_millis(500);
const LAST_BACKOFF: Duration = Duration::from_secs(30);

/// How long the client tries to deliver a message: practically forever, since it repeats without doubling and reordering.
const DELIVERY_TIMEOUT: Duration = Duration::from_hours(24 * 24);

/// How long a message waits for the partitions of its topic.
const TOPIC_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a new producer waits for its id.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// Without an acknowledgement for this long, the sink asks the brokers why.
const PATIENCE: Duration = Duration::from_secs(5);

/// Time limit of that question.
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);

/// Memory that the client may use in addition to the limit of this sink, for single large events.
const SPARE_BYTES: usize = 1 << 30;

/// Messages for one topic, in their order.
struct Item {
    /// Position in the order of the sink: of the payload, and of the first message in it.
    place: (u64, usize),
    topic: Arc<str>,
    batch: RequestBatch,
    /// Something in it was refused, so it is sent with nothing else in flight.
    is_suspect: bool,
}

/// What a result means for its message.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Class {
    Delivered,
    /// The brokers refuse this message, or another one in the same batch.
    Refused(String),
    Again {
        failure: Failure,
        /// The producer has ended for good.
        is_fatal: bool,
    },
}

/// An item that ended, with the result of each message.
type Ended = (Item, Vec<Class>);

/// The sending half.
pub(super) struct Delivery {
    settings: Settings,
    context: SinkContext,
    dead_letters: DeadLetters,
    outage: Outage,
    backoff: Backoff,
    /// Starts with the first message.
    producer: Option<Arc<Producer>>,
    in_flight: JoinSet<Ended>,
    in_flight_bytes: usize,
    /// What must be sent again, in its order, and when.
    again: Vec<Item>,
    retry_at: Instant,
    /// Number of payloads so far.
    payloads: u64,
    /// When a message was delivered last, or the first one of those in flight was sent.
    progress: Instant,
}

impl Delivery {
    pub(super) fn new(settings: Settings, context: SinkContext) -> Self {
        let backoff = Backoff::new(FIRST_BACKOFF, LAST_BACKOFF);
        let (name, stats, path) = (context.name.clone(), context.stats.clone(), settings.dead_letter.clone());
        let address = settings.connection.servers().to_owned();
        let dead_letters = DeadLetters::new(name, address, stats, path, backoff.clone()).of_messages(value);
        Self {
            settings,
            context,
            dead_letters,
            outage: Outage::default(),
            backoff,
            producer: None,
            in_flight: JoinSet::new(),
            in_flight_bytes: 0,
            again: Vec::new(),
            retry_at: Instant::now(),
            payloads: 0,
            progress: Instant::now(),
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
        let mut flush_signal = self.context.flush.clone();
        let mut flushes = JoinSet::new();
        // A message may also wait for others.
        let patience = PATIENCE + self.settings.batch_timeout;
        let mut closed = false;
        loop {
            if self.in_flight.is_empty() && Instant::now() >= self.retry_at {
                self.send_again().await;
            }
            if closed && self.in_flight.is_empty() && self.again.is_empty() {
                if let Some(producer) = self.producer {
                    // Nothing is queued any more.
                    let _ = producer.close_with(CloseOptions::new().timeout(PROBE_TIMEOUT)).await;
                }
                return Ok(());
            }
            let is_urgent = closed || flush_signal.is_on() || self.again.iter().any(|item| item.is_suspect);
            if is_urgent
                && flushes.is_empty()
                && !self.in_flight.is_empty()
                && let Some(producer) = self.producer.clone()
            {
                flushes.spawn(async move { producer.flush().await });
            }
            let has_room = self.again.is_empty() && self.in_flight_bytes < self.settings.max_in_flight_bytes;
            let is_due = !self.again.is_empty() && self.in_flight.is_empty();
            tokio::select! {
                Some(ended) = self.in_flight.join_next(), if !self.in_flight.is_empty() => {
                    let ended = ended.map_err(|error| SinkError::task("waiting for an acknowledgement", error))?;
                    self.end(ended).await;
                }
                Some(_) = flushes.join_next(), if !flushes.is_empty() => {}
                payload = input.pop(), if !closed && has_room => match payload {
                    Some(payload) => self.take(payload).await,
                    None => closed = true,
                },
                () = tokio::time::sleep_until(self.retry_at), if is_due => {}
                () = tokio::time::sleep_until(self.progress + patience), if !self.in_flight.is_empty() => self.probe().await,
                () = flush_signal.on(), if !is_urgent => {}
            }
        }
    }

    async fn take(&mut self, payload: Payload) {
        let topic = payload.key.clone().unwrap_or_default();
        self.payloads += 1;
        let item = Item { place: (self.payloads, 0), topic, batch: RequestBatch::of(payload), is_suspect: false };
        self.send(item).await;
    }

    /// Sends what must be sent again: up to the first suspect, or only that.
    async fn send_again(&mut self) {
        self.again.sort_unstable_by_key(|item| item.place);
        let suspect = self.again.iter().position(|item| item.is_suspect);
        let count = suspect.map_or(self.again.len(), |at| at.max(1));
        for item in self.again.drain(..count).collect::<Vec<_>>() {
            self.send(item).await;
        }
    }

    /// Gives the messages of an item to the producer.
    async fn send(&mut self, item: Item) {
        // What failed must not be overtaken.
        let producer = match self.again.iter().find(|other| other.place < item.place) {
            Some(_) => None,
            None => self.producer().await,
        };
        let Some(producer) = producer else {
            return self.again.push(item);
        };
        let mut handles = Vec::with_capacity(item.batch.len());
        let mut classes = Vec::new();
        for message in item.batch.shared_events() {
            let Some(record) = record(&item.topic, message) else {
                // A later version of the agent may have written it to the buffer on disk.
                let reason = "the message has a format that this version of the agent does not know".to_owned();
                handles.push(Err(Class::Refused(reason)));
                continue;
            };
            match producer.enqueue(record).await {
                Ok(handle) => handles.push(Ok(handle)),
                Err(error) => {
                    classes = vec![class_of(&error); item.batch.len() - handles.len()];
                    break;
                }
            }
        }
        // Only now, since the client can wait for the topic while it takes messages, and then says so itself.
        if self.in_flight.is_empty() {
            self.progress = Instant::now();
        }
        self.in_flight_bytes += item.batch.byte_len();
        self.in_flight.spawn(async move {
            let mut all = Vec::with_capacity(item.batch.len());
            for handle in handles {
                all.push(match handle {
                    Ok(handle) => handle.await.map_or_else(|error| class_of(&error), |_| Class::Delivered),
                    Err(class) => class,
                });
            }
            all.extend(classes);
            (item, all)
        });
    }

    /// Ends the messages of an item by their results.
    async fn end(&mut self, (mut item, classes): Ended) {
        self.in_flight_bytes = self.in_flight_bytes.saturating_sub(item.batch.byte_len());
        let mut first = item.place.1;
        for run in classes.chunk_by(|one, next| one == next) {
            let mut batch = item.batch.split_first(run.len());
            let part = |batch, at, is_suspect| Item {
                place: (item.place.0, at),
                topic: item.topic.clone(),
                batch,
                is_suspect,
            };
            match run.first() {
                Some(Class::Delivered) => {
                    batch.deliver(&self.context.stats);
                    self.progress = Instant::now();
                    self.recovered();
                }
                Some(Class::Refused(reason)) if item.is_suspect && batch.len() == 1 => {
                    let rejection = Rejection { status: None, reason: reason.clone() };
                    self.dead_letters.reject(batch, &rejection, Ack::reject).await;
                }
                // A batch of the client fails as a whole, so it is halved until the refused messages are alone.
                Some(Class::Refused(_)) => {
                    self.context.stats.retried();
                    let half = if item.is_suspect { batch.len() / 2 } else { 0 };
                    if half > 0 {
                        self.again.push(part(batch.split_first(half), first, true));
                    }
                    self.again.push(part(batch, first + half, true));
                }
                Some(Class::Again { failure, is_fatal }) => {
                    self.again.push(part(batch, first, item.is_suspect));
                    self.retry_at = Instant::now() + self.backoff.next();
                    self.failed(failure);
                    if *is_fatal {
                        // Only another producer gets a new identity and new connections.
                        self.producer = None;
                    }
                }
                None => {}
            }
            first += run.len();
        }
    }

    /// The producer, if it can start now.
    async fn producer(&mut self) -> Option<Arc<Producer>> {
        if self.producer.is_none() {
            match self.start().await {
                Ok(producer) => self.producer = Some(Arc::new(producer)),
                Err(failure) => {
                    self.retry_at = Instant::now() + self.backoff.next();
                    self.failed(&failure);
                }
            }
        }
        self.producer.clone()
    }

    async fn start(&self) -> Result<Producer, Failure> {
        let Settings {
            connection, compression, batch_bytes, batch_timeout, max_in_flight_bytes, request_timeout, ..
        } = &self.settings;
        let start = async {
            let kafka = connection.connect(CLIENT_ID, *request_timeout).await?;
            let producer = kafka
                .producer()
                .acks(Acks::All)
                .idempotent(true)
                .compression(*compression)
                .batch_size(*batch_bytes)
                .linger(*batch_timeout)
                .delivery_timeout(DELIVERY_TIMEOUT)
                .max_block(TOPIC_TIMEOUT)
                .max_request_size((100 << 20).max(batch_bytes.saturating_mul(2)))
                .buffer_memory(max_in_flight_bytes.saturating_mul(2).saturating_add(SPARE_BYTES))
                .metrics_push(false);
            producer.build().await
        };
        let started = timeout(START_TIMEOUT, start).await;
        let started = started.unwrap_or_else(|_| Err(KrafkaError::timeout("connecting and starting a producer")));
        started.map_err(|error| Failure::of(&error))
    }

    /// Asks the brokers why they acknowledge nothing.
    async fn probe(&mut self) {
        self.progress = Instant::now();
        let connecting = self.settings.connection.connect(CLIENT_ID, self.settings.request_timeout);
        let failure = match timeout(PROBE_TIMEOUT, connecting).await {
            Ok(Ok(_)) => {
                let text = "the brokers can be reached, but do not acknowledge events".to_owned();
                Failure { kind: FailureKind::Unavailable, text }
            }
            Ok(Err(error)) => Failure::of(&error),
            Err(_) => Failure::of(&KrafkaError::timeout("connecting")),
        };
        self.failed(&failure);
    }

    fn failed(&mut self, failure: &Failure) {
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
            tracing::error!(%sink, error, attempts, "cannot write to Kafka until an operator acts; retrying");
        } else {
            tracing::warn!(%sink, error, attempts, "cannot write to Kafka; retrying");
        }
    }

    fn recovered(&mut self) {
        self.backoff.reset();
        if let Some(Recovery { lasted, attempts }) = self.outage.over() {
            tracing::info!(sink = %self.context.name, ?lasted, attempts, "brokers accept events again");
        }
    }
}

/// What an error means for its message.
fn class_of(error: &KrafkaError) -> Class {
    let is_refused = match error {
        KrafkaError::Broker { code, .. } => matches!(
            code,
            ErrorCode::MessageTooLarge
                | ErrorCode::RecordListTooLarge
                | ErrorCode::InvalidMessageSize
                | ErrorCode::InvalidRecord
                | ErrorCode::InvalidTimestamp
                | ErrorCode::InvalidTopic
                | ErrorCode::PolicyViolation
        ),
        KrafkaError::Protocol { kind, .. } => *kind == ProtocolErrorKind::FrameTooLarge,
        KrafkaError::Config { .. } | KrafkaError::Serialization { .. } | KrafkaError::Compression { .. } => true,
        _ => false,
    };
    let failure = Failure::of(error);
    if is_refused {
        return Class::Refused(failure.text);
    }
    Class::Again { failure, is_fatal: error.is_fatal() || matches!(error, KrafkaError::OutOfOrderSequence { .. }) }
}
