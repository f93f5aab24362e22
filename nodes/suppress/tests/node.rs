//! The node as a whole: case files, the committed schema, wrong options, a model.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may stop at what must not be")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;
use serde_json::{Value, json};
use wattle_node::native::Native;
use wattle_node::testing::{
    Ran, check_damaged_snapshots, check_forged_snapshots, check_readme, check_refusal, check_schema, run_timed_cases,
};
use wattle_node::{Sharing, Snapshot};
use wattle_node_suppress::{Options, Suppress};

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[test]
fn cases_hold() {
    run_timed_cases::<Suppress>(&here("tests/cases")).unwrap();
}

#[test]
fn schema_is_up_to_date() {
    check_schema::<Options>(&here("options.schema.json")).unwrap();
}

#[test]
fn the_readme_shows_the_options_of_its_case_and_valid_examples() {
    check_readme::<Suppress, _>(&here(""), |text| toml::from_str(text)).unwrap();
}

#[test]
fn wrong_options_are_reported_all_at_once() {
    let refuse = |options: Value, expected: &[(&str, &str)]| check_refusal::<Suppress>(&options, expected).unwrap();
    refuse(json!({"key": []}), &[("key", "at least one field")]);
    refuse(
        json!({"key": "nowhere", "allow": 101, "window": "1us", "when": {"field": "body"}, "max_keys": 0}),
        &[
            ("key", "must begin with `body`"),
            ("allow", "1 to 100"),
            ("max_keys", "at least 1"),
            ("window", "less than `1ms`"),
            ("when", "needs a test"),
        ],
    );
    refuse(json!({"allow": 0}), &[("allow", "1 to 100")]);
}

#[test]
fn the_state_is_shared_by_key() {
    let options = json!({"key": "body.a", "repeats": "route", "summary": "port"}).to_string();
    let requested = Native::<Suppress>::configure("n", &options).unwrap().requested().clone();
    assert_eq!(requested.sharing, Sharing::Key(vec!["body.a".into()]));
    assert_eq!(requested.ports, ["out", "suppressed", "summary"]);
}

/// A node under test, and everything that it has given so far.
struct Run {
    node: Native<Suppress>,
    options: String,
    all: Ran,
    /// A part of every key: claims outlive a run.
    run: u64,
}

impl Run {
    fn new(options: &Value) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let options = options.to_string();
        let (node, run) = (Native::configure("n", &options).unwrap(), NEXT.fetch_add(1, Ordering::Relaxed));
        let mut run = Self { node, options, all: Ran::default(), run };
        run.tick(0, false);
        run
    }

    fn events(&mut self, keys: &[char]) {
        let event = |key: &char| json!({"body": key.to_string(), "attributes": {"run": self.run}});
        let events: Vec<Value> = keys.iter().map(event).collect();
        let outcome = self.node.process(wattle_cases::batch(&events).unwrap()).unwrap_or_else(|e| panic!("{:?}", e.1));
        self.all.add(Ran::of(&self.node.info().ports.clone(), outcome, events.len()).unwrap());
    }

    fn tick(&mut self, now: i64, is_last: bool) {
        let outcome = self.node.tick(now, is_last).unwrap();
        self.all.add(Ran::of(&self.node.info().ports.clone(), outcome, 0).unwrap());
    }

    fn restart(&mut self) {
        let saved = self.node.save();
        self.node = Native::configure("n", &self.options).unwrap();
        self.node.restore(vec![saved]).unwrap();
    }

    fn summaries(&self) -> &[Value] {
        self.all.ports.get("summary").map(Vec::as_slice).unwrap_or_default()
    }

    /// Repeats by key, as the summaries say.
    fn counts(&self) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        for event in self.summaries() {
            let body: Value = serde_json::from_str(event["body"].as_str().unwrap()).unwrap();
            let key = body["key"]["body"].as_str().unwrap_or("_other").to_owned();
            *counts.entry(key).or_default() += body["suppressed"].as_u64().unwrap();
        }
        counts
    }
}

const HOUR: i64 = 3_600_000_000_000;

fn options(allow: u64, max_keys: usize) -> Value {
    json!({"key": ["body", "attributes.run"], "allow": allow, "window": "1h", "summary": "port", "max_keys": max_keys})
}

#[derive(Clone, Debug)]
enum Act {
    Events(Vec<char>),
    Tick(i64),
    Restart,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        prop::collection::vec("[a-f]", 1..12)
            .prop_map(|all| Act::Events(all.iter().map(|key| key.chars().next().unwrap()).collect())),
        (0..HOUR).prop_map(Act::Tick),
        Just(Act::Restart),
    ]
}

proptest! {
    #[test]
    fn the_first_events_pass_and_every_repeat_is_in_a_summary(
        acts in prop::collection::vec(act(), 0..20), allow in 1..4_u64, max_keys in 1..8_usize,
    ) {
        let mut run = Run::new(&options(allow, max_keys));
        let (mut now, mut passed, mut repeats) = (0, BTreeMap::<char, u64>::new(), BTreeMap::<String, u64>::new());
        let mut expected = Vec::new();
        for act in acts {
            match act {
                Act::Events(keys) => {
                    run.events(&keys);
                    for key in keys {
                        let passed = passed.entry(key).or_default();
                        if *passed < allow {
                            *passed += 1;
                            expected.push(key.to_string());
                        } else {
                            *repeats.entry(key.to_string()).or_default() += 1;
                        }
                    }
                }
                Act::Tick(by) => {
                    now += by;
                    run.tick(now, false);
                }
                Act::Restart => run.restart(),
            }
        }
        run.tick(now, true);
        prop_assert_eq!(run.all.bodies("out"), expected);
        let counts = run.counts();
        prop_assert_eq!(counts.values().sum::<u64>(), repeats.values().sum::<u64>());
        if max_keys > 6 {
            prop_assert_eq!(counts, repeats);
        }
    }
}

#[test]
fn an_event_passes_again_when_the_host_has_forgotten_it() {
    let mut run = Run::new(&json!({"window": "1ms", "key": ["body", "attributes.run"], "summary": "port"}));
    run.events(&['a', 'a']);
    while run.all.bodies("out").len() < 2 {
        run.events(&['a']);
    }
    run.tick(1, true);
    let dropped = run.all.dropped["suppressed"];
    assert_eq!(run.counts()["a"], dropped as u64);
}

#[test]
fn a_window_continues_in_the_next_run() {
    let mut run = Run::new(&options(1, 10));
    for number in 0..3 {
        run.events(&['a', 'a']);
        run.tick(number, true);
        run.restart();
        run.tick(number + 1, false);
    }
    run.tick(2 * HOUR, false);
    assert_eq!(run.all.bodies("out"), ["a"]);
    let suppressed = |event: &Value| {
        let body: Value = serde_json::from_str(event["body"].as_str().unwrap()).unwrap();
        (body["suppressed"].as_u64().unwrap(), event["attributes"]["partial"] == "true")
    };
    let all: Vec<_> = run.summaries().iter().map(suppressed).collect();
    assert_eq!(all, [(1, true), (3, true), (5, true), (5, false)]);
    let ids: std::collections::BTreeSet<_> =
        run.summaries().iter().map(|e| e["attributes"]["id"].to_string()).collect();
    assert_eq!(ids.len(), 1);
}

fn saved() -> (Value, Snapshot) {
    let options = options(1, 2);
    let mut run = Run::new(&options);
    run.events(&['a', 'b', 'b', 'a', 'a', 'c', 'c']);
    (options, run.node.save())
}

#[test]
fn every_damaged_snapshot_is_refused() {
    let (options, snapshot) = saved();
    check_damaged_snapshots::<Suppress>(&options, &snapshot).unwrap();
}

#[test]
fn counts_of_several_instances_are_added() {
    let (options, snapshot) = saved();
    let mut run = Run::new(&options);
    run.node.restore(vec![snapshot.clone(), snapshot]).unwrap();
    run.restart();
    run.tick(HOUR, false);
    assert!(run.summaries().is_empty());
    run.tick(HOUR + 1_000_000_000, false);
    let expected = [("_other", 2), ("a", 4), ("b", 2)].map(|(key, count)| (key.to_owned(), count));
    assert_eq!(run.counts(), BTreeMap::from(expected));
}

#[test]
fn counts_of_other_options_are_reported() {
    let (_, snapshot) = saved();
    let mut run = Run::new(&json!({"key": "body", "summary": "port"}));
    run.node.restore(vec![snapshot]).unwrap();
    run.tick(1, false);
    let expected = [("_other", 1), ("a", 2), ("b", 1)].map(|(key, count)| (key.to_owned(), count));
    assert_eq!(run.counts(), BTreeMap::from(expected));
    assert!(run.summaries().iter().all(|event| event["timestamp"] == "1970-01-01T01:00:00Z"), "{:?}", run.summaries());
}

#[test]
fn ids_of_summaries_are_the_same_after_a_restart() {
    let (options, snapshot) = saved();
    let ids = |restarts: bool| -> Vec<String> {
        let mut run = Run::new(&options);
        run.node.restore(vec![snapshot.clone()]).unwrap();
        if restarts {
            run.restart();
        }
        run.tick(HOUR, true);
        run.summaries().iter().map(|event| event["attributes"]["id"].as_str().unwrap().to_owned()).collect()
    };
    let all = ids(false);
    assert_eq!(all, ids(true));
    let distinct: std::collections::BTreeSet<_> = all.iter().collect();
    assert_eq!((all.len(), distinct.len()), (3, 3));
}

#[test]
fn a_snapshot_with_any_content_is_refused_or_harmless() {
    let (options, snapshot) = saved();
    let seal = |content: &[u8]| wattle_snapshot::hash(0, content).to_le_bytes();
    check_forged_snapshots::<Suppress>(&options, &snapshot, seal, |node| {
        let mut run = Run { node, ..Run::new(&options) };
        run.events(&['a', 'b']);
        run.restart();
        run.tick(i64::MAX, true);
    })
    .unwrap();
}
