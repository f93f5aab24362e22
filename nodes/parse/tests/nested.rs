//! The option `nested`: wrong options, and random values against a model.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at what must not be")]

use proptest::prelude::*;
use serde_json::{Value, json};
use wattle_node::testing::{check_refusal, run_bodies};
use wattle_node_parse::Parse;

#[test]
fn wrong_options_are_reported_all_at_once() {
    let refuse = |options: Value, expected: &[(&str, &str)]| check_refusal::<Parse>(&options, expected).unwrap();
    refuse(json!({"nested": []}), &[("nested", "at least one path")]);
    refuse(json!({"nested": 5}), &[("nested", "expected `true`, or a list of paths")]);
    refuse(
        json!({"nested": ["a", "$", "a..b"], "field": "x"}),
        &[("field", "must begin"), ("nested[1]", "inside of the parsed value"), ("nested[2]", "expected a key")],
    );
}

/// The example in `README.md`.
#[test]
fn the_example_of_the_readme_holds() {
    let page = include_str!("../README.md");
    let line = page.lines().find(|line| line.starts_with("With `nested = ")).unwrap();
    let parts: Vec<&str> = line.split('`').collect();
    let ran = run_bodies::<Parse>(&json!({"nested": ["message"]}), &[parts[3]]).unwrap();
    assert_eq!(ran.ports["out"][0]["attributes"], serde_json::from_str::<Value>(parts[5]).unwrap());
}

/// Values with strings that are JSON, cut JSON, and text.
fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<i32>().prop_map(Value::from),
        "[ -~\\n\u{e9}\u{1f600}]{0,6}".prop_map(Value::from),
        "[\\[{][\\]}\" ]{0,3}".prop_map(Value::from),
        Just(Value::Null),
    ];
    leaf.prop_recursive(6, 60, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-c{\\[\"]{0,2}", inner.clone(), 0..4).prop_map(|map| json!(map)),
            inner.clone().prop_map(|value| Value::from(value.to_string())),
            inner.prop_map(|value| Value::from(serde_json::to_string_pretty(&json!({ "in": value })).unwrap())),
        ]
    })
}

fn model(value: Value) -> Value {
    match value {
        Value::String(text) if text.starts_with(['{', '[']) => match serde_json::from_str(&text) {
            Ok(inner) => model(inner),
            Err(_) => Value::String(text),
        },
        Value::Array(elements) => elements.into_iter().map(model).collect(),
        Value::Object(members) => Value::Object(members.into_iter().map(|(key, value)| (key, model(value))).collect()),
        other => other,
    }
}

proptest! {
    #[test]
    fn all_strings_that_are_json_become_values(value in values(), pretty: bool) {
        let document = json!({ "in": value });
        let body = if pretty { serde_json::to_string_pretty(&document).unwrap() } else { document.to_string() };
        let ran = run_bodies::<Parse>(&json!({"nested": true}), &[&body]).map_err(TestCaseError::fail)?;
        prop_assert_eq!(&ran.ports["out"][0]["attributes"], &model(document.clone()));
        prop_assert_eq!(&ran.bodies("out")[..], std::slice::from_ref(&body));
        // A path leads to the same value, except for strings inside.
        let ran = run_bodies::<Parse>(&json!({"nested": ["in"]}), &[&body]).map_err(TestCaseError::fail)?;
        prop_assert_eq!(model(ran.ports["out"][0]["attributes"].clone()), model(document));
    }
}

#[test]
fn strings_that_are_too_deep_stay() {
    let deep = "[".repeat(300) + &"]".repeat(300);
    let document = json!({"a": "[".repeat(250) + &json!(deep).to_string() + &"]".repeat(250), "b": "{}"}).to_string();
    let ran = run_bodies::<Parse>(&json!({"nested": true}), &[&document]).unwrap();
    assert_eq!(ran.ports["out"][0]["attributes"], serde_json::from_str::<Value>(&document).unwrap());
}
