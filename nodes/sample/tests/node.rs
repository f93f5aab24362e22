//! The node as a whole: case files, the committed schema, wrong options, a naive model, statistics.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at what must not be")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::{Value, json};
use twox_hash::XxHash64;
use wattle_node::testing::{check_readme, check_refusal, check_schema, run, run_cases};
use wattle_node_sample::{Options, Sample};

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[test]
fn cases_hold() {
    run_cases::<Sample>(&here("tests/cases")).unwrap();
}

#[test]
fn the_readme_shows_the_options_of_its_case_and_valid_examples() {
    check_readme::<Sample, _>(&here(""), |text| toml::from_str(text)).unwrap();
}

#[test]
fn schema_is_up_to_date() {
    check_schema::<Options>(&here("options.schema.json")).unwrap();
}

#[track_caller]
fn refuse(options: Value, expected: &[(&str, &str)]) {
    check_refusal::<Sample>(&options, expected).unwrap();
}

#[test]
fn wrong_options_are_reported_all_at_once() {
    let when = json!({"field": "body", "exists": true});
    refuse(json!({}), &[("", "needs `rate`")]);
    refuse(json!({"rate": 2, "ratio": 0.5}), &[("", "both `rate` and `ratio`")]);
    refuse(json!({"rate": 2, "classes": [{"name": "a", "rate": 2}]}), &[("classes[0]", "missing field `when`")]);
    refuse(
        json!({
            "rate": 0,
            "key": ["nowhere", "attributes.a"],
            "always_keep": {"field": "body"},
            "rate_field": "timestamp",
            "classes": [
                {"name": "Bad", "when": {"field": "body"}, "ratio": 2, "key": [], "floor": 0, "period": "soon"},
                {"name": "a", "when": when, "period": "1m"},
                {"name": "a", "when": when, "rate": 1, "floor": 1, "period": "0s"},
            ],
        }),
        &[
            ("always_keep", "needs a test"),
            ("key[0]", "must begin with `body`"),
            ("classes[0].name", "not kebab-case"),
            ("classes[0].when", "needs a test"),
            ("classes[0].ratio", "more than 0 and at most 1"),
            ("classes[0].key", "at least one field"),
            ("classes[0].period", "`soon` is not a duration"),
            ("classes[0].floor", "at least 1"),
            ("classes[1]", "needs `rate`"),
            ("classes[1].period", "no effect without `floor`"),
            ("classes[2].name", "names must differ"),
            ("classes[2].period", "`0s` is not a duration"),
            ("rate", "at least 1"),
            ("rate_field", "cannot hold the value"),
        ],
    );
    refuse(json!({"rate": 2, "rate_field": "nowhere"}), &[("rate_field", "must begin with `body`")]);
}

#[test]
fn fields_that_cannot_hold_a_rate_are_refused() {
    for field in [
        "attributes",
        "resource",
        "body",
        "timestamp",
        "severity",
        "severity.number",
        "trace_id",
        "span_id",
        "scope",
        "scope.name",
        "scope.attributes",
    ] {
        refuse(json!({"rate": 2, "rate_field": field}), &[("rate_field", "cannot hold the value; use a path below")]);
    }
    let event = json!({"body": "{}", "scope": {"attributes": {"a": 1}}});
    for field in ["attributes.rate", "resource.a.rate", "scope.attributes.rate", "body.rate"] {
        let events = sampled(&json!({"rate": 1, "rate_field": field}), std::slice::from_ref(&event));
        assert!(events[0].to_string().contains("rate"), "{field}: {}", events[0]);
    }
}

#[test]
fn a_rate_in_a_string_is_multiplied_and_other_values_are_replaced() {
    for (before, rate, after) in [
        (json!("10"), 1, json!("10")),
        (json!("10"), 2, json!(20)),
        (json!("2.5"), 2, json!(5)),
        (json!(10), 2, json!(20)),
        (json!("0"), 2, json!(2)),
        (json!("-3"), 2, json!(2)),
        (json!("inf"), 2, json!(2)),
        (json!("many"), 2, json!(2)),
        (json!([10]), 2, json!(2)),
    ] {
        let event = json!({"body": "", "attributes": {"sample_rate": before}});
        let kept = sampled(&json!({ "rate": rate }), &[event.clone(), event]);
        assert_eq!(kept[0]["attributes"]["sample_rate"], after, "{before} {rate}");
    }
}

/// The sum of the rates of kept events, as the README says to estimate counts.
fn estimate(events: &[Value]) -> f64 {
    events.iter().map(|event| event["attributes"]["sample_rate"].as_f64().unwrap()).sum()
}

fn keys(count: u32) -> Vec<Value> {
    (0..count).map(|i| json!({"body": "", "attributes": {"id": format!("trace-{i}")}})).collect()
}

fn sampled(options: &Value, events: &[Value]) -> Vec<Value> {
    run::<Sample>(options, events).unwrap().ports.remove("out").unwrap_or_default()
}

/// Whether an estimate of `count` has an error of less than five standard deviations. The hash and the seeds are fixed, so
/// the result never changes.
#[track_caller]
fn check_estimate(kept: &[Value], count: u32, rate: f64) {
    let deviation = (f64::from(count) * (rate - 1.0)).sqrt();
    let error = estimate(kept) - f64::from(count);
    assert!(error.abs() < 5.0 * deviation, "rate {rate}: error {error}, standard deviation {deviation}");
}

#[test]
fn the_sum_of_rates_estimates_the_count() {
    let events = keys(20_000);
    for seed in [0, 1, 7, u64::MAX] {
        for rate in [2, 10, 100] {
            let kept = sampled(&json!({"rate": rate, "key": "attributes.id", "seed": seed}), &events);
            check_estimate(&kept, 20_000, f64::from(rate));
        }
        let kept = sampled(&json!({"ratio": 0.3, "key": "attributes.id", "seed": seed}), &events);
        check_estimate(&kept, 20_000, 1.0 / 0.3);
    }
}

#[test]
fn two_stages_by_one_key_need_different_seeds() {
    let first = sampled(&json!({"rate": 10, "key": "attributes.id"}), &keys(20_000));
    let same = sampled(&json!({"rate": 5, "key": "attributes.id"}), &first);
    assert_eq!(same.len(), first.len());
    assert!((estimate(&same) - 5.0 * estimate(&first)).abs() < 1e-6);
    let other = sampled(&json!({"rate": 5, "key": "attributes.id", "seed": 1}), &first);
    check_estimate(&other, 20_000, 50.0);
}

/// One event of the model: its class, its key, its minute.
type Made = (char, Option<u8>, Option<u8>);

/// Counts every Nth event, beginning in the middle of the first N.
fn nth(count: &mut u64, rate: u64) -> bool {
    *count += 1;
    (*count - 1) % rate == rate - rate / 2 - 1
}

proptest! {
    #[test]
    fn each_event_is_decided_in_order(
        events in prop::collection::vec(("[abc]", prop::option::of(0..20_u8), prop::option::of(0..3_u8)), 1..60),
        rates in (1..5_u64, prop::option::of(1..5_u64)),
        floor in prop::option::of(1..3_u64),
        seed: u64,
    ) {
        let events: Vec<Made> = events.into_iter().map(|(c, k, m)| (c.chars().next().unwrap(), k, m)).collect();
        let mut class = json!({"name": "b", "when": {"field": "body", "equals": "b"}, "rate": rates.0});
        if let Some(floor) = floor {
            class["floor"] = json!(floor);
        }
        let mut options = json!({
            "always_keep": {"field": "body", "equals": "a"}, "classes": [class], "key": "attributes.k", "seed": seed,
        });
        if let Some(rate) = rates.1 {
            options["rate"] = json!(rate);
        }

        let (mut kept, mut dropped) = (Vec::new(), BTreeMap::new());
        let mut floors: BTreeMap<Option<u8>, u64> = BTreeMap::new();
        let (mut in_class, mut others) = (0, 0);
        for (class, key, minute) in &events {
            let (rate, count, reason) = match class {
                'a' => (1, &mut 0, ""),
                'b' => (rates.0, &mut in_class, "sampled-b"),
                _ => (rates.1.unwrap_or(1), &mut others, "sampled"),
            };
            let first = floors.entry(*minute).or_default();
            if *class == 'b' && *first < floor.unwrap_or(0) {
                *first += 1;
                kept.push((class.to_string(), 1));
                continue;
            }
            let keep = match key {
                _ if *class == 'a' => true,
                Some(key) => {
                    let hash = XxHash64::oneshot(seed, key.to_string().as_bytes());
                    u128::from(hash) * u128::from(rate) < 1 << 64
                }
                None => nth(count, rate),
            };
            if keep {
                kept.push((class.to_string(), rate));
            } else {
                *dropped.entry(reason.to_owned()).or_insert(0) += 1;
            }
        }

        let input: Vec<Value> = events.iter().map(|(class, key, minute)| {
            let mut event = json!({"body": class, "attributes": {"k": key}});
            if let Some(minute) = minute {
                event["timestamp"] = json!(format!("2026-01-01T00:0{minute}:30Z"));
            }
            event
        }).collect();
        let ran = run::<Sample>(&options, &input).map_err(TestCaseError::fail)?;
        let out: Vec<(String, u64)> = ran.ports.get("out").into_iter().flatten().map(|event| {
            (event["body"].as_str().unwrap().to_owned(), event["attributes"]["sample_rate"].as_u64().unwrap())
        }).collect();
        prop_assert_eq!(out, kept);
        prop_assert_eq!(ran.dropped, dropped);
    }

    #[test]
    fn any_texts_are_sampled_or_dropped(bodies in prop::collection::vec(any::<String>(), 0..8), attribute: String) {
        let options = json!({
            "rate": 2, "key": "body.a", "rate_field": "attributes.a.rate",
            "classes": [{"name": "all", "when": {"field": "body", "sample": {"rate": 2}}, "rate": 3, "floor": 1}],
        });
        let events: Vec<Value> = bodies.iter().map(|body| json!({"body": body, "attributes": {"a": attribute}})).collect();
        run::<Sample>(&options, &events).map_err(TestCaseError::fail)?;
    }
}
