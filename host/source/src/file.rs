//! The source `file`: reads files that globs name, follows them, and remembers how far it came.
//!
//! One thread reads, file after file in the order of their names, and sends batches to the task that pushes them. Each
//! batch has an acknowledgement that moves the position of its file, and positions are saved. What is read how:
//!
//! | file | is read | is finished |
//! | --- | --- | --- |
//! | not compressed, `follow` | as it grows, over renames and truncation | when it is gone and read to its end |
//! | the same, named `.json` | as it grows | when it has not changed for `stable_after` and ends behind a document |
//! | compressed or without `follow` | when it has not changed for `stable_after` | at its end |
//! | framing `document` | when it has not changed for `stable_after` | as one event |
//!
//! With `once` every file is read to its end as it is.
//!
//! A file of lines is its content: how it begins, and what stands before the position up to which it was read; then its
//! inode and path. So it is read on after it was renamed, compressed, copied and truncated, moved to another device, or
//! after a reboot that gave the device another number. While events cannot be delivered, all of this is still followed,
//! with a bounded number of open files. What can never be read is counted in bytes and logged.
//!
//! # Invariants
//!
//! - A saved position never passes an event that was not acknowledged.
//! - A file that fails is never deleted or moved.

mod checkpoint;
mod clock;
mod content;
mod discover;
mod finish;
mod identity;
mod known;
mod links;
mod moved;
mod names;
mod open;
mod options;
mod read;
mod reader;
mod scan;
mod send;
mod track;
mod turn;
mod watched;

#[cfg(test)]
mod tests;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use wattle_batch::Batch;

use crate::error::SourceError;
use crate::options::OptionError;
use crate::source::{Batches, Source, SourceContext};
use crate::stats::add;
use crate::thread::Worker;
use checkpoint::{Saved, Store};
pub(crate) use options::Options;
use options::Settings;
use reader::Reader;
use track::Tracker;

/// Positions are saved at most this often when few events come.
const SAVE_INTERVAL: Duration = Duration::from_millis(500);

/// Positions are saved at most this often when many events come, and in the first moments: what was delivered and not
/// saved comes again after a kill.
const BUSY_SAVE_INTERVAL: Duration = Duration::from_millis(10);

/// So many delivered events are not left unsaved for long.
const MANY_EVENTS: u64 = 1000;

/// How long after the start positions are saved as if many events came: an agent that crashes soon must get on.
const FIRST_MOMENTS: Duration = Duration::from_secs(2);

/// How long to wait after saving failed.
const SAVE_PAUSE: Duration = Duration::from_secs(2);

/// The source, ready to run.
pub(crate) struct FileSource {
    settings: Settings,
}

impl FileSource {
    pub(crate) fn new(options: Options) -> Result<Self, Vec<OptionError>> {
        Ok(Self { settings: Settings::new(options)? })
    }
}

impl Source for FileSource {
    fn run(self: Box<Self>, context: SourceContext) -> Pin<Box<dyn Future<Output = Result<(), SourceError>> + Send>> {
        Box::pin(async move {
            let context = Arc::new(context);
            let store = Arc::new(Store::open(&context.data_dir.join("sources").join(&*context.name))?);
            let tracker = Arc::new(Tracker::new(context.stats.clone()));
            let saved = store.load()?;
            context.stats.start();
            let _stop = StopOnDrop(tracker.clone());
            let (output, batches) = mpsc::channel(1);
            let reader = Reader::new(self.settings, context.clone(), tracker.clone(), output, &saved);
            tracker.restore(if let Saved::Entries(entries) = saved { entries } else { Vec::new() });
            let worker = Worker::spawn(format!("{}-read", context.name), move || {
                reader.run();
                Ok(())
            })?;
            let result = tokio::select! {
                result = read_and_settle(&context, &tracker, batches, worker) => result,
                () = keep_saving(&context, &store, &tracker) => Ok(()),
            };
            result.and(save(&store, &tracker).await)
        })
    }
}

/// Ends the reading thread when the source is dropped.
struct StopOnDrop(Arc<Tracker>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// Pushes what the thread reads until it is done or the source is stopped, then waits for the acknowledgements.
async fn read_and_settle(
    context: &SourceContext,
    tracker: &Tracker,
    mut batches: mpsc::Receiver<Batch>,
    worker: Worker,
) -> Result<(), SourceError> {
    let mut stop = context.stop.clone();
    tokio::select! {
        () = push_all(context, tracker, &mut batches) => {}
        () = stop.stopped() => {}
    }
    tracker.stop();
    // The thread may be waiting to send. What it could not send counts as undelivered and is read again next time.
    drop(batches);
    let result = worker.finished().await;
    tracker.settled().await;
    result
}

async fn push_all(context: &SourceContext, tracker: &Tracker, batches: &mut mpsc::Receiver<Batch>) {
    while let Some(batch) = batches.recv().await {
        tracker.wake();
        let (events, bytes) = (batch.rows() as u64, batch.byte_len() as u64);
        if context.output.push(Batches(batch)).await.is_err() {
            return;
        }
        add(&context.stats.events, events);
        add(&context.stats.bytes, bytes);
    }
}

async fn keep_saving(context: &SourceContext, store: &Arc<Store>, tracker: &Arc<Tracker>) {
    let begun = Instant::now();
    let mut outage = false;
    loop {
        tracker.changed().await;
        let start = Instant::now();
        let saved = save(store, tracker).await;
        // With very many files writing takes long, and must not be all that is done.
        let pace = start.elapsed() * 10;
        match saved {
            Ok(()) => {
                if std::mem::take(&mut outage) {
                    tracing::info!(source = %context.name, "positions can be saved again");
                }
                tokio::time::sleep(BUSY_SAVE_INTERVAL.max(pace)).await;
                if begun.elapsed() > FIRST_MOMENTS {
                    let rest = SAVE_INTERVAL.saturating_sub(start.elapsed());
                    tokio::select! {
                        () = tracker.delivered(MANY_EVENTS) => {}
                        () = tokio::time::sleep(rest) => {}
                    }
                }
            }
            Err(error) => {
                // The positions of before stay valid; events would come twice after a restart.
                if !std::mem::replace(&mut outage, true) {
                    tracing::warn!(
                        source = %context.name, error = %error,
                        "positions cannot be saved, trying again; after a restart, events since then would come twice"
                    );
                }
                tokio::time::sleep(SAVE_PAUSE).await;
            }
        }
    }
}

/// Saves positions, if they changed.
async fn save(store: &Arc<Store>, tracker: &Arc<Tracker>) -> Result<(), SourceError> {
    let (store, tracker) = (store.clone(), tracker.clone());
    let saved =
        tokio::task::spawn_blocking(move || store.save(|| tracker.snapshot()).inspect_err(|_| tracker.not_saved()))
            .await;
    saved.unwrap_or_else(|_| Err(SourceError::ThreadPanicked("save positions".to_owned())))
}
