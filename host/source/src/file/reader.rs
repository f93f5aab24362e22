//! The reading thread: which file to read next, and what comes after.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use wattle_batch::Batch;

use super::discover::Complaints;
use super::identity::{FileId, Head, Version};
use super::options::{Settings, WhenFinished};
use super::read::{FileFailure, Reading, Unwanted};
use super::track::{Key, Tracker};
use super::watched::Watched;
use crate::assemble::{self, Chunk};
use crate::decompress::{Compression, ReadFailure};
use crate::frame::Framing;
use crate::source::SourceContext;
use crate::stats::add;

/// How often open files are looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// How long after trouble a file is tried again.
const TROUBLE_PAUSE: Duration = Duration::from_secs(1);

/// State of the thread.
pub(crate) struct Reader {
    pub(super) settings: Settings,
    pub(super) context: Arc<SourceContext>,
    pub(super) tracker: Arc<Tracker>,
    output: mpsc::Sender<Batch>,
    pub(super) files: HashMap<Key, Watched>,
    pub(super) by_id: HashMap<FileId, Key>,
    /// Files read to their end of which something may be in flight.
    pub(super) unsettled: HashSet<Key>,
    /// Files that are kept open.
    pub(super) open: HashSet<Key>,
    /// Files to read before the list is made again, so that each has its turn.
    round: VecDeque<Key>,
    pub(super) next_key: Key,
    /// No position was ever saved.
    pub(super) is_first_run: bool,
    pub(super) has_scanned: bool,
    /// When to look for files again.
    pub(super) scan_at: Instant,
    /// When to look at delivered files again.
    finish_at: Instant,
    pub(super) complaints: Complaints,
    /// Files that cannot be opened, and why.
    pub(super) unreadable: HashMap<PathBuf, String>,
}

impl Reader {
    pub(crate) fn new(
        settings: Settings,
        context: Arc<SourceContext>,
        tracker: Arc<Tracker>,
        output: mpsc::Sender<Batch>,
        is_first_run: bool,
    ) -> Self {
        Self {
            settings,
            context,
            tracker,
            output,
            files: HashMap::new(),
            by_id: HashMap::new(),
            unsettled: HashSet::new(),
            open: HashSet::new(),
            round: VecDeque::new(),
            next_key: 0,
            is_first_run,
            has_scanned: false,
            scan_at: Instant::now(),
            finish_at: Instant::now(),
            complaints: Complaints::default(),
            unreadable: HashMap::new(),
        }
    }

    /// Reads until told to stop, or, when taking only what is there now, until all of it is delivered.
    pub(crate) fn run(mut self) {
        while !self.tracker.is_stopped() {
            if !self.has_scanned || (!self.context.once && self.scan_at <= Instant::now()) {
                self.scan();
            }
            self.rewind();
            if self.finish_at <= Instant::now() {
                self.finish_delivered();
            }
            if let Some(key) = self.next() {
                if self.turn(key).is_err() {
                    return;
                }
                continue;
            }
            // Asked before, so that what is delivered meanwhile is not left undone.
            let is_settled = self.tracker.is_settled();
            self.finish_delivered();
            if self.context.once && is_settled {
                return;
            }
            let tick = LOOK_INTERVAL.min(self.settings.glob_interval);
            let rewind = self.tracker.next_rewind().map(|at| at.saturating_duration_since(Instant::now()));
            self.tracker.wait(rewind.unwrap_or(tick).min(tick));
            if !self.context.once {
                self.look_at_open();
            }
        }
    }

    /// The next file to read, in rounds in order of name.
    fn next(&mut self) -> Option<Key> {
        if self.round.is_empty() {
            let mut ready: Vec<(&Path, Key)> = self
                .files
                .iter()
                .filter(|(_, watched)| watched.is_ready(&self.settings, self.context.once))
                .map(|(key, watched)| (watched.path.as_path(), *key))
                .collect();
            ready.sort_unstable();
            self.round = ready.into_iter().map(|(_, key)| key).collect();
        }
        while let Some(key) = self.round.pop_front() {
            if self.files.get(&key).is_some_and(|watched| watched.is_ready(&self.settings, self.context.once)) {
                return Some(key);
            }
        }
        None
    }

    /// Goes back in files of which something came back undelivered.
    fn rewind(&mut self) {
        for (key, position) in self.tracker.take_rewinds() {
            let Some(watched) = self.files.get_mut(&key) else { continue };
            tracing::warn!(
                source = %self.context.name, path = %watched.path.display(), position,
                "events came back undelivered; reading them again"
            );
            add(&self.context.stats.retries, 1);
            watched.position = position;
            watched.has_news = true;
            watched.is_complete = false;
            watched.has_failed = false;
            self.unsettled.remove(&key);
        }
    }

    /// Reads one file as far as it goes now.
    fn turn(&mut self, key: Key) -> Result<(), Unwanted> {
        // Out of the list for the time of its turn, so that the rest of the reader is free.
        let Some(mut watched) = self.files.remove(&key) else { return Ok(()) };
        self.open.remove(&key);
        let opened = watched.file.take().map_or_else(|| open(&watched), Ok);
        let file = match opened {
            Ok(file) => file,
            Err(error) => {
                let is_gone = error.kind() == io::ErrorKind::NotFound;
                self.trouble(&mut watched, &format!("cannot be opened: {error}"), !is_gone);
                self.files.insert(key, watched);
                if is_gone {
                    self.vanish(key);
                }
                return Ok(());
            }
        };
        watched.used_at = Instant::now();
        watched.file = Some(file);
        let result = self.read(key, &mut watched);
        // One that is gone cannot be opened again if something of it comes back.
        let keep = watched.is_followed(&self.settings, self.context.once)
            && (!watched.is_complete || watched.gone_since.is_some());
        let file = watched.file.take();
        self.files.insert(key, watched);
        match (result, file) {
            (Ok(true), file) => {
                if let Some(file) = file.filter(|_| keep) {
                    self.keep_open(key, file);
                }
                Ok(())
            }
            // The file is another one than it was.
            (Ok(false), file) => {
                let metadata = file.as_ref().and_then(|file| file.metadata().ok());
                if let (Some(metadata), Some(watched)) = (metadata, self.files.get_mut(&key)) {
                    watched.file = file;
                    self.start_anew(key, &metadata);
                }
                Ok(())
            }
            (Err(unwanted), _) => Err(unwanted),
        }
    }

    /// Reads the open file. Returns whether it is still what it was.
    fn read(&mut self, key: Key, watched: &mut Watched) -> Result<bool, Unwanted> {
        let Some(file) = &watched.file else { return Ok(true) };
        let checked = file.metadata().and_then(|metadata| Ok((metadata, watched.head.fingerprint.is_of(file)?)));
        let (metadata, is_same) = match checked {
            Ok(checked) => checked,
            Err(error) => {
                self.trouble(watched, &format!("cannot be read: {error}"), true);
                return Ok(true);
            }
        };
        let is_plain = watched.compression(&self.settings) == Compression::None;
        if !is_same || (is_plain && watched.framing == Framing::Lines && metadata.len() < watched.position) {
            return Ok(false);
        }
        if watched.head.fingerprint.is_short()
            && let Ok(head) = Head::of(file)
        {
            watched.head = head;
            self.tracker.update(key, |entry| entry.fingerprint = head.fingerprint);
        }
        add(&self.context.stats.total_bytes, metadata.len().saturating_sub(watched.version.size));
        watched.notice(&metadata);
        let is_settling = !watched.is_followed(&self.settings, self.context.once) && !watched.is_stable(&self.settings);
        if is_settling && !self.context.once {
            return Ok(true);
        }
        watched.has_news = false;
        match watched.framing {
            Framing::Lines => self.read_lines(key, watched, &metadata)?,
            Framing::Document => self.read_document(key, watched, &metadata)?,
        }
        Ok(true)
    }

    fn reading(&self, watched: &Watched) -> Reading {
        Reading {
            compression: watched.compression(&self.settings),
            caps: self.settings.caps,
            max_event_bytes: self.settings.max_event_bytes,
            limits: self.context.limits,
        }
    }

    fn read_lines(&mut self, key: Key, watched: &mut Watched, metadata: &fs::Metadata) -> Result<(), Unwanted> {
        let is_followed = watched.is_followed(&self.settings, self.context.once);
        let is_last = !is_followed || watched.is_over(self.settings.rotate_wait);
        let Some(file) = &watched.file else { return Ok(()) };
        let path = watched.path.to_string_lossy().into_owned();
        let read = self
            .reading(watched)
            .lines(file, watched.position, metadata.len(), is_last, &mut |chunk| self.send(key, &path, chunk))?;
        add(&self.context.stats.skipped_empty, read.skipped_empty);
        add(&self.context.stats.read_bytes, read.taken);
        watched.position = read.position;
        watched.read_to = metadata.len();
        self.tracker.pass(key, read.position);
        self.conclude(key, watched, read.failure, is_last);
        Ok(())
    }

    fn read_document(&mut self, key: Key, watched: &mut Watched, metadata: &fs::Metadata) -> Result<(), Unwanted> {
        let Some(file) = &watched.file else { return Ok(()) };
        let (document, failure) = self.reading(watched).document(file, metadata.len());
        let is_unchanged = file.metadata().is_ok_and(|after| Version::of(&after) == watched.version);
        if !is_unchanged && !self.context.once {
            // Somebody wrote while it was read; it is taken when that is over.
            watched.changed_at = Instant::now();
            return Ok(());
        }
        add(&self.context.stats.read_bytes, metadata.len());
        watched.position = document.len() as u64;
        if !document.is_empty() {
            let path = watched.path.to_string_lossy().into_owned();
            // Its length was checked against a limit that a column can hold.
            if let Ok(chunk) = assemble::document(document) {
                self.send(key, &path, chunk)?;
            }
        } else if failure.is_none() {
            add(&self.context.stats.skipped_empty, 1);
        }
        self.conclude(key, watched, failure, true);
        Ok(())
    }

    /// Draws the conclusion from what reading came to.
    fn conclude(&mut self, key: Key, watched: &mut Watched, failure: Option<FileFailure>, is_last: bool) {
        match failure {
            // Not the file's fault, and perhaps over soon.
            Some(FileFailure::Read(ReadFailure::Io(error))) => {
                watched.has_news = true;
                return self.trouble(watched, &format!("cannot be read: {error}"), true);
            }
            Some(failure) => {
                watched.has_failed = true;
                self.count_failure(&watched.path, &failure.to_string());
            }
            None if !is_last => return,
            None => {}
        }
        watched.trouble = None;
        watched.is_complete = true;
        let (end, version, failed) = (watched.position, watched.version, watched.has_failed);
        self.tracker.update(key, |entry| {
            entry.end = Some(end);
            entry.failed = failed;
            entry.read = version;
        });
        self.unsettled.insert(key);
    }

    fn send(&self, key: Key, path: &str, chunk: Chunk) -> Result<(), Unwanted> {
        let origin = self.context.origin("file", &[("path", path)]);
        let ack = self.tracker.ack(key, chunk.end, chunk.column.rows() as u64);
        self.output.blocking_send(Batch::new(chunk.column, origin, ack)).map_err(|_| Unwanted)
    }

    /// Remembers trouble that may pass. Counts and logs it when it is new; without a later try it counts as the end.
    fn trouble(&self, watched: &mut Watched, message: &str, is_new_to_log: bool) {
        let is_known = watched.trouble.as_ref().is_some_and(|(known, _)| known == message);
        if is_new_to_log && !is_known {
            self.count_failure(&watched.path, message);
        }
        watched.trouble = Some((message.to_owned(), Instant::now() + TROUBLE_PAUSE));
        if self.context.once {
            watched.is_complete = true;
            watched.has_failed = true;
        }
    }

    pub(super) fn count_failure(&self, path: &Path, message: &str) {
        self.context.stats.fail(format!("file `{}` {message}", path.display()));
        tracing::error!(source = %self.context.name, path = %path.display(), "file {message}");
    }

    /// Gives up a file that is not there any more and not open.
    fn vanish(&mut self, key: Key) {
        // Nothing is lost unless something of it was sent and came back.
        let Some(watched) = self.forget(key, true) else { return };
        if watched.position > 0 || watched.read_to > 0 {
            self.count_failure(&watched.path, "vanished before all that was read of it was delivered");
        }
    }

    /// Keeps a file open for its next turn. At the limit the one that was not read for longest is closed; one that is
    /// gone stays open beyond the limit, since it could not be opened again.
    pub(super) fn keep_open(&mut self, key: Key, file: File) {
        // One place is for the file that is being read.
        let most = self.settings.max_open_files - 1;
        if self.open.len() >= most {
            let open = self.open.iter().filter_map(|key| Some((*key, self.files.get(key)?)));
            let oldest =
                open.filter(|(_, w)| w.gone_since.is_none()).min_by_key(|(_, w)| w.used_at).map(|(key, _)| key);
            if let Some(oldest) = oldest {
                self.open.remove(&oldest);
                if let Some(watched) = self.files.get_mut(&oldest) {
                    watched.file = None;
                }
            }
        }
        let has_place = self.open.len() < most;
        if let Some(watched) = self.files.get_mut(&key)
            && (has_place || watched.gone_since.is_some())
        {
            watched.file = Some(file);
            self.open.insert(key);
        }
    }

    /// Deals with files that are delivered to their end.
    fn finish_delivered(&mut self) {
        self.finish_at = Instant::now() + LOOK_INTERVAL;
        let delivered: Vec<Key> =
            self.unsettled.iter().copied().filter(|key| self.tracker.is_delivered(*key)).collect();
        for key in delivered {
            self.unsettled.remove(&key);
            let Some(watched) = self.files.get(&key) else { continue };
            if watched.gone_since.is_some() {
                self.forget(key, true);
            } else if !watched.has_failed && self.settings.when_finished != WhenFinished::Keep {
                match self.dispose(watched) {
                    Ok(true) => {
                        self.forget(key, false);
                    }
                    Ok(false) => {}
                    Err(error) => {
                        self.count_failure(&watched.path, &format!("is finished, but cannot be put away: {error}"))
                    }
                }
            }
        }
    }

    /// Deletes or moves a file, unless it changed since it was read; returns whether it did.
    fn dispose(&self, watched: &Watched) -> io::Result<bool> {
        let metadata = fs::metadata(&watched.path)?;
        if FileId::of(&metadata) != watched.id || Version::of(&metadata) != watched.version {
            return Ok(false);
        }
        match &self.settings.when_finished {
            WhenFinished::Keep => return Ok(false),
            WhenFinished::Delete => fs::remove_file(&watched.path)?,
            WhenFinished::MoveTo(folder) => move_to(&watched.path, folder)?,
        }
        Ok(true)
    }
}

/// Opens the file that is meant.
fn open(watched: &Watched) -> io::Result<File> {
    let file = File::open(&watched.path)?;
    if FileId::of(&file.metadata()?) != watched.id {
        return Err(io::Error::new(io::ErrorKind::NotFound, "another file has its name"));
    }
    Ok(file)
}

/// Moves a file to a folder, under its name or, if that is taken, with a number after it.
fn move_to(path: &Path, folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let name = path.file_name().unwrap_or_default();
    let mut target = folder.join(name);
    let mut number = 0_u64;
    while target.try_exists()? {
        number += 1;
        let mut name = name.to_owned();
        name.push(format!(".{number}"));
        target = folder.join(name);
    }
    match fs::rename(path, &target) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            fs::copy(path, &target)?;
            File::open(&target)?.sync_all()?;
            fs::remove_file(path)
        }
        result => result,
    }
}
