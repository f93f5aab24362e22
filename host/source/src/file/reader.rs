//! The reading thread: which file to read next, and what comes after.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::fs::{File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{self, error::TrySendError};
use wattle_batch::Batch;
use wattle_descriptors::{Kind, Share};

use super::checkpoint::Saved;
use super::clock;
use super::discover::Complaints;
use super::identity::{Content, FileId, Head, Proof, Version, read_head};
use super::options::Settings;
use super::read::{End, FileFailure, Flow, Part, Reading, Unwanted};
use super::track::{Key, Tracker};
use super::watched::Watched;
use crate::assemble::{self, Chunk};
use crate::decompress::{Compression, ENDS_EARLY, ReadFailure};
use crate::frame::Framing;
use crate::source::SourceContext;
use crate::stats::add;

/// How often open files are looked at.
pub(super) const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// How long after trouble a file is tried again.
const TROUBLE_PAUSE: Duration = Duration::from_secs(1);

/// How long a file that ends inside of a document or of its compressed form must not change to count as damaged.
const PARTIAL_PATIENCE: Duration = Duration::from_secs(60);

/// How the turn of a file ended.
enum Turn {
    /// It was read as far as it goes.
    Read,
    /// There is more to read, and the file has to be looked at before.
    Paused,
    /// It holds something else than it did.
    Replaced,
}

/// State of the thread.
pub(crate) struct Reader {
    pub(super) settings: Settings,
    pub(super) context: Arc<SourceContext>,
    pub(super) tracker: Arc<Tracker>,
    output: mpsc::Sender<Batch>,
    /// The proof of the position after the last chunk.
    last_proof: Option<Proof>,
    /// Batches that the output had no room for.
    waiting: VecDeque<(Key, Batch)>,
    /// A batch has no room, and its file cannot wait.
    has_full_output: bool,
    /// The file whose turn it is: it is not among the others meanwhile.
    pub(super) in_turn: Option<(Key, FileId, PathBuf)>,
    /// How many files it may have open.
    pub(super) share: Share,
    pub(super) files: BTreeMap<Key, Watched>,
    pub(super) by_id: HashMap<FileId, Key>,
    /// Watched files by what is left of their names without what rotation adds.
    pub(super) by_base: HashMap<String, BTreeSet<Key>>,
    /// Copies that wait for what becomes of their originals.
    pub(super) held: BTreeSet<Key>,
    /// Files read to their end of which something may be in flight.
    pub(super) unsettled: BTreeSet<Key>,
    /// Files that are kept open.
    pub(super) open: BTreeSet<Key>,
    /// Files to read before the list is made again, so that each has its turn.
    round: VecDeque<Key>,
    pub(super) next_key: Key,
    /// No position was ever saved, or none can be read.
    pub(super) is_first_run: bool,
    /// Positions were saved and cannot be read.
    pub(super) has_lost_positions: bool,
    pub(super) has_scanned: bool,
    /// When to look for files again.
    pub(super) scan_at: Instant,
    /// When to look at delivered files again.
    pub(super) finish_at: Instant,
    pub(super) complaints: Complaints,
    /// Files that cannot be opened, and why.
    pub(super) unreadable: HashMap<PathBuf, String>,
    /// The lack of descriptors was logged.
    pub(super) is_short: bool,
    /// How many folders may still be searched for renamed files until the next look at everything.
    pub(super) searches: usize,
    /// How many files the last look found.
    pub(super) found: usize,
}

impl Reader {
    pub(crate) fn new(
        settings: Settings,
        context: Arc<SourceContext>,
        tracker: Arc<Tracker>,
        output: mpsc::Sender<Batch>,
        saved: &Saved,
    ) -> Self {
        Self {
            settings,
            context,
            tracker,
            output,
            last_proof: None,
            waiting: VecDeque::new(),
            has_full_output: false,
            in_turn: None,
            share: Share::new(Kind::Source),
            files: BTreeMap::new(),
            by_id: HashMap::new(),
            by_base: HashMap::new(),
            held: BTreeSet::new(),
            unsettled: BTreeSet::new(),
            open: BTreeSet::new(),
            round: VecDeque::new(),
            next_key: 0,
            is_first_run: !matches!(saved, Saved::Entries(_)),
            has_lost_positions: *saved == Saved::Lost,
            has_scanned: false,
            scan_at: clock::now(),
            finish_at: clock::now(),
            complaints: Complaints::default(),
            unreadable: HashMap::new(),
            is_short: false,
            searches: 0,
            found: 0,
        }
    }

    /// Reads until told to stop, or, when taking only what is there now, until all of it is delivered.
    pub(crate) fn run(mut self) {
        self.read_all();
        self.give_up_removed();
    }

    fn read_all(&mut self) {
        while !self.tracker.is_stopped() {
            if !self.has_scanned || (!self.context.once && self.scan_at <= clock::now()) {
                self.scan();
            }
            self.rewind();
            match self.send_waiting() {
                Ok(true) => {}
                Ok(false) => {
                    self.tracker.wait(LOOK_INTERVAL.min(self.settings.glob_interval));
                    self.look_at_open();
                    continue;
                }
                Err(Unwanted) => return,
            }
            if self.finish_at <= clock::now() {
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
            let rewind = self.tracker.next_rewind().map(|at| at.saturating_duration_since(clock::now()));
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
                .filter(|(key, watched)| {
                    watched.is_ready(&self.settings, self.context.once) && !self.tracker.is_going_back(**key)
                })
                .map(|(key, watched)| (watched.path.as_path(), *key))
                .collect();
            ready.sort_unstable();
            self.round = ready.into_iter().map(|(_, key)| key).collect();
        }
        while let Some(key) = self.round.pop_front() {
            let is_ready = |watched: &Watched| watched.is_ready(&self.settings, self.context.once);
            // What is read of a file that goes back first would only come twice.
            if self.files.get(&key).is_some_and(is_ready) && !self.tracker.is_going_back(key) {
                return Some(key);
            }
        }
        None
    }

    /// Goes back in files of which something came back undelivered.
    fn rewind(&mut self) {
        for (key, position, proof) in self.tracker.take_rewinds() {
            let Some(watched) = self.files.get_mut(&key) else { continue };
            tracing::warn!(
                source = %self.context.name, path = %watched.path.display(), position,
                "events came back undelivered; reading them again"
            );
            add(&self.context.stats.retries, 1);
            watched.position = position;
            watched.proof = proof;
            watched.sent_to = 0;
            watched.has_news = true;
            watched.is_complete = false;
            watched.has_failed = false;
            self.unsettled.remove(&key);
            // It is among what is read again.
            self.waiting.retain(|(waiting, _)| *waiting != key);
        }
    }

    /// Reads one file as far as it goes now.
    fn turn(&mut self, key: Key) -> Result<(), Unwanted> {
        // Out of the list for the time of its turn, so that the rest of the reader is free.
        let Some(mut watched) = self.files.remove(&key) else { return Ok(()) };
        self.open.remove(&key);
        let opened = watched.file.take().map_or_else(|| self.open_watched(&watched), Ok);
        let file = match opened {
            Ok(file) => file,
            Err(error) => {
                let is_gone = error.kind() == io::ErrorKind::NotFound;
                let is_new_to_log = !is_gone && !self.note_shortage(&error);
                self.trouble(&mut watched, &format!("cannot be opened: {error}"), is_new_to_log);
                self.files.insert(key, watched);
                if is_gone {
                    self.vanish(key);
                }
                return Ok(());
            }
        };
        watched.used_at = clock::now();
        watched.file = Some(file);
        self.in_turn = Some((key, watched.id, watched.path.clone()));
        let result = self.read(key, &mut watched);
        if let Some((_, id, _)) = self.in_turn.take().filter(|(_, id, _)| *id != watched.id) {
            watched.id = id;
            self.tracker.update(key, |entry| entry.id = id);
        }
        // One that is gone cannot be opened again if something of it comes back.
        let keep = watched.is_followed(&self.settings, self.context.once)
            && (!watched.is_complete || watched.gone_since.is_some());
        let file = watched.file.take();
        self.files.insert(key, watched);
        match (result?, file) {
            (Turn::Read, file) => {
                if let Some(file) = file.filter(|_| keep) {
                    self.keep_open(key, file);
                }
            }
            (Turn::Paused, file) => {
                // Its turn goes on.
                self.round.push_front(key);
                if let Some(file) = file {
                    self.keep_open(key, file);
                }
            }
            // The file is another one than it was.
            (Turn::Replaced, file) => {
                let metadata = file.as_ref().and_then(|file| file.metadata().ok());
                if let (Some(metadata), Some(watched)) = (metadata, self.files.get_mut(&key)) {
                    watched.file = file;
                    self.content_left(key, &metadata);
                }
            }
        }
        Ok(())
    }

    /// Reads the open file.
    fn read(&mut self, key: Key, watched: &mut Watched) -> Result<Turn, Unwanted> {
        let Some(file) = &watched.file else { return Ok(Turn::Read) };
        let metadata = match file.metadata().and_then(|metadata| Ok((is_same(watched, file)?, metadata))) {
            Ok((true, metadata)) => metadata,
            Ok((false, _)) => return Ok(Turn::Replaced),
            Err(error) => {
                self.trouble(watched, &format!("cannot be read: {error}"), true);
                return Ok(Turn::Read);
            }
        };
        let is_plain = watched.compression(&self.settings) == Compression::None;
        if is_plain && watched.framing != Framing::Document && metadata.len() < watched.seen_size.max(watched.position)
        {
            return Ok(Turn::Replaced);
        }
        if watched.head.fingerprint.is_short()
            && let Ok(head) = Head::of(file)
        {
            watched.head = head;
            self.tracker.update(key, |entry| entry.fingerprint = head.fingerprint);
        }
        add(&self.context.stats.total_bytes, metadata.len().saturating_sub(watched.version.size));
        watched.notice(&metadata);
        watched.seen_size = watched.seen_size.max(metadata.len());
        let is_settling = !watched.is_followed(&self.settings, self.context.once) && !watched.is_stable(&self.settings);
        if is_settling && !self.context.once {
            return Ok(Turn::Read);
        }
        if watched.framing == Framing::Lines && !watched.is_resolved && !self.resolve(key, watched) {
            return Ok(Turn::Read);
        }
        watched.has_news = false;
        match watched.framing {
            Framing::Auto | Framing::Lines => self.read_events(key, watched, &metadata),
            Framing::Document => self.read_document(key, watched, &metadata),
        }
    }

    fn reading(&self, watched: &Watched) -> Reading {
        Reading {
            compression: watched.compression(&self.settings),
            caps: self.settings.caps,
            max_window_log: self.settings.max_window_log,
            rules: self.settings.rules.clone(),
            limits: self.context.limits,
        }
    }

    fn read_events(&mut self, key: Key, watched: &mut Watched, metadata: &Metadata) -> Result<Turn, Unwanted> {
        let is_followed = watched.is_followed(&self.settings, self.context.once);
        let is_last = !is_followed || watched.is_over(self.settings.rotate_wait);
        let is_json = watched.framing == Framing::Auto;
        let is_settled = watched.is_settled();
        let is_given_up = is_json && is_settled && clock::since(watched.changed_at) >= PARTIAL_PATIENCE;
        let end = match (is_last || is_given_up, self.context.once) {
            (true, true) => End::LastDamaged,
            (true, false) => End::Last,
            (false, _) if is_settled => End::Settled,
            (false, _) => End::Open,
        };
        let Some(file) = &watched.file else { return Ok(Turn::Read) };
        let path = watched.path.to_string_lossy().into_owned();
        let part = Part { from: watched.position, until: metadata.len(), sent_to: watched.sent_to, end };
        let reading = self.reading(watched);
        let plain = (reading.compression == Compression::None).then_some(file);
        let read = reading.events(file, part, &mut |chunk| self.send(key, &path, plain, chunk))?;
        self.context.stats.skip(&self.context.name, &path, &read.skipped);
        add(&self.context.stats.read_bytes, read.taken);
        if let Some(file) = plain {
            // The one made before the last events were handed on: whoever has them may write the file again at once.
            let made = self.last_proof.take().filter(|made| made.at == read.position);
            watched.proof = made.or_else(|| proof(file, read.position)).or(watched.proof);
        }
        watched.position = read.position;
        watched.sent_to = read.sent_to;
        watched.read_to = metadata.len();
        self.tracker.pass(key, read.position, watched.proof.filter(|proof| proof.at == read.position));
        if read.is_paused {
            watched.has_news = true;
            return Ok(Turn::Paused);
        }
        if read.has_junk {
            self.say(watched, "something that is not compressed follows the compressed data; it is not read");
        }
        // A long event that was skipped would be lost with the file.
        watched.has_failed |= read.skipped.too_long > 0;
        let is_partial = is_json && is_settled && read.position < metadata.len();
        watched.settles_after = if is_partial {
            Some(PARTIAL_PATIENCE)
        } else if !is_followed || is_settled {
            None
        } else if is_json {
            Some(self.settings.stable_after)
        } else {
            read.is_waiting.then(|| self.settings.rules.patience())
        };
        if is_followed && is_partial {
            self.say(watched, "the file ends inside of a JSON document; waiting for the rest");
        }
        if let Some(FileFailure::Read(ReadFailure::Damaged { reason, .. })) = &read.failure
            && reason == ENDS_EARLY
            && !self.context.once
            && clock::since(watched.changed_at) < PARTIAL_PATIENCE
        {
            // It may be that it is still being copied. Reading all of it again is for when it has changed, or for when it counts as damaged.
            watched.trouble = Some((ENDS_EARLY.to_owned(), watched.changed_at + PARTIAL_PATIENCE));
            self.say(watched, "the compressed file is not complete; waiting for the rest");
            return Ok(Turn::Read);
        }
        // A file of JSON that does not change any more is complete, unless a document is not.
        let is_complete = is_last || is_given_up || (is_json && is_settled && read.position == metadata.len());
        self.conclude(key, watched, read.failure, is_complete);
        Ok(Turn::Read)
    }

    /// Logs something about a file, once.
    fn say(&self, watched: &mut Watched, what: &'static str) {
        if watched.said != Some(what) {
            watched.said = Some(what);
            tracing::warn!(source = %self.context.name, path = %watched.path.display(), "{what}");
        }
    }

    fn read_document(&mut self, key: Key, watched: &mut Watched, metadata: &Metadata) -> Result<Turn, Unwanted> {
        let Some(file) = &watched.file else { return Ok(Turn::Read) };
        let (document, failure) = self.reading(watched).document(file, metadata.len());
        let is_unchanged = file.metadata().is_ok_and(|after| Version::of(&after) == watched.version);
        if !is_unchanged && !self.context.once {
            // Somebody wrote while it was read; it is taken when that is over.
            watched.changed_at = clock::now();
            return Ok(Turn::Read);
        }
        add(&self.context.stats.read_bytes, metadata.len());
        watched.position = document.len() as u64;
        if !document.is_empty() {
            let path = watched.path.to_string_lossy().into_owned();
            // Its length was checked against a limit that a column can hold.
            if let Ok(chunk) = assemble::document(document) {
                self.send(key, &path, None, chunk)?;
            }
        } else if failure.is_none() {
            add(&self.context.stats.skipped_empty, 1);
        }
        self.conclude(key, watched, failure, true);
        Ok(Turn::Read)
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

    /// Hands a chunk on. While there is no room for it, the world is looked at as usual: logs rotate whether or not
    /// events can be delivered. The turn of a file that may be cut (`plain`) ends for that, and the chunk waits.
    fn send(&mut self, key: Key, path: &str, plain: Option<&File>, chunk: Chunk) -> Result<Flow, Unwanted> {
        if self.tracker.is_going_back(key) {
            // It is read again from before this chunk. If the file is lost before that, these events are lost as well.
            drop(self.tracker.ack(key, chunk.end, None, chunk.column.rows() as u64));
            return Ok(Flow::Pause);
        }
        let origin = self.context.origin("file", &[("path", path)]);
        let proof = plain.and_then(|file| proof(file, chunk.end));
        self.last_proof = proof;
        let ack = self.tracker.ack(key, chunk.end, proof, chunk.column.rows() as u64);
        let mut batch = Batch::new(chunk.column, origin, ack);
        if !self.waiting.is_empty() {
            self.waiting.push_back((key, batch));
            return Ok(Flow::Pause);
        }
        let mut looked = clock::now();
        loop {
            batch = match self.output.try_send(batch) {
                Ok(()) => return Ok(Flow::Continue),
                Err(TrySendError::Closed(_)) => return Err(Unwanted),
                Err(TrySendError::Full(batch)) => batch,
            };
            if self.tracker.is_stopped() {
                return Err(Unwanted);
            }
            if self.tracker.is_going_back(key) {
                return Ok(Flow::Pause);
            }
            self.tracker.wait(LOOK_INTERVAL);
            if self.context.once || clock::since(looked) < LOOK_INTERVAL {
                continue;
            }
            if plain.is_some() {
                self.waiting.push_back((key, batch));
                return Ok(Flow::Pause);
            }
            self.has_full_output = true;
            self.look_around();
            self.has_full_output = false;
            looked = clock::now();
        }
    }

    /// Hands on what waits for room. Returns whether all of it is.
    fn send_waiting(&mut self) -> Result<bool, Unwanted> {
        while let Some((key, batch)) = self.waiting.pop_front() {
            if self.tracker.is_going_back(key) {
                // It is among what is read again.
                continue;
            }
            match self.output.try_send(batch) {
                Ok(()) => {}
                Err(TrySendError::Closed(_)) => return Err(Unwanted),
                Err(TrySendError::Full(batch)) => {
                    self.waiting.push_front((key, batch));
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Whether files are not read now because what was read has no room.
    pub(super) fn is_blocked(&self) -> bool {
        self.has_full_output || !self.waiting.is_empty()
    }

    /// Looks at what became of the files meanwhile.
    fn look_around(&mut self) {
        if self.scan_at <= clock::now() {
            self.scan();
        }
        self.look_at_open();
        self.finish_delivered();
    }

    /// Remembers trouble that may pass. Counts and logs it when it is new; without a later try it counts as the end.
    fn trouble(&self, watched: &mut Watched, message: &str, is_new_to_log: bool) {
        let is_known = watched.trouble.as_ref().is_some_and(|(known, _)| known == message);
        if is_new_to_log && !is_known {
            self.count_failure(&watched.path, message);
        }
        watched.trouble = Some((message.to_owned(), clock::now() + TROUBLE_PAUSE));
        if self.context.once {
            watched.is_complete = true;
            watched.has_failed = true;
        }
    }

    pub(super) fn count_failure(&self, path: &Path, message: &str) {
        self.context.stats.fail(format!("file `{}` {message}", path.display()));
        tracing::error!(source = %self.context.name, path = %path.display(), "file {message}");
    }

    /// Which file it is on this machine.
    pub(super) fn id_of(&self, metadata: &Metadata) -> FileId {
        let mut id = FileId::of(metadata);
        id.device = id.device.wrapping_add(self.settings.device_shift.load(Ordering::Relaxed));
        id
    }
}

/// Whether an open file still holds what it did, as far as it was read.
pub(super) fn is_same(watched: &Watched, file: &File) -> io::Result<bool> {
    if !watched.head.fingerprint.begins(&read_head(file)?) {
        return Ok(false);
    }
    match watched.proof {
        Some(proof) if watched.head.compression == Compression::None => proof.holds(&Content::plain(file)),
        _ => Ok(true),
    }
}

fn proof(file: &File, at: u64) -> Option<Proof> {
    Proof::before(&Content::plain(file), at).ok().flatten()
}
