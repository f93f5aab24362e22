//! Reads the objects that the messages of an SQS queue announce.
//!
//! A message is received only when reading its objects can begin at once. It is deleted when every event of all its
//! objects is delivered, rejected or dropped on purpose. Anything else gives it back to the queue, after a pause that
//! grows with the number of deliveries; the redrive policy of the queue decides how often.

mod work;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;
use wattle_aws::{Error, Receive, Sqs};

use super::backoff::{Backoff, jittered};
use super::finish::{Ending, Finisher};
use super::lease::{Leases, MAX_BATCH};
use super::level::{Level, Slot};
use super::memory::Memory;
use super::options::Settings;
use super::read::Reader;
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

/// Pauses after failures of receiving, and after many objects in a row that could not be read.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LAST_PAUSE: Duration = Duration::from_mins(1);

/// Objects in a row that could not be read, after which receiving pauses: the cause is probably not the objects.
const MANY_FAILURES: u32 = 20;

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
        add(&context.stats.queue.retried_requests, 1);
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
}
