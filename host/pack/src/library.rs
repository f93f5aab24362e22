//! Finds packs: built into the agent, in library folders, or in a folder that a configuration
//! names.

use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use semver::Version;

use crate::digest::{FileList, FileListError};
use crate::lock::{self, Choice, LockManifest, PinManifest, Pinning};
use crate::reference::{self, Requirement, is_pack_name};
use crate::remote::{Located, REMOTE, Remote};
use crate::trust::CheckedFiles;
use wattle_diagnostics::{Findings, Place, codes};
use wattle_options::suggest;
use wattle_plan::{PackId, PackUse};

/// File name of a pack's manifest.
pub const MANIFEST: &str = "pack.toml";

/// A built-in pack.
#[derive(Debug, Clone)]
pub struct BuiltinPack {
    /// Name of the pack.
    pub name: String,
    /// Version of the pack.
    pub version: String,
    /// Paths relative to the pack's folder, with `/`, and contents.
    pub files: Vec<(String, &'static [u8])>,
}

impl BuiltinPack {
    /// Lists its files.
    ///
    /// # Errors
    ///
    /// It has contents that packs cannot have.
    pub fn file_list(&self) -> Result<FileList, FileListError> {
        FileList::of_files(self.files.iter().map(|(path, bytes)| (path.as_str(), *bytes)))
    }
}

/// Finds packs by name and version.
///
/// A library folder holds `<name>/<version>/` or `<name>/`. Of two equal versions the one in a
/// folder wins, so that an operator can fix a built-in pack.
#[derive(Debug, Clone, Default)]
pub struct Library {
    builtins: Vec<Arc<BuiltinPack>>,
    folders: Vec<PathBuf>,
    pinning: Pinning,
    lock: Option<Arc<LockManifest>>,
    remote: Option<Arc<dyn Remote>>,
}

/// A version of a pack in the library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LibraryEntry {
    /// Name of the pack.
    pub name: String,
    /// Its version.
    pub version: Version,
    /// Its folder; `None` for a built-in pack.
    pub folder: Option<PathBuf>,
}

/// The files of one pack.
#[derive(Debug, Clone)]
pub enum PackFiles {
    /// A folder.
    Folder(PathBuf),
    /// A built-in pack.
    Builtin(Arc<BuiltinPack>),
    /// The verified content of a folder.
    Checked(Arc<CheckedFiles>),
}

/// A resolved pack.
pub struct Found {
    /// Its files.
    pub files: PackFiles,
    /// Name and version by which the library found it. For a folder outside the library, only the
    /// manifest has them.
    pub expected: Option<(String, Option<Version>)>,
    /// The reference that resolved to it.
    pub reference: String,
    /// Origin, in the form that a lock uses.
    pub source: String,
    /// The operator's name for it in a trust policy: its name in the library, its folder, or its
    /// repository.
    pub(crate) called: String,
    /// The pin that selected it.
    pub(crate) pin: Option<PinManifest>,
    /// The pulled image, for a pack of a registry.
    pub(crate) pulled: Option<Located>,
}

struct Candidate {
    version: Option<Version>,
    files: PackFiles,
}

impl Library {
    /// Creates a library of the built-in packs.
    pub fn new(builtins: Vec<BuiltinPack>) -> Self {
        Self { builtins: builtins.into_iter().map(Arc::new).collect(), ..Self::default() }
    }

    /// Adds a library folder, which need not exist.
    pub fn with_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folders.push(folder.into());
        self
    }

    /// Sets how strictly the lock of a configuration applies; the default is [`Pinning::Obeyed`].
    pub fn with_pinning(mut self, pinning: Pinning) -> Self {
        self.pinning = pinning;
        self
    }

    /// Sets the store for packs of registries; without one, none are found.
    pub fn with_remote(mut self, remote: Arc<dyn Remote>) -> Self {
        self.remote = Some(remote);
        self
    }

    /// Sets the store for packs of registries, unless one is set already.
    pub fn or_remote(mut self, remote: impl FnOnce() -> Arc<dyn Remote>) -> Self {
        self.remote.get_or_insert_with(remote);
        self
    }

    /// Sets the lock of the configuration that is being read.
    pub fn with_lock(mut self, lock: Option<LockManifest>) -> Self {
        self.lock = lock.map(Arc::new);
        self
    }

    /// Restricts the library to the packs that a plan used: every pack of `uses` resolves to the
    /// same version with the same files, or not at all. The pack of one of the plan's pipelines is
    /// also found by the pipeline's reference, which can differ from that in the configuration.
    pub fn with_found(self, uses: &[PackUse], reference: &str, pack: &PackId) -> Self {
        let is_it = |used: &&PackUse| used.name == pack.name && used.digest == pack.digest;
        let named = uses.iter().find(is_it).map(|used| PackUse { reference: reference.to_owned(), ..used.clone() });
        let lock = LockManifest::of_uses(named.iter().chain(uses));
        self.with_lock(Some(lock))
    }

    /// Lists all packs by name and version, without those whose manifest has no readable version.
    /// An equal version in a folder hides a built-in pack.
    pub fn list(&self) -> Vec<LibraryEntry> {
        let mut packs = Vec::new();
        for name in self.names() {
            for Candidate { version, files } in self.candidates(&name) {
                let folder = files.folder().map(Path::to_owned);
                packs.extend(version.map(|version| LibraryEntry { name: name.clone(), version, folder }));
            }
        }
        packs.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
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

    /// Resolves a reference: `name`, `name@requirement`, or a folder relative to `base`.
    pub fn find(&self, reference: &str, place: Place, base: &Path, findings: &mut Findings) -> Option<Found> {
        let lock = self.lock.as_deref();
        if reference.starts_with(REMOTE) {
            return self.find_remote(reference, place, findings);
        }
        if reference::is_folder(reference) {
            let pin = match lock::choose(lock, &self.pinning, reference, None, place, findings) {
                Choice::Refused => return None,
                Choice::Free => None,
                Choice::Pinned(pin) => Some(pin.clone()),
            };
            return find_folder(reference, place, base, findings).map(|found| Found { pin, ..found });
        }
        let (name, requirement) = reference::parse(reference, place, findings)?;
        for folder in &self.folders {
            findings.watch(folder.join(name));
        }
        let candidates = self.candidates(name);
        if candidates.is_empty() {
            let names = self.names();
            let folder = base.join(name);
            let hint = if folder.join(MANIFEST).is_file() {
                format!("`{name}` is a folder here; write `./{name}` for the pack in it")
            } else if folder.is_dir() {
                format!("`{name}` is a folder here, but has no `{MANIFEST}`; a folder is written as `./{name}`")
            } else {
                suggest::hint(name, names.iter().map(String::as_str))
                    .unwrap_or_else(|| "the library is empty; a folder reference begins with `./`".to_owned())
            };
            findings.report(codes::PACK_NOT_FOUND.at(place, format!("no pack `{name}` in the library")).hint(hint));
            return None;
        }
        let found = |candidate: &Candidate, pin: Option<&PinManifest>| Found {
            files: candidate.files.clone(),
            expected: Some((name.to_owned(), candidate.version.clone())),
            reference: reference.to_owned(),
            source: if candidate.files.is_builtin() { "builtin" } else { "library" }.to_owned(),
            called: name.to_owned(),
            pin: pin.cloned(),
            pulled: None,
        };
        match lock::choose(lock, &self.pinning, reference, Some(&requirement), place, findings) {
            Choice::Refused => None,
            Choice::Free => {
                choose(&candidates, &requirement, reference, place, findings).map(|candidate| found(candidate, None))
            }
            Choice::Pinned(pin) => {
                let wanted = Requirement::Exact(pin.pin.version.clone());
                let exact = candidates.iter().find(|c| c.version.as_ref().is_some_and(|v| wanted.matches(v)));
                if exact.is_none() {
                    let message = format!("`{name}@{}` is pinned, but is not in the library", pin.pin.version);
                    let note = format!("pinned at {}", findings.describe(pin.version));
                    let hint =
                        format!("{}; install the pinned version, or run `wattle pack upgrade`", there_is(&candidates));
                    findings.report(codes::PIN_NOT_FOUND.at(place, message).hint(hint).note(note));
                }
                exact.map(|candidate| found(candidate, Some(pin)))
            }
        }
    }
}

impl Library {
    /// Finds a pack of a registry among the pulled packs.
    fn find_remote(&self, reference: &str, place: Place, findings: &mut Findings) -> Option<Found> {
        let pin = match lock::choose(self.lock.as_deref(), &self.pinning, reference, None, place, findings) {
            Choice::Refused => return None,
            Choice::Free => None,
            Choice::Pinned(pin) => Some(pin.clone()),
        };
        let Some(remote) = &self.remote else {
            let finding = codes::NOT_PULLED.at(place, format!("the pack `{reference}` was not pulled"));
            findings.report(finding.hint("run `wattle pack pull`, and refer to the folder that it prints"));
            return None;
        };
        // A pin holds even if the tag moves.
        let pinned = pin.as_ref().map(|pin| pin.pin.source.as_str()).filter(|source| source.starts_with(REMOTE));
        match remote.locate(pinned.unwrap_or(reference)) {
            Ok(located) => Some(Found {
                files: PackFiles::Folder(located.folder.clone()),
                expected: None,
                reference: reference.to_owned(),
                source: located.pinned.clone(),
                called: located.source.clone(),
                pin,
                pulled: Some(located),
            }),
            Err(problem) => {
                let code = if problem.is_malformed { codes::BAD_VALUE } else { codes::NOT_PULLED };
                findings.report(code.at(place, problem.message).hint_if(problem.hint));
                None
            }
        }
    }
}

/// Returns the highest version that meets a requirement.
fn choose<'a>(
    candidates: &'a [Candidate],
    requirement: &Requirement,
    reference: &str,
    place: Place,
    findings: &mut Findings,
) -> Option<&'a Candidate> {
    let mut best: Option<&Candidate> = None;
    for candidate in candidates {
        let fits = candidate.version.as_ref().is_some_and(|version| requirement.matches(version));
        // Folders come first, and an equal version does not replace an earlier one.
        if fits && best.is_none_or(|best| best.version < candidate.version) {
            best = Some(candidate);
        }
    }
    // A pack without a readable version may be the intended one; the errors of its manifest then
    // say more.
    let best = best.or_else(|| candidates.iter().find(|candidate| candidate.version.is_none()));
    if best.is_none() {
        let message = format!("no version of the pack `{}` meets `{reference}`", reference::name_of(reference));
        findings.report(codes::VERSION_NOT_FOUND.at(place, message).hint(there_is(candidates)));
    }
    best
}

fn there_is(candidates: &[Candidate]) -> String {
    let mut versions: Vec<&Version> = candidates.iter().filter_map(|c| c.version.as_ref()).collect();
    versions.sort();
    versions.dedup();
    let versions: Vec<String> = versions.into_iter().map(Version::to_string).collect();
    format!("available: {}", suggest::list(versions.iter().map(String::as_str)))
}

fn find_folder(reference: &str, place: Place, base: &Path, findings: &mut Findings) -> Option<Found> {
    let folder = clean(&base.join(reference));
    findings.watch(folder.join(MANIFEST));
    if folder.join(MANIFEST).is_file() {
        return Some(Found {
            files: PackFiles::Folder(folder),
            expected: None,
            reference: reference.to_owned(),
            source: "folder".to_owned(),
            called: reference.to_owned(),
            pin: None,
            pulled: None,
        });
    }
    let message = format!("`{}` is not a pack: it has no `{MANIFEST}`", folder.display());
    findings
        .report(codes::PACK_NOT_FOUND.at(place, message).hint("folders are relative to the file that refers to them"));
    None
}

impl PackFiles {
    /// Path of a file, for messages and for watchers.
    pub fn path(&self, relative: &str) -> PathBuf {
        match self {
            Self::Folder(folder) => folder.join(relative),
            Self::Checked(files) => files.folder().join(relative),
            Self::Builtin(pack) => PathBuf::from(format!("builtin:{}@{}/{relative}", pack.name, pack.version)),
        }
    }

    /// The folder; `None` for a built-in pack.
    pub fn folder(&self) -> Option<&Path> {
        match self {
            Self::Folder(folder) => Some(folder),
            Self::Checked(files) => Some(files.folder()),
            Self::Builtin(_) => None,
        }
    }

    /// Whether this is a built-in pack.
    pub fn is_builtin(&self) -> bool {
        matches!(self, Self::Builtin(_))
    }

    /// Reads a file.
    ///
    /// # Errors
    ///
    /// The pack has no such file, it cannot be read, or it changed after the pack was checked.
    pub fn read(&self, relative: &str) -> io::Result<Vec<u8>> {
        match self {
            Self::Folder(folder) => read_plain(&folder.join(relative)),
            Self::Checked(files) => files.read(&clean(Path::new(relative)).to_string_lossy()),
            Self::Builtin(pack) => pack
                .files
                .iter()
                .find(|(path, _)| path == relative)
                .map(|(_, bytes)| bytes.to_vec())
                .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound)),
        }
    }

    /// Lists all files with their digests.
    ///
    /// # Errors
    ///
    /// A file cannot be read, or cannot be part of a pack.
    pub fn file_list(&self) -> Result<FileList, FileListError> {
        match self {
            Self::Folder(folder) => FileList::of_folder(folder),
            Self::Checked(files) => Ok(files.list().clone()),
            Self::Builtin(pack) => pack.file_list(),
        }
    }

    /// Lists the names in a folder of the pack, sorted; the empty path is the root.
    pub fn list(&self, relative: &str) -> Vec<String> {
        match self {
            Self::Folder(folder) => entries(&folder.join(relative)),
            Self::Checked(files) => names_in(files.paths(), relative),
            Self::Builtin(pack) => names_in(pack.files.iter().map(|(path, _)| path.as_str()), relative),
        }
    }

    /// The version in the manifest, if it can be read.
    fn version(&self) -> Option<Version> {
        let text = String::from_utf8(self.read(MANIFEST).ok()?).ok()?;
        let table: toml::Table = text.parse().ok()?;
        Version::parse(table.get("pack")?.get("version")?.as_str()?).ok()
    }
}

/// Lists the names in a folder, from the paths of all files.
fn names_in<'a>(paths: impl Iterator<Item = &'a str>, folder: &str) -> Vec<String> {
    let below = |path: &'a str| match folder {
        "" => Some(path),
        _ => path.strip_prefix(folder)?.strip_prefix('/'),
    };
    let mut names: Vec<String> = paths.filter_map(|path| below(path)?.split('/').next()).map(str::to_owned).collect();
    names.sort();
    names.dedup();
    names
}

/// Reads a file; refuses anything that could block or be endless.
///
/// # Errors
///
/// The file cannot be read, or is not a plain file.
pub fn read_plain(path: &Path) -> io::Result<Vec<u8>> {
    let metadata = std::fs::metadata(path)?;
    if !metadata.is_file() && !metadata.is_dir() {
        return Err(io::Error::other("it is not a plain file"));
    }
    std::fs::read(path)
}

/// Lists the names in a folder, sorted; empty if it cannot be read.
fn entries(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<String> = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// Removes `.` components from a path for display.
pub fn clean(path: &Path) -> PathBuf {
    let path: PathBuf = path.components().filter(|part| !matches!(part, Component::CurDir)).collect();
    if path.as_os_str().is_empty() { PathBuf::from(".") } else { path }
}

/// Finds the pack that a command names, and returns the place of its name. The place is a whole
/// file, since a command line has no text to point at.
pub fn find_named(reference: &str, library: &Library, findings: &mut Findings) -> (Option<Found>, Place) {
    let place = Place::file(findings.add_manifest(Path::new(reference), ""));
    (library.find(&as_folder(reference), place, Path::new(""), findings), place)
}

/// On a command line, an existing folder needs no `./`.
fn as_folder(reference: &str) -> String {
    let is_folder = Path::new(reference).join(MANIFEST).is_file();
    if is_folder && !reference.contains('/') { format!("./{reference}") } else { reference.to_owned() }
}
