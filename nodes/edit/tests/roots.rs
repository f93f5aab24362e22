//! Roots that an event lacks, and null, which replaces no value.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at what must not be")]

use serde_json::{Value, json};
use wattle_node::testing::run;
use wattle_node_edit::Edit;

/// The event that steps make of another one.
#[track_caller]
fn edited(steps: &Value, event: &Value) -> Value {
    let ran = run::<Edit>(&json!({ "steps": steps }), std::slice::from_ref(event)).unwrap();
    assert_eq!(ran.codes(), [""; 0], "{steps} {event}");
    ran.ports["out"][0].clone()
}

#[track_caller]
fn fails(step: &Value, event: &Value, code: &str) {
    let ran = run::<Edit>(&json!({ "steps": [step] }), std::slice::from_ref(event)).unwrap();
    assert_eq!(ran.codes(), [code], "{step} {event}");
}

/// Roots and values for them. Events of tests always have a resource.
const ROOTS: [(&str, &str); 5] = [
    ("attributes", r#"{"a":1}"#),
    ("severity", r#"{"text":"info"}"#),
    ("scope", r#"{"name":"n"}"#),
    ("trace_id", r#""0123456789abcdef0123456789abcdef""#),
    ("span_id", r#""0123456789abcdef""#),
];

#[test]
fn a_root_that_the_event_lacks_is_missing() {
    let event = json!({"body": "x"});
    for (root, value) in ROOTS {
        let value: Value = serde_json::from_str(value).unwrap();
        let set = json!([{"set": root, "value": value, "overwrite": false}]);
        assert_eq!(edited(&set, &event)[root], value, "{root}");
        let copied =
            json!([{"copy": root, "to": "body"}, {"set": "body", "template": "{{ body }}{{ R }}".replace('R', root)}]);
        assert_eq!(edited(&copied, &event)["body"], "x", "{root}");
        for step in [
            json!({"copy": root, "to": "body", "on_missing": "fail"}),
            json!({"move": root, "to": "body", "on_missing": "fail"}),
            json!({"set": "body", "from": root, "on_missing": "fail"}),
            json!({"remove": root, "on_missing": "fail"}),
            json!({"lower": root, "into": "body", "on_missing": "fail"}),
            json!({"hash": root, "into": "body", "on_missing": "fail"}),
        ] {
            fails(&step, &event, "missing-field");
        }
        for (condition, holds) in [
            (json!({"field": root, "exists": false}), true),
            (json!({"field": root, "exists": true}), false),
            (json!({"field": root, "type": "object"}), false),
        ] {
            let out = edited(&json!([{"set": "body", "value": "y", "if": condition}]), &event);
            assert_eq!(out["body"] == "y", holds, "{condition}");
        }
        // A field below it makes the root, and a step that removes it makes it missing again.
        let again = json!([
            {"set": root, "value": value},
            {"set": "body", "value": "there", "if": {"field": root, "exists": true}},
            {"move": root, "to": "body", "on_missing": "fail"},
        ]);
        assert_ne!(edited(&again, &event)["body"], "there", "{root}");
    }
    for root in ["attributes", "scope"] {
        fails(&json!({"merge": "body.x", "from": root, "on_missing": "fail"}), &json!({"body": "{}"}), "missing-field");
        fails(&json!({"rename": root, "case": "upper", "on_missing": "fail"}), &event, "missing-field");
        fails(&json!({"flatten": root, "on_missing": "fail"}), &event, "missing-field");
    }
}

#[test]
fn empty_attributes_are_there_as_in_other_nodes() {
    for root in ["attributes", "resource"] {
        let event = json!({"body": "x", root: {}});
        let steps = json!([{"copy": root, "to": "body", "on_missing": "fail", "if": {"field": root, "exists": true}}]);
        assert_eq!(edited(&steps, &event)["body"], "{}", "{root}");
    }
    for root in ["severity", "scope"] {
        let steps = json!([{"remove": root}, {"set": "body", "value": "y", "if": {"field": root, "exists": false}}]);
        assert_eq!(
            edited(&steps, &json!({"body": "x", "severity": {"number": 9}, "scope": {"name": "n"}}))["body"],
            "y"
        );
    }
}

#[test]
fn a_body_that_is_a_json_object_can_be_merged() {
    let event = json!({"body": r#"{"b":2,"c":{"d":1}}"#, "attributes": {"b": 1, "c": {"e": 2}}});
    let merge = |deep: bool| json!([{"merge": "attributes", "from": "body", "deep": deep, "on_missing": "fail"}]);
    assert_eq!(edited(&merge(false), &event)["attributes"], json!({"b": 2, "c": {"d": 1}}));
    assert_eq!(edited(&merge(true), &event)["attributes"], json!({"b": 2, "c": {"d": 1, "e": 2}}));
    // Also after steps that change it, and into a field of itself.
    let steps = json!([{"set": "body.n", "value": 1}, {"merge": "body.c", "from": "body"}]);
    let body = edited(&steps, &event)["body"].as_str().map(|body| serde_json::from_str::<Value>(body).unwrap());
    assert_eq!(body, Some(json!({"b": 2, "c": {"d": 1, "b": 2, "c": {"d": 1}, "n": 1}, "n": 1})));
    let step = json!({"merge": "attributes", "from": "body"});
    fails(&step, &json!({"body": "text"}), "not-json");
    fails(&step, &json!({"body": "[1]"}), "wrong-type");
    for body in ["text", "[1]"] {
        let steps = json!([{"merge": "attributes", "from": "body", "on_error": "keep"}]);
        assert_eq!(edited(&steps, &json!({"body": body, "attributes": {"a": 1}}))["attributes"], json!({"a": 1}));
    }
}

#[test]
fn null_replaces_no_value() {
    for (steps, body, expected) in [
        (
            json!([{"merge": "body.x", "from": "body.y"}]),
            json!({"x": {"a": 1, "n": null}, "y": {"a": null, "n": 2, "m": null}}),
            json!({"x": {"a": 1, "n": 2, "m": null}, "y": {"a": null, "n": 2, "m": null}}),
        ),
        (
            json!([{"merge": "body.x", "from": "body.y", "deep": true}]),
            json!({"x": {"a": {"b": 1}}, "y": {"a": {"b": null}}}),
            json!({"x": {"a": {"b": 1}}, "y": {"a": {"b": null}}}),
        ),
        (
            json!([{"rename": "body", "pattern": "^a$", "to": "b", "overwrite": true}]),
            json!({"a": null, "b": 1}),
            json!({"a": null, "b": 1}),
        ),
        (
            json!([{"rename": "body", "pattern": "^a$", "to": "b", "overwrite": true}]),
            json!({"a": 2, "b": null}),
            json!({"b": 2}),
        ),
        (
            json!([{"rename": "body", "case": "lower", "overwrite": true}]),
            json!({"A": null, "b": 1}),
            json!({"a": null, "b": 1}),
        ),
        (
            json!([{"decode": "body.a", "as": "json", "into": "body.b"}]),
            json!({"a": "null", "b": 1}),
            json!({"a": "null", "b": 1}),
        ),
        (
            json!([{"decode": "body.a", "as": "json", "into": "body.b"}]),
            json!({"a": "null"}),
            json!({"a": "null", "b": null}),
        ),
        (json!([{"decode": "body.a", "as": "json"}]), json!({"a": "null"}), json!({"a": null})),
    ] {
        let out = edited(&steps, &json!({"body": body.to_string()}));
        let out: Value = serde_json::from_str(out["body"].as_str().unwrap()).unwrap();
        assert_eq!(out, expected, "{steps}");
    }
}
