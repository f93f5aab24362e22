//! Delivers one object: writes it until S3 has confirmed it or has rejected it for good.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::OnceCell;
use wattle_aws::{PutObject, S3, Session};
use wattle_batch::Ack;
use wattle_parquet::Misfits;

use super::format::Body;
use super::object::Object;
use super::options::Settings;
use super::upload::{Failure, Step, Upload, write};
use crate::batcher::RequestBatch;
use crate::dead_letter::{DeadLetters, Rejection};
use crate::retry::{Backoff, Outage, Recovery};
use crate::sink::SinkStats;

/// State shared by all objects of a sink.
pub(super) struct Delivery {
    sink: Arc<str>,
    settings: Settings,
    client: OnceCell<S3>,
    stats: Arc<SinkStats>,
    dead_letters: DeadLetters,
    outage: Mutex<Outage>,
}

/// How writing an object ended.
enum End {
    Delivered,
    Rejected(Rejection),
    /// The attempts are used up.
    GivenUp(Rejection),
}

/// An object that can be written.
struct Built {
    /// `None` if all of its events were refused.
    object: Option<PutObject>,
    /// The events in it.
    events: RequestBatch,
    /// The others.
    refused: RequestBatch,
    /// Why, each for so many of these.
    reasons: Vec<(usize, String)>,
}

/// Columns with the numbers of their values that do not fit, for the log.
struct Columns<'a>(&'a [Misfits]);

impl fmt::Display for Columns<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().enumerate().try_for_each(|(index, Misfits { column, values })| {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{column}: {values}")
        })
    }
}

impl Delivery {
    pub(super) fn new(sink: Arc<str>, settings: Settings, stats: Arc<SinkStats>) -> Self {
        let backoff = Backoff::new(settings.retry_initial_backoff, settings.retry_max_backoff);
        let address = format!("s3://{}", settings.object.bucket);
        let dead_letters =
            DeadLetters::new(sink.clone(), address, stats.clone(), settings.dead_letter.clone(), backoff);
        Self { sink, settings, client: OnceCell::new(), stats, dead_letters, outage: Mutex::default() }
    }

    /// Delivers or rejects the events of an object and ends their acknowledgements, however long that takes.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the events are not acknowledged. Parts of an upload that was not completed stay in the
    /// bucket.
    pub(super) async fn deliver(self: Arc<Self>, object: Object) {
        let Some(Built { object, events, refused, reasons }) = self.build(object).await else { return };
        // Neither waits for the other, since S3 or the disk of the dead letters can be unavailable for long.
        tokio::join!(self.write(object, events), self.refuse(refused, reasons));
    }

    async fn write(&self, object: Option<PutObject>, events: RequestBatch) {
        let Some(object) = object else { return };
        match self.send(&object).await {
            End::Delivered => {
                let (sink, key, bytes) = (&self.sink, &object.key, object.body.len());
                tracing::debug!(%sink, key, bytes, events = events.len(), "object written");
                events.deliver(&self.stats);
            }
            End::Rejected(rejection) => self.dead_letters.reject(events, &rejection, Ack::reject).await,
            End::GivenUp(rejection) => self.dead_letters.reject(events, &rejection, |ack, _| ack.give_up()).await,
        }
    }

    async fn refuse(&self, events: RequestBatch, reasons: Vec<(usize, String)>) {
        if !reasons.is_empty() {
            self.dead_letters.refuse(events, reasons).await;
        }
    }

    /// The object to write. If it cannot be made, its events return to their sources.
    async fn build(&self, mut object: Object) -> Option<Built> {
        let Settings { extension, format, object: common, .. } = &self.settings;
        let (extension, format, common) = (extension.clone(), format.clone(), common.clone());
        // Encoding, compression and hashing take up to a second, which would delay the other tasks of the thread.
        let built = tokio::task::spawn_blocking(move || {
            let Body { bytes, refused, reasons, misfits } = format.body(&mut object.events)?;
            let put = bytes.map(|body| PutObject { key: object.key(&extension), body, ..common });
            Ok((Built { object: put, events: object.events, refused, reasons }, misfits))
        });
        match built.await.map_err(std::io::Error::from).flatten() {
            Ok((built, misfits)) => {
                self.count_misfits(built.object.as_ref(), &misfits);
                Some(built)
            }
            Err(error) => {
                tracing::error!(sink = %self.sink, %error, "cannot make an object; its events return to their sources");
                None
            }
        }
    }

    fn count_misfits(&self, object: Option<&PutObject>, misfits: &[Misfits]) {
        if misfits.is_empty() {
            return;
        }
        let values = misfits.iter().map(|misfit| misfit.values).sum();
        self.stats.misfit_values.fetch_add(values, Ordering::Relaxed);
        let (key, columns) = (object.map(|object| object.key.as_str()), Columns(misfits));
        tracing::debug!(sink = %self.sink, key, values, %columns, "values that do not fit their columns are null");
    }

    async fn send(&self, object: &PutObject) -> End {
        let mut backoff = Backoff::new(self.settings.retry_initial_backoff, self.settings.retry_max_backoff);
        let mut attempts = 0;
        let mut upload = Upload::default();
        loop {
            let Err(failure) = self.attempt(object, &mut upload).await else {
                self.recovered();
                return End::Delivered;
            };
            let Failure { step, status, reason } = failure;
            let rejection = Rejection { status, reason };
            let wait = match step {
                Step::Reject => {
                    self.abort(object, upload).await;
                    return End::Rejected(rejection);
                }
                Step::Retry(wait) => {
                    self.stats.clear_broken();
                    wait
                }
                Step::Operator => {
                    self.stats.set_broken(|| rejection.reason.clone());
                    Duration::ZERO
                }
            };
            self.log_failure(&rejection, step == Step::Operator);
            if self.settings.retry_attempts.is_some_and(|max| attempts >= max) {
                self.abort(object, upload).await;
                return End::GivenUp(rejection);
            }
            attempts += 1;
            self.stats.retried();
            // Never retry sooner than S3 requests.
            tokio::time::sleep(backoff.next().max(wait)).await;
        }
    }

    /// Writes an object once, or continues an upload whose previous attempt failed.
    async fn attempt(&self, object: &PutObject, upload: &mut Upload) -> Result<(), Failure> {
        write(self.client().await?, object, upload).await
    }

    /// The client. The files and the metadata that it needs can come later than the agent starts.
    async fn client(&self) -> Result<&S3, Failure> {
        let new = || async { Session::new(self.settings.session.clone()).await.map(|session| S3::new(&session)) };
        let client = self.client.get_or_try_init(new).await;
        client.map_err(|error| Failure { step: Step::Operator, status: None, reason: error.to_string() })
    }

    /// Deletes the parts of an upload that will not be completed.
    async fn abort(&self, object: &PutObject, upload: Upload) {
        let (Some(id), Ok(client)) = (upload.into_id(), self.client().await) else { return };
        if let Err(error) = client.abort_upload(object, &id).await {
            tracing::warn!(
                sink = %self.sink, %error,
                "cannot abort an upload; its parts stay in the bucket, unless a lifecycle rule deletes them"
            );
        }
    }

    fn log_failure(&self, rejection: &Rejection, needs_operator: bool) {
        let Some(attempts) = self.outage.lock().failed() else { return };
        let (sink, error) = (&self.sink, &rejection.reason);
        if needs_operator {
            tracing::error!(%sink, error, attempts, "cannot write objects until an operator acts; retrying");
        } else {
            tracing::warn!(%sink, error, attempts, "cannot write objects; retrying");
        }
    }

    fn recovered(&self) {
        if let Some(Recovery { lasted, attempts }) = self.outage.lock().over() {
            let bucket = &self.settings.object.bucket;
            tracing::info!(sink = %self.sink, bucket, ?lasted, attempts, "objects are written again");
        }
    }
}
