//! The source `aws_s3`: reads objects that the messages of an SQS queue announce, or that a listing finds.
//!
//! Objects are read as files are: with the same decompression, framing and limits, but on threads that wait for ranges
//! of the object. What ends a message:
//!
//! | the objects of the message | the message |
//! | --- | --- |
//! | every event is delivered, rejected or dropped on purpose | is deleted |
//! | events returned undelivered | stays hidden; the object is read again from its first undelivered event |
//! | cannot be read now: no permission, no network, overwritten | comes again after a pause that grows with each delivery |
//! | one does not exist any more | `on_missing` |
//! | one is damaged or exceeds a limit | `on_broken`; the events before are delivered once |
//! | are not read to their end when the source stops | is given back at once |
//! | there are none: a test event, a deletion | is deleted |
//! | the message cannot be understood | as the third row, so the redrive policy of the queue decides |
//!
//! # Invariants
//!
//! - A message is received only if reading its objects can begin at once, and stays hidden as long as that goes on.
//! - A message is deleted only after all events of all its objects are acknowledged.
//! - Memory does not depend on the size of objects or of the queue: `max_objects` buffers, `max_in_flight_bytes` of events,
//!   `max_in_flight` messages, and the outcomes of a fixed number of messages that may come again.

mod audit;
mod backoff;
mod delivery;
mod filter;
mod finish;
mod integrity;
mod lease;
mod level;
mod memory;
mod object;
mod options;
mod queue;
mod read;
mod resume;
mod walk;

#[cfg(test)]
mod tests;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use wattle_aws::{CloudTrail, S3, Session, Sqs};
use wattle_options::OptionErrors;

use crate::error::SourceError;
use crate::in_flight::InFlight;
use crate::reading::Turns;
use crate::source::{Source, SourceContext};
use integrity::Integrity;
use object::Halt;
pub(crate) use options::{Options, files};
use options::{Settings, Walk};
use read::Reader;
use resume::Resume;

/// The source, ready to run.
pub(crate) struct S3Source {
    settings: Settings,
}

impl S3Source {
    pub(crate) fn new(options: Options, errors: &mut OptionErrors) -> Option<Self> {
        Some(Self { settings: Settings::new(options, errors)? })
    }
}

impl Source for S3Source {
    fn run(self: Box<Self>, context: SourceContext) -> Pin<Box<dyn Future<Output = Result<(), SourceError>> + Send>> {
        Box::pin(async move {
            let failed = |error: Box<dyn std::error::Error + Send + Sync>| SourceError::Input {
                name: context.name.to_string(),
                error,
            };
            let session = Session::new(self.settings.session.clone()).await.map_err(|error| failed(error.into()))?;
            let settings = Arc::new(self.settings);
            let stop = context.stop.clone();
            let (name, stats) = (context.name.clone(), context.stats.clone());
            // Threads that read objects end when this is sent or dropped.
            let (halting, halt) = Halt::new();
            let folder = context.data_dir.join("sources").join(&*context.name).join("objects");
            let resume = Resume::load(context.name.clone(), &folder);
            let queue_url = settings.queue_url.clone();
            let listings = [&settings.backfill, if queue_url.is_some() { &None } else { &settings.listing }];
            let parts =
                listings.into_iter().flatten().count() + queue_url.as_ref().map_or(0, |_| queue::receivers(&settings));
            let reader = Arc::new(Reader {
                parts: AtomicUsize::new(parts),
                client: Arc::new(S3::new(&session)),
                format: settings.format.clone(),
                in_flight: InFlight::new(settings.max_in_flight_bytes),
                region: session.region().to_owned(),
                halt,
                resume: resume.clone(),
                integrity: settings.integrity.clone().map(|keys| Integrity::new(keys, CloudTrail::new(&session))),
                // With one core, another object is ready when the pipeline has taken the first one.
                turns: Turns::new(std::thread::available_parallelism().map_or(1, usize::from).max(2)),
                context,
            });
            stats.queue.is_used.store(true, Ordering::Relaxed);
            stats.start();
            let walk = |walk: &Walk, max_objects| {
                walk::run(reader.clone(), settings.clone(), walk.clone(), max_objects, stop.clone())
            };
            let live = async {
                match (queue_url, &settings.listing) {
                    (Some(url), _) => {
                        queue::run(reader.clone(), settings.clone(), Sqs::new(&session, url), stop.clone()).await;
                        Ok(())
                    }
                    (None, Some(listing)) => walk(listing, settings.max_objects).await,
                    (None, None) => Ok(()),
                }
            };
            let backfill = async {
                let Some(backfill) = &settings.backfill else { return Ok(()) };
                // Its own and fewer slots, so that new objects never wait for old ones.
                walk(backfill, (settings.max_objects / 4).max(1)).await
            };
            let halted = async {
                let mut stop = stop.clone();
                stop.stopped().await;
                halting.send_replace(true);
                std::future::pending::<()>().await;
            };
            let result = tokio::select! {
                result = async { tokio::try_join!(live, backfill) } => result.map(|_| ()),
                () = halted => Ok(()),
                never = resume.keep_saving() => match never {},
            };
            if let Err(error) = resume.save().await {
                tracing::warn!(
                    source = %name, %error,
                    "cannot save positions in large objects; some of their events may be sent again"
                );
            }
            result
        })
    }
}
