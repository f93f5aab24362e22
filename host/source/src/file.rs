//! The source `file`: reads and follows the files that its globs match, and saves its positions.
//!
//! One thread reads the files in the order of their names and sends batches to a task, which pushes
//! them to the queue. Each batch has an acknowledgement that moves the position of its file. How
//! files are read:
//!
//! | file | read | finished |
//! | --- | --- | --- |
//! | not compressed, `follow` | as it grows, over renames and truncation | when it is removed and read to its end |
//! | the same, named `.json` | as it grows | when it has not changed for `stable_after` and ends after a document |
//! | compressed or without `follow` | when it has not changed for `stable_after` | at its end |
//! | framing `document` | when it has not changed for `stable_after` | as one event |
//!
//! With `once` every file is read to its current end.
//!
//! The identity of a file of lines is its content: its start and the bytes before its position;
//! after that, its inode and path. So reading continues after the file was renamed, compressed,
//! copied and truncated, moved to another device, or after a reboot that changed the device number.
//! This also works while events cannot be delivered, with a bounded number of open files. Data that
//! can never be read is counted in bytes and logged.
//!
//! Following is written by hand. The published crates, such as `linemux`, follow a path: they hand out lines without
//! positions to save, so a restart, a rotation by copying or a compressed file loses or repeats events.
//!
//! # Invariants
//!
//! - A saved position never passes an event that was not acknowledged.
//! - A file that fails is never deleted or moved.

mod about;
mod checkpoint;
mod clock;
mod containers;
mod content;
mod discover;
mod exclude;
mod finish;
mod glob;
mod identity;
mod known;
mod links;
mod moved;
mod names;
mod open;
mod open_files;
mod options;
mod positioned;
mod reader;
mod scan;
mod send;
mod track;
mod turn;
mod uses;
mod watched;

#[cfg(test)]
mod tests;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use wattle_batch::Batch;
use wattle_options::OptionError;

use crate::error::SourceError;
use crate::source::{Batches, Source, SourceContext};
use crate::stats::add;
use crate::thread::Worker;
pub(crate) use about::{About, Facts};
use checkpoint::{Saved, Store};
pub(crate) use containers::{ContainerFiles, add_image};
pub(crate) use links::Links;
pub(crate) use options::{Options, ReadFrom, Settings};
use reader::Reader;
use track::Tracker;
pub(crate) use uses::uses;

/// Interval of saves with few events.
const SAVE_INTERVAL: Duration = Duration::from_millis(500);

/// Interval of saves with many events and shortly after the start. After a kill, delivered events
/// without a saved position are sent again.
const BUSY_SAVE_INTERVAL: Duration = Duration::from_millis(10);

/// Number of delivered events after which a save is due early.
const MANY_EVENTS: u64 = 1000;

/// How long after the start the short interval applies: an agent that crashes repeatedly must still
/// make progress.
const FIRST_MOMENTS: Duration = Duration::from_secs(2);

/// Pause after a failed save.
const SAVE_PAUSE: Duration = Duration::from_secs(2);

/// The source, ready to run.
pub(crate) struct FileSource {
    settings: Settings,
}

impl FileSource {
    pub(crate) fn new(options: Options) -> Result<Self, Vec<OptionError>> {
        Ok(Self { settings: Settings::new(options)? })
    }

    /// A source of the files of containers.
    pub(crate) fn of(settings: Settings) -> Self {
        Self { settings }
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
                result = read_and_drain(&context, &tracker, batches, worker) => result,
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

/// Pushes batches of the thread until it ends or the source is stopped, then waits for the
/// acknowledgements.
async fn read_and_drain(
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
    // The thread may be waiting to send. Unsent batches count as undelivered and are read again
    // after the next start.
    drop(batches);
    let result = worker.finished().await;
    tracker.drained().await;
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
    // When the last save with a position that had moved began.
    let mut moved: Option<Instant> = None;
    loop {
        tracker.changed().await;
        let start = Instant::now();
        let moves = tracker.has_moved();
        let saved = save(store, tracker).await;
        // With very many files a save takes long. The pause limits saves to a tenth of the time.
        let pace = start.elapsed() * 10;
        match saved {
            Ok(()) => {
                moved = if moves { Some(start) } else { moved };
                if std::mem::take(&mut outage) {
                    tracing::info!(source = %context.name, "positions can be saved again");
                }
                tokio::time::sleep(BUSY_SAVE_INTERVAL.max(pace)).await;
                if begun.elapsed() > FIRST_MOMENTS {
                    let rest = SAVE_INTERVAL.saturating_sub(start.elapsed());
                    // The first position after a while is saved as it moves, not only after the rest that follows a save of
                    // what was offered: nodes with durable state store a snapshot before they acknowledge its events, and
                    // after a kill in between they would see these events again.
                    let is_first = moved.is_none_or(|at| at.elapsed() >= SAVE_INTERVAL);
                    tokio::select! {
                        () = tracker.delivered(if is_first { 1 } else { MANY_EVENTS }) => {}
                        () = tokio::time::sleep(rest) => {}
                    }
                }
            }
            Err(error) => {
                // The previous positions stay valid; after a restart, later events are sent again.
                if !std::mem::replace(&mut outage, true) {
                    tracing::warn!(
                        source = %context.name, error = %error,
                        "cannot save positions; retrying; after a restart, events since then are sent again"
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
