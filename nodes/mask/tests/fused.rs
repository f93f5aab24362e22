//! Compares masks in a row with one that does the work of all: it gives the same texts and counts, or refuses the batch.

#![expect(clippy::unwrap_used, reason = "what is not as expected fails the test, as it should")]

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};
use wattle_batch::{Ack, Batch, Column, Origin};
use wattle_node::native::Native;
use wattle_node_mask::Mask;

fn batch(bodies: &[String]) -> Batch {
    let column = Column::from_rows(bodies.iter().map(String::as_bytes)).unwrap();
    let origin = Origin { source: "test".into(), resource: "{}".into(), observed: 0 };
    Batch::new(column, Arc::new(origin), Ack::none())
}

fn bodies(batch: &Batch) -> Vec<String> {
    batch.body().iter().map(|row| String::from_utf8_lossy(row).into_owned()).collect()
}

/// Texts and counts, in which names begin with the index of the node.
type Result = (Vec<String>, BTreeMap<String, u64>);

/// What the masks make of the rows in turn; `None` if a row fails.
fn in_turn(options: &[Value], rows: &[String]) -> Option<Result> {
    let mut batch = batch(rows);
    let mut counts = BTreeMap::new();
    for (index, options) in options.iter().enumerate() {
        let mut node = Native::<Mask>::configure("mask", &options.to_string()).unwrap();
        let mut outcome = node.process(batch).unwrap();
        if outcome.failed.is_some() {
            return None;
        }
        counts.extend(outcome.counts.into_iter().map(|(name, count)| (format!("{index}/{name}"), count)));
        batch = outcome.emitted.pop().unwrap().1;
    }
    Some((bodies(&batch), counts))
}

/// What one node makes of the rows; `None` if it refuses them.
fn as_one(options: &[Value], rows: &[String]) -> Option<Result> {
    let mut outcome = fuse(options).unwrap().process(batch(rows)).ok()?;
    assert!(outcome.failed.is_none() && outcome.dropped.is_empty());
    Some((bodies(&outcome.emitted.pop().unwrap().1), outcome.counts.into_iter().collect()))
}

fn fuse(options: &[Value]) -> Option<Native<Mask>> {
    let texts: Vec<String> = options.iter().map(Value::to_string).collect();
    Native::fuse("masks", &texts.iter().map(String::as_str).collect::<Vec<_>>())
}

fn keys(keys: &[&str]) -> Vec<Value> {
    keys.iter().map(|key| json!({ "rules": [{ "json_key": key }] })).collect()
}

const CLOUDTRAIL: [&str; 3] = ["accessKeyId", "assumedRoleId", "sessionToken"];

#[test]
fn records_are_masked_by_one_search() {
    let record = json!({ "userIdentity": { "accessKeyId": "ASIA1", "n": 1 }, "responseElements": { "credentials": {
        "accessKeyId": "ASIA2", "sessionToken": "IQo=", "expiration": null }, "assumedRoleUser": { "assumedRoleId": "AROA:me" } } });
    let rows = vec![json!({ "Records": vec![record; 20] }).to_string()];
    let options = keys(&CLOUDTRAIL);
    let (texts, counts) = as_one(&options, &rows).unwrap();
    assert!(!texts.concat().contains("AROA") && !texts.concat().contains("ASIA"));
    let expected = [("0/accessKeyId", 40), ("1/assumedRoleId", 20), ("2/sessionToken", 20)];
    assert_eq!(counts, expected.map(|(name, count)| (name.to_owned(), count)).into());
    assert_eq!(in_turn(&options, &rows), Some((texts, counts)));
}

#[test]
fn a_batch_in_which_the_order_matters_is_refused() {
    let options = keys(&CLOUDTRAIL);
    for row in [
        // The value of one key contains another.
        json!({ "accessKeyId": { "sessionToken": "x" } }).to_string(),
        json!({ "accessKeyId": json!({ "sessionToken": "x" }).to_string() }).to_string(),
        // Other notations than JSON, and escapes that must be decoded.
        "accessKeyId=AKIA sessionToken=x".to_owned(),
        r#"{"\u0061ccessKeyId":"x"}"#.to_owned(),
        // It could not be searched.
        "H4sIAAAAAAAAA8tIzcnJVyjPL8pJAQCFEUoNCwAAAA==".to_owned(),
    ] {
        assert_eq!(as_one(&options, std::slice::from_ref(&row)), None, "{row}");
    }
    let twice = keys(&["accessKeyId", "accessKeyId"]);
    assert_eq!(as_one(&twice, &[r#"{"accessKeyId":"x"}"#.into()]), None);
}

#[test]
fn options_whose_order_can_matter_are_refused() {
    let key = |key: &str| json!({ "rules": [{ "json_key": key }] });
    let with = |name: &str, value: Value| {
        let mut options = key("b");
        options.as_object_mut().unwrap().insert(name.into(), value);
        options
    };
    for other in [
        json!({ "rules": [{ "pattern": "x+" }] }),
        json!({ "rules": [{ "preset": "email" }] }),
        with("fields", json!(["body", "attributes.x"])),
        with("skip_values", json!(["-"])),
        with("on_undecidable", json!("pass")),
        with("replacement", json!({ "same_shape": true })),
        with("replacement", json!({ "fixed": "a" })),
        with("replacement", json!({ "fixed": "<A>" })),
    ] {
        assert!(fuse(&[key("a"), other.clone()]).is_none(), "{other}");
        assert!(fuse(&[other.clone(), key("a")]).is_none(), "{other}");
    }
    assert!(fuse(&[key("a"), with("replacement", json!({ "fixed": "[hidden]" }))]).is_some());
    let hash = |key: &str| json!({ "rules": [{ "json_key": key }], "replacement": { "hmac_key": "k", "fixed": "x" } });
    assert!(fuse(&[key("token"), hash("token")]).is_some());
    assert!(fuse(&[key("cafe"), hash("token")]).is_none());
    let many: Vec<Value> = (0..100).map(|n| key(&format!("key{n}"))).collect();
    assert!(fuse(&many).is_none());
}

/// Pieces of texts in which the masks can meet.
fn text() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "\"",
        "\\\"",
        "\\\\\\\"",
        "\"one\"",
        "\"two\"",
        "\"three\"",
        "\"one\":",
        "\"two\":\"x\"",
        "\"two\": 12",
        "\"three\":{",
        "\\\"one\\\":\\\"a\\\"",
        "\"one\":\"\\\"two\\\":\\\"x\\\"\"",
        "one",
        "two",
        "three=",
        "one=x",
        "\"three\" : \"y\"",
        "null",
        "1.5e3",
        " ",
        "\n",
        "\\u006f",
        "\\u0022",
        "ä",
        "x",
        "\"one\":\"a\" + \"b\"",
        "\"***\"",
        "two: x",
    ]);
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

/// JSON in which the keys occur, also in strings that contain JSON.
fn document() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        "[a-z\"\\\\:{}, ]{0,6}".prop_map(Value::from),
        any::<i16>().prop_map(Value::from),
        Just(Value::Null),
        Just(Value::from(true)),
    ];
    let key = prop::sample::select(vec!["one", "two", "three", "other", "on", "e"]);
    let value = leaf.prop_recursive(4, 20, 4, move |inner| {
        prop_oneof![
            3 => prop::collection::vec((key.clone(), inner.clone()), 0..5)
                .prop_map(|members| members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect::<Value>()),
            1 => prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            1 => inner.prop_map(|value| Value::from(value.to_string())),
        ]
    });
    value.prop_map(|value| value.to_string())
}

fn check(rows: &[String], options: &[Value]) -> std::result::Result<(), TestCaseError> {
    if let Some(one) = as_one(options, rows) {
        prop_assert_eq!(Some(one), in_turn(options, rows));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn one_search_gives_what_masks_give_in_turn(rows in prop::collection::vec(prop_oneof![text(), document()], 1..4)) {
        check(&rows, &keys(&["one", "two", "three"]))?;
        let any = |key: &str| json!({ "rules": [{ "json_key": key, "any_spelling": true, "replacement": { "fixed": "?" } }] });
        check(&rows, &[any("one"), any("tWo"), any("thr-ee")])?;
    }
}
