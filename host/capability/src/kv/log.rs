//! The log of a key-value store: `kv/<pipeline>/<node>` in the data folder, mode 0600.
//!
//! All numbers are little-endian. A header of 16 bytes has `WATTLEKV`, u32 version (1), and u32 CRC-32C
//! of these 12 bytes. Groups follow: the number of bytes of the changes (u64), their CRC-32C (u32), and
//! the changes. A change has the number of bytes of the key (u32) and of the value (u64, all ones if the
//! key was removed), the end of the value in milliseconds since 1970 (u64, all ones for none), the key
//! and the value.
//!
//! Each group is synced. A group counts as a whole, so the changes of a call are there or not, together.
//! A kill can leave an incomplete group at the end, which is ignored: the acknowledgements of its calls
//! did not end. A file with any other damage is set aside, and what comes before the damage counts.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use bytes::{Buf as _, Bytes};

use super::entries::Value;

const MAGIC: &[u8; 8] = b"WATTLEKV";
/// Version of the format.
pub const VERSION: u32 = 1;
const HEADER_BYTES: usize = 16;
/// Largest file. The values live in memory, and a log has at most a few times their bytes.
const MAX_BYTES: u64 = 4 << 30;
/// Length and checksum before the changes of a group.
const GROUP_BYTES: usize = 12;

/// A key with its new value; `None` if it was removed.
pub(super) type Change = (Bytes, Option<Value>);

/// What a log had when it was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing is damaged.
    Whole,
    /// A part is damaged, and the file has this name now.
    Damaged {
        /// The path.
        aside: String,
    },
}

/// A log on disk.
#[derive(Debug)]
pub(super) struct Log {
    path: PathBuf,
    /// Open for appending; `None` until the file was written.
    file: Option<File>,
    bytes: u64,
}

fn header() -> Vec<u8> {
    let content = [MAGIC.as_slice(), &VERSION.to_le_bytes()].concat();
    [content.as_slice(), &crc32c::crc32c(&content).to_le_bytes()].concat()
}

fn encode(changes: &[Change]) -> Vec<u8> {
    let mut out = vec![0; GROUP_BYTES];
    for (key, value) in changes {
        let until = value.as_ref().and_then(|value| value.until);
        // A key comes in a column, whose offsets are u32.
        out.extend_from_slice(&u32::try_from(key.len()).unwrap_or(u32::MAX).to_le_bytes());
        out.extend_from_slice(&value.as_ref().map_or(u64::MAX, |value| value.bytes.len() as u64).to_le_bytes());
        out.extend_from_slice(&until.unwrap_or(u64::MAX).to_le_bytes());
        out.extend_from_slice(key);
        out.extend_from_slice(value.as_ref().map_or(&[], |value| &value.bytes));
    }
    let content = out.get(GROUP_BYTES..).unwrap_or_default();
    let head = [(content.len() as u64).to_le_bytes().as_slice(), &crc32c::crc32c(content).to_le_bytes()].concat();
    if let Some(place) = out.get_mut(..GROUP_BYTES) {
        place.copy_from_slice(&head);
    }
    out
}

/// Takes the next change of a group.
fn decode(changes: &mut Bytes) -> Option<Change> {
    let (key, value) = (changes.try_get_u32_le().ok()?, changes.try_get_u64_le().ok()?);
    let until = Some(changes.try_get_u64_le().ok()?).filter(|until| *until != u64::MAX);
    let mut take = |length: u64| {
        let length = usize::try_from(length).ok().filter(|length| *length <= changes.len())?;
        // A copy, so that the value does not keep the whole file in memory.
        Some(Bytes::copy_from_slice(&changes.split_to(length)))
    };
    let key = take(key.into())?;
    let value = if value == u64::MAX { None } else { Some(Value { bytes: take(value)?, until }) };
    Some((key, value))
}

/// Takes the next group: its changes, or `None` if it is damaged.
fn group(rest: &mut Bytes) -> Option<Vec<Change>> {
    let (length, checksum) = (rest.try_get_u64_le().ok()?, rest.try_get_u32_le().ok()?);
    let mut content = rest.split_to(usize::try_from(length).ok().filter(|length| *length <= rest.len())?);
    if crc32c::crc32c(&content) != checksum {
        return None;
    }
    let mut changes = Vec::new();
    while !content.is_empty() {
        changes.push(decode(&mut content)?);
    }
    Some(changes)
}

/// Whether a group at the end was not written to its end.
fn is_cut(rest: &Bytes) -> bool {
    let length = rest.first_chunk::<8>().map(|length| u64::from_le_bytes(*length));
    rest.len() < GROUP_BYTES || length.is_some_and(|length| length > (rest.len() - GROUP_BYTES) as u64)
}

impl Log {
    /// A log at this path that has nothing yet: the next write replaces a file there.
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, file: None, bytes: 0 }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Length of the file.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether a group can be appended; otherwise the file must be written again.
    pub(super) fn is_appendable(&self) -> bool {
        self.file.is_some()
    }

    /// Reads the file at the path and passes each change to `each`.
    ///
    /// # Errors
    ///
    /// The file cannot be read. It is set aside, so that nothing replaces it.
    pub(super) fn read(&mut self, mut each: impl FnMut(Bytes, Option<Value>)) -> io::Result<Found> {
        let mut rest = match wattle_files::read(&self.path, MAX_BYTES) {
            Ok(bytes) => Bytes::from(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Whole),
            Err(error) => {
                self.set_aside();
                return Err(error);
            }
        };
        let bytes = rest.len() as u64;
        // A crash can leave an empty file.
        if rest.is_empty() {
            return Ok(Found::Whole);
        }
        if !rest.starts_with(&header()) {
            return Ok(Found::Damaged { aside: self.set_aside() });
        }
        rest.advance(HEADER_BYTES);
        while !rest.is_empty() {
            let mut after = rest.clone();
            match group(&mut after) {
                Some(changes) => changes.into_iter().for_each(|(key, value)| each(key, value)),
                // It is written again with the next change.
                None if is_cut(&rest) => return Ok(Found::Whole),
                None => return Ok(Found::Damaged { aside: self.set_aside() }),
            }
            rest = after;
        }
        self.file = Some(File::options().append(true).open(&self.path)?);
        self.bytes = bytes;
        Ok(Found::Whole)
    }

    /// Renames the file, and returns its new path.
    fn set_aside(&self) -> String {
        // No name of a node has `~`, so this name is free.
        let aside = self.beside("~damaged");
        match fs::rename(&self.path, &aside) {
            Ok(()) => aside.display().to_string(),
            Err(error) => format!("cannot be renamed: {error}"),
        }
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        path.push(suffix);
        path.into()
    }

    /// Appends a group and syncs it.
    ///
    /// # Errors
    ///
    /// The file may have a part of it, and must be written again.
    pub(super) fn append(&mut self, changes: &[Change]) -> io::Result<()> {
        // Only a success makes the file appendable again.
        let Some(mut file) = self.file.take() else { return Err(io::Error::other("the log was not written yet")) };
        let group = encode(changes);
        file.write_all(&group)?;
        file.sync_data()?;
        self.bytes += group.len() as u64;
        self.file = Some(file);
        Ok(())
    }

    /// Replaces the file by one with these values.
    ///
    /// # Errors
    ///
    /// The old file stays.
    pub(super) fn rewrite(&mut self, values: &[Change]) -> io::Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let new = self.beside("~new");
        let group = encode(values);
        let write = || {
            let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
            file.write_all(&header())?;
            file.write_all(&group)?;
            file.sync_all()?;
            fs::rename(&new, &self.path)?;
            File::open(folder)?.sync_all()?;
            File::options().append(true).open(&self.path)
        };
        self.file = None;
        let file = write().inspect_err(|_| {
            // The disk may be full.
            let _ = fs::remove_file(&new);
        })?;
        self.file = Some(file);
        self.bytes = (HEADER_BYTES + group.len()) as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(bytes: &'static str, until: Option<u64>) -> Option<Value> {
        Some(Value { bytes: Bytes::from_static(bytes.as_bytes()), until })
    }

    fn log() -> (tempfile::TempDir, Log) {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::new(folder.path().join("kv/main/n"));
        (folder, log)
    }

    fn read(path: &Path) -> (Found, Vec<Change>) {
        let mut changes = Vec::new();
        let found = Log::new(path.to_owned()).read(|key, value| changes.push((key, value))).unwrap();
        (found, changes)
    }

    #[test]
    fn groups_come_back_in_order_and_a_rewrite_replaces_them() {
        let (_folder, mut log) = log();
        assert_eq!(read(log.path()), (Found::Whole, Vec::new()));
        let first = vec![("a".into(), value("1", None)), ("".into(), value("", Some(7)))];
        let second = vec![("a".into(), None)];
        log.rewrite(&first).unwrap();
        log.append(&second).unwrap();
        assert_eq!(read(log.path()), (Found::Whole, [first.clone(), second.clone()].concat()));
        assert_eq!(log.bytes(), fs::metadata(log.path()).unwrap().len());
        log.rewrite(&second).unwrap();
        assert_eq!(read(log.path()), (Found::Whole, second));
    }

    #[test]
    fn a_group_that_was_cut_is_ignored_as_a_whole_and_damage_is_set_aside() {
        let (folder, mut log) = log();
        let first: Vec<Change> = vec![("a".into(), value("1", None))];
        log.rewrite(&first).unwrap();
        let start = usize::try_from(log.bytes()).unwrap();
        log.append(&[("a".into(), value("2", None)), ("b".into(), value("3", None))]).unwrap();
        let whole = fs::read(log.path()).unwrap();
        for end in start..whole.len() {
            fs::write(log.path(), &whole[..end]).unwrap();
            assert_eq!(read(log.path()), (Found::Whole, first.clone()), "{end}");
        }
        let aside = folder.path().join("kv/main/n~damaged");
        for place in start + GROUP_BYTES..whole.len() {
            let mut damaged = whole.clone();
            damaged[place] ^= 1;
            fs::write(log.path(), &damaged).unwrap();
            let expected = Found::Damaged { aside: aside.display().to_string() };
            assert_eq!(read(log.path()), (expected, first.clone()), "{place}");
            assert_eq!((fs::read(&aside).unwrap(), log.path().exists()), (damaged, false));
        }
        fs::write(log.path(), "other").unwrap();
        assert!(matches!(read(log.path()), (Found::Damaged { .. }, changes) if changes.is_empty()));
    }
}
