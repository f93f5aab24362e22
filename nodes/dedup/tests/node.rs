//! The node as a whole: case files, the committed schema, wrong options, a model.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at what must not be")]

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::{Value, json};
use wattle_node::Snapshot;
use wattle_node::native::Native;
use wattle_node::testing::{Ran, check_readme, check_refusal, check_schema, run, run_cases};
use wattle_node_dedup::{Dedup, Options};

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[test]
fn cases_hold() {
    run_cases::<Dedup>(&here("tests/cases")).unwrap();
}

#[test]
fn schema_is_up_to_date() {
    check_schema::<Options>(&here("options.schema.json")).unwrap();
}

#[test]
fn the_readme_shows_the_options_of_its_case_and_valid_examples() {
    check_readme::<Dedup, _>(&here(""), |text| toml::from_str(text)).unwrap();
}

#[test]
fn wrong_options_are_reported_all_at_once() {
    let refuse = |options: Value, expected: &[(&str, &str)]| check_refusal::<Dedup>(&options, expected).unwrap();
    refuse(json!({"key": []}), &[("key", "at least one field")]);
    refuse(
        json!({
            "key": ["body", "nowhere"], "ignore": ["bodyx.a", "body.", "body.a[*]", "attributes.b"], "window": "soon",
            "when": {"field": "body"}, "mark_field": "attributes.x",
        }),
        &[
            ("key[1]", "must begin with `body`"),
            ("ignore[0]", "not within a field of `key`: body, nowhere"),
            ("ignore[1]", ""),
            ("ignore[2]", "cannot contain `[*]`"),
            ("ignore[3]", "not within a field of `key`"),
            ("window", "`soon` is not a duration"),
            ("when", "needs a test"),
            ("mark_field", "only with"),
        ],
    );
    refuse(json!({"duplicates": "pass", "warm_up": "soon"}), &[("warm_up", "`soon` is not a duration")]);
    refuse(json!({"duplicates": "route", "warm_up": "1d"}), &[("warm_up", "only with")]);
    refuse(json!({"window": "900us"}), &[("window", "less than `1ms`")]);
    refuse(json!({"duplicates": "mark", "mark_field": "nowhere"}), &[("mark_field", "must begin with `body`")]);
    for field in ["attributes", "resource", "body", "timestamp", "severity", "trace_id", "scope.name"] {
        refuse(json!({"duplicates": "mark", "mark_field": field}), &[("mark_field", "cannot hold the value")]);
    }
}

#[test]
fn the_begin_of_the_warm_up_survives_a_restart() {
    let options = json!({"duplicates": "pass", "warm_up": "2d"}).to_string();
    let node = || Native::<Dedup>::configure("dedup", &options).unwrap();
    let event =
        |id: &str, day: u32| json!({"body": format!("restart {id}"), "timestamp": format!("2026-01-0{day}T00:00:00Z")});
    let copies = |node: &mut Native<Dedup>, event: Value| {
        let outcome = node.process(wattle_cases::batch(&[event]).unwrap()).map_err(|error| error.1).unwrap();
        Ran::of(&["out".to_owned(), "first".to_owned()], outcome, 1).unwrap().bodies("first").len()
    };
    let mut before = node();
    assert_eq!(copies(&mut before, event("a", 1)), 0);
    let saved = before.save();
    let mut after = node();
    after.restore(vec![node().save(), saved.clone()]).unwrap();
    assert_eq!(copies(&mut after, event("b", 4)), 1);
    assert_eq!(copies(&mut node(), event("c", 4)), 0, "without its state the node begins to learn");
    for length in 0..saved.bytes.len() {
        let cut = Snapshot { version: saved.version, bytes: saved.bytes[..length].to_vec() };
        assert!(node().restore(vec![cut]).is_err(), "{length}");
    }
    let newer = Snapshot { version: saved.version + 1, ..saved };
    assert!(node().restore(vec![newer]).unwrap_err().contains("version"));
}

fn part() -> impl Strategy<Value = Option<String>> {
    prop::option::of("[ab]{0,3}|[ab]{60,62}")
}

proptest! {
    #[test]
    fn the_first_event_of_each_key_passes(
        events in prop::collection::vec((part(), part()), 0..40),
    ) {
        // The claims of other cases on this thread have another third field.
        let id = uuid();
        let events: Vec<Value> = events.iter().enumerate().map(|(n, (a, b))| {
            let mut attributes = json!({"id": id});
            for (key, value) in [("a", a), ("b", b)] {
                if let Some(value) = value {
                    attributes[key] = json!(value);
                }
            }
            json!({"body": n.to_string(), "attributes": attributes})
        }).collect();
        let ran = run::<Dedup>(
            &json!({"key": ["attributes.a", "attributes.b", "attributes.id"]}), &events,
        ).unwrap();
        let mut known = HashSet::new();
        let expected: Vec<&str> = events.iter()
            .filter(|event| known.insert(event["attributes"].to_string()))
            .map(|event| event["body"].as_str().unwrap())
            .collect();
        prop_assert_eq!(ran.bodies("out"), expected);
    }
}

/// A text that no other case has.
fn uuid() -> u64 {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}
