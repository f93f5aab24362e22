//! The layer of an image: in memory or in a file, and read within a bound.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

/// The layer of an image, as it travels.
#[derive(Debug, Clone)]
pub(crate) enum Layer {
    Memory(Vec<u8>),
    /// An unlinked file, with its length in bytes.
    Spooled(Arc<File>, u64),
}

impl Layer {
    /// How many bytes it has.
    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::Spooled(_, length) => *length,
        }
    }

    /// Reads it from its beginning.
    pub(crate) fn open(&self) -> Box<dyn Read + '_> {
        match self {
            Self::Memory(bytes) => Box::new(bytes.as_slice()),
            Self::Spooled(file, _) => Box::new(At { file, offset: 0 }),
        }
    }
}

/// Reads a shared file from its beginning, whatever its own position is.
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

/// A reader of a limited number of bytes that keeps what went wrong below it.
pub(crate) struct Capped<'a> {
    pub(crate) inner: &'a mut dyn Read,
    /// How many bytes may still be read.
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
                return Err(io::Error::other("too much"));
            }
        }
        Ok(read)
    }
}
