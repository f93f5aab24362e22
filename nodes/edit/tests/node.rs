//! The node as a whole: case files, the committed schema, wrong options, any bytes.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at what must not be")]

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::{Value, json};
use wattle_node::testing::{check_refusal, check_schema, run, run_bodies, run_cases};
use wattle_node_edit::{Edit, Options};

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[test]
fn cases_hold() {
    run_cases::<Edit>(&here("tests/cases")).unwrap();
}

#[test]
fn schema_is_up_to_date() {
    check_schema::<Options>(&here("options.schema.json")).unwrap();
}

#[track_caller]
fn refuse(steps: Value, expected: &[(&str, &str)]) {
    check_refusal::<Edit>(&json!({ "steps": steps }), expected).unwrap();
}

#[test]
fn wrong_options_are_reported_all_at_once() {
    check_refusal::<Edit>(&json!({}), &[("", "missing field `steps`")]).unwrap();
    check_refusal::<Edit>(&json!({"steps": [{}], "on_not_jsno": 1}), &[("on_not_jsno", "unknown field")]).unwrap();
    refuse(json!([]), &[("steps", "at least one step")]);
    refuse(
        json!([
            {"remov": "attributes.a"},
            {"lower": "attributes.a", "upper": "attributes.a"},
            {"rename": "attributes.a", "too": "attributes.b"},
            {"convert": "attributes.a", "to": "integer"},
            {"set": "attributes.a"},
            {"set": "nowhere.a", "value": 1, "from": "attributes.b"},
            {"set": "attributes", "value": 1},
            {"set": "timestamp", "value": "yesterday"},
            {"set": "attributes.a", "template": "{{ attributes.b"},
            {"set": "attributes.a", "template": "{{ nowhere }}{{ attributes[0] }}"},
            {"set": "attributes.a", "first_of": ["attributes.b", "attributes.c[*]"]},
            {"move": "timestamp", "to": "attributes.time"},
            {"copy": "attributes.a", "to": "attributes.a"},
            {"rename": "attributes.a", "to": "attributes.b.c"},
            {"rename": "attributes", "pattern": "(", "to": "b"},
            {"keep": ["attributes", "body.a..b"]},
            {"remove": []},
            {"replace": "attributes.a", "pattern": "[", "with": ""},
            {"split": "attributes.a"},
            {"lower": ["attributes.a", "attributes.b"], "into": "attributes.c"},
            {"math": "attributes.a", "add": 1, "divide": 2},
            {"math": "attributes.a", "divide": 0},
            {"network": "attributes.a", "v4": 33, "v6": 129},
            {"hash": "attributes.a", "length": 65},
            {"flatten": "attributes", "on_error": "null"},
            {"trim": "attributes.a", "if": {"field": "nowhere", "exists": true}},
            {"decode": "attributes.a", "as": "rot13"},
            {"set": "attributes.a", "host": "host.nmae"},
            {"set": "resource", "host": "host.name"},
            {"set": "attributes.a", "host": "host.name", "from": "attributes.b"},
            {"split": "attributes.a", "pattern": ""},
            {"set": "attributes.a", "value": 1, "map": {"a": 1}},
            {"set": "timestamp", "from": "attributes.a", "map": {"a": 1}},
            {"set": "attributes.b", "from": "attributes.a", "map": {}},
            {"split": "attributes.a", "pattern": ",*|;"},
            {"rename": "attributes", "pattern": r"(?-u)\xc3", "to": ""},
        ]),
        &[
            ("steps[0].remov", "did you mean `remove`?"),
            ("steps[1]", "make two steps of `lower` and `upper`"),
            ("steps[2].too", "did you mean `to`?"),
            ("steps[3].to", "unknown variant `integer`"),
            ("steps[4]", "exactly one of `value`"),
            ("steps[5].set", "none of `body`"),
            ("steps[5]", "exactly one of `value`"),
            ("steps[6].value", "takes an object"),
            ("steps[7].value", "a time of RFC 3339"),
            ("steps[8].template", "has no `}}`"),
            ("steps[9].template", "none of `body`"),
            ("steps[9].template", "a key must follow"),
            ("steps[10].first_of[1]", "one value is needed"),
            ("steps[11].move", "use `copy`"),
            ("steps[12].to", "the field is the same"),
            ("steps[13].to", "use `move`"),
            ("steps[14].pattern", "unclosed group"),
            ("steps[15].keep[1]", "expected a key"),
            ("steps[16].remove", "at least one field"),
            ("steps[17].pattern", "unclosed character class"),
            ("steps[18]", "exactly one of `separator` and `pattern`"),
            ("steps[19].into", "one field"),
            ("steps[20]", "one of `add`"),
            ("steps[21].divide", "division by 0"),
            ("steps[22].v4", "32 bits"),
            ("steps[22].v6", "128 bits"),
            ("steps[23].length", "1 to 64"),
            ("steps[24].on_error", "take `fail` and `keep`"),
            ("steps[25].if.field", "none of `body`"),
            ("steps[26].as", "unknown variant `rot13`"),
            ("steps[27].host", "unknown variant `host.nmae`, expected one of `host.name`"),
            ("steps[28].host", "takes no fact"),
            ("steps[29]", "exactly one of"),
            ("steps[30].pattern", "the pattern matches an empty text"),
            ("steps[31].map", "is for `from` and `first_of`"),
            ("steps[32].map.a", "takes a time of RFC 3339"),
            ("steps[33].map", "at least one value"),
            ("steps[34].pattern", "matches at least one character"),
            ("steps[35].pattern", "parts of characters"),
        ],
    );
}

#[test]
fn constants_that_can_never_work_are_refused() {
    refuse(
        json!([
            {"replace": "attributes.a", "pattern": "(a)(?P<b>b)", "with": "$1_x"},
            {"replace": "attributes.a", "pattern": "(a)", "with": "$5 ${1}"},
            {"rename": "attributes", "pattern": "(a)(?P<b>b)", "to": "${b}_$bc"},
            {"set": "trace_id", "value": "zz"},
            {"set": "span_id", "from": "attributes.a", "default": "0000000000000000"},
            {"set": "trace_id", "from": "attributes.a", "map": {"a": "7"}},
            {"set": "trace_id", "value": null},
            {"set": "severity.number", "value": 99},
            {"set": "severity.number", "value": 0.5},
            {"set": "severity", "value": {"text": "WARN", "number": 25}},
            {"set": "severity.level", "value": "WARN"},
            {"set": "scope", "value": {"name": 1}},
            {"now": "span_id"},
            {"unflatten": "attributes", "depth": 65},
            {"unflatten": "attributes", "depth": 0},
            {"slice": "attributes.a", "start": 5, "end": 3},
            {"slice": "attributes.a", "end": -1, "start": -1},
            {"set": "attributes.a[4294967296]", "value": 1},
            {"network": "attributes.a", "v4": 300},
            {"flatten": "attributes", "depth": -1},
            {"slice": "attributes.a", "start": 1.5},
            {"lower": "attributes.a", "if": {"field": "body", "sample": {"rate": 18_446_744_073_709_551_616.0}}},
            {"lower": "attributes.a", "if": {"field": "body", "sample": {"rate": -1}}},
            {"math": "attributes.a", "round": 300},
            {"math": "attributes.a", "round": 1.5},
        ]),
        &[
            ("steps[0].with", "no group `1_x`: it has `1`, `b`; write `${1}_x` for the group `1` with `_x` after it"),
            ("steps[1].with", "no group `5`: it has `1`; write `$$5` for a dollar sign"),
            ("steps[2].to", "no group `bc`: it has `1`, `b`; write `${b}c`"),
            ("steps[3].value", "`trace_id` takes 32 hexadecimal digits that are not all 0, not \"zz\""),
            ("steps[4].default", "`span_id` takes 16 hexadecimal digits"),
            ("steps[5].map.a", "`trace_id` takes 32 hexadecimal digits"),
            ("steps[6].value", "`trace_id` takes 32 hexadecimal digits that are not all 0, not null"),
            ("steps[7].value", "`severity.number` takes a whole number from 1 to 24, not 99"),
            ("steps[8].value", "from 1 to 24, not 0.5"),
            ("steps[9].value", "`severity` takes an object with `text` (a string) and `number` (1 to 24)"),
            ("steps[10].value", "takes no value, because `severity` has `text` and `number` only"),
            ("steps[11].value", "`scope` takes an object with `name`"),
            ("steps[12].now", "`span_id` takes 16 hexadecimal digits that are not all 0, not a time"),
            ("steps[13].depth", "`depth` is 65, but 1 to 64 levels can be made"),
            ("steps[14].depth", "`depth` is 0, but 1 to 64 levels can be made"),
            ("steps[15].start", "`start` is 5 and `end` is 3, so nothing would stay"),
            ("steps[16].start", "`start` is -1 and `end` is -1, so nothing would stay"),
            ("steps[17].set", "expected the number of an element, 0 to 4294967295, or `*` at byte 2"),
            ("steps[18].v4", "the number is 300, expected a whole number from 0 to 32"),
            ("steps[19].depth", "integer `-1`, expected a whole number from 0 to 4294967295"),
            ("steps[20].start", "floating point `1.5`, expected a whole number from -9223372036854775808 to"),
            ("steps[21].if.sample.rate", "expected a whole number from 0 to 18446744073709551615"),
            ("steps[22].if.sample.rate", "integer `-1`, expected a whole number from 0 to 18446744073709551615"),
            ("steps[23].round", "the number is 300, expected a whole number from 0 to 15"),
            ("steps[24].round", "the number is 1.5, expected a whole number from 0 to 15"),
        ],
    );
}

#[test]
fn steps_that_change_nothing_are_refused() {
    refuse(
        json!([
            {"slice": "attributes.a"},
            {"trim": "attributes.a", "characters": ""},
            {"remove_empty": "attributes", "empty": []},
            {"flatten": "attributes", "depth": 65},
            {"flatten": "attributes", "depth": 0},
            {"rename": "attributes.a", "to": "attributes.\"a\""},
            {"keep": "timestamp"},
            {"keep": "trace_id"},
            {"keep": "severity"},
            {"keep": "scope"},
            {"keep": "attributes"},
        ]),
        &[
            ("steps[0]", "`slice` takes `start`, `end` or both; without them, everything stays"),
            ("steps[1].characters", "at least one character is needed; remove `characters` for white space"),
            ("steps[2].empty", "the list is empty, so nothing would be removed"),
            ("steps[3].depth", "`depth` is 65, but 1 to 64 levels can come together"),
            ("steps[4].depth", "`depth` is 0, but 1 to 64 levels can come together"),
            ("steps[5].to", "the field is the same; give it another name"),
            ("steps[6].keep", "`timestamp` as a whole stays anyway; remove it from the list"),
            ("steps[7].keep", "`trace_id` as a whole stays anyway; remove it from the list"),
            ("steps[8].keep", "`severity` as a whole stays anyway; name `severity.text` or `severity.number`"),
            ("steps[9].keep", "name fields below it, such as `scope.name`"),
            ("steps[10].keep", "name fields below it, such as `attributes.user`"),
        ],
    );
}

#[test]
fn many_keys_become_one_in_linear_time() {
    let members: Vec<String> = (0..20_000).map(|number| format!("\"user_{number:06}_name\":{number}")).collect();
    let body = format!("{{{}}}", members.join(","));
    for (overwrite, start, end) in [
        (json!(null), "{\"user_name\":0,\"user_name_2\":1,", ",\"user_name_20000\":19999}"),
        (json!(false), "{\"user_name\":0,\"user_000001_name\":1,", ",\"user_019999_name\":19999}"),
        (json!(true), "{\"user_name\":19999", "}"),
    ] {
        let steps = json!([{"rename": "body", "pattern": "_[0-9]+", "to": "", "overwrite": overwrite}]);
        let ran = run_bodies::<Edit>(&json!({ "steps": steps }), &[&body]).unwrap();
        let written = &ran.bodies("out")[0];
        assert!(written.starts_with(start) && written.ends_with(end), "{overwrite}");
    }
}

#[test]
fn control_characters_are_kept() {
    let body = "a\u{0}b\u{7f} é";
    let options = json!({"steps": [{"copy": "body", "to": "attributes.x"}, {"lower": "body"}]});
    let ran = run_bodies::<Edit>(&options, &[body]);
    assert_eq!(ran.unwrap().ports["out"][0]["attributes"]["x"], body);
}

#[test]
#[cfg(feature = "clock")]
fn now_is_the_time_of_the_machine() {
    let options = json!({"steps": [
        {"now": "attributes.text"}, {"now": "attributes.ms", "unit": "ms"}, {"now": "timestamp"},
        {"copy": "timestamp", "to": "attributes.copy"},
    ]});
    let before = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    let ran = run_bodies::<Edit>(&options, &["x"]).unwrap();
    let event = &ran.ports["out"][0];
    let ms = u128::from(event["attributes"]["ms"].as_u64().unwrap());
    assert!((before..before + 60_000).contains(&ms), "{event}");
    assert_eq!(event["timestamp"], event["attributes"]["copy"]);
    assert!(event["attributes"]["text"].as_str().unwrap() <= event["timestamp"].as_str().unwrap(), "{event}");
}

#[test]
#[cfg(not(feature = "clock"))]
fn a_node_without_the_clock_refuses_now() {
    refuse(json!([{"now": "attributes.time"}]), &[("steps[0].now", "without the capability `clock`")]);
}

#[test]
fn nesting_beyond_the_limit_fails_instead_of_breaking_the_call() {
    let deep = format!("{}1{}", "[".repeat(511), "]".repeat(511));
    let options = json!({"steps": [{"decode": "body", "as": "json", "into": "attributes.a.b"}]});
    let ran = run_bodies::<Edit>(&options, &[&deep, "[[1]]"]).unwrap();
    assert_eq!((ran.codes(), ran.ports["out"].len()), (vec!["too-deep".to_owned()], 1));
    let nest = json!({"copy": "attributes", "to": format!("attributes{}", ".x".repeat(60))});
    let steps: Vec<Value> = std::iter::repeat_n(nest, 12).collect();
    let ran = run::<Edit>(&json!({"steps": steps}), &[json!({"body": "", "attributes": {"a": 1}})]).unwrap();
    assert_eq!(ran.codes(), ["too-deep"]);
}

#[test]
fn fields_of_a_body_that_is_too_deep_are_not_taken_as_missing() {
    let deep = format!("{}1{}", "{\"a\":".repeat(513), "}".repeat(513));
    let reads = [
        json!({"set": "attributes.x", "from": "body.a", "default": "D"}),
        json!({"set": "attributes.x", "first_of": ["body.b", "body.a"], "on_error": "keep"}),
        json!({"set": "attributes.x", "template": "{{ body.a }}"}),
        json!({"copy": "body.a", "to": "attributes.x"}),
        json!({"append": "attributes.x", "from": "body.a"}),
        json!({"merge": "attributes", "from": "body.a"}),
        json!({"math": "attributes.n", "add": "body.a"}),
        json!({"remove": "attributes.n", "if": {"field": "body.a", "exists": false}}),
    ];
    for step in reads {
        let run_with = |on_not_json: &str| {
            let events = [json!({"body": deep, "attributes": {"n": 1}}), json!({"body": "{", "attributes": {"n": 1}})];
            run::<Edit>(&json!({"steps": [step], "on_not_json": on_not_json}), &events).unwrap()
        };
        let ran = run_with("fail");
        assert_eq!((ran.codes(), ran.ports["out"].len()), (vec!["too-deep".to_owned()], 1), "{step}");
        assert_eq!(run_with("skip").ports["out"].len(), 2, "{step}");
    }
    // A long text that is not JSON is no JSON that is too deep.
    let text = format!("{}x", "[".repeat(300)).repeat(9);
    let steps = json!([{"set": "attributes.x", "from": "body.a", "default": "D"}]);
    let ran = run_bodies::<Edit>(&json!({ "steps": steps }), &[&text]).unwrap();
    assert_eq!(ran.ports["out"][0]["attributes"]["x"], "D");
}

/// A list of steps that uses every operation.
fn everything() -> Value {
    json!({"on_not_json": "skip", "steps": [
        {"set": "attributes.s", "first_of": ["body.a.b", "body.c"], "default": "-"},
        {"set": "attributes.t", "template": "{{ body }}|{{ body.c }}"},
        {"set": "body.l[*].x", "value": {"y": []}, "on_error": "keep"},
        {"copy": "body", "to": "attributes.body"},
        {"flatten": "body.a", "on_error": "keep", "arrays": true},
        {"unflatten": "body.a", "on_error": "remove"},
        {"lower": ["body.c", "body.l[*]"], "on_error": "keep"},
        {"upper": "attributes.s", "on_error": "null"},
        {"trim": "body.c", "on_error": "keep"},
        {"split": "body.c", "separator": "b", "into": "body.parts", "on_error": "null"},
        {"slice": "body.c", "start": -3, "end": 2, "on_error": "keep"},
        {"join": "body.l", "into": "attributes.l", "on_error": "remove"},
        {"replace": "body.c", "pattern": "(.)b", "with": "$1$1", "on_error": "remove"},
        {"convert": "body.n", "to": "int", "on_error": "keep"},
        {"math": "body.n", "divide": "body.m", "round": 2, "on_error": "null"},
        {"hash": "body.h", "key": "k", "length": 8},
        {"encode": "body.c", "as": "base64", "on_error": "keep"},
        {"decode": "body.c", "as": "base64", "on_error": "keep"},
        {"url": "body.u", "parse_query": true, "on_error": "keep"},
        {"network": "body.ip", "on_error": "keep"},
        {"rename": "body", "case": "snake", "recursive": true},
        {"rename": "body.l[*].a", "to": "body.l[*].b", "overwrite": false},
        {"move": "body.a", "to": "body.z.a", "on_error": "keep"},
        {"remove": ["body.*d*", "body.l[*].tmp"]},
        {"remove_empty": ["body", "attributes"]},
        {"keep": ["body.*.*", "body.l[*].b"], "if": {"field": "body.k", "equals": true}},
        {"set": "timestamp", "from": "body.time", "on_error": "keep"},
    ]})
}

proptest! {
    #[test]
    fn any_text_does_no_harm(bodies in prop::collection::vec(prop_oneof![
        any::<String>(),
        "\\{(\"[acdhkmnu]\":[\\[\\]{}:,\"ab1\\\\u ]{0,10},){0,3}\"l\":\\[(\\{\"[abt]\":1\\},){0,3}1\\]\\}",
        "\\{\"a\":(\\{\"b[.]?\":1,\"c[.]d\":(\\[1\\]|\\{\"e\":\\{\\}\\})\\}|5),\"c\":\"[ab\\\\\\\\n é]{0,6}\",\"k\":true\\}",
    ], 1..90)) {
        let events: Vec<Value> = bodies.iter().map(|body| json!({ "body": body })).collect();
        run::<Edit>(&everything(), &events).map_err(TestCaseError::fail)?;
    }
}

#[test]
fn padding_of_base64_ends_a_group_of_four() {
    for (coding, text, decoded) in [
        ("base64", "YQ==", Some("a")),
        ("base64", "YQ", Some("a")),
        ("base64", "YWI=", Some("ab")),
        ("base64", "", Some("")),
        ("base64_url", "YQ==", Some("a")),
        ("base64", "=", None),
        ("base64", "==", None),
        ("base64", "====", None),
        ("base64", "YQ=", None),
        ("base64", "YWJj=", None),
        ("base64_url", "=", None),
    ] {
        let steps = json!({"steps": [{"decode": "body", "as": coding}]});
        let ran = run_bodies::<Edit>(&steps, &[text]).unwrap();
        match decoded {
            Some(decoded) => assert_eq!(ran.bodies("out"), [decoded], "{coding} {text}"),
            None => assert_eq!(ran.codes(), ["bad-value"], "{coding} {text}"),
        }
    }
}

#[test]
fn steps_whose_result_a_root_never_takes_are_refused() {
    refuse(
        json!([
            {"hash": "timestamp"},
            {"math": "timestamp", "add": 1},
            {"convert": "timestamp", "to": "int"},
            {"encode": "trace_id", "as": "base64"},
            {"decode": ["span_id", "body"], "as": "hex"},
            {"hash": "trace_id"},
            {"hash": "body", "into": "span_id"},
            {"hash": "body", "into": "timestamp"},
            {"math": "body.a", "add": 1, "into": "trace_id"},
            {"math": "body.a", "add": 1, "into": "timestamp"},
            {"slice": "timestamp", "end": 10},
        ]),
        &[
            ("steps[0].hash", "a timestamp takes no hash"),
            ("steps[1].math", "`timestamp` never takes what `math` makes of it"),
            ("steps[2].convert", "`timestamp` never takes"),
            ("steps[3].encode", "`trace_id` never takes"),
            ("steps[4].decode", "`span_id` never takes"),
            ("steps[5].hash", "takes 32 hexadecimal digits, but the hash has 64"),
            ("steps[6].into", "takes 16 hexadecimal digits, but the hash has 64"),
            ("steps[7].into", "a timestamp takes no hash"),
            ("steps[8].into", "takes no number"),
            ("steps[9].into", "takes no number"),
            ("steps[10].slice", "`timestamp` never takes"),
        ],
    );
    let steps = json!({"steps": [
        {"hash": "body", "into": "trace_id", "length": 32},
        {"hash": "trace_id", "into": "span_id", "length": 16},
        {"math": "attributes.n", "add": 1, "into": "severity.number"},
        {"convert": "timestamp", "to": "string", "into": "attributes.time"},
    ]});
    let ran = run::<Edit>(&steps, &[json!({"body": "x", "attributes": {"n": 8}})]).unwrap();
    assert_eq!(ran.ports["out"][0]["severity"]["number"], 9);
}
