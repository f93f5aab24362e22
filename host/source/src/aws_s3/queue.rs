//! Reads the objects that the messages of an SQS queue announce.
//!
//! A message is received only when reading its objects can begin at once. It is deleted when every event of all its
//! objects is delivered, rejected or dropped on purpose. Anything else gives it back to the queue, after a pause that
//! grows with the number of deliveries; the redrive policy of the queue decides how often.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;
use wattle_aws::notification::{self, Notification, Object, Verdict};
use wattle_aws::{Error, Message, Receive, Sqs};

use super::backoff::{Backoff, jittered};
use super::delivery::Delivery;
use super::finish::{End, Ending, Finisher};
use super::lease::{Lease, Leases, MAX_BATCH};
use super::level::{Level, Slot};
use super::memory::{Known, Memory};
use super::options::{OnFailure, Settings};
use super::read::{Ended, Place, Reader, Start};
use crate::source::Stop;
use crate::stats::add;

/// How long SQS may hold a request if the source ends when the queue is empty. SQS asks all of its servers only if it may wait.
const WAIT_ONCE: Duration = Duration::from_secs(1);

/// Shortest interval between requests to an empty queue.
const MIN_INTERVAL: Duration = Duration::from_millis(100);

/// How much longer than its wait a request for messages may take after a stop. The server does not notice that a client
/// gave up: the request would still receive messages, also those that were just given back, and hide them from all receivers.
/// So the source waits for it, and gives back what it brings.
const GRACE: Duration = Duration::from_secs(1);

/// Objects being read at the same time, for each request that waits for messages.
const OBJECTS_PER_RECEIVER: usize = 16;

/// Requests that delete and give back messages at the same time.
const FINISHERS: usize = 4;

/// First and longest pause before a message comes again after its object could not be read.
const FIRST_RETURN: Duration = Duration::from_secs(10);
const LAST_RETURN: Duration = Duration::from_mins(15);

/// Pauses after failures of receiving, and after many objects in a row that could not be read.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LAST_PAUSE: Duration = Duration::from_mins(1);

/// Objects in a row that could not be read, after which receiving pauses: the cause is probably not the objects.
const MANY_FAILURES: u32 = 20;

/// Pauses before events that returned undelivered are read again.
const FIRST_AGAIN: Duration = Duration::from_millis(500);
const LAST_AGAIN: Duration = Duration::from_secs(30);

/// What the tasks of a queue share.
struct Queue {
    reader: Arc<Reader>,
    settings: Arc<Settings>,
    queue: Sqs,
    leases: Arc<Leases>,
    memory: Mutex<Memory>,
    endings: mpsc::Sender<Ending>,
    /// One permit for each object that may be read at the same time.
    slots: Arc<Level>,
    /// The same for objects that are read again. The receivers hold the others while the queue is empty.
    again: Semaphore,
    /// One permit for each message that may be in work.
    places: Arc<Semaphore>,
    /// Objects in a row that could not be read.
    failures: AtomicU32,
}

/// Gives back messages if the future of the source is dropped.
struct AbandonOnDrop(Arc<Leases>);

impl Drop for AbandonOnDrop {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

/// Reads objects until the source is stopped, or with `once` until the queue is empty. Returns when every message is
/// deleted or given back.
pub(super) async fn run(reader: Arc<Reader>, settings: Arc<Settings>, queue: Sqs, stop: Stop) {
    let (context, stats) = (&reader.context, &reader.context.stats);
    let leases = Leases::new(queue.clone(), context.name.clone(), settings.visibility, stats.clone());
    let (endings, receiver) = mpsc::channel(settings.max_in_flight);
    let finisher = Arc::new(Finisher {
        queue: queue.clone(),
        source: context.name.clone(),
        endings: tokio::sync::Mutex::new(receiver),
        stats: stats.clone(),
    });
    warn_without_redrive(&queue, &context.name).await;
    let places = Arc::new(Semaphore::new(settings.max_in_flight));
    let again = (settings.max_objects / 4).max(1);
    let receivers = receivers(&settings);
    let slots = Level::new(context.name.clone(), settings.max_objects);
    let shared = Arc::new(Queue {
        reader: reader.clone(),
        settings,
        queue,
        leases: leases.clone(),
        memory: Mutex::default(),
        endings,
        slots,
        again: Semaphore::new(again),
        places,
        failures: AtomicU32::new(0),
    });
    // Dropping this future aborts the tasks in the sets.
    let mut finishers = JoinSet::new();
    for _ in 0..FINISHERS {
        let finisher = finisher.clone();
        finishers.spawn(async move { finisher.run().await });
    }
    let mut receiving = JoinSet::new();
    for _ in 0..receivers {
        receiving.spawn(shared.clone().receive(stop.clone()));
    }
    // Only the receivers hold the sender from here on, so the finishers end after them.
    drop(shared);
    // After the sets, so that it is dropped before them: an aborted task ends its lease, and a
    // message without a lease is not given back.
    let _abandon = AbandonOnDrop(leases.clone());
    let work = async {
        while receiving.join_next().await.is_some() {}
        while finishers.join_next().await.is_some() {}
    };
    tokio::select! {
        () = work => {}
        () = leases.keep() => {}
    }
}

/// Number of requests that wait for messages at the same time.
pub(super) fn receivers(settings: &Settings) -> usize {
    settings.max_objects.div_ceil(OBJECTS_PER_RECEIVER)
}

/// Logs if messages that can never be read would stay in the queue until they expire.
async fn warn_without_redrive(queue: &Sqs, source: &str) {
    match queue.attributes(&["RedrivePolicy"]).await {
        Ok(found) if !found.contains_key("RedrivePolicy") => tracing::warn!(
            source,
            queue = queue.url(),
            "the queue has no redrive policy, so a message whose object cannot be read comes again until it expires; \
             add a dead-letter queue"
        ),
        Ok(_) => {}
        // The permission is optional, and receiving reports everything else.
        Err(error) => tracing::debug!(source, error = %error, "cannot read the redrive policy of the queue"),
    }
}

impl Queue {
    /// Receives messages and works on them.
    async fn receive(self: Arc<Self>, mut stop: Stop) {
        let mut works = JoinSet::new();
        let mut backoff = Backoff::new(FIRST_PAUSE, LAST_PAUSE);
        let once = self.reader.context.once;
        while !stop.is_stopped() {
            while let Some(ended) = works.try_join_next() {
                self.check(ended);
            }
            let room = tokio::select! {
                room = self.room() => room,
                () = stop.stopped() => break,
            };
            let wait = if once { WAIT_ONCE } else { self.settings.wait };
            let request = Receive { max: room.len(), wait, visibility: Some(self.settings.visibility) };
            let begun = Instant::now();
            let received = {
                let receive = self.queue.receive(&request);
                tokio::pin!(receive);
                tokio::select! {
                    received = &mut receive => received,
                    () = stop.stopped() => match tokio::time::timeout(wait + GRACE, receive).await {
                        Ok(received) => received,
                        Err(_) => break,
                    },
                }
            };
            let messages = match received {
                Ok(messages) => messages,
                Err(error) => {
                    drop(room);
                    self.outage(&error, &mut backoff, &mut stop).await;
                    continue;
                }
            };
            if backoff.attempts() > 0 {
                tracing::info!(source = %self.reader.context.name, "messages can be received again");
                backoff.reset();
            }
            if messages.is_empty() {
                if once {
                    break;
                }
                // Some servers do not wait for messages.
                tokio::select! {
                    () = tokio::time::sleep(MIN_INTERVAL.saturating_sub(begun.elapsed())) => {}
                    () = stop.stopped() => {}
                }
            }
            add(&self.reader.context.stats.queue.received, messages.len() as u64);
            for (message, (slot, place)) in messages.into_iter().zip(room) {
                if let Some(lease) = self.leases.begin(&message) {
                    works.spawn(self.clone().work(message, lease, slot, place));
                }
            }
            self.pause_after_failures(&mut stop).await;
        }
        let _wait = match once && !stop.is_stopped() {
            true => self.reader.end_part(&self.slots).await,
            false => None,
        };
        while let Some(ended) = works.join_next().await {
            self.check(ended);
        }
    }

    fn check(&self, ended: Result<(), tokio::task::JoinError>) {
        if let Err(error) = ended {
            tracing::error!(
                source = %self.reader.context.name, error = %error,
                "working on a message panicked, which is a bug; the message comes again"
            );
        }
    }

    /// Waits until a message can be worked on, and takes the permits for as many as possible.
    async fn room(&self) -> Vec<(Slot, OwnedSemaphorePermit)> {
        let mut room = Vec::with_capacity(MAX_BATCH);
        let place = match self.places.clone().try_acquire_owned() {
            Ok(place) => Ok(place),
            Err(_) => {
                let _wait = self.reader.context.waits.begin();
                self.places.clone().acquire_owned().await
            }
        };
        // The semaphore is never closed.
        if let Ok(place) = place {
            room.push((self.slots.acquire().await, place));
        }
        while room.len() < MAX_BATCH {
            let Ok(place) = self.places.clone().try_acquire_owned() else { break };
            let Some(slot) = self.slots.try_acquire() else { break };
            room.push((slot, place));
        }
        room
    }

    /// Reports a failure to receive, and waits.
    async fn outage(&self, error: &Error, backoff: &mut Backoff, stop: &mut Stop) {
        let context = &self.reader.context;
        let pause = backoff.after(error);
        // One line for each pause, which is a minute soon.
        context.stats.fail(error.to_string());
        tracing::error!(source = %context.name, error = %error, ?pause, "cannot receive messages; retrying");
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.stopped() => {}
        }
    }

    /// Waits if many objects in a row could not be read, so that a wrong permission does not send the whole queue to the
    /// dead letters in a moment.
    async fn pause_after_failures(&self, stop: &mut Stop) {
        let failures = self.failures.load(Ordering::Relaxed);
        if failures < MANY_FAILURES {
            return;
        }
        let pause = jittered(FIRST_PAUSE, LAST_PAUSE, failures / MANY_FAILURES - 1);
        tracing::warn!(
            source = %self.reader.context.name, objects = failures, ?pause,
            "no object could be read for a while; receiving fewer messages"
        );
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.stopped() => {}
        }
    }

    /// Works on one message from its notification to its end.
    async fn work(self: Arc<Self>, message: Message, lease: Lease, slot: Slot, place: OwnedSemaphorePermit) {
        let end = self.end_of(&message, slot).await;
        // The finishers run as long as anything can send.
        let _ = self.endings.send(Ending { lease, end, _place: place }).await;
    }

    async fn end_of(&self, message: &Message, slot: Slot) -> End {
        let (context, stats) = (&self.reader.context, &self.reader.context.stats);
        let found = match notification::parse(&message.body) {
            Ok(found) => found,
            Err(error) => {
                self.report_invalid(message, &error.to_string());
                return self.later(message, None);
            }
        };
        match found.verdict() {
            Verdict::TestEvent => return End::Delete,
            Verdict::Ignored => {
                add(&stats.queue.ignored, 1);
                tracing::debug!(source = %context.name, message = %message.id, events = ?found.ignored, "no new object");
                return End::Delete;
            }
            Verdict::Invalid | Verdict::Objects => {}
        }
        let end = self.read_all(message, &found, slot).await;
        match found.invalid.first() {
            Some(error) if end == End::Delete => {
                self.report_invalid(message, &error.to_string());
                self.later(message, None)
            }
            _ => end,
        }
    }

    fn report_invalid(&self, message: &Message, why: &str) {
        let context = &self.reader.context;
        add(&context.stats.queue.invalid, 1);
        context.stats.fail(format!("message {}: {why}", message.id));
        tracing::warn!(
            source = %context.name, message = %message.id, reason = %why,
            "a message is not a notification of objects; leaving it to the redrive policy of the queue"
        );
    }

    /// Reads the objects of a message one after the other, and waits until they are delivered.
    async fn read_all(&self, message: &Message, found: &Notification, slot: Slot) -> End {
        let stats = &self.reader.context.stats;
        let mut known = self.memory.lock().recall(&message.id, found.objects.len());
        let mut sent = Vec::new();
        let mut worst = End::Delete;
        for (index, object) in found.objects.iter().enumerate() {
            let Some(state) = known.get_mut(index).filter(|state| !state.is_done) else { continue };
            if !self.settings.filter.accepts(&object.bucket, &object.key) {
                add(&stats.queue.filtered, 1);
                state.is_done = true;
                continue;
            }
            let start = Start {
                position: state.position,
                etag: state.etag.clone().filter(|_| state.position > 0),
                is_again: message.receive_count().is_some_and(|count| count > 1),
            };
            let delivery = Delivery::starting_at(start.position);
            let (ended, etag) = self.reader.clone().read(&place_of(object), start, delivery.clone(), &self.slots).await;
            sent.push((index, delivery, ended, etag));
        }
        // Waiting for the delivery needs no slot.
        drop(slot);
        // A message that cannot be finished goes back at once, even if the delivery of some of its objects takes longer.
        if sent.iter().any(|(_, _, ended, _)| matches!(ended, Ended::Stopped)) {
            return End::Return(Duration::ZERO);
        }
        for (index, delivery, ended, etag) in sent {
            let (Some(object), Some(state)) = (found.objects.get(index), known.get_mut(index)) else { continue };
            let end = self.conclude(message, object, state, (delivery, ended, etag)).await;
            worst = match (worst, end) {
                (End::Delete, end) | (end, End::Delete) => end,
                (End::Return(one), End::Return(other)) => End::Return(one.max(other)),
            };
        }
        let broken = known.iter().any(|state| state.broken.is_some());
        if broken && worst == End::Delete && self.settings.on_broken == OnFailure::Retry {
            worst = self.later(message, None);
        }
        // Also if it is deleted, since that can fail, and SQS can deliver a message once more.
        self.memory.lock().remember(&message.id, known);
        worst
    }

    /// Waits until the events of an object are delivered; reads it again from there if some returned.
    async fn conclude(
        &self,
        message: &Message,
        object: &Object,
        state: &mut Known,
        (mut delivery, mut ended, mut etag): (Delivery, Ended, Option<String>),
    ) -> End {
        let context = &self.reader.context;
        let mut backoff = Backoff::new(FIRST_AGAIN, LAST_AGAIN);
        loop {
            if matches!(ended, Ended::Stopped) {
                // Given back at once, without waiting for the delivery of what was sent.
                return End::Return(Duration::ZERO);
            }
            let settled = tokio::select! {
                settled = delivery.settled() => settled,
                () = self.reader.halt.wait() => match delivery.settled().await {
                    settled if settled.has_returned => return End::Return(Duration::ZERO),
                    settled => settled,
                },
            };
            state.position = settled.done_to;
            state.etag.clone_from(&etag);
            if !settled.has_returned {
                break;
            }
            add(&context.stats.retries, 1);
            let pause = backoff.next();
            tracing::warn!(
                source = %context.name, bucket = %object.bucket, key = %object.key, position = settled.done_to, ?pause,
                "events returned undelivered; reading the object again"
            );
            let slot = tokio::select! {
                slot = async { tokio::time::sleep(pause).await; self.again.acquire().await } => slot,
                () = self.reader.halt.wait() => return End::Return(Duration::ZERO),
            };
            let start = Start { position: settled.done_to, etag: etag.clone(), is_again: true };
            delivery = Delivery::starting_at(settled.done_to);
            let (next, found) = self.reader.clone().read(&place_of(object), start, delivery.clone(), &self.slots).await;
            (ended, etag) = (next, found.or(etag));
            drop(slot);
        }
        self.outcome(message, object, state, ended)
    }

    /// What the end of an object means for its message.
    fn outcome(&self, message: &Message, object: &Object, state: &mut Known, ended: Ended) -> End {
        let (context, stats) = (&self.reader.context, &self.reader.context.stats);
        let (bucket, key) = (object.bucket.as_str(), object.key.as_str());
        let fail = |what: &str, reason: &str| {
            stats.fail(format!("s3://{bucket}/{key} {reason}"));
            tracing::error!(source = %context.name, bucket, key, message = %message.id, reason, "{what}");
        };
        match ended {
            Ended::Whole => {
                self.failures.store(0, Ordering::Relaxed);
                state.is_done = true;
                add(&stats.queue.objects, 1);
                let delay = object.time.map(|time| Timestamp::now().duration_since(time));
                let delay = delay.and_then(|delay| u64::try_from(delay.as_millis()).ok()).unwrap_or_default();
                add(&stats.queue.delay_milliseconds, delay);
                tracing::debug!(
                    source = %context.name, bucket, key, message = %message.id, delay_milliseconds = delay,
                    bytes = state.position, "object delivered"
                );
                End::Delete
            }
            Ended::Broken(reason) => {
                self.failures.store(0, Ordering::Relaxed);
                add(&stats.queue.failed, 1);
                fail("an object cannot be read to its end; the events before are delivered", &reason);
                state.is_done = true;
                state.broken = Some(reason);
                End::Delete
            }
            Ended::Missing(reason) => {
                add(&stats.queue.missing, 1);
                fail("an object does not exist any more", &reason);
                match self.settings.on_missing {
                    OnFailure::Delete => {
                        state.is_done = true;
                        End::Delete
                    }
                    OnFailure::Retry => self.later(message, None),
                }
            }
            Ended::Failed(failure) => {
                self.failures.fetch_add(1, Ordering::Relaxed);
                add(&stats.queue.failed, 1);
                if failure.is_overwritten {
                    (state.position, state.etag) = (0, None);
                }
                fail("an object cannot be read now; trying its message again later", &failure.reason);
                self.later(message, failure.after)
            }
            Ended::Stopped => End::Return(Duration::ZERO),
        }
    }

    /// The end of a message that must come again: after a pause that grows with each delivery, with jitter.
    fn later(&self, message: &Message, at_least: Option<Duration>) -> End {
        let before = message.receive_count().unwrap_or(1).saturating_sub(1);
        let pause = jittered(FIRST_RETURN, LAST_RETURN, u32::try_from(before).unwrap_or(u32::MAX));
        End::Return(pause.max(at_least.unwrap_or_default()))
    }
}

fn place_of(object: &Object) -> Place {
    Place {
        bucket: object.bucket.clone(),
        key: object.key.clone(),
        version: object.version.clone(),
        region: object.region.clone(),
    }
}
