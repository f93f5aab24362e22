//! A watched file.

use std::fs::{File, Metadata};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use super::clock;
use super::identity::{FileId, Head, Proof, Version};
use super::options::Settings;
use super::track::Key;
use crate::decompress::{Compression, Decompression};
use crate::frame::Framing;

/// A watched file and the position up to which it was read, acknowledged or not.
#[derive(Debug)]
pub(crate) struct Watched {
    /// Path where the file was last seen.
    pub(crate) path: PathBuf,
    /// Its name without suffixes of rotation.
    pub(crate) base: String,
    pub(crate) id: FileId,
    /// Birth time of its inode in nanoseconds since the epoch, if the file system has it.
    pub(crate) born: Option<i64>,
    pub(crate) head: Head,
    pub(crate) framing: Framing,
    pub(crate) file: Option<File>,
    /// Position just after the last sent event, decompressed.
    pub(crate) position: u64,
    /// Proof of the bytes before the position; a rewritten file has other bytes.
    pub(crate) proof: Option<Proof>,
    /// Largest size of this content so far, to count the loss of a truncation.
    pub(crate) seen_size: u64,
    /// Its content was compared with all other files.
    pub(crate) is_resolved: bool,
    /// The file is a copy of a watched file, and waits until that is truncated or removed.
    pub(crate) copy_of: Option<Key>,
    /// Size up to which the file was read; greater than `position` by an unfinished line.
    pub(crate) read_to: u64,
    /// Position up to which events were sent, decompressed; after `position` while parts of a line
    /// are held.
    pub(crate) sent_to: u64,
    /// How long the file must not change until an event that waits for more is complete.
    pub(crate) quiet_after: Option<Duration>,
    /// The last message about the file, which is not repeated.
    pub(crate) said: Option<&'static str>,
    /// The file changed since it was last read, or must be read again.
    pub(crate) has_news: bool,
    pub(crate) version: Version,
    pub(crate) changed_at: Instant,
    pub(crate) used_at: Instant,
    /// When the source began to watch it.
    pub(crate) found_at: Instant,
    /// Since when no glob matches it, because it was renamed or deleted.
    pub(crate) gone_since: Option<Instant>,
    /// The file was read completely; only a change starts it again.
    pub(crate) is_complete: bool,
    /// The content cannot be read to its end.
    pub(crate) has_failed: bool,
    /// The file is not read before this time.
    pub(crate) not_before: Option<Instant>,
    /// The last error of opening or reading, and the time of the next attempt.
    pub(crate) trouble: Option<(String, Instant)>,
}

impl Watched {
    pub(crate) fn new(path: PathBuf, settings: &Settings, id: FileId, metadata: &Metadata, head: Head) -> Self {
        let age = metadata.modified().ok().and_then(|at| clock::wall().duration_since(at).ok()).unwrap_or_default();
        let now = clock::now();
        Self {
            base: settings.base_of(&path),
            framing: settings.framing_of(&path),
            path,
            id,
            born: born(metadata),
            head,
            file: None,
            position: 0,
            proof: None,
            seen_size: metadata.len(),
            is_resolved: false,
            copy_of: None,
            read_to: 0,
            sent_to: 0,
            quiet_after: None,
            said: None,
            has_news: true,
            version: Version::of(metadata),
            // A file can be older than the monotonic clock can express.
            changed_at: now.checked_sub(age).unwrap_or(now),
            used_at: now,
            found_at: now,
            gone_since: None,
            is_complete: false,
            has_failed: false,
            not_before: None,
            trouble: None,
        }
    }

    /// Returns how to decompress the file.
    pub(crate) fn compression(&self, settings: &Settings) -> Compression {
        match settings.decompression {
            Decompression::Auto => self.head.compression,
            Decompression::None => Compression::None,
        }
    }

    /// Returns whether the file is read as it grows.
    pub(crate) fn is_followed(&self, settings: &Settings, once: bool) -> bool {
        settings.follow && !once && self.framing != Framing::Document && self.compression(settings) == Compression::None
    }

    /// Returns whether there is something to read now.
    pub(crate) fn is_ready(&self, settings: &Settings, once: bool) -> bool {
        let is_waiting = self.quiet_after.is_some() || self.gone_since.is_some();
        if self.is_complete || (!self.has_news && !is_waiting && self.is_followed(settings, once)) {
            // True for nearly all files nearly always; the checks below are slower.
            return false;
        }
        let now = clock::now();
        if self.not_before.is_some_and(|until| until > now) {
            return false;
        }
        let is_held = self.copy_of.is_some() && !self.has_news;
        if is_held || self.trouble.as_ref().is_some_and(|(_, until)| *until > now) {
            return false;
        }
        if self.is_followed(settings, once) {
            return self.has_news || self.is_quiet() || self.is_over(settings.rotate_wait);
        }
        once || self.is_stable(settings)
    }

    /// Returns whether the file has not changed for `stable_after`.
    pub(crate) fn is_stable(&self, settings: &Settings) -> bool {
        clock::since(self.changed_at) >= settings.stable_after
    }

    /// Returns whether an event that waits for more has waited long enough.
    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet_after.is_some_and(|after| clock::since(self.changed_at) >= after)
    }

    /// Returns whether the file is removed or renamed, and its writer has not written to it for
    /// this time.
    pub(crate) fn is_over(&self, wait: Duration) -> bool {
        self.gone_since.is_some_and(|since| clock::since(since) >= wait) && clock::since(self.changed_at) >= wait
    }

    /// Updates the version of the file; returns whether it changed.
    pub(crate) fn notice(&mut self, metadata: &Metadata) -> bool {
        let version = Version::of(metadata);
        let is_new = version != self.version;
        if is_new {
            self.version = version;
            self.has_news = true;
            self.changed_at = clock::now();
        }
        is_new
    }

    /// Returns whether the file is read without decompression.
    pub(crate) fn is_plain(&self, settings: &Settings) -> bool {
        self.compression(settings) == Compression::None
    }

    /// Records that the content at the last check was its own, although it may not have been
    /// opened.
    pub(crate) fn keep_last_size(&mut self, settings: &Settings) {
        if self.is_plain(settings) && self.framing != Framing::Document {
            self.seen_size = self.seen_size.max(self.version.size);
        }
    }

    /// Returns the number of uncompressed bytes that were seen and not read as events.
    pub(crate) fn unread(&self) -> u64 {
        self.seen_size.saturating_sub(self.position)
    }
}

/// Returns the birth time of an inode in nanoseconds since the epoch. It distinguishes files that
/// used the same inode.
pub(super) fn born(metadata: &Metadata) -> Option<i64> {
    let since = metadata.created().ok()?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    i64::try_from(since.as_nanos()).ok()
}
