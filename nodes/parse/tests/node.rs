//! The node as a whole: case files, the committed schema, wrong options, real CloudTrail, any
//! bytes.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at what must not be")]

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::{Value, json};
use wattle_node::testing::{check_refusal, check_schema, run, run_bodies, run_cases};
use wattle_node_parse::{Options, Parse};

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[test]
fn cases_hold() {
    run_cases::<Parse>(&here("tests/cases")).unwrap();
}

#[test]
fn schema_is_up_to_date() {
    check_schema::<Options>(&here("options.schema.json")).unwrap();
}

#[track_caller]
fn refuse(options: Value, expected: &[(&str, &str)]) {
    check_refusal::<Parse>(&options, expected).unwrap();
}

#[test]
fn wrong_options_are_reported_all_at_once() {
    refuse(
        json!({"field": "x", "into": "body.x", "pattern": "a", "columns": ["a"], "types": {"a": "integer"}}),
        &[
            ("field", "must begin with `body`"),
            ("into", "values go to `attributes`"),
            ("pattern", "belongs to the format `regex`, but the format is `json`"),
            ("columns", "belongs to the format `csv`"),
            ("types", "JSON has types of its own"),
        ],
    );
    refuse(json!({"into": "attributes[0]"}), &[("into", "a key must follow")]);
    refuse(json!({"format": "xml"}), &[("format", "unknown variant `xml`")]);
    refuse(json!({"format": "regex"}), &[("pattern", "needs a pattern")]);
    refuse(json!({"format": "regex", "pattern": "(a"}), &[("pattern", "not a regular expression: unclosed group")]);
    refuse(json!({"format": "regex", "pattern": "(a)"}), &[("pattern", "no named group")]);
    refuse(
        json!({"format": "regex", "pattern": "(?<a>a)", "types": {"b": "number"}}),
        &[("types.b", "there is no group `b`")],
    );
    refuse(
        json!({"format": "key_value", "pair_split": "", "field_split": "\""}),
        &[("field_split", "at least one character"), ("pair_split", "at least one character")],
    );
    refuse(json!({"format": "key_value", "field_split": "="}), &[("pair_split", "separates pairs already")]);
    refuse(json!({"format": "csv"}), &[("columns", "needs the name of each column")]);
    refuse(
        json!({"format": "csv", "columns": ["a", "b", "a"], "delimiter": "\"", "types": {"c": "boolean"}}),
        &[
            ("delimiter", "one ASCII character"),
            ("columns[2]", "`a` is named twice"),
            ("types.c", "there is no column `c`"),
        ],
    );
}

#[test]
fn real_records_keep_their_types() {
    let folder = here("../../../shared/data/stratus-pretty");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        println!("skipped: {} is absent", folder.display());
        return;
    };
    let mut count = 0;
    for entry in entries {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let records: Vec<Value> = serde_json::from_str(&text).unwrap();
        let bodies: Vec<String> =
            records.iter().map(|record| serde_json::to_string_pretty(&json!({ "Record": record })).unwrap()).collect();
        let ran = run_bodies::<Parse>(&json!({}), &bodies.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
        let events = &ran.ports["out"];
        assert!(events.iter().map(|event| &event["attributes"]["Record"]).eq(&records));
        assert!(ran.bodies("out") == bodies, "bodies stay byte for byte");
        count += events.len();
    }
    assert_eq!(count, 310);
}

/// Any text, and texts that resemble a format.
fn texts() -> impl Strategy<Value = Vec<String>> {
    let text = prop_oneof![any::<String>(), "[a-c=, \"\\\\;\n]{0,16}", "[{}\\[\\]\":,0-9eE. ]{0,16}"];
    prop::collection::vec(text, 1..8)
}

proptest! {
    #[test]
    fn any_text_is_parsed_or_fails(texts in texts(), format in 0..4_usize, before: bool, conflict in 0..3_usize) {
        let mut options = [
            json!({}),
            json!({"format": "regex", "pattern": "(?<a>.)(?<b>c)?", "types": {"b": "boolean"}}),
            json!({"format": "key_value", "types": {"a": "integer"}}),
            json!({"format": "csv", "columns": ["a", "b"], "types": {"a": "number"}}),
        ][format].clone();
        options["into"] = json!("attributes.new");
        options["on_conflict"] = json!(["overwrite", "keep", "fail"][conflict]);
        let attributes = if before { json!({"new": {"a": 0}}) } else { json!({"old": 1}) };
        let events: Vec<Value> = texts.iter().map(|text| json!({"body": text, "attributes": attributes})).collect();
        let ran = run::<Parse>(&options, &events).map_err(TestCaseError::fail)?;
        let out = ran.ports.get("out").map_or(0, Vec::len);
        prop_assert_eq!(out + ran.failed.len(), texts.len());
    }
}
