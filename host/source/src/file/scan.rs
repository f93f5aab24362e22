//! Keeps the list of watched files in sync with the file system.

use std::collections::{BTreeSet, HashSet};
use std::fs::{self, File, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use super::checkpoint::Entry;
use super::clock;
use super::discover::Found;
use super::identity::{Content, FileId, Head, Proof, read_head};
use super::moved::Moved;
use super::open::Loss;
use super::options::ReadFrom;
use super::reader::{LOOK_INTERVAL, Reader, is_same};
use super::track::Key;
use super::watched::Watched;
use crate::decompress::Compression;
use crate::frame::Framing;
use crate::positions::now;
use crate::stats::add;

/// Maximum number of folders that are searched for renamed files between two full scans.
const MAX_SEARCHES: usize = 16;

impl Reader {
    /// Searches for new files, and checks the known ones.
    pub(super) fn scan(&mut self) {
        let start = clock::now();
        self.searches = MAX_SEARCHES;
        let mut found = self.settings.patterns.find(self.settings.links, &mut self.complaints);
        self.note_unmatched(&found);
        self.leave_out(&mut found);
        if !self.unreadable.is_empty() {
            let paths: HashSet<&PathBuf> = found.files.iter().map(|(path, _)| path).collect();
            self.unreadable.retain(|path, _| paths.contains(path));
        }
        let mut there = HashSet::with_capacity(found.files.len());
        let mut replaced = HashSet::new();
        let mut new = Vec::new();
        for (path, metadata) in found.files {
            let id = self.id_of(&metadata);
            // A file with several names is read once, under its first name.
            if !there.insert(id) {
                continue;
            }
            match self.by_id.get(&id).copied() {
                Some(key) if self.is_replaced(key, &path, &metadata) => {
                    replaced.insert(key);
                    new.push((path, metadata));
                }
                Some(key) => self.see_again(key, path, &metadata),
                None => new.push((path, metadata)),
            }
        }
        let is_unread = |path: &PathBuf| found.unread.iter().any(|folder| path.starts_with(folder));
        // Usually no file was removed; then the counts are equal and the slower comparison is not
        // needed.
        let is_as_before = new.is_empty() && replaced.is_empty() && there.len() == self.by_id.len();
        let mut gone: BTreeSet<Key> = BTreeSet::new();
        if !is_as_before || self.files.len() > self.by_id.len() {
            let is_there = |key: &Key, id: &FileId| {
                // Another file may have reused the inode.
                there.contains(id) && self.by_id.get(id) == Some(key) && !replaced.contains(key)
            };
            let is_gone = |key: &Key, watched: &Watched| !is_there(key, &watched.id) && !is_unread(&watched.path);
            gone.extend(self.files.iter().filter(|(key, watched)| is_gone(key, watched)).map(|(key, _)| *key));
        }
        let moved = if gone.is_empty() || new.is_empty() { Moved::default() } else { self.may_have_moved(&gone) };
        let first_new = self.next_key;
        for (path, metadata) in new {
            match self.moved_to(&moved, &path, &metadata) {
                Some(key) => {
                    gone.remove(&key);
                    self.see_elsewhere(key, path, &metadata);
                }
                None => match self.moved_in_turn(&path, &metadata) {
                    Some(key) => {
                        gone.remove(&key);
                    }
                    None => self.watch(path, &metadata, false),
                },
            }
        }
        // Only after the search, because a file with the same name or inode takes precedence over
        // copies.
        let found: Vec<Key> = self.files.range(first_new..).map(|(key, _)| *key).collect();
        self.recognize(&found);
        for key in gone {
            self.see_gone(key);
        }
        if !self.has_scanned {
            self.has_scanned = true;
            self.find_renamed();
            self.explain_lost_positions();
            self.tracker.scanned();
        }
        add(&self.context.stats.looks, 1);
        // The interval grows with the duration of a scan, so that scans leave time for reading.
        self.scan_at = clock::now() + self.settings.glob_interval.max(clock::since(start) * 5);
    }

    /// Removes files that the source of these files does not want, and stops watching them. They are not read, also if they
    /// were read before; they continue at their positions if they are wanted again.
    fn leave_out(&mut self, found: &mut Found) {
        let about = self.settings.about.clone();
        let mut unwanted = Vec::new();
        found.files.retain(|(path, metadata)| {
            let is_wanted = about.is_wanted(path);
            if !is_wanted {
                unwanted.extend(self.by_id.get(&self.id_of(metadata)).copied());
            }
            is_wanted
        });
        for key in unwanted {
            self.forget(key, true);
        }
    }

    /// Logs globs that match or exclude nothing once, and again when they match.
    fn note_unmatched(&mut self, found: &Found) {
        let mut known = self.context.stats.unmatched.lock();
        let is_first = !self.has_scanned;
        if !is_first && (known.is_empty() || self.found == found.files.len()) {
            return;
        }
        self.found = found.files.len();
        let unmatched = self.settings.patterns.unmatched(found);
        if is_first {
            for what in unmatched.iter().chain(self.settings.patterns.idle()) {
                tracing::warn!(source = %self.context.name, "{what}");
            }
        } else if unmatched.len() < known.len() {
            tracing::info!(source = %self.context.name, without_files = unmatched.len(), "globs that matched no file now match files");
        }
        *known = unmatched;
    }

    /// Logs the consequences of lost positions.
    fn explain_lost_positions(&self) {
        if !self.has_lost_positions {
            return;
        }
        let files = self.files.len();
        let bytes: u64 = self.files.values().map(|watched| watched.version.size).sum();
        let (source, read_from) = (&self.context.name, self.settings.read_from);
        match read_from {
            ReadFrom::Beginning => tracing::warn!(
                %source, files, bytes, "positions are lost; reading files from their beginning, so their events are sent again"
            ),
            ReadFrom::End => tracing::warn!(
                %source, files, bytes,
                "positions are lost; because of `read_from = \"end\"`, starting at the end of the files and skipping data \
                 written since the last stop"
            ),
        }
    }

    /// Starts to watch a file. A known file continues at its position if it still has the same
    /// start.
    pub(super) fn watch(&mut self, path: PathBuf, metadata: &Metadata, fresh: bool) {
        let opened = self.open(&path).and_then(|file| Ok((file.metadata()?, file)));
        let (id, file) = match opened {
            // The file was replaced since the search; the next scan finds the new one.
            Ok((now, _)) if self.id_of(&now) != self.id_of(metadata) => return,
            Ok((now, file)) => (self.id_of(&now), file),
            Err(error) => return self.cannot_open(path, &error),
        };
        let entry = if fresh { None } else { self.known_here(&path, &file, metadata) };
        if let Err(error) = self.watch_open(path.clone(), &file, metadata, entry) {
            return self.cannot_open(path, &error);
        }
        if let Some(key) = self.by_id.get(&id).copied()
            && let Some(watched) = self.files.get(&key)
            && watched.is_followed(&self.settings, self.context.once)
        {
            // Open from the start, so that the file can be read to its end after it is renamed or
            // deleted.
            self.keep_open(key, file);
        }
    }

    /// Takes the entry of a file with this inode or path from the list.
    fn known_here(&self, path: &Path, file: &File, metadata: &Metadata) -> Option<Entry> {
        let id = self.id_of(metadata);
        let known = self.tracker.known_at(id.inode, path);
        if known.is_empty() {
            return None;
        }
        let head = read_head(file).ok()?;
        let watched = Watched::new(path.to_owned(), &self.settings, id, metadata, Head::from_bytes(&head));
        let (serial, entry) = known.into_iter().find(|(_, entry)| self.is_about(entry, &watched, file, &head))?;
        self.tracker.take_known(serial);
        Some(entry)
    }

    pub(super) fn watch_open(
        &mut self,
        path: PathBuf,
        file: &File,
        metadata: &Metadata,
        entry: Option<Entry>,
    ) -> io::Result<()> {
        let mut watched = Watched::new(path, &self.settings, self.id_of(metadata), metadata, Head::of(file)?);
        let framing = watched.framing;
        let is_plain = watched.compression(&self.settings) == Compression::None;
        let (mut end, mut is_passed_over) = (None, false);
        let offered = entry.as_ref().map_or(0, |entry| entry.offered);
        match entry {
            Some(entry) => {
                watched.is_complete = entry.is_done() && entry.read == watched.version;
                if framing != Framing::Document || watched.is_complete {
                    watched.position = entry.position;
                    watched.proof = entry.proof;
                }
                // A file that was never read can still be a copy of another one.
                watched.is_resolved = watched.position > 0;
                end = entry.end.filter(|_| watched.is_complete);
                watched.has_failed = watched.is_complete && entry.failed;
                is_passed_over = watched.is_complete && entry.passed_over;
            }
            None if self.is_first_run && !self.has_scanned && self.settings.read_from == ReadFrom::End => {
                watched.is_complete =
                    framing == Framing::Auto || !watched.is_followed(&self.settings, self.context.once);
                if is_plain {
                    watched.position = metadata.len();
                    watched.read_to = metadata.len();
                    watched.proof = Proof::before(&Content::plain(file), metadata.len())?;
                    watched.is_resolved = true;
                }
                end = watched.is_complete.then_some(watched.position);
                is_passed_over = watched.is_complete;
            }
            None => {}
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
            offered,
            proof: watched.proof,
            born: watched.born,
            end,
            failed: watched.has_failed,
            passed_over: is_passed_over,
            read: watched.version,
            seen: now(),
        };
        self.tracker.watch(key, entry);
        if watched.is_complete && !is_passed_over {
            // The file may be delivered already, but the source ended before it was deleted or
            // moved.
            self.finishing.insert(key);
        }
        self.by_id.insert(watched.id, key);
        self.by_base.entry(watched.base.clone()).or_default().insert(key);
        self.files.insert(key, watched);
        Ok(())
    }

    fn cannot_open(&mut self, path: PathBuf, error: &io::Error) {
        // The file disappeared since the search.
        if error.kind() == io::ErrorKind::NotFound || self.note_shortage(error) {
            return;
        }
        let message = error.to_string();
        if self.unreadable.get(&path) != Some(&message) {
            self.count_failure(&path, &format!("cannot be opened: {message}"));
            self.unreadable.insert(path, message);
        }
    }

    pub(super) fn see_again(&mut self, key: Key, path: PathBuf, metadata: &Metadata) {
        let Some(watched) = self.files.get_mut(&key) else { return };
        watched.gone_since = None;
        if watched.path != path {
            tracing::debug!(
                source = %self.context.name, from = %watched.path.display(), to = %path.display(), "file was renamed"
            );
            watched.path.clone_from(&path);
            let before = std::mem::replace(&mut watched.base, self.settings.base_of(&path));
            let now = watched.base.clone();
            self.drop_base(&before, key);
            self.by_base.entry(now).or_default().insert(key);
            self.tracker.update(key, |entry| entry.path = path);
        }
        self.notice(key, metadata);
    }

    /// Records a change, and its consequences for a file that was already read.
    pub(super) fn notice(&mut self, key: Key, metadata: &Metadata) {
        let Some(watched) = self.files.get_mut(&key) else { return };
        let before = watched.version;
        let had_news = watched.has_news;
        if !watched.notice(metadata) {
            return;
        }
        watched.trouble = None;
        add(&self.context.stats.total_bytes, metadata.len().saturating_sub(before.size));
        let is_plain = watched.compression(&self.settings) == Compression::None;
        // Unread data counts as lost too.
        let is_cut = metadata.len() < if is_plain { watched.seen_size.max(watched.position) } else { before.size };
        let has_shrunk = is_plain && metadata.len() < before.size;
        let is_same = !is_cut && self.is_still_same(key, had_news || has_shrunk);
        let Some(watched) = self.files.get_mut(&key) else { return };
        if !is_same {
            if has_shrunk {
                // The data at the last check is lost, even if it was not compared with the read
                // data.
                watched.seen_size = watched.seen_size.max(before.size);
            }
            self.content_left(key, metadata);
        } else if watched.is_complete {
            match watched.framing {
                // Another document has the same name.
                Framing::Document => self.content_left(key, metadata),
                // The file was rewritten in place.
                Framing::Auto if metadata.len() <= before.size => self.content_left(key, metadata),
                Framing::Auto | Framing::Csv | Framing::Lines => {
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

    /// Returns whether a changed log still has its content. Does not open the file if it is read
    /// next anyway.
    fn is_still_same(&mut self, key: Key, had_news: bool) -> bool {
        let Some(watched) = self.files.get(&key) else { return true };
        let is_log = watched.framing != Framing::Document && watched.compression(&self.settings) == Compression::None;
        let is_next = !had_news && !self.is_blocked() && !self.tracker.is_going_back(key);
        if !is_log || (watched.file.is_none() && is_next) {
            return true;
        }
        let has_grown = watched.head.fingerprint.is_short();
        let opened;
        let file = match &watched.file {
            Some(file) => file,
            None => match self.settings.links.open(&watched.path, self.settings.patterns.root_of(&watched.path)) {
                Ok(file) => {
                    opened = file;
                    &opened
                }
                Err(_) => return true,
            },
        };
        let Ok((true, metadata)) = is_same(watched, file).and_then(|same| Ok((same, file.metadata()?))) else {
            return false;
        };
        let head = has_grown.then(|| Head::of(file).ok()).flatten();
        if let Some(watched) = self.files.get_mut(&key) {
            watched.seen_size = watched.seen_size.max(metadata.len());
            if let Some(head) = head {
                // A longer start can find the content in a copy, even if the file was never read.
                watched.head = head;
                self.tracker.update(key, |entry| entry.fingerprint = head.fingerprint);
            }
        }
        true
    }

    /// Stops watching a file.
    pub(super) fn forget(&mut self, key: Key, remember: bool) -> Option<Watched> {
        let watched = self.files.remove(&key)?;
        if self.by_id.get(&watched.id) == Some(&key) {
            self.by_id.remove(&watched.id);
        }
        self.drop_base(&watched.base, key);
        self.finishing.remove(&key);
        self.open.remove(key);
        self.held.remove(&key);
        self.tracker.unwatch(key, remember);
        self.release_copies(key);
        Some(watched)
    }

    fn drop_base(&mut self, base: &str, key: Key) {
        if let Some(keys) = self.by_base.get_mut(base) {
            keys.remove(&key);
            if keys.is_empty() {
                self.by_base.remove(base);
            }
        }
    }

    fn see_gone(&mut self, key: Key) {
        let Some(watched) = self.files.get_mut(&key) else { return };
        watched.gone_since.get_or_insert_with(clock::now);
        watched.keep_last_size(&self.settings);
        if watched.file.is_none() && !watched.is_complete && watched.unread() > 0 {
            if self.reopen_renamed(key) || self.go_on_in_copy(key) || self.searches == 0 {
                return;
            }
            self.count_loss(key, Loss::Removed);
            self.forget(key, true);
            return;
        }
        let is_idle = self.tracker.is_idle(key);
        if is_idle && (watched.is_complete || watched.file.is_none()) {
            self.forget(key, true);
        }
    }

    /// Checks the open files, which is cheaper than a search for all files.
    pub(super) fn look_at_open(&mut self) {
        self.look_at = clock::now() + LOOK_INTERVAL;
        let open: Vec<(Key, Metadata)> = self
            .open
            .keys()
            .filter_map(|key| Some((key, self.files.get(&key)?.file.as_ref()?.metadata().ok()?)))
            .collect();
        for (key, metadata) in open {
            self.notice(key, &metadata);
        }
    }

    /// Searches the folder of a followed file for the name that it got while the agent did not run,
    /// so that its last lines are read even if no glob matches the new name. Files that the options
    /// do not select are not searched.
    fn find_renamed(&mut self) {
        for (serial, entry) in self.tracker.all_known() {
            let is_lines = self.settings.framing_of(&entry.path) == Framing::Lines;
            let is_wanted = is_lines && self.settings.follow && entry.end.is_none() && entry.position > 0;
            if !is_wanted || !self.settings.patterns.is_meant(&entry.path) {
                continue;
            }
            let Some(folder) = entry.path.parent() else { continue };
            let base_name = self.settings.base_of(&entry.path);
            let siblings = fs::read_dir(folder).into_iter().flatten().flatten().map(|sibling| sibling.path());
            let is_alike = |path: &PathBuf| *path != entry.path && self.settings.base_of(path) == base_name;
            let alike: Vec<PathBuf> = siblings.filter(is_alike).collect();
            for path in alike {
                if self.go_on_renamed(&entry, path) {
                    self.tracker.take_known(serial);
                    break;
                }
            }
        }
    }

    /// Continues with a known content in a file of this name, if the file has that content.
    fn go_on_renamed(&mut self, entry: &Entry, path: PathBuf) -> bool {
        let Ok(metadata) = fs::symlink_metadata(&path) else { return false };
        let id = self.id_of(&metadata);
        if !metadata.is_file() || self.by_id.contains_key(&id) || self.settings.patterns.is_excluded(&path) {
            return false;
        }
        // Without a proof, a start that many files may share does not suffice.
        if entry.proof.is_none() && id.inode != entry.id.inode {
            return false;
        }
        let Some(file) = self.open_if(&path, entry.fingerprint, entry.proof) else { return false };
        let Ok(metadata) = file.metadata() else { return false };
        if self.watch_open(path, &file, &metadata, Some(entry.clone())).is_err() {
            return false;
        }
        if let Some((key, watched)) = self.by_id.get(&id).and_then(|key| Some((*key, self.files.get_mut(key)?))) {
            watched.gone_since = Some(clock::now());
            self.keep_open(key, file);
        }
        true
    }
}
