//! Reads subjects without JetStream.
//!
//! The server sends each message once, whether the source can take it or not. The source takes all of them at once, and drops
//! those that do not fit into `max_in_flight_bytes`; if it waited, the client would drop them uncounted in bytes, or the
//! server would close the connection.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use wattle_batch::ColumnTooLarge;
use wattle_nats::async_nats::{Message, Subscriber};
use wattle_nats::{Failure, FailureKind, Session, StreamExt};

use super::events::Builder;
use super::options::{Settings, Subscription};
use super::read::{now, pause};
use super::reports::{Action, Reports};
use super::shared::Shared;
use crate::source::SourceContext;
use crate::stats::add;
use wattle_listen::LogLimit;

/// Messages of a subscription that the client holds until the source takes them.
const CAPACITY: usize = 65_536;

/// Interval at which the end of the last deliveries is checked when the source stops.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Interval of warnings about messages that were dropped.
const WARN_AGAIN: Duration = Duration::from_secs(10);

/// Reads until the source stops.
pub(super) async fn run(
    settings: &Settings,
    subscription: &Subscription,
    context: &SourceContext,
    shared: &Arc<Shared>,
) {
    context.stats.start();
    let mut reader = Reader {
        settings,
        subscription,
        context,
        shared,
        builder: Builder::default(),
        dropped: 0,
        warnings: LogLimit::new(WARN_AGAIN),
    };
    let reports = Reports::default();
    let mut failures = 0;
    let mut stop = context.stop.clone();
    while !stop.is_stopped() && !context.output.is_closed() {
        let connected = tokio::select! {
            connected = settings.connection.connect(CAPACITY, settings.request_timeout) => connected,
            () = stop.stopped() => break,
        };
        let failure = match connected {
            Ok(session) => {
                reports.worked(context, Action::Connect);
                tokio::select! {
                    failure = reader.read(&session, &reports) => failure,
                    () = stop.stopped() => {
                        reader.flush();
                        break;
                    }
                }
            }
            Err(failure) => failure,
        };
        reports.failed(context, Action::Connect, &failure);
        failures += 1;
        tokio::select! {
            () = tokio::time::sleep(pause(failures)) => {}
            () = stop.stopped() => {}
        }
    }
    let _wait = context.waits.begin();
    shared.stop();
    while !shared.is_idle() {
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    reader.count_lost();
}

struct Reader<'s> {
    settings: &'s Settings,
    subscription: &'s Subscription,
    context: &'s SourceContext,
    shared: &'s Arc<Shared>,
    builder: Builder,
    /// Messages that were dropped and not logged.
    dropped: u64,
    warnings: LogLimit,
}

impl Reader<'_> {
    /// Reads by one connection until it ends.
    async fn read(&mut self, session: &Session, reports: &Reports) -> Failure {
        let mut subscribers = Vec::new();
        for subject in &self.subscription.subjects {
            let subject = subject.clone();
            let subscribed = match self.subscription.queue_group.clone() {
                Some(group) => session.client.queue_subscribe(subject, group).await,
                None => session.client.subscribe(subject).await,
            };
            match subscribed {
                Ok(subscriber) => subscribers.push(subscriber),
                Err(_) => return session.failure(),
            }
        }
        loop {
            let taken = tokio::select! {
                (index, message) = pick(&mut subscribers) => match (message, subscribers.get_mut(index)) {
                    (Some(message), Some(subscriber)) => self.receive(message, subscriber),
                    _ => return session.failure(),
                },
                () = session.lost() => return session.failure(),
                // The server says so if the user must not subscribe, and sends nothing.
                () = tokio::time::sleep(Duration::from_millis(500)) => {
                    if let Some(said) = session.take_said() {
                        reports.failed(self.context, Action::Read, &Failure::of_server(&said));
                    }
                    Ok(())
                }
            };
            if let Err(error) = taken {
                let text = format!("cannot make a batch of messages, which is a bug: {error}");
                return Failure { kind: FailureKind::Invalid, text };
            }
            self.drop_messages(session.dropped());
            self.count_lost();
        }
    }

    /// Takes a message and all others of its subscription that are there already, and makes batches of them.
    fn receive(&mut self, first: Message, subscriber: &mut Subscriber) -> Result<(), ColumnTooLarge> {
        let mut next = Some(first);
        while let Some(message) = next {
            self.take(&message)?;
            next = now(subscriber);
        }
        self.flush();
        Ok(())
    }

    fn take(&mut self, message: &Message) -> Result<(), ColumnTooLarge> {
        let (context, limits) = (self.context, self.context.limits);
        // A single message is taken however small the limit is.
        let is_first = self.builder.is_empty() && self.shared.is_delivered();
        if !is_first && self.builder.cost() > self.shared.free().1 {
            self.drop_messages(1);
            return Ok(());
        }
        context.stats.read_bytes.fetch_add(message.payload.len() as u64, Ordering::Relaxed);
        self.builder.add(message, None, &self.settings.format, &limits)?;
        if let Some(skipped) = self.builder.skipped() {
            context.stats.skip(&context.name, &message.subject, &skipped);
        }
        if self.builder.is_full(&limits) {
            self.flush();
        }
        Ok(())
    }

    /// Makes a batch of what there is.
    fn flush(&mut self) {
        match self.builder.finish(|| self.context.origin("nats", &[])) {
            Ok(part) => part.into_iter().for_each(|part| self.shared.take(part)),
            Err(error) => tracing::error!(source = %self.context.name, %error, "cannot make a batch, which is a bug"),
        }
    }

    /// Counts messages that did not fit.
    fn drop_messages(&mut self, count: u64) {
        if count == 0 {
            return;
        }
        add(&self.context.stats.dropped_messages, count);
        self.dropped += count;
        if self.warnings.pass().is_some() {
            tracing::warn!(
                source = %self.context.name, messages = self.dropped,
                "dropped messages that came faster than they were delivered; raise `max_in_flight_bytes`, or use JetStream"
            );
            self.dropped = 0;
        }
    }

    /// Counts events that returned undelivered after the stop.
    fn count_lost(&self) {
        let events = self.shared.take_lost();
        if events > 0 {
            add(&self.context.stats.lost, events);
            tracing::error!(
                source = %self.context.name, events,
                "events were not delivered before the source was stopped, and its input cannot be read again"
            );
        }
    }
}

/// Waits for a message of any subscription, and returns its index; without a message if that subscription has ended.
async fn pick(subscribers: &mut [Subscriber]) -> (usize, Option<Message>) {
    poll_fn(|context| {
        let ready = |(index, subscriber): (usize, &mut Subscriber)| match subscriber.poll_next_unpin(context) {
            Poll::Ready(message) => Some((index, message)),
            Poll::Pending => None,
        };
        subscribers.iter_mut().enumerate().find_map(ready).map_or(Poll::Pending, Poll::Ready)
    })
    .await
}
