//! The node as a whole: case files, the committed schema, wrong options, texts that come back.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may stop at what must not be")]

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::{Value, json};
use wattle_node::testing::{check_refusal, check_schema, run, run_cases};
use wattle_node_serialize::{Options, Serialize};

/// The texts that a node writes for events.
#[track_caller]
fn texts(options: &Value, events: &[Value]) -> Vec<String> {
    run::<Serialize>(options, events).unwrap().bodies("out")
}

#[test]
fn a_severity_of_cef_is_one_in_any_case() {
    let options = json!({"format": "cef", "fields": ["x"], "header": {"severity": "{{ attributes.s }}"}});
    for (severity, expected) in [
        (json!(0), "0"),
        (json!("10"), "10"),
        (json!("Very-High"), "Very-High"),
        (json!("high"), "High"),
        (json!(11), "Unknown"),
        (json!(-1), "Unknown"),
        (json!(5.5), "Unknown"),
        (json!("07"), "Unknown"),
        (json!("any | text"), "Unknown"),
        (json!(""), "Unknown"),
        (json!(null), "Unknown"),
    ] {
        let event = json!({"body": "", "attributes": {"s": severity}});
        assert_eq!(texts(&options, &[event]), [format!("CEF:0|Wattle|Wattle|1|0|event|{expected}|")], "{severity}");
    }
}

#[test]
fn a_message_of_syslog_is_one_line() {
    let options = json!({"format": "syslog", "header": {"timestamp": ""}});
    let event = json!({"body": "a\r\nb\u{0}c\n", "attributes": {"k": "x\ny\"\r\u{0}"}});
    assert_eq!(
        texts(&options, &[event]),
        ["<14>1 - - - - - [event@32473 k=\"x#012y\\\"#015#000\"] a#015#012b#000c#012"]
    );
}

#[test]
fn a_body_of_otlp_that_is_not_utf_8_is_bytes() {
    let options = json!({"format": "otlp", "into": "attributes.text"});
    let events = [json!({"body_base64": "/2Ei"}), json!({"body": "\u{e9}\""}), json!({"body": ""})];
    let ran = run::<Serialize>(&options, &events).unwrap();
    let bodies: Vec<Value> = ran.ports["out"]
        .iter()
        .map(|event| {
            let text: Value = serde_json::from_str(event["attributes"]["text"].as_str().unwrap()).unwrap();
            text["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]["body"].clone()
        })
        .collect();
    assert_eq!(bodies, [json!({"bytesValue": "/2Ei"}), json!({"stringValue": "\u{e9}\""}), json!({"stringValue": ""})]);
}

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
        json!({"format": "key_value", "separator": "=", "pair_separator": "="}),
        &[("pair_separator", "`=` separates pairs already")],
    );
    refuse(json!({"format": "key_value", "separator": "="}), &[("pair_separator", "choose another separator")]);
    refuse(
        json!({"format": "key_value", "separator": "\"", "pair_separator": "\"="}),
        &[("separator", "no quote"), ("pair_separator", "no quote")],
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
    refuse(
        json!({"format": "syslog", "header": {"facility": "lokal0", "severity": "8", "timestamp": "2300-01-01T00:00:00Z"}}),
        &[
            ("header.facility", "`lokal0` is no facility; write a number from 0 to 23, or one of `kern`, `user`,"),
            ("header.severity", "`8` is no severity; write a number from 0 to 7, or one of `emerg`,"),
            ("header.timestamp", "between the years 1677 and 2262"),
        ],
    );
    refuse(json!({"format": "gelf", "header": {"level": ""}}), &[("header.level", "`` is no severity")]);
    for severity in ["banana", "", "11", "-1", "5.5", "07", "high", "7 "] {
        refuse(
            json!({"format": "cef", "header": {"severity": severity}}),
            &[("header.severity", "from 0 to 10, or one of `Unknown`, `Low`, `Medium`, `High`, `Very-High`")],
        );
    }
    for severity in ["0", "10", "Unknown", "Very-High", "{{ attributes.severity }}"] {
        let made = run::<Serialize>(&json!({"format": "cef", "header": {"severity": severity}}), &[]);
        assert!(made.is_ok(), "{severity} {made:?}");
    }
    refuse(
        json!({"format": "otlp", "header": {"severity_number": "25", "trace_id": "7", "span_id": "0000000000000000"}}),
        &[
            ("header.severity_number", "from 1 to 24"),
            ("header.trace_id", "32 hexadecimal digits"),
            ("header.span_id", "16 hexadecimal digits"),
        ],
    );
    refuse(
        json!({"format": "key_value", "separator": "_", "pair_separator": "=2"}),
        &[("separator", "no `_` and no digits"), ("pair_separator", "no `_` and no digits")],
    );
    refuse(json!({"format": "leef", "separator": "_"}), &[("separator", "does not use itself")]);
    refuse(
        json!({"format": "ecs", "fields": ["a", "b[0].c", "a"]}),
        &[("fields[1]", "no place in a new object"), ("fields[2]", "`a` is listed twice")],
    );
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

/// A JSON object as its members, also those with the same key.
struct Pairs(Vec<(String, Value)>);

impl<'de> serde::Deserialize<'de> for Pairs {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct All;
        impl<'de> serde::de::Visitor<'de> for All {
            type Value = Pairs;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut all = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    all.push(pair);
                }
                Ok(Pairs(all))
            }
        }
        from.deserialize_map(All)
    }
}

/// The keys of a text in a format, in their order.
fn written_keys(format: &str, text: &str) -> Vec<String> {
    let json_keys = |text: &str| -> Vec<String> {
        serde_json::from_str::<Pairs>(text).unwrap().0.into_iter().map(|(key, _)| key).collect()
    };
    match format {
        "json" => json_keys(text),
        "gelf" => json_keys(text).into_iter().filter(|key| key.starts_with('_')).collect(),
        "otlp" => {
            let otlp: Value = serde_json::from_str(text).unwrap();
            let all = &otlp["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]["attributes"];
            all.as_array().unwrap().iter().map(|pair| pair["key"].as_str().unwrap().to_owned()).collect()
        }
        // Values are digits here, so a key ends at each equals sign.
        _ => {
            let is_between = |char: char| char.is_whitespace() || matches!(char, '|' | '[' | ']');
            let words = text.split(is_between).filter_map(|word| word.split_once('='));
            words.map(|(key, _)| key.to_owned()).collect()
        }
    }
}

#[test]
fn members_that_get_the_same_key_get_numbers() {
    let event = json!({"body": "m", "timestamp": "2026-01-02T03:04:05Z",
        "attributes": {"a.b": 1, "a": {"b": 2}, "x y": 3, "x_y": 4, "id": 5, "id_": 6, "message": "n"}});
    let made = |options: Value| bodies(&options, std::slice::from_ref(&event)).remove(0);
    let all = |fields: &str| json!({"format": "gelf", "header": {"host": fields}});
    assert_eq!(
        made(json!({"format": "json", "flat": true})),
        r#"{"a.b":1,"a.b_2":2,"x y":3,"x_y":4,"id":5,"id_":6,"message":"n"}"#
    );
    assert!(made(all("h")).ends_with(r#""_a.b":1,"_a.b_2":2,"_x_y":3,"_x_y_2":4,"_id_":5,"_id__2":6,"_message":"n"}"#));
    assert_eq!(
        made(json!({"format": "ecs"})),
        r#"{"a.b":1,"a":{"b_2":2},"x y":3,"x_y":4,"id":5,"id_":6,"message_2":"n","@timestamp":"2026-01-02T03:04:05Z","message":"m"}"#
    );
    // The same value is not lost.
    assert!(!made(json!({"format": "ecs", "header": {"message": "n"}})).contains("message_2"));
    let long = |end: &str| format!("{}{end}", "k".repeat(40));
    let cut = json!({"attributes": {long("1"): 1, long("2"): 2}});
    let sd = bodies(&json!({"format": "syslog"}), &[cut]).remove(0);
    assert_eq!(written_keys("syslog", &sd), ["k".repeat(32), format!("{}_2", "k".repeat(30))]);
}

proptest! {
    #[test]
    fn no_key_is_written_twice_and_no_member_is_lost(
        members in prop::collection::btree_map("[ab. _=é]{1,3}|id_?", prop_oneof![
            any::<u8>().prop_map(Value::from),
            prop::collection::btree_map("[ab. _=é]{1,2}", any::<u8>(), 1..3).prop_map(|inner| json!(inner)),
        ], 1..7),
    ) {
        let event = json!({"body": "", "attributes": members});
        let leaves: usize = members.values().map(|value| value.as_object().map_or(1, |inner| inner.len())).sum();
        for format in ["json", "gelf", "logfmt", "cef", "leef", "syslog", "otlp"] {
            let mut options = json!({"format": format});
            if format == "json" {
                options["flat"] = true.into();
            }
            let text = bodies(&options, std::slice::from_ref(&event)).remove(0);
            let keys = written_keys(format, &text);
            let expected = if format == "otlp" { members.len() } else { leaves };
            prop_assert_eq!(keys.len(), expected, "{}", text);
            prop_assert_eq!(keys.iter().collect::<std::collections::BTreeSet<_>>().len(), expected, "{}", text);
            prop_assert!(format != "gelf" || !keys.contains(&"_id".to_owned()), "{}", text);
        }
    }

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
        let message = if body.trim_ascii().is_empty() { "-" } else { &body };
        prop_assert_eq!(&gelf["short_message"], &json!(message));
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

#[test]
fn gelf_has_a_host_and_a_message() {
    let options = json!({"format": "gelf", "header": {"host": "{{ attributes.h }}"}});
    for (body, host) in [("", ""), (" \t", " ")] {
        let text = &bodies(&options, &[json!({"body": body, "attributes": {"h": host}})])[0];
        let gelf: Value = serde_json::from_str(text).unwrap();
        assert_eq!((&gelf["short_message"], &gelf["host"]), (&json!("-"), &json!("unknown")), "{text}");
    }
}
