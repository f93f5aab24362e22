//! The node `aggregate` against a simple model, and its snapshots.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test may stop at what must not be"
)]

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::{Value, json};
use wattle_cases::{Ran, batch};
use wattle_node::native::Native;
use wattle_node::testing::{check_damaged_snapshots, check_forged_snapshots};
use wattle_node_aggregate::Aggregate;

const SECOND: i64 = 1_000_000_000;

fn time(second: i64) -> String {
    format!("2026-01-01T00:{:02}:{:02}Z", second / 60, second % 60)
}

fn at(second: i64) -> i64 {
    // 2026-01-01T00:00:00Z.
    (1_767_225_600 + second) * SECOND
}

/// An instance with everything that it made.
struct Run {
    options: String,
    node: Native<Aggregate>,
    ran: Ran,
}

impl Run {
    fn new(options: &Value) -> Self {
        let options = options.to_string();
        Self { node: Native::configure("node", &options).unwrap(), options, ran: Ran::default() }
    }

    fn ports(&self) -> Vec<String> {
        self.node.info().ports.clone()
    }

    fn events(&mut self, events: &[Value]) {
        let outcome = self.node.process(batch(events).unwrap()).map_err(|error| error.1).unwrap();
        let ran = Ran::of(&self.ports(), outcome, events.len()).unwrap();
        self.ran.add(ran);
    }

    fn tick(&mut self, now: i64, is_last: bool) {
        let outcome = self.node.tick(now, is_last).unwrap();
        self.ran.add(Ran::of(&self.ports(), outcome, 0).unwrap());
    }

    fn restart(&mut self) {
        let saved = self.node.save();
        self.node = Native::configure("node", &self.options).unwrap();
        self.node.restore(vec![saved.clone()]).unwrap();
        assert_eq!(self.node.save(), saved);
    }

    fn windows(&self) -> &[Value] {
        self.ran.ports.get("windows").map(Vec::as_slice).unwrap_or_default()
    }
}

/// Per window start and key: count, sum, least and greatest value.
type Sums = BTreeMap<(String, String), (u64, i64, i64, i64)>;

fn add(sums: &mut Sums, key: (String, String), count: u64, sum: i64, min: i64, max: i64) {
    let all = sums.entry(key).or_insert((0, 0, i64::MAX, i64::MIN));
    *all = (all.0 + count, all.1 + sum, all.2.min(min), all.3.max(max));
}

/// Adds up the parts of each window. Each part must occur once, and have an id of its own.
fn add_up(windows: &[Value]) -> Sums {
    let (mut sums, mut ids, mut parts) = (Sums::new(), BTreeSet::new(), BTreeSet::new());
    for event in windows {
        let body: Value = serde_json::from_str(event["body"].as_str().unwrap()).unwrap();
        let text = |name: &str| body[name].as_str().unwrap_or("null").to_owned();
        let number = |name: &str| body[name].as_i64().unwrap();
        let key = (text("start"), text("key"));
        let id = event["attributes"]["id"].as_str().unwrap().to_owned();
        assert_eq!(id.len(), 32);
        assert!(ids.insert(id), "{event}");
        assert!(parts.insert((key.clone(), event["attributes"]["part"].as_u64().unwrap())), "{event}");
        add(&mut sums, key, body["n"].as_u64().unwrap(), number("sum"), number("min"), number("max"));
    }
    sums
}

#[derive(Clone, Debug)]
enum Step {
    /// Second, key and value of each event.
    Events(Vec<(i64, u8, i64)>),
    /// Seconds that pass.
    Tick(i64),
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let event = (0..40_i64, 0..5_u8, -9..10_i64);
    prop::collection::vec(
        prop_oneof![
            3 => prop::collection::vec(event, 1..8).prop_map(Step::Events),
            2 => (0..25_i64).prop_map(Step::Tick),
            1 => Just(Step::Restart),
        ],
        1..25,
    )
}

proptest! {
    /// Whatever is made early or restored, the parts of each window add up to all of its events that were not late.
    #[test]
    fn parts_add_up_to_the_events_of_their_window(
        steps in steps(),
        (slide, slides) in (prop_oneof![Just(5_i64), Just(10)], 1..4_i64),
        lateness in 0..30_i64,
        idle in 0..40_i64,
        is_event_time: bool,
        max_keys in prop_oneof![Just(2_usize), Just(1000)],
        is_flushed: bool,
    ) {
        let length = slide * slides;
        let is_flushed = is_flushed && slides == 1;
        let mut options = json!({
            "by": {"field": "attributes.k", "name": "key"}, "window": format!("{length}s"), "slide": format!("{slide}s"),
            "max_keys": max_keys, "on_full": if is_flushed { "flush" } else { "other" },
            "compute": {
                "n": {"count": true}, "sum": {"sum": "attributes.v"}, "min": {"min": "attributes.v"},
                "max": {"max": "attributes.v"},
            },
        });
        if is_event_time {
            options["time"] = json!("event");
            options["lateness"] = json!(format!("{lateness}s"));
            options["idle"] = json!(format!("{idle}s"));
        }
        let mut run = Run::new(&options);
        let (mut model, mut counted, mut late) = (Sums::new(), 0, 0);
        let (mut now, mut base, mut watermark, mut newest) = (1000, 1000, i64::MIN, i64::MIN);
        run.tick(at(now), false);
        for step in steps {
            match step {
                Step::Restart => run.restart(),
                Step::Tick(seconds) => {
                    now += seconds;
                    base = base.max(now - 20);
                    run.tick(at(now), false);
                }
                Step::Events(events) => {
                    let mut given = Vec::new();
                    for (second, key, value) in events {
                        let own = base + second - 10;
                        let key = format!("k{key}");
                        given.push(json!({"attributes": {"k": key, "v": value}, "timestamp": time(own)}));
                        let second = if is_event_time { own } else { now };
                        let first = second.div_euclid(slide) * slide + slide;
                        let ends = (0..slides).map(|i| first + i * slide).filter(|end| !is_event_time || *end > watermark);
                        let ends: Vec<i64> = ends.collect();
                        if ends.is_empty() {
                            late += 1;
                            continue;
                        }
                        counted += 1;
                        newest = newest.max(second);
                        for end in ends {
                            add(&mut model, (time(end - length), key.clone()), 1, value, value, value);
                        }
                    }
                    run.events(&given);
                    watermark = watermark.max(newest.saturating_sub(lateness));
                }
            }
        }
        run.tick(at(now), true);
        let mut found = add_up(run.windows());
        if max_keys == 2 && !is_flushed {
            // Each window has all of its events, whichever keys they are counted for.
            for sums in [&mut found, &mut model] {
                for ((start, _), (count, sum, min, max)) in std::mem::take(sums) {
                    add(sums, (start, String::new()), count, sum, min, max);
                }
            }
        }
        prop_assert_eq!(found, model);
        prop_assert_eq!(run.ran.held, counted);
        prop_assert_eq!(run.ran.dropped.get("late").copied().unwrap_or(0), late);
    }

    /// A restart changes nothing, and the same steps make the same bytes.
    #[test]
    fn the_same_steps_make_the_same_events(steps in steps(), slides in 1..3_i64) {
        let options = json!({
            "by": "attributes.k", "window": format!("{}s", slides * 10), "slide": "10s", "time": "event", "lateness": "10s",
            // A restart begins a new pause.
            "idle": "1h",
            "compute": {
                "n": {"count": "attributes.v"}, "mean": {"mean": "attributes.v"}, "first": {"first": "attributes.v"},
                "last": {"last": "attributes.v"}, "list": {"list": "attributes.v", "unique": true, "limit": 3},
                "distinct": {"distinct": "attributes.v", "precision": 4}, "q": {"quantiles": "attributes.v"},
                "some": {"sum": "attributes.v", "if": {"field": "attributes.v", "gt": 0}},
            },
        });
        let mut runs = [Run::new(&options), Run::new(&options)];
        for (number, run) in runs.iter_mut().enumerate() {
            let mut now = 1000;
            for step in &steps {
                match step {
                    Step::Restart if number == 0 => run.restart(),
                    Step::Restart => {}
                    Step::Tick(seconds) => {
                        now += seconds;
                        run.tick(at(now), false);
                    }
                    Step::Events(events) => {
                        let event = |(second, key, value): &(i64, u8, i64)| {
                            json!({"attributes": {"k": key, "v": value}, "timestamp": time(980 + second)})
                        };
                        run.events(&events.iter().map(event).collect::<Vec<_>>());
                    }
                }
            }
            run.tick(at(now), true);
        }
        prop_assert_eq!(&runs[0].ran, &runs[1].ran);
    }
}

/// An instance with open windows of every function.
fn full(slide: &str) -> Run {
    let options = json!({
        "by": ["attributes.k", "body"], "window": "20s", "slide": slide, "time": "event", "idle": "0s",
        "compute": {
            "n": {"count": true}, "sum": {"sum": "attributes.v"}, "mean": {"mean": "attributes.v"},
            "min": {"min": "attributes.v"}, "first": {"first": "attributes.v"}, "last": {"last": "attributes.s"},
            "list": {"list": "attributes.s"}, "distinct": {"distinct": "attributes.v", "precision": 4},
            "q": {"quantiles": "attributes.v"},
        },
    });
    let mut run = Run::new(&options);
    run.tick(at(1000), false);
    let events: Vec<Value> = (0..40)
        .map(|i| json!({"body": "b", "attributes": {"k": i % 3, "v": i * 3 / 2, "s": format!("s{i}")}, "timestamp": time(960 + i)}))
        .collect();
    run.events(&events);
    run.tick(at(1030), false);
    run.events(&events[20..]);
    run
}

#[test]
fn a_damaged_snapshot_is_refused_and_a_forged_one_harmless() {
    for slide in ["20s", "10s"] {
        let run = full(slide);
        let (options, saved) = (serde_json::from_str(&run.options).unwrap(), run.node.save());
        check_damaged_snapshots::<Aggregate>(&options, &saved).unwrap();
        let seal = |content: &[u8]| wattle_snapshot::hash(0, content).to_le_bytes();
        check_forged_snapshots::<Aggregate>(&options, &saved, seal, |mut node| {
            let _ = node.save();
            node.tick(at(1040), true).unwrap();
        })
        .unwrap();
    }
}

#[test]
fn snapshots_of_several_instances_are_one_state() {
    let options = json!({
        "by": {"field": "attributes.k", "name": "key"}, "window": "10s", "time": "event",
        "compute": {
            "n": {"count": true}, "sum": {"sum": "attributes.v"}, "min": {"min": "attributes.v"}, "max": {"max": "attributes.v"},
        },
    });
    let event = |i: i64| json!({"attributes": {"k": format!("k{}", i % 4), "v": i}, "timestamp": time(1000 + i % 30)});
    let events: Vec<Value> = (0..100).map(event).collect();
    let mut whole = Run::new(&options);
    whole.tick(at(1000), false);
    whole.events(&events);
    whole.tick(at(1100), true);
    for overlap in [false, true] {
        let mut parts: Vec<Run> = (0..3).map(|_| Run::new(&options)).collect();
        for (number, event) in (0_usize..).zip(&events) {
            // By key, as the host does, or by turns.
            let shard = if overlap { number % 3 } else { number % 4 % 3 };
            parts[shard].tick(at(1000), false);
            parts[shard].events(std::slice::from_ref(event));
        }
        let mut merged = Run::new(&options);
        merged.node.restore(parts.iter().map(|part| part.node.save()).collect()).unwrap();
        merged.tick(at(1100), true);
        assert_eq!(merged.ran.ports, whole.ran.ports);
    }
}

#[test]
fn windows_of_former_options_are_made_by_the_first_tick() {
    let old = json!({"by": "attributes.k", "window": "10s", "compute": {"n": {"count": true}, "s": {"list": "body"}}});
    let new = json!({"window": "1m", "compute": {"total": {"count": true}}});
    let mut first = Run::new(&old);
    first.tick(at(1000), false);
    first.events(&[json!({"body": "x", "attributes": {"k": "a"}})]);
    let mut second = Run::new(&new);
    second.node.restore(vec![first.node.save()]).unwrap();
    // They survive a further restart before the tick.
    second.restart();
    second.tick(at(1003), false);
    second.events(&[json!({"body": "y"})]);
    second.tick(at(1003), true);
    let bodies: Vec<Value> =
        second.ran.bodies("windows").iter().map(|body| serde_json::from_str(body).unwrap()).collect();
    assert_eq!(
        bodies,
        [
            json!({"start": time(1000), "end": time(1010), "k": "a", "n": 1, "s": ["x"]}),
            json!({"start": time(960), "end": time(1020), "total": 1}),
        ]
    );
}

#[test]
fn ids_depend_on_options_window_key_and_part_and_never_change() {
    let ids = |options: Value, key: &str| {
        let mut run = Run::new(&options);
        run.tick(at(1000), false);
        run.events(&[json!({"attributes": {"k": key}})]);
        run.tick(at(1200), true);
        run.windows()[0]["attributes"]["id"].as_str().unwrap().to_owned()
    };
    let options = |extra: &str, value: Value| {
        let mut options = json!({"by": "attributes.k", "window": "10s"});
        if !extra.is_empty() {
            options[extra] = value;
        }
        options
    };
    let all = [
        ids(options("", Value::Null), "a"),
        ids(options("", Value::Null), "b"),
        ids(options("name", json!("x")), "a"),
        ids(options("window", json!("5s")), "a"),
        ids(options("if", json!({"field": "attributes.k", "exists": true})), "a"),
        ids(options("if", json!({"field": "attributes.k", "exists": true, "type": "string"})), "a"),
        ids(options("compute", json!({"n": {"count": true}})), "a"),
        ids(options("compute", json!({"n": {"count": "attributes.k"}})), "a"),
    ];
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
    let ordered = json!({"type": "string", "exists": true, "field": "attributes.k"});
    assert_eq!(ids(options("if", ordered), "a"), all[5]);
    assert_eq!(all[0], "9f1e8bff4b6fa1f9f89a866b0234ea63");
}

#[test]
fn instances_that_share_the_keys_make_different_ids_for_other() {
    let options = json!({"by": "attributes.k", "window": "10s", "max_keys": 1});
    let ids = |keys: &[&str]| {
        let mut run = Run::new(&options);
        run.tick(at(1000), false);
        run.events(&keys.iter().map(|key| json!({"attributes": {"k": key}})).collect::<Vec<_>>());
        run.restart();
        run.tick(at(1010), false);
        let other = run.windows().iter().find(|event| event["body"].as_str().unwrap().contains("_other")).unwrap();
        other["attributes"]["id"].as_str().unwrap().to_owned()
    };
    assert_ne!(ids(&["a", "b", "c"]), ids(&["d", "e", "f"]));
    // Not on the order in which they came.
    assert_eq!(ids(&["a", "b", "c"]), ids(&["a", "c", "b"]));
}

#[test]
fn a_large_state_is_made_early_and_loses_nothing() {
    for (on_full, max, compute) in [
        ("other", 2_000_000, json!({"n": {"count": true}, "l": {"list": "body", "limit": 1000}})),
        ("flush", 2_000_000, json!({"n": {"count": true}, "l": {"list": "body", "limit": 1000}})),
        ("other", 100_000, json!({"n": {"count": true}, "q": {"quantiles": "attributes.v", "accuracy": 0.001}})),
        ("other", 100_000, json!({"n": {"count": true}, "d": {"distinct": "body", "precision": 12}})),
    ] {
        let options = json!({
            "by": "attributes.k", "window": "1m", "max_state": format!("{max}B"), "compute": compute, "on_full": on_full,
        });
        let mut run = Run::new(&options);
        run.tick(at(1000), false);
        let mut number = 0_u32;
        for _ in 0..60 {
            let events: Vec<Value> = (0..500)
                .map(|_| {
                    number += 1;
                    let value = 1.001_f64.powi(i32::try_from(number % 20_000).unwrap());
                    json!({"body": format!("{number:0200}"), "attributes": {"k": number % 40, "v": value}})
                })
                .collect();
            run.events(&events);
            let size = run.node.save().bytes.len();
            assert!(size <= max, "{on_full}: {size}");
        }
        run.tick(at(1060), true);
        let counts = run.windows().iter().map(|event| {
            let body: Value = serde_json::from_str(event["body"].as_str().unwrap()).unwrap();
            body["n"].as_u64().unwrap()
        });
        assert_eq!(counts.sum::<u64>(), u64::from(number));
        assert!(run.ran.counts.get("early").is_some_and(|early| *early > 0), "{on_full} {compute}");
        assert_eq!(run.ran.counts.get("other"), None);
    }
}
