//! A flipped byte anywhere is detected, and the altered item is named.

use std::fs;
use std::path::{Path, PathBuf};

use wattle_tests::signing::{keygen, policy, sign};
use wattle_tests::{Folder, free_address};

use crate::sample::{config, image_of, write};

/// Number of places per file.
const PLACES: usize = 12;

/// All files of a folder.
fn walk(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { all.extend(walk(&path)) } else { all.push(path) }
    }
    all
}

/// Flips a bit in many places of a file, one after the other, calls `check` for each, and restores
/// the file.
fn flip(path: &Path, places: usize, mut check: impl FnMut(usize)) {
    let whole = fs::read(path).unwrap();
    let step = (whole.len() / places).max(1);
    // The first and the last byte are among them.
    for at in (0..whole.len()).step_by(step).chain([whole.len() - 1]) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        fs::write(path, &bytes).unwrap();
        check(at);
    }
    fs::write(path, &whole).unwrap();
}

#[test]
fn every_flipped_byte_of_a_signed_pack_in_the_library_is_named() {
    let folder = Folder::new();
    let key = keygen(&folder, "acme.key");
    write(&folder, "data/packs/sample/1.0.0", "1.0.0", "first");
    sign(&folder, "data/packs/sample/1.0.0", "acme.key");
    folder.write("agent.toml", config("sample", free_address(), &policy(&key)));
    assert_eq!(folder.run(&["validate", "agent.toml"]).code, 0);
    let mut tried = 0;
    for path in walk(&folder.path("data/packs/sample/1.0.0")) {
        let name = path.strip_prefix(folder.path("data/packs/sample/1.0.0")).unwrap().to_str().unwrap().to_owned();
        flip(&path, PLACES, |at| {
            let ended = folder.run(&["validate", "--format", "short", "agent.toml"]);
            assert_eq!(ended.code, 78, "{name} byte {at} is not noticed");
            let named = if name.starts_with("pack.sum") { "pack.sum" } else { &name };
            let said = ended.text();
            let trusted = ["E0421", "E0422", "E0423", "E0424"].iter().any(|code| said.contains(code));
            assert!(trusted && said.contains(&format!("`{named}")), "{name} byte {at}: {said}");
            tried += 1;
        });
    }
    assert!(tried > 4 * PLACES, "{tried}");
    assert_eq!(folder.run(&["validate", "agent.toml"]).code, 0);
}

#[test]
fn every_flipped_byte_of_an_archive_is_named() {
    let folder = Folder::new();
    let key = keygen(&folder, "acme.key");
    write(&folder, "sample", "1.0.0", "first");
    sign(&folder, "sample", "acme.key");
    assert_eq!(folder.run(&["pack", "archive", "sample"]).code, 0);
    let verify = || folder.run(&["pack", "verify", "sample-1.0.0.tar", "--key", &key]);
    assert_eq!(verify().code, 0);
    flip(&folder.path("sample-1.0.0.tar"), 10 * PLACES, |at| {
        let ended = verify();
        assert!(ended.code == 78 && ended.log.contains("sample-1.0.0.tar"), "byte {at}: {} {}", ended.code, ended.log);
    });
    assert_eq!(verify().code, 0);
}

#[test]
fn every_flipped_byte_of_a_pulled_pack_is_named() {
    let registry = wattle_tests::FakeRegistry::start();
    let folder = Folder::new();
    write(&folder, "sample", "1.0.0", "first");
    registry.put("1", &image_of(&folder, "sample"));
    let reference = registry.reference("1");
    assert_eq!(folder.run(&["pack", "pull", &reference]).code, 0);
    folder.write("agent.toml", config(&reference, free_address(), ""));
    assert_eq!(folder.run(&["validate", "agent.toml"]).code, 0);
    for path in walk(&folder.path("data/oci/images")) {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        flip(&path, PLACES, |at| {
            let ended = folder.run(&["validate", "--format", "short", "agent.toml"]);
            assert!(ended.code == 78 && ended.text().contains(&name), "{name} byte {at}: {}", ended.text());
        });
    }
    assert_eq!(folder.run(&["validate", "agent.toml"]).code, 0);
}

#[test]
fn every_flipped_byte_of_a_lock_is_named() {
    let folder = Folder::new();
    write(&folder, "data/packs/sample/1.0.0", "1.0.0", "first");
    folder.write("agent.toml", config("sample@^1", free_address(), ""));
    let pinned = folder.run(&["pack", "upgrade", "--config", "agent.toml", "--yes"]);
    assert_eq!(pinned.code, 0, "{}", pinned.log);
    assert_eq!(folder.run(&["validate", "agent.toml"]).code, 0);
    // Text before the checksum consists of comments only.
    let text = String::from_utf8(folder.read("wattle.lock")).unwrap();
    let comment = text.find("checksum").unwrap();
    flip(&folder.path("wattle.lock"), 8 * PLACES, |at| {
        if at >= comment {
            let ended = folder.run(&["validate", "--format", "short", "agent.toml"]);
            assert!(ended.code == 78 && ended.text().contains("wattle.lock"), "byte {at}: {}", ended.text());
        }
    });
    // A byte of a pinned file.
    flip(&folder.path("data/packs/sample/1.0.0/nodes/mask.wasm"), 3, |at| {
        let ended = folder.run(&["validate", "agent.toml"]);
        assert!(ended.code == 78 && ended.text().contains("`nodes/mask.wasm`"), "byte {at}: {}", ended.text());
    });
    assert_eq!(folder.run(&["validate", "agent.toml"]).code, 0);
}

#[test]
fn every_flipped_byte_of_compiled_code_is_detected_and_the_artifact_compiled_again() {
    let folder = Folder::new();
    // A separate cache, because the other one is shared with all tests.
    fs::remove_file(folder.path("data/cache")).unwrap();
    write(&folder, "sample", "1.0.0", "first");
    let text = config("./sample", free_address(), "").replace("rate = 40", "documents = 5");
    folder.once(&text);
    let compiled: Vec<PathBuf> = walk(&folder.path("data/cache"))
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "cwasm"))
        .collect();
    assert_eq!(compiled.len(), 1);
    let whole = fs::read(&compiled[0]).unwrap();
    let last = whole.len() - 1;
    for at in [0, 100, whole.len() / 3, whole.len() / 2, last - 40, last] {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        fs::remove_file(&compiled[0]).unwrap();
        fs::write(&compiled[0], &bytes).unwrap();
        let ended = folder.once(&text);
        let name = compiled[0].file_name().unwrap().to_str().unwrap();
        assert!(ended.log.contains("not authentic") && ended.log.contains(name), "byte {at}: {}", ended.log);
        assert_eq!(fs::read(&compiled[0]).unwrap(), whole, "byte {at}: it was not compiled again");
    }
}
