//! Keeps the list of watched files in step with the file system.

use std::fs::{self, File, Metadata};
use std::io;
use std::path::PathBuf;
use std::time::Instant;

use super::checkpoint::{Entry, now};
use super::identity::{FileId, Head};
use super::options::ReadFrom;
use super::reader::Reader;
use super::track::Key;
use super::watched::Watched;
use crate::decompress::Compression;
use crate::frame::Framing;
use crate::stats::add;

impl Reader {
    /// Looks for new files, and at what became of the known ones.
    pub(super) fn scan(&mut self) {
        let start = Instant::now();
        let found = self.settings.patterns.find(&mut self.complaints);
        self.unreadable.retain(|path, _| found.contains_key(path));
        let mut there = std::collections::HashSet::new();
        for (path, metadata) in found {
            let id = FileId::of(&metadata);
            // A file with several names is read once, under the first.
            if !there.insert(id) {
                continue;
            }
            match self.by_id.get(&id).copied() {
                Some(key) => self.see_again(key, path, &metadata),
                None => self.watch(path, &metadata, false),
            }
        }
        let gone: Vec<Key> = self.by_id.iter().filter(|(id, _)| !there.contains(id)).map(|(_, key)| *key).collect();
        for key in gone {
            self.see_gone(key);
        }
        if !self.has_scanned {
            self.has_scanned = true;
            self.find_renamed();
        }
        // Looking must not be all that is done.
        self.scan_at = Instant::now() + self.settings.glob_interval.max(start.elapsed() * 5);
    }

    /// Starts to watch a file. One that is known goes on where it was left, if it still begins as it did.
    fn watch(&mut self, path: PathBuf, metadata: &Metadata, anew: bool) {
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) => return self.cannot_open(path, &error),
        };
        let entry = self.tracker.unseen(FileId::of(metadata)).filter(|_| !anew);
        if let Err(error) = self.watch_open(path.clone(), &file, metadata, entry) {
            return self.cannot_open(path, &error);
        }
        let id = FileId::of(metadata);
        if let Some(key) = self.by_id.get(&id).copied()
            && let Some(watched) = self.files.get(&key)
            && watched.is_followed(&self.settings, self.context.once)
        {
            // Open from the start, so that it can be read to its end when it is renamed or deleted.
            self.keep_open(key, file);
        }
    }

    fn watch_open(&mut self, path: PathBuf, file: &File, metadata: &Metadata, entry: Option<Entry>) -> io::Result<()> {
        let framing = self.settings.framing_of(&path);
        let mut watched = Watched::new(path, metadata, Head::of(file)?, framing);
        let is_plain = watched.compression(&self.settings) == Compression::None;
        let (mut end, mut is_passed_over) = (None, false);
        match entry {
            Some(entry) if entry.fingerprint.is_of(file)? && (!is_plain || entry.position <= metadata.len()) => {
                watched.is_complete = entry.is_done() && entry.read == watched.version;
                if framing == Framing::Lines || watched.is_complete {
                    watched.position = entry.position;
                }
                end = entry.end.filter(|_| watched.is_complete);
                watched.has_failed = watched.is_complete && entry.failed;
                is_passed_over = watched.is_complete && entry.passed_over;
            }
            None if self.is_first_run && !self.has_scanned && self.settings.read_from == ReadFrom::End => {
                watched.is_complete = !watched.is_followed(&self.settings, self.context.once);
                if is_plain {
                    watched.position = metadata.len();
                    watched.read_to = metadata.len();
                }
                end = watched.is_complete.then_some(watched.position);
                is_passed_over = watched.is_complete;
            }
            _ => {}
        }
        let key = self.next_key;
        self.next_key += 1;
        if !watched.is_complete {
            let known = if is_plain { watched.position } else { 0 };
            add(&self.context.stats.total_bytes, metadata.len().saturating_sub(known));
        }
        let entry = Entry {
            id: watched.id,
            fingerprint: watched.head.fingerprint,
            path: watched.path.clone(),
            position: watched.position,
            end,
            failed: watched.has_failed,
            passed_over: is_passed_over,
            read: watched.version,
            seen: now(),
        };
        self.tracker.watch(key, entry);
        if watched.is_complete && !is_passed_over {
            // It may be that it was delivered, but not put away before the source ended.
            self.unsettled.insert(key);
        }
        self.by_id.insert(watched.id, key);
        self.files.insert(key, watched);
        Ok(())
    }

    fn cannot_open(&mut self, path: PathBuf, error: &io::Error) {
        // It vanished since it was found.
        if error.kind() == io::ErrorKind::NotFound {
            return;
        }
        let message = error.to_string();
        if self.unreadable.get(&path) != Some(&message) {
            self.count_failure(&path, &format!("cannot be opened: {message}"));
            self.unreadable.insert(path, message);
        }
    }

    fn see_again(&mut self, key: Key, path: PathBuf, metadata: &Metadata) {
        let Some(watched) = self.files.get_mut(&key) else { return };
        watched.gone_since = None;
        if watched.path != path {
            tracing::debug!(
                source = %self.context.name, from = %watched.path.display(), to = %path.display(), "file was renamed"
            );
            watched.path.clone_from(&path);
            self.tracker.update(key, |entry| entry.path = path);
        }
        self.notice(key, metadata);
    }

    /// Takes note of a change, and of what it means for a file that was read already.
    pub(super) fn notice(&mut self, key: Key, metadata: &Metadata) {
        let Some(watched) = self.files.get_mut(&key) else { return };
        let before = watched.version;
        if !watched.notice(metadata) {
            return;
        }
        watched.trouble = None;
        add(&self.context.stats.total_bytes, metadata.len().saturating_sub(before.size));
        let is_plain = watched.compression(&self.settings) == Compression::None;
        let is_cut = metadata.len() < if is_plain { watched.read_to.max(watched.position) } else { before.size };
        if is_cut {
            tracing::info!(source = %self.context.name, path = %watched.path.display(), "file was truncated; reading it from its beginning");
            self.start_anew(key, metadata);
        } else if watched.is_complete {
            match watched.framing {
                // Another document under the same name.
                Framing::Document => self.start_anew(key, metadata),
                // A line that was too long would be again, each time that the file grows.
                Framing::Lines if watched.has_failed && is_plain => {}
                Framing::Lines => {
                    watched.is_complete = false;
                    watched.has_failed = false;
                    self.tracker.update(key, |entry| {
                        entry.end = None;
                        entry.passed_over = false;
                    });
                }
            }
        }
    }

    /// Forgets how far a file was read. What is in flight of it no longer counts.
    pub(super) fn start_anew(&mut self, key: Key, metadata: &Metadata) {
        let Some(watched) = self.forget(key, false) else { return };
        match watched.file {
            Some(file) => {
                if self.watch_open(watched.path, &file, metadata, None).is_ok()
                    && let Some(key) = self.by_id.get(&watched.id).copied()
                {
                    self.keep_open(key, file);
                }
            }
            None => self.watch(watched.path, metadata, true),
        }
    }

    /// Ceases to watch a file.
    pub(super) fn forget(&mut self, key: Key, remember: bool) -> Option<Watched> {
        let watched = self.files.remove(&key)?;
        if self.by_id.get(&watched.id) == Some(&key) {
            self.by_id.remove(&watched.id);
        }
        self.unsettled.remove(&key);
        self.open.remove(&key);
        self.tracker.unwatch(key, remember);
        Some(watched)
    }

    fn see_gone(&mut self, key: Key) {
        let Some(watched) = self.files.get_mut(&key) else { return };
        watched.gone_since.get_or_insert_with(Instant::now);
        let is_idle = self.tracker.is_idle(key);
        if is_idle && (watched.is_complete || watched.file.is_none()) {
            self.forget(key, true);
        }
    }

    /// Looks at the files that are open, which is cheaper than looking for all.
    pub(super) fn look_at_open(&mut self) {
        let open: Vec<(Key, Metadata)> = self
            .open
            .iter()
            .filter_map(|key| Some((*key, self.files.get(key)?.file.as_ref()?.metadata().ok()?)))
            .collect();
        for (key, metadata) in open {
            self.notice(key, &metadata);
        }
    }

    /// Looks beside where a followed file was for the name that it got while the agent was not running, so that its
    /// last lines are read even if no glob finds them there.
    fn find_renamed(&mut self) {
        for entry in self.tracker.all_unseen() {
            let is_lines = self.settings.framing_of(&entry.path) == Framing::Lines;
            let Some(folder) = entry.path.parent().filter(|_| is_lines && self.settings.follow && entry.end.is_none())
            else {
                continue;
            };
            let siblings = fs::read_dir(folder).into_iter().flatten().flatten();
            let renamed = siblings.filter_map(|sibling| Some((sibling.path(), sibling.metadata().ok()?)));
            let Some((path, metadata)) = renamed.into_iter().find(|(_, m)| m.is_file() && FileId::of(m) == entry.id)
            else {
                continue;
            };
            let is_same = File::open(&path).and_then(|file| entry.fingerprint.is_of(&file)).unwrap_or(false);
            if is_same && metadata.len() > entry.position {
                self.watch(path, &metadata, false);
                if let Some(watched) = self.by_id.get(&entry.id).and_then(|key| self.files.get_mut(key)) {
                    watched.gone_since = Some(Instant::now());
                }
            }
        }
    }
}
