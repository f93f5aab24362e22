//! A file of state.
//!
//! `wattle state 2` and a line feed; the BLAKE3 digest of the rest; the text of how the state is shared;
//! the number of files that this one replaces in 4 bytes, and their paths; then for each snapshot its
//! version in 4 bytes, and its bytes. A text or bytes have their length in 8 bytes before them; all
//! numbers are little-endian. Paths are relative to the folder of all states.
//!
//! A new file is written beside the old one, synced, and renamed over it. An incomplete file is set
//! aside.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Component, Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use wattle_runtime::Snapshot;

/// Version of the format, as in `HEAD`.
pub const VERSION: u64 = 2;
const HEAD: &[u8] = b"wattle state 2\n";
/// The head of any version.
const ANY_HEAD: &[u8] = b"wattle state ";
/// Largest file: the whole memory of an instance, which 32-bit addresses bound.
const MAX_BYTES: u64 = 4 << 30;

/// The name of a file: the index of the slot, and how often state moved before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name {
    pub(super) index: usize,
    pub(super) number: u64,
}

impl Name {
    fn parse(text: &str) -> Option<Self> {
        let (index, number) = text.split_once('.').unwrap_or((text, "0"));
        Some(Self { index: index.parse().ok()?, number: number.parse().ok()? })
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.number {
            0 => write!(f, "{}", self.index),
            number => write!(f, "{}.{number}", self.index),
        }
    }
}

/// What a file contains.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Content {
    /// How the instances of the node share its state.
    pub(super) sharing: String,
    /// The files that it replaces.
    pub(super) replaced: Vec<PathBuf>,
    pub(super) snapshots: Vec<Snapshot>,
}

/// The names of the files of a node, in their order.
pub(super) fn names(folder: &Path) -> Vec<Name> {
    // A node without saved state has no folder.
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let name = |entry: fs::DirEntry| Name::parse(entry.file_name().to_str()?);
    let mut names: Vec<Name> = entries.filter_map(Result::ok).filter_map(name).collect();
    names.sort();
    names
}

/// Reads a file; sets it aside and returns `None` if it is corrupt, larger than any state, or not a
/// regular file.
///
/// # Errors
///
/// The file cannot be read.
pub(super) fn read(path: &Path) -> io::Result<Option<Content>> {
    // The head first: what is no state at all can have any size.
    let whole = head(path).and_then(|head| {
        let bytes = if head == HEAD { wattle_files::read(path, MAX_BYTES)? } else { Vec::new() };
        Ok((head, bytes))
    });
    let (content, reason) = match whole {
        Ok((head, bytes)) => (decode(&bytes), what_is_wrong(&head).to_owned()),
        Err(error) if wattle_files::is_foreign(&error) => (None, error.to_string()),
        Err(error) => return Err(error),
    };
    if content.is_none() {
        set_aside(path, &reason);
    }
    Ok(content)
}

fn head(path: &Path) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(HEAD.len());
    wattle_files::open(path)?.take(HEAD.len() as u64).read_to_end(&mut head)?;
    Ok(head)
}

/// Why a file with this head cannot be used.
fn what_is_wrong(head: &[u8]) -> &'static str {
    match head {
        HEAD => "its checksum or its form is wrong",
        _ if head.starts_with(ANY_HEAD) => "it has another version of the format than this agent reads, 2",
        _ => "it is not a file of state",
    }
}

fn set_aside(path: &Path, reason: &str) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let aside = path.with_file_name(format!("{name}.corrupt-{now}"));
    match fs::rename(path, &aside) {
        Ok(()) => {
            tracing::warn!(path = %path.display(), aside = %aside.display(), reason, "saved state is corrupt and was set aside");
        }
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, reason, "saved state is corrupt and cannot be set aside");
        }
    }
}

/// Writes a file, and its folder.
///
/// # Errors
///
/// The file cannot be written; the one before is unchanged.
pub(super) fn write(path: &Path, sharing: &str, replaced: &[&Path], snapshots: &[Snapshot]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(path);
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let new = path.with_file_name(format!("{}.new", path.file_name().unwrap_or_default().to_string_lossy()));
    let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(&encode(sharing, replaced, snapshots))?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    File::open(folder)?.sync_all()
}

fn encode(sharing: &str, replaced: &[&Path], snapshots: &[Snapshot]) -> Vec<u8> {
    let mut body = Vec::new();
    let push = |bytes: &[u8], body: &mut Vec<u8>| {
        body.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        body.extend_from_slice(bytes);
    };
    push(sharing.as_bytes(), &mut body);
    body.extend_from_slice(&u32::try_from(replaced.len()).unwrap_or(u32::MAX).to_le_bytes());
    for path in replaced {
        push(path.as_os_str().as_encoded_bytes(), &mut body);
    }
    for snapshot in snapshots {
        body.extend_from_slice(&snapshot.version.to_le_bytes());
        push(&snapshot.bytes, &mut body);
    }
    [HEAD, blake3::hash(&body).as_bytes(), &body].concat()
}

fn decode(file: &[u8]) -> Option<Content> {
    let (digest, mut body) = file.strip_prefix(HEAD)?.split_first_chunk::<32>()?;
    if blake3::hash(body) != *digest {
        return None;
    }
    let sharing = text(&mut body)?;
    let mut replaced = Vec::new();
    for _ in 0..number(&mut body)? {
        let path = PathBuf::from(text(&mut body)?);
        // Never a file anywhere else.
        path.components().all(|part| matches!(part, Component::Normal(_))).then(|| replaced.push(path))?;
    }
    let mut snapshots = Vec::new();
    while !body.is_empty() {
        let version = number(&mut body)?;
        snapshots.push(Snapshot { version, bytes: bytes(&mut body)?.to_vec().into() });
    }
    Some(Content { sharing, replaced, snapshots })
}

fn number(body: &mut &[u8]) -> Option<u32> {
    let (number, rest) = body.split_first_chunk::<4>()?;
    *body = rest;
    Some(u32::from_le_bytes(*number))
}

fn bytes<'a>(body: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = body.split_first_chunk::<8>()?;
    let (bytes, rest) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
    *body = rest;
    Some(bytes)
}

fn text(body: &mut &[u8]) -> Option<String> {
    Some(std::str::from_utf8(bytes(body)?).ok()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_says_what_it_replaces_and_nothing_outside_of_the_states() {
        let snapshots = vec![Snapshot { version: 3, bytes: "x".as_bytes().into() }];
        let before = ["main/count/0", "main@canary/count/1.2"].map(Path::new);
        let content = decode(&encode("worker", &before, &snapshots)).unwrap();
        let replaced = before.map(Path::to_owned).to_vec();
        assert_eq!(content, Content { sharing: "worker".into(), replaced, snapshots });
        for path in ["../../out", "/etc/passwd"] {
            assert_eq!(decode(&encode("worker", &[Path::new(path)], &[])), None, "{path}");
        }
    }

    #[test]
    fn the_log_says_why_a_file_cannot_be_used() {
        for (head, reason) in [
            (HEAD, "its checksum or its form is wrong"),
            (&b"wattle state 3\n"[..], "it has another version of the format than this agent reads, 2"),
            (&b"{\"a\":1}"[..], "it is not a file of state"),
        ] {
            assert_eq!(what_is_wrong(head), reason);
        }
    }

    #[test]
    fn what_is_no_state_is_set_aside_unread() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("0");
        // Reading it would take more memory than a machine has.
        File::create(&path).unwrap().set_len(MAX_BYTES).unwrap();
        assert_eq!(read(&path).unwrap(), None);
        assert!(!path.exists());
        write(&path, "worker", &[], &[Snapshot { version: 1, bytes: "x".as_bytes().into() }]).unwrap();
        assert_eq!(read(&path).unwrap().map(|content| content.snapshots.len()), Some(1));
    }

    #[test]
    fn only_names_of_slots_are_read() {
        for (text, name) in [("0", Some((0, 0))), ("12.3", Some((12, 3))), ("0.new", None), ("1.2.new", None)] {
            assert_eq!(Name::parse(text), name.map(|(index, number)| Name { index, number }), "{text}");
        }
        assert_eq!(Name { index: 4, number: 2 }.to_string(), "4.2");
    }
}
