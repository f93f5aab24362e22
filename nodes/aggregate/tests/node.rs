//! Cases of the node `aggregate`, and its options.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test may stop at what must not be"
)]

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use wattle_node::testing::{check_readme, check_refusal, check_schema, code_blocks, run_timed_cases};
use wattle_node_aggregate::{Aggregate, Options};

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[test]
fn cases_hold() {
    run_timed_cases::<Aggregate>(&here("tests/cases")).unwrap();
}

#[test]
fn the_readme_shows_the_options_and_events_of_its_case() {
    let case = check_readme::<Aggregate, _>(&here(""), |text| toml::from_str(text)).unwrap();
    let shown = &code_blocks(&here("README.md"), "json").unwrap()[0];
    let shown: Vec<Value> = shown.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let made = case["expected"]["windows"].as_array().unwrap().iter().map(|event| event["body"].clone());
    assert_eq!(shown, made.collect::<Vec<_>>());
}

#[test]
fn schema_is_up_to_date() {
    check_schema::<Options>(&here("options.schema.json")).unwrap();
}

#[track_caller]
fn refuse(options: Value, expected: &[(&str, &str)]) {
    check_refusal::<Aggregate>(&options, expected).unwrap();
}

#[test]
fn wrong_options_are_reported_all_at_once() {
    refuse(json!({}), &[("", "missing field `window`")]);
    refuse(json!({"window": "1m", "if": {"fields": "body"}}), &[("if", "unknown field `fields`")]);
    refuse(
        json!({"window": "1m", "compute": {"a": {"count": 5}}}),
        &[("compute.a.count", "expected `true` or a field")],
    );
    refuse(
        json!({
            "window": "10ms", "slide": "0s", "lateness": "1s", "on_late": "port", "max_keys": 0, "max_state": "1GB",
            "by": ["nowhere", "attributes.end", {"field": "attributes.b", "name": "a.b"}, "attributes.c", "body.c"],
            "if": {"field": "body"},
            "compute": {
                "a": {}, "b": {"sum": "attributes.x", "max": "attributes.x"}, "c": {"count": true}, "d": {"count": false},
                "e": {"sum": "oops", "limit": 0, "at": [2], "if": {}},
                "f": {"quantiles": "attributes.x", "at": [0.5, 0.5], "accuracy": 1},
                "g": {"distinct": "attributes.x", "precision": 20},
            },
        }),
        &[
            ("window", "`10ms` is not a duration of at least 100 ms"),
            ("slide", "`0s` is not a duration"),
            ("lateness", "no effect without"),
            ("on_late", "no effect without"),
            ("by[0]", "must begin with `body`"),
            ("by[1]", "`end` is used already"),
            ("by[2].name", "not a name of letters"),
            ("by[4]", "`c` is used already"),
            ("compute.a", "exactly one function"),
            ("compute.b", "exactly one function"),
            ("compute.c", "`c` is used already"),
            ("compute.d.count", "write `true`"),
            ("compute.e.at", "an option of `quantiles`"),
            ("compute.e.limit", "an option of `list`"),
            ("compute.e.limit", "must be 1 to 1000"),
            ("compute.e.at", "1 to 20 different quantiles"),
            ("compute.e.sum", "must begin with `body`"),
            ("compute.e.if", "needs a `field`"),
            ("compute.f.at", "1 to 20 different quantiles"),
            ("compute.f.accuracy", "0.001 to 0.2"),
            ("compute.g.precision", "4 to 16"),
            ("if", "needs a test"),
            ("max_state", "`1GB` is not a size"),
            ("max_keys", "at least 1"),
        ],
    );
    refuse(json!({"window": "1m", "slide": "7s"}), &[("slide", "`window` must be a multiple")]);
    refuse(json!({"window": "1m", "slide": "10s", "on_full": "flush"}), &[("on_full", "do not overlap")]);
    refuse(json!({"window": "1s", "time": "event", "lateness": "1d"}), &[("lateness", "at most 10000")]);
    let lists = json!({"window": "1h", "slide": "1m", "compute": {"l": {"list": "body", "limit": 1000}}});
    refuse(lists, &[("max_state", "are too few")]);
}
