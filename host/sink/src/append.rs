//! Opens files to append to them, and creates what is missing.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, FileTypeExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;
use wattle_descriptors::is_short;

/// Opens a file for appending, and creates it and its folders if they do not exist. Also returns
/// the folders with a new entry: they must be synced before the file survives a power loss.
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
        // The folder does not exist yet, so its parent gets a new entry.
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

/// Opens a file without blocking: a named pipe that no process reads is an error.
fn append_to(path: &Path, create: bool) -> io::Result<File> {
    let nonblocking = i32::try_from(OFlags::NONBLOCK.bits()).map_err(io::Error::other)?;
    let file =
        OpenOptions::new().append(true).create(create).custom_flags(nonblocking).open(path).map_err(|error| {
            let is_pipe = || std::fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_fifo());
            let is_unread = Errno::from_io_error(&error) == Some(Errno::NXIO) && is_pipe();
            if is_unread { io::Error::other("no process reads this named pipe") } else { error }
        })?;
    if !file.metadata()?.is_file() {
        // Writes block, because a full pipe or a slow terminal is not an error.
        fcntl_setfl(&file, fcntl_getfl(&file)? - OFlags::NONBLOCK)?;
    }
    Ok(file)
}

/// Whether attempts to write to a local file, pipe or device will fail until an operator acts. This
/// is true for every error that is not known to be temporary, because a one-shot run must not retry
/// forever.
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
    fn only_temporary_errors_need_no_operator() {
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
    fn a_named_pipe_can_be_opened_only_if_a_process_reads_it() {
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
        // More than a pipe buffers, so the write waits for the reader.
        pipe.write_all(&[0; 1 << 20]).unwrap();
        drop(pipe);
        assert_eq!(reader.join().unwrap(), 1 << 20);
    }
}
