//! The files of a configuration, and how they become one table.
//!
//! A configuration is one file or several, or folders with files `*.toml`. The tables `[agent]`, `[admin]` and `[packs]`
//! of several files are merged key by key. A source, a pipeline or a sink is in one file as a whole: merging parts of it
//! would hide which file decides.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use wattle_diagnostics::{Data, Entry, Findings, Place, Table, codes, in_words, read_text, value};
use wattle_pack::LOCK_FILE;

/// Where a configuration comes from.
#[derive(Clone, Copy, Debug)]
pub enum ConfigOrigin<'a> {
    /// Files, and folders with files `*.toml`, in this order.
    Files(&'a [PathBuf]),
    /// A text; `name` stands for it in diagnostics. Its paths are relative to the working directory.
    Text {
        /// Its name.
        name: &'a str,
        /// The text.
        text: &'a str,
    },
}

/// Tables that several files can have, merged key by key.
const MERGED: &[&str] = &["agent", "admin", "packs"];

impl ConfigOrigin<'_> {
    /// Reads the tables of all files and merges them. The place is that of the first file.
    pub(crate) fn read(&self, findings: &mut Findings) -> Option<(Table, Place)> {
        match self {
            Self::Text { name, text } => {
                let number = findings.add_manifest(Path::new(name), text);
                Some((value::parse(number, text, findings)?, Place::file(number)))
            }
            Self::Files(paths) => read_files(paths, findings),
        }
    }

    /// Path of the lock: beside the first file, or in the first folder.
    pub(crate) fn lock(&self) -> Option<PathBuf> {
        match self {
            Self::Text { .. } => None,
            Self::Files(paths) => paths.first().map(|path| lock_of(path)),
        }
    }
}

/// Path of the lock of a configuration that begins with this file or folder: beside the file, or in the folder.
pub fn lock_of(path: &Path) -> PathBuf {
    if path.is_dir() { path.join(LOCK_FILE) } else { path.with_file_name(LOCK_FILE) }
}

/// The files of a configuration, in their order: of a folder, the files `*.toml` by name. Hidden files do not count, since
/// editors and volumes of Kubernetes keep copies there.
///
/// # Errors
///
/// The path and the error of a folder that cannot be read.
pub fn files_of(paths: &[PathBuf]) -> Result<Vec<PathBuf>, (PathBuf, std::io::Error)> {
    let mut files = Vec::new();
    let mut seen = BTreeSet::new();
    for path in paths {
        let found = if path.is_dir() {
            let mut found = Vec::new();
            let failed = |error| (path.clone(), error);
            for entry in std::fs::read_dir(path).map_err(failed)? {
                let file = entry.map_err(failed)?.path();
                let is_hidden = file.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
                if !is_hidden && file.extension().is_some_and(|extension| extension == "toml") && !file.is_dir() {
                    found.push(file);
                }
            }
            found.sort();
            found
        } else {
            vec![path.clone()]
        };
        // A file that is named and lies in a named folder counts once.
        files
            .extend(found.into_iter().filter(|file| seen.insert(file.canonicalize().unwrap_or_else(|_| file.clone()))));
    }
    Ok(files)
}

fn read_files(paths: &[PathBuf], findings: &mut Findings) -> Option<(Table, Place)> {
    for path in paths {
        findings.watch(path);
    }
    let files = match files_of(paths) {
        Ok(files) => files,
        Err((folder, error)) => {
            let place = Place::file(findings.add_manifest(&folder, ""));
            let message = format!("the folder `{}` cannot be read: {}", folder.display(), in_words(&error));
            findings.report(codes::UNREADABLE.at(place, message));
            return None;
        }
    };
    let mut place = None;
    let mut whole = Some(Table::default());
    for file in &files {
        findings.watch(file);
        let table = read_text(file, findings).and_then(|text| {
            let number = findings.add_manifest(file, &text);
            place.get_or_insert(Place::file(number));
            value::parse(number, &text, findings)
        });
        // Reads the other files nevertheless, to report their errors too.
        match (&mut whole, table) {
            (Some(whole), Some(table)) => merge(whole, table, &mut Vec::new(), findings),
            (whole, None) => *whole = None,
            (None, Some(_)) => {}
        }
    }
    let place = place.or_else(|| {
        let folder = paths.first()?;
        Some(Place::file(findings.add_manifest(folder, "")))
    })?;
    whole.map(|whole| (whole, place))
}

/// Merges a table of another file. `path` are the keys of the tables around it.
fn merge(into: &mut Table, from: Table, path: &mut Vec<String>, findings: &mut Findings) {
    for entry in from.0 {
        let Some(old) = into.0.iter_mut().find(|old| old.key == entry.key) else {
            into.0.push(entry);
            continue;
        };
        let is_merged = match path.first() {
            None => true,
            Some(first) => MERGED.contains(&first.as_str()),
        };
        match (&mut old.item.data, entry.item.data) {
            (Data::Table(old), Data::Table(new)) if is_merged => {
                path.push(entry.key);
                merge(old, new, path, findings);
                path.pop();
            }
            _ => report_twice(old, &entry.key, entry.place, path, findings),
        }
    }
}

fn report_twice(old: &Entry, key: &str, place: Place, path: &[String], findings: &mut Findings) {
    let before = findings.describe(old.place);
    let message = match path {
        [table] if !MERGED.contains(&table.as_str()) => {
            let kind = table.strip_suffix('s').unwrap_or(table);
            format!("the {kind} `{key}` is defined twice; the first one is at {before}")
        }
        [] => format!("`{key}` is set twice; the first one is at {before}"),
        path => format!("`{key}` of `[{}]` is set twice; the first one is at {before}", path.join(".")),
    };
    findings.report(codes::SET_TWICE.at(place, message).hint("remove it from one of the files, or rename it"));
}
