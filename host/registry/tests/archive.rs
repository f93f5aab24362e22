//! Archives have exactly one form, and every byte of it matters.

use std::collections::BTreeMap;
use std::fs;

use wattle_registry::image::{self, Image};
use wattle_registry::{archive, files};

use crate::fixtures::{files as sample, image as sample_image};

#[test]
fn the_same_files_give_the_same_archive_from_any_folder() {
    let one = tempfile::tempdir().unwrap();
    crate::fixtures::write(&sample(), one.path());
    let other = tempfile::tempdir().unwrap();
    // Another order, other times and modes, and additional files that are not part of a pack.
    for (path, bytes) in sample().iter().rev() {
        let path = other.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    }
    fs::create_dir(other.path().join(".git")).unwrap();
    fs::write(other.path().join(".git/HEAD"), "x").unwrap();
    let archives = [&one, &other].map(|folder| {
        let files = files::read_folder(folder.path()).unwrap();
        archive::write(&Image::pack(&files, "sample", "1.2.3", "0.1").unwrap()).unwrap()
    });
    assert_eq!(archives[0], archives[1]);
    // If this changes, packing an already pushed pack gives other bytes; then use another media
    // type.
    let image = sample_image();
    let digests = [image.pack_config().digest.clone(), image.digest()];
    assert_eq!(digests, PINNED, "the format of archives changed");
}

/// Digests of the sample: of its files and of its manifest.
const PINNED: [&str; 2] = [
    "sha256:6a82d2d4ff6fbedaacabaf792f2b9034758978a10c40738b68d55dc2e7e85478",
    "sha256:73580e83e514e193c6e73fee44a0ac6ec8fd169ba5f8589871a9239ac41dd1a4",
];

#[test]
fn unpacking_returns_the_packed_files() {
    let image = sample_image();
    assert_eq!(image.unpack().unwrap(), sample());
    let read = archive::read(&archive::write(&image).unwrap()).unwrap();
    assert_eq!(read, image);
    assert_eq!(read.pack_config().name, "sample");
    assert_eq!(read.pack_config().version, "1.2.3");
}

#[test]
fn an_archive_is_an_image_layout_for_other_tools() {
    let image = sample_image();
    let bytes = archive::write(&image).unwrap();
    let mut found = BTreeMap::new();
    for entry in tar::Archive::new(bytes.as_slice()).entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut content = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut content).unwrap();
        found.insert(entry.path().unwrap().to_string_lossy().into_owned(), content);
    }
    assert_eq!(found["oci-layout"], br#"{"imageLayoutVersion":"1.0.0"}"#);
    let index: serde_json::Value = serde_json::from_slice(&found["index.json"]).unwrap();
    let manifest = &index["manifests"][0];
    assert_eq!(manifest["mediaType"], image::MANIFEST);
    assert_eq!(manifest["annotations"]["org.opencontainers.image.ref.name"], "1.2.3");
    let blob = |digest: &str| &found[&format!("blobs/sha256/{}", digest.strip_prefix("sha256:").unwrap())];
    let manifest: serde_json::Value = serde_json::from_slice(blob(manifest["digest"].as_str().unwrap())).unwrap();
    assert_eq!(manifest["artifactType"], image::ARTIFACT);
    assert_eq!(blob(manifest["config"]["digest"].as_str().unwrap()), image.config());
    assert_eq!(blob(manifest["layers"][0]["digest"].as_str().unwrap()), image.layer().unwrap().as_ref());
    assert_eq!(found.len(), 5);
}

#[test]
fn every_flipped_byte_of_an_archive_is_detected() {
    let whole = archive::write(&sample_image()).unwrap();
    archive::read(&whole).unwrap();
    for at in 0..whole.len() {
        for flip in [0x01, 0x20, 0x80] {
            let mut bytes = whole.clone();
            bytes[at] ^= flip;
            let error = archive::read(&bytes).map(|_| ()).unwrap_err().to_string();
            assert!(!error.is_empty(), "byte {at}");
        }
    }
    for length in [0, 1, 511, 512, whole.len() / 2, whole.len() - 512, whole.len() - 1] {
        assert!(archive::read(&whole[..length]).is_err(), "cut to {length}");
    }
    let mut longer = whole.clone();
    longer.push(0);
    assert!(archive::read(&longer).is_err(), "a byte after the end");
}

#[test]
fn the_error_of_a_flipped_byte_names_part_and_digest() {
    let image = sample_image();
    let whole = archive::write(&image).unwrap();
    let find = |part: &[u8]| whole.windows(part.len()).position(|window| window == part).unwrap();
    for (part, name) in [
        (image.manifest(), "the manifest"),
        (image.config(), "the configuration"),
        (&image.layer().unwrap(), "the layer"),
    ] {
        let mut bytes = whole.clone();
        bytes[find(part) + part.len() / 2] ^= 1;
        let error = archive::read(&bytes).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains(&image::digest(part)), "{error}");
    }
}
