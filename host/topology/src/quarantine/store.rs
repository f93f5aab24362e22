//! The file of a pipeline's quarantine: `quarantine/<pipeline>.ndjson` in the data folder, readable
//! only by the agent's user. A line is `{"id":"…","kept":"<RFC 3339>","event":{…}}`, with the event
//! as `Batch::write_json` writes it.
//!
//! The running agent appends; commands read and remove lines. Every writer holds the lock
//! `quarantine/<pipeline>.lock` and opens the file again, so that no one writes to a replaced file.
//! Lines are synced before they count as stored. To remove lines, the remaining ones are written to
//! a file beside it, synced, and renamed over it. A last line that a crash cut off was never
//! reported as stored; it is set aside before the next line is written. Lines that cannot be parsed
//! are counted and kept.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use wattle_batch::parse_rfc3339;
use wattle_json::Path as JsonPath;

/// Bytes per read when searching for the end of the last complete line.
const LOOK_BACK: u64 = 64 << 10;
/// An event is nested in its line.
const MAX_DEPTH: usize = wattle_batch::MAX_JSON_DEPTH + 8;

/// Why a quarantine could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum QuarantineError {
    /// A file could not be read or written.
    #[error("quarantine `{path}`: {error}")]
    Io {
        /// Path of the file.
        path: PathBuf,
        /// The error of the system.
        error: io::Error,
    },
    /// The quarantine is full.
    #[error(
        "quarantine `{path}` is full ({max_bytes} bytes); see `wattle quarantine list`, or raise `max_size` in [agent.quarantine]"
    )]
    Full {
        /// Path of the file.
        path: PathBuf,
        /// Maximum size.
        max_bytes: u64,
    },
}

/// An event in quarantine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantined {
    /// ID in its pipeline.
    pub id: String,
    /// Time at which it was stored, in nanoseconds since the epoch.
    pub kept: Option<i64>,
    /// Node that could not process it.
    pub node: String,
    /// Code of the failure.
    pub code: String,
    /// The failure in words.
    pub message: String,
    /// The event as JSON, unmasked.
    pub event: Vec<u8>,
}

/// The quarantine of one pipeline on disk. The file is created with its first line.
#[derive(Clone, Debug)]
pub struct QuarantineStore {
    folder: PathBuf,
    path: PathBuf,
    pipeline: String,
}

impl QuarantineStore {
    /// The quarantine of a pipeline, whether or not it exists yet.
    pub fn new(data_dir: &Path, pipeline: &str) -> Self {
        let folder = data_dir.join("quarantine");
        Self { path: folder.join(format!("{pipeline}.ndjson")), folder, pipeline: pipeline.to_owned() }
    }

    /// Every quarantine of a data folder, by name of its pipeline.
    ///
    /// # Errors
    ///
    /// The folder exists but cannot be read.
    pub fn all(data_dir: &Path) -> Result<Vec<Self>, QuarantineError> {
        let folder = data_dir.join("quarantine");
        let wrong = |error| QuarantineError::Io { path: folder.clone(), error };
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(wrong(error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let name = entry.map_err(wrong)?.file_name();
            names.extend(name.to_str().and_then(|n| n.strip_suffix(".ndjson")).map(str::to_owned));
        }
        names.sort();
        Ok(names.iter().map(|name| Self::new(data_dir, name)).collect())
    }

    /// Name of the pipeline.
    pub fn pipeline(&self) -> &str {
        &self.pipeline
    }

    /// Bytes of the file.
    pub fn size(&self) -> u64 {
        fs::metadata(&self.path).map_or(0, |metadata| metadata.len())
    }

    fn wrong(&self, error: io::Error) -> QuarantineError {
        QuarantineError::Io { path: self.path.clone(), error }
    }

    /// Excludes other writers until the returned file is dropped.
    fn lock(&self) -> io::Result<File> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        let lock = self.folder.join(format!("{}.lock", self.pipeline));
        let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(lock)?;
        file.lock()?;
        Ok(file)
    }

    fn sync_folder(&self) -> io::Result<()> {
        File::open(&self.folder)?.sync_all()
    }

    /// Appends complete lines, all of them or none, and syncs them.
    ///
    /// # Errors
    ///
    /// The lines are not stored.
    pub(crate) fn append(&self, lines: &[u8], max_bytes: u64) -> Result<(), QuarantineError> {
        let _lock = self.lock().map_err(|e| self.wrong(e))?;
        let is_new = fs::symlink_metadata(&self.path).is_err();
        let mut options = OpenOptions::new();
        let options = options.create(true).truncate(false).read(true).write(true).mode(0o600);
        let mut file = options.open(&self.path).map_err(|e| self.wrong(e))?;
        let end = self.cut_incomplete_line(&mut file).map_err(|e| self.wrong(e))?;
        if end + lines.len() as u64 > max_bytes {
            return Err(QuarantineError::Full { path: self.path.clone(), max_bytes });
        }
        let at_end = file.seek(SeekFrom::Start(end)).map(drop);
        if let Err(error) = at_end.and_then(|()| file.write_all(lines)).and_then(|()| file.sync_data()) {
            // A full disk may have taken a part; a later line must not continue it.
            let _ = file.set_len(end);
            return Err(self.wrong(error));
        }
        if is_new { self.sync_folder().map_err(|e| self.wrong(e)) } else { Ok(()) }
    }

    /// Sets aside an incomplete last line, and returns the length of the rest.
    fn cut_incomplete_line(&self, file: &mut File) -> io::Result<u64> {
        let len = file.metadata()?.len();
        let mut end = len;
        let mut block = Vec::new();
        while end > 0 {
            let start = end.saturating_sub(LOOK_BACK);
            block.resize(usize::try_from(end - start).unwrap_or(0), 0);
            file.seek(SeekFrom::Start(start))?;
            file.read_exact(&mut block)?;
            if let Some(at) = block.iter().rposition(|&b| b == b'\n') {
                end = start + at as u64 + 1;
                break;
            }
            end = start;
        }
        if end == len {
            return Ok(len);
        }
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let aside = self.folder.join(format!("{}.ndjson.torn-{seconds}", self.pipeline));
        file.seek(SeekFrom::Start(end))?;
        let mut torn = OpenOptions::new().create(true).append(true).mode(0o600).open(&aside)?;
        io::copy(file, &mut torn)?;
        torn.sync_all()?;
        file.set_len(end)?;
        tracing::warn!(
            path = %self.path.display(), aside = %aside.display(), bytes = len - end,
            "set aside an incomplete last line of the quarantine; the source sends its event again"
        );
        Ok(end)
    }

    /// Calls `found` with every event in order, until it returns false. Returns the number of lines
    /// that cannot be parsed. Ignores lines that are appended meanwhile.
    ///
    /// # Errors
    ///
    /// The file exists but cannot be read.
    pub fn for_each(&self, mut found: impl FnMut(Quarantined) -> bool) -> Result<usize, QuarantineError> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            Err(error) => return Err(self.wrong(error)),
        };
        let len = file.metadata().map_err(|e| self.wrong(e))?.len();
        let mut reader = BufReader::new(file.take(len));
        let mut line = Vec::new();
        let mut unreadable = 0;
        loop {
            line.clear();
            if reader.read_until(b'\n', &mut line).map_err(|e| self.wrong(e))? == 0 {
                return Ok(unreadable);
            }
            match Quarantined::read(&line) {
                Some(event) => {
                    if !found(event) {
                        return Ok(unreadable);
                    }
                }
                None => unreadable += 1,
            }
        }
    }

    /// Removes events, and returns their number.
    ///
    /// # Errors
    ///
    /// No event was removed.
    pub fn remove(&self, ids: &HashSet<String>) -> Result<usize, QuarantineError> {
        self.rewrite(ids).map_err(|error| self.wrong(error))
    }

    fn rewrite(&self, ids: &HashSet<String>) -> io::Result<usize> {
        let _lock = self.lock()?;
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            Err(error) => return Err(error),
        };
        let new = self.folder.join(format!("{}.ndjson.new", self.pipeline));
        let mut options = OpenOptions::new();
        let mut rest = BufWriter::new(options.create(true).truncate(true).write(true).mode(0o600).open(&new)?);
        let mut reader = BufReader::new(file);
        let mut line = Vec::new();
        let mut removed = 0;
        while reader.read_until(b'\n', &mut line)? > 0 {
            match Quarantined::read(&line) {
                Some(event) if ids.contains(&event.id) => removed += 1,
                _ => rest.write_all(&line)?,
            }
            line.clear();
        }
        let rest = rest.into_inner().map_err(io::IntoInnerError::into_error)?;
        rest.sync_all()?;
        fs::rename(&new, &self.path)?;
        self.sync_folder()?;
        Ok(removed)
    }
}

impl Quarantined {
    fn read(line: &[u8]) -> Option<Self> {
        let line = line.strip_suffix(b"\n")?;
        wattle_json::check(line, MAX_DEPTH).ok()?;
        let find = |path: &str| {
            let path = JsonPath::parse(path).ok()?;
            let value = wattle_json::find(line, &path).ok()??;
            Some(value.text(line))
        };
        let string = |path: &str| {
            let mut out = Vec::new();
            wattle_json::unescape(find(path)?.strip_prefix(b"\"")?.strip_suffix(b"\"")?, &mut out).ok()?;
            String::from_utf8(out).ok()
        };
        Some(Self {
            id: string("id")?,
            kept: string("kept").and_then(|text| parse_rfc3339(&text)),
            node: string("event.failure.node").unwrap_or_default(),
            code: string("event.failure.code").unwrap_or_default(),
            message: string("event.failure.message").unwrap_or_default(),
            event: find("event")?.to_vec(),
        })
    }
}

#[cfg(test)]
mod tests;
