//! A project from an empty folder to failing cases.

use std::fs;

use serde_json::Value;
use wattle_tests::{Folder, finish};

use crate::{good, needs_clang};

#[test]
fn the_c_template_builds_with_both_interfaces_and_keeps_the_contract() {
    needs_clang();
    let folder = Folder::new();
    for (name, more) in [("one-event", &[][..]), ("all-rows", &["--columns"][..])] {
        good(&folder, &[&["node", "new", "--lang", "c", name], more].concat());
        good(&folder, &["node", "build", name]);
        let cases = good(&folder, &["node", "test", "--project", name]);
        assert!(cases.text().contains("test basic ... ok") && cases.text().contains("2 passed, 0 failed"));
        good(&folder, &["node", "conformance", name]);
        let seen = good(&folder, &["inspect", &format!("{name}/{name}.wasm")]);
        assert!(seen.text().starts_with(&format!("{name} 0.1.0: ")), "{}", seen.text());
        assert!(!seen.text().contains("wasi"), "{}", seen.text());
    }
}

#[test]
fn the_rust_template_builds_with_both_interfaces_and_keeps_the_contract() {
    let folder = Folder::new();
    good(&folder, &["node", "new", "--lang", "rust", "own-node"]);
    good(&folder, &["node", "new", "--lang", "rust", "--columns", "other"]);
    let columns = fs::read_to_string(folder.path("other/src/lib.rs")).unwrap();
    let events = fs::read_to_string(folder.path("own-node/src/lib.rs")).unwrap();
    assert_ne!(events, columns);
    // In one project, so its dependencies are compiled once.
    for code in [events, columns] {
        folder.write("own-node/src/lib.rs", code.replace("\"other\"", "\"own-node\""));
        good(&folder, &["node", "build", "own-node"]);
        good(&folder, &["node", "test", "--project", "own-node"]);
        good(&folder, &["node", "conformance", "own-node"]);
    }
    let bench = good(&folder, &["node", "bench", "own-node", "--json"]);
    let figures: Value = serde_json::from_str(bench.text()).unwrap();
    assert_eq!(figures["calls"].as_array().unwrap().len(), 5);
    assert!(figures["fuel_per_byte"].as_f64().unwrap() > 0.1, "{figures}");
    assert!(figures["size_kb"].as_f64().unwrap() > 1.0, "{figures}");
}

#[test]
fn a_failing_case_shows_the_difference() {
    needs_clang();
    let folder = Folder::new();
    good(&folder, &["node", "new", "--lang", "c", "own"]);
    good(&folder, &["node", "build", "own"]);
    let case = fs::read_to_string(folder.path("own/tests/cases/basic.json")).unwrap();
    folder.write("own/tests/cases/wrong.json", case.replace("HELLO", "HOWDY"));
    let ended = folder.run(&["node", "test", "--project", "own"]);
    assert_eq!(ended.code, 1);
    for text in [
        "test basic ... ok",
        "test wrong ... FAILED",
        "port `out`, event 1, `attributes.shout`: expected \"HOWDY",
        "2 passed, 1 failed",
    ] {
        assert!(ended.text().contains(text), "`{text}` is missing in {}", ended.text());
    }
    assert_eq!(folder.run(&["node", "test", "nothing-of-the-kind", "--project", "own"]).code, 1);
}

#[test]
fn missing_tools_are_named_with_the_way_to_install_them() {
    let folder = Folder::new();
    good(&folder, &["node", "new", "--lang", "c", "own"]);
    let mut build = folder.wattle();
    build.args(["node", "build", "own"]).env("PATH", folder.path("nothing"));
    let ended = finish(&mut build, b"");
    assert_eq!(ended.code, 1);
    assert!(ended.log.contains("clang is missing: apt-get install clang"), "{}", ended.log);
    assert!(ended.log.contains("wasm-ld is missing: apt-get install lld"), "{}", ended.log);
}

#[test]
fn a_project_is_not_created_twice_or_with_a_bad_name() {
    let folder = Folder::new();
    good(&folder, &["node", "new", "--lang", "python", "own"]);
    let again = folder.run(&["node", "new", "--lang", "python", "own"]);
    assert_eq!((again.code, again.log.contains("already exists")), (1, true), "{}", again.log);
    let bad = folder.run(&["node", "new", "--lang", "js", "../Up"]);
    assert_eq!((bad.code, bad.log.contains("kebab-case")), (78, true), "{}", bad.log);
    let none = folder.run(&["node", "build"]);
    assert_eq!((none.code, none.log.contains("wattle node new")), (78, true), "{}", none.log);
}

#[test]
fn another_language_needs_only_a_few_lines_of_toml() {
    let folder = Folder::new();
    folder.write(
        "own/node.toml",
        "name = \"own\"\nartifact = \"own.wasm\"\n[build]\noutput = \"made.wasm\"\nwatch = []\n\
         steps = [{ run = [\"cp\", \"given.wasm\", \"made.wasm\"] }]\n",
    );
    folder.write("own/given.wasm", wat::parse_str("(module)").unwrap());
    let ended = folder.run(&["node", "build", "own"]);
    assert_eq!(ended.code, 1);
    assert!(ended.log.contains("exports no `wattle:node/node@"), "{}", ended.log);
    folder.write("own/node.toml", "name = \"own\"\nartefact = \"own.wasm\"\n");
    let ended = folder.run(&["node", "build", "own"]);
    assert!(ended.code == 78 && ended.log.contains("artefact"), "{}", ended.log);
}
