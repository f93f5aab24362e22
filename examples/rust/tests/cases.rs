//! The example nodes behave natively as in the sandbox, where `wattle node conformance --examples`
//! runs the same cases.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on fails; clippy exempts only the test functions themselves"
)]

use std::fs;
use std::path::Path;

use serde_json::{Map, Value};
use wattle_examples::Examples;
use wattle_node::testing::run_timed_cases;

/// The cases of a node, without those that end in a trap: natively it would end the test.
fn cases(node: &str) -> Map<String, Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../host/devkit/examples");
    let text = fs::read_to_string(folder.join(format!("{node}.json"))).unwrap();
    let mut cases: Map<String, Value> = serde_json::from_str(&text).unwrap();
    cases.retain(|_, case| case.pointer("/fault/kind").is_none_or(|kind| kind != "trap"));
    cases
}

#[test]
fn the_cases_of_every_node_hold_natively() {
    for (node, faces) in [
        ("add-field", &["events", "columns"][..]),
        ("drop-if", &["events", "columns"]),
        ("require", &["events", "columns"]),
        ("count", &["events", "columns"]),
        ("memory", &["events", "columns"]),
        ("decisions", &["columns"]),
    ] {
        for face in faces {
            let folder = tempfile::tempdir().unwrap();
            for (name, mut case) in cases(node) {
                case["options"]["node"] = node.into();
                case["options"]["face"] = (*face).into();
                fs::write(folder.path().join(format!("{name}.json")), case.to_string()).unwrap();
            }
            run_timed_cases::<Examples>(folder.path()).unwrap_or_else(|problems| panic!("{node}, {face}: {problems}"));
        }
    }
}
