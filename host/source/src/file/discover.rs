//! Finds the files that the globs name.

use std::collections::{BTreeMap, HashSet};
use std::fs::Metadata;
use std::io;
use std::path::{Component, Path, PathBuf};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use walkdir::WalkDir;

use crate::options::OptionError;

/// Which files are meant.
#[derive(Clone, Debug)]
pub(crate) struct Patterns {
    include: GlobSet,
    exclude: GlobSet,
    roots: Vec<Root>,
    /// Finished files go here, and are not taken up again.
    moved_to: Option<PathBuf>,
}

/// A folder to walk, the longest part of a glob that has no wildcard.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Root {
    folder: PathBuf,
    /// Levels below the folder; none for any number.
    depth: Option<usize>,
}

impl Patterns {
    /// Compiles the globs; relative ones are taken from the current folder.
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
            include: compile("include", include, errors),
            exclude: compile("exclude", exclude, errors),
            roots,
            moved_to: moved_to.and_then(|folder| std::path::absolute(folder).ok()),
        }
    }

    /// The files that there are, by name, each with what is known of it. Folders that cannot be read are complained of
    /// once.
    pub(crate) fn find(&self, complaints: &mut Complaints) -> BTreeMap<PathBuf, Metadata> {
        let mut found = BTreeMap::new();
        for root in &self.roots {
            let walk = WalkDir::new(&root.folder).follow_links(true).max_depth(root.depth.unwrap_or(usize::MAX));
            for entry in walk {
                let entry = match entry {
                    Ok(entry) => entry,
                    Err(error) => {
                        complaints.hear(&error);
                        continue;
                    }
                };
                if entry.file_type().is_file()
                    && self.is_meant(entry.path())
                    && let Ok(metadata) = entry.metadata()
                {
                    found.insert(entry.into_path(), metadata);
                }
            }
        }
        found
    }

    fn is_meant(&self, path: &Path) -> bool {
        self.include.is_match(path)
            && !self.exclude.is_match(path)
            && !self.moved_to.as_ref().is_some_and(|folder| path.starts_with(folder))
    }
}

/// Remembers what was complained of.
#[derive(Debug, Default)]
pub(crate) struct Complaints(HashSet<PathBuf>);

impl Complaints {
    fn hear(&mut self, error: &walkdir::Error) {
        // A folder may come later, and a file may vanish while it is looked at.
        let is_absent = error.io_error().is_some_and(|e| e.kind() == io::ErrorKind::NotFound);
        let path = error.path().unwrap_or(Path::new("?"));
        if !is_absent && self.0.insert(path.to_owned()) {
            tracing::warn!(path = %path.display(), error = %error, "cannot be looked at; files below are not found");
        }
    }
}

fn compile(option: &str, globs: &[String], errors: &mut Vec<OptionError>) -> GlobSet {
    let mut set = GlobSetBuilder::new();
    for (index, glob) in globs.iter().enumerate() {
        match GlobBuilder::new(&absolute_glob(glob)).literal_separator(true).build() {
            Ok(glob) => {
                set.add(glob);
            }
            Err(error) => {
                let message = format!("`{glob}` is not a valid glob: {}", error.kind());
                errors.push(OptionError::new(&format!("{option}[{index}]"), message));
            }
        }
    }
    set.build().unwrap_or_else(|error| {
        errors.push(OptionError::new(option, format!("the globs are too large together: {error}")));
        GlobSet::empty()
    })
}

fn absolute_glob(glob: &str) -> String {
    let glob = glob.strip_prefix("./").unwrap_or(glob);
    match std::env::current_dir() {
        Ok(folder) if !glob.starts_with('/') => {
            format!("{}/{glob}", globset::escape(&folder.to_string_lossy()).trim_end_matches('/'))
        }
        _ => glob.to_owned(),
    }
}

/// Where to start looking for what an absolute glob names.
fn root(glob: &str) -> Root {
    let mut folder = PathBuf::new();
    let mut depth = 0;
    let mut is_endless = false;
    for component in Path::new(glob).components() {
        let text = component.as_os_str().to_string_lossy();
        // `[x]` is how an `x` that is a wildcard is escaped.
        let is_literal = !text.contains(['*', '?', '[', '{', '\\']);
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

    #[track_caller]
    fn check(folder: &Path, include: &[&str], exclude: &[&str], expected: &[&str]) {
        let whole = |globs: &[&str]| -> Vec<String> {
            globs.iter().map(|g| format!("{}/{g}", globset::escape(&folder.to_string_lossy()))).collect()
        };
        let mut errors = Vec::new();
        let moved_to = folder.join("done");
        let patterns = Patterns::new(&whole(include), &whole(exclude), Some(&moved_to), &mut errors);
        assert_eq!(errors, []);
        let found = patterns.find(&mut Complaints::default());
        let names: Vec<&str> = found.keys().map(|p| p.strip_prefix(folder).unwrap().to_str().unwrap()).collect();
        assert_eq!(names, expected, "{include:?}");
    }

    #[test]
    fn finds_what_the_globs_name_in_order_of_name() {
        let temporary = tempfile::tempdir().unwrap();
        // A folder whose name looks like a wildcard.
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
    fn looks_only_where_a_glob_can_match() {
        for (glob, folder, depth) in [
            ("/var/log/a.log", "/var/log/a.log", Some(0)),
            ("/var/log/*.log", "/var/log", Some(1)),
            ("/var/*/x/?.log", "/var", Some(3)),
            ("/var/**/x.log", "/var", None),
        ] {
            assert_eq!(root(glob), Root { folder: folder.into(), depth }, "{glob}");
        }
    }

    #[test]
    fn relative_globs_start_in_the_current_folder() {
        let here = std::env::current_dir().unwrap();
        assert_eq!(absolute_glob("a/*.log"), format!("{}/a/*.log", here.display()));
        assert_eq!(absolute_glob("./a"), format!("{}/a", here.display()));
        assert_eq!(absolute_glob("/a"), "/a");
    }
}
