//! Limits the number of open files. Files that could not be opened again are closed last.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirEntryExt, MetadataExt};
use std::path::Path;

use wattle_descriptors::{help, is_short};

use super::clock;
use super::reader::{Reader, is_same};
use super::track::Key;
use super::watched::{Watched, born};
use crate::decompress::Compression;
use crate::frame::Framing;
use crate::stats::add;

/// Why bytes were never read.
#[derive(Clone, Copy, Debug)]
pub(super) enum Loss {
    Truncated,
    Removed,
    Closed,
}

impl Reader {
    /// Opens a file, after closing others if descriptors are short.
    pub(super) fn open(&mut self, path: &Path) -> io::Result<File> {
        loop {
            let opened = self.settings.links.open(path, self.settings.patterns.root_of(path));
            match &opened {
                Err(error) if is_short(error) && self.close_one(None) => {}
                _ => return opened,
            }
        }
    }

    /// Opens the expected file.
    pub(super) fn open_watched(&mut self, watched: &Watched) -> io::Result<File> {
        let file = self.open(&watched.path)?;
        // A device can get another number, so compare the inode only; the content is checked before
        // reading.
        if self.id_of(&file.metadata()?).inode != watched.id.inode {
            return Err(io::Error::new(io::ErrorKind::NotFound, "another file has its name"));
        }
        Ok(file)
    }

    /// Returns whether an error is a lack of descriptors, which is logged once and not per file.
    pub(super) fn note_shortage(&mut self, error: &io::Error) -> bool {
        if !is_short(error) {
            return false;
        }
        if !self.is_short {
            self.is_short = true;
            tracing::error!(
                source = %self.context.name, files = self.files.len(), open = self.open.len(), help = %help(),
                "too many open files; cannot read some files; retrying"
            );
            self.context.stats.fail(format!("too many files are open: {}", help()));
        }
        true
    }

    /// Keeps a file open for its next read, within the limit.
    pub(super) fn keep_open(&mut self, key: Key, file: File) {
        let Some(watched) = self.files.get_mut(&key) else { return };
        watched.file = Some(file);
        self.open.insert(key, watched.used_at);
        // One descriptor is reserved for the file that is being read. A removed file gets one in
        // any case.
        let is_gone = watched.gone_since.is_some();
        let most = (self.share.max(self.settings.max_open_files) - 1).max(usize::from(is_gone));
        while self.open.len() > most && self.close_one(Some(key)) {}
    }

    /// Closes one file; returns whether it did. Of the files that can be opened again, this is the
    /// one that was not read for the longest time; `kept` comes last. Of removed files, it is the
    /// one with the fewest unread bytes, which are lost.
    fn close_one(&mut self, kept: Option<Key>) -> bool {
        let is_there = |key: &Key| self.files.get(key).is_some_and(|watched| watched.gone_since.is_none());
        let spared = self.open.oldest_first().find(|key| Some(*key) != kept && is_there(key));
        let spared = spared.or_else(|| kept.filter(|key| self.open.contains(*key) && is_there(key)));
        let spared = spared.or_else(|| {
            let open = self.open.oldest_first().filter_map(|key| Some((key, self.files.get(&key)?)));
            open.min_by_key(|(_, watched)| watched.unread()).map(|(key, _)| key)
        });
        let Some(key) = spared else { return false };
        self.open.remove(key);
        let Some(watched) = self.files.get_mut(&key) else { return true };
        watched.file = None;
        if watched.gone_since.is_some() {
            self.count_loss(key, Loss::Closed);
            self.forget(key, true);
        }
        true
    }

    /// Counts and logs the bytes of a file that can never be read.
    pub(super) fn count_loss(&self, key: Key, loss: Loss) {
        let Some(watched) = self.files.get(&key) else { return };
        let is_plain = watched.compression(&self.settings) == Compression::None;
        let bytes = if is_plain && watched.framing != Framing::Document { watched.unread() } else { 0 };
        let (source, path) = (&self.context.name, watched.path.display());
        if bytes == 0 || watched.has_failed || watched.copy_of.is_some() {
            return;
        }
        let lost = &self.context.stats.lost_bytes;
        match loss {
            Loss::Truncated => {
                add(&lost.truncated, bytes);
                tracing::error!(%source, %path, bytes, "file was truncated before all of it was read; at least these bytes are lost");
            }
            Loss::Removed => {
                add(&lost.removed, bytes);
                tracing::error!(%source, %path, bytes, "file was removed before all of it was read; at least these bytes are lost");
            }
            Loss::Closed => {
                add(&lost.closed, bytes);
                tracing::error!(
                    %source, %path, bytes, max_open_files = self.share.max(self.settings.max_open_files),
                    "file was removed and closed before all of it was read, because too many files are open; these bytes are lost"
                );
            }
        }
    }

    /// Counts the lost bytes of removed files that are still open when the source ends.
    pub(super) fn give_up_removed(&mut self) {
        self.searches = usize::MAX;
        let is_removed = |watched: &Watched| match &watched.file {
            Some(file) => file.metadata().is_ok_and(|metadata| metadata.nlink() == 0),
            None => !is_beside(watched),
        };
        let gone = self.files.iter().filter(|(_, watched)| watched.gone_since.is_some() && is_removed(watched));
        let removed: Vec<Key> = gone.map(|(key, _)| *key).collect();
        for key in removed {
            // After the next start, the content continues in the copy.
            if self.find_copy(key).is_none() {
                self.count_loss(key, Loss::Removed);
                // Events in flight that return cannot be read again; they are counted then.
                self.tracker.unwatch(key, true);
            }
        }
    }

    /// Gives up a removed file that is not open.
    pub(super) fn vanish(&mut self, key: Key) {
        if let Some(watched) = self.files.get_mut(&key) {
            watched.keep_last_size(&self.settings);
        }
        if self.reopen_renamed(key) || self.go_on_in_copy(key) {
            return;
        }
        self.count_loss(key, Loss::Removed);
        let Some(watched) = self.forget(key, true) else { return };
        if watched.unread() == 0 && (watched.position > 0 || watched.read_to > 0) {
            self.count_failure(&watched.path, "was removed before all events read from it were delivered");
        }
    }

    /// Searches for the new name of a renamed file that is not open, to read it to its end.
    pub(super) fn reopen_renamed(&mut self, key: Key) -> bool {
        let Some(watched) = self.files.get(&key) else { return false };
        if watched.unread() == 0 || self.searches == 0 {
            return false;
        }
        self.searches -= 1;
        let (id, base) = (watched.id, watched.base.clone());
        let Some(folder) = watched.path.parent() else { return false };
        let siblings = fs::read_dir(folder).into_iter().flatten().flatten().map(|sibling| sibling.path());
        let named_alike: Vec<_> = siblings.filter(|path| self.settings.base_of(path) == base).collect();
        for path in named_alike {
            let is_it = fs::symlink_metadata(&path).is_ok_and(|metadata| self.id_of(&metadata) == id);
            if !is_it || self.settings.patterns.is_excluded(&path) {
                continue;
            }
            let Ok(file) = self.open(&path) else { continue };
            // Another file may have reused the inode.
            if !self.files.get(&key).is_some_and(|watched| is_same(watched, &file).unwrap_or(false)) {
                continue;
            }
            if let Some(watched) = self.files.get_mut(&key) {
                watched.path = path;
                watched.trouble = None;
                watched.has_news = true;
                watched.gone_since.get_or_insert_with(clock::now);
            }
            self.keep_open(key, file);
            return true;
        }
        false
    }
}

/// Returns whether a file that is not open is still in its folder under any name. Another file may
/// have its name or inode.
fn is_beside(watched: &Watched) -> bool {
    let siblings = watched.path.parent().and_then(|folder| fs::read_dir(folder).ok()).into_iter().flatten().flatten();
    let mut alike = siblings.filter(|sibling| sibling.ino() == watched.id.inode);
    alike.any(|sibling| sibling.metadata().is_ok_and(|metadata| born(&metadata) == watched.born))
}
