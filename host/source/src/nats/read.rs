//! Reads a stream through its consumer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::time::Instant;
use wattle_batch::ColumnTooLarge;
use wattle_nats::async_nats::{Message, StatusCode, Subscriber};
use wattle_nats::{ConsumerFacts, Failure, FailureKind, Session, StreamExt};

use super::acks::{Abandon, end, keep};
use super::consumer::{self, Known};
use super::events::{Builder, Facts, Made, Part};
use super::gaps::Gaps;
use super::options::{JetStream, Settings};
use super::pull::{CAPACITY, Pulls, Said};
use super::reports::{Action, Reports};
use super::shared::{Kind, Shared};
use crate::source::SourceContext;
use crate::waits::Wait;

/// Pauses between attempts.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LAST_PAUSE: Duration = Duration::from_secs(30);

/// Interval at which the end of the last deliveries is checked when the source stops.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// After a stop, without a message for this long, the request for messages is given up.
const QUIET: Duration = Duration::from_millis(100);

/// How long the client may take to hand over what it had received before a stop.
const HAND_OVER: Duration = Duration::from_secs(1);

/// How reading ended.
enum End {
    /// The source stops, or has read everything.
    Done,
    /// The connection is lost.
    Lost,
    /// The consumer cannot be read now.
    Failed(Failure),
}

/// Reads until the source stops, or with `once` until everything that was there is delivered.
pub(super) async fn run(settings: &Settings, stream: &JetStream, context: &SourceContext, shared: &Arc<Shared>) {
    context.stats.start();
    let abandon =
        Abandon { source: context.name.clone(), shared: shared.clone(), session: parking_lot::Mutex::default() };
    let mut reader = Reader {
        settings,
        stream,
        context,
        shared,
        reports: Reports::default(),
        known: None,
        failures: AtomicU32::new(0),
    };
    loop {
        let connected = tokio::select! {
            connected = settings.connection.connect(CAPACITY, settings.request_timeout) => connected,
            () = reader.finished() => return,
        };
        match connected {
            Ok(session) => {
                reader.reports.worked(context, Action::Connect);
                let session = Arc::new(session);
                *abandon.session.lock() = Some(session.clone());
                match reader.serve(&session).await {
                    End::Done => return,
                    End::Lost | End::Failed(_) => {
                        reader.reports.failed(context, Action::Read, &session.failure());
                    }
                }
                *abandon.session.lock() = None;
            }
            Err(failure) => {
                reader.reports.failed(context, Action::Connect, &failure);
                if reader.is_stopping() && shared.is_delivered() {
                    // What was delivered and not acknowledged is delivered again.
                    return;
                }
            }
        }
        tokio::select! {
            () = tokio::time::sleep(reader.pause()) => {}
            () = reader.finished() => return,
        }
    }
}

/// The pause after this many failures in a row, with jitter.
pub(super) fn pause(failures: u32) -> Duration {
    let full = FIRST_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(LAST_PAUSE);
    full.mul_f64(0.5 + fastrand::f64() / 2.0)
}

struct Reader<'s> {
    settings: &'s Settings,
    stream: &'s JetStream,
    context: &'s SourceContext,
    shared: &'s Arc<Shared>,
    reports: Reports,
    known: Option<Known>,
    /// Failed attempts in a row.
    failures: AtomicU32,
}

impl Reader<'_> {
    /// Counts a failure; returns the pause after it.
    fn pause(&self) -> Duration {
        pause(self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1))
    }

    fn is_stopping(&self) -> bool {
        self.context.stop.is_stopped() || self.context.output.is_closed()
    }

    /// Waits until the source must stop.
    async fn stopping(&self) {
        let mut stop = self.context.stop.clone();
        tokio::select! {
            () = stop.stopped() => {}
            () = async {
                while !self.context.output.is_closed() {
                    tokio::time::sleep(5 * LOOK_AGAIN).await;
                }
            } => {}
        }
        self.shared.stop();
    }

    /// Waits until the source must stop and the server knows everything.
    async fn finished(&self) {
        self.stopping().await;
        while !self.shared.is_idle() {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Works with one connection.
    async fn serve(&mut self, session: &Session) -> End {
        // Also while the consumer cannot be found, what is delivered is acknowledged.
        let mut ack_wait = Duration::from_secs(30);
        let mut known = self.known.take();
        loop {
            let this = &*self;
            let (context, shared) = (this.context, this.shared);
            let found = tokio::select! {
                found = consumer::find(session, this.stream, context, shared, &mut known) => found,
                never = end(session, context, shared, &this.reports) => match never {},
                never = keep(session, shared, ack_wait) => match never {},
                () = session.lost() => return self.ended(known, End::Lost),
                () = this.finished() => return End::Done,
            };
            let failure = match found {
                Ok(facts) => {
                    this.reports.worked(context, Action::FindConsumer);
                    ack_wait = facts.ack_wait();
                    let read = async {
                        let read = this.read(session, &facts);
                        tokio::pin!(read);
                        tokio::select! {
                            end = &mut read => end,
                            // A stop must still hand over what was received.
                            failure = consumer::measure(session, this.stream, context, &mut known) => match this.is_stopping() {
                                true => read.await,
                                false => End::Failed(failure),
                            },
                        }
                    };
                    let ended = tokio::select! {
                        ended = read => ended,
                        never = end(session, context, shared, &this.reports) => match never {},
                        never = keep(session, shared, ack_wait) => match never {},
                    };
                    match ended {
                        End::Failed(failure) => {
                            this.reports.failed(context, Action::Read, &failure);
                            failure
                        }
                        ended => return self.ended(known, ended),
                    }
                }
                Err(failure) => {
                    this.reports.failed(context, Action::FindConsumer, &failure);
                    failure
                }
            };
            // The user may have to connect again to have a new permission, and what is asked too often gets no answer.
            let this = &*self;
            let wait = if failure.kind == FailureKind::NoConsumer { FIRST_PAUSE } else { this.pause() };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                never = end(session, context, shared, &this.reports) => match never {},
                never = keep(session, shared, ack_wait) => match never {},
                () = session.lost() => return self.ended(known, End::Lost),
                () = this.finished() => return End::Done,
            }
        }
    }

    fn ended(&mut self, known: Option<Known>, end: End) -> End {
        self.known = known;
        end
    }

    /// Reads messages until the source stops or the consumer fails. Returns after everything is acknowledged.
    async fn read(&self, session: &Session, facts: &ConsumerFacts) -> End {
        let (context, shared) = (self.context, self.shared);
        let inbox = session.client.new_inbox();
        let Ok(mut messages) = session.client.subscribe(format!("{inbox}.*")).await else { return End::Lost };
        let mut pulls = Pulls::new(self.settings.max_in_flight, self.settings.max_in_flight_bytes, facts);
        let mut builders = [Builder::default(), Builder::default()];
        let mut gaps = Gaps::new(facts);
        let mut last_activity = Instant::now();
        let mut full: Option<Wait> = None;
        let mut end_of_input: Option<Wait> = None;
        let mut is_at_end = false;
        let stopping = self.stopping();
        tokio::pin!(stopping);
        loop {
            if is_at_end && shared.is_idle() {
                return End::Done;
            }
            let next = match is_at_end {
                true => None,
                false => pulls.next(shared.free(), shared.is_delivered(), context.once),
            };
            if let Some((number, pull)) = next {
                let JetStream { api, stream, consumer, .. } = self.stream;
                if api.pull(session, stream, consumer, &pull, format!("{inbox}.{number}")).await.is_err() {
                    session.lost().await;
                }
                last_activity = Instant::now();
                full = None;
            }
            if !pulls.is_open() && !is_at_end {
                full.get_or_insert_with(|| context.waits.begin());
            }
            let silence = last_activity + pulls.patience();
            tokio::select! {
                biased;
                () = &mut stopping => break,
                message = messages.next() => {
                    let Some(message) = message else { return End::Lost };
                    last_activity = Instant::now();
                    match self.receive(message, &mut messages, &mut pulls, &mut builders, &mut gaps) {
                        Ok(Said::Failed(failure)) => return End::Failed(failure),
                        Ok(Said::Empty) if context.once => {
                            is_at_end = true;
                            end_of_input.get_or_insert_with(|| context.end_of_input());
                        }
                        Ok(_) => {}
                        Err(error) => {
                            let text = format!("cannot make a batch of messages, which is a bug: {error}");
                            return End::Failed(Failure { kind: FailureKind::Invalid, text });
                        }
                    }
                    self.reports.worked(context, Action::Read);
                    self.failures.store(0, Ordering::Relaxed);
                }
                // What came before is taken first: it can be acknowledged over the next connection.
                () = session.lost() => return End::Lost,
                () = shared.room.notified(), if !pulls.is_open() || is_at_end => {}
                () = tokio::time::sleep_until(silence), if pulls.is_open() && !context.once => {
                    return End::Failed(Failure::no_answer());
                }
            }
        }
        self.hand_back(&mut messages, &mut pulls, &mut builders).await;
        let idle = async {
            while !shared.is_idle() {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        tokio::select! {
            () = idle => End::Done,
            () = session.lost() => End::Lost,
        }
    }

    /// Takes a message and all others that are there already, and makes batches of them.
    fn receive(
        &self,
        first: Message,
        messages: &mut Subscriber,
        pulls: &mut Pulls,
        builders: &mut [Builder; 2],
        gaps: &mut Gaps,
    ) -> Result<Said, ColumnTooLarge> {
        let mut said = Said::Nothing;
        let mut next = Some(first);
        while let Some(message) = next {
            match message.status.filter(|status| *status != StatusCode::OK) {
                Some(status) => {
                    let number = message.subject.rsplit_once('.').and_then(|(_, number)| number.parse().ok());
                    let description = message.description.as_deref().unwrap_or_default();
                    match pulls.said(number.unwrap_or_default(), status.into(), description) {
                        Said::Nothing => {}
                        other => said = other,
                    }
                }
                None => {
                    pulls.message();
                    self.take(&message, builders, gaps)?;
                }
            }
            next = now(messages);
        }
        if let Some(lost) = gaps.report(Instant::now()) {
            let JetStream { stream, consumer, .. } = self.stream;
            tracing::error!(
                source = %self.context.name, stream, consumer, lost,
                "messages are lost: they were deleted from the stream before they were delivered"
            );
        }
        self.flush(builders)?;
        Ok(said)
    }

    /// Adds a message to a batch, or ends it if it has no events.
    fn take(&self, message: &Message, builders: &mut [Builder; 2], gaps: &mut Gaps) -> Result<(), ColumnTooLarge> {
        let (context, shared) = (self.context, self.shared);
        let Some((reply, facts)) = message.reply.as_ref().and_then(|reply| Some((reply, Facts::of(reply)?))) else {
            // Others can send to the subject of the answers, too.
            tracing::debug!(source = %context.name, subject = %message.subject, "ignored a message that is not from JetStream");
            return Ok(());
        };
        context.stats.read_bytes.fetch_add(message.payload.len() as u64, Ordering::Relaxed);
        context.stats.expired_messages.fetch_add(gaps.message(&facts), Ordering::Relaxed);
        if !shared.begin(facts.sequence, reply) {
            return Ok(());
        }
        let [fresh, again] = builders;
        let builder = if facts.deliveries > 1 { again } else { fresh };
        match builder.add(message, Some(facts), &self.settings.format, &context.limits)? {
            Made::Events => {}
            Made::Nothing => shared.end(facts.sequence, Kind::Ack),
            Made::TooLong => shared.end(facts.sequence, Kind::Term),
        }
        if let Some(skipped) = builder.skipped() {
            context.stats.skip(&context.name, &format!("{}/{}", self.stream.stream, message.subject), &skipped);
        }
        if builder.is_full(&context.limits) {
            builder.finish(|| self.origin())?.into_iter().for_each(|part: Part| shared.take(part));
        }
        Ok(())
    }

    fn flush(&self, builders: &mut [Builder; 2]) -> Result<(), ColumnTooLarge> {
        for builder in builders {
            builder.finish(|| self.origin())?.into_iter().for_each(|part| self.shared.take(part));
        }
        Ok(())
    }

    fn origin(&self) -> Arc<wattle_batch::Origin> {
        let JetStream { stream, consumer, .. } = self.stream;
        self.context.origin("nats", &[("stream", stream), ("consumer", consumer)])
    }

    /// Gives back what comes after the stop, until the open request is over or nothing comes any more.
    async fn hand_back(&self, messages: &mut Subscriber, pulls: &mut Pulls, builders: &mut [Builder; 2]) {
        let give_back = |message: &Message| {
            let facts = message.reply.as_ref().and_then(|reply| Some((reply, Facts::of(reply)?)));
            if let Some((reply, Facts { sequence, .. })) = facts
                && self.shared.begin(sequence, reply)
            {
                self.shared.end(sequence, Kind::Nak(Duration::ZERO));
            }
        };
        // They go back as the others that were not sent.
        let _ = self.flush(builders);
        // The client drops what comes after it has left, and the server would deliver that only after `ack_wait`.
        while pulls.is_open() {
            let Ok(Some(message)) = tokio::time::timeout(QUIET, messages.next()).await else { break };
            if message.status.is_none_or(|status| status == StatusCode::OK) {
                pulls.message();
                give_back(&message);
            } else {
                break;
            }
        }
        let rest = async {
            // Ends the subscription, and with it the request.
            if messages.drain().await.is_ok() {
                while let Some(message) = messages.next().await {
                    give_back(&message);
                }
            }
        };
        let _ = tokio::time::timeout(HAND_OVER, rest).await;
    }
}

/// The next message, if there is one already.
pub(super) fn now(messages: &mut Subscriber) -> Option<Message> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match messages.poll_next_unpin(&mut context) {
        std::task::Poll::Ready(message) => message,
        std::task::Poll::Pending => None,
    }
}
