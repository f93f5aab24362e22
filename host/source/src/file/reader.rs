//! The reading thread: its state, and the choice of the next file.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::fs::{File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use wattle_batch::Batch;
use wattle_descriptors::{Kind, Share};

use super::checkpoint::Saved;
use super::clock;
use super::discover::Complaints;
use super::identity::{Content, FileId, Proof, read_head};
use super::open_files::OpenFiles;
use super::options::Settings;
use super::send::Waiting;
use super::track::{Key, Tracker};
use super::watched::Watched;
use crate::assemble::Unwanted;
use crate::decompress::Compression;
use crate::source::SourceContext;
use crate::stats::add;

/// Interval at which open files are checked.
pub(super) const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// State of the thread.
pub(crate) struct Reader {
    pub(super) settings: Settings,
    pub(super) context: Arc<SourceContext>,
    pub(super) tracker: Arc<Tracker>,
    pub(super) output: mpsc::Sender<Batch>,
    /// Proof of the position after the last chunk.
    pub(super) last_proof: Option<Proof>,
    /// Batches for which the output had no room.
    pub(super) waiting: VecDeque<Waiting>,
    /// Set while the reader checks files in the middle of reading one, so that it does not read
    /// changed files first.
    pub(super) is_looking_around: bool,
    /// The file that is being read. It is not in `files` meanwhile.
    pub(super) in_turn: Option<(Key, FileId, PathBuf)>,
    /// Maximum number of open files.
    pub(super) share: Share,
    pub(super) files: BTreeMap<Key, Watched>,
    pub(super) by_id: HashMap<FileId, Key>,
    /// Watched files by their names without suffixes of rotation.
    pub(super) by_base: HashMap<String, BTreeSet<Key>>,
    /// Copies that wait until their originals are truncated or removed.
    pub(super) held: BTreeSet<Key>,
    /// Files that were read to their end and may have events in flight.
    pub(super) finishing: BTreeSet<Key>,
    /// Files that stay open.
    pub(super) open: OpenFiles,
    /// Files to read before the list is built again, so that each file gets a turn.
    round: VecDeque<Key>,
    pub(super) next_key: Key,
    /// No position was ever saved, or the positions cannot be read.
    pub(super) is_first_run: bool,
    /// Positions were saved, but cannot be read.
    pub(super) has_lost_positions: bool,
    pub(super) has_scanned: bool,
    /// Time of the next search for files.
    pub(super) scan_at: Instant,
    /// Time of the next check of open files. It ends the current turn.
    pub(super) look_at: Instant,
    /// Time of the next check of delivered files.
    pub(super) finish_at: Instant,
    pub(super) complaints: Complaints,
    /// Files that cannot be opened, with the reason.
    pub(super) unreadable: HashMap<PathBuf, String>,
    /// The lack of descriptors was logged.
    pub(super) is_short: bool,
    /// Remaining number of folders to search for renamed files until the next full scan.
    pub(super) searches: usize,
    /// Number of files that the last search found.
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
            is_looking_around: false,
            in_turn: None,
            share: Share::new(Kind::Source),
            files: BTreeMap::new(),
            by_id: HashMap::new(),
            by_base: HashMap::new(),
            held: BTreeSet::new(),
            finishing: BTreeSet::new(),
            open: OpenFiles::default(),
            round: VecDeque::new(),
            next_key: 0,
            is_first_run: !matches!(saved, Saved::Entries(_)),
            has_lost_positions: *saved == Saved::Lost,
            has_scanned: false,
            scan_at: clock::now(),
            look_at: clock::now(),
            finish_at: clock::now(),
            complaints: Complaints::default(),
            unreadable: HashMap::new(),
            is_short: false,
            searches: 0,
            found: 0,
        }
    }

    /// Reads until the source stops or, with `once`, until all existing files are delivered.
    pub(crate) fn run(mut self) {
        self.read_all();
        self.give_up_removed();
    }

    fn read_all(&mut self) {
        let mut wait = None;
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
            if !self.context.once && self.look_at <= clock::now() {
                self.look_at_open();
            }
            if let Some(key) = self.next() {
                if self.turn(key).is_err() {
                    return;
                }
                continue;
            }
            // Checked first, so that events that are delivered in the meantime are not missed.
            let is_done = self.tracker.is_done();
            self.finish_delivered();
            if self.context.once {
                if is_done {
                    return;
                }
                wait.get_or_insert_with(|| self.context.end_of_input());
            }
            let tick = LOOK_INTERVAL.min(self.settings.glob_interval);
            let rewind = self.tracker.next_rewind().map(|at| at.saturating_duration_since(clock::now()));
            self.tracker.wait(rewind.unwrap_or(tick).min(tick));
            if !self.context.once {
                self.look_at_open();
            }
        }
    }

    /// Returns the next file to read, in rounds sorted by name.
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
            // A file with undelivered events goes back first; otherwise its next events would be
            // read twice.
            if self.files.get(&key).is_some_and(is_ready) && !self.tracker.is_going_back(key) {
                return Some(key);
            }
        }
        None
    }

    /// Moves back in files with undelivered events.
    fn rewind(&mut self) {
        for (key, position, proof) in self.tracker.take_rewinds() {
            let Some(watched) = self.files.get_mut(&key) else { continue };
            tracing::warn!(
                source = %self.context.name, path = %watched.path.display(), position,
                "events were returned undelivered; reading them again"
            );
            add(&self.context.stats.retries, 1);
            watched.position = position;
            watched.proof = proof;
            watched.sent_to = 0;
            watched.has_news = true;
            watched.is_complete = false;
            watched.has_failed = false;
            self.finishing.remove(&key);
            // These events are read again, so drop the waiting batches.
            self.waiting.retain(|waiting| waiting.key != key);
        }
    }

    pub(super) fn count_failure(&self, path: &Path, message: &str) {
        self.context.stats.fail(format!("file `{}` {message}", path.display()));
        tracing::error!(source = %self.context.name, path = %path.display(), "file {message}");
    }

    /// Returns the id of the file on this machine.
    pub(super) fn id_of(&self, metadata: &Metadata) -> FileId {
        let mut id = FileId::of(metadata);
        id.device = id.device.wrapping_add(self.settings.device_shift.load(Ordering::Relaxed));
        id
    }
}

/// Returns whether an open file still has the content that was read.
pub(super) fn is_same(watched: &Watched, file: &File) -> io::Result<bool> {
    if !watched.head.fingerprint.begins(&read_head(file)?) {
        return Ok(false);
    }
    match watched.proof {
        Some(proof) if watched.head.compression == Compression::None => proof.holds(&Content::plain(file)),
        _ => Ok(true),
    }
}
