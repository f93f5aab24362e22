//! Finds the files that the globs match.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::fs::{self, FileType, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt};
use std::path::{Component, Path, PathBuf};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use walkdir::{DirEntry, WalkDir};
use wattle_options::OptionError;

use super::exclude::Exclude;
use super::glob::absolute_glob;
use super::links::Links;

/// Maximum number of times that links may lead to the same folder: folders that link to each other
/// have endless paths.
const MAX_LINKS_TO_FOLDER: usize = 8;

/// Selects files.
#[derive(Clone, Debug)]
pub(crate) struct Patterns {
    include: GlobSet,
    exclude: Exclude,
    roots: Vec<Root>,
    /// The globs of `include` as written.
    written: Vec<String>,
    /// Folder for finished files, which are not read again.
    moved_to: Option<PathBuf>,
}

/// A folder to walk: the longest part of a glob without a wildcard.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Root {
    folder: PathBuf,
    /// Maximum depth below the folder; `None` for any depth.
    depth: Option<usize>,
}

impl Patterns {
    /// Compiles the globs. Relative globs start at the current folder.
    pub(crate) fn new(
        include: &[String],
        exclude: &[String],
        moved_to: Option<&Path>,
        errors: &mut Vec<OptionError>,
    ) -> Self {
        if include.is_empty() {
            errors.push(OptionError::new("include", "names no file; give at least one glob"));
        }
        let roots = include.iter().map(|glob| root(&absolute_glob(glob))).collect();
        Self {
            include: compile(include, errors),
            exclude: Exclude::new(include, exclude, errors),
            roots,
            written: include.to_vec(),
            moved_to: moved_to.and_then(|folder| std::path::absolute(folder).ok()),
        }
    }

    /// Returns the existing files by name with their metadata. Logs each folder that cannot be read
    /// once.
    pub(crate) fn find(&self, links: Links, complaints: &mut Complaints) -> Found {
        let mut found = Found { files: Vec::new(), unread: Vec::new(), special: Vec::new() };
        for root in &self.roots {
            let mut linked: HashMap<(u64, u64), usize> = HashMap::new();
            // The root itself may be a link, because the operator named it.
            let walk = WalkDir::new(&root.folder)
                .follow_links(links != Links::Never)
                .max_depth(root.depth.unwrap_or(usize::MAX))
                .into_iter()
                .filter_entry(|entry| entry.depth() == 0 || is_entered(entry, links, &mut linked));
            for entry in walk {
                let entry = match entry {
                    Ok(entry) => entry,
                    Err(error) => {
                        found.unread.extend(complaints.note(&error));
                        continue;
                    }
                };
                let kind = entry.file_type();
                if kind.is_dir() || !self.is_meant(entry.path()) {
                    continue;
                }
                if !kind.is_file() {
                    found.special.extend(special(kind).map(|what| (entry.into_path(), what)));
                } else if let Ok(metadata) = entry.metadata() {
                    found.files.push((entry.into_path(), metadata));
                }
            }
        }
        found.files.sort_unstable_by(|(one, _), (other, _)| by_name(one, other));
        // Roots can overlap, so a file can be found twice.
        found.files.dedup_by(|(one, _), (other, _)| one.as_os_str() == other.as_os_str());
        found
    }

    /// Returns the globs of `exclude` that can match nothing that `include` finds, as warnings.
    pub(crate) fn idle(&self) -> &[String] {
        self.exclude.idle()
    }

    /// Returns the globs of `include` that match none of the found files, each with the likely
    /// reason.
    pub(crate) fn unmatched(&self, found: &Found) -> Vec<String> {
        let mut is_matched = vec![false; self.written.len()];
        let mut matches = Vec::new();
        for (file, _) in &found.files {
            if is_matched.iter().all(|matched| *matched) {
                return Vec::new();
            }
            self.include.matches_into(file, &mut matches);
            for index in &matches {
                if let Some(matched) = is_matched.get_mut(*index) {
                    *matched = true;
                }
            }
        }
        let mut special: HashMap<usize, String> = HashMap::new();
        for (path, what) in &found.special {
            for index in self.include.matches(path) {
                special.entry(index).or_insert_with(|| format!("`{}` is {what}", path.display()));
            }
        }
        let all = self.written.iter().zip(&self.roots).zip(is_matched).enumerate();
        all.filter(|(_, (_, matched))| !matched)
            .map(|(index, ((glob, root), _))| match special.get(&index) {
                Some(what) => format!(
                    "`{glob}` finds no file: {what}; a source of type `file` reads regular files only, pass it to the \
                     standard input of `wattle run` and use `type = \"stdin\"`"
                ),
                None => hint(glob, &root.folder),
            })
            .collect()
    }

    /// Returns the folder of the glob that matched a file.
    pub(crate) fn root_of<'a>(&'a self, path: &'a Path) -> &'a Path {
        let roots = self.roots.iter().map(|root| root.folder.as_path()).filter(|root| path.starts_with(root));
        roots.max_by_key(|root| root.as_os_str().len()).unwrap_or(path.parent().unwrap_or(path))
    }

    /// Returns the folders that a search starts in.
    pub(super) fn folders(&self) -> impl Iterator<Item = &Path> {
        self.roots.iter().map(|root| root.folder.as_path())
    }

    /// Returns the globs of `include` as absolute paths.
    pub(super) fn absolute(&self) -> Vec<String> {
        self.written.iter().map(|glob| absolute_glob(glob)).collect()
    }

    /// Returns whether `include` selects a file.
    pub(super) fn is_included(&self, path: &Path) -> bool {
        self.include.is_match(path)
    }

    /// Returns whether the options exclude a file.
    pub(crate) fn is_excluded(&self, path: &Path) -> bool {
        self.exclude.is_match(path) || self.moved_to.as_ref().is_some_and(|folder| path.starts_with(folder))
    }

    /// Returns whether the options select a file.
    pub(crate) fn is_meant(&self, path: &Path) -> bool {
        self.include.is_match(path) && !self.is_excluded(path)
    }
}

/// Compares paths by components. `Path` has the same order, but parses the components each time,
/// which takes most of the time of a search of many files.
fn by_name(one: &Path, other: &Path) -> Ordering {
    // A separator ends a name, so it sorts before all characters of a longer name.
    let rank = |byte: &u8| if *byte == b'/' { 0 } else { *byte };
    one.as_os_str().as_bytes().iter().map(rank).cmp(other.as_os_str().as_bytes().iter().map(rank))
}

/// Result of a search.
pub(crate) struct Found {
    /// Sorted by name.
    pub(crate) files: Vec<(PathBuf, Metadata)>,
    /// Folders that could not be read: files below them may exist.
    pub(crate) unread: Vec<PathBuf>,
    /// Pipes, devices and sockets that the globs match, each with its kind.
    pub(crate) special: Vec<(PathBuf, &'static str)>,
}

/// Names a kind of file that the source does not read; `None` for a link that it does not follow.
fn special(kind: FileType) -> Option<&'static str> {
    if kind.is_fifo() {
        Some("a named pipe")
    } else if kind.is_char_device() || kind.is_block_device() {
        Some("a device")
    } else if kind.is_socket() {
        Some("a socket")
    } else {
        None
    }
}

/// Returns whether a search enters an entry. Only links to folders are refused here; those to files
/// when the file is opened.
fn is_entered(entry: &DirEntry, links: Links, linked: &mut HashMap<(u64, u64), usize>) -> bool {
    if !entry.path_is_symlink() || !entry.file_type().is_dir() {
        return true;
    }
    let Ok(folder) = entry.metadata() else { return false };
    let owner = fs::symlink_metadata(entry.path()).map(|link| link.uid());
    if !owner.is_ok_and(|owner| links.allow(owner, folder.uid())) {
        return false;
    }
    let times = linked.entry((folder.dev(), folder.ino())).or_default();
    *times += 1;
    *times <= MAX_LINKS_TO_FOLDER
}

/// Logs that a glob matches nothing, with the likely reason.
fn hint(glob: &str, root: &Path) -> String {
    let trimmed = glob.trim_end_matches('/');
    let reason = if glob.starts_with('~') {
        "`~` is not expanded; write the whole path".to_owned()
    } else if glob.contains('$') {
        "`$` is not expanded; write the whole path".to_owned()
    } else if Path::new(trimmed).is_dir() {
        format!("it is a folder; write `{trimmed}/*` for its files, or `{trimmed}/**` for those of its subfolders too")
    } else if glob.contains('\\') && !glob.contains('/') {
        "`\\` escapes the next character; separate folders by `/`".to_owned()
    } else if glob.split('/').any(|part| part.contains("**") && part != "**") {
        "`**` stands for folders only if it is alone between slashes, as in `logs/**/*.log`".to_owned()
    } else if !root.exists() {
        format!("`{}` does not exist", root.display())
    } else {
        "no file matches".to_owned()
    };
    format!("`{glob}` finds no file: {reason}")
}

/// Errors that were already logged.
#[derive(Debug, Default)]
pub(crate) struct Complaints(HashSet<PathBuf>);

impl Complaints {
    /// Logs a new error. Returns the folder that could not be read.
    fn note(&mut self, error: &walkdir::Error) -> Option<PathBuf> {
        // A folder can appear later, a file can disappear during the search, and a link to a parent
        // folder is harmless.
        let is_absent = error.io_error().is_some_and(|e| e.kind() == io::ErrorKind::NotFound);
        if is_absent || error.loop_ancestor().is_some() {
            return None;
        }
        let path = error.path().unwrap_or(Path::new("/"));
        if self.0.insert(path.to_owned()) {
            let error = reason(error);
            tracing::warn!(path = %path.display(), error, "cannot read a folder; skipping the files below it");
        }
        Some(path.to_owned())
    }
}

/// Returns why a folder cannot be read. The text of `walkdir` repeats the path.
fn reason(error: &walkdir::Error) -> String {
    match error.io_error() {
        Some(error) if rustix::io::Errno::from_io_error(error) == Some(rustix::io::Errno::LOOP) => {
            "it is a link that leads to itself".to_owned()
        }
        Some(error) => error.to_string(),
        None => "it is a link to a folder that it is in".to_owned(),
    }
}

fn compile(globs: &[String], errors: &mut Vec<OptionError>) -> GlobSet {
    let mut set = GlobSetBuilder::new();
    for (index, glob) in globs.iter().enumerate() {
        match GlobBuilder::new(&absolute_glob(glob)).literal_separator(true).build() {
            Ok(glob) => {
                set.add(glob);
            }
            Err(error) => {
                let message = format!("`{glob}` is not a valid glob: {}", error.kind());
                errors.push(OptionError::new(format!("include[{index}]"), message));
            }
        }
    }
    set.build().unwrap_or_else(|error| {
        errors.push(OptionError::new("include", format!("the globs are too large together: {error}")));
        GlobSet::empty()
    })
}

/// Returns where a search for an absolute glob starts.
fn root(glob: &str) -> Root {
    let mut folder = PathBuf::new();
    let mut depth = 0;
    let mut is_endless = false;
    for component in Path::new(glob).components() {
        let text = component.as_os_str().to_string_lossy();
        // `[x]` escapes the wildcard `x`.
        let is_literal = !text.contains(['*', '?', '[', '{', '\\']);
        // The root ends at the first wildcard.
        if depth == 0 && (is_literal || component == Component::RootDir) {
            folder.push(component);
        } else {
            depth += 1;
            is_endless |= text.contains("**");
        }
    }
    Root { folder, depth: (!is_endless).then_some(depth) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn found_files_are_in_the_order_of_their_components() {
        let mut paths: Vec<&Path> =
            ["/a/b", "/a.log", "/a/b-c", "/a-b/c", "/a/b/c", "/a/b.log", "/b", "/a"].map(Path::new).into();
        let mut expected = paths.clone();
        paths.sort_by(|one, other| by_name(one, other));
        expected.sort();
        assert_eq!(paths, expected);
    }

    #[track_caller]
    fn check(folder: &Path, include: &[&str], exclude: &[&str], expected: &[&str]) {
        let whole = |globs: &[&str]| -> Vec<String> {
            globs.iter().map(|g| format!("{}/{g}", globset::escape(&folder.to_string_lossy()))).collect()
        };
        let mut errors = Vec::new();
        let moved_to = folder.join("done");
        let patterns = Patterns::new(&whole(include), &whole(exclude), Some(&moved_to), &mut errors);
        assert_eq!(errors, []);
        let found = patterns.find(Links::SameOwner, &mut Complaints::default());
        assert_eq!(found.unread, [] as [PathBuf; 0]);
        let names: Vec<&str> =
            found.files.iter().map(|(p, _)| p.strip_prefix(folder).unwrap().to_str().unwrap()).collect();
        assert_eq!(names, expected, "{include:?}");
    }

    #[test]
    fn finds_matching_files_in_the_order_of_their_names() {
        let temporary = tempfile::tempdir().unwrap();
        // A folder name that contains wildcard characters.
        let folder = temporary.path().join("a[b]c");
        for name in ["b.log", "a.log", "c.txt", "x/a.log", "x/y/z.log", "done/a.log"] {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, name).unwrap();
        }
        std::os::unix::fs::symlink(folder.join("c.txt"), folder.join("x/link.log")).unwrap();
        std::os::unix::fs::symlink(&folder, folder.join("x/circle")).unwrap();
        check(&folder, &["*.log"], &[], &["a.log", "b.log"]);
        check(&folder, &["*.log", "a.*", "c.txt"], &["b*"], &["a.log", "c.txt"]);
        check(&folder, &["*/*.log"], &[], &["x/a.log", "x/link.log"]);
        check(&folder, &["**/*.log"], &["**/link.log"], &["a.log", "b.log", "x/a.log", "x/y/z.log"]);
        check(&folder, &["{a,b}.log", "x/[yz]/*"], &[], &["a.log", "b.log", "x/y/z.log"]);
        check(&folder, &["nothing/**"], &[], &[]);
    }

    #[test]
    fn folders_that_link_to_each_other_are_searched_a_bounded_number_of_times() {
        let temporary = tempfile::tempdir().unwrap();
        let names: Vec<String> = (0..12).map(|n| format!("d{n}")).collect();
        for name in &names {
            fs::create_dir(temporary.path().join(name)).unwrap();
            for other in names.iter().filter(|other| *other != name) {
                let link = temporary.path().join(name).join(format!("to-{other}"));
                std::os::unix::fs::symlink(format!("../{other}"), link).unwrap();
            }
            fs::write(temporary.path().join(name).join("x.log"), "").unwrap();
        }
        let glob = format!("{}/**/*.log", globset::escape(&temporary.path().to_string_lossy()));
        let patterns = Patterns::new(&[glob], &[], None, &mut Vec::new());
        let found = patterns.find(Links::SameOwner, &mut Complaints::default());
        for name in &names {
            let path = temporary.path().join(name).join("x.log");
            assert!(found.files.iter().any(|(found, _)| *found == path), "{name}");
        }
        assert!(found.files.len() <= names.len() * (MAX_LINKS_TO_FOLDER + 1), "{}", found.files.len());
        assert_eq!(patterns.find(Links::Never, &mut Complaints::default()).files.len(), names.len());
    }

    #[test]
    fn a_glob_without_files_has_a_likely_reason() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path().to_str().unwrap();
        fs::create_dir(temporary.path().join("sub")).unwrap();
        fs::write(temporary.path().join("sub/a.log"), "").unwrap();
        let pipe = temporary.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(temporary.path().join("socket")).unwrap();
        for (glob, expected) in [
            ("~/logs/*.log", "`~` is not expanded"),
            ("$HOME/*.log", "`$` is not expanded"),
            (folder, "it is a folder; write `"),
            (&format!("{folder}/"), "it is a folder"),
            ("logs\\*.log", "escapes the next character"),
            (&format!("{folder}/**.log"), "alone between slashes"),
            ("/no/such/folder/*.log", "`/no/such/folder` does not exist"),
            (&format!("{folder}/*.txt"), "no file matches"),
            (&format!("{folder}/pipe"), "pipe` is a named pipe; a source of type `file` reads regular files only"),
            (&format!("{folder}/p*"), "pipe` is a named pipe"),
            (&format!("{folder}/socket"), "socket` is a socket"),
            ("/dev/null", "`/dev/null` is a device"),
        ] {
            let found = format!("{folder}/**/*.log");
            let patterns = Patterns::new(&[found, glob.to_owned()], &[], None, &mut Vec::new());
            let unmatched = patterns.unmatched(&patterns.find(Links::SameOwner, &mut Complaints::default()));
            assert_eq!(unmatched.len(), 1, "{unmatched:?}");
            assert!(
                unmatched[0].starts_with(&format!("`{glob}` finds no file: ")) && unmatched[0].contains(expected),
                "{unmatched:?}"
            );
        }
    }

    #[test]
    fn a_folder_that_cannot_be_read_is_explained_without_the_path() {
        let temporary = tempfile::tempdir().unwrap();
        let link = temporary.path().join("link");
        std::os::unix::fs::symlink(&link, &link).unwrap();
        let entry = WalkDir::new(link.join("x")).into_iter().next().unwrap();
        assert_eq!(reason(&entry.unwrap_err()), "it is a link that leads to itself");
    }

    #[test]
    fn searches_only_folders_where_a_glob_can_match() {
        for (glob, folder, depth) in [
            ("/var/log/a.log", "/var/log/a.log", Some(0)),
            ("/var/log/*.log", "/var/log", Some(1)),
            ("/var/*/x/?.log", "/var", Some(3)),
            ("/var/**/x.log", "/var", None),
        ] {
            assert_eq!(root(glob), Root { folder: folder.into(), depth }, "{glob}");
        }
    }
}
