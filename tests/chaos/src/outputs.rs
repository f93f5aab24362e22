//! The output: files as they grow, and the final count of every event.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use crate::load::{Known, id_of};

/// A file of lines, read as it grows, over kills of its writer.
pub(crate) struct Tail {
    path: PathBuf,
    offset: u64,
    /// The bytes after the last line feed at the kill, or at the last read.
    rest: Vec<u8>,
    /// Length of the part that a kill cut off: a line may be broken only there.
    torn: Option<usize>,
    /// Lines that a kill broke, each closed by a line feed of the next start.
    pub(crate) broken: u64,
}

impl Tail {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, offset: 0, rest: Vec::new(), torn: None, broken: 0 }
    }

    /// The ids of the lines that were finished since the last call.
    ///
    /// # Panics
    ///
    /// A line is broken at a place where a kill cannot have broken it.
    pub(crate) fn read(&mut self) -> Vec<String> {
        let Ok(mut file) = File::open(&self.path) else { return Vec::new() };
        file.seek(SeekFrom::Start(self.offset)).unwrap();
        self.offset += file.read_to_end(&mut self.rest).unwrap() as u64;
        let (mut ids, mut start) = (Vec::new(), 0);
        while let Some(end) = self.rest[start..].iter().position(|b| *b == b'\n') {
            let line = &self.rest[start..=start + end];
            let torn = self.torn.take();
            match id_of(line) {
                Some(id) => ids.push(id),
                None if torn == Some(end) => self.broken += 1,
                None => panic!("{}: a line is no event: {:.200}", self.path.display(), String::from_utf8_lossy(line)),
            }
            start += end + 1;
        }
        self.rest.drain(..start);
        ids
    }

    /// Damages the end of the file as a crash during the last write does: cuts unacknowledged lines
    /// in the middle, or, if there are none, appends a part of one more line. Returns whether it
    /// did so; a file that is already torn stays as it is.
    pub(crate) fn tear(&self, random: &mut fastrand::Rng, is_safe: impl Fn(&str) -> bool) -> bool {
        let Ok(bytes) = std::fs::read(&self.path) else { return false };
        let known = usize::try_from(self.offset).unwrap() - self.rest.len();
        let Some(mut keep) = line_after(&bytes, known, self.torn.is_some()) else { return false };
        let mut last = None;
        while let Some(length) = bytes[keep..].iter().position(|b| *b == b'\n') {
            let line = &bytes[keep..keep + length];
            if !id_of(line).is_some_and(|id| is_safe(&id)) {
                break;
            }
            (keep, last) = (keep + length + 1, Some(line));
        }
        // Lines come in any order of their sources, so a safe one may follow.
        let is_safe_after = bytes[keep..].split(|b| *b == b'\n').any(|line| id_of(line).is_some_and(|id| is_safe(&id)));
        let mut file = File::options().write(true).open(&self.path).unwrap();
        if !is_safe_after && bytes.len() > keep + 1 {
            let mut end = keep + random.usize(1..bytes.len() - keep);
            end -= usize::from(end > keep + 1 && bytes[end - 1] == b'\n');
            file.set_len(end as u64).unwrap();
            return true;
        }
        let Some(line) = last.filter(|line| line.len() > 1 && bytes.ends_with(b"\n")) else { return false };
        file.seek(SeekFrom::End(0)).unwrap();
        file.write_all(&line[..random.usize(1..line.len())]).unwrap();
        true
    }

    /// Reads the rest after a kill; an incomplete line may stay broken.
    pub(crate) fn read_after_kill(&mut self) -> Vec<String> {
        let ids = self.read();
        self.torn = (!self.rest.is_empty()).then_some(self.rest.len());
        ids
    }
}

/// Start of the first line that is complete or was not closed by a start after a kill; `None` if
/// the file is torn.
fn line_after(bytes: &[u8], from: usize, torn: bool) -> Option<usize> {
    if !torn {
        return (from <= bytes.len()).then_some(from);
    }
    bytes.get(from..)?.iter().position(|b| *b == b'\n').map(|end| from + end + 1)
}

/// Appends a part of the file's first line, like a crash in the middle of a write; nothing if the
/// file has no line or is already torn.
pub(crate) fn tear_end(path: &Path, random: &mut fastrand::Rng) -> bool {
    let bytes = std::fs::read(path).unwrap_or_default();
    let line = bytes.split(|b| *b == b'\n').find(|line| id_of(line).is_some());
    let Some(line) = line.filter(|_| bytes.ends_with(b"\n")) else { return false };
    let mut file = File::options().append(true).open(path).unwrap();
    file.write_all(&line[..random.usize(1..line.len())]).unwrap();
    true
}

/// The ids in all files of a folder, and the number of lines without an id: those that a kill
/// broke.
pub(crate) fn ids_in_folder(folder: &Path) -> (Vec<String>, u64) {
    let (mut ids, mut broken) = (Vec::new(), 0);
    for entry in std::fs::read_dir(folder).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        for line in bytes.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
            match id_of(line) {
                Some(id) => ids.push(id),
                None => broken += 1,
            }
        }
    }
    (ids, broken)
}

/// The ids in all compressed files of a folder, including those that were set aside because a kill
/// cut them off.
pub(crate) fn ids_in_gzip(folder: &Path) -> Vec<String> {
    let mut ids = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "gz") {
            let mut file = BufReader::new(flate2::read::MultiGzDecoder::new(File::open(&path).unwrap()));
            let mut line = Vec::new();
            // A truncated file gives the data before the cut, and then an error.
            while file.read_until(b'\n', &mut line).is_ok_and(|bytes| bytes > 0) {
                if line.ends_with(b"\n") {
                    ids.push(id_of(&line).unwrap_or_else(|| panic!("{}: a line is no event", path.display())));
                }
                line.clear();
            }
        }
    }
    ids
}

/// Compares output events with input events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Events that are missing in their output.
    pub(crate) lost: u64,
    /// Events in another output, or without an input event.
    pub(crate) misplaced: u64,
    /// Number of repeated events.
    pub(crate) repeated: u64,
}

/// Compares; `found` has the ids of each output.
pub(crate) fn tally(known: &[Known], found: &[Vec<String>]) -> Tally {
    let expected: HashMap<&str, usize> = known.iter().map(|k| (k.id.as_str(), k.output)).collect();
    let mut counts: HashMap<&str, u64> = HashMap::new();
    let mut tally = Tally::default();
    for (output, ids) in found.iter().enumerate() {
        for id in ids {
            if expected.get(id.as_str()) == Some(&output) {
                *counts.entry(id).or_default() += 1;
            } else {
                tally.misplaced += 1;
            }
        }
    }
    tally.lost = known.iter().filter(|k| !counts.contains_key(k.id.as_str())).count() as u64;
    tally.repeated = counts.values().map(|count| count - 1).sum();
    tally
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(id: &str) -> String {
        format!("{{\"Record\":{{\"eventID\":\"{id}\",\"eventName\":\"GetObject\"}}}}\n")
    }

    #[test]
    fn a_line_may_be_broken_only_where_a_kill_broke_it() {
        let folder = wattle_tests::Folder::new();
        let mut tail = Tail::new(folder.path("out"));
        folder.write("out", line("a") + "{\"Rec");
        assert_eq!(tail.read_after_kill(), ["a"]);
        folder.write("out", line("a") + "{\"Rec\n" + &line("b"));
        assert_eq!((tail.read(), tail.broken), (vec!["b".to_owned()], 1));
        folder.write("out", line("a") + "{\"Rec\n" + &line("b") + "{\"Rec\n");
        assert!(std::panic::catch_unwind(move || tail.read()).is_err(), "broken without a cause");
    }

    #[test]
    fn only_unacknowledged_events_are_torn() {
        let folder = wattle_tests::Folder::new();
        let mut random = fastrand::Rng::with_seed(3);
        for _ in 0..100 {
            let mut tail = Tail::new(folder.path("out"));
            folder.write("out", line("a"));
            assert_eq!(tail.read_after_kill(), ["a"]);
            folder.write("out", line("a") + &line("b") + &line("c") + &line("d"));
            assert!(tail.tear(&mut random, |id| id == "a" || id == "b"));
            let torn = String::from_utf8(folder.read("out")).unwrap();
            assert!(torn.starts_with(&(line("a") + &line("b"))) && !torn.ends_with('\n'), "{torn}");
            assert!(!tail.read_after_kill().is_empty() && !tail.rest.is_empty());
            assert!(!tail.tear(&mut random, |_| false), "it is torn already");
            // The next start closes the line; then only a new line can be torn.
            folder.write("out", torn.clone() + "\n" + &line("e"));
            assert!(tail.tear(&mut random, |_| true));
            let again = String::from_utf8(folder.read("out")).unwrap();
            assert!(again.starts_with(&(torn + "\n" + &line("e"))) && !again.ends_with('\n'), "{again}");
            assert_eq!(tail.read_after_kill().last().unwrap(), "e");
        }
    }

    #[test]
    fn events_are_counted_by_their_correct_output() {
        let known = |id: &str, output| Known { id: id.to_owned(), output };
        let known = [known("a", 0), known("b", 0), known("c", 1), known("d", 1)];
        let found = [vec!["a".to_owned(), "a".into(), "c".into()], vec!["d".to_owned(), "x".into()]];
        assert_eq!(tally(&known, &found), Tally { lost: 2, misplaced: 2, repeated: 1 });
    }
}
