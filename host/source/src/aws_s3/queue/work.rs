//! The work on one message: reads its objects, and decides how it ends.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::OwnedSemaphorePermit;
use wattle_aws::Message;
use wattle_aws::notification::{self, Notification, Object, Verdict};

use super::super::audit::Audit;
use super::super::backoff::{Backoff, jittered};
use super::super::delivery::Delivery;
use super::super::finish::{End, Ending};
use super::super::lease::Lease;
use super::super::level::Slot;
use super::super::memory::Known;
use super::super::options::OnFailure;
use super::super::read::{Ended, Place, Read, Start};
use super::Queue;
use crate::stats::add;

/// First and longest pause before a message comes again after its object could not be read.
const FIRST_RETURN: Duration = Duration::from_secs(10);
const LAST_RETURN: Duration = Duration::from_mins(15);

/// Pauses before events that returned undelivered are read again.
const FIRST_AGAIN: Duration = Duration::from_millis(500);
const LAST_AGAIN: Duration = Duration::from_secs(30);

/// An object whose events are sent.
struct Sent {
    begun: Instant,
    delivery: Delivery,
    read: Read,
}

impl Queue {
    /// Works on one message from its notification to its end.
    pub(super) async fn work(self: Arc<Self>, message: Message, lease: Lease, slot: Slot, place: OwnedSemaphorePermit) {
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
                tracing::debug!(source = %context.name, message_id = %message.id, events = ?found.ignored, "no new object");
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
            source = %context.name, message_id = %message.id, reason = %why,
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
            let begun = Instant::now();
            let read = self.reader.clone().read(&place_of(object), start, delivery.clone(), &self.slots).await;
            sent.push((index, Sent { begun, delivery, read }));
        }
        // Waiting for the delivery needs no slot.
        drop(slot);
        // A message that cannot be finished goes back at once, even if the delivery of some of its objects takes longer.
        if sent.iter().any(|(_, sent)| matches!(sent.read.ended, Ended::Stopped)) {
            return End::Return(Duration::ZERO);
        }
        for (index, sent) in sent {
            let (Some(object), Some(state)) = (found.objects.get(index), known.get_mut(index)) else { continue };
            let end = self.conclude(message, object, state, sent).await;
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
    async fn conclude(&self, message: &Message, object: &Object, state: &mut Known, sent: Sent) -> End {
        let (context, place) = (&self.reader.context, &place_of(object));
        let Sent { begun, mut delivery, mut read } = sent;
        let mut backoff = Backoff::new(FIRST_AGAIN, LAST_AGAIN);
        loop {
            if matches!(read.ended, Ended::Stopped) {
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
            state.events += settled.events;
            state.etag.clone_from(&read.etag);
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
            let start = Start { position: settled.done_to, etag: read.etag.clone(), is_again: true };
            delivery = Delivery::starting_at(settled.done_to);
            let next = self.reader.clone().read(place, start, delivery.clone(), &self.slots).await;
            read = Read { etag: next.etag.or(read.etag), size: next.size.or(read.size), ..next };
            drop(slot);
        }
        let delay = object.time.filter(|_| matches!(read.ended, Ended::Whole)).map(|time| {
            let delay = Timestamp::now().duration_since(time);
            // The clock of this machine can be behind.
            Duration::try_from(delay).unwrap_or_default()
        });
        if let Some(delay) = delay {
            context.stats.queue.delays.record(delay);
        }
        Audit {
            source: &context.name,
            place,
            message: Some(&message.id),
            begun,
            bytes: state.position,
            events: state.events,
            delay,
        }
        .log(&read);
        self.outcome(message, place, state, read.ended)
    }

    /// What the end of an object means for its message.
    fn outcome(&self, message: &Message, place: &Place, state: &mut Known, ended: Ended) -> End {
        let (context, stats) = (&self.reader.context, &self.reader.context.stats);
        let (bucket, key) = (place.bucket.as_str(), place.key.as_str());
        if matches!(ended, Ended::Whole | Ended::Broken(_) | Ended::Missing(_)) {
            self.reader.resume.forget(place);
        }
        let fail = |what: &str, reason: &str| {
            stats.fail(format!("s3://{bucket}/{key} {reason}"));
            tracing::error!(source = %context.name, bucket, key, message_id = %message.id, reason, "{what}");
        };
        match ended {
            Ended::Whole => {
                self.failures.store(0, Ordering::Relaxed);
                state.is_done = true;
                add(&stats.queue.objects, 1);
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
                    (state.position, state.events, state.etag) = (0, 0, None);
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
