//! Renames files at a rotation.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

/// Renames a file to the first free name for this time; returns the name.
///
/// Only this sink creates such names, so the check for a free name cannot race with other writers.
pub(crate) fn set_aside(path: &Path, time: Timestamp) -> io::Result<PathBuf> {
    for number in 1_u64.. {
        let name = rotated(path, time, number);
        match std::fs::symlink_metadata(&name) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {
                std::fs::rename(path, &name)?;
                return Ok(name);
            }
            Err(error) => return Err(error),
        }
    }
    Err(ErrorKind::AlreadyExists.into())
}

/// `a/b.json.gz` becomes `a/b-<time>-<number>.json.gz`.
fn rotated(path: &Path, time: Timestamp, number: u64) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let (hidden, visible) = match name.strip_prefix('.') {
        Some(visible) => (".", visible),
        None => ("", &*name),
    };
    let (stem, dot, extension) = match visible.split_once('.') {
        Some((stem, extension)) => (stem, ".", extension),
        None => (visible, "", ""),
    };
    path.with_file_name(format!("{hidden}{stem}-{}-{number}{dot}{extension}", time.strftime("%Y%m%dT%H%M%SZ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_comes_before_the_extension() {
        let time = "2023-10-17T04:53:21.5Z".parse().unwrap();
        for (path, expected) in [
            ("a.d/b.json.gz", "a.d/b-20231017T045321Z-3.json.gz"),
            ("b", "b-20231017T045321Z-3"),
            (".b.log", ".b-20231017T045321Z-3.log"),
        ] {
            assert_eq!(rotated(Path::new(path), time, 3), Path::new(expected));
        }
    }

    #[test]
    fn no_file_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        let time = "2023-10-17T04:53:21Z".parse().unwrap();
        for text in ["one", "two"] {
            std::fs::write(&path, text).unwrap();
            let name = set_aside(&path, time).unwrap();
            assert_eq!(std::fs::read_to_string(name).unwrap(), text);
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
        assert!(set_aside(&path, time).is_err(), "the file does not exist");
    }
}
