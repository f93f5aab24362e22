//! Components of contract 0.1 run unchanged: built ones in `tests/fixtures/contract-0.1`, with the
//! cases that they passed then.

use std::fs;
use std::io::Read as _;
use std::path::PathBuf;

use serde_json::{Map, Value};
use wattle_tests::{Config, Folder, Summary, built, workspace};

use crate::good;

fn fixtures() -> PathBuf {
    workspace().join("tests/fixtures/contract-0.1")
}

/// Writes an artifact of contract 0.1 to a file in the folder.
fn unpack(folder: &Folder, name: &str, to: &str) {
    let packed = fs::File::open(fixtures().join(format!("{name}.wasm.gz"))).unwrap();
    let mut artifact = Vec::new();
    flate2::read::GzDecoder::new(packed).read_to_end(&mut artifact).unwrap();
    folder.write(to, artifact);
}

#[test]
fn components_of_contract_0_1_pass_the_conformance_suite() {
    let folder = Folder::new();
    for (name, options) in [
        ("unroll", r#"{"path":["Records","$"],"into":"Record"}"#),
        ("route", r#"{"paths":[{"name":"infos","when":{"field":"body.level","equals":"info"}}]}"#),
        ("rust-counter", r#"{"field":"attributes.n"}"#),
        ("rust-capable", r#"{"mode":"count"}"#),
        ("rust-examples", r#"{"node":"count","face":"columns","to":"attributes.n"}"#),
        ("c-examples", r#"{"node":"count","face":"events","to":"attributes.n"}"#),
    ] {
        unpack(&folder, name, "old.wasm");
        let seen = good(&folder, &["inspect", "old.wasm"]);
        assert!(seen.text().contains("wattle:node/node@0.1.0#process"), "{name}: {}", seen.text());
        let ended = folder.run(&["node", "conformance", "old.wasm", "--options", options]);
        assert_eq!(ended.code, 0, "{name}: {}{}", ended.text(), ended.log);
    }
}

/// Writes the cases of the example nodes as those of a project, and returns their number.
fn write_cases(folder: &Folder) -> usize {
    let mut written = 0;
    for (node, faces) in [
        ("add-field", &["events", "columns"][..]),
        ("drop-if", &["events", "columns"]),
        ("require", &["events", "columns"]),
        ("count", &["events", "columns"]),
        ("decisions", &["columns"]),
    ] {
        let text = fs::read_to_string(fixtures().join(format!("cases/{node}.json"))).unwrap();
        let cases: Map<String, Value> = serde_json::from_str(&text).unwrap();
        for face in faces {
            for (name, case) in &cases {
                let mut case = case.clone();
                case["options"]["node"] = node.into();
                case["options"]["face"] = (*face).into();
                folder.write(format!("tests/cases/{node}-{face}-{name}.json"), case.to_string());
                written += 1;
            }
        }
    }
    written
}

#[test]
fn components_of_contract_0_1_decide_as_before() {
    let folder = Folder::new();
    folder.write(
        "node.toml",
        "name = \"examples\"\nartifact = \"old.wasm\"\n[build]\noutput = \"old.wasm\"\nwatch = []\nsteps = []\n",
    );
    let cases = write_cases(&folder);
    assert!(cases > 40, "{cases} cases");
    for name in ["rust-examples", "c-examples"] {
        unpack(&folder, name, "old.wasm");
        let tested = good(&folder, &["node", "test"]);
        assert!(tested.text().contains(&format!("{cases} passed, 0 failed")), "{name}: {}", tested.text());
    }
}

/// Records go through four artifacts in a row: split, routed, numbered, and counted by key.
fn config(counter: &str) -> String {
    Config::new()
        .agent("workers = 1")
        .file_source("documents", "*.json")
        .set("follow", false)
        .pipeline("main", &["documents"])
        .grants("log = true\nmetrics = true\nclock = true\nrandom = true\nkv = true\nlookup = { tables = {} }")
        .with("http-client = { hosts = [] }")
        .node("unroll", "unroll.wasm", &["input"])
        .with(r#"options = { path = ["Records"], into = "Record" }"#)
        .node("route", "route.wasm", &["unroll"])
        .with(r#"options = { paths = [{ name = "infos", when = { field = "body.Record.level", equals = "info" } }] }"#)
        .node("counter", counter, &["route.infos"])
        .with(r#"options = { field = "attributes.n" }"#)
        .node("capable", "capable.wasm", &["counter"])
        .with(r#"options = { mode = "kv-add" }"#)
        .output("infos", &["capable"])
        .output("rest", &["route.unmatched"])
        .output("fails", &["unroll.failed", "route.failed", "counter.failed", "capable.failed"])
        .file_sinks(&["infos", "rest", "fails"])
        .text()
}

#[test]
fn components_of_contract_0_1_lose_no_event_and_pass_their_state_to_components_of_0_2() {
    let folder = Folder::new();
    for (name, to) in [("unroll", "unroll"), ("route", "route"), ("rust-counter", "old"), ("rust-capable", "capable")] {
        unpack(&folder, name, &format!("{to}.wasm"));
    }
    folder.write("new.wasm", fs::read(built("guests/counter.wasm")).unwrap());
    let document = |records: usize| {
        let record = |i: usize| {
            format!(r#"{{"level":"{}","key":{}}}"#, if i.is_multiple_of(3) { "debug" } else { "info" }, i % 2)
        };
        format!("{{\"Records\":[{}]}}\n", (0..records).map(record).collect::<Vec<_>>().join(","))
    };
    folder.write("1.json", document(30) + "no json\n");
    let ended = folder.once(&config("old.wasm"));
    let summary = Summary::read(&ended.log);
    let moved = summary.pipeline();
    let outputs = ["infos", "rest", "fails"].map(|name| moved.output(name));
    assert_eq!((moved.received, outputs), (2, [20, 10, 1]), "{}", ended.log);
    let numbers = || -> Vec<u64> {
        folder.events("infos.ndjson").iter().map(|event| event["attributes"]["n"].as_u64().unwrap()).collect()
    };
    assert_eq!(numbers(), (1..=20).collect::<Vec<_>>());
    let sums: Vec<String> = folder
        .events("infos.ndjson")
        .iter()
        .map(|event| event["attributes"]["answer"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(sums.iter().filter(|sum| *sum == "10").count(), 2, "each of two keys is counted ten times: {sums:?}");
    folder.write("2.json", document(6));
    folder.once(&config("new.wasm"));
    assert_eq!(numbers(), (1..=24).collect::<Vec<_>>(), "the new component continues from the state of the old one");
}
