//! Identifies a file independent of its name and device, by its start and by the bytes before a
//! position.
//!
//! The start distinguishes most files. Files with the same header need more, so a position has a
//! [`Proof`] of the bytes before it. Device numbers change at reboots and remounts, so they
//! distinguish files only within one scan.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt};

use serde::{Deserialize, Serialize};

use crate::decompress::{Caps, Compression, Decoder, skip};

/// Length of the examined start of a file in bytes.
pub(super) const FINGERPRINT_BYTES: usize = 1024;

/// Number of bytes before a position that prove it.
const PROOF_BYTES: u64 = 256;

/// Device and inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct FileId {
    pub(super) device: u64,
    pub(super) inode: u64,
}

impl FileId {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino() }
    }
}

/// Fingerprint of the start of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Fingerprint {
    length: usize,
    crc: u32,
}

impl Fingerprint {
    pub(super) fn of(bytes: &[u8]) -> Self {
        Self { length: bytes.len(), crc: crc(bytes) }
    }

    /// Returns whether a longer start would identify the file better.
    pub(crate) fn is_short(&self) -> bool {
        self.length < FINGERPRINT_BYTES
    }

    /// Returns the number of bytes that the fingerprint covers.
    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// Returns whether a file that starts with these bytes matches.
    pub(super) fn begins(&self, head: &[u8]) -> bool {
        head.get(..self.length).is_some_and(|head| Self::of(head) == *self)
    }
}

/// Hash of the bytes before a position. It distinguishes a file that grew from a rewritten file
/// with the same start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Proof {
    /// The position in decompressed bytes.
    pub(super) at: u64,
    crc: u32,
}

impl Proof {
    /// Returns the proof of a position; `None` at the start of the content and after its end.
    pub(super) fn before(content: &Content<'_>, at: u64) -> io::Result<Option<Self>> {
        let bytes = content.read(at.saturating_sub(PROOF_BYTES), at.min(PROOF_BYTES))?;
        // At the start there is nothing to prove, and a short read means that the content ends
        // earlier.
        let is_whole = at > 0 && bytes.len() as u64 == at.min(PROOF_BYTES);
        Ok(is_whole.then(|| Self { at, crc: crc(&bytes) }))
    }

    /// Returns whether a content has the same bytes at the position.
    pub(super) fn holds(&self, content: &Content<'_>) -> io::Result<bool> {
        Ok(Self::before(content, self.at)? == Some(*self))
    }
}

/// The decompressed content of a file.
pub(super) struct Content<'f> {
    pub(super) file: &'f File,
    pub(super) compression: Compression,
    pub(super) caps: Caps,
}

impl<'f> Content<'f> {
    pub(super) fn plain(file: &'f File) -> Self {
        Self { file, compression: Compression::None, caps: Caps { max_bytes: u64::MAX, max_ratio: u64::MAX } }
    }

    /// Returns up to `length` bytes from a position; fewer if the content ends or is damaged.
    fn read(&self, from: u64, length: u64) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
        if self.compression == Compression::None {
            let filled = read_at_most(self.file, from, &mut bytes)?;
            bytes.truncate(filled);
            return Ok(bytes);
        }
        let mut decoder = Decoder::new(self.compression, At { file: self.file, at: 0 }, self.caps)?;
        let mut filled = 0;
        // After damage nothing more can be read. The result is then too short to match.
        if skip(&mut decoder, from).is_ok_and(|skipped| skipped == from) {
            while let Some(free) = bytes.get_mut(filled..).filter(|free| !free.is_empty()) {
                match decoder.read(free) {
                    Ok(0) | Err(_) => break,
                    Ok(n) => filled += n,
                }
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }

    /// Returns the fingerprint of the start.
    pub(super) fn head(&self) -> io::Result<Vec<u8>> {
        self.read(0, FINGERPRINT_BYTES as u64)
    }

    /// Returns the length, if it is at most `most`.
    pub(super) fn length_within(&self, most: u64) -> io::Result<Option<u64>> {
        if self.compression == Compression::None {
            return Ok(Some(self.file.metadata()?.len()).filter(|length| *length <= most));
        }
        let mut decoder = Decoder::new(self.compression, At { file: self.file, at: 0 }, self.caps)?;
        // One byte more than `most` shows that the content is longer.
        let length = skip(&mut decoder, most.saturating_add(1)).ok();
        Ok(length.filter(|length| *length <= most))
    }
}

/// A file that is read at an explicit offset.
struct At<'f> {
    file: &'f File,
    at: u64,
}

impl Read for At<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read_at(out, self.at)?;
        self.at += n as u64;
        Ok(n)
    }
}

/// Size and modification time, to detect changes.
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

/// Information from the start of a file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    pub(crate) fingerprint: Fingerprint,
    pub(crate) compression: Compression,
}

impl Head {
    pub(crate) fn of(file: &File) -> io::Result<Self> {
        Ok(Self::from_bytes(&read_head(file)?))
    }

    pub(super) fn from_bytes(head: &[u8]) -> Self {
        Self { fingerprint: Fingerprint::of(head), compression: Compression::detect(head) }
    }
}

/// Reads the first bytes of a file without decompression.
pub(super) fn read_head(file: &File) -> io::Result<Vec<u8>> {
    let mut head = vec![0; FINGERPRINT_BYTES];
    let filled = read_at_most(file, 0, &mut head)?;
    head.truncate(filled);
    Ok(head)
}

fn read_at_most(file: &File, from: u64, bytes: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(free) = bytes.get_mut(filled..).filter(|free| !free.is_empty()) {
        match file.read_at(free, from + filled as u64) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

fn crc(bytes: &[u8]) -> u32 {
    let mut crc = libdeflater::Crc::new();
    crc.update(bytes);
    crc.sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Write;

    #[test]
    fn a_growing_file_keeps_its_identity_and_a_rewritten_one_does_not() {
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
            assert_eq!(head.fingerprint.begins(&read_head(&file).unwrap()), same, "{before} then {after}");
            assert!(head.fingerprint.is_short());
        }
        fs::write(&path, vec![b'x'; 5000]).unwrap();
        assert!(!Head::of(&File::open(&path).unwrap()).unwrap().fingerprint.is_short());
    }

    #[test]
    fn a_proof_holds_only_for_the_same_bytes_plain_or_compressed() {
        let folder = tempfile::tempdir().unwrap();
        let text: Vec<u8> = (0..20_000_u32).flat_map(|n| format!("line {n}\n").into_bytes()).collect();
        let path = folder.path().join("plain");
        fs::write(&path, &text).unwrap();
        let plain = File::open(&path).unwrap();
        let packed = folder.path().join("packed");
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&text).unwrap();
        fs::write(&packed, encoder.finish().unwrap()).unwrap();
        let packed = File::open(&packed).unwrap();
        let caps = Caps { max_bytes: 1 << 30, max_ratio: 1000 };
        let unpacked = Content { file: &packed, compression: Compression::Gzip, caps };
        let length = text.len() as u64;
        for at in [1, 100, 256, 257, 5000, length] {
            let proof = Proof::before(&Content::plain(&plain), at).unwrap().unwrap();
            assert!(proof.holds(&unpacked).unwrap(), "{at}");
            let mut other = text.clone();
            other[at as usize - 1] ^= 1;
            fs::write(folder.path().join("other"), &other).unwrap();
            let other = File::open(folder.path().join("other")).unwrap();
            assert!(!proof.holds(&Content::plain(&other)).unwrap(), "{at}");
        }
        for at in [0, length + 1] {
            assert_eq!(Proof::before(&Content::plain(&plain), at).unwrap(), None);
            assert_eq!(Proof::before(&unpacked, at).unwrap(), None);
        }
        assert_eq!(unpacked.head().unwrap(), text[..FINGERPRINT_BYTES]);
        for content in [Content::plain(&plain), unpacked] {
            assert_eq!(content.length_within(length).unwrap(), Some(length));
            assert_eq!(content.length_within(length - 1).unwrap(), None);
        }
    }
}
