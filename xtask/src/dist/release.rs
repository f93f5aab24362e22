//! What a release is made of and named after.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};

use super::hex_digest;
use crate::nodes::BUILTIN;
use crate::process::target_dir;
use crate::remap::printed;

/// Facts about the commit and the compiler.
pub(crate) struct Facts {
    pub(crate) version: &'static str,
    pub(crate) commit: String,
    /// Whether tracked files differ from the commit, or others are there.
    pub(crate) is_modified: bool,
    /// Unix time of the commit in seconds.
    pub(crate) seconds: u64,
    /// The same in the format of RFC 3339.
    pub(crate) time: String,
    /// Text of `Cargo.lock`.
    pub(crate) lock: String,
    rustc: String,
    rustc_commit: String,
}

impl Facts {
    pub(crate) fn read() -> anyhow::Result<Self> {
        let git = |arguments: &[&str]| printed(Command::new("git").args(arguments).env("TZ", "UTC"));
        let rustc = printed(Command::new("rustc").arg("-vV"))?;
        let fact = |name: &str| {
            let value = rustc.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            value.map(str::to_owned).with_context(|| format!("`rustc -vV` prints no {name}"))
        };
        let seconds = git(&["log", "-1", "--format=%ct"])?;
        let time = git(&["log", "-1", "--date=format-local:%Y-%m-%dT%H:%M:%SZ", "--format=%cd"])?;
        Ok(Self {
            // All packages of the workspace share it.
            version: env!("CARGO_PKG_VERSION"),
            commit: git(&["rev-parse", "HEAD"])?.trim().to_owned(),
            is_modified: !git(&["status", "--porcelain"])?.trim().is_empty(),
            seconds: seconds.trim().parse().context("the time of the last commit")?,
            time: time.trim().to_owned(),
            lock: fs::read_to_string("Cargo.lock")?,
            rustc: fact("release")?,
            rustc_commit: fact("commit-hash")?,
        })
    }

    /// Version and commit of rustc.
    pub(crate) fn rustc(&self) -> (&str, &str) {
        (&self.rustc, &self.rustc_commit)
    }
}

/// Names and digests of the built-in nodes.
pub(crate) fn nodes() -> anyhow::Result<Vec<(String, String)>> {
    let folder = target_dir()?.join("nodes");
    let node = |name: &&str| {
        let path = folder.join(format!("{name}.wasm"));
        let bytes = fs::read(&path).with_context(|| path.display().to_string())?;
        Ok(((*name).to_owned(), hex_digest(&bytes)))
    };
    BUILTIN.iter().map(node).collect()
}

/// Makes an empty folder for a release: the files of an earlier one would be signed too. Removes nothing but a release.
pub(crate) fn empty(out: &Path) -> anyhow::Result<()> {
    if out.exists() {
        let is_release = out.join("SHA256SUMS").is_file() || fs::read_dir(out)?.next().is_none();
        ensure!(is_release, "{} has other files than a release; use another folder", out.display());
        fs::remove_dir_all(out).with_context(|| out.display().to_string())?;
    }
    fs::create_dir_all(out).with_context(|| out.display().to_string())?;
    // A build that fails leaves a folder that the next one may remove.
    Ok(fs::write(out.join("SHA256SUMS"), "")?)
}

/// Names and digests of the files in a folder, by name, without the list of digests itself.
pub(crate) fn files(folder: &Path) -> anyhow::Result<Vec<(String, String)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().context("a file has a name")?.to_string_lossy().into_owned();
        if name != "SHA256SUMS" {
            files.push((name, hex_digest(&fs::read(&path)?)));
        }
    }
    files.sort();
    Ok(files)
}

/// Whether a 64-bit ELF file needs no interpreter: no entry of its program headers names one.
pub(crate) fn is_static(bytes: &[u8]) -> bool {
    const INTERPRETER: u32 = 3;
    let number = |at: usize, size: usize| {
        let bytes = bytes.get(at..at.checked_add(size)?)?;
        Some(bytes.iter().rev().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte)))
    };
    let kinds = || {
        let (start, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
        let kind = |place: u64| number(usize::try_from(start + place * size).ok()?, 4);
        (0..count).map(kind).collect::<Option<Vec<u64>>>()
    };
    kinds().is_some_and(|kinds| !kinds.is_empty() && !kinds.contains(&u64::from(INTERPRETER)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The header of a file with these entries.
    fn elf(kinds: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; 64];
        bytes[32] = 64;
        bytes[54] = 56;
        bytes[56] = u8::try_from(kinds.len()).unwrap();
        for kind in kinds {
            bytes.push(*kind);
            bytes.extend([0; 55]);
        }
        bytes
    }

    #[test]
    fn only_a_release_is_removed() {
        let folder = std::env::temp_dir().join(format!("wattle-release-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("thesis.txt"), "years of work").unwrap();
        empty(&folder).unwrap_err();
        assert!(folder.join("thesis.txt").exists());
        fs::write(folder.join("SHA256SUMS"), "").unwrap();
        empty(&folder).unwrap();
        assert_eq!(files(&folder).unwrap(), []);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_file_that_names_an_interpreter_is_not_static() {
        assert!(is_static(&elf(&[6, 1, 2])));
        assert!(!is_static(&elf(&[6, 3, 1])));
        assert!(!is_static(&elf(&[])), "no program");
        assert!(!is_static(&elf(&[6, 1])[..100]), "cut off");
        let own = std::env::current_exe().unwrap();
        assert!(!is_static(&fs::read(own).unwrap()), "the test itself uses glibc");
    }
}
