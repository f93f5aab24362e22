//! The lock: upgrades, rollbacks, refusals, and a running agent that follows it.

use std::fs;

use serde_json::Value;
use wattle_tests::{Config, Folder, wait_until};

use crate::commands::{fails, run};

fn config() -> String {
    Config::new()
        .agent("data_dir = \"data\"")
        .file_source("lines", "in/*.log")
        .pack("main", &["lines"], "p@^0")
        .file_sink("all", &["main.*"], "out.ndjson")
        .set("fsync", "never")
        .text()
}

/// A folder with a configuration that uses `p@^0`, and versions of that pack in the library.
fn place(versions: &[&str]) -> Folder {
    let folder = Folder::new();
    run(&folder, &["pack", "new", "p"]);
    for version in versions {
        publish(&folder, version);
    }
    folder.write("agent.toml", config());
    folder.write("in/a.log", "");
    folder
}

/// Installs the pack under another version, which it writes into every event.
fn publish(folder: &Folder, version: &str) {
    folder.copy(&folder.path("p"), "next");
    let manifest = String::from_utf8(folder.read("p/pack.toml")).unwrap();
    let manifest = manifest.replace("version = \"0.1.0\"", &format!("version = \"{version}\""));
    let mask = "preset = \"email\"";
    let own = format!("preset = \"email\", replacement = {{ fixed = \"<{version}>\" }}");
    assert!(manifest.contains(mask));
    folder.write("next/pack.toml", manifest.replace(mask, &own));
    // Its test expects the earlier behaviour.
    std::fs::remove_dir_all(folder.path("next/tests")).unwrap();
    run(folder, &["pack", "install", "./next"]);
}

fn upgrade(folder: &Folder, more: &[&str]) -> String {
    run(folder, &[["pack", "upgrade", "--config", "agent.toml"].as_slice(), more].concat())
}

/// The version that the configuration uses.
fn used(folder: &Folder) -> String {
    let listed = run(folder, &["pack", "list", "--config", "agent.toml", "--json"]);
    let listed: Vec<Value> = serde_json::from_str(&listed).unwrap();
    let used = listed.iter().filter(|pack| pack["used_as"].as_array().is_some_and(|used| !used.is_empty()));
    used.map(|pack| pack["version"].as_str().unwrap()).collect::<Vec<_>>().join(" ")
}

#[test]
fn an_upgrade_shows_the_changes_before_it_pins_them() {
    let folder = place(&["0.1.0"]);
    let first = upgrade(&folder, &["--yes"]);
    assert!(first.starts_with("p@^0: 0.1.0 sha256:") && first.ends_with("wattle.lock: 1 pin\n"), "{first}");
    let lock = folder.read("wattle.lock");
    publish(&folder, "0.2.0");
    assert_eq!(used(&folder), "0.1.0", "a pin holds");
    let said = fails(&folder, 1, &["pack", "upgrade"]);
    assert!(said.contains("p@^0: 0.1.0 -> 0.2.0") && said.contains("add --yes"), "{said}");
    assert!(said.contains("~ version: 0.1.0 -> 0.2.0"), "{said}");
    assert!(said.contains("~ mask.rules[0].replacement.fixed: \"<0.1.0>\" -> \"<0.2.0>\""), "{said}");
    assert_eq!(folder.read("wattle.lock"), lock, "nothing is written before it is agreed to");
    upgrade(&folder, &["--yes", "p"]);
    assert_eq!(used(&folder), "0.2.0");
    assert!(upgrade(&folder, &[]).contains("every pin is the newest"));
    assert!(fails(&folder, 78, &["pack", "upgrade", "other"]).contains("uses no pack `other`"));
}

#[test]
fn a_rollback_restores_the_former_pin_and_checks_that_the_pack_exists() {
    let folder = place(&["0.1.0"]);
    assert!(fails(&folder, 78, &["pack", "rollback", "p"]).contains("wattle pack upgrade"));
    upgrade(&folder, &["--yes"]);
    assert!(fails(&folder, 1, &["pack", "rollback", "p"]).contains("no previous pin of `p`"));
    for version in ["0.2.0", "0.3.0"] {
        publish(&folder, version);
        upgrade(&folder, &["--yes"]);
    }
    assert_eq!(run(&folder, &["pack", "rollback", "p"]), "p@^0: 0.3.0 -> 0.2.0\n");
    assert_eq!(used(&folder), "0.2.0");
    run(&folder, &["pack", "remove", "p@0.1.0"]);
    let said = fails(&folder, 1, &["pack", "rollback", "p"]);
    assert!(said.contains("p@0.1.0") && said.contains("is no longer in the library"), "{said}");
    assert_eq!(used(&folder), "0.2.0", "nothing changed");
}

#[test]
fn a_pinned_pack_is_removed_only_by_force() {
    let folder = place(&["0.1.0", "0.2.0"]);
    upgrade(&folder, &["--yes"]);
    let said = fails(&folder, 1, &["pack", "remove", "p@0.2.0", "--config", "agent.toml"]);
    assert!(said.contains("whose lock pins it for `p@^0`; add --force"), "{said}");
    assert!(
        fails(&folder, 1, &["pack", "remove", "p@0.2.0"]).contains("`agent.toml`"),
        "the configuration here is asked"
    );
    run(&folder, &["pack", "remove", "p@0.1.0"]);
    run(&folder, &["pack", "remove", "p@0.2.0", "--force"]);
    publish(&folder, "0.3.0");
    let said = fails(&folder, 78, &["validate", "agent.toml"]);
    assert!(said.contains("error[E0433]") && said.contains("wattle.lock:"), "{said}");
    fs::remove_file(folder.path("wattle.lock")).unwrap();
    let said = fails(&folder, 1, &["pack", "remove", "p@0.3.0"]);
    assert!(said.contains("which names it as `p@^0`"), "{said}");
}

#[test]
fn an_altered_pack_or_lock_is_refused_and_locked_refuses_unpinned_packs() {
    let folder = place(&["0.1.0"]);
    assert!(fails(&folder, 78, &["validate", "agent.toml", "--locked"]).contains("error[E0435]"));
    assert!(fails(&folder, 78, &["run", "--once", "--locked", "--config", "agent.toml"]).contains("error[E0435]"));
    upgrade(&folder, &["--yes"]);
    run(&folder, &["validate", "agent.toml", "--locked"]);
    run(&folder, &["run", "--once", "--locked", "--config", "agent.toml"]);
    let readme = folder.read("data/packs/p/0.1.0/README.md");
    folder.write("data/packs/p/0.1.0/README.md", [readme.as_slice(), b" "].concat());
    let said = fails(&folder, 78, &["run", "--once", "--config", "agent.toml"]);
    assert!(said.contains("error[E0434]") && said.matches("sha256:").count() >= 3, "both digests: {said}");
    folder.write("data/packs/p/0.1.0/README.md", readme);
    run(&folder, &["validate", "agent.toml"]);
    let lock = String::from_utf8(folder.read("wattle.lock")).unwrap();
    folder.write("wattle.lock", lock.replace("version = \"0.1.0\"", "version = \"0.1.1\""));
    assert!(fails(&folder, 78, &["validate", "agent.toml"]).contains("error[E0431]"));
    assert!(fails(&folder, 78, &["pack", "upgrade", "--yes"]).contains("error[E0431]"), "it is not written over");
}

#[test]
fn a_running_agent_follows_the_lock_to_a_new_version_and_back() {
    let folder = place(&["0.1.0"]);
    upgrade(&folder, &["--yes"]);
    let mut agent = folder.start(&config());
    let masked = |text: &str| String::from_utf8(folder.read("out.ndjson")).unwrap().contains(text);
    let line = |n: u32| format!("{{\"level\":\"info\",\"n\":{n},\"by\":\"ada@example.com\"}}\n");
    folder.write("in/a.log", line(1));
    wait_until("the first event", || masked("<0.1.0>"));
    publish(&folder, "0.2.0");
    upgrade(&folder, &["--yes"]);
    agent.wait_for("reloaded");
    folder.write("in/b.log", line(2));
    wait_until("an event of the new version", || masked("<0.2.0>"));
    run(&folder, &["pack", "rollback", "p"]);
    agent.wait_for("reloaded");
    folder.write("in/c.log", line(3).replace("ada", "bob"));
    wait_until("the third event", || folder.events("out.ndjson").len() == 3);
    let text = String::from_utf8(folder.read("out.ndjson")).unwrap();
    assert_eq!(
        (text.matches("<0.1.0>").count(), text.matches("<0.2.0>").count()),
        (4, 2),
        "in body and attributes: {text}"
    );
    let ended = agent.stop();
    assert_eq!(ended.summary().pipeline().received, 3);
}

#[test]
fn a_running_agent_keeps_its_version_after_any_alteration_and_logs_the_reason() {
    let folder = place(&["0.1.0"]);
    upgrade(&folder, &["--yes"]);
    let mut agent = folder.start(&config());
    // The alteration is reverted, so the plan equals the running one.
    const TAKEN_UP: &str = "nothing changed";
    let pack = "data/packs/p/0.1.0";
    let manifest = folder.read(&format!("{pack}/pack.toml"));
    let lock = folder.read("wattle.lock");
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    for (file, good, bad, code) in [
        ("wattle.lock", &lock, text(&lock).replace("library", "builtin"), "E0431"),
        (&format!("{pack}/pack.toml"), &manifest, text(&manifest).replace("urgent", "Urgent"), "E0434"),
    ] {
        assert_ne!(good, bad.as_bytes());
        folder.replace(file, bad);
        agent.wait_for(code);
        folder.replace(file, good);
        agent.wait_for(TAKEN_UP);
    }
    // Without a lock, the diagnostics of the pack itself name the error.
    fs::remove_file(folder.path("wattle.lock")).unwrap();
    agent.wait_for(TAKEN_UP);
    for (from, to, code) in [
        ("contract = \"0.1\"", "contract = \"9\"", "E0403"),
        ("artifact = \"builtin:parse\"", "artifact = \"nodes/absent.wasm\"", "E0204"),
        ("artifact = \"builtin:parse\"", "artifact = \"builtin:parse\"\ndigest = \"sha256:0\"", "E0207"),
        ("[nodes.parse]", "[nodes.parse", "E0102"),
    ] {
        assert!(text(&manifest).contains(from), "{from}");
        folder.replace(format!("{pack}/pack.toml"), text(&manifest).replacen(from, to, 1));
        agent.wait_for(code);
        folder.replace(format!("{pack}/pack.toml"), &manifest);
        agent.wait_for(TAKEN_UP);
    }
    folder.write("in/a.log", "{\"level\":\"info\"}\n");
    wait_until("an event through the version that runs", || folder.events("out.ndjson").len() == 1);
    assert_eq!(agent.stop().summary().pipeline().received, 1);
}
