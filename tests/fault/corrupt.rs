//! State on disk that is corrupt: the agent sets it aside or creates it again, with a message, and
//! runs.

use std::fs;
use std::path::PathBuf;

use wattle_tests::{Config, Folder};

fn config() -> String {
    Config::new()
        .file_source("lines", "in.log")
        .set("follow", false)
        .pipeline("main", &["lines"])
        .node("hide", "builtin:mask", &["input"])
        .with("options = { fields = [\"body\"], rules = [{ pattern = \"secret\" }] }")
        .output("all", &["hide", "hide.failed"])
        .file_sink("all", &["main.all"], "all.ndjson")
        .text()
}

fn folder() -> Folder {
    let folder = Folder::new();
    // A separate cache, because this one is broken.
    fs::remove_file(folder.path("data/cache")).unwrap();
    folder.write("in.log", "a secret\nanother secret\n");
    assert_eq!(folder.once(&config()).summary().pipeline().delivered, 2);
    folder
}

fn files(folder: &Folder, name: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder.path(name)).unwrap();
    entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_file()).collect()
}

#[test]
fn unreadable_checkpoints_are_set_aside_and_files_read_again() {
    let folder = folder();
    folder.write("data/sources/lines/checkpoints.json", "{\"version\":1,\"files\":[{\"dev");
    let ended = folder.once(&config());
    assert!(ended.log.contains("were set aside"), "{}", ended.log);
    assert_eq!(ended.summary().pipeline().delivered, 2);
    assert_eq!(folder.once(&config()).summary().pipeline().received, 0, "and from then on as ever");
    let names: Vec<String> = files(&folder, "data/sources/lines").iter().map(|p| p.display().to_string()).collect();
    assert!(names.iter().any(|name| name.contains("checkpoints.json.corrupt-")), "{names:?}");
}

#[test]
fn altered_cached_code_is_compiled_again() {
    let folder = folder();
    let cached = || files(&folder, "data/cache").into_iter().filter(|p| p.extension().is_some_and(|e| e == "cwasm"));
    assert!(cached().count() > 0);
    let whole: Vec<(PathBuf, Vec<u8>)> = cached().map(|path| (path.clone(), fs::read(path).unwrap())).collect();
    for (what, spoil) in [
        ("empty", &(|bytes: &mut Vec<u8>| bytes.clear()) as &dyn Fn(&mut Vec<u8>)),
        ("cut off", &|bytes| bytes.truncate(bytes.len() / 2)),
        ("changed", &|bytes| *bytes.last_mut().unwrap() ^= 1),
        ("too long", &|bytes| bytes.push(0)),
    ] {
        for (path, bytes) in &whole {
            let mut bytes = bytes.clone();
            spoil(&mut bytes);
            fs::write(path, bytes).unwrap();
        }
        let ended = folder.once(&config());
        assert!(ended.log.contains("cached code is not authentic"), "{what}: {}", ended.log);
        let again = folder.once(&config());
        assert!(!again.log.contains("cached code"), "{what}: it was replaced: {}", again.log);
    }
}

#[test]
fn a_truncated_cache_key_is_replaced() {
    let folder = folder();
    folder.write("data/cache/key", "short");
    let ended = folder.once(&config());
    assert!(ended.log.contains("cannot use the key of the compile cache"), "{}", ended.log);
    assert!(!folder.once(&config()).log.contains("cache"));
}

#[test]
fn a_lock_file_with_any_content_is_a_lock() {
    let folder = folder();
    folder.write("data/lock", "4711 from another life");
    assert_eq!(folder.once(&config()).summary().pipeline().received, 0);
}

#[test]
fn a_quarantine_that_a_crash_cut_off_continues_with_complete_lines() {
    let folder = folder();
    let broken = config().replace("[pipelines.main.outputs", "limits = { host_calls = 1 }\n[pipelines.main.outputs");
    folder.write("in.log", "a secret\nanother secret\na third secret\n");
    folder.write("data/quarantine/main.ndjson", "{\"id\":\"1-0\",\"event\":{\"body\":\"cut o");
    let ended = folder.once(&broken);
    assert!(ended.log.contains("set aside an incomplete last line"), "{}", ended.log);
    assert!(!ended.log.contains("cut o\""), "no contents in the log: {}", ended.log);
    let listed = folder.run(&["quarantine", "list", "main"]);
    let failed = ended.summary().pipeline().failed;
    assert!(failed > 0);
    assert_eq!(listed.text().lines().count() as u64, 1 + failed, "{}", listed.text());
    let names: Vec<String> = files(&folder, "data/quarantine").iter().map(|p| p.display().to_string()).collect();
    assert!(names.iter().any(|name| name.contains("main.ndjson.torn-")), "{names:?}");
}
