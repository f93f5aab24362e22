//! Keys and values on disk: what a call changed is written and synced before the batch of the call is
//! acknowledged.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;

use super::Store;
use super::entries::Value;
use super::log::{Found, Log};
use crate::ambient::Clock;
use crate::flusher::{Durable, Waker, WriteState};

/// Minimum interval between two groups. Acknowledgements wait that long, and a group of all calls
/// meanwhile is synced once.
const INTERVAL: Duration = Duration::from_millis(20);

/// A log is written again when it is more than twice as long as all values, plus these bytes.
const SLACK_BYTES: u64 = 1 << 20;

/// The log of a store, if its values are durable.
#[derive(Debug, Default)]
pub(super) struct KvLog {
    /// Locked during writes, which wait for the disk.
    state: Mutex<Option<LogState>>,
    waker: OnceLock<Arc<Waker>>,
    bytes: AtomicU64,
    errors: AtomicU64,
}

#[derive(Debug)]
struct LogState {
    log: Log,
    writes: WriteState,
}

/// How much a store has, and what it wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KvUsage {
    /// Number of keys.
    pub keys: u64,
    /// Bytes that count against the grant.
    pub bytes: u64,
    /// Bytes of the log.
    pub log_bytes: u64,
    /// Reads and writes of the log that failed; writes are repeated.
    pub log_errors: u64,
}

impl KvLog {
    /// Requests a write.
    pub(super) fn wake(&self) {
        if let Some(waker) = self.waker.get() {
            waker.wake(INTERVAL);
        }
    }
}

impl Store {
    /// Reads the log at this path, if the store has none yet, and keeps all values there from now on.
    /// Values that the store has already are newer. A log that is damaged or cannot be read is
    /// reported, and replaced with the next change.
    pub(crate) fn keep_in(&self, path: PathBuf, waker: &Arc<Waker>) {
        // Others wait here until the values are read.
        let mut state = self.log.state.lock();
        if state.is_some() {
            return;
        }
        let mut log = Log::new(path);
        let now = Clock::Machine.steady();
        let mut entries = self.entries.lock();
        let newer: Vec<(Bytes, Value)> = entries.all().map(|(key, value)| (key.clone(), value.clone())).collect();
        let found = log.read(|key, value| match value {
            Some(Value { bytes, until }) if until.is_none_or(|until| until > now) => entries.put(&key, bytes, until),
            _ => entries.remove(&key),
        });
        match found {
            Ok(Found::Whole) => {}
            Ok(Found::Damaged { aside }) => {
                self.log.errors.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(
                    path = %log.path().display(), %aside,
                    "the keys and values of a node are damaged; the file was set aside, and changes after the damage are lost"
                );
            }
            Err(error) => {
                self.log.errors.fetch_add(1, Ordering::Relaxed);
                tracing::error!(path = %log.path().display(), %error, "cannot read the keys and values of a node");
            }
        }
        let mut writes = WriteState::default();
        writes.must_rewrite = !newer.is_empty();
        newer.into_iter().for_each(|(key, Value { bytes, until })| entries.put(&key, bytes, until));
        entries.record();
        self.log.bytes.store(log.bytes(), Ordering::Relaxed);
        *state = Some(LogState { log, writes });
        let _ = self.log.waker.set(waker.clone());
    }

    /// The current size.
    pub(crate) fn usage(&self) -> KvUsage {
        let (keys, bytes) = self.entries.lock().usage();
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let (log_bytes, log_errors) = (load(&self.log.bytes), load(&self.log.errors));
        KvUsage { keys: keys as u64, bytes: bytes as u64, log_bytes, log_errors }
    }
}

impl Durable for Store {
    fn interval(&self) -> Duration {
        INTERVAL
    }

    fn flush(&self, is_last: bool) {
        let mut state = self.log.state.lock();
        let Some(LogState { log, writes }) = &mut *state else { return };
        let now = Clock::Machine.steady();
        if writes.is_paused(now) && !is_last {
            return;
        }
        let mut entries = self.entries.lock();
        if !entries.has_unwritten() && !writes.must_rewrite {
            return;
        }
        let unwritten = entries.take_unwritten();
        let is_long = log.bytes() > 2 * entries.usage().1 as u64 + SLACK_BYTES;
        let is_whole = writes.must_rewrite || is_long || !log.is_appendable();
        // Clones of keys and values share their bytes.
        let changes: Vec<(Bytes, Option<Value>)> = if is_whole {
            entries.all().map(|(key, value)| (key.clone(), Some(value.clone()))).collect()
        } else {
            unwritten.keys.iter().map(|key| (key.clone(), entries.value(key).cloned())).collect()
        };
        drop(entries);
        let written = if is_whole { log.rewrite(&changes) } else { log.append(&changes) };
        self.log.bytes.store(log.bytes(), Ordering::Relaxed);
        match written {
            Ok(()) => {
                writes.succeed();
                drop(state);
                unwritten.waiting.into_iter().for_each(|written| written());
            }
            Err(error) => {
                self.log.errors.fetch_add(1, Ordering::Relaxed);
                if writes.fail(now) {
                    tracing::error!(
                        path = %log.path().display(), %error,
                        "cannot write the keys and values of a node; retrying, until then its events stay unacknowledged"
                    );
                }
                self.entries.lock().put_back(unwritten);
            }
        }
    }

    fn has_waiting(&self) -> bool {
        self.entries.lock().has_unwritten()
    }

    fn path(&self) -> Option<PathBuf> {
        self.log.state.lock().as_ref().map(|state| state.log.path().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::atomic::AtomicBool;
    use std::time::Instant;

    use wattle_plan::KvGrant;

    use super::*;
    use crate::flusher::Flusher;
    use crate::kv::Staged;
    use crate::values::{Values, ValuesBuilder};

    fn column(text: &str) -> Values {
        let mut builder = ValuesBuilder::with_rows(1);
        builder.push(Some(text.as_bytes()), usize::MAX).unwrap();
        builder.finish()
    }

    /// A process: its store with a log, and the thread that writes it.
    struct Process {
        store: Arc<Store>,
        flusher: Flusher,
    }

    impl Process {
        fn start(path: &Path) -> Self {
            let (store, flusher) = (Arc::<Store>::default(), Flusher::default());
            store.keep_in(path.to_owned(), flusher.keep(&store));
            Self { store, flusher }
        }

        /// A call that sets a value. Returns whether the value is on disk, as the call learns it.
        fn set(&self, key: &str, value: &str, ttl: Option<u64>) -> Arc<AtomicBool> {
            let mut staged = Staged::default();
            let (grant, now) = (KvGrant::default(), Clock::Machine.steady());
            self.store.set(&grant, &column(key), &column(value), ttl, now, &mut staged).unwrap();
            self.commit(staged)
        }

        fn delete(&self, key: &str) -> Arc<AtomicBool> {
            let mut staged = Staged::default();
            self.store.delete(&column(key), Clock::Machine.steady(), &mut staged);
            self.commit(staged)
        }

        fn commit(&self, staged: Staged) -> Arc<AtomicBool> {
            let is_written: Arc<AtomicBool> = Arc::default();
            let set = is_written.clone();
            let conflicts = staged.commit(Clock::Machine.steady(), move || set.store(true, Ordering::Release));
            assert_eq!(conflicts, 0);
            is_written
        }

        fn get(&self, key: &str) -> Option<String> {
            let now = Clock::Machine.steady();
            let found = self.store.get(&column(key), now, usize::MAX, &Staged::default()).unwrap();
            found.iter().next().flatten().map(|value| String::from_utf8_lossy(value).into_owned())
        }
    }

    fn wait_for(is_written: &AtomicBool) {
        let since = Instant::now();
        while !is_written.load(Ordering::Acquire) {
            assert!(since.elapsed() < Duration::from_secs(20), "timeout");
            std::thread::yield_now();
        }
    }

    #[test]
    fn what_a_call_learns_to_be_written_survives_a_kill() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kv/main/n");
        let process = Process::start(&path);
        for (key, value) in [("a", "1"), ("b", "2"), ("a", "3")] {
            wait_for(&process.set(key, value, None));
        }
        wait_for(&process.set("short", "x", Some(1)));
        wait_for(&process.delete("b"));
        assert_eq!(process.store.usage().log_bytes, std::fs::metadata(&path).unwrap().len());
        process.flusher.kill();
        std::thread::sleep(Duration::from_millis(5));
        let process = Process::start(&path);
        assert_eq!(["a", "b", "short"].map(|key| process.get(key)), [Some("3".into()), None, None]);
        // The last write of an orderly end.
        let is_written = process.set("c", "4", None);
        drop(process);
        assert!(is_written.load(Ordering::Acquire));
        assert_eq!(Process::start(&path).get("c"), Some("4".into()));
    }

    #[test]
    fn a_disk_that_fails_keeps_calls_waiting_and_loses_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kv/main/n");
        // A file where the folder should be.
        std::fs::write(folder.path().join("kv"), "").unwrap();
        let process = Process::start(&path);
        let is_written = process.set("a", "1", None);
        let since = Instant::now();
        while process.store.usage().log_errors < 2 {
            assert!(since.elapsed() < Duration::from_secs(20), "no second attempt");
            std::thread::yield_now();
        }
        assert!(!is_written.load(Ordering::Acquire));
        std::fs::remove_file(folder.path().join("kv")).unwrap();
        wait_for(&is_written);
        process.flusher.kill();
        assert_eq!(Process::start(&path).get("a"), Some("1".into()));
    }

    #[test]
    fn a_long_log_is_written_again_with_the_values_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kv/main/n");
        let process = Process::start(&path);
        let large = "x".repeat(100_000);
        for _ in 0..40 {
            wait_for(&process.set("a", &large, None));
        }
        assert!(std::fs::metadata(&path).unwrap().len() < SLACK_BYTES + 400_000);
        assert_eq!(process.get("a"), Some(large));
    }

    #[test]
    fn values_that_were_in_memory_before_are_newer_than_the_log() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kv/main/n");
        let process = Process::start(&path);
        wait_for(&process.set("a", "old", None));
        wait_for(&process.set("b", "old", None));
        drop(process);
        let process = Process { store: Arc::default(), flusher: Flusher::default() };
        assert!(process.set("a", "new", None).load(Ordering::Acquire), "only in memory");
        process.store.keep_in(path.clone(), process.flusher.keep(&process.store));
        assert_eq!(["a", "b"].map(|key| process.get(key)), [Some("new".into()), Some("old".into())]);
        drop(process);
        assert_eq!(Process::start(&path).get("a"), Some("new".into()));
    }
}
