//! What a package must know about its binary.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail, ensure};

/// A built agent.
pub(crate) struct Binary {
    pub(crate) version: String,
    pub(crate) arch: Arch,
    /// The newest version of glibc whose functions it uses; `None` for a static binary.
    pub(crate) glibc: Option<(u32, u32)>,
}

/// An architecture, by the names of both distributions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Arch {
    pub(crate) debian: &'static str,
    pub(crate) rpm: &'static str,
}

impl Binary {
    /// Reads a binary. `speaker` is the same program for this machine, which prints its version.
    pub(crate) fn read(program: &Path, speaker: &Path) -> anyhow::Result<Self> {
        let bytes = fs::read(program).with_context(|| program.display().to_string())?;
        let said = Command::new(speaker).arg("--version").output();
        let said = said.with_context(|| format!("could not start {}", speaker.display()))?;
        let said = String::from_utf8_lossy(&said.stdout).trim().to_owned();
        let version = said.strip_prefix("wattle ").with_context(|| format!("`--version` prints `{said}`"))?;
        Ok(Self { version: version.to_owned(), arch: arch(&bytes)?, glibc: glibc(&bytes) })
    }
}

/// The architecture in the header of an ELF file.
fn arch(bytes: &[u8]) -> anyhow::Result<Arch> {
    ensure!(bytes.starts_with(b"\x7fELF\x02\x01"), "the binary is not a 64-bit ELF file of a little-endian machine");
    match bytes.get(18..20) {
        Some([62, 0]) => Ok(Arch { debian: "amd64", rpm: "x86_64" }),
        Some([183, 0]) => Ok(Arch { debian: "arm64", rpm: "aarch64" }),
        machine => bail!("the binary is for the machine {machine:?}, which has no package"),
    }
}

/// The newest version of glibc that is named in the binary, as `GLIBC_2.34`.
fn glibc(bytes: &[u8]) -> Option<(u32, u32)> {
    const NAME: &[u8] = b"GLIBC_";
    let named = bytes.windows(NAME.len()).enumerate().filter(|(_, window)| *window == NAME);
    let versions = named.filter_map(|(at, _)| {
        let rest = bytes.get(at + NAME.len()..)?;
        let end = rest.iter().position(|byte| !byte.is_ascii_digit() && *byte != b'.')?;
        // A string of the table ends with a zero byte; other text does not count.
        (rest.get(end) == Some(&0)).then_some(())?;
        let (major, minor) = std::str::from_utf8(rest.get(..end)?).ok()?.split_once('.')?;
        Some((major.parse().ok()?, minor.split('.').next()?.parse().ok()?))
    });
    versions.max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_glibc_counts() {
        assert_eq!(glibc(b"..GLIBC_2.2.5\0GLIBC_2.34\0GLIBC_2.4\0"), Some((2, 34)));
        assert_eq!(glibc(b"GLIBC_2.99 is text\0GLIBC_PRIVATE\0"), None);
        assert_eq!(glibc(b"GLIBC_2.3"), None);
    }

    #[test]
    fn the_architecture_is_that_of_the_header() {
        let header = |machine: u8| [b"\x7fELF\x02\x01".as_slice(), &[0; 12], &[machine, 0]].concat();
        assert_eq!(arch(&header(62)).unwrap().debian, "amd64");
        assert_eq!(arch(&header(183)).unwrap().rpm, "aarch64");
        assert!(arch(&header(8)).is_err());
        assert!(arch(b"#!/bin/sh").is_err());
    }
}
