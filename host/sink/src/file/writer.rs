//! The writing half of the file sink: opens, writes, syncs, rotates and closes files.
//!
//! All calls block on I/O. A call does the work that is due and returns; the caller waits and
//! retries.

use std::collections::{HashMap, HashSet};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use wattle_descriptors::{Kind, Share, help, is_short};

use super::open::open;
use super::open_file::OpenFile;
use super::options::{Fsync, Mode, Settings};
use super::rotate::set_aside;
use crate::compress::Compression;
use crate::output::Todo;
use crate::sink::SinkStats;

/// Interval between checks whether open files are idle, due for rotation, or were renamed or
/// removed.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Time after a failed rotation until the next attempt.
const ROTATE_RETRY: Duration = Duration::from_secs(10);

/// With `fsync = "interval"`, files are synced early when all of them together have this number of
/// bytes of unsynced events: sources hold unacknowledged events, and some stop reading when they
/// hold too many.
const SYNC_BYTES: usize = 4 << 20;

/// A file cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("`{}`: {source}", path.display())]
pub(crate) struct WriteError {
    pub(crate) path: PathBuf,
    pub(crate) source: io::Error,
}

/// The open files of a sink, and the payloads to write to them.
pub(crate) struct Files {
    settings: Settings,
    stats: Arc<SinkStats>,
    sink: Arc<str>,
    open: HashMap<Arc<str>, OpenFile>,
    pub(crate) todo: Todo,
    /// Files that were truncated already.
    truncated: HashSet<Arc<str>>,
    /// Time of the last check of open files.
    checked: Instant,
    /// Share of the process's file descriptors.
    share: Share,
    /// Whether the shortage of descriptors was logged.
    is_short: bool,
    /// Whether to sync events at once, without waiting for `fsync_interval`.
    pub(crate) flush_now: bool,
}

impl Files {
    pub(crate) fn new(settings: Settings, sink: Arc<str>, stats: Arc<SinkStats>) -> Self {
        Self {
            settings,
            stats,
            sink,
            open: HashMap::new(),
            todo: Todo::default(),
            truncated: HashSet::new(),
            checked: Instant::now(),
            share: Share::new(Kind::Sink),
            is_short: false,
            flush_now: false,
        }
    }

    /// Whether no file is open and no payload is left.
    pub(crate) fn is_done(&self) -> bool {
        self.open.is_empty() && self.todo.is_empty()
    }

    /// Whether events wait for a sync.
    pub(crate) fn has_unsynced(&self) -> bool {
        self.open.values().any(|file| file.waiting_since.is_some())
    }

    /// When the next call is due if no payload arrives.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        if self.open.is_empty() {
            return None;
        }
        let syncs = self.open.values().filter_map(|file| file.waiting_since).map(|s| s + self.settings.fsync_interval);
        syncs.chain([self.checked + self.check_interval()]).min()
    }

    fn check_interval(&self) -> Duration {
        let every = self.settings.rotate_every.unwrap_or(CHECK_INTERVAL);
        CHECK_INTERVAL.min(self.settings.idle_timeout).min(every)
    }

    /// Writes all payloads, syncs files that are due, and rotates or closes files that are due.
    /// With `last`, closes all files.
    pub(crate) fn step(&mut self, last: bool) -> Result<(), WriteError> {
        // Each part runs even if an earlier one failed.
        let written = self.write_all();
        let synced = self.sync_due(Instant::now());
        let checked = self.check(last && self.todo.is_empty());
        written.and(synced).and(checked)
    }

    fn write_all(&mut self) -> Result<(), WriteError> {
        while let Some(first) = self.todo.payloads.front() {
            // Without a literal path every payload has a key, so `_` is never used.
            let key = first.key.clone().or_else(|| self.settings.literal.clone()).unwrap_or_else(|| "_".into());
            let same = self.todo.payloads.iter().take_while(|p| p.key == first.key).count();
            self.write_to(&key, same)?;
        }
        Ok(())
    }

    /// Writes some or all of the first `same` payloads to their file.
    fn write_to(&mut self, key: &Arc<str>, same: usize) -> Result<(), WriteError> {
        // A payload that is partly written must stay in its file.
        if self.todo.offset == 0 && self.open.get(key).is_some_and(OpenFile::has_lost_its_name) {
            self.leave(key)?;
        }
        if self.todo.offset == 0 && self.open.get(key).is_some_and(|file| self.is_full(file)) {
            self.rotate(key)?;
        }
        if !self.open.contains_key(key) {
            self.make_room()?;
            self.open(key)?;
            if self.open.get(key).is_some_and(|file| self.is_full(file)) {
                self.rotate(key)?;
                // The rename failed, so the file is still open.
                return Ok(());
            }
        }
        // Taken out of the map for the borrow checker.
        let Some(mut file) = self.open.remove(key) else { return Ok(()) };
        let count = self.fitting(&file, same);
        let done = file.write(&mut self.todo, count);
        self.open.insert(key.clone(), file);
        done.map_err(|source| self.fail(key, source))
    }

    fn open(&mut self, key: &Arc<str>) -> Result<(), WriteError> {
        let path = Path::new(&**key);
        let truncate = self.settings.mode == Mode::Truncate && !self.truncated.contains(key);
        let mut opened = open(path, &self.settings, truncate);
        while opened.as_ref().is_err_and(is_short) && self.close_oldest()? {
            self.log_shortage();
            opened = open(path, &self.settings, truncate);
        }
        let file = opened.and_then(|opened| OpenFile::new(path, opened, &self.settings));
        let file = file.map_err(|source| WriteError { path: path.to_owned(), source })?;
        if truncate {
            self.truncated.insert(key.clone());
        }
        self.open.insert(key.clone(), file);
        Ok(())
    }

    /// Closes least recently used files until another one may be opened.
    fn make_room(&mut self) -> Result<(), WriteError> {
        while self.open.len() >= self.share.max(self.settings.max_open_files) && self.close_oldest()? {}
        Ok(())
    }

    /// Closes the least recently used file; returns whether there was one.
    fn close_oldest(&mut self) -> Result<bool, WriteError> {
        let oldest = self.open.iter().min_by_key(|(_, file)| file.used).map(|(key, _)| key.clone());
        let Some(oldest) = oldest else { return Ok(false) };
        self.close(&oldest)?;
        Ok(true)
    }

    fn log_shortage(&mut self) {
        if !std::mem::replace(&mut self.is_short, true) {
            tracing::warn!(
                sink = %self.sink, open = self.open.len(), help = %help(),
                "too many open files; closing the least recently used"
            );
        }
    }

    /// Closes a file that another process renamed or removed.
    fn leave(&mut self, key: &Arc<str>) -> Result<(), WriteError> {
        tracing::info!(sink = %self.sink, path = %key, "another process renamed or removed the file; a new file is created");
        self.close(key)
    }

    /// Whether a file must be rotated before the next payload.
    fn is_full(&self, file: &OpenFile) -> bool {
        let Some(max) = self.settings.rotate_bytes else { return false };
        let more = match self.settings.compression {
            Compression::None => self.todo.first().len() as u64,
            // The compressed size of the next events is not known yet.
            _ => 1,
        };
        file.size > 0 && file.size + more > max && may_rotate(file)
    }

    /// How many of the first payloads fit into a file before the next check for rotation; at least
    /// one.
    fn fitting(&self, file: &OpenFile, same: usize) -> usize {
        let Some(max) = self.settings.rotate_bytes else { return same };
        if self.settings.compression != Compression::None {
            // The size of the file is known only after each payload is compressed.
            return 1;
        }
        let mut size = file.size;
        let fits = self.todo.payloads.iter().take(same).take_while(|payload| {
            size += payload.bytes.len() as u64;
            size <= max
        });
        fits.count().max(1)
    }

    /// Handles an error of a file. If the disk is full, the file stays open and writing continues
    /// where it stopped. After any other error the file is abandoned and opened again, and only
    /// events that a sync proves to be on disk are acknowledged.
    fn fail(&mut self, key: &Arc<str>, source: io::Error) -> WriteError {
        let path = PathBuf::from(&**key);
        let temporary =
            [ErrorKind::StorageFull, ErrorKind::QuotaExceeded, ErrorKind::WouldBlock, ErrorKind::OutOfMemory];
        // A sync proves nothing about a compressed file, whose last events may still be in the
        // stream.
        if !temporary.contains(&source.kind())
            && let Some(mut file) = self.abandon(key)
            && self.settings.compression == Compression::None
            && file.sync().is_ok()
        {
            file.deliver(&self.stats);
        }
        WriteError { path, source }
    }

    /// Removes a file from the open ones without syncing it. A partly written payload starts from
    /// its beginning again.
    fn abandon(&mut self, key: &Arc<str>) -> Option<OpenFile> {
        if self.is_first(key) {
            self.todo.offset = 0;
        }
        self.open.remove(key)
    }

    /// Whether the first payload belongs to this file.
    fn is_first(&self, key: &Arc<str>) -> bool {
        let first = self.todo.payloads.front();
        first.is_some_and(|first| first.key.as_ref().or(self.settings.literal.as_ref()) == Some(key))
    }

    /// Syncs the files whose events have waited for the interval.
    fn sync_due(&mut self, now: Instant) -> Result<(), WriteError> {
        let interval = match self.settings.fsync {
            // With `never`, `sync` only flushes and acknowledges, so it is always due.
            Fsync::Batch | Fsync::Never => Duration::ZERO,
            Fsync::Interval if self.flush_now => Duration::ZERO,
            Fsync::Interval => self.settings.fsync_interval,
        };
        let waiting: usize = self.open.values().map(|file| file.waiting_bytes).sum();
        let due =
            |file: &OpenFile| file.waiting_since.is_some_and(|since| since + interval <= now || waiting >= SYNC_BYTES);
        let due: Vec<Arc<str>> = self.open.iter().filter(|(_, file)| due(file)).map(|(key, _)| key.clone()).collect();
        // Sync every file, even if one fails.
        due.iter().map(|key| self.sync(key)).fold(Ok(()), Result::and)
    }

    /// Syncs a file as `fsync` requires, and acknowledges its events.
    fn sync(&mut self, key: &Arc<str>) -> Result<(), WriteError> {
        let Some(file) = self.open.get_mut(key) else { return Ok(()) };
        if let Err(source) = file.flush() {
            return Err(self.fail(key, source));
        }
        if self.settings.fsync != Fsync::Never
            && let Err(source) = file.sync()
        {
            // After a failed sync, Linux drops the pages that it could not write, so no event of
            // the file is safe.
            let path = PathBuf::from(&**key);
            drop(self.abandon(key));
            return Err(WriteError { path, source });
        }
        if file.is_removed() && file.waiting_events() > 0 {
            // The contents are lost when the file is closed.
            tracing::warn!(
                sink = %self.sink, path = %key, events = file.waiting_events(),
                "file was removed before its events were acknowledged; writing them to a new file"
            );
            drop(self.abandon(key));
            return Ok(());
        }
        file.deliver(&self.stats);
        Ok(())
    }

    /// Rotates and closes files that are due; closes all files if `last` is set.
    fn check(&mut self, last: bool) -> Result<(), WriteError> {
        let now = Instant::now();
        if !last && now.duration_since(self.checked) < self.check_interval() {
            return Ok(());
        }
        self.checked = now;
        let keys: Vec<Arc<str>> = self.open.keys().cloned().collect();
        let mut result = Ok(());
        for key in keys {
            // Finish the payload before its file is rotated or closed.
            if self.todo.offset > 0 && self.is_first(&key) {
                continue;
            }
            result = result.and(self.check_file(&key, now, last));
        }
        result
    }

    fn check_file(&mut self, key: &Arc<str>, now: Instant, last: bool) -> Result<(), WriteError> {
        let Some(file) = self.open.get(key) else { return Ok(()) };
        let idle = now.saturating_duration_since(file.used) >= self.settings.idle_timeout;
        let old = self.settings.rotate_every.is_some_and(|every| file.age(now) >= every);
        if file.has_lost_its_name() {
            return self.leave(key);
        }
        if old && file.size > 0 && may_rotate(file) {
            self.rotate(key)?;
        }
        if idle || last { self.close(key) } else { Ok(()) }
    }

    fn close(&mut self, key: &Arc<str>) -> Result<(), WriteError> {
        self.complete(key)?;
        self.open.remove(key);
        Ok(())
    }

    /// Ends the stream of a file and syncs it, so that the file is complete.
    fn complete(&mut self, key: &Arc<str>) -> Result<(), WriteError> {
        let Some(file) = self.open.get_mut(key) else { return Ok(()) };
        if let Err(source) = file.end_stream() {
            return Err(self.fail(key, source));
        }
        self.sync(key)
    }

    /// Renames a file and closes it. If it cannot be renamed, it stays open and continues to grow.
    fn rotate(&mut self, key: &Arc<str>) -> Result<(), WriteError> {
        self.complete(key)?;
        let Some(file) = self.open.get_mut(key) else { return Ok(()) };
        match set_aside(&file.path, Timestamp::now()) {
            Ok(aside) => {
                tracing::debug!(sink = %self.sink, path = %key, aside = %aside.display(), "file rotated");
                self.open.remove(key);
            }
            Err(error) => {
                tracing::warn!(sink = %self.sink, path = %key, %error, "cannot rotate the file; it continues to grow");
                file.rotate_after = Some(Instant::now() + ROTATE_RETRY);
            }
        }
        Ok(())
    }
}

/// Whether a file may be renamed now: not devices and pipes, and not soon after a failed attempt.
fn may_rotate(file: &OpenFile) -> bool {
    file.regular && file.rotate_after.is_none_or(|after| after <= Instant::now())
}

#[cfg(test)]
mod tests;
