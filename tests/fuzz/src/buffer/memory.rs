//! A folder in memory, with the rules of a file system.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex};

use wattle_buffer::disk::{Storage, StoredFile};

/// Maximum size of a file; far more than any input creates.
const MAX_FILE: u64 = 1 << 22;

type Content = Arc<Mutex<Vec<u8>>>;

#[derive(Clone, Debug, Default)]
pub(super) struct Memory(Arc<Mutex<BTreeMap<String, Content>>>);

#[derive(Debug)]
pub(super) struct MemoryFile(Content);

impl Memory {
    pub(super) fn of(files: &BTreeMap<String, Vec<u8>>) -> Self {
        let files = files.iter().map(|(name, bytes)| (name.clone(), Arc::new(Mutex::new(bytes.clone()))));
        Self(Arc::new(Mutex::new(files.collect())))
    }

    /// All current files.
    pub(super) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        self.0.lock().unwrap().iter().map(|(name, file)| (name.clone(), file.lock().unwrap().clone())).collect()
    }
}

fn missing() -> io::Error {
    ErrorKind::NotFound.into()
}

impl Storage for Memory {
    type File = MemoryFile;

    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.0.lock().unwrap().keys().cloned().collect())
    }

    fn create(&self, name: &str) -> io::Result<MemoryFile> {
        let mut files = self.0.lock().unwrap();
        if files.contains_key(name) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        let file = Content::default();
        files.insert(name.to_owned(), file.clone());
        Ok(MemoryFile(file))
    }

    fn open(&self, name: &str) -> io::Result<MemoryFile> {
        self.0.lock().unwrap().get(name).cloned().map(MemoryFile).ok_or_else(missing)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.lock().unwrap().remove(name).map(drop).ok_or_else(missing)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut files = self.0.lock().unwrap();
        let file = files.remove(from).ok_or_else(missing)?;
        files.insert(to.to_owned(), file);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

/// An offset that the system accepts.
fn place(offset: u64) -> io::Result<usize> {
    // The system has signed offsets.
    i64::try_from(offset).map_err(|_| io::Error::from(ErrorKind::InvalidInput))?;
    usize::try_from(offset).map_err(|_| ErrorKind::InvalidInput.into())
}

impl StoredFile for MemoryFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let bytes = self.0.lock().unwrap();
        let rest = bytes.get(place(offset)?..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let start = place(offset)?;
        let end = offset + bytes.len() as u64;
        if end > MAX_FILE {
            return Err(ErrorKind::FileTooLarge.into());
        }
        let mut content = self.0.lock().unwrap();
        let end = usize::try_from(end).unwrap();
        if content.len() < end {
            content.resize(end, 0);
        }
        content[start..end].copy_from_slice(bytes);
        Ok(bytes.len())
    }

    fn truncate(&self, size: u64) -> io::Result<()> {
        if size > MAX_FILE {
            return Err(ErrorKind::FileTooLarge.into());
        }
        self.0.lock().unwrap().resize(place(size)?, 0);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}
