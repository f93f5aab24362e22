//! The disk buffer of a sink: between the queue that lanes fill and the queue that the sink takes from.
//!
//! ```text
//! lane ──Queue──> store ──> disk ──> fetch ──Queue──> sink
//!   ^               │         ^                        │
//!   └ acknowledged ─┘         └──── acknowledged ──────┘
//! ```
//!
//! `store` gathers payloads, commits them, and then ends their acknowledgements, so their sources
//! are done with them. `fetch` reads committed events and passes them to the sink with new
//! acknowledgements, which move the position of the buffer. Events that the sink returns are passed
//! to it again.
//!
//! When the lanes close their queue, `store` stores the rest of it, the sink gets a moment to
//! finish its requests, and all other events stay on disk for its successor in the next generation
//! or at the next start. Only if the sources have ended by themselves, everything is delivered
//! first.
//!
//! A sink with a buffer in memory first gets the events that an earlier buffer left on disk.

mod fetch;
mod store;

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use wattle_buffer::Queue;
use wattle_buffer::disk::{Acknowledger, BufferStats, DiskQueue, DiskSettings, Events, Folder, Keeper, open};
use wattle_plan::{BufferKind, BufferPlan, WhenFull};
use wattle_sink::{Payload, Sink, SinkContext, SinkError, SinkStats, needs_operator};

use self::fetch::{Fetch, KEEP_INTERVAL};
pub(crate) use self::store::MEMORY_BYTES;
use self::store::{RETRY, Store};

/// How long a sink may take to finish requests in progress when the rest stays on disk.
const GRACE: Duration = Duration::from_secs(2);
/// Maximum time until a written position is synced.
const SYNC_INTERVAL: Duration = Duration::from_millis(500);
/// Deadline for buffers to deliver after their lanes have closed; `None` while the topology runs.
pub(crate) type DeliverUntil = watch::Receiver<Option<Instant>>;

/// A sink's buffer on disk before it is opened.
pub(crate) struct DiskBuffer {
    pub(crate) name: Arc<str>,
    pub(crate) folder: Folder,
    pub(crate) plan: BufferPlan,
    /// The queue that lanes fill.
    pub(crate) input: Queue<Payload>,
    pub(crate) stats: Arc<BufferStats>,
    pub(crate) deliver_until: DeliverUntil,
}

/// The folder of a sink's buffer.
fn path(data_dir: &Path, sink: &str) -> PathBuf {
    data_dir.join("buffer").join(sink)
}

/// The folder of a sink's buffer, if the sink has a disk buffer, or if an earlier one left events
/// there or may still leave some (`was_disk`).
pub(crate) fn folder_for(data_dir: &Path, sink: &str, plan: &BufferPlan, was_disk: bool) -> io::Result<Option<Folder>> {
    let path = path(data_dir, sink);
    if was_disk || matches!(plan.kind, BufferKind::Disk { .. }) || holds_segments(&path)? {
        return Folder::make(&path).map(Some);
    }
    Ok(None)
}

fn holds_segments(path: &Path) -> io::Result<bool> {
    let entries = match std::fs::read_dir(path) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(false),
        entries => entries?,
    };
    for entry in entries {
        if entry?.path().extension().is_some_and(|extension| extension == "segment") {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Logs folders with events of sinks that are not configured, and keeps them.
pub(crate) fn report_orphans(data_dir: &Path, is_configured: impl Fn(&str) -> bool) {
    let Ok(entries) = std::fs::read_dir(data_dir.join("buffer")) else { return };
    for entry in entries.flatten() {
        let Ok(name) = entry.file_name().into_string() else { continue };
        if !is_configured(&name) && holds_segments(&entry.path()).unwrap_or(false) {
            tracing::warn!(
                sink = name, folder = %entry.path().display(),
                "keeping the disk buffer of a sink that is not configured; configure the sink to deliver its events, or remove the folder"
            );
        }
    }
}

impl DiskBuffer {
    /// Runs the sink behind the buffer, until the lanes have closed the queue.
    pub(crate) async fn run(self, sink: Box<dyn Sink>, mut context: SinkContext) -> Result<(), SinkError> {
        let Some(queue) = self.open(&context.stats).await? else { return Ok(()) };
        let output = Queue::new(MEMORY_BYTES, None, None);
        context.input = output.clone();
        let DiskQueue { writer, reader, acknowledger, keeper, events } = queue;
        let in_memory = self.plan.kind == BufferKind::Memory;
        let (stop, stopped) = watch::channel(false);
        let store = Store {
            name: self.name.clone(),
            input: self.input.clone(),
            stats: self.stats.clone(),
            gather: match self.plan.kind {
                BufferKind::Disk { gather } => gather,
                BufferKind::Memory => Duration::ZERO,
            },
            drop_newest: self.plan.when_full == WhenFull::DropNewest,
            events: events.clone(),
            sink: context.stats.clone(),
        };
        let fetch = Fetch {
            name: self.name.clone(),
            output: output.clone(),
            acknowledger: acknowledger.clone(),
            stats: self.stats.clone(),
            events: events.clone(),
        };
        let fill = async {
            if in_memory {
                // Deliver events on disk first; meanwhile the queue of the lanes fills, as with a
                // slow sink.
                let drained = fetch.run(reader, stopped.clone(), true);
                tokio::select! {
                    () = drained => {}
                    () = closed(&self.input) => {}
                }
                while let Some(payload) = self.input.pop().await {
                    if output.push(payload).await.is_err() {
                        return;
                    }
                }
                output.close();
                return;
            }
            let stored = async {
                store.run(writer).await;
                let until = *self.deliver_until.borrow();
                if let Some(until) = until {
                    let left = until.saturating_duration_since(Instant::now());
                    let _ = tokio::time::timeout(left, emptied(&acknowledger)).await;
                }
                let _ = stop.send(true);
            };
            tokio::join!(stored, fetch.run(reader, stopped.clone(), false));
            output.close();
            // Events that the sink did not take stay on disk; dropping them returns their
            // acknowledgements.
            while output.try_pop().is_some() {}
        };
        let mut ending = stopped.clone();
        let deliver = async {
            let ended = tokio::select! {
                ended = sink.run(context) => ended,
                () = async {
                    // An error means that there was no stop.
                    if ending.wait_for(|stop| *stop).await.is_err() {
                        std::future::pending::<()>().await;
                    }
                    tokio::time::sleep(GRACE).await;
                } => Ok(()),
            };
            // A sink that ended early takes no more events; the sources keep those that are not
            // stored.
            self.input.close();
            output.close();
            while output.try_pop().is_some() {}
            ended
        };
        let (done, working) = watch::channel(());
        let work = async {
            let ((), ended) = tokio::join!(fill, deliver);
            drop(done);
            ended
        };
        let (ended, ()) = tokio::join!(work, keep(&self.name, keeper, &events, working));
        let left = self.stats.events.load(std::sync::atomic::Ordering::Relaxed);
        if left > 0 {
            tracing::info!(sink = %self.name, events = left, "events stay in the disk buffer until the sink runs again");
        }
        ended
    }

    /// Opens the folder, and retries after errors. Returns `None` if the sink was stopped before it
    /// succeeded.
    async fn open(&self, sink: &SinkStats) -> Result<Option<DiskQueue<Folder>>, SinkError> {
        let mut failed = false;
        loop {
            let settings =
                DiskSettings { name: self.name.clone(), max_size: self.plan.max_size, stats: self.stats.clone() };
            let folder = self.folder.clone();
            let opened = tokio::task::spawn_blocking(move || open(folder, &settings)).await;
            match opened.map_err(ended)? {
                Ok(queue) => {
                    sink.clear_broken();
                    return Ok(Some(queue));
                }
                Err(_) if self.input.is_closed() => return Ok(None),
                Err(error) => {
                    if needs_operator(&error) {
                        sink.set_broken(|| format!("disk buffer: {error}"));
                    }
                    if !std::mem::replace(&mut failed, true) {
                        tracing::error!(sink = %self.name, %error, "cannot open the disk buffer, retrying");
                    }
                    self.stats.errors.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }
}

/// Converts a failed I/O thread to an error.
fn ended(error: tokio::task::JoinError) -> SinkError {
    SinkError::task("a thread of the disk buffer", error)
}

/// Waits until a queue is closed.
async fn closed(queue: &Queue<Payload>) {
    while !queue.is_closed() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until everything on disk is acknowledged.
async fn emptied(acknowledger: &Acknowledger<Folder>) {
    while !acknowledger.is_empty() {
        tokio::time::sleep(KEEP_INTERVAL).await;
    }
}

/// Writes the position and removes acknowledged segments, until the work is done.
async fn keep(name: &str, mut keeper: Keeper<Folder>, events: &Events, mut working: watch::Receiver<()>) {
    let mut synced = Instant::now();
    let mut unsynced = false;
    let mut failed = false;
    let mut working_on = true;
    while working_on {
        let sync_due = async {
            if !unsynced {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep_until((synced + SYNC_INTERVAL).into()).await;
        };
        tokio::select! {
            () = events.acknowledged.notified() => unsynced = true,
            () = sync_due => {}
            // The sender is dropped when the work is done.
            _ = working.changed() => working_on = false,
        }
        let sync = !working_on || synced.elapsed() >= SYNC_INTERVAL;
        let tended = tokio::task::spawn_blocking(move || {
            let done = keeper.tend(sync);
            (keeper, done)
        });
        let done;
        (keeper, done) = match tended.await {
            Ok(tended) => tended,
            Err(error) => {
                tracing::error!(sink = name, %error, "the thread that writes the position of the disk buffer ended");
                return;
            }
        };
        match done {
            Ok(()) if failed => {
                failed = false;
                tracing::info!(sink = name, "writing the position of the disk buffer works again");
            }
            Ok(()) => {}
            Err(error) => {
                if !std::mem::replace(&mut failed, true) {
                    tracing::warn!(
                        sink = name, %error,
                        "cannot write the position of the disk buffer, retrying; a crash now would duplicate more events"
                    );
                }
                unsynced = true;
                synced = Instant::now();
                continue;
            }
        }
        if sync {
            synced = Instant::now();
            unsynced = false;
        }
        tokio::time::sleep(KEEP_INTERVAL).await;
    }
}
