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
            ("pattern", "belongs to the format `regex`, `grok`, but the format is `json`"),
            ("columns", "belongs to the format `csv`"),
            ("types", "JSON has types of its own"),
        ],
    );
    refuse(json!({"into": "attributes[0]"}), &[("into", "a key must follow")]);
    refuse(json!({"format": "yaml"}), &[("format", "unknown variant `yaml`")]);
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
fn fields_that_cannot_hold_the_values_are_refused() {
    for into in ["body", "timestamp", "severity", "severity.text", "trace_id", "span_id", "scope", "scope.name"] {
        refuse(json!({"into": into}), &[("into", "values go to `attributes`")]);
    }
    for (into, body, code) in
        [("scope.attributes", "{\"b\":1}", None), ("scope.attributes", "1", Some("not-an-object"))]
    {
        let event = json!({"body": body, "scope": {"attributes": {"a": 1}}});
        let ran = run::<Parse>(&json!({"into": into}), &[event]).unwrap();
        assert_eq!(ran.codes(), Vec::from_iter(code), "{into} {body}");
        if code.is_none() {
            assert_eq!(ran.ports["out"][0]["scope"]["attributes"], json!({"a": 1, "b": 1}));
        }
    }
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

/// A search that looked at all bytes before each separator would not end here.
#[test]
fn a_long_line_of_separators_has_no_pair() {
    let options = json!({"format": "key_value", "field_split": ";", "pre": "before"});
    let ran = run_bodies::<Parse>(&options, &[&";=".repeat(1 << 19), "a b; c=1"]).unwrap();
    assert_eq!(ran.codes(), ["not-key-value"]);
    assert_eq!(ran.ports["out"][0]["attributes"], json!({"before": "a b", "c": "1"}));
}

proptest! {
    #[test]
    fn any_text_is_parsed_or_fails(texts in texts(), format in 0..6_usize, before: bool, conflict in 0..3_usize) {
        let mut options = [
            json!({}),
            json!({"format": "regex", "pattern": "(?<a>.)(?<b>c)?", "types": {"b": "boolean"}}),
            json!({"format": "key_value", "types": {"a": "integer"}}),
            json!({"format": "csv", "columns": ["a", "b"], "types": {"a": "number"}}),
            json!({"format": "key_value", "field_split": ";", "pre": "b", "quotes": "single"}),
            json!({"format": "csv", "columns": "header", "header": "a"}),
        ][format].clone();
        options["into"] = json!("attributes.new");
        options["on_conflict"] = json!(["overwrite", "keep", "fail"][conflict]);
        let attributes = if before { json!({"new": {"a": 0}}) } else { json!({"old": 1}) };
        let events: Vec<Value> = texts.iter().map(|text| json!({"body": text, "attributes": attributes})).collect();
        let ran = run::<Parse>(&options, &events).map_err(TestCaseError::fail)?;
        let out = ran.ports.get("out").map_or(0, Vec::len);
        let dropped: usize = ran.dropped.values().sum();
        prop_assert_eq!(out + ran.failed.len() + dropped, texts.len());
    }
}

const FORMATS: [&str; 12] =
    ["logfmt", "syslog", "nginx", "apache", "cri", "docker", "aws_vpc_flow", "aws_alb", "cef", "leef", "url", "xml"];

/// Lines of each format, to be cut and mixed.
const LINES: [&str; 13] = [
    r#"level=info msg="all \"well\"" took=1.5 debug"#,
    r#"<34>1 2003-10-11T22:14:15.003Z host su 77 ID47 [ex@32473 iut="3" q="a\"b"][x@1 a="b"] text"#,
    "<13>Oct 11 22:14:15 host1 sshd[4711]: Failed password",
    "<189>1234: *Oct 11 22:14:15.123 UTC: %SYS-5-CONFIG_I: text",
    r#"203.0.113.7 - ann [28/Nov/2026:10:20:30 +0100] "GET /a HTTP/1.1" 200 612 "r" "a \x41\"" "-""#,
    r#"2026/11/28 10:20:30 [error] 42#7: *5 open() failed, client: 10.0.0.1, request: "GET /x HTTP/1.1""#,
    "[Wed Oct 10 22:14:15.9 2018] [core:error] [pid 42:tid 7] [client [::1]:5] AH00124: text, referer: http://x",
    "2016-10-06T00:17:09.669794202Z stdout F the text",
    r#"{"log":"a\n","stream":"stdout","time":"t"}"#,
    "2 123456789010 eni-1 172.31.16.139 172.31.16.21 20641 22 6 20 4249 1418530010 1418530070 ACCEPT OK",
    r"x CEF:0|a|b|c|d|e|f|src=1 msg=a\=b cs1=x cs1Label=y",
    "LEEF:2.0|a|b|c|d|^|x=1^y=2",
    "https://ann:secret@[::1]:8443/a/b?c=%41&d#e",
];

proptest! {
    #[test]
    fn any_text_parses_to_valid_json_or_fails(
        format in 0..FORMATS.len(),
        line in 0..LINES.len(),
        cut in any::<prop::sample::Index>(),
        insert in prop_oneof!["[ -~é\\t\\\\\"|=\\[\\]]{0,6}", Just(String::new())],
        skip in 0..4_usize,
    ) {
        let line = LINES[line];
        let (before, after) = line.split_at(cut.index(line.len() + 1));
        let after = after.get(skip.min(after.len())..).unwrap_or_default();
        let text = format!("{before}{insert}{after}");
        // The harness reads the attributes as JSON, so text that is not JSON fails here.
        let options = serde_json::json!({"format": FORMATS[format]});
        let ran = run_bodies::<Parse>(&options, &[text.as_str()]).map_err(TestCaseError::fail)?;
        let count = ran.ports.values().map(Vec::len).sum::<usize>() + ran.failed.len() + ran.dropped.values().sum::<usize>();
        prop_assert_eq!(count, 1, "{}", text);
    }
}

/// Case files allow further attributes; those of these formats must have no others.
#[test]
fn attributes_of_the_formats_are_exactly_those_of_their_cases() {
    let mut checked = 0;
    for entry in std::fs::read_dir(here("tests/cases")).unwrap() {
        let case: Value = serde_json::from_slice(&std::fs::read(entry.unwrap().path()).unwrap()).unwrap();
        let format = case["options"]["format"].as_str().unwrap_or_default();
        if !FORMATS.contains(&format) || case["expected"]["out"].is_null() {
            continue;
        }
        let ran = run::<Parse>(&case["options"], case["input"].as_array().unwrap()).unwrap();
        let attributes = |events: &[Value]| events.iter().map(|event| event["attributes"].clone()).collect::<Vec<_>>();
        assert_eq!(attributes(&ran.ports["out"]), attributes(case["expected"]["out"].as_array().unwrap()), "{format}");
        checked += 1;
    }
    assert!(checked >= 12, "{checked} cases");
}

/// The examples of `syslog` and `url` in `FORMATS.md`.
#[test]
fn the_examples_of_the_formats_hold() {
    let page = std::fs::read_to_string(here("FORMATS.md")).unwrap();
    for (format, begin) in [("syslog", "`<13>"), ("url", "`https://")] {
        let line = page.lines().find(|line| line.starts_with(begin)).unwrap();
        let parts: Vec<&str> = line.split('`').collect();
        let ran = run_bodies::<Parse>(&json!({"format": format}), &[parts[1]]).unwrap();
        assert_eq!(ran.ports["out"][0]["attributes"], serde_json::from_str::<Value>(parts[3]).unwrap());
    }
}

#[test]
fn options_of_other_formats_are_refused() {
    let refuse = |options: Value, expected: &[(&str, &str)]| check_refusal::<Parse>(&options, expected).unwrap();
    refuse(
        json!({"format": "syslog", "variant": "combined", "log_format": "x", "labels": true, "types": {"a": "integer"}}),
        &[
            ("log_format", "belongs to the format `nginx`, `apache`"),
            ("labels", "belongs to the format `cef`"),
            ("types", "has types of its own"),
            ("variant", "its forms are `auto`, `rfc3164`, `rfc5424`"),
        ],
    );
    refuse(json!({"format": "nginx", "log_format": "$a$b"}), &[("log_format", "no text stands before `b`")]);
    refuse(
        json!({"format": "nginx", "log_format": "x", "variant": "main"}),
        &[("variant", "remove one"), ("log_format", "no values")],
    );
    refuse(json!({"format": "apache", "log_format": "%h %Y"}), &[("log_format", "unknown directive `%Y`")]);
    refuse(
        json!({"format": "aws_vpc_flow", "columns": ["srcaddr", "nowhere", "srcaddr"]}),
        &[("columns[1]", "no field `nowhere`"), ("columns[2]", "twice")],
    );
    refuse(json!({"format": "regex", "pattern": "(?<a>b)", "parse_query": true}), &[("parse_query", "format `url`")]);
    refuse(json!({"invalid_utf8": "fail"}), &[("invalid_utf8", "fails in any case")]);
}

#[test]
fn null_is_no_value_but_a_text_of_these_letters_is() {
    let events = [json!({"attributes": {"x": null}}), json!({"attributes": {"x": "null"}})];
    let codes = |options: Value| -> Vec<String> {
        let ran = run::<Parse>(&options, &events).unwrap();
        let code = |failed: &Value| failed["failure"]["code"].as_str().unwrap().to_owned();
        ran.failed.iter().map(code).collect()
    };
    assert_eq!(codes(json!({"field": "attributes.x"})), ["missing-field", "not-an-object"]);
    // The JSON of the text is a value, which has a place here.
    assert_eq!(codes(json!({"field": "attributes.x", "into": "attributes.y"})), ["missing-field"]);
    assert_eq!(codes(json!({"field": "attributes.x", "format": "logfmt"})), ["missing-field", "not-logfmt"]);
    let csv = json!({"field": "attributes.x", "format": "csv", "columns": ["a"]});
    assert_eq!(codes(csv), ["missing-field"]);
    let body = run_bodies::<Parse>(&json!({"into": "attributes.y"}), &["null"]).unwrap();
    assert_eq!(body.failed.len(), 0);
}

#[test]
fn a_pair_without_a_key_fails_however_it_is_written() {
    let message = |options: Value, text: &str| {
        let ran = run_bodies::<Parse>(&options, &[text]).unwrap();
        ran.failed[0]["failure"]["message"].as_str().unwrap().to_owned()
    };
    let semicolons = json!({"format": "key_value", "field_split": ";", "pair_split": ":"});
    for (options, text, at) in [
        (json!({"format": "key_value"}), "=x", 0),
        (json!({"format": "key_value"}), "a=1 =x", 4),
        (json!({"format": "key_value"}), "\"\"=x", 0),
        (json!({"format": "key_value"}), "a=1 \"\"=x", 4),
        (json!({"format": "key_value"}), "a=1 \"\" b=2", 4),
        (semicolons.clone(), "a:1; \"\" :x", 5),
        (semicolons, "a:1; :x", 5),
        (json!({"format": "logfmt"}), "=x", 0),
        (json!({"format": "logfmt"}), "a=1 =x", 4),
        (json!({"format": "logfmt"}), "a=1 \"\"=x", 4),
    ] {
        let expected = format!("`body` has a pair without a key at byte {at}");
        assert_eq!(message(options, text), expected, "{text}");
    }
    // Without double quotes in the notation, these are a key of two quotes.
    let ran = run_bodies::<Parse>(&json!({"format": "key_value", "quotes": "none"}), &["\"\"=x"]).unwrap();
    assert_eq!(ran.ports["out"][0]["attributes"], json!({"\"\"": "x"}));
}
