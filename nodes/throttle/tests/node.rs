//! The node as a whole: case files, the committed schema, wrong options, a model.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may stop at what must not be")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::{Value, json};
use wattle_node::native::Native;
use wattle_node::testing::{
    Ran, check_damaged_snapshots, check_forged_snapshots, check_readme, check_refusal, check_schema, run_timed_cases,
};
use wattle_node::{Sharing, Snapshot};
use wattle_node_throttle::{Options, Throttle};

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[test]
fn cases_hold() {
    run_timed_cases::<Throttle>(&here("tests/cases")).unwrap();
}

#[test]
fn schema_is_up_to_date() {
    check_schema::<Options>(&here("options.schema.json")).unwrap();
}

#[test]
fn the_readme_shows_the_options_of_its_case_and_valid_examples() {
    check_readme::<Throttle, _>(&here(""), |text| toml::from_str(text)).unwrap();
}

#[test]
fn wrong_options_are_reported_all_at_once() {
    let refuse = |options: Value, expected: &[(&str, &str)]| check_refusal::<Throttle>(&options, expected).unwrap();
    refuse(json!({}), &[("", "needs `events` or `bytes`")]);
    refuse(
        json!({"key": ["nowhere", "body"], "events": 0, "bytes": "x", "window": "0s", "when": {"field": "body"}, "max_keys": 0}),
        &[
            ("key[0]", "must begin with `body`"),
            ("bytes", "`x` is not a size"),
            ("events", "at least 1"),
            ("max_keys", "at least 1"),
            ("window", "`0s` is not a duration"),
            ("when", "needs a test"),
        ],
    );
    refuse(json!({"key": [], "events": 1}), &[("key", "at least one field")]);
    refuse(json!({"events": 1, "window": "999us"}), &[("window", "less than `1ms`")]);
}

#[test]
fn the_state_is_shared_by_key_or_by_all() {
    let requested =
        |options: Value| Native::<Throttle>::configure("n", &options.to_string()).unwrap().requested().clone();
    let all = requested(json!({"events": 1, "excess": "route", "summary": "port"}));
    assert_eq!((all.sharing, all.ports), (Sharing::Single, vec!["out".into(), "throttled".into(), "summary".into()]));
    assert_eq!(requested(json!({"events": 1, "key": "body.a"})).sharing, Sharing::Key(vec!["body.a".into()]));
}

/// A node under test, and everything that it has given so far.
struct Run {
    node: Native<Throttle>,
    options: String,
    all: Ran,
}

impl Run {
    fn new(options: &Value) -> Self {
        let options = options.to_string();
        let mut run = Self { node: Native::configure("n", &options).unwrap(), options, all: Ran::default() };
        run.tick(0, false);
        run
    }

    fn events(&mut self, events: &[Value]) {
        let outcome = self.node.process(wattle_cases::batch(events).unwrap()).unwrap_or_else(|e| panic!("{:?}", e.1));
        self.all.add(Ran::of(self.node.info().ports.clone().as_slice(), outcome, events.len()).unwrap());
    }

    /// A tick at a time in milliseconds.
    fn tick(&mut self, now: i64, is_last: bool) {
        let outcome = self.node.tick(now.saturating_mul(1_000_000), is_last).unwrap();
        self.all.add(Ran::of(self.node.info().ports.clone().as_slice(), outcome, 0).unwrap());
    }

    fn restart(&mut self) {
        let saved = self.node.save();
        self.node = Native::configure("n", &self.options).unwrap();
        self.node.restore(vec![saved]).unwrap();
    }

    /// The summaries: key, passed, throttled.
    fn summaries(&self) -> Vec<(String, u64, u64)> {
        let events = self.all.ports.get("summary").map(Vec::as_slice).unwrap_or_default();
        let summary = |event: &Value| {
            let body: Value = serde_json::from_str(event["body"].as_str().unwrap()).unwrap();
            let key = body["key"]["body"].as_str().unwrap_or("_other").to_owned();
            (key, body["passed"].as_u64().unwrap(), body["throttled"].as_u64().unwrap())
        };
        events.iter().map(summary).collect()
    }
}

#[derive(Clone, Debug)]
enum Act {
    Events(Vec<char>),
    Tick(i64),
    Restart,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        prop::collection::vec("[a-d]", 1..12)
            .prop_map(|all| Act::Events(all.iter().map(|key| key.chars().next().unwrap()).collect())),
        (0..15_i64).prop_map(Act::Tick),
        Just(Act::Restart),
    ]
}

proptest! {
    #[test]
    fn at_most_so_many_pass_and_all_others_are_counted(acts in prop::collection::vec(act(), 0..20), limit in 1..4_u64) {
        let mut run = Run::new(&json!({"key": "body", "events": limit, "window": "10ms", "summary": "port"}));
        let (mut now, mut passing, mut expected) = (0, Vec::new(), Vec::new());
        let mut window: Vec<(char, u64, u64)> = Vec::new();
        let end = |window: &mut Vec<(char, u64, u64)>, expected: &mut Vec<(String, u64, u64)>| {
            expected.extend(window.drain(..).filter(|usage| usage.2 > 0).map(|(k, p, t)| (k.to_string(), p, t)));
        };
        for act in acts {
            match act {
                Act::Events(keys) => {
                    run.events(&keys.iter().map(|key| json!({"body": key.to_string()})).collect::<Vec<_>>());
                    for key in keys {
                        let place = window.iter().position(|usage| usage.0 == key).unwrap_or_else(|| {
                            window.push((key, 0, 0));
                            window.len() - 1
                        });
                        if window[place].1 < limit {
                            window[place].1 += 1;
                            passing.push(key.to_string());
                        } else {
                            window[place].2 += 1;
                        }
                    }
                }
                Act::Tick(by) => {
                    if (now + by) / 10 != now / 10 {
                        end(&mut window, &mut expected);
                    }
                    now += by;
                    run.tick(now, false);
                }
                Act::Restart => run.restart(),
            }
        }
        run.tick(now, true);
        end(&mut window, &mut expected);
        prop_assert_eq!(run.all.bodies("out"), passing);
        prop_assert_eq!(run.summaries(), expected);
    }
}

#[test]
fn a_window_continues_in_the_next_run() {
    let mut run = Run::new(&json!({"key": "body", "events": 1, "window": "10ms", "summary": "port"}));
    for number in 0..3 {
        run.events(&["a", "a", "a"].map(|body| json!({"body": body})));
        run.tick(number, true);
        run.restart();
        run.tick(number + 1, false);
    }
    run.tick(10, false);
    assert_eq!(run.all.bodies("out"), ["a"]);
    // Each has the window so far, with the same id; the last one is whole.
    let passed: Vec<_> = run.summaries().into_iter().map(|(_, passed, throttled)| (passed, throttled)).collect();
    assert_eq!(passed, [(1, 2), (1, 5), (1, 8), (1, 8)]);
    let attributes = |event: &Value| (event["attributes"]["id"].clone(), event["attributes"]["partial"].clone());
    let all: Vec<_> = run.all.ports["summary"].iter().map(attributes).collect();
    assert!(all.iter().all(|(id, _)| *id == all[0].0), "{all:?}");
    let partial: Vec<_> = all.iter().map(|(_, partial)| partial == "true").collect();
    assert_eq!(partial, [true, true, true, false]);
}

fn saved() -> (Value, Snapshot) {
    let options = json!({"key": "body", "events": 1, "window": "10ms", "summary": "port", "max_keys": 2});
    let mut run = Run::new(&options);
    run.events(&["a", "b", "b", "c", "c"].map(|body| json!({"body": body})));
    (options, run.node.save())
}

#[test]
fn every_damaged_snapshot_is_refused() {
    let (options, snapshot) = saved();
    check_damaged_snapshots::<Throttle>(&options, &snapshot).unwrap();
}

#[test]
fn counts_of_several_instances_are_added() {
    let (options, snapshot) = saved();
    let mut run = Run::new(&options);
    run.node.restore(vec![snapshot.clone(), snapshot]).unwrap();
    run.tick(10, false);
    let of = |key: &str, passed, throttled| (key.to_owned(), passed, throttled);
    assert_eq!(run.summaries(), [of("b", 2, 2), of("_other", 2, 2)]);
}

#[test]
fn counts_of_other_options_or_an_earlier_window_are_reported() {
    let (options, snapshot) = saved();
    let mut later = Run::new(&options);
    later.tick(30, false);
    later.events(&["b", "b"].map(|body| json!({"body": body})));
    let later = later.node.save();
    let mut run = Run::new(&options);
    run.node.restore(vec![snapshot.clone(), later]).unwrap();
    run.events(&[json!({"body": "b"})]);
    run.tick(39, false);
    let of = |key: &str, passed, throttled| (key.to_owned(), passed, throttled);
    assert_eq!(run.summaries(), [of("b", 1, 1), of("_other", 1, 1)]);
    run.tick(40, false);
    assert_eq!(run.summaries()[2..], [of("b", 1, 2)]);

    let mut other = Run::new(&json!({"key": "body", "events": 1, "window": "1h", "summary": "port"}));
    other.node.restore(vec![snapshot]).unwrap();
    other.tick(1, false);
    assert_eq!(other.summaries(), [of("b", 1, 1), of("_other", 1, 1)]);
}

#[test]
fn ids_of_summaries_depend_on_window_and_key_and_survive_restarts() {
    let ids = |restarts: bool| -> BTreeMap<String, usize> {
        let mut run = Run::new(&json!({"key": "body", "events": 1, "window": "10ms", "summary": "port"}));
        for now in [1, 11] {
            run.events(&["a", "a", "b", "b"].map(|body| json!({"body": body})));
            if restarts {
                run.restart();
            }
            run.tick(now + 9, false);
        }
        let mut ids = BTreeMap::new();
        for event in &run.all.ports["summary"] {
            *ids.entry(event["attributes"]["id"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        ids
    };
    let all = ids(false);
    assert_eq!(all.len(), 4);
    assert!(all.iter().all(|(id, count)| id.len() == 32 && *count == 1), "{all:?}");
    assert_eq!(all, ids(true));
}

#[test]
fn a_snapshot_with_any_content_is_refused_or_harmless() {
    let (options, snapshot) = saved();
    let seal = |content: &[u8]| wattle_snapshot::hash(0, content).to_le_bytes();
    check_forged_snapshots::<Throttle>(&options, &snapshot, seal, |node| {
        let mut run = Run { node, ..Run::new(&options) };
        run.events(&["a", "b"].map(|body| json!({"body": body})));
        run.restart();
        run.tick(i64::MAX, true);
    })
    .unwrap();
}
