//! Space on the disk: a thousand swaps under full load write more than most disks can hold.

use std::fs::File;
use std::path::Path;

use rustix::fs::{FallocateFlags, fallocate};

/// Bytes to free at a time.
const STEP: u64 = 64 << 20;
/// Start of a file that stays, because files are recognised by it.
const HEAD: u64 = 1 << 20;

/// Frees the read part of a file from its beginning; its size stays.
pub(crate) struct Room {
    file: File,
    read: u64,
    given: u64,
}

impl Room {
    /// Of a file that exists.
    pub(crate) fn new(path: &Path) -> Self {
        Self { file: File::options().write(true).open(path).unwrap(), read: 0, given: HEAD }
    }

    /// Marks this many more bytes as no longer needed.
    pub(crate) fn is_read(&mut self, bytes: u64) {
        self.read += bytes;
        if self.read >= self.given + STEP {
            let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            // If the file system does not support it, the disk must be large enough.
            let _ = fallocate(&self.file, flags, self.given, self.read - self.given);
            self.given = self.read;
        }
    }
}
