//! The layer of an image, in memory or in a file, and a reader with a size limit.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

/// The compressed layer of an image.
#[derive(Debug, Clone)]
pub(crate) enum Layer {
    Memory(Vec<u8>),
    /// An unlinked file, with its length in bytes.
    Spooled(Arc<File>, u64),
}

impl Layer {
    /// Size in bytes.
    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::Spooled(_, length) => *length,
        }
    }

    /// Opens the layer for reading from its start.
    pub(crate) fn open(&self) -> Box<dyn Read + '_> {
        match self {
            Self::Memory(bytes) => Box::new(bytes.as_slice()),
            Self::Spooled(file, _) => Box::new(At { file, offset: 0 }),
        }
    }
}

/// Reads a shared file from its start, independent of the position of the file.
struct At<'a> {
    file: &'a File,
    offset: u64,
}

impl Read for At<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(bytes, self.offset)?;
        self.offset += read as u64;
        Ok(read)
    }
}

/// A reader with a size limit that keeps the error of the inner reader.
pub(crate) struct Capped<'a> {
    pub(crate) inner: &'a mut dyn Read,
    /// Remaining bytes.
    pub(crate) left: u64,
    pub(crate) is_exceeded: bool,
    pub(crate) broken: Option<io::Error>,
}

impl Read for Capped<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = match self.inner.read(bytes) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            Err(error) => {
                let copy = io::Error::new(error.kind(), error.to_string());
                self.broken = Some(error);
                return Err(copy);
            }
        };
        match self.left.checked_sub(read as u64) {
            Some(left) => self.left = left,
            None => {
                self.is_exceeded = true;
                return Err(io::Error::other("size limit exceeded"));
            }
        }
        Ok(read)
    }
}
