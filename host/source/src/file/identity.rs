//! Which file a file is, whatever its name: device and inode, and how it begins.
//!
//! The beginning tells a file from a later one that got the same inode, and from itself after it was written anew.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};

use serde::{Deserialize, Serialize};

use crate::decompress::Compression;

/// Bytes of a file's beginning that are looked at.
const FINGERPRINT_BYTES: usize = 1024;

/// A place on a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino() }
    }
}

/// How a file began when it was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fingerprint {
    length: usize,
    crc: u32,
}

impl Fingerprint {
    fn of(bytes: &[u8]) -> Self {
        let mut crc = libdeflater::Crc::new();
        crc.update(bytes);
        Self { length: bytes.len(), crc: crc.sum() }
    }

    /// Whether a longer beginning would tell more.
    pub(crate) fn is_short(&self) -> bool {
        self.length < FINGERPRINT_BYTES
    }

    /// Whether the file still begins like this; it may have grown.
    pub(crate) fn is_of(&self, file: &File) -> io::Result<bool> {
        let head = read_head(file)?;
        Ok(head.get(..self.length).is_some_and(|head| Self::of(head) == *self))
    }
}

/// Size and time of the last change, to see whether a file changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Version {
    pub(crate) size: u64,
    /// Nanoseconds since the epoch.
    pub(crate) modified: i64,
}

impl Version {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        let modified = metadata.mtime().saturating_mul(1_000_000_000).saturating_add(metadata.mtime_nsec());
        Self { size: metadata.len(), modified }
    }
}

/// What the beginning of a file tells.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    pub(crate) fingerprint: Fingerprint,
    pub(crate) compression: Compression,
}

impl Head {
    pub(crate) fn of(file: &File) -> io::Result<Self> {
        let head = read_head(file)?;
        Ok(Self { fingerprint: Fingerprint::of(&head), compression: Compression::detect(&head) })
    }
}

fn read_head(file: &File) -> io::Result<Vec<u8>> {
    let mut head = vec![0; FINGERPRINT_BYTES];
    let mut filled = 0;
    while let Some(free) = head.get_mut(filled..).filter(|free| !free.is_empty()) {
        match file.read_at(free, filled as u64) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    head.truncate(filled);
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_file_that_grows_stays_itself_and_one_written_anew_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        for (before, after, same) in [
            ("abc", "abcdef", true),
            ("abc", "abc", true),
            ("abc", "ab", false),
            ("abc", "xbcdef", false),
            ("", "anything", true),
        ] {
            fs::write(&path, before).unwrap();
            let head = Head::of(&File::open(&path).unwrap()).unwrap();
            fs::write(&path, after).unwrap();
            let file = File::open(&path).unwrap();
            assert_eq!(head.fingerprint.is_of(&file).unwrap(), same, "{before} then {after}");
            assert!(head.fingerprint.is_short());
        }
        fs::write(&path, vec![b'x'; 5000]).unwrap();
        assert!(!Head::of(&File::open(&path).unwrap()).unwrap().fingerprint.is_short());
    }
}
