//! The half of the file sink that writes: which files are open, and when events in them are safe.
//!
//! Everything here blocks. Each call does what can be done now and returns; waiting and trying again is the caller's.

use std::collections::{HashMap, HashSet};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use wattle_descriptors::{Kind, Share, cure, is_short};

use super::open::open;
use super::open_file::OpenFile;
use super::options::{Fsync, Mode, Settings};
use super::rotate::set_aside;
use crate::compress::Compression;
use crate::output::Todo;
use crate::sink::SinkStats;

/// How often open files are looked at: whether they are idle, old, or have been moved away.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// How long after a rotation failed the next is tried.
const ROTATE_AGAIN: Duration = Duration::from_secs(10);

/// With `fsync = "interval"`, files are synced early once so many bytes of events wait for it in all of them: sources hold
/// what is not acknowledged, and some wait when they hold too much.
const SYNC_BYTES: usize = 4 << 20;

/// A file could not be written.
#[derive(Debug, thiserror::Error)]
#[error("`{}`: {source}", path.display())]
pub(crate) struct WriteError {
    pub(crate) path: PathBuf,
    pub(crate) source: io::Error,
}

/// The open files of a sink, and what is to be written to them.
pub(crate) struct Files {
    settings: Settings,
    stats: Arc<SinkStats>,
    sink: Arc<str>,
    open: HashMap<Arc<str>, OpenFile>,
    pub(crate) todo: Todo,
    /// Files that were emptied already.
    truncated: HashSet<Arc<str>>,
    looked: Instant,
    /// How many files may be open.
    share: Share,
    /// The lack of descriptors was logged.
    is_short: bool,
    /// Events are to be safe at once, whatever `fsync_interval` is.
    pub(crate) hurry: bool,
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
            looked: Instant::now(),
            share: Share::new(Kind::Sink),
            is_short: false,
            hurry: false,
        }
    }

    /// Whether nothing is open and nothing is to be written.
    pub(crate) fn is_done(&self) -> bool {
        self.open.is_empty() && self.todo.is_empty()
    }

    /// Whether events wait for a sync.
    pub(crate) fn has_unsafe(&self) -> bool {
        self.open.values().any(|file| file.waiting_since.is_some())
    }

    /// When the next call is due although nothing came.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        if self.open.is_empty() {
            return None;
        }
        let syncs = self.open.values().filter_map(|file| file.waiting_since).map(|s| s + self.settings.fsync_interval);
        syncs.chain([self.looked + self.look_interval()]).min()
    }

    fn look_interval(&self) -> Duration {
        let every = self.settings.rotate_every.unwrap_or(LOOK_INTERVAL);
        LOOK_INTERVAL.min(self.settings.idle_timeout).min(every)
    }

    /// Writes what is to be written, makes events safe whose time has come, and closes or renames files if it is time
    /// to. With `last`, closes all of them.
    pub(crate) fn step(&mut self, last: bool) -> Result<(), WriteError> {
        let written = self.write_all();
        let secured = self.secure_due(Instant::now());
        let looked = self.look(last && self.todo.is_empty());
        written.and(secured).and(looked)
    }

    fn write_all(&mut self) -> Result<(), WriteError> {
        while let Some(first) = self.todo.payloads.front() {
            let key = first.key.clone().or_else(|| self.settings.literal.clone()).unwrap_or_else(|| "_".into());
            let same = self.todo.payloads.iter().take_while(|p| p.key == first.key).count();
            self.write_to(&key, same)?;
        }
        Ok(())
    }

    /// Writes the first `same` payloads, or some of them, to the file that they belong to.
    fn write_to(&mut self, key: &Arc<str>, same: usize) -> Result<(), WriteError> {
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
                // A file that could not be renamed is still open.
                return Ok(());
            }
        }
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
            self.note_shortage();
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

    /// Closes the file that was unused for longest if there are as many as there may be.
    fn make_room(&mut self) -> Result<(), WriteError> {
        while self.open.len() >= self.share.most(self.settings.max_open_files) && self.close_oldest()? {}
        Ok(())
    }

    /// Closes the file that was unused for longest; returns whether there was one.
    fn close_oldest(&mut self) -> Result<bool, WriteError> {
        let oldest = self.open.iter().min_by_key(|(_, file)| file.used).map(|(key, _)| key.clone());
        let Some(oldest) = oldest else { return Ok(false) };
        self.close(&oldest)?;
        Ok(true)
    }

    fn note_shortage(&mut self) {
        if !std::mem::replace(&mut self.is_short, true) {
            tracing::warn!(
                sink = %self.sink, open = self.open.len(), cure = %cure(),
                "too many files are open, closing those unused for longest"
            );
        }
    }

    /// Leaves a file that was renamed or removed by others.
    fn leave(&mut self, key: &Arc<str>) -> Result<(), WriteError> {
        tracing::info!(sink = %self.sink, path = %key, "file was renamed or removed by others, a new one begins");
        self.close(key)
    }

    /// Whether a file has to be rotated before the next payload is written to it.
    fn is_full(&self, file: &OpenFile) -> bool {
        let Some(max) = self.settings.rotate_bytes else { return false };
        let more = match self.settings.compression {
            Compression::None => self.todo.first().len() as u64,
            // How much the next events take is known only when they are written.
            _ => 1,
        };
        file.size > 0 && file.size + more > max && may_rotate(file)
    }

    /// How many of the first payloads a file takes before it has to be looked at again; at least one.
    fn fitting(&self, file: &OpenFile, same: usize) -> usize {
        let Some(max) = self.settings.rotate_bytes else { return same };
        if self.settings.compression != Compression::None {
            return 1;
        }
        let mut size = file.size;
        let fits = self.todo.payloads.iter().take(same).take_while(|payload| {
            size += payload.bytes.len() as u64;
            size <= max
        });
        fits.count().max(1)
    }

    /// What to do with a file after an error: one that is only full stays open, so that writing goes on where it
    /// stopped. Any other is given up and opened again, and what of it is not certain to be safe is not acknowledged.
    fn fail(&mut self, key: &Arc<str>, source: io::Error) -> WriteError {
        let path = PathBuf::from(&**key);
        let patient = [ErrorKind::StorageFull, ErrorKind::QuotaExceeded, ErrorKind::WouldBlock, ErrorKind::OutOfMemory];
        if !patient.contains(&source.kind())
            && let Some(mut file) = self.give_up(key)
            && self.settings.compression == Compression::None
            && file.sync().is_ok()
        {
            file.deliver(&self.stats);
        }
        WriteError { path, source }
    }

    fn give_up(&mut self, key: &Arc<str>) -> Option<OpenFile> {
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

    /// Makes events safe that have waited for as long as they may.
    fn secure_due(&mut self, now: Instant) -> Result<(), WriteError> {
        let interval = match self.settings.fsync {
            Fsync::Batch | Fsync::Never => Duration::ZERO,
            Fsync::Interval if self.hurry => Duration::ZERO,
            Fsync::Interval => self.settings.fsync_interval,
        };
        let waiting: usize = self.open.values().map(|file| file.waiting_bytes).sum();
        let due =
            |file: &OpenFile| file.waiting_since.is_some_and(|since| since + interval <= now || waiting >= SYNC_BYTES);
        let due: Vec<Arc<str>> = self.open.iter().filter(|(_, file)| due(file)).map(|(key, _)| key.clone()).collect();
        due.iter().map(|key| self.secure(key)).fold(Ok(()), Result::and)
    }

    /// Makes the events of a file safe, as `fsync` has it, and acknowledges them.
    fn secure(&mut self, key: &Arc<str>) -> Result<(), WriteError> {
        let Some(file) = self.open.get_mut(key) else { return Ok(()) };
        if let Err(source) = file.flush() {
            return Err(self.fail(key, source));
        }
        if self.settings.fsync != Fsync::Never
            && let Err(source) = file.sync()
        {
            // After a failed sync the system has forgotten what it could not write, so nothing of it counts as safe.
            let path = PathBuf::from(&**key);
            drop(self.give_up(key));
            return Err(WriteError { path, source });
        }
        if file.is_removed() && file.waiting_events() > 0 {
            // Nobody will ever read it.
            tracing::warn!(
                sink = %self.sink, path = %key, events = file.waiting_events(),
                "file was removed before its events were acknowledged, they are written again to a new file"
            );
            drop(self.give_up(key));
            return Ok(());
        }
        file.deliver(&self.stats);
        Ok(())
    }

    /// Closes and renames files whose time has come; all are closed if it is the last time.
    fn look(&mut self, last: bool) -> Result<(), WriteError> {
        let now = Instant::now();
        if !last && now.duration_since(self.looked) < self.look_interval() {
            return Ok(());
        }
        self.looked = now;
        let keys: Vec<Arc<str>> = self.open.keys().cloned().collect();
        let mut result = Ok(());
        for key in keys {
            if self.todo.offset > 0 && self.is_first(&key) {
                continue;
            }
            result = result.and(self.look_at(&key, now, last));
        }
        result
    }

    fn look_at(&mut self, key: &Arc<str>, now: Instant, last: bool) -> Result<(), WriteError> {
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
        self.end(key)?;
        self.open.remove(key);
        Ok(())
    }

    /// Brings a file to an end at which it can be left.
    fn end(&mut self, key: &Arc<str>) -> Result<(), WriteError> {
        let Some(file) = self.open.get_mut(key) else { return Ok(()) };
        if let Err(source) = file.end_stream() {
            return Err(self.fail(key, source));
        }
        self.secure(key)
    }

    /// Renames a file and closes it. If it cannot be renamed, it stays open and grows on.
    fn rotate(&mut self, key: &Arc<str>) -> Result<(), WriteError> {
        self.end(key)?;
        let Some(file) = self.open.get_mut(key) else { return Ok(()) };
        match set_aside(&file.path, Timestamp::now()) {
            Ok(aside) => {
                tracing::debug!(sink = %self.sink, path = %key, aside = %aside.display(), "file was rotated");
                self.open.remove(key);
            }
            Err(error) => {
                tracing::warn!(sink = %self.sink, path = %key, %error, "file cannot be renamed, it grows on");
                file.rotate_after = Some(Instant::now() + ROTATE_AGAIN);
            }
        }
        Ok(())
    }
}

/// Devices and pipes are never renamed, and a file that could not be is left alone for a while.
fn may_rotate(file: &OpenFile) -> bool {
    file.regular && file.rotate_after.is_none_or(|after| after <= Instant::now())
}

#[cfg(test)]
mod tests;
