//! Opens files to append to them, and creates what is missing.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Opens a file to append to it, and creates it and its folders if they do not exist. Also returns the folders that got
/// a new entry: they must be synced before the file survives a loss of power.
pub(crate) fn open_or_create(path: &Path) -> io::Result<(File, Vec<PathBuf>)> {
    match OpenOptions::new().append(true).open(path) {
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
    let file = OpenOptions::new().append(true).create(true).open(path)?;
    Ok((file, folders))
}

/// Whether a file of this size ends with `end`; `None` if it cannot be read.
pub(crate) fn ends_with(path: &Path, size: u64, end: &[u8]) -> Option<bool> {
    let Some(start) = size.checked_sub(end.len() as u64) else { return Some(false) };
    let mut last = vec![0; end.len()];
    File::open(path).and_then(|file| file.read_exact_at(&mut last, start)).ok()?;
    Some(last == end)
}
