//! The log of firm claims of one node: `seen/<pipeline>/<node>` in the data folder, mode 0600.
//!
//! All numbers are little-endian. A header of 16 bytes has `WATTLESN`, u32 version (1), and u32 CRC-32C
//! of these 12 bytes. Records of 28 bytes follow: the hash of the key (16), the end of the claim in
//! milliseconds since 1970 (u64), and u32 CRC-32C of these 24 bytes.
//!
//! Records are appended in groups, and each group is synced. An append that failed may have left a part
//! of a record, so nothing is appended after it: the file is written again. A new file is written beside
//! the old one, synced, and renamed over it.
//!
//! When it is read, each record counts alone: a damaged record and an incomplete one at the end are
//! skipped. So damage can forget claims but never make one, except with the probability of a collision
//! of CRC-32C.

use std::fs::{self, DirBuilder, File};
use std::io::{self, BufReader, BufWriter, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::memory::Firm;

const MAGIC: &[u8; 8] = b"WATTLESN";
/// Version of the format.
pub const VERSION: u32 = 1;
const HEADER_BYTES: usize = 16;
const CONTENT_BYTES: usize = 24;
pub(super) const RECORD_BYTES: usize = CONTENT_BYTES + 4;

fn header() -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    let mut rest = header.as_mut_slice();
    for part in [MAGIC.as_slice(), &VERSION.to_le_bytes()] {
        put(&mut rest, part);
    }
    let (content, checksum) = header.split_at_mut(HEADER_BYTES - 4);
    checksum.copy_from_slice(&crc32c::crc32c(content).to_le_bytes());
    header
}

/// Copies bytes to the start of a slice, which continues after them.
fn put(rest: &mut &mut [u8], bytes: &[u8]) {
    if let Some((start, after)) = std::mem::take(rest).split_at_mut_checked(bytes.len()) {
        start.copy_from_slice(bytes);
        *rest = after;
    }
}

fn encode(claim: Firm) -> [u8; RECORD_BYTES] {
    let mut record = [0; RECORD_BYTES];
    let mut rest = record.as_mut_slice();
    put(&mut rest, &claim.key.to_le_bytes());
    put(&mut rest, &claim.until.to_le_bytes());
    let (content, checksum) = record.split_at_mut(CONTENT_BYTES);
    checksum.copy_from_slice(&crc32c::crc32c(content).to_le_bytes());
    record
}

fn decode(record: &[u8; RECORD_BYTES]) -> Option<Firm> {
    let (content, checksum) = record.split_first_chunk::<CONTENT_BYTES>()?;
    if crc32c::crc32c(content).to_le_bytes() != checksum {
        return None;
    }
    let (key, until) = content.split_first_chunk()?;
    Some(Firm { key: u128::from_le_bytes(*key), until: u64::from_le_bytes(until.try_into().ok()?) })
}

/// What a log had when it was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Records that were read.
    pub(super) records: u64,
    /// Records that are damaged, or incomplete at the end.
    pub(super) damaged: u64,
}

/// A log on disk.
#[derive(Debug)]
pub(super) struct Log {
    path: PathBuf,
    /// Open for appending; `None` until the file was written.
    file: Option<File>,
    /// Number of records in the file.
    pub(super) records: u64,
}

impl Log {
    /// A log at this path that has nothing yet: the next write replaces a file there.
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, file: None, records: 0 }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the file at the path and passes each claim to `each`. Returns what it had; the log can
    /// be appended to if nothing was damaged. A file with a damaged header, or of another version, is
    /// set aside.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub(super) fn read(&mut self, mut each: impl FnMut(Firm)) -> io::Result<Found> {
        let mut found = Found::default();
        let file = match wattle_files::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
            Err(error) if wattle_files::is_foreign(&error) => {
                self.set_aside(&error.to_string());
                return Ok(found);
            }
            Err(error) => return Err(error),
        };
        let mut reader = BufReader::with_capacity(64 << 10, file);
        let mut start = Vec::with_capacity(HEADER_BYTES);
        reader.by_ref().take(HEADER_BYTES as u64).read_to_end(&mut start)?;
        if start != header() {
            // A crash can leave an empty file, but a header that differs is damage.
            if !start.is_empty() {
                self.set_aside("its header is damaged or of another version");
            }
            return Ok(found);
        }
        let mut record = Vec::with_capacity(RECORD_BYTES);
        loop {
            record.clear();
            reader.by_ref().take(RECORD_BYTES as u64).read_to_end(&mut record)?;
            if record.is_empty() {
                break;
            }
            match record.first_chunk().and_then(decode) {
                Some(claim) => {
                    found.records += 1;
                    each(claim);
                }
                None => found.damaged += 1,
            }
        }
        if found.damaged == 0 {
            self.records = found.records;
            self.file = Some(File::options().append(true).open(&self.path)?);
        }
        Ok(found)
    }

    fn set_aside(&self, reason: &str) {
        let mut aside = self.path.clone().into_os_string();
        aside.push("~damaged");
        let (path, aside) = (self.path.display(), Path::new(&aside));
        match fs::rename(&self.path, aside) {
            Ok(()) => tracing::warn!(
                %path, aside = %aside.display(), reason,
                "the claims of a node were set aside; duplicates of earlier events can pass"
            ),
            Err(error) => tracing::warn!(
                %path, %error, reason,
                "the claims of a node are unusable and cannot be set aside; duplicates of earlier events can pass"
            ),
        }
    }

    /// Whether a group can be appended; otherwise the file must be written again.
    pub(super) fn is_appendable(&self) -> bool {
        self.file.is_some()
    }

    /// Appends a group of claims and syncs them.
    ///
    /// # Errors
    ///
    /// The claims may be missing in the file, which must be written again.
    pub(super) fn append(&mut self, claims: &[Firm]) -> io::Result<()> {
        // Only a success makes the file appendable again.
        let Some(mut file) = self.file.take() else { return Err(io::Error::other("the log was not written yet")) };
        let bytes: Vec<u8> = claims.iter().flat_map(|claim| encode(*claim)).collect();
        file.write_all(&bytes)?;
        file.sync_data()?;
        self.records += claims.len() as u64;
        self.file = Some(file);
        Ok(())
    }

    /// Replaces the file by one with the claims of all chunks. `next` fills a chunk, and returns
    /// whether there are more.
    ///
    /// # Errors
    ///
    /// The old file stays.
    pub(super) fn rewrite(&mut self, next: impl FnMut(&mut Vec<Firm>) -> bool) -> io::Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        // No name of a node has `~`, so this name is free.
        let mut new = self.path.clone().into_os_string();
        new.push("~new");
        let new = PathBuf::from(new);
        let written = write(&new, next).and_then(|written| fs::rename(&new, &self.path).map(|()| written));
        let (file, records) = written.inspect_err(|_| {
            // The disk may be full.
            let _ = fs::remove_file(&new);
        })?;
        (self.file, self.records) = (Some(file), records);
        File::open(folder)?.sync_all()
    }
}

/// Writes a file and syncs it. Returns it, open for appending, and the number of its records.
fn write(path: &Path, mut next: impl FnMut(&mut Vec<Firm>) -> bool) -> io::Result<(File, u64)> {
    let mut records = 0;
    let file = File::options().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    let mut writer = BufWriter::with_capacity(64 << 10, file);
    writer.write_all(&header())?;
    let mut chunk = Vec::new();
    loop {
        chunk.clear();
        let has_more = next(&mut chunk);
        for claim in &chunk {
            writer.write_all(&encode(*claim))?;
        }
        records += chunk.len() as u64;
        if !has_more {
            break;
        }
    }
    writer.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    Ok((File::options().append(true).open(path)?, records))
}
