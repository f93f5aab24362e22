//! Room on the disk: a thousand swaps under full load write more than most disks hold.

use std::fs::File;
use std::path::Path;

use rustix::fs::{FallocateFlags, fallocate};

/// Bytes that are given back at a time.
const STEP: u64 = 64 << 20;
/// Beginning of a file that stays: files are recognised by it.
const HEAD: u64 = 1 << 20;

/// Gives back what was read of a file, from its beginning on; its size stays.
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

    /// So many bytes more are not needed any longer.
    pub(crate) fn is_read(&mut self, bytes: u64) {
        self.read += bytes;
        if self.read >= self.given + STEP {
            let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            // Where the file system cannot, the disk must be large enough.
            let _ = fallocate(&self.file, flags, self.given, self.read - self.given);
            self.given = self.read;
        }
    }
}
