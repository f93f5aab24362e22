//! The node as a whole: case files, the committed schema, wrong options, real CloudTrail, any
//! bytes.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at what must not be")]

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::{Value, json};
use wattle_node::testing::{check_refusal, check_schema, run, run_bodies, run_cases};
use wattle_node_extract::{Extract, Options};

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[test]
fn cases_hold() {
    run_cases::<Extract>(&here("tests/cases")).unwrap();
}

#[test]
fn schema_is_up_to_date() {
    check_schema::<Options>(&here("options.schema.json")).unwrap();
}

#[track_caller]
fn refuse(options: Value, expected: &[(&str, &str)]) {
    check_refusal::<Extract>(&options, expected).unwrap();
}

#[test]
fn wrong_options_are_reported_all_at_once() {
    refuse(json!({}), &[("", "missing field `fields`")]);
    refuse(json!({"fields": []}), &[("fields", "at least one")]);
    refuse(
        json!({"fields": [
            {"from": "x", "into": "attributes", "pattern": "(", "format": "epoch"},
            {"from": "body.a[*]", "into": "timestamp", "group": 1},
            {"from": "body", "into": "nowhere", "pattern": "(a)", "group": 2},
            {"from": "attributes.a..b", "into": "body.x", "pattern": "(?<a>a)", "group": "b"},
        ]}),
        &[
            ("fields[0].from", "must begin with `body`"),
            ("fields[0].pattern", "unclosed group"),
            ("fields[0].format", "set `into` to `timestamp`"),
            ("fields[0].into", "a value goes to"),
            ("fields[1].group", "needs a `pattern`"),
            ("fields[1].from", "an array is no time"),
            ("fields[2].group", "no group `2`"),
            ("fields[2].into", "must begin with `body`"),
            ("fields[3].from", "expected a key"),
            ("fields[3].group", "no group `b`"),
            ("fields[3].into", "a value goes to"),
        ],
    );
    refuse(
        json!({"fields": [
            {"from": "body", "into": "timestamp", "format": "rfc2822"},
            {"from": "body", "into": "timestamp", "format": "%H:%M"},
        ]}),
        &[("fields[0].format", "write `rfc3339`"), ("fields[1].format", "lacks a part")],
    );
    refuse(
        json!({"fields": [
            {"from": "body.a", "into": "attributes.a", "delay_into": "attributes.b"},
            {"from": "body.a", "into": "timestamp", "delay_into": "body.b"},
            {"from": "body.a", "into": "timestamp", "on_missing": "null"},
            {"from": "body.a", "into": "attributes.a", "pattern": "a", "on_missing": "null"},
        ]}),
        &[
            ("fields[0].delay_into", "set `into` to `timestamp`"),
            ("fields[1].delay_into", "`attributes.<key>` or `resource.<key>`"),
            ("fields[2].on_missing", "never null"),
            ("fields[3].on_missing", "never null"),
        ],
    );
    refuse(
        json!({"fields": [{"from": "body", "into": "body", "group": []}]}),
        &[("fields[0].group", "expected the number or the name of a group")],
    );
    refuse(
        json!({"fields": [{"from": "body", "into": "body", "on_missing": "ignore"}]}),
        &[("fields[0].on_missing", "unknown variant `ignore`")],
    );
}

/// Records of real documents: arrays, and arrays of records in strings.
fn records(folder: &str) -> Vec<Value> {
    let folder = here("../../../shared/data").join(folder);
    let Ok(entries) = std::fs::read_dir(&folder) else {
        println!("skipped: {} is absent", folder.display());
        return Vec::new();
    };
    let texts = entries.map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap());
    let records = texts.flat_map(|text| serde_json::from_str::<Vec<Value>>(&text).unwrap());
    let unwrap =
        |record: Value| record["_raw"].as_str().map_or(record.clone(), |raw| serde_json::from_str(raw).unwrap());
    records.map(unwrap).collect()
}

#[test]
fn real_records_give_name_time_and_resources() {
    for (folder, count) in [("stratus-pretty", 310), ("pretty-sample", 44)] {
        let records = records(folder);
        if records.is_empty() {
            continue;
        }
        let bodies: Vec<String> = records.iter().map(|record| json!({ "Record": record }).to_string()).collect();
        let bodies: Vec<&str> = bodies.iter().map(String::as_str).collect();
        let options = json!({"fields": [
            {"from": "body.Record.eventName", "into": "attributes.eventName", "on_missing": "fail"},
            {"from": "body.Record.eventTime", "into": "timestamp", "on_missing": "fail"},
            {"from": "body.Record.readOnly", "into": "attributes.readOnly"},
            {"from": "body.Record.resources[*].ARN", "into": "attributes.resources"},
            {"from": "body.Record.eventSource", "pattern": "^[^.]+", "into": "resource.service"},
        ]});
        let ran = run_bodies::<Extract>(&options, &bodies).unwrap();
        assert_eq!((ran.ports["out"].len(), ran.failed.len()), (count, 0), "{folder}");
        for (event, record) in ran.ports["out"].iter().zip(&records) {
            assert_eq!(event["attributes"]["eventName"], record["eventName"]);
            assert_eq!(event["attributes"]["readOnly"], record["readOnly"]);
            assert_eq!(event["timestamp"], record["eventTime"]);
            let arns: Vec<&Value> = record["resources"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|r| &r["ARN"])
                .filter(|a| !a.is_null())
                .collect();
            assert_eq!(event["attributes"].get("resources"), (!arns.is_empty()).then(|| json!(arns)).as_ref());
            assert_eq!(
                event["resource"]["service"],
                record["eventSource"].as_str().unwrap().split('.').next().unwrap()
            );
        }
    }
}

proptest! {
    #[test]
    fn any_text_gives_values_or_none(bodies in prop::collection::vec(
        prop_oneof![any::<String>(), "\\{\"a\":[\\[\\]{}:,\"a1\\\\u ]{0,12}\\}"], 1..6)
    ) {
        let options = json!({"fields": [
            {"from": "body.a", "into": "attributes.a"},
            {"from": "body.a[*]", "into": "attributes.each", "on_missing": "fail"},
            {"from": "body.a[*]", "pattern": "\\d", "into": "attributes.digits", "on_missing": "drop"},
            {"from": "body", "pattern": "a.", "into": "attributes.text"},
            {"from": "body.a", "into": "timestamp", "format": "auto"},
            {"from": "body[*]", "into": "body"},
        ]});
        let events: Vec<Value> = bodies.iter().map(|body| json!({ "body": body })).collect();
        run::<Extract>(&options, &events).map_err(TestCaseError::fail)?;
    }
}
