//! The artifact in one file: an OCI image layout in a tar, which oras and skopeo can read.
//!
//! It contains `oci-layout`, `index.json`, and the three parts by digest in `blobs/sha256/`. Each
//! image has exactly one archive. An archive that differs in a single byte is refused, and the
//! error names the position.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::files::{self, Files, FilesError};
use crate::image::{self, ARTIFACT, Descriptor, Image, ImageError, MANIFEST, Parts};
use crate::reason::json_reason;

const LAYOUT: &str = "oci-layout";
const LAYOUT_TEXT: &str = "{\"imageLayoutVersion\":\"1.0.0\"}";
const INDEX: &str = "index.json";
const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// An error in the archive of a pack.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The tar is damaged, or not canonical.
    #[error("the archive is refused: {0}")]
    Files(#[from] FilesError),
    /// A part is damaged, or not that of a pack.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A part is missing, or there are too many.
    #[error("the archive {0}")]
    Layout(String),
    /// The parts are valid, but `index.json` or `oci-layout` does not match them.
    #[error("`{path}` of the archive does not match its image: expected digest `{expected}`, found `{found}`")]
    Tied {
        /// `index.json` or `oci-layout`.
        path: &'static str,
        /// Expected digest.
        expected: String,
        /// Actual digest.
        found: String,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Index {
    schema_version: u32,
    #[serde(default)]
    media_type: String,
    manifests: Vec<Descriptor>,
}

/// Writes the archive of an image.
///
/// # Errors
///
/// The layer cannot be read.
pub fn write(image: &Image) -> Result<Vec<u8>, ArchiveError> {
    let mut files = Files::new();
    files.insert(LAYOUT.to_owned(), LAYOUT_TEXT.as_bytes().to_vec());
    files.insert(INDEX.to_owned(), index(image)?);
    let layer = image.layer().map_err(FilesError::unreadable("the layer"))?;
    for bytes in [image.manifest(), image.config(), &layer] {
        files.insert(blob(&image::digest(bytes)), bytes.to_vec());
    }
    Ok(files::to_tar(&files)?)
}

/// Reads an archive.
///
/// # Errors
///
/// The file is not the archive of a pack, or it was altered.
pub fn read(archive: &[u8]) -> Result<Image, ArchiveError> {
    let mut files = files::from_tar(archive)?;
    let index_bytes = take(&mut files, INDEX)?;
    let layout = take(&mut files, LAYOUT)?;
    let index: Index = serde_json::from_slice(&index_bytes)
        .map_err(|error| ArchiveError::Layout(format!("has a damaged `{INDEX}`: {}", json_reason(&error))))?;
    let [descriptor] = <[Descriptor; 1]>::try_from(index.manifests)
        .map_err(|all| ArchiveError::Layout(format!("has {} images instead of one", all.len())))?;
    let manifest = part(&mut files, &descriptor, "the manifest")?;
    let parts = Parts::read(&manifest)?;
    let config = part(&mut files, &parts.config, "the configuration")?;
    let layer = part(&mut files, &parts.layer, "the layer")?;
    if let Some(path) = files.keys().next() {
        return Err(ArchiveError::Layout(format!("has a file `{path}` that is not part of the image")));
    }
    let image = Image::of_parts(manifest, config, layer)?;
    let ties = [(INDEX, self::index(&image)?, index_bytes), (LAYOUT, LAYOUT_TEXT.as_bytes().to_vec(), layout)];
    for (path, expected, found) in ties {
        if expected != found {
            return Err(ArchiveError::Tied { path, expected: image::digest(&expected), found: image::digest(&found) });
        }
    }
    Ok(image)
}

fn index(image: &Image) -> Result<Vec<u8>, ArchiveError> {
    let mut manifest = Descriptor::of(MANIFEST, image.manifest());
    manifest.artifact_type = Some(ARTIFACT.to_owned());
    manifest.annotations = BTreeMap::from([(REF_NAME.to_owned(), tag(&image.pack_config().version))]);
    let index = Index { schema_version: 2, media_type: INDEX_TYPE.to_owned(), manifests: vec![manifest] };
    serde_json::to_vec(&index).map_err(|error| ArchiveError::Layout(format!("has no `{INDEX}`: {error}")))
}

/// Returns the tag for a version. Tags cannot contain `+`.
pub fn tag(version: &str) -> String {
    version.replace('+', "_")
}

fn blob(digest: &str) -> String {
    format!("blobs/sha256/{}", digest.trim_start_matches("sha256:"))
}

fn take(files: &mut Files, path: &str) -> Result<Vec<u8>, ArchiveError> {
    files.remove(path).ok_or_else(|| ArchiveError::Layout(format!("has no `{path}`")))
}

fn part(files: &mut Files, descriptor: &Descriptor, name: &str) -> Result<Vec<u8>, ArchiveError> {
    if !image::is_digest(&descriptor.digest) {
        return Err(ArchiveError::Layout(format!(
            "refers to {name} by `{}`, which is not a digest",
            descriptor.digest.escape_debug()
        )));
    }
    let path = blob(&descriptor.digest);
    let Some(bytes) = files.remove(&path) else {
        return Err(ArchiveError::Layout(format!("has no `{path}`, which is {name}")));
    };
    descriptor.check(&format!("{name} (`{path}`)"), &bytes)?;
    Ok(bytes)
}
