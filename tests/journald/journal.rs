//! Journals for tests: systemd's own writer of journal files, fed with entries.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use wattle_tests::Folder;

/// Where Debian and Fedora install the writer.
const WRITERS: [&str; 2] = ["/lib/systemd/systemd-journal-remote", "/usr/lib/systemd/systemd-journal-remote"];

/// Time of the first entry in microseconds.
const BEGIN: u64 = 1_760_000_000_000_000;

/// A folder of journal files.
pub(crate) struct Journal {
    folder: PathBuf,
}

impl Journal {
    pub(crate) fn new(folder: &Folder) -> Self {
        let path = folder.path("journal");
        fs::create_dir_all(&path).unwrap();
        Self { folder: path }
    }

    pub(crate) fn folder(&self) -> &str {
        self.folder.to_str().unwrap()
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Begins or continues a file.
    pub(crate) fn writer(&self, name: &str) -> Writer {
        Writer::start(&self.file(name))
    }

    /// Writes entries to a file.
    pub(crate) fn write(&self, name: &str, entries: &[u8]) {
        let mut writer = self.writer(name);
        writer.write(entries);
        writer.finish();
    }
}

/// A running writer of a file.
pub(crate) struct Writer(Child);

impl Writer {
    fn start(path: &Path) -> Self {
        let program = WRITERS.iter().find(|path| Path::new(path).exists()).unwrap_or(&WRITERS[0]);
        let child = Command::new(program)
            .arg(format!("--output={}", path.display()))
            .arg("-")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("`{program}` does not start ({error}); install Debian's `systemd-journal-remote`")
            });
        Self(child)
    }

    pub(crate) fn write(&mut self, entries: &[u8]) {
        self.0.stdin.as_mut().unwrap().write_all(entries).unwrap();
    }

    pub(crate) fn finish(mut self) {
        drop(self.0.stdin.take());
        assert!(self.0.wait().unwrap().success());
    }
}

/// An entry with this number and fields in the export format, each with its line feed.
pub(crate) fn entry(number: u64, fields: impl AsRef<[u8]>) -> Vec<u8> {
    let mut entry = format!(
        "__REALTIME_TIMESTAMP={}\n__MONOTONIC_TIMESTAMP={}\n_BOOT_ID=0123456789abcdef0123456789abcdef\n",
        BEGIN + 1000 * number,
        1_000_000 + 1000 * number
    )
    .into_bytes();
    entry.extend_from_slice(fields.as_ref());
    entry.push(b'\n');
    entry
}

/// A field with any bytes.
pub(crate) fn binary(name: &str, value: &[u8]) -> Vec<u8> {
    [name.as_bytes(), b"\n", &(value.len() as u64).to_le_bytes(), value, b"\n"].concat()
}

/// What the entry of this number says. It ends with a dot, so that a part of it is not another one.
pub(crate) fn message(number: u64) -> String {
    format!("m{number:06}.")
}

/// Entries with these numbers and their messages.
pub(crate) fn entries(numbers: impl IntoIterator<Item = u64>) -> Vec<u8> {
    let one = |number| entry(number, format!("_HOSTNAME=h\nPRIORITY={}\nMESSAGE={}\n", number % 8, message(number)));
    numbers.into_iter().flat_map(one).collect()
}
