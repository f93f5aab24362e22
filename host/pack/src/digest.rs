//! The file list of a pack and its digest: a lock pins it, a publisher signs it, and an archive
//! contains its files.
//!
//! The list has one line for each file, `<sha256 in hexadecimal>  <path>`, sorted by the bytes of
//! the paths: the format of `sha256sum`, so that `sha256sum --check pack.sum` in the folder of a
//! pack works without Wattle. The digest of the pack is the SHA-256 of that text. A folder, a
//! built-in pack and an archive with the same files have the same list and so the same digest.
//!
//! # Invariants
//!
//! - Only plain files count. Links, sockets and the like are refused, and so are paths that a
//!   list cannot show.
//! - The list excludes itself and its signatures (`pack.sum*`), names that begin with a dot, and
//!   folders with a `CACHEDIR.TAG` (build output of compilers). Excluded files are not part of the
//!   pack, and nothing reads them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use wattle_plan::{hex_digest, to_hex};

/// File name of a pack's list of files.
pub const LIST_FILE: &str = "pack.sum";
/// Maximum number of files in a pack.
pub const MAX_FILES: usize = 10_000;
/// Maximum size of all files of a pack, in bytes.
pub const MAX_BYTES: u64 = 1 << 30;
/// Maximum nesting of folders in a pack.
const MAX_FOLDERS: usize = 32;
/// A folder with this file holds only reproducible content (<https://bford.info/cachedir/>).
const CACHE_TAG: &str = "CACHEDIR.TAG";

/// The files of a pack with their digests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileList {
    /// Paths with `/`, mapped to digests in hexadecimal.
    files: BTreeMap<String, String>,
}

/// Why the files of a pack cannot be listed.
#[derive(Debug, thiserror::Error)]
pub enum FileListError {
    /// A file or folder cannot be read.
    #[error("`{}` cannot be read: {error}", path.display())]
    Unreadable {
        /// Path of the file or folder.
        path: PathBuf,
        /// Cause.
        error: io::Error,
    },
    /// Something other than a plain file or a folder.
    #[error("`{}` is neither a plain file nor a folder; a pack can contain only these, and no links", .0.display())]
    NotPlain(PathBuf),
    /// A path that a list cannot show, or that would leave the pack.
    #[error("`{}` cannot be the path of a file in a pack", .0.escape_debug())]
    BadPath(String),
    /// A path that occurs twice.
    #[error("the file `{0}` is listed twice")]
    Twice(String),
    /// A malformed line of a list.
    #[error("line {0} of the file list is not `<sha256>  <path>`")]
    BadLine(usize),
    /// The pack exceeds the limit of files, bytes or nested folders.
    #[error("the pack has more than {0}")]
    TooLarge(&'static str),
}

/// How a file differs between two lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileChange {
    /// Only the second list has it.
    Added(String),
    /// Only the first list has it.
    Removed(String),
    /// Both have it, with different content.
    Changed(String),
}

impl FileList {
    /// Lists the files of a folder.
    ///
    /// # Errors
    ///
    /// Something in the folder cannot be read or cannot be part of a pack.
    pub fn of_folder(folder: &Path) -> Result<Self, FileListError> {
        Self::of_folder_holding(folder, 0, 0).map(|(list, _)| list)
    }

    /// Lists the files of a folder, and returns the content of the files with at most `max_file`
    /// bytes each and `max_total` together.
    pub(crate) fn of_folder_holding(
        folder: &Path,
        max_file: u64,
        max_total: u64,
    ) -> Result<(Self, BTreeMap<String, Vec<u8>>), FileListError> {
        let held = Held { files: BTreeMap::new(), max_file, left: max_total };
        let mut walk = Walk { list: Self::default(), bytes: 0, buffer: vec![0; 64 << 10], held };
        walk.folder(folder, "", 0)?;
        Ok((walk.list, walk.held.files))
    }

    /// Lists files given with their paths, whose parts are separated by `/`.
    ///
    /// # Errors
    ///
    /// A path cannot be part of a pack, or a limit is exceeded.
    pub fn of_files<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Result<Self, FileListError> {
        let mut list = Self::default();
        let mut total = 0_u64;
        for (path, bytes) in files.into_iter().filter(|(path, _)| is_part(path)) {
            total = total.saturating_add(bytes.len() as u64);
            if total > MAX_BYTES {
                return Err(FileListError::TooLarge("1 GiB"));
            }
            list.add(path.to_owned(), to_hex(&Sha256::digest(bytes)))?;
        }
        Ok(list)
    }

    /// Creates the list of files with known SHA-256 digests. Skips paths that are not part of a
    /// pack.
    ///
    /// # Errors
    ///
    /// A path cannot be part of a pack, or there are too many.
    pub fn of_digests(files: impl IntoIterator<Item = (String, [u8; 32])>) -> Result<Self, FileListError> {
        let mut list = Self::default();
        for (path, digest) in files.into_iter().filter(|(path, _)| is_part(path)) {
            list.add(path, to_hex(&digest))?;
        }
        Ok(list)
    }

    /// Parses a list in the format of [`FileList::text`].
    ///
    /// # Errors
    ///
    /// The text differs in any byte from what [`FileList::text`] writes: equal lists have equal
    /// texts.
    pub fn parse(text: &str) -> Result<Self, FileListError> {
        let mut list = Self::default();
        let mut before = "";
        for (number, line) in text.split_inclusive('\n').enumerate() {
            let bad = || FileListError::BadLine(number + 1);
            let (digest, path) = line.strip_suffix('\n').and_then(|line| line.split_once("  ")).ok_or_else(bad)?;
            let is_hex = digest.len() == 64 && digest.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
            if !is_hex {
                return Err(bad());
            }
            if !is_part(path) {
                return Err(FileListError::BadPath(path.to_owned()));
            }
            list.add(path.to_owned(), digest.to_owned())?;
            if path < before {
                return Err(bad());
            }
            before = path;
        }
        Ok(list)
    }

    /// The list as text, the content of `pack.sum`.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (path, digest) in &self.files {
            let _ = writeln!(text, "{digest}  {path}");
        }
        text
    }

    /// The digest of the pack: `sha256:` and hexadecimal digits.
    pub fn digest(&self) -> String {
        hex_digest(self.text().as_bytes())
    }

    /// The digest of a file in hexadecimal, if the pack has the file.
    pub fn get(&self, path: &str) -> Option<&str> {
        self.files.get(path).map(String::as_str)
    }

    /// Paths and digests, in the order of the list.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().map(|(path, digest)| (path.as_str(), digest.as_str()))
    }

    /// Number of files.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether the pack has no files.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Lists the differences to another list, by path.
    pub fn changes(&self, other: &Self) -> Vec<FileChange> {
        let mut changes: Vec<FileChange> = Vec::new();
        for (path, digest) in &self.files {
            match other.files.get(path) {
                None => changes.push(FileChange::Removed(path.clone())),
                Some(theirs) if theirs != digest => changes.push(FileChange::Changed(path.clone())),
                Some(_) => {}
            }
        }
        let added = other.files.keys().filter(|path| !self.files.contains_key(*path));
        changes.extend(added.map(|path| FileChange::Added(path.clone())));
        changes
    }

    fn add(&mut self, path: String, digest: String) -> Result<(), FileListError> {
        if !is_path(&path) {
            return Err(FileListError::BadPath(path));
        }
        if self.files.len() >= MAX_FILES {
            return Err(FileListError::TooLarge("10,000 files"));
        }
        if self.files.contains_key(&path) {
            return Err(FileListError::Twice(path));
        }
        self.files.insert(path, digest);
        Ok(())
    }
}

/// Whether a path is relative, plain, and fits in a line of the list.
pub fn is_path(path: &str) -> bool {
    !path.chars().any(|c| c.is_control() || c == '\\')
        && path.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
}

/// Whether a file with this path is part of its pack.
pub fn is_part(path: &str) -> bool {
    let is_list = path.starts_with(LIST_FILE) && !path.contains('/');
    let is_hidden = path.split('/').any(|part| part.starts_with('.') && part != "." && part != "..");
    !is_list && !is_hidden
}

/// State of reading a folder.
struct Walk {
    list: FileList,
    bytes: u64,
    buffer: Vec<u8>,
    held: Held,
}

/// Contents that are kept while a folder is read.
struct Held {
    files: BTreeMap<String, Vec<u8>>,
    max_file: u64,
    left: u64,
}

impl Walk {
    fn folder(&mut self, folder: &Path, prefix: &str, depth: usize) -> Result<(), FileListError> {
        if depth > MAX_FOLDERS {
            return Err(FileListError::TooLarge("32 folders inside each other"));
        }
        let unreadable = |error| FileListError::Unreadable { path: folder.to_owned(), error };
        if !prefix.is_empty() && folder.join(CACHE_TAG).is_file() {
            return Ok(());
        }
        for entry in std::fs::read_dir(folder).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let name = entry.file_name().into_string();
            let name = name.map_err(|name| FileListError::BadPath(name.to_string_lossy().into_owned()))?;
            let relative = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
            if !is_part(&relative) {
                continue;
            }
            let path = entry.path();
            let kind = entry.file_type().map_err(unreadable)?;
            if kind.is_dir() {
                self.folder(&path, &relative, depth + 1)?;
            } else if kind.is_file() {
                let (digest, content) = self.digest(&path)?;
                if let Some(content) = content {
                    self.held.left = self.held.left.saturating_sub(content.len() as u64);
                    self.held.files.insert(relative.clone(), content);
                }
                self.list.add(relative, digest)?;
            } else {
                return Err(FileListError::NotPlain(path));
            }
        }
        Ok(())
    }

    /// Returns the digest of a file in hexadecimal, and its content if that is to be kept.
    fn digest(&mut self, path: &Path) -> Result<(String, Option<Vec<u8>>), FileListError> {
        let unreadable = |error| FileListError::Unreadable { path: path.to_owned(), error };
        let mut file = File::open(path).map_err(unreadable)?;
        let mut sha = Sha256::new();
        let max = self.held.max_file.min(self.held.left);
        let mut content = (max > 0).then(Vec::new);
        loop {
            let read = file.read(&mut self.buffer).map_err(unreadable)?;
            if read == 0 {
                return Ok((to_hex(&sha.finalize()), content));
            }
            self.bytes = self.bytes.saturating_add(read as u64);
            if self.bytes > MAX_BYTES {
                return Err(FileListError::TooLarge("1 GiB"));
            }
            let bytes = self.buffer.get(..read).unwrap_or_default();
            sha.update(bytes);
            content = content.filter(|content| (content.len() + read) as u64 <= max);
            if let Some(content) = &mut content {
                content.extend_from_slice(bytes);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        folder
    }

    const FILES: &[(&str, &str)] = &[("pack.toml", "abc"), ("a/b.txt", ""), ("a-b", "x"), ("tests/é/input.json", "{}")];

    #[test]
    fn a_list_equals_the_output_of_sha256sum_in_byte_order() {
        let list = FileList::of_folder(folder(FILES).path()).unwrap();
        let paths: Vec<&str> = list.iter().map(|(path, _)| path).collect();
        assert_eq!(paths, ["a-b", "a/b.txt", "pack.toml", "tests/é/input.json"]);
        let line = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  pack.toml\n";
        assert!(list.text().contains(line), "{}", list.text());
        assert_eq!(list.digest(), hex_digest(list.text().as_bytes()));
        assert_eq!(FileList::parse(&list.text()).unwrap(), list);
    }

    #[test]
    fn a_folder_and_files_in_memory_have_the_same_digest() {
        let files = FILES.iter().map(|(path, content)| (*path, content.as_bytes()));
        assert_eq!(FileList::of_files(files).unwrap(), FileList::of_folder(folder(FILES).path()).unwrap());
    }

    #[test]
    fn signatures_hidden_files_and_caches_are_excluded() {
        let plain = FileList::of_folder(folder(FILES).path()).unwrap();
        let mut more = FILES.to_vec();
        more.extend([
            ("pack.sum", "1"),
            ("pack.sum.minisig", "2"),
            (".git/HEAD", "3"),
            ("a/.b.txt.swp", "4"),
            ("nodes/x/target/CACHEDIR.TAG", "5"),
            ("nodes/x/target/release/x.wasm", "6"),
        ]);
        assert_eq!(FileList::of_folder(folder(&more).path()).unwrap(), plain);
        let nested = FileList::of_folder(folder(&[("a/pack.sum", "1"), ("pack.toml", "")]).path()).unwrap();
        assert_eq!(nested.len(), 2, "only the list of the pack itself is left out");
    }

    #[test]
    fn every_changed_byte_name_and_file_changes_the_digest() {
        let list = FileList::of_folder(folder(FILES).path()).unwrap();
        let others: [&[(&str, &str)]; 4] = [
            &[("pack.toml", "abd"), ("a/b.txt", ""), ("a-b", "x"), ("tests/é/input.json", "{}")],
            &[("pack.toml", "abc"), ("a/c.txt", ""), ("a-b", "x"), ("tests/é/input.json", "{}")],
            &[("pack.toml", "abc"), ("a-b", "x"), ("tests/é/input.json", "{}")],
            &[("pack.toml", "abc"), ("a/b.txt", ""), ("a-b", "x"), ("tests/é/input.json", "{}"), ("z", "")],
        ];
        let changes = others.map(|files| {
            let other = FileList::of_folder(folder(files).path()).unwrap();
            assert_ne!(other.digest(), list.digest());
            list.changes(&other)
        });
        let owned = str::to_owned;
        assert_eq!(changes[0], [FileChange::Changed(owned("pack.toml"))]);
        assert_eq!(changes[1], [FileChange::Removed(owned("a/b.txt")), FileChange::Added(owned("a/c.txt"))]);
        assert_eq!(changes[2], [FileChange::Removed(owned("a/b.txt"))]);
        assert_eq!(changes[3], [FileChange::Added(owned("z"))]);
    }

    #[test]
    fn links_and_unprintable_names_are_refused() {
        let linked = folder(FILES);
        std::os::unix::fs::symlink("pack.toml", linked.path().join("link")).unwrap();
        assert!(matches!(FileList::of_folder(linked.path()), Err(FileListError::NotPlain(_))));
        assert!(matches!(FileList::of_folder(folder(&[("a\nb", "")]).path()), Err(FileListError::BadPath(_))));
        for path in ["/etc/passwd", "../x", "a/../b", "a//b", "", "a\\b", "./a"] {
            assert!(matches!(FileList::of_files([(path, b"".as_slice())]), Err(FileListError::BadPath(_))), "{path}");
        }
    }

    #[test]
    fn only_the_exact_text_of_a_list_is_a_list() {
        let list = FileList::of_folder(folder(FILES).path()).unwrap();
        let text = list.text();
        let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
        assert!(FileList::parse(text.trim_end()).is_err());
        assert!(FileList::parse(&text.replace("  ", " ")).is_err());
        assert!(FileList::parse(&text.replacen("ba78", "BA78", 1)).is_err());
        assert!(FileList::parse(&text.replace("a/b.txt", "../b.txt")).is_err());
        assert!(FileList::parse(&text.replace("a/b.txt", ".b.txt")).is_err());
        assert!(FileList::parse(&text.replace("a/b.txt", "pack.sum")).is_err());
        assert!(matches!(FileList::parse(&format!("{text}{}", lines[3])), Err(FileListError::Twice(_))));
        lines.swap(0, 1);
        assert!(matches!(FileList::parse(&lines.concat()), Err(FileListError::BadLine(2))));
    }
}
