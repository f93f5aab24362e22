//! Polls the client for messages, and commits what is delivered.

mod faults;
mod positions;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, timeout};
use wattle_kafka::krafka::consumer::{
    AutoOffsetReset, Consumer, ConsumerRecord, IsolationLevel, PartitionAssignmentStrategy, PartitionLag,
    TopicPartition,
};
use wattle_kafka::krafka::{CloseOptions, Kafka, KrafkaError};
use wattle_kafka::{ClientLog, Failure, FailureKind};

use faults::Faults;
use positions::Topics;

use super::events::parts;
use super::group::{COMMIT_TIMEOUT, Listener, commit};
use super::offsets::Key;
use super::options::Settings;
use super::reports::{Action, Reports};
use super::shared::Shared;
use crate::source::{SourceContext, Stop};
use crate::waits::Wait;

/// Name of the client in the logs of brokers.
const CLIENT_ID: &str = "wattle";

/// How long a poll may take. It keeps the membership, so the other work between two polls must be short, too.
const POLL: Duration = Duration::from_millis(500);

/// The same while reading is paused or the source stops.
const POLL_PAUSED: Duration = Duration::from_millis(50);

/// Most messages that one poll returns, and that the client keeps for the next ones. Their bytes are limited by those of a
/// fetch.
const MAX_RECORDS: i32 = 8192;

/// Limits of the bytes that one fetch asks of a broker. A message can be larger.
const MIN_FETCH_BYTES: usize = 1 << 20;
const MAX_FETCH_BYTES: usize = 32 << 20;

/// Interval at which topics and brokers are looked up, and the same while something is wrong.
const LOOK_UP: Duration = Duration::from_mins(1);
const LOOK_UP_AGAIN: Duration = Duration::from_secs(3);

/// Interval at which the lag is measured.
const MEASURE: Duration = Duration::from_secs(1);

/// Pauses between attempts to connect.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LAST_PAUSE: Duration = Duration::from_secs(30);

/// Failed polls in a row after which the source connects again.
const MAX_FAILURES: u32 = 5;

/// Time limit for leaving the group.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// How a consumer ended.
enum End {
    /// The source stops, or has read everything.
    Done,
    /// Another consumer is needed.
    Again,
}

/// Reads until the source stops, or with `once` until everything that was there is delivered.
pub(super) async fn run(settings: &Settings, context: &Arc<SourceContext>, shared: &Arc<Shared>) {
    context.stats.start();
    let mut reader = Reader {
        settings,
        context,
        shared,
        reports: Reports::default(),
        failures: 0,
        topics: Topics::default(),
        faults: Faults::default(),
    };
    let mut stop = context.stop.clone();
    while !stop.is_stopped() {
        let connected = tokio::select! {
            connected = reader.connect() => connected,
            () = stop.stopped() => return,
        };
        let failure = match connected {
            Ok((kafka, consumer)) => {
                reader.reports.worked(context, Action::Connect);
                let end = reader.consume(&consumer).await;
                let close = CloseOptions::new().timeout(CLOSE_TIMEOUT);
                if let Err(error) = consumer.close_with(close).await {
                    tracing::debug!(source = %context.name, %error, "cannot leave the group");
                }
                drop((consumer, kafka));
                // If the group could not be left in order, another member may have them.
                shared.forget_all();
                match end {
                    End::Done => return,
                    End::Again => continue,
                }
            }
            Err(failure) => failure,
        };
        reader.reports.failed(context, Action::Connect, &failure);
        reader.failures += 1;
        tokio::select! {
            () = tokio::time::sleep(pause(reader.failures)) => {}
            () = stop.stopped() => return,
        }
    }
}

/// The pause after this many failures in a row, with jitter.
fn pause(failures: u32) -> Duration {
    let full = FIRST_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(LAST_PAUSE);
    full.mul_f64(0.5 + fastrand::f64() / 2.0)
}

struct Reader<'s> {
    settings: &'s Settings,
    context: &'s Arc<SourceContext>,
    shared: &'s Arc<Shared>,
    reports: Reports,
    /// Failed attempts to connect or to poll in a row.
    failures: u32,
    topics: Topics,
    /// Partitions that cannot be read now.
    faults: Faults,
}

/// When the next work between two polls is due.
struct Due {
    commit: Instant,
    look_up: Instant,
    measure: Instant,
}

impl Reader<'_> {
    async fn connect(&self) -> Result<(Kafka, Arc<Consumer>), Failure> {
        let settings = self.settings;
        let explain = |error: KrafkaError| Failure::of(&error);
        let connecting = settings.connection.connect(CLIENT_ID, settings.request_timeout);
        let kafka = connecting.await.map_err(explain)?;
        let fetch_bytes = (settings.max_in_flight_bytes / 4).clamp(MIN_FETCH_BYTES, MAX_FETCH_BYTES);
        let fetch_bytes = i32::try_from(fetch_bytes).unwrap_or(i32::MAX);
        let listener = Listener {
            shared: self.shared.clone(),
            context: self.context.clone(),
            drain_timeout: settings.drain_timeout,
        };
        let consumer = kafka
            .consumer(settings.group.clone())
            // The client would reset positions that are out of range in silence, and skip messages. See `positions`.
            .auto_offset_reset(AutoOffsetReset::None)
            .lag_staleness_threshold(faults::FRESH)
            .enable_auto_commit(false)
            .session_timeout(settings.session_timeout)
            // Also how long a group waits for its members when it shares the partitions. Between two polls, the source gives up
            // partitions and repeats requests, each within its limit.
            .max_poll_interval(settings.session_timeout + settings.drain_timeout + 4 * COMMIT_TIMEOUT)
            .heartbeat_interval((settings.session_timeout / 4).min(Duration::from_secs(3)))
            .fetch_max_wait(settings.fetch_wait)
            .fetch_max_bytes(fetch_bytes)
            .max_partition_fetch_bytes(fetch_bytes.min(4 << 20))
            .max_poll_records(MAX_RECORDS)
            .max_buffered_records(MAX_RECORDS)
            .idle_poll_backoff(Duration::from_millis(20))
            // As in librdkafka: what a transaction aborted is not an event.
            .isolation_level(IsolationLevel::ReadCommitted)
            .partition_assignment_strategies([
                PartitionAssignmentStrategy::CooperativeSticky,
                PartitionAssignmentStrategy::Range,
            ])
            .group_protocol(settings.protocol)
            .metrics_push(false)
            .rebalance_listener(listener)
            .build()
            .await
            .map_err(explain)?;
        let consumer = Arc::new(consumer);
        self.shared.set_consumer(&consumer);
        if let Err(error) = consumer.subscribe(&settings.topics).await {
            // Closing does no harm, and without it the client warns.
            let _ = consumer.close_with(CloseOptions::new().timeout(CLOSE_TIMEOUT)).await;
            return Err(Failure::of(&error));
        }
        Ok((kafka, consumer))
    }

    /// Reads by a consumer until it must end.
    async fn consume(&mut self, consumer: &Arc<Consumer>) -> End {
        // A poll waits for messages, so a stop must interrupt it. It is not cancelled: it may be in the middle of giving up
        // partitions.
        let mut stop = self.context.stop.clone();
        let wake = async {
            stop.stopped().await;
            consumer.wakeup();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            end = self.poll_all(consumer) => end,
            () = wake => End::Done,
        }
    }

    async fn poll_all(&mut self, consumer: &Arc<Consumer>) -> End {
        let stop: Stop = self.context.stop.clone();
        let now = Instant::now();
        let mut due = Due { commit: now, look_up: now, measure: now };
        let mut known = None;
        let mut paused: Option<Wait> = None;
        let mut end_of_input: Option<Wait> = None;
        let mut errors = 0;
        let log = ClientLog::default();
        self.faults = Faults::default();
        loop {
            let is_stopping = stop.is_stopped() || self.context.output.is_closed();
            if is_stopping {
                self.shared.stop();
            }
            let must_pause =
                is_stopping || if paused.is_some() { !self.shared.has_room() } else { self.shared.is_full() };
            self.pause(consumer, must_pause, &mut paused).await;
            if must_pause {
                self.faults.pause();
            }
            if self.shared.is_idle() && (is_stopping || end_of_input.is_some()) {
                self.commit(consumer).await;
                return End::Done;
            }
            let wait = if must_pause || end_of_input.is_some() { POLL_PAUSED } else { POLL };
            let polled = log.during(consumer.poll(wait)).await;
            self.note(consumer, log.take()).await;
            let is_quiet = match polled {
                Ok(records) => {
                    self.failures = 0;
                    if !records.is_empty() && self.faults.is_empty() {
                        self.reports.worked(self.context, Action::Read);
                    }
                    let is_quiet = records.is_empty();
                    if !is_stopping && !self.take(records) {
                        return End::Done;
                    }
                    is_quiet
                }
                Err(KrafkaError::Wakeup) => false,
                Err(KrafkaError::NoOffset { partitions }) => {
                    if self.position(consumer, partitions).await {
                        self.failures = 0;
                    } else {
                        self.failures = self.failures.saturating_add(1);
                        tokio::time::sleep(pause(self.failures).min(4 * POLL)).await;
                    }
                    false
                }
                Err(error) => {
                    self.reports.failed(self.context, Action::Read, &Failure::of(&error));
                    self.failures += 1;
                    if error.is_fatal() || self.failures.is_multiple_of(MAX_FAILURES) {
                        return End::Again;
                    }
                    tokio::time::sleep(pause(self.failures)).await;
                    false
                }
            };
            if Instant::now() >= due.measure {
                due.measure = Instant::now() + MEASURE;
                self.measure(consumer).await;
                self.check(consumer, must_pause).await;
                // The client repeats failed fetches by itself, and only counts them.
                let counted = consumer.metrics().consumer.errors;
                let is_ill = counted > errors
                    || !self.faults.is_empty()
                    || !self.shared.was_assigned()
                    || self.reports.is_failing(Action::FindTopics);
                if is_ill {
                    due.look_up = due.look_up.min(Instant::now() + LOOK_UP_AGAIN);
                }
                errors = counted;
            }
            if Instant::now() >= due.look_up {
                due.look_up = Instant::now() + LOOK_UP;
                if !self.look_up(consumer, &mut known).await {
                    return End::Again;
                }
            }
            self.begin_again(consumer).await;
            // Where reading begins is committed at once, so that a crash before the first delivery does not begin at the newest
            // message again.
            let is_new = !is_stopping && log.during(self.find_starts(consumer)).await;
            if is_new || is_stopping || Instant::now() >= due.commit {
                due.commit = Instant::now() + self.settings.commit_interval;
                self.commit(consumer).await;
            }
            if self.context.once && is_quiet && end_of_input.is_none() && self.is_at_end(consumer).await {
                end_of_input = Some(self.context.end_of_input());
            }
        }
    }

    /// Pauses or resumes all partitions, also those that came since.
    async fn pause(&self, consumer: &Consumer, must_pause: bool, paused: &mut Option<Wait>) {
        if must_pause {
            self.shared.set_paused(true);
            let already = consumer.paused_partitions().await;
            for (topic, partitions) in consumer.assignment().await {
                let is_new = |partition: &i32| !already.contains(&(topic.clone(), *partition));
                let new: Vec<i32> = partitions.into_iter().filter(is_new).collect();
                if !new.is_empty() {
                    consumer.pause(&topic, &new).await;
                }
            }
            paused.get_or_insert_with(|| self.context.waits.begin());
        } else if paused.take().is_some() {
            self.shared.set_paused(false);
            for (topic, partitions) in consumer.assignment().await {
                consumer.resume(&topic, &partitions).await;
            }
        }
    }

    /// Makes batches of messages. Returns `false` if that is impossible, so that nothing of them is committed.
    fn take(&self, records: Vec<ConsumerRecord>) -> bool {
        let context = self.context;
        let bytes: usize = records.iter().map(|record| record.value.as_ref().map_or(0, |value| value.len())).sum();
        context.stats.read_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        let origin = |(topic, partition): &Key| {
            let facts = [("topic", topic.as_ref().into()), ("partition", (*partition).into())];
            context.origin_of("kafka", facts.map(|(name, value)| (name.to_owned(), value)).into_iter().collect())
        };
        let made = parts(records, &self.settings.format, &context.limits, origin, |(topic, partition), skipped| {
            context.stats.skip(&context.name, &format!("{topic}/{partition}"), skipped);
        });
        match made {
            Ok(parts) => {
                for part in parts {
                    let ((topic, partition), offset) = (part.key.clone(), part.first);
                    if let Some(read_to) = self.shared.take(part) {
                        tracing::warn!(
                            source = %context.name, %topic, partition, read_to, offset,
                            "offsets that were read before are read again: the topic was created again, or has lost messages"
                        );
                    }
                }
                true
            }
            Err(error) => {
                tracing::error!(source = %context.name, %error, "cannot make a batch of messages, which is a bug; the source ends");
                false
            }
        }
    }

    async fn commit(&mut self, consumer: &Consumer) {
        match commit(consumer, self.shared, None).await {
            Ok(()) => self.reports.worked(self.context, Action::Commit),
            // A group that gives out its partitions takes no commits; the next interval follows soon.
            Err(failure) if failure.kind == FailureKind::Unavailable => {
                tracing::debug!(source = %self.context.name, error = %failure, "cannot commit offsets now");
            }
            Err(failure) => self.reports.failed(self.context, Action::Commit, &failure),
        }
    }

    /// Finds where reading new partitions begins. Returns whether one was found.
    async fn find_starts(&self, consumer: &Consumer) -> bool {
        let mut is_found = false;
        for key in self.shared.without_start() {
            let position = timeout(COMMIT_TIMEOUT, consumer.position(&key.0, key.1)).await;
            if let Ok(Some(offset)) = position {
                self.shared.start_at(&key, offset);
                is_found = true;
            }
        }
        is_found
    }

    /// Looks up the topics. Returns `false` if they have other partitions than before, which the group must share again.
    async fn look_up(&mut self, consumer: &Consumer, known: &mut Option<BTreeMap<String, usize>>) -> bool {
        let mut found = BTreeMap::new();
        for topic in &self.settings.topics {
            let looked_up = timeout(COMMIT_TIMEOUT, consumer.fetch_metadata(Some(topic))).await;
            let looked_up = looked_up.unwrap_or_else(|_| Err(KrafkaError::timeout("looking up topics")));
            match looked_up {
                Ok(metadata) => {
                    let partitions = metadata.topics.iter().map(|topic| topic.partitions.len()).sum();
                    let id = metadata.topics.first().map(|topic| topic.topic_id);
                    self.topics.found(self.context, topic, partitions, id.unwrap_or_default());
                    if partitions > 0 {
                        found.insert(topic.clone(), partitions);
                    } else {
                        self.reports.failed(self.context, Action::FindTopics, &Failure::unknown_topic(topic));
                    }
                }
                Err(error) => {
                    let failure = Failure::of(&error);
                    let is_topic = matches!(failure.kind, FailureKind::UnknownTopic | FailureKind::Authorization);
                    let action = if is_topic { Action::FindTopics } else { Action::Read };
                    if failure.kind == FailureKind::UnknownTopic {
                        self.topics.found(self.context, topic, 0, [0; 16]);
                    }
                    self.reports.failed(self.context, action, &failure);
                    if !is_topic {
                        // The other topics would not be found either.
                        return true;
                    }
                }
            }
        }
        if self.faults.is_empty() {
            self.reports.worked(self.context, Action::Read);
        }
        if found.len() == self.settings.topics.len() {
            self.reports.worked(self.context, Action::FindTopics);
        }
        let is_same = known.as_ref().is_none_or(|known| *known == found);
        if !is_same {
            tracing::info!(source = %self.context.name, "the topics have other partitions; joining the group again");
        }
        *known = Some(found);
        is_same
    }

    /// Measures how many messages each partition has that are not delivered.
    async fn measure(&self, consumer: &Consumer) {
        let lag = |(TopicPartition { topic, partition, .. }, lag): (TopicPartition, PartitionLag)| {
            let end = lag.last_stable_offset.or(lag.high_watermark)?;
            let key: Key = (topic.as_str().into(), partition);
            let messages = u64::try_from(end - self.shared.done_to(&key).or(lag.position)?).unwrap_or_default();
            Some((format!("{topic}/{partition}"), messages))
        };
        let mut all: Vec<(String, u64)> = consumer.lag().await.into_iter().filter_map(lag).collect();
        all.sort_unstable();
        self.context.stats.lag.set(all);
    }

    /// Whether the messages that were there are read.
    async fn is_at_end(&self, consumer: &Consumer) -> bool {
        if !self.shared.was_assigned() || self.reports.is_failing(Action::Read) || !self.faults.is_empty() {
            return false;
        }
        let lag = consumer.lag().await;
        let assigned: usize = consumer.assignment().await.values().map(Vec::len).sum();
        lag.len() == assigned && lag.values().all(|lag| lag.lag == Some(0))
    }
}
