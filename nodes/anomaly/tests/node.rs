//! The node as a whole: case files, the committed schema, wrong options, snapshots, any batches and ticks.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at what must not be")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::{Value, json};
use wattle_cases::{Ran, batch};
use wattle_node::Sharing;
use wattle_node::native::Native;
use wattle_node::testing::{
    check_damaged_snapshots, check_forged_snapshots, check_refusal, check_schema, code_blocks, run_timed_cases,
};
use wattle_node_anomaly::{Anomaly, Options};

const SECOND: i64 = 1_000_000_000;

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[test]
fn cases_hold() {
    run_timed_cases::<Anomaly>(&here("tests/cases")).unwrap();
}

#[test]
fn the_readme_shows_the_options_and_findings_of_its_case() {
    let block = |language: &str| code_blocks(&here("README.md"), language).unwrap().remove(0);
    let case: Value = serde_json::from_str(&std::fs::read_to_string(here("tests/cases/readme.json")).unwrap()).unwrap();
    let example: Value = toml::from_str(&block("toml")).unwrap();
    let mut options = example["nodes"]["anomaly"]["options"].clone();
    for (name, short) in [("interval", "10s"), ("period", "40s"), ("warm_up", "80s"), ("delay", "1s"), ("quiet", "20s")]
    {
        // A case has no month.
        options[name] = json!(short);
    }
    assert_eq!(options, case["options"]);
    let finding: Value = serde_json::from_str(&block("json")).unwrap();
    assert_eq!(finding, case["expected"]["findings"][0]["body_json"]);
}

#[test]
fn schema_is_up_to_date() {
    check_schema::<Options>(&here("options.schema.json")).unwrap();
}

#[track_caller]
fn refuse(options: Value, expected: &[(&str, &str)]) {
    check_refusal::<Anomaly>(&options, expected).unwrap();
}

#[test]
fn wrong_options_are_reported_all_at_once() {
    refuse(json!({}), &[("", "missing field `key`")]);
    refuse(
        json!({
            "key": [], "interval": "soon", "period": "1ms", "periods": 0, "neighbours": 11, "min_periods": 1,
            "threshold": 0, "min_ratio": 0.5, "warm_up": "x", "new_after": "0s", "quiet": "-1s", "cooldown": "",
            "delay": "1y", "max_keys": 0, "samples": 11, "utc_offset": "Mars", "changes": {"field": "body"},
            "count_field": "nowhere", "sample_field": "nowhere",
        }),
        &[
            ("interval", "`soon` is not a duration of at least 1 s"),
            ("period", "`1ms`"),
            ("warm_up", "`x` is not a duration, such"),
            ("new_after", "of at least 1 s"),
            ("quiet", "`-1s`"),
            ("cooldown", "``"),
            ("delay", "`1y`"),
            ("periods", "from 1 to 366"),
            ("neighbours", "from 0 to 10"),
            ("min_periods", "from 2"),
            ("max_keys", "from 1"),
            ("samples", "from 0 to 10"),
            ("threshold", "from 1 to 1000"),
            ("min_ratio", "at least 1"),
            ("utc_offset", "`Mars` is not an offset"),
            ("changes", "needs a test"),
            ("key", "at least one field"),
            ("count_field", "must begin with `body`"),
            ("sample_field", "must begin with `body`"),
        ],
    );
    let key = "attributes.k";
    refuse(json!({"key": ["x"]}), &[("key[0]", "must begin with `body`")]);
    refuse(json!({"key": key, "interval": "7h"}), &[("interval", "does not divide")]);
    refuse(json!({"key": key, "interval": "1d"}), &[("interval", "does not divide")]);
    refuse(json!({"key": key, "interval": "12h"}), &[("neighbours", "more than the 2 intervals")]);
    refuse(
        json!({"key": key, "periods": 3, "min_periods": 4}),
        &[(
            "min_periods",
            "is 4, but `periods` remembers only 3, so that no spike or drop would be found; write at most 3",
        )],
    );
    refuse(json!({"key": key, "interval": "1s", "periods": 28}), &[("interval", "at most 1048576")]);
    refuse(json!({"key": key, "kinds": ["odd"]}), &[("kinds[0]", "unknown variant")]);
}

#[test]
fn one_instance_sees_all_events() {
    let node = Native::<Anomaly>::configure("n", r#"{"key": "attributes.k"}"#).unwrap();
    assert_eq!(node.requested().sharing, Sharing::Single);
    assert_eq!(node.requested().tick.unwrap().as_secs(), 10);
}

/// Periods of 40 s in intervals of 10 s.
fn short() -> Value {
    json!({
        "key": "attributes.k", "interval": "10s", "period": "40s", "periods": 4, "neighbours": 0, "warm_up": "40s",
        "delay": "1s", "new_after": "200s", "max_keys": 5, "cooldown": "10s", "min_difference": 1, "samples": 1,
        "changes": {"field": "attributes.k", "equals": "change"}, "quiet": "10s", "threshold": 1.5,
    })
}

fn configured(options: &Value) -> Native<Anomaly> {
    Native::<Anomaly>::configure("n", &options.to_string()).unwrap()
}

fn restarted(node: &Native<Anomaly>, options: &Value) -> Native<Anomaly> {
    let saved = node.save();
    let mut next = configured(options);
    next.restore(vec![saved.clone()]).unwrap();
    assert!(next.save() == saved, "a restored node saves the same state");
    next
}

fn process(node: &mut Native<Anomaly>, events: &[Value]) -> Ran {
    let ports = node.info().ports.clone();
    let outcome = node.process(batch(events).unwrap()).unwrap();
    Ran::of(&ports, outcome, events.len()).unwrap()
}

fn tick(node: &mut Native<Anomaly>, second: i64, is_last: bool) -> Ran {
    let ports = node.info().ports.clone();
    Ran::of(&ports, node.tick(second * SECOND, is_last).unwrap(), 0).unwrap()
}

fn event(key: &str, second: i64) -> Value {
    json!({"body": key, "attributes": {"k": key}, "timestamp": wattle_batch::format_rfc3339(second * SECOND)})
}

proptest! {
    #[test]
    fn restarts_change_nothing_and_events_pass(
        steps in prop::collection::vec(
            (1..9_i64, prop::collection::vec(("[a-g]|change", -15..15_i64), 0..12), any::<bool>()), 1..120),
    ) {
        let options = short();
        let (mut one, mut other) = (configured(&options), configured(&options));
        let (mut now, mut ids) = (1000, BTreeSet::new());
        for (seconds, events, restart) in steps {
            now += seconds;
            let found = tick(&mut one, now, false);
            prop_assert_eq!(&found, &tick(&mut other, now, false));
            for event in found.ports.get("findings").into_iter().flatten() {
                let id = event["attributes"]["id"].as_str().unwrap().to_owned();
                prop_assert!(id.len() == 32 && ids.insert(id), "{}", event);
                let body: Value = serde_json::from_str(event["body"].as_str().unwrap()).unwrap();
                prop_assert!(body["start"].is_string() && body["observed"].is_u64(), "{}", body);
            }
            let events: Vec<Value> = events.iter().map(|(key, offset)| event(key, now + offset)).collect();
            if !events.is_empty() {
                let ran = process(&mut one, &events);
                prop_assert_eq!(&ran, &process(&mut other, &events));
                prop_assert_eq!(ran.ports["out"].len(), events.len());
            }
            if restart {
                other = restarted(&other, &options);
            }
        }
        prop_assert_eq!(tick(&mut one, now + 100, true), tick(&mut other, now + 100, true));
    }

    #[test]
    fn any_time_is_survived(times in prop::collection::vec(any::<i64>(), 0..12), keys in prop::collection::vec(any::<String>(), 0..6)) {
        let mut node = configured(&json!({"key": ["attributes.k", "body"], "count_field": "attributes.n", "new_after": "1d"}));
        let mut times = times;
        times.sort_unstable();
        for (number, time) in times.iter().enumerate() {
            node.tick(*time, number + 1 == times.len()).unwrap();
            let events: Vec<Value> = keys.iter().enumerate().map(|(n, key)| json!({
                "body": key, "attributes": {"k": key, "n": n}, "timestamp": wattle_batch::format_rfc3339(*time)
            })).collect();
            let ran = process(&mut node, &events);
            prop_assert_eq!(ran.ports.get("out").map_or(0, Vec::len), keys.len());
            let saved = node.save();
            node.restore(vec![saved]).unwrap();
        }
    }
}

/// A node that saw `per_interval` events of a key in each interval from 1000 s to `until`.
fn fed(key: &str, per_interval: usize, until: i64) -> Native<Anomaly> {
    let mut node = configured(&short());
    for second in 1000..until {
        tick(&mut node, second, false);
        if second % 10 == 5 {
            process(&mut node, &vec![event(key, second); per_interval]);
        }
    }
    node
}

#[test]
fn counts_of_several_workers_are_added() {
    for (one_until, other_until) in [(1200, 1200), (1200, 1190), (1190, 1200)] {
        let (one, other) = (fed("a", 20, one_until), fed("a", 30, other_until));
        let mut merged = configured(&short());
        merged.restore(vec![one.save(), other.save()]).unwrap();
        for second in 1200..1230 {
            let found = tick(&mut merged, second, false);
            // One of them may have stopped before its events of the last interval.
            let is_partial = one_until != other_until && second == 1201;
            assert!(found.ports.is_empty() || is_partial, "{second} {one_until} {other_until}: {found:?}");
            if second % 10 == 5 {
                process(&mut merged, &vec![event("a", second); 50]);
            }
        }
        for second in 1230..1242 {
            let found = tick(&mut merged, second, false);
            for finding in found.ports.get("findings").into_iter().flatten() {
                let body: Value = serde_json::from_str(finding["body"].as_str().unwrap()).unwrap();
                assert_eq!((&body["finding"], &body["expected"]), (&json!("vanished"), &json!(50.0)));
            }
        }
    }
}

#[test]
fn a_state_survives_other_options() {
    let saved = fed("a", 20, 1300).save();
    for (name, value) in [("interval", "20s"), ("period", "20s"), ("interval", "5s"), ("period", "80s")] {
        let mut options = short();
        options[name] = json!(value);
        let mut node = configured(&options);
        node.restore(vec![saved.clone()]).unwrap();
        for second in 1300..1400 {
            let found = tick(&mut node, second, false);
            assert!(found.ports.is_empty(), "a known key is not new, and a new division has no history: {found:?}");
            process(&mut node, &[event("a", second), event("a", second)]);
        }
    }
}

#[test]
fn damaged_snapshots_are_refused_and_forged_ones_harmless() {
    let saved = fed("a", 3, 1100).save();
    check_damaged_snapshots::<Anomaly>(&short(), &saved).unwrap();
    let seal = |content: &[u8]| wattle_snapshot::hash(0, content).to_le_bytes();
    check_forged_snapshots::<Anomaly>(&short(), &saved, seal, |mut node| {
        process(&mut node, &[event("a", 1101)]);
        tick(&mut node, 1140, true);
    })
    .unwrap();
}

#[test]
fn memory_is_bounded_whatever_arrives() {
    let mut node = configured(&short());
    let mut evicted = 0;
    for second in 1000..1200 {
        tick(&mut node, second, false);
        let events: Vec<Value> =
            (0..20).map(|number| event(&format!("{second}-{number}-{}", "k".repeat(400)), second)).collect();
        evicted += process(&mut node, &events).counts.get("evicted-keys").copied().unwrap_or(0);
        let size = node.save().bytes.len();
        assert!(size < 5 * 700 + 200, "{size}");
    }
    assert_eq!(evicted, 200 * 20 - 5);
}
