//! The head of a pack's manifest: name, version, and required contract.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use semver::Version;
use serde::Deserialize;

use crate::files::Files;
use crate::image::{ImageError, PackConfig};

/// Maximum size of a pulled `pack.toml`, in bytes.
const MAX_MANIFEST_FILE: u64 = 1 << 20;

fn wrong(error: String) -> ImageError {
    ImageError::Malformed { part: "`pack.toml`", error }
}

/// The head of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Name of the pack.
    pub name: String,
    /// Version of the pack.
    pub version: String,
    /// Version of the contract that the pack requires.
    pub contract: String,
}

#[derive(Deserialize)]
struct Manifest {
    pack: Pack,
}

#[derive(Deserialize)]
struct Pack {
    name: String,
    version: String,
    contract: String,
}

impl Head {
    /// Reads the head of a pack's `pack.toml`. Name and version can be used as names of folders.
    ///
    /// # Errors
    ///
    /// The file is missing, or its head is not valid. The rest of the file is not checked.
    pub fn of_files(files: &Files) -> Result<Self, ImageError> {
        let text = files.get("pack.toml").ok_or_else(|| wrong("the file is missing".to_owned()))?;
        Self::of_manifest(text)
    }

    /// Reads the head of the `pack.toml` in a folder.
    ///
    /// # Errors
    ///
    /// As for [`Head::of_files`], or the file has more than 1 MiB.
    pub fn of_folder(folder: &Path) -> Result<Self, ImageError> {
        let read = || -> io::Result<Vec<u8>> {
            let mut text = Vec::new();
            File::open(folder.join("pack.toml"))?.take(MAX_MANIFEST_FILE + 1).read_to_end(&mut text)?;
            Ok(text)
        };
        let text = read().map_err(|error| wrong(error.to_string()))?;
        if text.len() as u64 > MAX_MANIFEST_FILE {
            return Err(wrong("it has more than 1 MiB".to_owned()));
        }
        Self::of_manifest(&text)
    }

    fn of_manifest(text: &[u8]) -> Result<Self, ImageError> {
        let text = std::str::from_utf8(text).map_err(|_| wrong("it is not UTF-8".to_owned()))?;
        let manifest: Manifest = toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            wrong(format!("line {}: {}", before.matches('\n').count() + 1, error.message()))
        })?;
        let Pack { name, version, contract } = manifest.pack;
        let name_fits = name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !name_fits {
            return Err(wrong(format!("bad pack name `{}`", name.escape_debug())));
        }
        Version::parse(&version).map_err(|_| {
            wrong(format!("bad version `{}`: it is not three numbers with dots", version.escape_debug()))
        })?;
        Ok(Self { name, version, contract })
    }

    /// Checks that the configuration of an image has the same name, version and contract.
    ///
    /// # Errors
    ///
    /// One of them differs.
    pub fn check(&self, config: &PackConfig) -> Result<(), ImageError> {
        let Self { name, version, contract } = self;
        if (name, version, contract) == (&config.name, &config.version, &config.contract) {
            return Ok(());
        }
        Err(ImageError::Malformed {
            part: "the configuration",
            error: format!("it has `{}@{}`, but `pack.toml` has `{name}@{version}`", config.name, config.version),
        })
    }
}
