//! The artifact of a pack: an OCI image manifest, a configuration, one layer.
//!
//! | part | media type | content |
//! | --- | --- | --- |
//! | manifest | `application/vnd.oci.image.manifest.v1+json` | with `artifactType` [`ARTIFACT`] |
//! | configuration | [`CONFIG`] | name, version, contract and digest of the pack, as JSON |
//! | layer | [`LAYER`] | the tar of [`crate::files`], compressed with gzip |
//!
//! libdeflate writes the gzip, since it gives the same bytes on every machine. zlib and its forks
//! select the algorithm by the features of the processor.

mod layer;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::sync::Arc;

use flate2::bufread::GzDecoder;
use libdeflater::{CompressionLvl, Compressor};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use wattle_pack::digest::{FileList, FileListError};

use crate::files::{self, Files, FilesError, MAX_BYTES};
use crate::reason::{json_reason, layer_reason};
use crate::unpack::{self, Discard, Unpack};
use layer::Capped;
pub(crate) use layer::Layer;

/// Type of the artifact.
pub const ARTIFACT: &str = "application/vnd.wattle.pack.v1";
/// Media type of the configuration.
pub const CONFIG: &str = "application/vnd.wattle.pack.config.v1+json";
/// Media type of the layer.
pub const LAYER: &str = "application/vnd.wattle.pack.layer.v1.tar+gzip";
/// Media type of the manifest.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Maximum size of a manifest, in bytes.
pub const MAX_MANIFEST: u64 = 256 << 10;
/// Maximum size of a configuration, in bytes.
pub const MAX_CONFIG: u64 = 64 << 10;
/// Maximum size of a compressed layer, in bytes.
pub const MAX_LAYER: u64 = 128 << 20;
/// Maximum decompression ratio of a layer.
const MAX_RATIO: u64 = 100;
/// Layers that unpack to less than this many bytes are exempt from [`MAX_RATIO`].
const RATIO_EXEMPT: u64 = 4 << 20;
/// Compression level. It is part of the canonical form, since another level gives other bytes.
const LEVEL: i32 = 9;

/// An error in the artifact of a pack.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// A part has the media type of another kind of artifact.
    #[error("{part} has the media type `{found}` instead of `{expected}`; this is not a Wattle pack")]
    ForeignMedia {
        /// The part.
        part: &'static str,
        /// Actual media type.
        found: String,
        /// Expected media type.
        expected: &'static str,
    },
    /// A part cannot be parsed, or has invalid contents.
    #[error("{part} is not valid: {error}")]
    Malformed {
        /// The part.
        part: &'static str,
        /// Cause.
        error: String,
    },
    /// The digest of a part is not the expected one.
    #[error("{part} has the digest `{found}`, but `{expected}` is expected")]
    WrongDigest {
        /// The part.
        part: String,
        /// Expected digest.
        expected: String,
        /// Actual digest.
        found: String,
    },
    /// A part is too large.
    #[error("{part} has {size} bytes; at most {max} are allowed")]
    TooLarge {
        /// The part.
        part: &'static str,
        /// Size in bytes.
        size: u64,
        /// Maximum size in bytes.
        max: u64,
    },
    /// The layer exceeds the maximum decompression ratio.
    #[error("the layer unpacks to more than {0} bytes")]
    Bomb(u64),
    /// There is data after the end of the layer's gzip member.
    #[error("the layer has {0} bytes after its end")]
    Trailing(u64),
    /// The files are not valid.
    #[error("the layer is refused: {0}")]
    Files(#[from] FilesError),
}

impl From<FileListError> for ImageError {
    fn from(error: FileListError) -> Self {
        Self::Files(error.into())
    }
}

/// The configuration of an image: the identity of the pack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackConfig {
    /// Name as in `pack.toml`.
    pub name: String,
    /// Version as in `pack.toml`.
    pub version: String,
    /// Version of the contract that the pack requires.
    pub contract: String,
    /// Digest of the pack, which is the digest of the list of its files.
    pub digest: String,
}

/// A descriptor: the reference of a manifest to a part of the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// Media type.
    pub media_type: String,
    /// `sha256:` and hexadecimal digits.
    pub digest: String,
    /// Bytes.
    pub size: u64,
    /// Type of the artifact; used in an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// Annotations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl Descriptor {
    /// Returns the descriptor of bytes.
    pub fn of(media_type: &str, bytes: &[u8]) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest: digest(bytes),
            size: bytes.len() as u64,
            artifact_type: None,
            annotations: BTreeMap::new(),
        }
    }

    /// Checks the digest of bytes.
    ///
    /// # Errors
    ///
    /// The digest differs.
    pub fn check(&self, part: &str, bytes: &[u8]) -> Result<(), ImageError> {
        let found = digest(bytes);
        if found == self.digest {
            return Ok(());
        }
        Err(ImageError::WrongDigest { part: part.to_owned(), expected: self.digest.clone(), found })
    }
}

/// The manifest of an image.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    schema_version: u32,
    #[serde(default)]
    media_type: String,
    #[serde(default)]
    artifact_type: String,
    config: Descriptor,
    layers: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
}

/// The parts that a manifest refers to, with valid media types and sizes.
#[derive(Debug, Clone)]
pub struct Parts {
    /// The configuration.
    pub config: Descriptor,
    /// The layer.
    pub layer: Descriptor,
}

impl Parts {
    /// Reads a manifest.
    ///
    /// # Errors
    ///
    /// The manifest is not that of a pack.
    pub fn read(manifest: &[u8]) -> Result<Self, ImageError> {
        let malformed = |error: String| ImageError::Malformed { part: "the manifest", error };
        // Manifests of other artifacts can have another structure. Check the media type first,
        // because its error is the most helpful.
        let head: Head = serde_json::from_slice(manifest).map_err(|error| malformed(json_reason(&error)))?;
        expect("the manifest", head.media_type.unwrap_or_else(|| MANIFEST.to_owned()), MANIFEST)?;
        let manifest: Manifest = serde_json::from_slice(manifest).map_err(|error| malformed(json_reason(&error)))?;
        let config_type = manifest.config.media_type.clone();
        // Without an artifact type, the media type of the configuration identifies the artifact.
        let artifact = if manifest.artifact_type.is_empty() { config_type.clone() } else { manifest.artifact_type };
        expect("the artifact", artifact, ARTIFACT)?;
        expect("the configuration", config_type, CONFIG)?;
        let [layer] = <[Descriptor; 1]>::try_from(manifest.layers)
            .map_err(|layers| malformed(format!("it has {} layers instead of one", layers.len())))?;
        expect("the layer", layer.media_type.clone(), LAYER)?;
        for (part, size, max) in
            [("the configuration", manifest.config.size, MAX_CONFIG), ("the layer", layer.size, MAX_LAYER)]
        {
            if size > max {
                return Err(ImageError::TooLarge { part, size, max });
            }
        }
        for descriptor in [&manifest.config, &layer] {
            if !is_digest(&descriptor.digest) {
                return Err(malformed(format!("`{}` is not a SHA-256 digest", descriptor.digest.escape_debug())));
            }
        }
        Ok(Self { config: manifest.config, layer })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    media_type: Option<String>,
}

/// A pack as an OCI artifact. Every digest in it was verified.
#[derive(Debug, Clone)]
pub struct Image {
    manifest: Vec<u8>,
    config: Vec<u8>,
    layer: Layer,
    pack: PackConfig,
}

/// The manifest determines the other parts by their digests.
impl PartialEq for Image {
    fn eq(&self, other: &Self) -> bool {
        self.manifest == other.manifest
    }
}

impl Eq for Image {}

impl Image {
    /// Builds the image of a pack from its files.
    ///
    /// # Errors
    ///
    /// The files exceed a limit of packs.
    pub fn pack(files: &Files, name: &str, version: &str, contract: &str) -> Result<Self, ImageError> {
        files::check(files)?;
        let pack = PackConfig {
            name: name.to_owned(),
            version: version.to_owned(),
            contract: contract.to_owned(),
            digest: files::list(files)?.digest(),
        };
        let json =
            |part: &'static str, error: serde_json::Error| ImageError::Malformed { part, error: error.to_string() };
        let config = serde_json::to_vec(&pack).map_err(|error| json("the configuration", error))?;
        let layer = compress(&files::to_tar(files)?)?;
        let manifest = Manifest {
            schema_version: 2,
            media_type: MANIFEST.to_owned(),
            artifact_type: ARTIFACT.to_owned(),
            config: Descriptor::of(CONFIG, &config),
            layers: vec![Descriptor::of(LAYER, &layer)],
            annotations: BTreeMap::from([
                ("org.opencontainers.image.title".to_owned(), name.to_owned()),
                ("org.opencontainers.image.version".to_owned(), version.to_owned()),
            ]),
        };
        let manifest = serde_json::to_vec(&manifest).map_err(|error| json("the manifest", error))?;
        let image = Self { manifest, config, layer: Layer::Memory(layer), pack };
        // Check the limits by unpacking, so that the author of a pack sees the error, not the users
        // who pull it.
        image.unpack_into(&mut Discard)?;
        Ok(image)
    }

    /// Builds the image of a pack from its files, with the head of its manifest.
    ///
    /// # Errors
    ///
    /// As for [`Image::pack`], or the head of the manifest is not valid.
    pub fn of_files(files: &Files) -> Result<Self, ImageError> {
        let head = crate::head::Head::of_files(files)?;
        Self::pack(files, &head.name, &head.version, &head.contract)
    }

    /// Builds an image from its parts.
    ///
    /// # Errors
    ///
    /// A digest is wrong, or the parts are not those of a pack.
    pub fn of_parts(manifest: Vec<u8>, config: Vec<u8>, layer: Vec<u8>) -> Result<Self, ImageError> {
        let parts = Parts::read(&manifest)?;
        parts.config.check("the configuration", &config)?;
        parts.layer.check("the layer", &layer)?;
        let pack = read_config(&config)?;
        Ok(Self { manifest, config, layer: Layer::Memory(layer), pack })
    }

    /// Builds an image with a layer in a file. The caller must have verified the digest of the
    /// layer.
    pub(crate) fn with_spooled(
        manifest: Vec<u8>,
        config: Vec<u8>,
        layer: File,
        length: u64,
    ) -> Result<Self, ImageError> {
        let parts = Parts::read(&manifest)?;
        parts.config.check("the configuration", &config)?;
        let pack = read_config(&config)?;
        Ok(Self { manifest, config, layer: Layer::Spooled(Arc::new(layer), length), pack })
    }

    /// Bytes of the manifest.
    pub fn manifest(&self) -> &[u8] {
        &self.manifest
    }

    /// Bytes of the configuration.
    pub fn config(&self) -> &[u8] {
        &self.config
    }

    /// Bytes of the layer. A pulled layer is read from disk.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub fn layer(&self) -> io::Result<Cow<'_, [u8]>> {
        match &self.layer {
            Layer::Memory(bytes) => Ok(Cow::Borrowed(bytes)),
            Layer::Spooled(..) => {
                let mut bytes = Vec::new();
                self.layer.open().read_to_end(&mut bytes)?;
                Ok(Cow::Owned(bytes))
            }
        }
    }

    /// The parsed configuration.
    pub fn pack_config(&self) -> &PackConfig {
        &self.pack
    }

    /// Digest of the manifest, which identifies the image in a registry.
    pub fn digest(&self) -> String {
        digest(&self.manifest)
    }

    /// Unpacks the files into memory.
    ///
    /// # Errors
    ///
    /// The layer is not that of a pack, or the digest of its files differs from the configuration.
    pub fn unpack(&self) -> Result<Files, ImageError> {
        let mut files = Files::new();
        self.unpack_into(&mut files)?;
        Ok(files)
    }

    /// Unpacks the files in pieces, and returns their list after comparing its digest with the
    /// configuration.
    pub(crate) fn unpack_into(&self, into: &mut dyn Unpack) -> Result<FileList, ImageError> {
        // 8 MiB for headers and padding: a tar has one block per file and two at its end.
        let max = self.layer.len().saturating_mul(MAX_RATIO).clamp(RATIO_EXEMPT, MAX_BYTES + (8 << 20));
        let mut decoder = GzDecoder::new(BufReader::with_capacity(64 << 10, self.layer.open()));
        let mut capped = Capped { inner: &mut decoder, left: max, is_exceeded: false, broken: None };
        let unpacked = unpack::unpack(&mut capped, into);
        if matches!(unpacked, Err(FilesError::NotCanonical(_))) {
            // Read on, so that a decompression bomb is reported as one and not as a damaged tar.
            let _ = io::copy(&mut capped, &mut io::sink());
        }
        let Capped { is_exceeded, broken, .. } = capped;
        if is_exceeded {
            return Err(ImageError::Bomb(max));
        }
        let malformed = |error: io::Error| ImageError::Malformed { part: "the layer", error: layer_reason(&error) };
        if let Some(error) = broken {
            return Err(malformed(error));
        }
        let list = unpacked?;
        let rest = io::copy(&mut decoder.into_inner(), &mut io::sink()).map_err(malformed)?;
        if rest > 0 {
            return Err(ImageError::Trailing(rest));
        }
        let found = list.list.digest();
        if found != self.pack.digest {
            let part = format!("the list of the files of `{}@{}`", self.pack.name, self.pack.version);
            return Err(ImageError::WrongDigest { part, expected: self.pack.digest.clone(), found });
        }
        // The digest of the pack does not cover these files, so they must not exist.
        if let Some(path) = list.others.into_iter().find(|path| !is_known(path)) {
            return Err(FilesError::BadPath(path).into());
        }
        Ok(list.list)
    }
}

fn is_known(path: &str) -> bool {
    wattle_pack::digest::is_part(path) || path == wattle_pack::digest::LIST_FILE || path == wattle_pack::SIGNATURE_FILE
}

/// Reads a configuration.
///
/// # Errors
///
/// It is not the configuration of a pack.
pub fn read_config(config: &[u8]) -> Result<PackConfig, ImageError> {
    let malformed = |error: String| ImageError::Malformed { part: "the configuration", error };
    let pack: PackConfig = serde_json::from_slice(config).map_err(|error| malformed(json_reason(&error)))?;
    if !is_digest(&pack.digest) {
        return Err(malformed(format!("`{}` is not a SHA-256 digest", pack.digest.escape_debug())));
    }
    Ok(pack)
}

fn expect(part: &'static str, found: String, expected: &'static str) -> Result<(), ImageError> {
    // Media types are case-insensitive.
    if found.eq_ignore_ascii_case(expected) { Ok(()) } else { Err(ImageError::ForeignMedia { part, found, expected }) }
}

/// Returns the SHA-256 of bytes as `sha256:` and hexadecimal digits.
pub fn digest(bytes: &[u8]) -> String {
    digest_text(&Sha256::digest(bytes))
}

/// Formats a digest.
pub(crate) fn digest_text(digest: &[u8]) -> String {
    let mut text = "sha256:".to_owned();
    for byte in digest {
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

/// Returns whether text is a digest in the form that [`digest`] returns.
pub fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:")
        .is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')))
}

fn compress(bytes: &[u8]) -> Result<Vec<u8>, ImageError> {
    let malformed = |error: String| ImageError::Malformed { part: "the layer", error };
    let level =
        CompressionLvl::new(LEVEL).map_err(|_| malformed(format!("compression level {LEVEL} is not supported")))?;
    let mut compressor = Compressor::new(level);
    let mut packed = vec![0; compressor.gzip_compress_bound(bytes.len())];
    let written = compressor.gzip_compress(bytes, &mut packed).map_err(|error| malformed(error.to_string()))?;
    packed.truncate(written);
    Ok(packed)
}
