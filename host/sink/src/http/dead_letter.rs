//! The file that takes events which the far side refused.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use jiff::Timestamp;
use serde_json::json;

use super::group::Group;
use crate::file::{ends_with, open_or_create};

/// Why events were refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// Status of the answer; none where there was no answer.
    pub(crate) status: Option<u16>,
    /// What the far side said.
    pub(crate) reason: String,
}

/// A file to which refused events are added, one JSON object on a line for each.
#[derive(Debug)]
pub(crate) struct DeadLetter {
    path: PathBuf,
    /// Held while writing, so that lines of several requests do not mix.
    writing: tokio::sync::Mutex<()>,
}

impl DeadLetter {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, writing: tokio::sync::Mutex::new(()) }
    }

    /// Adds the events of a request; when this returns, they are on the disk.
    ///
    /// # Errors
    ///
    /// They are not, or only in part; a further call adds them all.
    pub(crate) async fn add(&self, sink: &str, group: &Group, refusal: &Refusal) -> io::Result<()> {
        let lines = lines(sink, group, refusal);
        let path = self.path.clone();
        let _writing = self.writing.lock().await;
        tokio::task::spawn_blocking(move || append(&path, &lines)).await?
    }
}

fn lines(sink: &str, group: &Group, refusal: &Refusal) -> Vec<u8> {
    let time = Timestamp::now().to_string();
    let mut out = Vec::new();
    for event in group.events() {
        let event = event.strip_suffix(b"\n").unwrap_or(event);
        let (key, text) = match std::str::from_utf8(event) {
            Ok(text) => ("event", text.to_owned()),
            Err(_) => ("event_base64", base64::engine::general_purpose::STANDARD.encode(event)),
        };
        let line = json!({"time": time, "sink": sink, "status": refusal.status, "reason": refusal.reason, key: text});
        out.extend_from_slice(line.to_string().as_bytes());
        out.push(b'\n');
    }
    out
}

fn append(path: &Path, lines: &[u8]) -> io::Result<()> {
    let (mut file, folders) = open_or_create(path)?;
    let metadata = file.metadata()?;
    let regular = metadata.is_file();
    if regular && metadata.len() > 0 && ends_with(path, metadata.len(), b"\n") == Some(false) {
        file.write_all(b"\n")?;
    }
    file.write_all(lines)?;
    if regular {
        file.sync_data()?;
    }
    folders.iter().try_for_each(|folder| std::fs::File::open(folder)?.sync_all())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_line_is_ended_before_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/dead.jsonl");
        append(&path, b"one\n").unwrap();
        append(&path, b"to").unwrap();
        append(&path, b"two\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\nto\ntwo\n");
    }
}
