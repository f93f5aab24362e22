//! The source `file`: reads files that globs name, follows them, and remembers how far it came.
//!
//! One thread reads, file after file in the order of their names, and sends batches to the task that pushes them. Each
//! batch has an acknowledgement that moves the position of its file, and positions are saved. What is read how:
//!
//! | file | is read | is finished |
//! | --- | --- | --- |
//! | lines, not compressed, `follow` | as it grows, over renames and truncation | when it is gone and read to its end |
//! | lines, compressed or without `follow` | when it has not changed for `stable_after` | at its end |
//! | document | when it has not changed for `stable_after` | as one event |
//!
//! With `once` every file is read to its end as it is.
//!
//! A file is what has its inode and its beginning, whatever its name. So a copy is another file: where rotation copies
//! or compresses, the globs should not name the copies, or their events come twice.
//!
//! # Invariants
//!
//! - A saved position never passes an event that was not acknowledged.
//! - A file that fails is never deleted or moved.

mod checkpoint;
mod discover;
mod identity;
mod options;
mod read;
mod reader;
mod scan;
mod track;
mod watched;

#[cfg(test)]
mod tests;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use wattle_batch::Batch;

use crate::options::OptionError;
use crate::source::{Batches, Source, SourceContext, SourceError};
use crate::stats::add;
use crate::thread::Worker;
use checkpoint::Store;
pub(crate) use options::Options;
use options::Settings;
use reader::Reader;
use track::Tracker;

/// Positions are saved at most this often.
const SAVE_INTERVAL: Duration = Duration::from_millis(500);

/// How long to wait after saving failed.
const SAVE_PAUSE: Duration = Duration::from_secs(10);

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
            let known = tracker.restore(store.load()?);
            context.stats.start();
            let _stop = StopOnDrop(tracker.clone());
            let (output, batches) = mpsc::channel(1);
            let reader = Reader::new(self.settings, context.clone(), tracker.clone(), output, !known);
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
        () = push_all(context, &mut batches) => {}
        () = stop.stopped() => {}
    }
    tracker.stop();
    // The thread may be waiting to send. What it could not send counts as undelivered and is read again next time.
    drop(batches);
    let result = worker.finished().await;
    tracker.settled().await;
    result
}

async fn push_all(context: &SourceContext, batches: &mut mpsc::Receiver<Batch>) {
    while let Some(batch) = batches.recv().await {
        let (events, bytes) = (batch.rows() as u64, batch.byte_len() as u64);
        if context.output.push(Batches(batch)).await.is_err() {
            return;
        }
        add(&context.stats.events, events);
        add(&context.stats.bytes, bytes);
    }
}

async fn keep_saving(context: &SourceContext, store: &Arc<Store>, tracker: &Arc<Tracker>) {
    let mut interval = SAVE_INTERVAL;
    loop {
        tokio::time::sleep(interval).await;
        let start = Instant::now();
        let saved = save(store, tracker).await;
        // With very many files writing takes long, and must not be all that is done.
        interval = SAVE_INTERVAL.max(start.elapsed() * 10);
        if let Err(error) = saved {
            // The positions of before stay valid; events would come twice after a restart.
            tracing::warn!(source = %context.name, error = %error, "positions cannot be saved; trying again");
            interval = SAVE_PAUSE;
        }
    }
}

/// Saves positions, if they changed.
async fn save(store: &Arc<Store>, tracker: &Arc<Tracker>) -> Result<(), SourceError> {
    let (store, tracker) = (store.clone(), tracker.clone());
    let saved =
        tokio::task::spawn_blocking(move || store.save(|| tracker.snapshot()).inspect_err(|_| tracker.not_saved()))
            .await;
    saved.unwrap_or_else(|error| Err(SourceError { message: format!("saving positions broke off: {error}") }))
}
