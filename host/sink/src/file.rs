//! The sink `file`: writes events to files, at one path or at paths made from the events.
//!
//! Workers encode the events and choose their paths ([`SortingEncoder`]). All file I/O runs on blocking
//! threads ([`writer`]). The task in between passes payloads from the queue to the writer, and
//! waits before it retries.

mod open;
mod open_file;
mod options;
mod rotate;
mod writer;

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;
use wattle_options::OptionError;

use self::options::Settings;
use self::writer::Files;
use crate::append::needs_operator;
use crate::error::SinkError;
use crate::retry::{Backoff, Outage, Recovery};
use crate::sink::{Built, Encoder, Prepared, Running, Sink, SinkContext};
use crate::sorting::SortingEncoder;

/// Initial and maximum wait between attempts to write.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

pub(crate) fn prepare(options: &Value) -> Result<Prepared, Vec<OptionError>> {
    let (template, encoding, settings) = options::read(options)?;
    Ok(Box::new(move |_: &Arc<str>| {
        let encoder: Arc<dyn Encoder> = match template.literal() {
            Some(_) => Arc::new(encoding),
            None => Arc::new(SortingEncoder { encoding, template }),
        };
        Ok(Built { encoder, sink: Box::new(FileSink { settings }) })
    }))
}

/// The JSON schema of the options.
pub(crate) fn schema() -> Value {
    options::schema()
}

struct FileSink {
    settings: Settings,
}

impl Sink for FileSink {
    fn run(self: Box<Self>, context: SinkContext) -> Running {
        Box::pin(write_all(self.settings, context))
    }
}

/// Minimum interval between the starts of two writes under load. Each write costs several thread
/// switches; at hundreds of megabytes per second, a write for each batch took a tenth of a core.
const WRITE_INTERVAL: Duration = Duration::from_millis(2);

async fn write_all(settings: Settings, context: SinkContext) -> Result<(), SinkError> {
    let mut files = Files::new(settings, context.name.clone(), context.stats.clone());
    let mut backoff = Backoff::new(RETRY.0, RETRY.1);
    let mut outage = Outage::default();
    let mut closed = false;
    let mut next = Instant::now();
    loop {
        // After an error, retry the same payloads before taking new ones.
        if files.todo.is_empty() && !closed {
            if next > Instant::now() {
                tokio::time::sleep_until(next).await;
            }
            closed = !take(&mut files, &context).await;
            next = Instant::now() + WRITE_INTERVAL;
        }
        files.flush_now = context.flush.is_on();
        let task = tokio::task::spawn_blocking(move || {
            let done = files.step(closed);
            (files, done)
        });
        let done;
        (files, done) = task.await.map_err(|error| SinkError::task("the thread that writes files", error))?;
        match done {
            Ok(()) => {
                backoff.reset();
                // Events may wait for a sync until they count as delivered, which clears the error
                // as well.
                context.stats.clear_broken();
                if let Some(Recovery { lasted, attempts }) = outage.over() {
                    tracing::info!(sink = %context.name, ?lasted, attempts, "files are writable again");
                }
                if closed && files.is_done() {
                    return Ok(());
                }
            }
            Err(error) => {
                context.stats.retried();
                match needs_operator(&error.source) {
                    true => context.stats.set_broken(|| error.to_string()),
                    false => context.stats.clear_broken(),
                }
                if let Some(attempts) = outage.failed() {
                    tracing::warn!(sink = %context.name, %error, attempts, "cannot write to the file; retrying");
                }
                tokio::time::sleep(backoff.next()).await;
            }
        }
    }
}

/// Waits for payloads, or until open files must be synced, rotated or closed. Returns false when
/// the queue has ended.
async fn take(files: &mut Files, context: &SinkContext) -> bool {
    let due = files.deadline();
    let mut flush = context.flush.clone();
    let has_unsynced = files.has_unsynced();
    let maintenance = async {
        match due {
            Some(due) => tokio::time::sleep_until(due.into()).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        first = context.input.pop() => match first {
            Some(first) => files.todo.gather(first, &context.input),
            None => return false,
        },
        () = maintenance => {}
        () = flush.on(), if has_unsynced => {}
    }
    true
}

#[cfg(test)]
mod tests;
