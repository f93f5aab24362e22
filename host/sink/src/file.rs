//! The sink `file`: writes events to files, at one path or at paths made from the events.
//!
//! Encoding and choosing the path run on the workers ([`encoder`]), everything that touches the disk on threads that may
//! block ([`writer`]); the task in between moves payloads from the queue to there and waits.

mod encoder;
mod open;
mod open_file;
mod options;
mod rotate;
mod template;
mod writer;

pub(crate) use self::open::{ends_with, open_or_create};

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use self::encoder::SortingEncoder;
use self::options::Settings;
use self::writer::{Files, WriteError};
use crate::options::{OptionError, summary};
use crate::retry::{Backoff, Outage};
use crate::sink::{Built, Encoder, Running, Sink, SinkContext, SinkError};

/// Waits between attempts to write.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

pub(crate) fn check(options: &Value) -> Result<(), Vec<OptionError>> {
    options::read(options).map(|_| ())
}

/// The schema of the options.
pub(crate) fn schema() -> Value {
    options::schema()
}

pub(crate) fn build(options: &Value) -> Result<Built, SinkError> {
    let (template, encoding, settings) =
        options::read(options).map_err(|errors| SinkError { message: summary(&errors) })?;
    let encoder: Arc<dyn Encoder> = match template.literal() {
        Some(_) => Arc::new(encoding),
        None => Arc::new(SortingEncoder { encoding, template }),
    };
    Ok(Built { encoder, sink: Box::new(FileSink { settings }) })
}

struct FileSink {
    settings: Settings,
}

impl Sink for FileSink {
    fn run(self: Box<Self>, context: SinkContext) -> Running {
        Box::pin(write_all(self.settings, context))
    }
}

/// The least time between the starts of two rounds of writing under load: each costs some switches between threads, and
/// at hundreds of megabytes a second one for each batch took a tenth of a core.
const PACE: Duration = Duration::from_millis(2);

async fn write_all(settings: Settings, context: SinkContext) -> Result<(), SinkError> {
    let mut files = Files::new(settings, context.name.clone(), context.stats.clone());
    let mut backoff = Backoff::new(RETRY.0, RETRY.1);
    let mut outage = Outage::default();
    let mut closed = false;
    let mut next = Instant::now();
    loop {
        if files.todo.is_empty() && !closed {
            if next > Instant::now() {
                tokio::time::sleep_until(next).await;
            }
            closed = !take(&mut files, &context).await;
            next = Instant::now() + PACE;
        }
        files.hurry = context.hurry.is_on();
        let task = tokio::task::spawn_blocking(move || {
            let done = files.step(closed);
            (files, done)
        });
        let done;
        (files, done) = task.await.map_err(|error| SinkError {
            message: format!("sink `{}`: the thread that writes files ended: {error}", context.name),
        })?;
        match done {
            Ok(()) => {
                backoff.reset();
                if let Some(lasted) = outage.over() {
                    tracing::info!(sink = %context.name, ?lasted, "files can be written again");
                }
                if closed && files.is_done() {
                    return Ok(());
                }
            }
            Err(error) => {
                context.stats.retried();
                match needs_operator(&error) {
                    true => context.stats.note_broken(|| error.to_string()),
                    false => context.stats.note_passing(),
                }
                if let Some(attempts) = outage.failed() {
                    tracing::warn!(sink = %context.name, %error, attempts, "file cannot be written, trying again");
                }
                tokio::time::sleep(backoff.next()).await;
            }
        }
    }
}

/// Whether trying again does not help before somebody changes permissions, mounts or names.
fn needs_operator(error: &WriteError) -> bool {
    use std::io::ErrorKind;
    let lasting = [
        // A file is where a folder is needed.
        ErrorKind::AlreadyExists,
        ErrorKind::InvalidFilename,
        ErrorKind::IsADirectory,
        ErrorKind::NotADirectory,
        ErrorKind::PermissionDenied,
        ErrorKind::ReadOnlyFilesystem,
    ];
    lasting.contains(&error.source.kind())
}

/// Waits for payloads, or until the open files need care. Returns false when there will be no more payloads.
async fn take(files: &mut Files, context: &SinkContext) -> bool {
    let due = files.deadline();
    let mut hurry = context.hurry.clone();
    let has_unsafe = files.has_unsafe();
    let care = async {
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
        () = care => {}
        () = hurry.on(), if has_unsafe => {}
    }
    true
}

#[cfg(test)]
mod tests;
