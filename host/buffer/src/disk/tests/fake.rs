//! A disk that fails on demand, and loses any part of its unsynced data in a crash.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::disk::{Storage, StoredFile};

/// The unit in which bytes survive a crash. It is small, so that records can tear at many places.
/// As on real media, a shorter piece of data at the start of a block does not tear.
const BLOCK: usize = 64;

/// The next failure; each happens once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// A write stores this many bytes, and the next write fails.
    Write(usize),
    /// A write stores this many bytes and returns that number, which is not an error.
    ShortWrite(usize),
    Sync,
    SyncFolder,
    Create,
    Remove,
    Truncate,
    Read,
}

#[derive(Clone, Debug, Default)]
struct Content {
    /// The content that reads return.
    now: Vec<u8>,
    /// The content of the medium.
    safe: Vec<u8>,
    /// Blocks that the next sync writes to the medium.
    dirty: BTreeSet<usize>,
}

#[derive(Clone, Debug)]
enum Change {
    Made(String, usize),
    Removed(String),
    Renamed(String, String),
}

#[derive(Debug, Default)]
struct Disk {
    files: Vec<Content>,
    names: BTreeMap<String, usize>,
    safe_names: BTreeMap<String, usize>,
    changes: Vec<Change>,
    failures: Vec<Failure>,
    random: Option<fastrand::Rng>,
    /// Maximum total size of files that have a name or are open.
    capacity: Option<u64>,
    /// Number of open handles of each file.
    handles: BTreeMap<usize, usize>,
}

/// A handle to the disk.
#[derive(Clone, Debug, Default)]
pub(super) struct FakeDisk(Arc<Mutex<Disk>>);

#[derive(Debug)]
pub(super) struct FakeFile(Arc<Mutex<Disk>>, usize);

impl Disk {
    fn fails(&mut self, is: impl Fn(&Failure) -> bool) -> Option<Failure> {
        let index = self.failures.iter().position(is)?;
        Some(self.failures.remove(index))
    }

    /// Bytes that files occupy. As on a real volume, a removed file occupies them until its last
    /// handle is closed.
    fn used(&self) -> u64 {
        let ids: BTreeSet<usize> = self.names.values().chain(self.handles.keys()).copied().collect();
        ids.into_iter().map(|id| self.files[id].now.len() as u64).sum()
    }

    fn open(&mut self, id: usize) {
        *self.handles.entry(id).or_default() += 1;
    }

    fn close(&mut self, id: usize) {
        if let Some(handles) = self.handles.get_mut(&id) {
            *handles -= 1;
        }
        self.handles.retain(|_, handles| *handles > 0);
    }

    fn chance(&mut self) -> bool {
        self.random.get_or_insert_with(|| fastrand::Rng::with_seed(0)).bool()
    }

    fn write(&mut self, id: usize, bytes: &[u8], offset: usize) {
        let content = &mut self.files[id];
        let end = offset + bytes.len();
        if content.now.len() < end {
            content.now.resize(end, 0);
        }
        content.now[offset..end].copy_from_slice(bytes);
        content.dirty.extend(offset / BLOCK..end.div_ceil(BLOCK));
    }

    /// Writes dirty blocks to the medium: all, or a random subset.
    fn write_back(&mut self, id: usize, all: bool) {
        let dirty = std::mem::take(&mut self.files[id].dirty);
        let (now, safe) = (self.files[id].now.len(), self.files[id].safe.len());
        if all || (now != safe && self.chance()) {
            self.files[id].safe.resize(now, 0);
        }
        for block in dirty {
            if all || self.chance() {
                let content = &mut self.files[id];
                let start = block * BLOCK;
                let end = (start + BLOCK).min(content.now.len());
                if start >= end {
                    continue;
                }
                if content.safe.len() < end {
                    content.safe.resize(end, 0);
                }
                content.safe[start..end].copy_from_slice(&content.now[start..end]);
            }
        }
    }
}

impl FakeDisk {
    pub(super) fn fail(&self, failure: Failure) {
        self.0.lock().failures.push(failure);
    }

    pub(super) fn heal(&self) {
        let mut disk = self.0.lock();
        disk.failures.clear();
        disk.capacity = None;
    }

    pub(super) fn limit(&self, room: u64) {
        let mut disk = self.0.lock();
        disk.capacity = Some(disk.used() + room);
    }

    pub(super) fn seed(&self, seed: u64) {
        self.0.lock().random = Some(fastrand::Rng::with_seed(seed));
    }

    /// Total size of the files that count for the limit.
    pub(super) fn live_bytes(&self) -> u64 {
        let disk = self.0.lock();
        let live = disk.names.iter().filter(|(name, _)| !name.ends_with(".damaged"));
        live.map(|(_, id)| disk.files[*id].now.len() as u64).sum()
    }

    /// Whether a file was set aside as damaged, other than one whose first block was never synced.
    pub(super) fn has_damaged(&self) -> bool {
        let disk = self.0.lock();
        let has_header = |id: &usize| disk.files[*id].now.iter().take(44).any(|byte| *byte != 0);
        disk.names.iter().any(|(name, id)| name.ends_with(".damaged") && has_header(id))
    }

    /// Simulates a power loss: any part of the unsynced data may survive.
    pub(super) fn lose_power(&self) {
        let disk = &mut *self.0.lock();
        for change in std::mem::take(&mut disk.changes) {
            if !disk.chance() {
                continue;
            }
            match change {
                Change::Made(name, id) => {
                    disk.safe_names.insert(name, id);
                }
                Change::Removed(name) => {
                    disk.safe_names.remove(&name);
                }
                Change::Renamed(from, to) => {
                    if let Some(id) = disk.safe_names.remove(&from) {
                        disk.safe_names.insert(to, id);
                    }
                }
            }
        }
        for id in 0..disk.files.len() {
            disk.write_back(id, false);
            disk.files[id].now = disk.files[id].safe.clone();
        }
        disk.names = disk.safe_names.clone();
    }
}

impl Drop for FakeFile {
    fn drop(&mut self) {
        self.0.lock().close(self.1);
    }
}

fn error(text: &str) -> io::Error {
    io::Error::other(text.to_owned())
}

impl Storage for FakeDisk {
    type File = FakeFile;

    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.0.lock().names.keys().cloned().collect())
    }

    fn create(&self, name: &str) -> io::Result<FakeFile> {
        let mut disk = self.0.lock();
        if disk.fails(|failure| *failure == Failure::Create).is_some() {
            return Err(error("create"));
        }
        assert!(!disk.names.contains_key(name), "{name} already exists");
        let id = disk.files.len();
        disk.files.push(Content::default());
        disk.names.insert(name.to_owned(), id);
        disk.changes.push(Change::Made(name.to_owned(), id));
        disk.open(id);
        Ok(FakeFile(self.0.clone(), id))
    }

    fn open(&self, name: &str) -> io::Result<FakeFile> {
        let mut disk = self.0.lock();
        let id = *disk.names.get(name).ok_or(ErrorKind::NotFound)?;
        disk.open(id);
        Ok(FakeFile(self.0.clone(), id))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut disk = self.0.lock();
        if disk.fails(|failure| *failure == Failure::Remove).is_some() {
            return Err(error("remove"));
        }
        disk.names.remove(name).ok_or(ErrorKind::NotFound)?;
        disk.changes.push(Change::Removed(name.to_owned()));
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut disk = self.0.lock();
        let id = disk.names.remove(from).ok_or(ErrorKind::NotFound)?;
        disk.names.insert(to.to_owned(), id);
        disk.changes.push(Change::Renamed(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut disk = self.0.lock();
        if disk.fails(|failure| *failure == Failure::SyncFolder).is_some() {
            return Err(error("sync of the folder"));
        }
        disk.changes.clear();
        disk.safe_names = disk.names.clone();
        Ok(())
    }
}

impl StoredFile for FakeFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.0.lock().files[self.1].now.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut disk = self.0.lock();
        if disk.fails(|failure| *failure == Failure::Read).is_some() {
            return Err(error("read"));
        }
        let bytes = disk.files[self.1].now.get(offset as usize..).unwrap_or_default();
        let count = bytes.len().min(buffer.len());
        buffer[..count].copy_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let mut disk = self.0.lock();
        let offset = offset as usize;
        let grows = ((offset + bytes.len()) as u64).saturating_sub(disk.files[self.1].now.len() as u64);
        let room = disk.capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(disk.used()));
        if grows > room {
            let fits = (bytes.len() as u64 - (grows - room)) as usize;
            if fits == 0 {
                return Err(ErrorKind::StorageFull.into());
            }
            disk.write(self.1, &bytes[..fits], offset);
            return Ok(fits);
        }
        match disk.fails(|failure| matches!(failure, Failure::Write(_) | Failure::ShortWrite(_))) {
            Some(Failure::Write(count)) => {
                disk.write(self.1, &bytes[..count.min(bytes.len())], offset);
                Err(error("write"))
            }
            Some(Failure::ShortWrite(count)) => {
                let count = count.clamp(1, bytes.len());
                disk.write(self.1, &bytes[..count], offset);
                Ok(count)
            }
            _ => {
                disk.write(self.1, bytes, offset);
                Ok(bytes.len())
            }
        }
    }

    fn truncate(&self, size: u64) -> io::Result<()> {
        let mut disk = self.0.lock();
        if disk.fails(|failure| *failure == Failure::Truncate).is_some() {
            return Err(error("truncate"));
        }
        let content = &mut disk.files[self.1];
        content.now.resize(size as usize, 0);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut disk = self.0.lock();
        let failed = disk.fails(|failure| *failure == Failure::Sync).is_some();
        // After a failed sync the system considers the blocks clean, whether the medium has them or
        // not.
        disk.write_back(self.1, !failed);
        if failed { Err(error("sync")) } else { Ok(()) }
    }
}
