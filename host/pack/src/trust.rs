//! The trust policy, and the verification of a pack before anything else is done with it.
//!
//! The files of a pack are read once and compared with the list that was signed (`pack.sum`),
//! pulled, or both; the pipeline is built from exactly those bytes. Small files stay in memory. A
//! large file is read again when it is needed and compared with its digest, so a pack of 256 MiB
//! does not cost 256 MiB. Nothing is parsed or compiled before it is verified, and a file that
//! changes in between is an error.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use crate::digest::{FileList, FileListError, LIST_FILE};
use crate::library::{Found, PackFiles, read_plain};
use crate::lock;
use crate::signature::PackSignature;
use wattle_diagnostics::{Findings, Place, codes, codes::Code};
use wattle_options::suggest;
use wattle_plan::{TrustPolicy, TrustedKey, hex_digest, to_hex};

/// Signature file, beside the file list.
pub const SIGNATURE_FILE: &str = "pack.sum.minisig";

/// One reason not to trust a pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distrust {
    code: Code,
    /// Description of the problem: file, expected and actual digest, key.
    pub message: String,
    /// How to fix it.
    pub hint: Option<String>,
}

impl Distrust {
    fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None }
    }

    fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// Diagnostic code of the problem.
    pub fn code(&self) -> &'static str {
        self.code.id
    }
}

/// The signer of a pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    /// The publisher, by the key's name in the policy.
    pub publisher: String,
    /// ID of the key.
    pub key_id: String,
}

/// The result of the check of a signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signature {
    /// The pack is a part of the agent.
    Builtin,
    /// The trust policy requires no signature of this pack, so there was no check.
    NotRequired,
    /// The pack is signed by a trusted key.
    By(Signer),
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Builtin => f.write_str("not checked: part of the agent"),
            Self::NotRequired => f.write_str("not checked: the trust policy requires no signature"),
            Self::By(Signer { publisher, key_id }) => write!(f, "signed by {publisher} ({key_id})"),
        }
    }
}

/// A pack that may be used.
#[derive(Debug)]
pub struct Opened {
    /// Its files.
    pub files: PackFiles,
    /// Their digests.
    pub list: FileList,
    /// Who signed it.
    pub signature: Signature,
}

/// The files of a pack in memory.
pub type PackBytes = BTreeMap<String, Vec<u8>>;

/// Maximum size of a file that a checked pack keeps in memory, in bytes. A larger one is read from
/// disk and compared with its digest each time.
const MAX_HELD_FILE: u64 = 4 << 20;
/// Maximum size of all files that a checked pack keeps in memory, in bytes.
const MAX_HELD: u64 = 16 << 20;
/// Maximum size of a file list and of a signature, in bytes: 10,000 files with long paths.
const MAX_LIST: u64 = 4 << 20;

/// The verified content of a folder. Small files are in memory; for the others only the digest is
/// kept, so that a read returns the verified bytes or fails.
#[derive(Debug)]
pub struct CheckedFiles {
    folder: PathBuf,
    list: FileList,
    held: PackBytes,
}

impl CheckedFiles {
    /// Reads a folder once, in pieces.
    pub(crate) fn of_folder(folder: &Path) -> Result<Self, FileListError> {
        let (list, held) = FileList::of_folder_holding(folder, MAX_HELD_FILE, MAX_HELD)?;
        let mut checked = Self { folder: folder.to_owned(), list, held };
        for name in [LIST_FILE, SIGNATURE_FILE] {
            let path = folder.join(name);
            if path.exists() {
                let bytes = read_list(&path).map_err(|error| FileListError::Unreadable { path, error })?;
                checked.held.insert(name.to_owned(), bytes);
            }
        }
        Ok(checked)
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn list(&self) -> &FileList {
        &self.list
    }

    /// Paths of all files, including the list and its signature.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &str> {
        let lists = [LIST_FILE, SIGNATURE_FILE].into_iter().filter(|name| self.held.contains_key(*name));
        self.list.iter().map(|(path, _)| path).chain(lists)
    }

    /// Returns the verified bytes of a file.
    pub(crate) fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        if let Some(bytes) = self.held.get(path) {
            return Ok(bytes.clone());
        }
        let expected = self.list.get(path).ok_or(io::ErrorKind::NotFound)?;
        let bytes = read_plain(&self.folder.join(path))?;
        if to_hex(&Sha256::digest(&bytes)) != expected {
            return Err(io::Error::other("the file changed after the pack was checked"));
        }
        Ok(bytes)
    }
}

/// Reads a file list or a signature.
fn read_list(path: &Path) -> io::Result<Vec<u8>> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a plain file"));
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(MAX_LIST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_LIST { Err(io::Error::other("it has more than 4 MiB")) } else { Ok(bytes) }
}

fn altered(message: String) -> Vec<Distrust> {
    vec![Distrust::new(codes::ALTERED_PACK, message)]
}

/// Verifies the signature of a pack, and that every file matches the signed list.
///
/// # Errors
///
/// All problems that were found.
pub fn verify(policy: &TrustPolicy, source: &str, files: &PackBytes) -> Result<Signer, Vec<Distrust>> {
    let found = list_of(files).map_err(|error| altered(format!("the pack `{source}`: {error}")))?;
    verify_files(policy, source, &found, |name| files.get(name).cloned())
}

/// Verifies the signature of a pack in a folder with these digests, and that every file matches the
/// signed list.
///
/// # Errors
///
/// All problems that were found.
pub fn verify_folder(
    policy: &TrustPolicy,
    source: &str,
    folder: &Path,
    found: &FileList,
) -> Result<Signer, Vec<Distrust>> {
    verify_files(policy, source, found, |name| read_list(&folder.join(name)).ok())
}

/// `read` returns the file list or its signature.
pub(crate) fn verify_files(
    policy: &TrustPolicy,
    source: &str,
    found: &FileList,
    read: impl Fn(&str) -> Option<Vec<u8>>,
) -> Result<Signer, Vec<Distrust>> {
    let text = |name: &str| read(name).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let (list, signature) = match (text(LIST_FILE), text(SIGNATURE_FILE)) {
        (Some(list), Some(signature)) => (list, signature),
        (list, _) => {
            let missing = if list.is_some() { SIGNATURE_FILE } else { LIST_FILE };
            let message = format!("the pack `{source}` is not signed: it has no `{missing}`");
            let hint = "sign it with `wattle pack sign`, or set `require = false` for it under `[packs.trust.packs]`";
            return Err(vec![Distrust::new(codes::UNSIGNED_PACK, message).hint(hint)]);
        }
    };
    let signer = find_signer(policy, source, &list, &signature).map_err(|problem| vec![problem])?;
    let expected = FileList::parse(&list)
        .map_err(|error| altered(format!("`{LIST_FILE}` of the pack `{source}` is not a file list: {error}")))?;
    let problems = differences(source, &expected, found, "signed", &signer.key_id);
    if problems.is_empty() { Ok(signer) } else { Err(problems) }
}

fn find_signer(policy: &TrustPolicy, source: &str, list: &str, signature: &str) -> Result<Signer, Distrust> {
    let bad = |why: String| {
        let message = format!("the signature `{SIGNATURE_FILE}` of the pack `{source}` is refused: {why}");
        Distrust::new(codes::BAD_SIGNATURE, message).hint("get the pack from its publisher again, or sign it again")
    };
    let signature = PackSignature::parse(signature).map_err(|error| bad(error.to_string()))?;
    let id = &signature.key_id;
    let known: Vec<&(String, TrustedKey)> = policy.keys.iter().filter(|(_, key)| key.id() == id).collect();
    let publishers = policy.packs.get(source).and_then(|pack| pack.publishers.as_ref());
    let counts = |publisher: &String| publishers.is_none_or(|publishers| publishers.contains(publisher));
    let Some((publisher, key)) = known.iter().find(|(publisher, _)| counts(publisher)) else {
        let (message, hint) = match (known.first(), publishers) {
            (Some((publisher, _)), Some(publishers)) => (
                format!(
                    "the pack `{source}` is signed by `{publisher}` with the key `{id}`, which is not accepted for it"
                ),
                format!("accepted signers: {}", suggest::list(publishers.iter().map(String::as_str))),
            ),
            _ => (
                format!(
                    "the pack `{source}` is signed (`{SIGNATURE_FILE}`) with the key `{id}`, which the trust policy does not contain"
                ),
                match policy.keys.as_slice() {
                    [] => "the trust policy has no keys; add one under `[packs.trust.keys]`".to_owned(),
                    keys => {
                        let keys: Vec<String> =
                            keys.iter().map(|(publisher, key)| format!("{publisher}: {}", key.id())).collect();
                        format!("trusted keys: {}", suggest::list(keys.iter().map(String::as_str)))
                    }
                },
            ),
        };
        return Err(Distrust::new(codes::UNTRUSTED_KEY, message).hint(hint));
    };
    match signature.check(list, key) {
        Ok(()) => Ok(Signer { publisher: publisher.clone(), key_id: id.clone() }),
        Err(error) => Err(bad(format!("{error} (`{LIST_FILE}`, {}, key `{id}`)", hex_digest(list.as_bytes())))),
    }
}

/// Reads the files of a pack's folder into memory, with the list and its signature if they exist.
/// Skips hidden files and caches, which are not part of a pack.
///
/// # Errors
///
/// The folder cannot be read, or has contents that packs cannot have.
pub fn read_files(folder: &Path) -> Result<PackBytes, FileListError> {
    let list = FileList::of_folder(folder)?;
    let mut files = PackBytes::new();
    let extra = [LIST_FILE, SIGNATURE_FILE].into_iter().filter(|name| folder.join(name).exists());
    for name in list.iter().map(|(path, _)| path).chain(extra) {
        let path = folder.join(name);
        match read_plain(&path) {
            Ok(bytes) => files.insert(name.to_owned(), bytes),
            Err(error) => return Err(FileListError::Unreadable { path, error }),
        };
    }
    Ok(files)
}

/// Opens a resolved pack: verifies its files against the lock, the pulled image and the signature,
/// and returns the verified files with their list. Returns `None` after reporting errors.
pub fn open(found: &Found, policy: &TrustPolicy, user: Place, findings: &mut Findings) -> Option<Opened> {
    let required = match &found.files {
        PackFiles::Folder(_) => policy.requires(&found.called),
        // A built-in pack is trusted like the agent itself.
        PackFiles::Builtin(_) | PackFiles::Checked(_) => false,
    };
    let read = match &found.files {
        PackFiles::Folder(folder) if required || found.pulled.is_some() || found.pin.is_some() => {
            CheckedFiles::of_folder(folder).map(|files| PackFiles::Checked(Arc::new(files)))
        }
        files => Ok(files.clone()),
    };
    let (files, list) = match read.and_then(|files| files.file_list().map(|list| (files, list))) {
        Ok(opened) => opened,
        Err(error) => {
            if let PackFiles::Folder(folder) = &found.files {
                findings.watch(folder);
            }
            let message = format!("the files of the pack `{}` cannot be listed: {error}", found.reference);
            findings.report(codes::PACK_FILES.at(user, message));
            return None;
        }
    };
    if let Some(folder) = files.folder() {
        // A change of any file can fix or break the pack, so watch all of them.
        for (path, _) in list.iter() {
            findings.watch(folder.join(path).parent().unwrap_or(folder));
        }
        for name in [LIST_FILE, SIGNATURE_FILE] {
            findings.watch(folder.join(name));
        }
    }
    if let Some(pin) = &found.pin
        && !lock::check_digest(pin, &list, &format!("`{}`", found.reference), findings)
    {
        return None;
    }
    let mut problems = Vec::new();
    let mut signature = Signature::NotRequired;
    if let PackFiles::Builtin(_) = &files {
        signature = Signature::Builtin;
    }
    if let Some(pulled) = &found.pulled {
        problems = differences(&found.called, &pulled.list, &list, "pulled", &pulled.pinned);
    }
    if let (PackFiles::Checked(checked), true) = (&files, required && problems.is_empty()) {
        match verify_files(policy, &found.called, &list, |name| checked.read(name).ok()) {
            Ok(signer) => signature = Signature::By(signer),
            Err(distrust) => problems = distrust,
        }
    }
    if problems.is_empty() {
        return Some(Opened { files, list, signature });
    }
    report(problems, user, findings);
    None
}

/// Lists files without the list and its signature.
pub(crate) fn list_of(files: &PackBytes) -> Result<FileList, FileListError> {
    FileList::of_files(files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())))
}

/// Compares files with the expected list; `how` names the origin of that list.
fn differences(source: &str, expected: &FileList, found: &FileList, how: &str, who: &str) -> Vec<Distrust> {
    let mut problems = Vec::new();
    let mut problem = |what: String| {
        let hint = match how {
            "signed" => "get the pack from its publisher again, or sign it again".to_owned(),
            _ => format!("pull it again with `wattle pack pull {who}`"),
        };
        problems.push(Distrust::new(codes::ALTERED_PACK, what).hint(hint));
    };
    let by = if how == "signed" { format!("signed with the key `{who}`") } else { "pulled".to_owned() };
    for (path, digest) in expected.iter() {
        match found.get(path) {
            Some(same) if same == digest => {}
            Some(other) => problem(format!(
                "`{path}` of the pack `{source}` differs from the file that was {by}: expected `sha256:{digest}`, \
                 found `sha256:{other}`"
            )),
            None => problem(format!(
                "`{path}` of the pack `{source}`, which was {by}, is missing: expected `sha256:{digest}`"
            )),
        }
    }
    for (path, digest) in found.iter().filter(|(path, _)| expected.get(path).is_none()) {
        problem(format!(
            "`{path}` of the pack `{source}` is not among the files that were {by}: expected nothing, \
             found `sha256:{digest}`"
        ));
    }
    problems
}

/// Reports problems at the place that names the pack.
fn report(problems: Vec<Distrust>, place: Place, findings: &mut Findings) {
    for Distrust { code, message, hint } in problems {
        findings.report(code.at(place, message).hint_if(hint));
    }
}
