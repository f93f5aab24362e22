//! The node as a whole: case files, the committed schema, the README, wrong options, the cases of uap-core, any bytes.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at what must not be")]

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::{Value, json};
use wattle_node::testing::{check_refusal, check_schema, run, run_cases};
use wattle_node_user_agent::{Options, UserAgent};

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[test]
fn cases_hold() {
    run_cases::<UserAgent>(&here("tests/cases")).unwrap();
}

#[test]
fn schema_is_up_to_date() {
    check_schema::<Options>(&here("options.schema.json")).unwrap();
}

/// The example of the README: options, a body with the agent, and the object.
#[test]
fn the_example_of_the_readme_holds() {
    let readme = std::fs::read_to_string(here("README.md")).unwrap();
    let block = readme.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let graph: toml::Value = toml::from_str(block).unwrap();
    let options = serde_json::to_value(&graph["nodes"]["user-agent"]["options"]).unwrap();
    let quoted: Vec<&str> = readme.rsplit("```\n").next().unwrap().split('`').collect();
    let ran = run::<UserAgent>(&options, &[json!({"attributes": {"http_user_agent": quoted[1]}})]).unwrap();
    let expected: Value = serde_json::from_str(quoted[5]).unwrap();
    assert_eq!(ran.ports["out"][0]["attributes"]["client"], expected);
}

#[test]
fn wrong_options_are_reported_all_at_once() {
    check_refusal::<UserAgent>(
        &json!({"field": "agent", "into": "attributes", "cache_size": 0}),
        &[
            ("field", "must begin with `body`"),
            ("into", "give it a field such as `attributes.user_agent`"),
            ("cache_size", "`0` is not between 1 and 100000"),
        ],
    )
    .unwrap();
    check_refusal::<UserAgent>(&json!({"cache_size": 100_001}), &[("cache_size", "between 1 and 100000")]).unwrap();
    check_refusal::<UserAgent>(&json!({"colour": 1}), &[("colour", "unknown field")]).unwrap();
    for into in ["severity", "trace_id", "scope", "scope.name"] {
        check_refusal::<UserAgent>(&json!({"into": into}), &[("into", "cannot hold the value")]).unwrap();
    }
}

/// Cases of uap-core: the kind, the agent, the name, the version. `WATTLE_AGENTS` can name a file with more of them.
#[test]
fn the_cases_of_uap_core_hold() {
    let file = std::env::var_os("WATTLE_AGENTS").map_or_else(|| here("tests/agents.tsv"), PathBuf::from);
    let text = std::fs::read_to_string(file).unwrap();
    let cases: Vec<Vec<&str>> = text.lines().map(|line| line.split('\t').collect()).collect();
    let events: Vec<Value> = cases.iter().map(|case| json!({"attributes": {"agent": case[1]}})).collect();
    let ran = run::<UserAgent>(&json!({}), &events).unwrap();
    let mut wrong = Vec::new();
    for (case, event) in cases.iter().zip(&ran.ports["out"]) {
        let found = &event["attributes"]["user_agent"];
        let text = |key: &str| found[key].as_str().unwrap_or_default();
        let found = match case[0] {
            "u" => (text("name"), text("version")),
            "o" => (text("os"), text("os_version")),
            _ => (text("device"), ""),
        };
        if found != (case[2], case[3]) {
            wrong.push(format!("{} {}\n  expected {:?}, found {found:?}", case[0], case[1], (case[2], case[3])));
        }
    }
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

proptest! {
    #[test]
    fn any_text_gets_an_object_or_nothing(
        texts in prop::collection::vec(
            prop_oneof![any::<String>(), "(Mozilla/5.0 \\(|iPhone|Android|Chrome/|Windows NT|[a-z0-9;./ )\"\\\\é]){0,12}"],
            1..6,
        ),
        cache_size in 1..4_usize,
    ) {
        let events: Vec<Value> = texts.iter().map(|text| json!({"body": text})).collect();
        // The harness reads attributes as JSON, so text that is not JSON fails here.
        let options = json!({"field": "body", "cache_size": cache_size});
        let ran = run::<UserAgent>(&options, &events).map_err(TestCaseError::fail)?;
        prop_assert_eq!(ran.ports["out"].len(), texts.len());
        for event in &ran.ports["out"] {
            let found = &event["attributes"]["user_agent"];
            prop_assert!(found.is_null() || found.as_object().is_some_and(|found| !found.is_empty()));
        }
    }
}
