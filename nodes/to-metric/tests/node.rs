//! Cases of the node `to-metric`, its options, and a model.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test may stop at what must not be"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::{Value, json};
use wattle_cases::{Ran, batch};
use wattle_node::native::Native;
use wattle_node::testing::{
    check_damaged_snapshots, check_forged_snapshots, check_readme, check_refusal, check_schema, code_blocks,
    run_timed_cases,
};
use wattle_node_to_metric::{Options, ToMetric};

const SECOND: i64 = 1_000_000_000;

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// An instance with everything that it made.
struct Run {
    options: String,
    node: Native<ToMetric>,
    ran: Ran,
}

impl Run {
    fn new(options: &Value) -> Self {
        let options = options.to_string();
        Self { node: Native::configure("node", &options).unwrap(), options, ran: Ran::default() }
    }

    fn events(&mut self, events: &[Value]) {
        let ports = self.node.info().ports.clone();
        let outcome = self.node.process(batch(events).unwrap()).map_err(|error| error.1).unwrap();
        self.ran.add(Ran::of(&ports, outcome, events.len()).unwrap());
    }

    fn tick(&mut self, now: i64, is_last: bool) {
        let ports = self.node.info().ports.clone();
        let outcome = self.node.tick(now * SECOND, is_last).unwrap();
        self.ran.add(Ran::of(&ports, outcome, 0).unwrap());
    }

    fn restart(&mut self) {
        let saved = self.node.save();
        self.node = Native::configure("node", &self.options).unwrap();
        self.node.restore(vec![saved.clone()]).unwrap();
        assert_eq!(self.node.save(), saved);
    }

    /// The data points: body, and attributes.
    fn points(&self) -> Vec<(Value, Value)> {
        let events = self.ran.ports.get("metrics").map(Vec::as_slice).unwrap_or_default();
        let point = |event: &Value| {
            assert_eq!(event["kind"], "metric");
            let body = serde_json::from_str(event["body"].as_str().unwrap()).unwrap();
            (body, event.get("attributes").cloned().unwrap_or_default())
        };
        events.iter().map(point).collect()
    }
}

#[test]
fn cases_hold() {
    run_timed_cases::<ToMetric>(&here("tests/cases")).unwrap();
}

#[test]
fn the_readme_shows_the_options_and_events_of_its_case() {
    let case = check_readme::<ToMetric, _>(&here(""), |text| toml::from_str(text)).unwrap();
    let shown = &code_blocks(&here("README.md"), "json").unwrap()[0];
    let shown: Vec<Value> = shown.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let made = case["expected"]["metrics"].as_array().unwrap().iter().map(|event| event["body"].clone());
    assert_eq!(shown, made.collect::<Vec<_>>());
}

#[test]
fn schema_is_up_to_date() {
    check_schema::<Options>(&here("options.schema.json")).unwrap();
}

#[track_caller]
fn refuse(options: Value, expected: &[(&str, &str)]) {
    check_refusal::<ToMetric>(&options, expected).unwrap();
}

#[test]
fn wrong_options_are_reported_all_at_once() {
    refuse(json!({}), &[("", "missing field `metrics`")]);
    refuse(json!({"metrics": []}), &[("metrics", "at least one")]);
    refuse(json!({"metrics": [{"name": "a", "type": "counts"}]}), &[("metrics[0].type", "unknown variant `counts`")]);
    refuse(
        json!({
            "interval": "1ms", "expire_after": "soon", "max_state": "1KiB", "if": {"field": "body"},
            "metrics": [
                {"name": "1a", "type": "sum", "unit": "x".repeat(64), "bounds": [1], "max_size": 3, "max_series": 0},
                {"name": "b", "type": "histogram", "field": "oops", "bounds": [2, 1], "if": {},
                    "dimensions": ["nowhere", "attributes.a", "body.a", {"field": "body.b", "default": "x".repeat(129)}]},
                {"name": "b", "type": "exponential_histogram", "field": "body", "max_size": 1,
                    "exemplars": {"max": 11, "attributes": ["body.a", "body.b", "body.c", "body.d", "body.e"]}},
            ],
        }),
        &[
            ("interval", "`1ms` is not a duration of at least 100 ms"),
            ("expire_after", "`soon` is not a duration"),
            ("max_state", "`1KiB` is not a size"),
            ("if", "needs a test"),
            ("metrics[0].name", "`1a` is not a name"),
            ("metrics[0].unit", "at most 63 bytes"),
            ("metrics[0].bounds", "an option of the type `histogram`"),
            ("metrics[0].max_size", "an option of the type `exponential_histogram`"),
            ("metrics[0]", "needs a `field`"),
            ("metrics[0].max_series", "at least 1"),
            ("metrics[1].bounds", "increasing numbers"),
            ("metrics[1].field", "must begin with `body`"),
            ("metrics[1].dimensions[0]", "must begin with `body`"),
            ("metrics[1].dimensions[2]", "the name of another field"),
            ("metrics[1].dimensions[3].default", "at most 128 bytes"),
            ("metrics[1].if", "needs a `field`"),
            ("metrics[2].name", "names must differ"),
            ("metrics[2].max_size", "2 to 320"),
            ("metrics[2].exemplars.max", "1 to 10"),
            ("metrics[2].exemplars.attributes", "at most 4"),
        ],
    );
    refuse(
        json!({"temporality": "cumulative", "zeros": true, "metrics": [{"name": "a", "type": "counter"}]}),
        &[("zeros", "has no effect")],
    );
    let long = "x".repeat(65);
    refuse(
        json!({"expose": true, "metrics": [
            {"name": "a", "type": "exponential_histogram", "field": "body"},
            {"name": "b_total", "type": "gauge", "field": "body"},
            {"name": long, "type": "counter"},
            {"name": "d", "type": "counter", "dimensions": {"field": "body.n", "name": "node"}},
            {"name": "e", "type": "counter", "dimensions": [{"field": "body.n", "name": "a.b"}, {"field": "body.m", "name": "a-b"}]},
            {"name": "f", "type": "histogram", "field": "body", "bounds": (0..33).collect::<Vec<_>>()},
            {"name": "g", "type": "counter", "dimensions": (0..9).map(|i| format!("body.d{i}")).collect::<Vec<_>>()},
            {"name": "h_total", "type": "counter", "dimensions": "attributes.http.status"},
        ]}),
        &[
            ("metrics[0]", "cannot be on `/metrics`"),
            ("metrics[1]", "only the name of a counter"),
            ("metrics[2]", "at most 64 bytes"),
            ("metrics[3]", "`node` cannot be a label"),
            ("metrics[4]", "two dimensions would have the label `a_b`"),
            ("metrics[5]", "at most 32 bounds"),
            ("metrics[6]", "at most 8 dimensions"),
        ],
    );
}

fn all(temporality: &str) -> Value {
    let metric = |name: &str, kind: &str| {
        json!({
            "name": name, "type": kind, "field": "attributes.v", "dimensions": ["attributes.k", "attributes.j"], "max_series": 4,
            "exemplars": {"max": 2, "attributes": "body"},
        })
    };
    let kinds = ["counter", "sum", "gauge", "histogram", "exponential_histogram"];
    json!({"interval": "10s", "temporality": temporality, "metrics": kinds.map(|kind| metric(kind, kind))})
}

#[test]
fn a_damaged_snapshot_is_refused_and_a_forged_one_harmless() {
    let mut run = Run::new(&all("cumulative"));
    run.tick(1000, false);
    let event = |i: i64| json!({"body": format!("b{i}"), "attributes": {"k": i % 3, "j": i % 2, "v": i * 3 / 2 - 9}});
    run.events(&(0..40).map(event).collect::<Vec<_>>());
    let saved = run.node.save();
    let options: Value = serde_json::from_str(&run.options).unwrap();
    check_damaged_snapshots::<ToMetric>(&options, &saved).unwrap();
    let seal = |content: &[u8]| wattle_snapshot::hash(0, content).to_le_bytes();
    check_forged_snapshots::<ToMetric>(&options, &saved, seal, |mut node| {
        let _ = node.save();
        node.tick(1040 * SECOND, true).unwrap();
    })
    .unwrap();
}

#[test]
fn metrics_of_former_options_make_their_last_point_at_the_first_tick() {
    let options = |unit: &str| {
        json!({"interval": "10s", "metrics": [
            {"name": "changed", "type": "counter", "unit": unit}, {"name": "same", "type": "counter"},
        ]})
    };
    let mut first = Run::new(&options(""));
    first.tick(1000, false);
    first.events(&[json!({"body": ""})]);
    let mut second = Run::new(&options("1"));
    second.node.restore(vec![first.node.save()]).unwrap();
    second.restart();
    second.tick(1003, false);
    second.events(&[json!({"body": ""})]);
    second.tick(1010, false);
    let points: Vec<_> = second
        .points()
        .into_iter()
        .map(|(body, _)| (body["name"].clone(), body["unit"].clone(), body["value"].as_i64().unwrap()))
        .collect();
    let point = |name: &str, unit: &str, value| (json!(name), json!(unit), value);
    assert_eq!(points, [point("changed", "", 1), point("changed", "1", 1), point("same", "", 2)]);
}

#[test]
fn ids_depend_on_the_metric_its_dimensions_and_time_and_never_change() {
    let ids = |metric: Value| {
        let mut run = Run::new(&json!({"interval": "10s", "metrics": [metric]}));
        run.tick(1000, false);
        for second in [1010, 1020] {
            run.events(&[json!({"body": "", "attributes": {"k": "a"}}), json!({"body": "", "attributes": {"k": "b"}})]);
            run.tick(second, false);
        }
        run.points().into_iter().map(|(body, _)| body["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let plain = ids(json!({"name": "a", "type": "counter", "dimensions": "attributes.k"}));
    let other = ids(
        json!({"name": "a", "type": "counter", "dimensions": "attributes.k", "if": {"field": "body", "exists": true}}),
    );
    assert_eq!(plain.iter().chain(&other).collect::<BTreeSet<_>>().len(), 8);
    assert_eq!(plain[0], "9a7188263f659a470d4d2e2c73e5a87d");
}

#[test]
fn the_state_is_bounded_and_loses_no_event() {
    let metrics: Vec<Value> = ["counter", "exponential_histogram"]
        .map(|kind| {
            json!({"name": kind, "type": kind, "field": "attributes.v", "dimensions": "attributes.k", "max_series": 1_000_000})
        })
        .to_vec();
    let mut run = Run::new(&json!({"interval": "10s", "max_state": "200kB", "metrics": metrics}));
    run.tick(1000, false);
    for round in 0..20_i64 {
        let event =
            |i: i64| json!({"body": "", "attributes": {"k": format!("k{}", round * 500 + i), "v": i * i + round}});
        run.events(&(0..500).map(event).collect::<Vec<_>>());
        let size = run.node.save().bytes.len();
        assert!(size <= 200_000, "{size}");
    }
    run.tick(1010, false);
    let of = |name: &str, key: &str| -> i64 {
        run.points().iter().filter(|(body, _)| body["name"] == name).map(|(body, _)| body[key].as_i64().unwrap()).sum()
    };
    assert_eq!(of("exponential_histogram", "count"), 10_000);
    assert_eq!(of("counter", "value"), (0..20).map(|round| (0..500).map(|i| i * i + round).sum::<i64>()).sum::<i64>());
    assert!(run.ran.counts["other"] > 10_000);
}

proptest! {
    /// The points of each series add up to its events, restarts and limits included.
    #[test]
    fn delta_points_add_up_and_cumulative_points_grow(
        steps in prop::collection::vec(prop_oneof![
            4 => prop::collection::vec((0..6_u8, 0..3_u8, 0..100_i64), 1..8).prop_map(Ok),
            2 => (0..25_i64).prop_map(Err),
            1 => Just(Err(-1)),
        ], 1..25),
        is_cumulative: bool,
    ) {
        let mut run = Run::new(&all(if is_cumulative { "cumulative" } else { "delta" }));
        let (mut now, mut total, mut count) = (1000, 0, 0_u64);
        run.tick(now, false);
        for step in steps {
            match step {
                Err(-1) => run.restart(),
                Err(seconds) => {
                    now += seconds;
                    run.tick(now, false);
                }
                Ok(events) => {
                    total += events.iter().map(|event| event.2).sum::<i64>();
                    count += events.len() as u64;
                    let event = |(k, j, v): &(u8, u8, i64)| json!({"body": "", "attributes": {"k": k, "j": j, "v": v}});
                    run.events(&events.iter().map(event).collect::<Vec<_>>());
                }
            }
        }
        run.tick(now, true);
        let (mut sums, mut counts): (BTreeMap<String, i64>, BTreeMap<String, u64>) = Default::default();
        for (body, attributes) in run.points() {
            let key = format!("{} {attributes}", body["name"].as_str().unwrap());
            if ["counter", "sum"].contains(&body["name"].as_str().unwrap()) {
                let value = body["value"].as_i64().unwrap();
                let sum = sums.entry(key).or_default();
                prop_assert!(!is_cumulative || value >= *sum);
                *sum = if is_cumulative { value } else { *sum + value };
            } else if body["name"] != "gauge" {
                let value = body["count"].as_u64().unwrap();
                let sum = counts.entry(key).or_default();
                *sum = if is_cumulative { value } else { *sum + value };
                let buckets = |value: &Value| -> u64 {
                    value["bucket_counts"].as_array().into_iter().flatten().map(|count| count.as_u64().unwrap()).sum()
                };
                let zeros = body["zero_count"].as_u64().unwrap_or(0);
                prop_assert_eq!(buckets(&body) + buckets(&body["positive"]) + buckets(&body["negative"]) + zeros, value);
            }
        }
        let of = |name: &str| sums.iter().filter(|(key, _)| key.starts_with(name)).map(|(_, sum)| sum).sum::<i64>();
        prop_assert_eq!(of("counter"), total);
        prop_assert_eq!(of("sum"), total);
        for name in ["histogram", "exponential"] {
            let all = counts.iter().filter(|(key, _)| key.starts_with(name)).map(|(_, count)| count).sum::<u64>();
            prop_assert_eq!(all, count);
        }
        // Four series of each metric and `_other`.
        prop_assert!(!is_cumulative || sums.len() <= 10);
    }
}
