//! Where packs are: built into the agent, in library folders, or in a folder that a configuration names.

use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use semver::{Version, VersionReq};

use crate::findings::{Findings, Place};
use crate::manifest::pack::is_pack_name;
use crate::{codes, suggest};

/// File name of a pack's manifest.
pub(crate) const MANIFEST: &str = "pack.toml";

/// A pack that the agent carries.
#[derive(Debug, Clone)]
pub struct BuiltinPack {
    /// Name of the pack.
    pub name: String,
    /// Version of the pack.
    pub version: String,
    /// Paths relative to the pack's folder, with `/`, and contents.
    pub files: Vec<(String, &'static [u8])>,
}

/// Finds packs by name and version.
///
/// A library folder holds `<name>/<version>/` or `<name>/`. Of two equal versions the one in a folder is taken, so that
/// an operator can mend what is built in.
#[derive(Debug, Clone, Default)]
pub struct Library {
    builtins: Vec<Arc<BuiltinPack>>,
    folders: Vec<PathBuf>,
}

/// The files of one pack.
#[derive(Debug, Clone)]
pub(crate) enum PackFiles {
    Folder(PathBuf),
    Builtin(Arc<BuiltinPack>),
}

/// A pack that was found, with what the library says of it.
pub(crate) struct Found {
    pub(crate) files: PackFiles,
    /// Name and version by which it was found; what a folder outside the library is, only its manifest knows.
    pub(crate) expected: Option<(String, Option<Version>)>,
}

struct Candidate {
    version: Option<Version>,
    files: PackFiles,
}

/// What versions of a pack will do.
enum Requirement {
    Any,
    Exact(Version),
    Range(VersionReq),
}

impl Requirement {
    /// All three numbers mean this version and no other; fewer, or an operator, mean a range.
    fn parse(text: &str) -> Result<Self, semver::Error> {
        match Version::parse(text) {
            Ok(version) => Ok(Self::Exact(version)),
            Err(_) => VersionReq::parse(text).map(Self::Range),
        }
    }

    fn matches(&self, version: &Version) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(exact) => exact == version,
            Self::Range(range) => range.matches(version),
        }
    }
}

impl Library {
    /// Makes a library of the packs that the agent carries.
    pub fn new(builtins: Vec<BuiltinPack>) -> Self {
        Self { builtins: builtins.into_iter().map(Arc::new).collect(), folders: Vec::new() }
    }

    /// Adds a library folder; it may be absent.
    pub fn with_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folders.push(folder.into());
        self
    }

    /// Lists names and versions of all packs, in order, without those whose manifest does not say a version.
    pub fn list(&self) -> Vec<(String, Version)> {
        let mut packs = Vec::new();
        for name in self.names() {
            let versions = self.candidates(&name).into_iter().filter_map(|candidate| candidate.version);
            packs.extend(versions.map(|version| (name.clone(), version)));
        }
        packs.sort();
        packs.dedup();
        packs
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.builtins.iter().map(|pack| pack.name.clone()).collect();
        for folder in &self.folders {
            names.extend(entries(folder).into_iter().filter(|name| is_pack_name(name)));
        }
        names.sort();
        names.dedup();
        names
    }

    fn candidates(&self, name: &str) -> Vec<Candidate> {
        let mut candidates = Vec::new();
        for folder in self.folders.iter().map(|folder| folder.join(name)) {
            if folder.join(MANIFEST).is_file() {
                let files = PackFiles::Folder(folder.clone());
                candidates.push(Candidate { version: files.version(), files });
            }
            for (entry, version) in entries(&folder).into_iter().filter_map(|e| Version::parse(&e).ok().map(|v| (e, v)))
            {
                let folder = folder.join(entry);
                if folder.join(MANIFEST).is_file() {
                    candidates.push(Candidate { version: Some(version), files: PackFiles::Folder(folder) });
                }
            }
        }
        for pack in self.builtins.iter().filter(|pack| pack.name == name) {
            let version = Version::parse(&pack.version).ok();
            candidates.push(Candidate { version, files: PackFiles::Builtin(Arc::clone(pack)) });
        }
        candidates
    }

    /// Finds the pack of a reference: `name`, `name@requirement`, or a folder relative to `base`.
    pub(crate) fn find(&self, reference: &str, place: Place, base: &Path, findings: &mut Findings) -> Option<Found> {
        if reference.starts_with('.') || reference.contains(['/', '\\']) {
            return find_folder(reference, place, base, findings);
        }
        let (name, requirement) = match reference.split_once('@') {
            Some((name, requirement)) => match Requirement::parse(requirement) {
                Ok(parsed) => (name, parsed),
                Err(error) => {
                    let message = format!("bad pack version `{requirement}`; {error}");
                    let finding = codes::BAD_VALUE.at(place, message);
                    findings
                        .report(finding.hint("write `name@1.0.0` for that version, `name@1` for any compatible one"));
                    return None;
                }
            },
            None => (reference, Requirement::Any),
        };
        if !is_pack_name(name) {
            let finding = codes::BAD_NAME.at(place, format!("bad pack name `{}`", name.escape_debug()));
            findings.report(finding.hint("write `name@version`, or a folder as in `./folder`"));
            return None;
        }
        for folder in &self.folders {
            findings.watch(folder.join(name));
        }
        let candidates = self.candidates(name);
        if candidates.is_empty() {
            let names = self.names();
            let hint = suggest::hint(name, names.iter().map(String::as_str))
                .unwrap_or_else(|| "the library is empty; a folder is written with `./`".to_owned());
            findings.report(codes::PACK_NOT_FOUND.at(place, format!("no pack `{name}` in the library")).hint(hint));
            return None;
        }
        let mut best: Option<&Candidate> = None;
        for candidate in &candidates {
            let fits = candidate.version.as_ref().is_some_and(|version| requirement.matches(version));
            // Folders come first, and an equal version does not displace what was found.
            if fits && best.is_none_or(|best| best.version < candidate.version) {
                best = Some(candidate);
            }
        }
        // A manifest that says no version may be the one that was meant; its own errors then tell.
        let best = best.or_else(|| candidates.iter().find(|candidate| candidate.version.is_none()));
        let Some(best) = best else {
            let mut versions: Vec<&Version> = candidates.iter().filter_map(|c| c.version.as_ref()).collect();
            versions.sort();
            versions.dedup();
            let versions: Vec<String> = versions.into_iter().map(Version::to_string).collect();
            let message = format!("no version of the pack `{name}` meets `{reference}`");
            let hint = format!("there is {}", suggest::list(versions.iter().map(String::as_str)));
            findings.report(codes::VERSION_NOT_FOUND.at(place, message).hint(hint));
            return None;
        };
        Some(Found { files: best.files.clone(), expected: Some((name.to_owned(), best.version.clone())) })
    }
}

fn find_folder(reference: &str, place: Place, base: &Path, findings: &mut Findings) -> Option<Found> {
    let folder = clean(&base.join(reference));
    findings.watch(folder.join(MANIFEST));
    if folder.join(MANIFEST).is_file() {
        return Some(Found { files: PackFiles::Folder(folder), expected: None });
    }
    let message = format!("`{}` is not a pack: it has no `{MANIFEST}`", folder.display());
    findings.report(codes::PACK_NOT_FOUND.at(place, message).hint("folders are relative to the file that names them"));
    None
}

impl PackFiles {
    /// The name of a file for people and for watchers.
    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        match self {
            Self::Folder(folder) => folder.join(relative),
            Self::Builtin(pack) => PathBuf::from(format!("builtin:{}@{}/{relative}", pack.name, pack.version)),
        }
    }

    pub(crate) fn is_builtin(&self) -> bool {
        matches!(self, Self::Builtin(_))
    }

    pub(crate) fn read(&self, relative: &str) -> io::Result<Vec<u8>> {
        match self {
            Self::Folder(folder) => read_plain(&folder.join(relative)),
            Self::Builtin(pack) => pack
                .files
                .iter()
                .find(|(path, _)| path == relative)
                .map(|(_, bytes)| bytes.to_vec())
                .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound)),
        }
    }

    /// Names what a folder of the pack holds, in order.
    pub(crate) fn list(&self, relative: &str) -> Vec<String> {
        match self {
            Self::Folder(folder) => entries(&folder.join(relative)),
            Self::Builtin(pack) => {
                let inside = pack.files.iter().filter_map(|(path, _)| path.strip_prefix(relative)?.strip_prefix('/'));
                let mut names: Vec<String> =
                    inside.filter_map(|path| path.split('/').next()).map(str::to_owned).collect();
                names.sort();
                names.dedup();
                names
            }
        }
    }

    /// The version that the manifest says, if it can be read.
    fn version(&self) -> Option<Version> {
        let text = String::from_utf8(self.read(MANIFEST).ok()?).ok()?;
        let table: toml::Table = text.parse().ok()?;
        Version::parse(table.get("pack")?.get("version")?.as_str()?).ok()
    }
}

/// Reads a file, but nothing that could block or have no end.
pub(crate) fn read_plain(path: &Path) -> io::Result<Vec<u8>> {
    let metadata = std::fs::metadata(path)?;
    if !metadata.is_file() && !metadata.is_dir() {
        return Err(io::Error::other("it is not a plain file"));
    }
    std::fs::read(path)
}

/// Names what a folder holds, in order; nothing where it cannot be read.
fn entries(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<String> = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// Leaves out `.` in a path, so that it reads as people write it.
pub(crate) fn clean(path: &Path) -> PathBuf {
    let path: PathBuf = path.components().filter(|part| !matches!(part, Component::CurDir)).collect();
    if path.as_os_str().is_empty() { PathBuf::from(".") } else { path }
}
