//! The way of one request: it is sent until the far side has its events, or refuses them for good.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use parking_lot::Mutex;
use wattle_batch::Ack;

use super::answer::{Item, Verdict, items, retry_after};
use super::client::Client;
use super::dead_letter::{DeadLetter, Refusal};
use super::group::Group;
use super::options::{Format, Settings};
use crate::compress::Compression;
use crate::retry::{Backoff, Outage};
use crate::sink::SinkStats;

/// What all requests of a sink share.
pub(crate) struct Courier {
    sink: Arc<str>,
    /// Address without what could be secret in it.
    address: String,
    settings: Settings,
    client: Client,
    stats: Arc<SinkStats>,
    dead_letter: Option<DeadLetter>,
    outage: Mutex<Outage>,
    refusals: Mutex<Outage>,
}

/// Requests that are sent to find out which events of one are refused; then those that are still in question are refused
/// together.
const MOST_PARTS: u32 = 1000;

/// What came of one attempt.
struct Attempt {
    verdict: Verdict,
    refusal: Refusal,
    /// How long the far side asks to wait.
    asked: Option<Duration>,
    /// What became of each event, where the answer tells and it is not the same for all.
    items: Option<Vec<Item>>,
}

/// How sending a request ended.
enum End {
    Delivered,
    TooLarge(Refusal),
    /// The far side does not take all of it.
    Refused(Refusal),
    /// It takes nothing, and the attempts are used up.
    GivenUp(Refusal),
}

impl Courier {
    pub(crate) fn new(sink: Arc<str>, settings: Settings, client: Client, stats: Arc<SinkStats>) -> Self {
        let uri = &settings.uri;
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let address = format!("{}://{authority}{}", uri.scheme_str().unwrap_or_default(), uri.path());
        let dead_letter = settings.dead_letter.clone().map(DeadLetter::new);
        let (outage, refusals) = (Mutex::default(), Mutex::default());
        Self { sink, address, settings, client, stats, dead_letter, outage, refusals }
    }

    /// Brings events to where they belong, however long it takes, and ends their acknowledgements.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, events that were not delivered are not acknowledged.
    pub(crate) async fn deliver(self: Arc<Self>, group: Group) {
        let mut groups = vec![group];
        let mut parts = MOST_PARTS;
        while let Some(mut group) = groups.pop() {
            match self.send(&mut group).await {
                End::Delivered => group.deliver(&self.stats),
                // One event that the far side cannot take must not cost those that it came with.
                end @ (End::TooLarge(_) | End::Refused(_)) if group.len() > 1 && parts > 1 => {
                    if matches!(end, End::Refused(_)) {
                        parts -= 2;
                    }
                    self.stats.retried();
                    let first = group.split_first(group.len() / 2);
                    groups.push(group);
                    groups.push(first);
                }
                End::TooLarge(refusal) | End::Refused(refusal) => self.refuse(group, &refusal, Ack::reject).await,
                End::GivenUp(refusal) => self.refuse(group, &refusal, Ack::give_up).await,
            }
        }
    }

    /// Sends a request until its end. Events whose end the far side tells by themselves leave the group before.
    async fn send(&self, group: &mut Group) -> End {
        let mut backoff = Backoff::new(self.settings.retry_initial_backoff, self.settings.retry_max_backoff);
        let mut attempts = 0;
        let mut body: Option<Bytes> = None;
        loop {
            let mut attempt = self.attempt(group, &mut body).await.unwrap_or_else(|reason| Attempt {
                verdict: Verdict::Later,
                refusal: Refusal { status: None, reason },
                asked: None,
                items: None,
            });
            if let Some(items) = attempt.items.take() {
                let Some(left) = self.settle(group, items).await else {
                    self.recovered();
                    return End::Delivered;
                };
                (attempt.verdict, attempt.refusal) = (left.verdict, left.refusal);
                body = None;
            }
            match attempt.verdict {
                Verdict::Delivered => {
                    self.recovered();
                    return End::Delivered;
                }
                Verdict::TooLarge => return End::TooLarge(attempt.refusal),
                Verdict::Refused => return End::Refused(attempt.refusal),
                Verdict::Later | Verdict::Mend => {}
            }
            match attempt.verdict {
                Verdict::Mend => self.stats.note_broken(|| self.describe(&attempt.refusal)),
                _ => self.stats.note_passing(),
            }
            self.log_trouble(&attempt.refusal, attempt.verdict == Verdict::Mend);
            if self.settings.retry_attempts.is_some_and(|most| attempts >= most) {
                return End::GivenUp(attempt.refusal);
            }
            attempts += 1;
            self.stats.retried();
            let wait = backoff.next().max(attempt.asked.unwrap_or_default());
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                // Other certificates can be what the server waited for.
                () = self.client.files_changed() => {}
            }
        }
    }

    /// Sends once. The body is made at the first attempt and kept for the next ones.
    async fn attempt(&self, group: &Group, body: &mut Option<Bytes>) -> Result<Attempt, String> {
        let bytes = match body {
            Some(bytes) => bytes.clone(),
            None => body.insert(self.body(group).await?).clone(),
        };
        let answer = self.client.send(&self.settings, bytes).await?;
        let verdict = Verdict::of(answer.status);
        let tells = self.settings.format == Format::Bulk && verdict == Verdict::Delivered;
        Ok(Attempt {
            verdict,
            refusal: Refusal { status: Some(answer.status.as_u16()), reason: answer.reason() },
            asked: retry_after(&answer.headers, Timestamp::now()),
            items: if tells { items(answer.body(), group.len())? } else { None },
        })
    }

    /// Ends events as the far side tells of each. The group keeps those that are to be sent again; answers with what was
    /// said of the first of them, or `None` if there are none.
    async fn settle(&self, group: &mut Group, items: Vec<Item>) -> Option<Item> {
        let mut left: Option<Item> = None;
        let mut again = Group::default();
        for run in items.chunk_by(|one, next| one == next) {
            let part = group.split_first(run.len());
            match run.first() {
                Some(Item { verdict: Verdict::Delivered, .. }) => part.deliver(&self.stats),
                Some(Item { verdict: Verdict::Refused | Verdict::TooLarge, refusal }) => {
                    self.refuse(part, refusal, Ack::reject).await;
                }
                other => {
                    again.append(part);
                    left = left.or_else(|| other.cloned());
                }
            }
        }
        *group = again;
        left
    }

    async fn body(&self, group: &Group) -> Result<Bytes, String> {
        let body = group.body(self.settings.format);
        let compression = self.settings.compression;
        if compression == Compression::None {
            return Ok(body);
        }
        // Milliseconds of pure computing are too long for a thread that serves others.
        let task = tokio::task::spawn_blocking(move || compression.compress(&body));
        let done = task.await.map_err(|error| error.to_string())?;
        done.map(Bytes::from).map_err(|error| format!("events cannot be compressed: {error}"))
    }

    /// Writes events that are not delivered to the dead letters, or counts them as lost and ends their acknowledgements
    /// with `end`.
    async fn refuse(&self, group: Group, refusal: &Refusal, end: fn(Ack)) {
        let events = group.len();
        let Refusal { status, reason } = refusal;
        if let Some(count) = self.refusals.lock().failed() {
            let kept = self.dead_letter.is_some();
            let (sink, address) = (&self.sink, &self.address);
            tracing::error!(%sink, address, status, reason = ?reason, events, count, kept, "server refused events for good");
        }
        if let Some(dead_letter) = &self.dead_letter {
            let mut backoff = Backoff::new(self.settings.retry_initial_backoff, self.settings.retry_max_backoff);
            while let Err(error) = dead_letter.add(&self.sink, &group, refusal).await {
                self.stats.retried();
                if let Some(attempts) = self.outage.lock().failed() {
                    tracing::warn!(sink = %self.sink, %error, attempts, "dead letters cannot be written, trying again");
                }
                tokio::time::sleep(backoff.next()).await;
            }
        }
        self.stats.rejected_events.fetch_add(events as u64, Ordering::Relaxed);
        for ack in group.into_acks() {
            if self.dead_letter.is_some() { ack.deliver() } else { end(ack) }
        }
    }

    fn describe(&self, Refusal { status, reason }: &Refusal) -> String {
        let status = status.map_or_else(String::new, |status| format!(" with status {status}"));
        format!(
            "server at `{}` rejects requests{status}: {reason}; check the sink's options and credentials",
            self.address
        )
    }

    fn log_trouble(&self, trouble: &Refusal, mend: bool) {
        let Some(attempts) = self.outage.lock().failed() else { return };
        let Refusal { status, reason } = trouble;
        let (sink, address) = (&self.sink, &self.address);
        if mend {
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
