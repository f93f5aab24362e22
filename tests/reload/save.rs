//! Ways to save files: any sequence of steps causes one reload with the final content.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use wattle_tests::{Agent, Folder, workspace};

use crate::load::Load;

/// Shorter than any quiet time.
const PAUSE: Duration = Duration::from_millis(30);

fn pause() {
    std::thread::sleep(PAUSE);
}

/// Waits for the reload, and checks that there was no other one and no invalid intermediate state.
#[track_caller]
fn assert_one_reload(folder: &Folder, mut agent: Agent, expected: &str) {
    let line = agent.wait_for("reloaded");
    assert!(line.contains("generation=2") && line.contains(expected), "{line}");
    // The agent handles all earlier changes before it responds.
    let asked = folder.run(&["reload", "--config", "agent.toml"]);
    assert_eq!(asked.text(), "nothing changed; generation 2 stays\n", "{}", asked.log);
    let log = agent.stop().log;
    assert_eq!(log.matches("reloaded").count(), 1, "{log}");
    assert!(!log.contains("the running one stays") && !log.contains("reload failed"), "{log}");
}

fn start(seed: u64) -> (Folder, Agent, String) {
    let folder = Folder::new();
    let load = Load { seed, ..Load::default() };
    let agent = folder.start(&load.config());
    (folder, agent, Load { pack: "cloudtrail@1.1.0".into(), ..load }.config())
}

#[test]
fn an_editor_moves_the_old_file_away_first() {
    let (folder, agent, text) = start(41);
    let path = folder.path("agent.toml");
    // Like vim with `backup`: the file is missing for a while, comes back in parts, and gets its
    // mode.
    File::create(folder.path("4913")).unwrap();
    fs::remove_file(folder.path("4913")).unwrap();
    fs::rename(&path, folder.path("agent.toml~")).unwrap();
    pause();
    let mut file = File::create(&path).unwrap();
    let (first, second) = text.split_at(text.len() / 2);
    file.write_all(first.as_bytes()).unwrap();
    pause();
    file.write_all(second.as_bytes()).unwrap();
    file.sync_all().unwrap();
    drop(file);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    fs::remove_file(folder.path("agent.toml~")).unwrap();
    assert_one_reload(&folder, agent, "cloudtrail@1.1.0");
}

#[test]
fn an_editor_renames_a_new_file_into_place_and_sets_its_mode() {
    let (folder, agent, text) = start(42);
    let new = folder.write(".agent.toml.swp", text);
    fs::rename(new, folder.path("agent.toml")).unwrap();
    fs::set_permissions(folder.path("agent.toml"), fs::Permissions::from_mode(0o600)).unwrap();
    assert_one_reload(&folder, agent, "cloudtrail@1.1.0");
}

#[test]
fn a_file_is_truncated_and_written_slowly() {
    let (folder, agent, text) = start(43);
    let mut file = File::options().write(true).truncate(true).open(folder.path("agent.toml")).unwrap();
    for part in text.as_bytes().chunks(text.len().div_ceil(5)) {
        // Longer than any quiet time: an open file is not complete.
        std::thread::sleep(4 * PAUSE);
        file.write_all(part).unwrap();
    }
    drop(file);
    assert_one_reload(&folder, agent, "cloudtrail@1.1.0");
}

#[test]
fn several_programs_append_to_a_file() {
    let (folder, agent, text) = start(44);
    fs::write(folder.path("agent.toml"), "").unwrap();
    for part in text.as_bytes().chunks(text.len().div_ceil(5)) {
        File::options().append(true).open(folder.path("agent.toml")).unwrap().write_all(part).unwrap();
        pause();
    }
    assert_one_reload(&folder, agent, "cloudtrail@1.1.0");
}

/// Copies a folder file by file, like `cp -r` on a slow disk.
fn copy_slowly(from: &std::path::Path, to: &std::path::Path) {
    fs::create_dir_all(to).unwrap();
    let mut entries: Vec<_> = fs::read_dir(from).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    // The manifest first, so the files that it names are still missing.
    entries.sort_by_key(|path| path.file_name().is_none_or(|name| name != "pack.toml"));
    for path in entries {
        let to = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_slowly(&path, &to);
        } else {
            fs::copy(path, to).unwrap();
            pause();
        }
    }
}

#[test]
fn a_pack_is_copied_file_by_file_over_the_running_one() {
    let folder = Folder::new();
    let old = workspace().join("packs/cloudtrail/1.0.0");
    let load = Load { seed: 45, pack: "./mine".into(), ..Load::default() };
    for name in ["pack.toml", "README.md"] {
        folder.write(format!("mine/{name}"), fs::read(old.join(name)).unwrap());
    }
    // The new pack has its own artifacts, which arrive after the manifest.
    let manifest = fs::read_to_string(workspace().join("packs/cloudtrail/1.1.0/pack.toml")).unwrap();
    for node in ["extract", "mask", "parse", "route", "unroll"] {
        folder.write(format!("new/{node}.wasm"), fs::read(wattle_tests::built(&format!("nodes/{node}.wasm"))).unwrap());
    }
    folder.write("new/pack.toml", replace_artifacts(&manifest));
    let agent = folder.start(&load.config());
    copy_slowly(&folder.path("new"), &folder.path("mine"));
    assert_one_reload(&folder, agent, "cloudtrail@1.1.0");
}

fn replace_artifacts(manifest: &str) -> String {
    let own = |line: &str| match line.strip_prefix("artifact = \"builtin:") {
        Some(rest) => format!("artifact = \"{}.wasm\"\n", rest.trim_end_matches('"')),
        None => format!("{line}\n"),
    };
    manifest.lines().map(own).collect()
}
