//! The node as a whole: case files, the committed schema, wrong options, texts that come back.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may stop at what must not be")]

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::{Value, json};
use wattle_node::testing::{check_refusal, check_schema, run, run_cases};
use wattle_node_serialize::{Options, Serialize};

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[test]
fn cases_hold() {
    run_cases::<Serialize>(&here("tests/cases")).unwrap();
}

#[test]
fn schema_is_up_to_date() {
    check_schema::<Options>(&here("options.schema.json")).unwrap();
}

#[test]
fn wrong_options_are_reported_all_at_once() {
    let refuse = |options: Value, expected: &[(&str, &str)]| check_refusal::<Serialize>(&options, expected).unwrap();
    refuse(
        json!({"format": "logfmt", "from": "nowhere", "into": "timestamp", "fields": ["a[*]", "a..b"], "flat": true,
               "separator": ";", "template": "x", "header": {"host": "x"}}),
        &[
            ("flat", "belongs to the format `json`"),
            ("separator", "belongs to the format `key_value`, `csv`, `leef`"),
            ("template", "belongs to the format `template`"),
            ("header.host", "has no header"),
            ("fields[0]", "names many values"),
            ("fields[1]", "expected a key"),
            ("from", "must begin with `body`"),
            ("into", "the text goes to `body`"),
        ],
    );
    refuse(
        json!({"format": "csv", "separator": "\""}),
        &[("fields", "list them"), ("separator", "one ASCII character")],
    );
    refuse(
        json!({"format": "key_value", "separator": "", "fields": []}),
        &[("fields", "at least one"), ("separator", "empty")],
    );
    refuse(
        json!({"format": "cef", "header": {"nme": "x", "name": "{{ nowhere }}", "vendor": "{{ body"}}),
        &[
            ("header.nme", "its parts are `vendor`"),
            ("header.vendor", "has no `}}` after it"),
            ("header.name", "must begin with"),
        ],
    );
    refuse(
        json!({"format": "template", "fields": ["a"]}),
        &[("fields", "remove `fields`"), ("template", "needs a text")],
    );
    refuse(json!({"format": "json", "from": "timestamp"}), &[("from", "no object")]);
}

fn bodies(options: &Value, events: &[Value]) -> Vec<String> {
    run::<Serialize>(options, events).unwrap().bodies("out").to_vec()
}

fn scalars() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[ -~\\n\\t|=\\\\\"\\]é]{0,8}".prop_map(Value::from),
    ]
}

proptest! {
    #[test]
    fn json_formats_write_json_and_keep_the_values(
        members in prop::collection::btree_map("[a-z]{1,3}", scalars(), 0..5), body in "\\PC{0,9}",
    ) {
        let event = json!({"body": body, "attributes": members, "timestamp": "2026-01-02T03:04:05.678Z"});
        let parse = |options: &Value| serde_json::from_str::<Value>(&bodies(options, std::slice::from_ref(&event))[0]).unwrap();
        prop_assert_eq!(parse(&json!({"format": "json"})), json!(members));
        prop_assert_eq!(parse(&json!({"format": "json", "flat": true})), json!(members));
        let gelf = parse(&json!({"format": "gelf"}));
        prop_assert_eq!(&gelf["timestamp"], &json!(1_767_323_045.678));
        prop_assert_eq!(&gelf["short_message"], &json!(body));
        let otlp = parse(&json!({"format": "otlp"}));
        let record = &otlp["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0];
        prop_assert_eq!(&record["timeUnixNano"], "1767323045678000000");
        prop_assert_eq!(record["attributes"].as_array().unwrap().len(), members.len());
        let ecs = parse(&json!({"format": "ecs"}));
        prop_assert_eq!(&ecs["@timestamp"], "2026-01-02T03:04:05.678Z");
        for (key, value) in &members {
            if key != "log" {
                prop_assert_eq!(&ecs[key], value);
            }
        }
    }

    #[test]
    fn each_line_format_is_one_line_with_every_member(
        members in prop::collection::btree_map("[a-z]{1,3}", scalars(), 1..5),
    ) {
        let keys: Vec<String> = members.keys().cloned().collect();
        for options in [
            json!({"format": "logfmt"}), json!({"format": "cef"}), json!({"format": "leef"}),
            json!({"format": "key_value", "separator": ";", "pair_separator": ":"}),
        ] {
            let text = &bodies(&options, &[json!({"attributes": members})])[0];
            prop_assert!(!text.contains('\n') && !text.contains('\r'), "{options} {text}");
            let pair = if options["format"] == "key_value" { ':' } else { '=' };
            for key in &keys {
                prop_assert!(text.contains(&format!("{key}{pair}")), "{options} {text}");
            }
        }
        let csv = bodies(&json!({"format": "csv", "fields": keys}), &[json!({"attributes": members})]).remove(0);
        prop_assert_eq!(fields_of_csv(&csv), members.values().map(text).collect::<Vec<_>>());
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Reads a line of RFC 4180.
fn fields_of_csv(line: &str) -> Vec<String> {
    let (mut fields, mut field, mut is_quoted) = (Vec::new(), String::new(), false);
    let mut chars = line.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '"' if is_quoted && chars.peek() == Some(&'"') => field.push(chars.next().unwrap()),
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => fields.push(std::mem::take(&mut field)),
            char => field.push(char),
        }
    }
    fields.push(field);
    fields
}

/// The example of the README, from its TOML and its last line.
#[test]
fn the_example_of_the_readme_holds() {
    let readme = std::fs::read_to_string(here("README.md")).unwrap();
    let block = readme.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let node: toml::Table = block.parse().unwrap();
    let options: Value = node["nodes"]["serialize"]["options"].clone().try_into().unwrap();
    let quoted: Vec<&str> = readme.rsplit("```\n").next().unwrap().split('`').collect();
    let event = json!({"body": "", "attributes": serde_json::from_str::<Value>(quoted[1]).unwrap()});
    assert_eq!(bodies(&options, &[event]), [quoted[3]]);
}
