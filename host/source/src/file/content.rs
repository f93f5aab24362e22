//! Contents, and the files that hold them. Rotation copies, compresses, renames and truncates
//! files.
//!
//! A [`Key`] identifies a content. New files are compared with known contents: a file that was
//! compressed or moved to another device continues at its position. A copy waits while the original
//! exists. If the original is truncated, the content continues in the copy; if it is removed, the
//! copy replaces it. As long as both exist, nothing is read twice.

use std::fs::{self, File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::checkpoint::Entry;
use super::clock;
use super::identity::{Content, Fingerprint, Head, Proof, read_head};
use super::names::base;
use super::open::Loss;
use super::reader::Reader;
use super::track::Key;
use super::watched::Watched;
use crate::decompress::Compression;
use crate::frame::Framing;

/// With this many bytes in common, two files have the same content, even with unrelated names.
const ENOUGH_BYTES: u64 = 256;

/// Maximum wait for events in flight that decide where to continue.
const IN_FLIGHT_PAUSE: Duration = Duration::from_millis(100);

/// A file that holds a known content.
pub(super) struct Copy {
    path: PathBuf,
    file: File,
    /// Key under which it is already watched.
    key: Option<Key>,
}

impl Reader {
    /// Compares a file of lines with the known contents before its first read. Returns whether it
    /// can be read now.
    pub(super) fn resolve(&mut self, key: Key, watched: &mut Watched) -> bool {
        self.held.remove(&key);
        watched.copy_of = None;
        let Some(file) = &watched.file else { return true };
        let content = self.content(watched, file);
        // `turn.rs` reports the error when it reads the file.
        let Ok(head) = content.head() else { return true };
        if head.is_empty() || watched.position > 0 {
            watched.is_resolved |= watched.position > 0;
            return true;
        }
        if let Some(entry) = self.known_content(watched, &content, &head) {
            self.read_on(key, watched, &entry);
            return true;
        }
        if self.context.once {
            watched.is_resolved = true;
            return true;
        }
        if self.tracker.is_leaving_like(&head) {
            watched.not_before = Some(clock::now() + IN_FLIGHT_PAUSE);
            return false;
        }
        if let Some(original) = self.original_of(key, watched, &content, &head) {
            watched.copy_of = Some(original);
            watched.has_news = false;
            self.held.insert(key);
            return false;
        }
        watched.is_resolved = true;
        true
    }

    /// Continues in a file at the position of its content under another name.
    fn read_on(&self, key: Key, watched: &mut Watched, entry: &Entry) {
        tracing::debug!(
            source = %self.context.name, path = %watched.path.display(), before = %entry.path.display(),
            position = entry.position, "content is known under another name; continuing at its position"
        );
        watched.position = entry.position;
        watched.proof = entry.proof;
        watched.is_resolved = true;
        self.tracker.update(key, |own| {
            own.position = entry.position;
            own.proof = entry.proof;
        });
    }

    /// Looks for known contents in files that were just found. A file may be removed before it is
    /// read; events that were delivered under another name must not count as lost.
    pub(super) fn recognize(&mut self, found: &[Key]) {
        if !self.tracker.knows_files() {
            return;
        }
        for key in found {
            let is_new = |watched: &Watched| watched.framing == Framing::Lines && !watched.is_resolved;
            if !self.files.get(key).is_some_and(is_new) {
                continue;
            }
            let Some(mut watched) = self.files.remove(key) else { continue };
            let opened = if watched.file.is_some() { None } else { self.open_watched(&watched).ok() };
            let entry = opened.as_ref().or(watched.file.as_ref()).and_then(|file| {
                let content = self.content(&watched, file);
                self.known_content(&watched, &content, &content.head().ok()?)
            });
            if let Some(entry) = entry {
                self.read_on(*key, &mut watched, &entry);
            }
            self.files.insert(*key, watched);
        }
    }

    fn content<'f>(&self, watched: &Watched, file: &'f File) -> Content<'f> {
        Content { file, compression: watched.compression(&self.settings), caps: self.settings.caps }
    }

    /// Takes the entry of this content from the list of files that are no longer watched.
    fn known_content(&self, watched: &Watched, content: &Content<'_>, head: &[u8]) -> Option<Entry> {
        let mut heads = vec![head.to_vec()];
        if content.compression != Compression::None {
            // A moved compressed file starts with the same compressed bytes.
            heads.push(read_head(content.file).unwrap_or_default());
        }
        for head in heads {
            for (serial, entry) in self.tracker.known_like(&head) {
                let common = entry.proof.map_or(entry.fingerprint.length() as u64, |proof| proof.at);
                let is_moved = entry.path != watched.path || entry.id.device != watched.id.device;
                let is_enough = common >= ENOUGH_BYTES
                    || entry.id.inode == watched.id.inode
                    || (is_moved && self.settings.base_of(&entry.path) == watched.base);
                let is_proven = match entry.proof {
                    Some(proof) => proof.holds(content).unwrap_or(false),
                    None => !entry.fingerprint.is_short() || entry.read.size == watched.version.size,
                };
                if entry.position > 0 && is_enough && is_proven {
                    self.tracker.take_known(serial);
                    return Some(entry);
                }
            }
        }
        None
    }

    /// Returns the watched file of which this one is a full or partial copy. Copies have longer
    /// names than the original.
    fn original_of(&self, key: Key, watched: &Watched, content: &Content<'_>, head: &[u8]) -> Option<Key> {
        let name = watched.path.file_name()?.to_string_lossy();
        if name == base(&watched.path) {
            return None;
        }
        let alike = self.by_base.get(&watched.base)?;
        alike.iter().copied().filter(|other| *other != key).find(|other| {
            self.files.get(other).is_some_and(|other| self.is_part_of(content, head, other).unwrap_or(false))
        })
    }

    fn is_part_of(&self, content: &Content<'_>, head: &[u8], other: &Watched) -> io::Result<bool> {
        let is_candidate = other.framing == Framing::Lines
            && other.copy_of.is_none()
            && other.compression(&self.settings) == Compression::None
            && other.head.fingerprint.length() > 0;
        if !is_candidate {
            return Ok(false);
        }
        let opened;
        let file = match &other.file {
            Some(file) => file,
            None => {
                opened = match self.settings.links.open(&other.path, self.settings.patterns.root_of(&other.path)) {
                    // The original is removed and has events in flight, so the copy waits for them.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {
                        let is_it = other.head.fingerprint.begins(head);
                        return Ok(is_it && other.proof.map_or(Ok(false), |proof| proof.holds(content))?);
                    }
                    opened => opened?,
                };
                &opened
            }
        };
        let other_head = read_head(file)?;
        if !other_head.starts_with(head) {
            return Ok(false);
        }
        let Some(length) = content.length_within(file.metadata()?.len())? else { return Ok(false) };
        Ok(length > 0 && Proof::before(content, length)? == Proof::before(&Content::plain(file), length)?)
    }

    /// Ends the waiting of copies for this file.
    pub(super) fn release_copies(&mut self, original: Key) {
        let waiting: Vec<Key> = self.held.iter().copied().collect();
        for key in waiting {
            if let Some(copy) = self.files.get_mut(&key).filter(|copy| copy.copy_of == Some(original)) {
                copy.copy_of = None;
                copy.has_news = true;
                self.held.remove(&key);
            }
        }
    }

    /// Handles a file that was truncated or rewritten. Its content continues in a copy, if there is
    /// one, and the file is read from its start.
    pub(super) fn content_left(&mut self, key: Key, metadata: &Metadata) {
        let Some(watched) = self.files.get_mut(&key) else { return };
        let file = watched.file.take();
        let path = watched.path.clone();
        self.open.remove(key);
        if watched.copy_of.is_some() || watched.framing != Framing::Lines {
            self.forget(key, false);
        } else if let Some(copy) = self.find_copy(key) {
            tracing::info!(
                source = %self.context.name, path = %path.display(), copy = %copy.path.display(),
                "file was truncated after it was copied; continuing in the copy, and reading the file from its beginning"
            );
            self.go_on_in(key, copy);
        } else {
            tracing::info!(
                source = %self.context.name, path = %path.display(),
                "file was truncated or rewritten; reading it from its beginning"
            );
            self.count_loss(key, Loss::Truncated);
            self.forget(key, true);
        }
        if self.by_id.contains_key(&self.id_of(metadata)) {
            // Another file reused the inode and is already watched.
            return;
        }
        match file {
            Some(file) => {
                if self.watch_open(path, &file, metadata, None).is_ok()
                    && let Some(key) = self.by_id.get(&self.id_of(metadata)).copied()
                {
                    self.keep_open(key, file);
                }
            }
            None => self.watch(path, metadata, true),
        }
    }

    /// Continues the content of a removed file in a copy, such as a compressed one, if there is
    /// one.
    pub(super) fn go_on_in_copy(&mut self, key: Key) -> bool {
        let has_lines = self.files.get(&key).is_some_and(|w| w.framing == Framing::Lines && w.copy_of.is_none());
        let Some(copy) = self.find_copy(key).filter(|_| has_lines) else { return false };
        self.go_on_in(key, copy);
        true
    }

    /// Returns a file that holds the content of this key.
    pub(super) fn find_copy(&mut self, key: Key) -> Option<Copy> {
        let watched = self.files.get(&key)?;
        if watched.compression(&self.settings) != Compression::None || watched.head.fingerprint.length() == 0 {
            return None;
        }
        let (fingerprint, proof) = (watched.head.fingerprint, watched.proof);
        let (path, base_name) = (watched.path.clone(), watched.base.clone());
        let alike = self.by_base.get(&base_name).cloned().unwrap_or_default();
        for other in alike.into_iter().filter(|other| *other != key) {
            let Some(candidate) = self.files.get(&other).filter(|w| !w.is_resolved && w.position == 0) else {
                continue;
            };
            let path = candidate.path.clone();
            if let Some(file) = self.open_if(&path, fingerprint, proof) {
                return Some(Copy { path, file, key: Some(other) });
            }
        }
        if self.searches == 0 {
            return None;
        }
        self.searches -= 1;
        let siblings = fs::read_dir(path.parent()?).into_iter().flatten().flatten().map(|sibling| sibling.path());
        let named_alike: Vec<PathBuf> =
            siblings.filter(|other| *other != path && self.settings.base_of(other) == base_name).collect();
        for path in named_alike {
            let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
            let watched_as = self.by_id.get(&self.id_of(&metadata)).copied();
            let is_watched = watched_as.is_some_and(|key| !self.is_replaced(key, &path, &metadata));
            if is_watched || !metadata.is_file() || self.settings.patterns.is_excluded(&path) {
                continue;
            }
            if let Some(file) = self.open_if(&path, fingerprint, proof) {
                return Some(Copy { path, file, key: None });
            }
        }
        None
    }

    /// Opens a file if it holds this content.
    pub(super) fn open_if(&mut self, path: &Path, fingerprint: Fingerprint, proof: Option<Proof>) -> Option<File> {
        let file = self.open(path).ok()?;
        let compression = Head::of(&file).ok()?.compression;
        let content = Content { file: &file, compression, caps: self.settings.caps };
        let is_it = fingerprint.begins(&content.head().ok()?)
            && proof.is_none_or(|proof| proof.holds(&content).unwrap_or(false));
        is_it.then_some(file)
    }

    /// Moves a content with its events in flight to another file.
    fn go_on_in(&mut self, key: Key, copy: Copy) {
        let Ok(metadata) = copy.file.metadata() else { return };
        let Ok(head) = Head::of(&copy.file) else { return };
        let id = self.id_of(&metadata);
        // Rotation may have renamed the watched file, so the file at this path may not be the copy.
        let is_copy = |watched: &Watched| watched.id.inode == id.inode;
        if let Some(other) = copy.key.filter(|other| self.files.get(other).is_some_and(is_copy)) {
            self.forget(other, false);
        }
        let is_meant = self.settings.patterns.is_meant(&copy.path);
        let Some(watched) = self.files.get_mut(&key) else { return };
        let old = watched.id;
        let mut next = Watched::new(copy.path.clone(), &self.settings, id, &metadata, head);
        next.framing = Framing::Lines;
        next.position = watched.position;
        next.proof = watched.proof;
        // If the content was never compared with known contents, the new file must be.
        next.is_resolved = watched.is_resolved || watched.position > 0;
        // If no glob matches the file, it is read to its end and then released.
        next.gone_since = (!is_meant).then(clock::now);
        *watched = next;
        if self.by_id.get(&old) == Some(&key) {
            self.by_id.remove(&old);
        }
        self.by_id.insert(id, key);
        self.finishing.remove(&key);
        let born = super::watched::born(&metadata);
        self.tracker.update(key, |entry| {
            entry.id = id;
            entry.born = born;
            entry.fingerprint = head.fingerprint;
            entry.path = copy.path;
            entry.end = None;
        });
        self.keep_open(key, copy.file);
    }

    /// Returns whether an entry is about this file: the inode or the path is the same.
    pub(super) fn is_about(&self, entry: &Entry, watched: &Watched, file: &File, head: &[u8]) -> bool {
        let is_plain_lines =
            watched.framing == Framing::Lines && watched.compression(&self.settings) == Compression::None;
        let has_inode = entry.id.inode == watched.id.inode
            && entry.born.zip(watched.born).is_none_or(|(before, now)| before == now);
        let is_like = entry.fingerprint.begins(head);
        if !is_plain_lines {
            return is_like && (has_inode || entry.read == watched.version);
        }
        let common = entry.proof.map_or(entry.fingerprint.length() as u64, |proof| proof.at);
        let is_enough = has_inode || common >= ENOUGH_BYTES || entry.id.device != watched.id.device;
        is_like
            && is_enough
            && entry.position <= watched.version.size
            && entry.proof.is_none_or(|proof| proof.holds(&Content::plain(file)).unwrap_or(false))
    }
}
