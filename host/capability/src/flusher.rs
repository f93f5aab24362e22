//! The thread that writes durable stores to the data folder: claims of `seen`, and keys and values of
//! `kv`.

use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// A store with changes that must get to the disk.
pub(crate) trait Durable: Debug + Send + Sync {
    /// How long changes may wait, so that they are written in groups.
    fn interval(&self) -> Duration;

    /// Writes what waits. After a failure, it writes nothing for a while, unless it `is_last`.
    fn flush(&self, is_last: bool);

    /// Whether `flush` has something to write, now or later.
    fn has_waiting(&self) -> bool;

    /// The file; `None` before the first write.
    fn path(&self) -> Option<PathBuf>;
}

/// Changes are gathered for this time before a write, even if the last one is long ago. A snapshot of a node acknowledges
/// the batches of a second at once; the claims of all of them should get to the disk together.
const GATHER: Duration = Duration::from_millis(5);

/// Pause after a write that failed, in milliseconds.
const RETRY_MILLISECONDS: u64 = 1000;

/// What failed writes mean for the next one.
#[derive(Debug, Default)]
pub(crate) struct WriteState {
    /// The file lacks changes, because a write failed or too many waited.
    pub(crate) must_rewrite: bool,
    /// When writing failed: not before this time again, in milliseconds since 1970.
    retry_at: u64,
}

impl WriteState {
    /// Whether the pause after a failure is still on.
    pub(crate) fn is_paused(&self, now: u64) -> bool {
        now < self.retry_at
    }

    /// A write succeeded.
    pub(crate) fn succeed(&mut self) {
        *self = Self::default();
    }

    /// A write failed. Returns whether it is the first one since a success.
    pub(crate) fn fail(&mut self, now: u64) -> bool {
        let is_first = self.retry_at == 0;
        *self = Self { must_rewrite: true, retry_at: now.saturating_add(RETRY_MILLISECONDS) };
        is_first
    }
}

/// Wakes the thread that writes.
#[derive(Debug, Default)]
pub(crate) struct Waker {
    work: Mutex<Work>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Work {
    /// They live as long as this, so that a last write finds them.
    stores: Vec<Arc<dyn Durable>>,
    /// When the next group is written.
    due: Option<Instant>,
    /// When the last group was written.
    last: Option<Instant>,
    is_over: bool,
}

impl Waker {
    /// Requests a write soon, but not sooner than this time after the last one.
    pub(crate) fn wake(&self, interval: Duration) {
        let soon = Instant::now() + GATHER;
        let mut work = self.work.lock();
        let due = work.last.map_or(soon, |last| soon.max(last + interval));
        if work.due.is_none_or(|earlier| due < earlier) {
            work.due = Some(due);
            self.changed.notify_one();
        }
    }

    fn flush(&self, is_last: bool) {
        let stores: Vec<Arc<dyn Durable>> = self.work.lock().stores.clone();
        for store in &stores {
            store.flush(is_last);
        }
        if !is_last && let Some(interval) = stores.iter().filter(|s| s.has_waiting()).map(|s| s.interval()).min() {
            self.wake(interval);
        }
    }

    fn run(&self) {
        let mut work = self.work.lock();
        while !work.is_over {
            match work.due {
                None => self.changed.wait(&mut work),
                Some(due) if due > Instant::now() => _ = self.changed.wait_until(&mut work, due),
                Some(_) => {
                    work.due = None;
                    work.last = Some(Instant::now());
                    drop(work);
                    self.flush(false);
                    work = self.work.lock();
                }
            }
        }
    }
}

/// The thread; it starts with the first store, and ends after a last write when this is dropped.
#[derive(Debug, Default)]
pub(crate) struct Flusher {
    waker: Arc<Waker>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Flusher {
    /// Writes a store from now on, whenever the returned waker is woken.
    pub(crate) fn keep(&self, store: &Arc<impl Durable + 'static>) -> &Arc<Waker> {
        let mut thread = self.thread.lock();
        if thread.is_none() {
            let waker = self.waker.clone();
            match std::thread::Builder::new().name("wattle-stores".into()).spawn(move || waker.run()) {
                Ok(started) => *thread = Some(started),
                Err(error) => {
                    tracing::error!(%error, "cannot start the thread that writes durable stores; they are written at the end");
                }
            }
        }
        drop(thread);
        let mut work = self.waker.work.lock();
        if !work.stores.iter().any(|known| std::ptr::addr_eq(Arc::as_ptr(known), Arc::as_ptr(store))) {
            work.stores.push(store.clone());
        }
        drop(work);
        &self.waker
    }

    /// Writes all stores now. Returns the files of those that cannot be written.
    pub(crate) fn flush(&self) -> Vec<PathBuf> {
        self.waker.flush(true);
        let work = self.waker.work.lock();
        work.stores.iter().filter(|store| store.has_waiting()).filter_map(|store| store.path()).collect()
    }
}

#[cfg(test)]
impl Flusher {
    /// Ends without a last write, as a kill does.
    pub(crate) fn kill(self) {
        self.waker.work.lock().stores.clear();
    }
}

impl Drop for Flusher {
    fn drop(&mut self) {
        let mut work = self.waker.work.lock();
        work.is_over = true;
        self.waker.changed.notify_all();
        drop(work);
        if let Some(thread) = self.thread.lock().take() {
            // Its panic was reported already.
            let _ = thread.join();
        }
        self.waker.flush(true);
        // They and the waker own each other.
        self.waker.work.lock().stores.clear();
    }
}
