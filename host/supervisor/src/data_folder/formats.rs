//! Refuses a data folder in which a newer agent wrote files in formats that this agent does not know.
//!
//! The check runs before anything in the folder is opened, since readers set files aside that they cannot read, and then
//! write new ones. Every format has its version at the beginning:
//!
//! | files | contents | version |
//! | --- | --- | --- |
//! | `buffer/SINK/*.segment` | disk buffer | u32 behind `WATTLEBF` |
//! | `sources/…/checkpoints.json` and `.previous` | positions of a source | first key, `version` |
//! | `state/PIPELINE/NODE/SLOT` | state of a node | `wattle state N` |
//! | `kv/PIPELINE/NODE` | keys and values of a node | u32 behind `WATTLEKV` |
//! | `seen/PIPELINE/NODE` | claims of a node | u32 behind `WATTLESN` |
//! | `rollout.json` | decisions about canaries | first key, `version`; version 1 has none |
//!
//! `history.ndjson` and the quarantine have a JSON object in each line: readers ignore keys and kinds of events that they
//! do not know. The lock of packs has the key `format`, which its reader checks. The cache of compiled nodes and the
//! images of registries can be made again.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// Bytes at the beginning of a file that are enough for its version.
const HEAD: u64 = 64;
/// How deep the folders of a source or a node are at most.
const MAX_DEPTH: usize = 4;
/// A version above this is damage, not a newer agent: the reader of the file reports it.
const MAX_VERSION: u64 = 1000;

/// A format of files.
struct Format {
    /// What the files hold, for messages.
    contents: &'static str,
    /// Newest version that this agent reads.
    known: u64,
    /// Reads the version; `None` if the head is not of this format.
    version: fn(&[u8]) -> Option<u64>,
}

const BUFFER: Format = Format {
    contents: "a disk buffer",
    known: wattle_buffer::disk::FORMAT_VERSION as u64,
    version: |head| binary(head, b"WATTLEBF"),
};
const POSITIONS: Format =
    Format { contents: "positions of a source", known: wattle_source::POSITIONS_VERSION as u64, version: json };
const STATE: Format = Format { contents: "state of a node", known: wattle_topology::STATE_VERSION, version: text };
const KV: Format = Format {
    contents: "keys and values of a node",
    known: wattle_capability::KV_VERSION as u64,
    version: |head| binary(head, b"WATTLEKV"),
};
const SEEN: Format = Format {
    contents: "claims of a node",
    known: wattle_capability::SEEN_VERSION as u64,
    version: |head| binary(head, b"WATTLESN"),
};
const ROLLOUT: Format = Format { contents: "decisions about canaries", known: 1, version: json };

fn binary(head: &[u8], magic: &[u8; 8]) -> Option<u64> {
    let version = head.strip_prefix(magic)?.first_chunk::<4>()?;
    Some(u32::from_le_bytes(*version).into())
}

fn text(head: &[u8]) -> Option<u64> {
    let rest = head.strip_prefix(b"wattle state ")?;
    let end = rest.iter().position(|byte| *byte == b'\n')?;
    std::str::from_utf8(rest.get(..end)?).ok()?.parse().ok()
}

/// The number of the first key, if that is `version`.
fn json(head: &[u8]) -> Option<u64> {
    let text: Vec<u8> = head.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let rest = text.strip_prefix(b"{\"version\":")?;
    let digits: Vec<u8> = rest.iter().copied().take_while(u8::is_ascii_digit).collect();
    std::str::from_utf8(&digits).ok()?.parse().ok()
}

/// A file that a newer agent wrote.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Newer {
    pub(super) path: PathBuf,
    pub(super) contents: &'static str,
    pub(super) version: u64,
    pub(super) known: u64,
}

/// Looks for a file that a newer agent wrote. Files that cannot be read are for their readers to report.
pub(super) fn newer(data_dir: &Path) -> Option<Newer> {
    let mut found = None;
    for folder in ["buffer", "sources", "state", "kv", "seen"] {
        visit(&data_dir.join(folder), MAX_DEPTH, &mut |path| {
            if found.is_none() {
                found = format_of(folder, path).and_then(|format| check(path, format));
            }
        });
    }
    found.or_else(|| check(&data_dir.join("rollout.json"), &ROLLOUT))
}

fn format_of(folder: &str, path: &Path) -> Option<&'static Format> {
    let name = path.file_name()?.to_str()?;
    match folder {
        "buffer" => name.ends_with(".segment").then_some(&BUFFER),
        "sources" => matches!(name, "checkpoints.json" | "checkpoints.json.previous").then_some(&POSITIONS),
        "kv" => Some(&KV),
        "seen" => Some(&SEEN),
        _ => Some(&STATE),
    }
}

fn visit(folder: &Path, depth: usize, each: &mut dyn FnMut(&Path)) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && depth > 0 => visit(&entry.path(), depth - 1, each),
            // Not a pipe, which would wait for a writer.
            Ok(kind) if kind.is_file() => each(&entry.path()),
            _ => {}
        }
    }
}

fn check(path: &Path, format: &Format) -> Option<Newer> {
    let is_file = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file());
    let version = if is_file { (format.version)(&head(path).ok()?)? } else { return None };
    let is_newer = version > format.known && version <= MAX_VERSION;
    is_newer.then(|| Newer { path: path.to_owned(), contents: format.contents, version, known: format.known })
}

fn head(path: &Path) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    File::open(path)?.take(HEAD).read_to_end(&mut head)?;
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The head of each format in a version, where its files are.
    fn heads(version: u32) -> Vec<(&'static str, Vec<u8>)> {
        let binary = |magic: &[u8]| [magic, &version.to_le_bytes(), b"more"].concat();
        vec![
            ("buffer/out/00000000000000000001.segment", binary(b"WATTLEBF")),
            ("sources/in/checkpoints.json", format!("{{\"version\":{version},\"files\":[]}}").into_bytes()),
            ("sources/in/objects/checkpoints.json.previous", format!("{{ \"version\": {version} }}").into_bytes()),
            ("state/main/count/0", format!("wattle state {version}\nbytes").into_bytes()),
            ("state/main/count/1.7", format!("wattle state {version}\nbytes").into_bytes()),
            ("kv/main/count", binary(b"WATTLEKV")),
            ("seen/main/dedup", binary(b"WATTLESN")),
            ("rollout.json", format!("{{\"version\": {version}}}").into_bytes()),
        ]
    }

    fn write(folder: &Path, name: &str, content: &[u8]) -> PathBuf {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    #[test]
    fn each_format_is_refused_if_it_is_newer_and_its_file_stays_as_it_is() {
        for (name, content) in heads(3) {
            let folder = tempfile::tempdir().unwrap();
            let path = write(folder.path(), name, &content);
            let error = super::super::lock(folder.path()).unwrap_err().to_string();
            assert!(error.contains(&path.display().to_string()) && error.contains("version 3"), "{error}");
            assert!(error.contains("start the newer agent"), "{error}");
            assert_eq!(fs::read(&path).unwrap(), content, "{name}");
        }
    }

    #[test]
    fn the_formats_of_this_agent_older_ones_and_damage_are_for_their_readers() {
        let folder = tempfile::tempdir().unwrap();
        for version in [0, 1, 100_000] {
            for (name, content) in heads(version) {
                write(folder.path(), name, &content);
            }
            assert_eq!(newer(folder.path()), None, "{version}");
        }
        // A pipeline with this name is no version.
        write(folder.path(), "rollout.json", b"{\"version\": {\"primary\": \"x\"}}");
        write(folder.path(), "seen/main/dedup", b"");
        assert_eq!(newer(folder.path()), None);
    }
}
