//! The store: a pulled image never changes without an error.

use std::fs;
use std::path::PathBuf;

use wattle_registry::store::StoreError;
use wattle_registry::{Reference, Store};

use crate::fixtures::{files as sample, image as sample_image};

fn walk(folder: &std::path::Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { all.extend(walk(&path)) } else { all.push(path) }
    }
    all
}

#[test]
fn an_image_is_found_by_its_digest_and_by_its_tag() {
    let data = tempfile::tempdir().unwrap();
    let store = Store::new(data.path());
    let image = sample_image();
    let tag: Reference = "oci://r.example.com/sample:1".parse().unwrap();
    assert!(matches!(store.get(&image.digest()), Err(StoreError::Absent)));
    let stored = store.insert(&image).unwrap();
    assert_eq!(wattle_registry::files::read_folder(&stored.folder).unwrap(), sample());
    assert_eq!(store.digest(&tag), None);
    store.set(&tag, &image.digest()).unwrap();
    assert_eq!(Store::new(data.path()).digest(&tag), Some(image.digest()));
    assert_eq!(store.digest(&tag.pinned(&image.digest())), Some(image.digest()));
    store.insert(&image).unwrap();
    assert!(fs::read_dir(data.path().join("oci")).unwrap().count() == 2, "no temporary file is left");
}

#[test]
fn every_flipped_byte_of_a_pulled_image_is_detected_and_fixed_by_pulling_again() {
    let data = tempfile::tempdir().unwrap();
    let store = Store::new(data.path());
    let image = sample_image();
    let place = store.insert(&image).unwrap().folder.parent().unwrap().to_owned();
    for path in walk(&place) {
        let whole = fs::read(&path).unwrap();
        let step = (whole.len() / 60).max(1);
        for at in (0..whole.len()).step_by(step) {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            fs::write(&path, &bytes).unwrap();
            // The store verifies the parts with digests; the reader of the files must verify these.
            let noticed = match store.get(&image.digest()) {
                Err(error) => error.to_string().contains(path.file_name().unwrap().to_str().unwrap()),
                Ok(stored) => {
                    let found = wattle_pack::FileList::of_folder(&stored.folder).unwrap();
                    let relative = path.strip_prefix(&stored.folder).unwrap().to_str().unwrap();
                    stored.list.changes(&found) == [wattle_pack::FileChange::Changed(relative.to_owned())]
                }
            };
            assert!(noticed, "{} byte {at}", path.display());
        }
        let stored = store.insert(&image).unwrap();
        assert_eq!(wattle_registry::files::read_folder(&stored.folder).unwrap(), sample(), "{}", path.display());
    }
}

#[test]
fn an_altered_tag_is_not_used() {
    let data = tempfile::tempdir().unwrap();
    let store = Store::new(data.path());
    let image = sample_image();
    let tag: Reference = "oci://r.example.com/sample:1".parse().unwrap();
    store.insert(&image).unwrap();
    store.set(&tag, &image.digest()).unwrap();
    let [file] = walk(&data.path().join("oci/tags")).try_into().unwrap();
    let whole = fs::read(&file).unwrap();
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        fs::write(&file, &bytes).unwrap();
        let found = store.digest(&tag);
        assert!(found.as_ref() != Some(&image.digest()), "byte {at}");
        // The altered digest belongs to no stored image.
        assert!(found.is_none_or(|digest| store.get(&digest).is_err()), "byte {at}");
    }
}

#[test]
fn unused_images_are_removed_except_current_images_of_tags() {
    let data = tempfile::tempdir().unwrap();
    let store = Store::new(data.path());
    let digests: Vec<String> = (0..30)
        .map(|number| {
            let digest = store.insert(&numbered(number)).unwrap().digest;
            if number == 0 {
                store.set(&"oci://r.example.com/sample:1".parse().unwrap(), &digest).unwrap();
            }
            if number > 1 {
                // The second image is used repeatedly.
                assert!(store.get(&numbered(1).digest()).is_ok());
            }
            digest
        })
        .collect();
    let stays: Vec<usize> = (0..30).filter(|&number| store.get(&digests[number]).is_ok()).collect();
    let newest = 30 - 19..30;
    assert_eq!(stays, [0, 1].into_iter().chain(newest).collect::<Vec<_>>());
    assert_eq!(fs::read_dir(data.path().join("oci")).unwrap().count(), 2, "no temporary file is left");
}

/// Images that differ by a number.
fn numbered(number: usize) -> wattle_registry::Image {
    let mut files = sample();
    files.insert("number.txt".to_owned(), number.to_string().into_bytes());
    wattle_registry::Image::pack(&files, "sample", "1.2.3", "0.1").unwrap()
}
