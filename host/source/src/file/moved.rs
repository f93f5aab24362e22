//! Recognizes watched files with another device number, and other files with the inode of a watched
//! one.

use std::collections::{BTreeSet, HashMap};
use std::fs::Metadata;
use std::path::{Path, PathBuf};

use super::identity::{Content, Version, read_head};
use super::reader::{Reader, is_same};
use super::track::Key;
use super::watched::born;
use crate::decompress::Compression;
use crate::frame::Framing;

/// Files that are no longer at their paths.
#[derive(Default)]
pub(super) struct Moved {
    by_inode: HashMap<u64, Key>,
    by_path: HashMap<PathBuf, Key>,
}

impl Reader {
    /// Files that are no longer at their paths, by the properties that identify them elsewhere.
    pub(super) fn may_have_moved(&self, gone: &BTreeSet<Key>) -> Moved {
        let mut moved = Moved::default();
        for (key, watched) in gone.iter().filter_map(|key| Some((*key, self.files.get(key)?))) {
            moved.by_inode.insert(watched.id.inode, key);
            moved.by_path.insert(watched.path.clone(), key);
        }
        moved
    }

    /// Returns whether this is another file that reused the inode of a removed watched file.
    pub(super) fn is_replaced(&self, key: Key, path: &Path, metadata: &Metadata) -> bool {
        // An open file and the file that is being read keep their inodes.
        let Some(watched) = self.files.get(&key).filter(|watched| watched.file.is_none()) else { return false };
        let is_reborn = watched.born.zip(born(metadata)).is_some_and(|(before, now)| before != now);
        // File systems round birth times to some milliseconds, so two files may share one. Overlays
        // change it when they copy a file, so a different birth time does not prove a different
        // file.
        let is_suspect = is_reborn || (watched.path != path && watched.version != Version::of(metadata));
        is_suspect
            && self.settings.links.open(path, self.settings.patterns.root_of(path)).is_ok_and(|file| {
                let is_cut = watched.is_plain(&self.settings) && metadata.len() < watched.position;
                is_cut || !is_same(watched, &file).unwrap_or(true)
            })
    }

    /// Returns the watched file that is found here now, on another device or restored.
    pub(super) fn moved_to(&mut self, moved: &Moved, path: &PathBuf, metadata: &Metadata) -> Option<Key> {
        let id = self.id_of(metadata);
        let by_inode = moved.by_inode.get(&id.inode).copied();
        let candidates: Vec<Key> = by_inode.into_iter().chain(moved.by_path.get(path).copied()).collect();
        if candidates.is_empty() {
            return None;
        }
        let file = self.open(path).ok()?;
        let head = read_head(&file).ok()?;
        candidates.into_iter().find(|key| {
            let Some(watched) = self.files.get(key).filter(|watched| watched.id.device != id.device) else {
                return false;
            };
            if watched.head.fingerprint.length() == 0 && watched.position == 0 {
                // Its content is unknown, and no event of it was sent.
                return watched.id.inode == id.inode && watched.path == *path;
            }
            let is_same = if watched.framing == Framing::Document {
                watched.version.size == metadata.len()
            } else {
                watched.position <= metadata.len() || watched.head.compression != Compression::None
            };
            let is_proven = match watched.proof {
                Some(proof) if watched.compression(&self.settings) == Compression::None => {
                    proof.holds(&Content::plain(&file)).unwrap_or(false)
                }
                _ => true,
            };
            is_same && is_proven && watched.head.fingerprint.length() > 0 && watched.head.fingerprint.begins(&head)
        })
    }

    /// Returns the file that is being read, if its device number changed.
    pub(super) fn moved_in_turn(&mut self, path: &Path, metadata: &Metadata) -> Option<Key> {
        let new = self.id_of(metadata);
        let (key, id, own_path) = self.in_turn.as_mut()?;
        if own_path != path || id.inode != new.inode || id.device == new.device {
            return None;
        }
        let key = *key;
        self.by_id.remove(&std::mem::replace(id, new));
        self.by_id.insert(new, key);
        Some(key)
    }

    /// Moves a file to another device.
    pub(super) fn see_elsewhere(&mut self, key: Key, path: PathBuf, metadata: &Metadata) {
        let id = self.id_of(metadata);
        let Some(watched) = self.files.get_mut(&key) else { return };
        tracing::info!(source = %self.context.name, path = %path.display(), "file is on another device now; continuing at its position");
        let old = std::mem::replace(&mut watched.id, id);
        watched.born = born(metadata);
        // The open handle is on the old device and would prevent unmounting it.
        watched.file = None;
        let born_at = watched.born;
        self.open.remove(key);
        if self.by_id.get(&old) == Some(&key) {
            self.by_id.remove(&old);
        }
        self.by_id.insert(id, key);
        self.tracker.update(key, |entry| {
            entry.id = id;
            entry.born = born_at;
        });
        self.see_again(key, path, metadata);
    }
}
