//! Opens files to append to them, and creates what is missing.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, FileTypeExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;
use wattle_descriptors::is_short;

/// Opens a file to append to it, and creates it and its folders if they do not exist. Also returns the folders that got
/// a new entry: they must be synced before the file survives a loss of power.
pub(crate) fn open_or_create(path: &Path) -> io::Result<(File, Vec<PathBuf>)> {
    match append_to(path, false) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        done => return done.map(|file| (file, Vec::new())),
    }
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut folders = vec![parent.to_owned()];
    for folder in parent.ancestors() {
        // A folder that does not exist yet becomes a new entry of its parent.
        if folder.as_os_str().is_empty() || folder.is_dir() {
            break;
        }
        if let Some(above) = folder.parent() {
            folders.push(if above.as_os_str().is_empty() { PathBuf::from(".") } else { above.to_owned() });
        }
    }
    std::fs::create_dir_all(parent)?;
    let file = append_to(path, true)?;
    Ok((file, folders))
}

/// Opens a file without waiting: a named pipe that no process reads is an error.
fn append_to(path: &Path, create: bool) -> io::Result<File> {
    let nonblocking = i32::try_from(OFlags::NONBLOCK.bits()).map_err(io::Error::other)?;
    let file =
        OpenOptions::new().append(true).create(create).custom_flags(nonblocking).open(path).map_err(|error| {
            let is_pipe = || std::fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_fifo());
            let is_unread = Errno::from_io_error(&error) == Some(Errno::NXIO) && is_pipe();
            if is_unread { io::Error::other("no process reads this named pipe") } else { error }
        })?;
    if !file.metadata()?.is_file() {
        // Writes wait: a full pipe or a slow terminal is no error.
        fcntl_setfl(&file, fcntl_getfl(&file)? - OFlags::NONBLOCK)?;
    }
    Ok(file)
}

/// Whether attempts to write to a local file, pipe or device fail until an operator acts. Every error counts, except those
/// that are known to pass: a one-shot run must not try for ever, whatever the system reports.
pub fn needs_operator(error: &io::Error) -> bool {
    let passes = [
        ErrorKind::HostUnreachable,
        ErrorKind::Interrupted,
        ErrorKind::NetworkDown,
        ErrorKind::NetworkUnreachable,
        ErrorKind::OutOfMemory,
        ErrorKind::ResourceBusy,
        ErrorKind::StaleNetworkFileHandle,
        ErrorKind::TimedOut,
        ErrorKind::WouldBlock,
    ];
    !is_short(error) && !passes.contains(&error.kind())
}

/// Whether a file of this size ends with `end`; `None` if it cannot be read.
pub(crate) fn ends_with(path: &Path, size: u64, end: &[u8]) -> Option<bool> {
    let Some(start) = size.checked_sub(end.len() as u64) else { return Some(false) };
    let mut last = vec![0; end.len()];
    File::open(path).and_then(|file| file.read_exact_at(&mut last, start)).ok()?;
    Some(last == end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};

    #[test]
    fn only_errors_that_pass_need_no_operator() {
        let needs = |error: Errno| needs_operator(&error.into());
        for lasting in [
            Errno::ACCESS,
            Errno::DQUOT,
            Errno::EXIST,
            Errno::FBIG,
            Errno::IO,
            Errno::ISDIR,
            Errno::LOOP,
            Errno::NAMETOOLONG,
            Errno::NODEV,
            Errno::NOENT,
            Errno::NOSPC,
            Errno::NOTDIR,
            Errno::NXIO,
            Errno::PERM,
            Errno::ROFS,
        ] {
            assert!(needs(lasting), "{lasting}");
        }
        for passing in
            [Errno::AGAIN, Errno::INTR, Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::STALE, Errno::TIMEDOUT]
        {
            assert!(!needs(passing), "{passing}");
        }
    }

    #[test]
    fn a_named_pipe_without_a_reader_is_an_error_and_one_with_a_reader_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).unwrap();
        let error = open_or_create(&path).unwrap_err();
        assert_eq!(error.to_string(), "no process reads this named pipe");
        assert!(needs_operator(&error));
        let reader = std::thread::spawn({
            let path = path.clone();
            move || {
                let mut read = Vec::new();
                File::open(path).unwrap().read_to_end(&mut read).unwrap();
                read.len()
            }
        });
        let mut pipe = loop {
            match open_or_create(&path) {
                Ok((pipe, _)) => break pipe,
                Err(_) => std::thread::yield_now(),
            }
        };
        // More than a pipe holds, so the write has to wait for the reader.
        pipe.write_all(&[0; 1 << 20]).unwrap();
        drop(pipe);
        assert_eq!(reader.join().unwrap(), 1 << 20);
    }
}
