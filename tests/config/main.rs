//! Every kind of bad configuration, with the real nodes: `wattle validate` names the file, the line
//! and the problem.
//!
//! A case is a folder in `golden` with an `agent.toml`; `expected.err` holds what is printed, and
//! `UPDATE_EXPECT=1` writes it again. `host/pack` has a case for every code; here are the cases
//! that need real nodes and artifacts.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that cannot go on fails; clippy exempts only the test functions themselves"
)]

mod dropin;
mod reference;
mod schema;

use std::fs;
use std::path::Path;

use serde_json::Value;
use wattle_tests::{Ended, Folder, built};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/config/golden");

/// Each kind of error that must be reported, with its code.
const KINDS: &[(&str, &str)] = &[
    ("unknown-key", "E0103"),
    ("unknown-node", "E0203"),
    ("unknown-link", "E0302"),
    ("cycle", "E0301"),
    ("dangling-link", "E0304"),
    ("two-writers", "E0315"),
    ("two-listeners", "E0317"),
    ("own-output", "E0319"),
    ("untaken-output", "E0313"),
    ("bad-regex", "E0211"),
    ("wrong-option-type", "E0211"),
    ("wrong-source-option", "E0212"),
    ("misspelt-inputs-of-sink", "E0213"),
    ("wrong-sink-option", "E0213"),
    ("wrong-param-type", "E0413"),
    ("missing-artifact", "E0204"),
    ("other-contract", "E0206"),
    ("imports-wasi", "E0206"),
    ("core-module", "E0206"),
    ("not-wasm", "E0206"),
    ("artifact-digest", "E0207"),
    ("capability", "E0210"),
    ("syntax", "E0102"),
    ("everything-at-once", "E0103"),
];

/// Artifacts that no agent may run. They are created here, because the project cannot contain them.
fn artifacts(folder: &Folder) {
    let guest = fs::read(built("guests/faulty.wasm")).unwrap();
    let (mut other, from, to) = (guest.clone(), b"@0.2.0", b"@9.9.9");
    let named: Vec<usize> = guest.windows(from.len()).enumerate().filter(|(_, w)| w == from).map(|(i, _)| i).collect();
    assert!(!named.is_empty());
    for place in named {
        other[place..place + to.len()].copy_from_slice(to);
    }
    folder.write("other-contract.wasm", other);
    let wasi = r#"(component
        (import "wasi:filesystem/preopens@0.2.0" (instance (export "get-directories" (func))))
        (import "wasi:cli/environment@0.2.0" (instance (export "get-environment" (func)))))"#;
    folder.write("imports-wasi.wasm", wat::parse_str(wasi).unwrap());
    let lookup = r#"(component (import "wattle:node/lookup@0.1.0" (instance (export "find" (func)))))"#;
    folder.write("imports-lookup.wasm", wat::parse_str(lookup).unwrap());
    folder.write("core-module.wasm", wat::parse_str("(module (func (export \"run\")))").unwrap());
    folder.write("not-wasm.wasm", "this is no WebAssembly");
    // A pack has its artifacts inside.
    for name in ["imports-lookup.wasm", "not-wasm.wasm"] {
        folder.write(format!("pack/{name}"), folder.read(name));
    }
}

fn validate(case: &str, format: &str) -> Ended {
    let folder = Folder::new();
    folder.copy(&Path::new(GOLDEN).join(case), ".");
    artifacts(&folder);
    let ended = folder.run(&["validate", "agent.toml", "--format", format]);
    assert_eq!(ended.code, 78, "{case}: {}{}", ended.text(), ended.log);
    ended
}

#[test]
fn each_kind_is_reported_as_expected() {
    let mut wrong = Vec::new();
    for (case, code) in KINDS {
        let printed = validate(case, "text").text().to_owned();
        assert!(printed.contains(&format!("error[{code}]")), "{case}: {printed}");
        assert!(
            printed.contains("--> agent.toml:") || printed.contains("--> pack/pack.toml:"),
            "{case} names file and line: {printed}"
        );
        let file = Path::new(GOLDEN).join(case).join("expected.err");
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            fs::write(&file, &printed).unwrap();
        }
        let expected = fs::read_to_string(&file).unwrap_or_default();
        if printed != expected {
            wrong.push(format!("--- {case}: expected\n{expected}\n--- {case}: got\n{printed}"));
        }
    }
    assert!(wrong.is_empty(), "{}\nset UPDATE_EXPECT=1 to accept", wrong.join("\n"));
}

#[test]
fn every_case_has_a_kind() {
    let mut cases: Vec<String> =
        fs::read_dir(GOLDEN).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let mut listed: Vec<&str> = KINDS.iter().map(|(case, _)| *case).collect();
    cases.sort();
    listed.sort_unstable();
    assert_eq!(cases, listed);
}

#[test]
fn diagnostics_can_be_printed_as_json_or_one_per_line() {
    let lines = validate("everything-at-once", "json");
    let found: Vec<Value> = lines.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(found.len() >= 4, "all at once: {found:?}");
    for diagnostic in &found {
        assert!(diagnostic["code"].as_str().is_some_and(|code| code.starts_with('E')), "{diagnostic}");
        assert!(diagnostic["line"].as_u64().is_some() && diagnostic["file"] == "agent.toml", "{diagnostic}");
    }
    let short = validate("everything-at-once", "short");
    assert_eq!(short.text().lines().count(), found.len());
    assert!(short.text().lines().all(|line| line.starts_with("agent.toml:")), "{}", short.text());
}

#[test]
fn the_agent_does_not_start_with_a_bad_configuration() {
    let folder = Folder::new();
    folder.copy(&Path::new(GOLDEN).join("bad-regex"), ".");
    let ended = folder.run(&["run", "--once", "--config", "agent.toml"]);
    assert_eq!(ended.code, 78, "{}", ended.log);
    assert!(ended.log.contains("error[E0211]") && ended.log.contains("agent.toml:"), "{}", ended.log);
}
