//! State of files that are not watched now, by inode, path and content.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use super::checkpoint::Entry;
use super::identity::Fingerprint;

/// Maximum number of remembered contents per inode; each truncation adds one.
const MAX_PER_INODE: usize = 8;

/// Identifies an entry.
pub(super) type Serial = u64;

/// Entries of files that were watched before.
#[derive(Default)]
pub(super) struct Known {
    entries: BTreeMap<Serial, Entry>,
    next: Serial,
    by_inode: HashMap<u64, Vec<Serial>>,
    by_path: HashMap<PathBuf, Vec<Serial>>,
    /// By length, then by hash of the fingerprint.
    by_content: BTreeMap<usize, HashMap<Fingerprint, Vec<Serial>>>,
}

impl Known {
    pub(super) fn insert(&mut self, entry: Entry) {
        let same: Vec<Serial> = self.by_inode.get(&entry.id.inode).cloned().unwrap_or_default();
        for serial in &same {
            // The same file was remembered earlier, so replace its entry.
            if self.entries.get(serial).is_some_and(|e| e.id == entry.id && e.fingerprint == entry.fingerprint) {
                self.take(*serial);
            }
        }
        if let Some(oldest) = same.iter().min().filter(|_| same.len() >= MAX_PER_INODE) {
            self.take(*oldest);
        }
        let serial = self.next;
        self.next += 1;
        self.by_inode.entry(entry.id.inode).or_default().push(serial);
        self.by_path.entry(entry.path.clone()).or_default().push(serial);
        let same_length = self.by_content.entry(entry.fingerprint.length()).or_default();
        same_length.entry(entry.fingerprint).or_default().push(serial);
        self.entries.insert(serial, entry);
    }

    pub(super) fn take(&mut self, serial: Serial) -> Option<Entry> {
        let entry = self.entries.remove(&serial)?;
        drop_from(&mut self.by_inode, &entry.id.inode, serial);
        drop_from(&mut self.by_path, &entry.path, serial);
        let length = entry.fingerprint.length();
        if let Some(same_length) = self.by_content.get_mut(&length) {
            drop_from(same_length, &entry.fingerprint, serial);
            if same_length.is_empty() {
                self.by_content.remove(&length);
            }
        }
        Some(entry)
    }

    pub(super) fn get(&self, serial: Serial) -> Option<&Entry> {
        self.entries.get(&serial)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Serial, &Entry)> {
        self.entries.iter()
    }

    /// Returns entries of this inode or path, the most likely first.
    pub(super) fn at(&self, inode: u64, path: &Path) -> Vec<Serial> {
        let by_inode = self.by_inode.get(&inode).map(Vec::as_slice).unwrap_or_default();
        let by_path = self.by_path.get(path).map(Vec::as_slice).unwrap_or_default();
        // The latest entry is the most likely.
        let mut found: Vec<Serial> = by_inode.iter().rev().copied().collect();
        found.extend(by_path.iter().rev().filter(|serial| !by_inode.contains(serial)));
        found
    }

    /// Returns entries of files with this start; those with the longest fingerprint first.
    pub(super) fn like(&self, head: &[u8]) -> Vec<Serial> {
        let mut found = Vec::new();
        if head.is_empty() {
            return found;
        }
        for (length, same_length) in self.by_content.range(1..=head.len()).rev() {
            let fingerprint = head.get(..*length).map(Fingerprint::of);
            found.extend(fingerprint.and_then(|f| same_length.get(&f)).into_iter().flatten().copied());
        }
        found
    }

    pub(super) fn retain(&mut self, mut keep: impl FnMut(&Entry) -> bool) {
        let old: Vec<Serial> = self.entries.iter().filter(|(_, entry)| !keep(entry)).map(|(s, _)| *s).collect();
        for serial in old {
            self.take(serial);
        }
    }
}

fn drop_from<K: std::hash::Hash + Eq>(map: &mut HashMap<K, Vec<Serial>>, key: &K, serial: Serial) {
    if let Some(serials) = map.get_mut(key) {
        serials.retain(|s| *s != serial);
        if serials.is_empty() {
            map.remove(key);
        }
    }
}
