//! Reads the files that the agent keeps in its data folder.
//!
//! They belong to the agent, but a restored backup or a mistake can leave anything under their names. A
//! start must not wait for the writer of a FIFO, and must not read a file of any size into memory.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::OFlags;

/// Opens a regular file. Never waits, as opening a FIFO without a writer would.
///
/// # Errors
///
/// The file cannot be opened, or it is not a regular file ([`io::ErrorKind::InvalidInput`]).
pub fn open(path: &Path) -> io::Result<File> {
    let nonblocking = i32::try_from(OFlags::NONBLOCK.bits()).map_err(io::Error::other)?;
    let file = File::options().read(true).custom_flags(nonblocking).open(path)?;
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"))
}

/// Reads a regular file of at most this many bytes.
///
/// # Errors
///
/// As [`open`]; the file cannot be read, or it is larger ([`io::ErrorKind::FileTooLarge`]).
pub fn read(path: &Path, max_bytes: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut file = open(path)?.take(max_bytes.saturating_add(1));
    let too_large = || io::Error::new(io::ErrorKind::FileTooLarge, format!("it has more than {max_bytes} bytes"));
    // Before any byte is read: a file that is far too large would be read up to the limit.
    if file.get_ref().metadata()?.len() > max_bytes {
        return Err(too_large());
    }
    file.read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max_bytes { Err(too_large()) } else { Ok(bytes) }
}

/// Whether an error of [`open`] or [`read`] says that what has the name cannot be the agent's file, so
/// that it can be set aside.
pub fn is_foreign(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::FileTooLarge | io::ErrorKind::IsADirectory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_within_the_limit_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("file"), "12345678").unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, path("fifo"), rustix::fs::Mode::RUSR).unwrap();
        std::os::unix::fs::symlink(path("file"), path("link")).unwrap();
        File::create(path("sparse")).unwrap().set_len(5 << 30).unwrap();

        assert_eq!(read(&path("file"), 8).unwrap(), b"12345678");
        assert_eq!(read(&path("link"), 8).unwrap(), b"12345678");
        for (name, kind) in [
            ("file", io::ErrorKind::FileTooLarge),
            ("sparse", io::ErrorKind::FileTooLarge),
            ("fifo", io::ErrorKind::InvalidInput),
            (".", io::ErrorKind::InvalidInput),
        ] {
            let error = read(&path(name), 7).unwrap_err();
            assert_eq!((error.kind(), is_foreign(&error)), (kind, true), "{name}: {error}");
        }
        let error = read(&path("none"), 7).unwrap_err();
        assert_eq!((error.kind(), is_foreign(&error)), (io::ErrorKind::NotFound, false));
    }
}
