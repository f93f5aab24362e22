//! A file that is being watched.

use std::fs::{File, Metadata};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use super::clock;
use super::identity::{FileId, Head, Proof, Version};
use super::names::base;
use super::options::Settings;
use super::track::Key;
use crate::decompress::{Compression, Decompression};
use crate::frame::Framing;

/// A file and how far it was read, acknowledged or not.
#[derive(Debug)]
pub(crate) struct Watched {
    /// Where it was last seen.
    pub(crate) path: PathBuf,
    /// Its name without what rotation adds.
    pub(crate) base: String,
    pub(crate) id: FileId,
    /// When its inode was made, in nanoseconds since the epoch, where the file system knows.
    pub(crate) born: Option<i64>,
    pub(crate) head: Head,
    pub(crate) framing: Framing,
    pub(crate) file: Option<File>,
    /// Just after the last event that was sent, decompressed.
    pub(crate) position: u64,
    /// What stands before the position; a file that was written again has something else there.
    pub(crate) proof: Option<Proof>,
    /// The largest size that this content was seen to have, so that what a truncation costs can be counted.
    pub(crate) seen_size: u64,
    /// Its content was compared with that of all other files.
    pub(crate) is_resolved: bool,
    /// It is a copy of a watched file, and waits for what becomes of that.
    pub(crate) copy_of: Option<Key>,
    /// The size up to which it was read; larger than `position` by an unfinished line.
    pub(crate) read_to: u64,
    /// Events up to here were sent, decompressed; beyond `position` while parts of a line are held.
    pub(crate) sent_to: u64,
    /// How long it must not change until an event that waits for more is complete.
    pub(crate) settles_after: Option<Duration>,
    /// The last thing that was said about it and need not be repeated.
    pub(crate) said: Option<&'static str>,
    /// It changed since it was last read, or is to be read again.
    pub(crate) has_news: bool,
    pub(crate) version: Version,
    pub(crate) changed_at: Instant,
    pub(crate) used_at: Instant,
    /// Since when no glob finds it, because it was renamed or deleted.
    pub(crate) gone_since: Option<Instant>,
    /// It was read as far as it can be; only a change starts it again.
    pub(crate) is_complete: bool,
    /// What it holds cannot be read to its end.
    pub(crate) has_failed: bool,
    /// It is not read before this time.
    pub(crate) not_before: Option<Instant>,
    /// The last error in opening or reading, and when to try again.
    pub(crate) trouble: Option<(String, Instant)>,
}

impl Watched {
    pub(crate) fn new(path: PathBuf, id: FileId, metadata: &Metadata, head: Head, framing: Framing) -> Self {
        let age = metadata.modified().ok().and_then(|at| clock::wall().duration_since(at).ok()).unwrap_or_default();
        let now = clock::now();
        Self {
            base: base(&path),
            path,
            id,
            born: born(metadata),
            head,
            framing,
            file: None,
            position: 0,
            proof: None,
            seen_size: metadata.len(),
            is_resolved: false,
            copy_of: None,
            read_to: 0,
            sent_to: 0,
            settles_after: None,
            said: None,
            has_news: true,
            version: Version::of(metadata),
            changed_at: now.checked_sub(age).unwrap_or(now),
            used_at: now,
            gone_since: None,
            is_complete: false,
            has_failed: false,
            not_before: None,
            trouble: None,
        }
    }

    /// How to decompress it.
    pub(crate) fn compression(&self, settings: &Settings) -> Compression {
        match settings.decompression {
            Decompression::Auto => self.head.compression,
            Decompression::None => Compression::None,
        }
    }

    /// Whether it is read as it grows.
    pub(crate) fn is_followed(&self, settings: &Settings, once: bool) -> bool {
        settings.follow && !once && self.framing != Framing::Document && self.compression(settings) == Compression::None
    }

    /// Whether there is something to read now.
    pub(crate) fn is_ready(&self, settings: &Settings, once: bool) -> bool {
        let is_waiting = self.settles_after.is_some() || self.gone_since.is_some();
        if self.is_complete || (!self.has_news && !is_waiting && self.is_followed(settings, once)) {
            // So it is with nearly all files nearly always. The rest is slower.
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
            return self.has_news || self.is_settled() || self.is_over(settings.rotate_wait);
        }
        once || self.is_stable(settings)
    }

    /// Whether it has not changed for as long as a file must that is read as a whole.
    pub(crate) fn is_stable(&self, settings: &Settings) -> bool {
        clock::since(self.changed_at) >= settings.stable_after
    }

    /// Whether an event that waits for more has waited long enough.
    pub(crate) fn is_settled(&self) -> bool {
        self.settles_after.is_some_and(|after| clock::since(self.changed_at) >= after)
    }

    /// Whether it is gone, and nobody has written to it since for so long that nobody will.
    pub(crate) fn is_over(&self, wait: Duration) -> bool {
        self.gone_since.is_some_and(|since| clock::since(since) >= wait) && clock::since(self.changed_at) >= wait
    }

    /// Takes note of what the file is like now; returns whether that is new.
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

    /// Whether it is read as it is.
    pub(crate) fn is_plain(&self, settings: &Settings) -> bool {
        self.compression(settings) == Compression::None
    }

    /// What was in it at the last look was its own, although it may not have been opened then.
    pub(crate) fn keep_last_size(&mut self, settings: &Settings) {
        if self.is_plain(settings) && self.framing != Framing::Document {
            self.seen_size = self.seen_size.max(self.version.size);
        }
    }

    /// Bytes of an uncompressed file that were seen and not read as events.
    pub(crate) fn unread(&self) -> u64 {
        self.seen_size.saturating_sub(self.position)
    }
}

/// When an inode was made, in nanoseconds since the epoch. Tells a file from a later one that got its inode.
pub(super) fn born(metadata: &Metadata) -> Option<i64> {
    let since = metadata.created().ok()?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    i64::try_from(since.as_nanos()).ok()
}
