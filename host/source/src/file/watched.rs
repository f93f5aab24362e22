//! A file that is being watched.

use std::fs::{File, Metadata};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use super::identity::{FileId, Head, Version};
use super::options::Settings;
use crate::decompress::{Compression, Decompression};
use crate::frame::Framing;

/// A file and how far it was read, acknowledged or not.
#[derive(Debug)]
pub(crate) struct Watched {
    /// Where it was last seen.
    pub(crate) path: PathBuf,
    pub(crate) id: FileId,
    pub(crate) head: Head,
    pub(crate) framing: Framing,
    pub(crate) file: Option<File>,
    /// Just after the last event that was sent, decompressed.
    pub(crate) position: u64,
    /// The size up to which it was read; larger than `position` by an unfinished line.
    pub(crate) read_to: u64,
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
    /// The last error in opening or reading, and when to try again.
    pub(crate) trouble: Option<(String, Instant)>,
}

impl Watched {
    pub(crate) fn new(path: PathBuf, metadata: &Metadata, head: Head, framing: Framing) -> Self {
        let age = metadata.modified().ok().and_then(|at| SystemTime::now().duration_since(at).ok()).unwrap_or_default();
        let now = Instant::now();
        Self {
            path,
            id: FileId::of(metadata),
            head,
            framing,
            file: None,
            position: 0,
            read_to: 0,
            has_news: true,
            version: Version::of(metadata),
            changed_at: now.checked_sub(age).unwrap_or(now),
            used_at: now,
            gone_since: None,
            is_complete: false,
            has_failed: false,
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
        settings.follow && !once && self.framing == Framing::Lines && self.compression(settings) == Compression::None
    }

    /// Whether there is something to read now.
    pub(crate) fn is_ready(&self, settings: &Settings, once: bool) -> bool {
        if self.is_complete || self.trouble.as_ref().is_some_and(|(_, until)| *until > Instant::now()) {
            return false;
        }
        if self.is_followed(settings, once) {
            return self.has_news || self.is_over(settings.rotate_wait);
        }
        once || self.is_stable(settings)
    }

    /// Whether it has not changed for as long as a file must that is read as a whole.
    pub(crate) fn is_stable(&self, settings: &Settings) -> bool {
        self.changed_at.elapsed() >= settings.stable_after
    }

    /// Whether it is gone, and nobody has written to it since for so long that nobody will.
    pub(crate) fn is_over(&self, wait: Duration) -> bool {
        self.gone_since.is_some_and(|since| since.elapsed() >= wait) && self.changed_at.elapsed() >= wait
    }

    /// Takes note of what the file is like now; returns whether that is new.
    pub(crate) fn notice(&mut self, metadata: &Metadata) -> bool {
        let version = Version::of(metadata);
        let is_new = version != self.version;
        if is_new {
            self.version = version;
            self.has_news = true;
            self.changed_at = Instant::now();
        }
        is_new
    }
}
