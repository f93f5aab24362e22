//! Reads one file in its turn: to its end, or until the other files must be checked.

use std::fs::{File, Metadata};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::about::Facts;
use super::clock;
use super::identity::{Content, Head, Proof, Version};
use super::positioned::Positioned;
use super::reader::{LOOK_INTERVAL, Reader, is_same};
use super::track::Key;
use super::watched::Watched;
use crate::assemble::{self, Unwanted};
use crate::decompress::{Compression, ENDS_EARLY, ReadFailure};
use crate::frame::Framing;
use crate::reading::{End, Part, ReadError, Reading};
use crate::stats::add;

/// Pause before a file is tried again after an error.
const TROUBLE_PAUSE: Duration = Duration::from_secs(1);

/// How long a file that ends within a document or within compressed data must not change to count
/// as damaged.
const PARTIAL_PATIENCE: Duration = Duration::from_secs(60);

/// How the turn of a file ended.
enum Turn {
    /// The file was read to its current end.
    Read,
    /// There is more to read, but the file must be checked first.
    Paused,
    /// The content of the file changed.
    Replaced,
}

impl Reader {
    /// Reads one file to its current end.
    pub(super) fn turn(&mut self, key: Key) -> Result<(), Unwanted> {
        // The file leaves the list for its turn, so that the rest of the reader can be borrowed.
        let Some(mut watched) = self.files.remove(&key) else { return Ok(()) };
        self.open.remove(key);
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
        // The device number of the file may have changed during its turn; see `moved.rs`.
        if let Some((_, id, _)) = self.in_turn.take().filter(|(_, id, _)| *id != watched.id) {
            watched.id = id;
            self.tracker.update(key, |entry| entry.id = id);
        }
        // A removed file cannot be opened again if some of its events are returned.
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
                // The file continues in the next round, so that other files do not wait for it in
                // this one.
                if let Some(file) = file {
                    self.keep_open(key, file);
                }
            }
            // The file was replaced.
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
        let is_unstable = !watched.is_followed(&self.settings, self.context.once) && !watched.is_stable(&self.settings);
        if is_unstable && !self.context.once {
            return Ok(Turn::Read);
        }
        if watched.framing == Framing::Lines && !watched.is_resolved && !self.resolve(key, watched) {
            return Ok(Turn::Read);
        }
        let waited = if self.context.once { Duration::MAX } else { clock::since(watched.found_at) };
        let resource = match self.settings.about.facts(&watched.path, waited) {
            Facts::Known(facts) => self.resource(&watched.path, facts),
            Facts::Wait => {
                watched.not_before = Some(clock::now() + LOOK_INTERVAL);
                return Ok(Turn::Read);
            }
            // The next search stops watching it.
            Facts::Unwanted => {
                watched.has_news = false;
                return Ok(Turn::Read);
            }
        };
        watched.has_news = false;
        match watched.framing {
            Framing::Auto | Framing::Csv | Framing::Lines => self.read_events(key, watched, &metadata, &resource),
            Framing::Document => self.read_document(key, watched, &metadata, &resource),
        }
    }

    /// The resource of the events of a file.
    fn resource(&self, path: &Path, facts: Map<String, Value>) -> Arc<str> {
        let mut source = Map::new();
        source.insert("path".to_owned(), path.to_string_lossy().into());
        self.context.resource(self.settings.about.type_name(), source, facts)
    }

    fn reading(&self, watched: &Watched) -> Reading {
        Reading {
            compression: watched.compression(&self.settings),
            caps: self.settings.caps,
            max_window_log: self.settings.max_window_log,
            rules: self.settings.rules.clone(),
            limits: self.context.limits,
            tap: None,
            is_exact: false,
            turns: None,
        }
    }

    fn read_events(
        &mut self,
        key: Key,
        watched: &mut Watched,
        metadata: &Metadata,
        resource: &Arc<str>,
    ) -> Result<Turn, Unwanted> {
        let is_followed = watched.is_followed(&self.settings, self.context.once);
        let is_last = !is_followed || watched.is_over(self.settings.rotate_wait);
        let is_json = watched.framing == Framing::Auto;
        let is_quiet = watched.is_quiet();
        let is_given_up = is_json && is_quiet && clock::since(watched.changed_at) >= PARTIAL_PATIENCE;
        let end = match (is_last || is_given_up, self.context.once) {
            (true, true) => End::LastDamaged,
            (true, false) => End::Last,
            (false, _) if is_quiet => End::Quiet,
            (false, _) => End::Open,
        };
        let Some(file) = &watched.file else { return Ok(Turn::Read) };
        let path = watched.path.to_string_lossy().into_owned();
        let part = Part { from: watched.position, until: metadata.len(), sent_to: watched.sent_to, end };
        let reading = self.reading(watched);
        let plain = (reading.compression == Compression::None).then_some(file);
        let read =
            reading.events(&mut Positioned::new(file), part, &mut |chunk| self.send(key, resource, plain, chunk))?;
        self.context.stats.skip(&self.context.name, &path, &read.skipped);
        add(&self.context.stats.read_bytes, read.taken);
        if let Some(file) = plain {
            // The proof from before the last send: after the send, a receiver may rewrite the file
            // at once.
            let made = self.last_proof.take().filter(|made| made.at == read.position);
            watched.proof = made.or_else(|| proof(file, read.position)).or(watched.proof);
        }
        watched.position = read.position;
        watched.sent_to = read.sent_to;
        watched.read_to = metadata.len();
        self.tracker.pass(key, read.position, watched.proof.filter(|proof| proof.at == read.position));
        if read.is_paused {
            // There is more to read, so the file stays in the list of the next round.
            watched.has_news = true;
            return Ok(Turn::Paused);
        }
        // If the file were deleted or moved, the skipped event would be lost with it.
        watched.has_failed |= read.skipped.too_long > 0;
        let is_partial = is_json && is_quiet && read.position < metadata.len();
        watched.quiet_after = if is_partial {
            Some(PARTIAL_PATIENCE)
        } else if !is_followed || is_quiet {
            None
        } else if is_json {
            Some(self.settings.stable_after)
        } else {
            read.is_waiting.then(|| self.settings.rules.patience())
        };
        if is_followed && is_partial {
            self.say(watched, "the file ends inside a JSON document; waiting for the rest");
        }
        if let Some(ReadError::Read(ReadFailure::Damaged { reason, .. })) = &read.failure
            && reason == ENDS_EARLY
            && !self.context.once
            && clock::since(watched.changed_at) < PARTIAL_PATIENCE
        {
            // A copy of the file may still be in progress. The file is read again when it changes,
            // or when it counts as damaged.
            watched.trouble = Some((ENDS_EARLY.to_owned(), watched.changed_at + PARTIAL_PATIENCE));
            self.say(watched, "the compressed file is not complete; waiting for the rest");
            return Ok(Turn::Read);
        }
        // A JSON file that no longer changes is complete, unless its last document is incomplete.
        let is_complete = is_last || is_given_up || (is_json && is_quiet && read.position == metadata.len());
        self.conclude(key, watched, read.failure, is_complete);
        Ok(Turn::Read)
    }

    /// Logs a message about a file once.
    fn say(&self, watched: &mut Watched, what: &'static str) {
        if watched.said != Some(what) {
            watched.said = Some(what);
            tracing::warn!(source = %self.context.name, path = %watched.path.display(), "{what}");
        }
    }

    fn read_document(
        &mut self,
        key: Key,
        watched: &mut Watched,
        metadata: &Metadata,
        resource: &Arc<str>,
    ) -> Result<Turn, Unwanted> {
        let Some(file) = &watched.file else { return Ok(Turn::Read) };
        let (document, failure) = self.reading(watched).document(&mut Positioned::new(file), metadata.len());
        let is_unchanged = file.metadata().is_ok_and(|after| Version::of(&after) == watched.version);
        if !is_unchanged && !self.context.once {
            // The file was written during the read, so it must become stable again.
            watched.changed_at = clock::now();
            return Ok(Turn::Read);
        }
        add(&self.context.stats.read_bytes, metadata.len());
        watched.position = document.len() as u64;
        if !document.is_empty() {
            // The length was checked against a limit below that of a column.
            if let Ok(chunk) = assemble::document(document) {
                self.send(key, resource, None, chunk)?;
            }
        } else if failure.is_none() {
            add(&self.context.stats.skipped_empty, 1);
        }
        self.conclude(key, watched, failure, true);
        Ok(Turn::Read)
    }

    /// Evaluates the result of reading.
    fn conclude(&mut self, key: Key, watched: &mut Watched, failure: Option<ReadError>, is_last: bool) {
        match failure {
            // Not an error of the file, and possibly temporary.
            Some(ReadError::Read(ReadFailure::Io(error))) => {
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
        self.finishing.insert(key);
    }

    /// Records a temporary error. Counts and logs it if it is new. If there is no later retry, it
    /// ends the file.
    fn trouble(&self, watched: &mut Watched, message: &str, is_new_to_log: bool) {
        let is_known = watched.trouble.as_ref().is_some_and(|(known, _)| known == message);
        if is_new_to_log && !is_known {
            self.count_failure(&watched.path, message);
        }
        watched.trouble = Some((message.to_owned(), clock::now() + TROUBLE_PAUSE));
        // With `once` there is no later attempt.
        if self.context.once {
            watched.is_complete = true;
            watched.has_failed = true;
        }
    }
}

pub(super) fn proof(file: &File, at: u64) -> Option<Proof> {
    Proof::before(&Content::plain(file), at).ok().flatten()
}
