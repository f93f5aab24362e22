//! The node as a whole: case files, the committed schema, wrong options, a naive model, snapshots, any bytes.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at what must not be")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::{Value, json};
use wattle_cases::{Ran, batch};
use wattle_node::Sharing;
use wattle_node::native::Native;
use wattle_node::testing::{
    check_damaged_snapshots, check_forged_snapshots, check_readme, check_refusal, check_schema, code_blocks,
    run_timed_cases,
};
use wattle_node_pattern::{Options, Pattern};

const SECOND: i64 = 1_000_000_000;

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[test]
fn cases_hold() {
    run_timed_cases::<Pattern>(&here("tests/cases")).unwrap();
}

#[test]
fn the_readme_shows_the_options_and_events_of_its_case() {
    let case = check_readme::<Pattern, _>(&here(""), |text| toml::from_str(text)).unwrap();
    let shown = &code_blocks(&here("README.md"), "json").unwrap()[0];
    let reports: Vec<Value> = shown.trim().split("\n\n").map(|text| serde_json::from_str(text).unwrap()).collect();
    let expected = case["expected"]["reports"].as_array().unwrap().iter().map(|event| event["body_json"].clone());
    assert_eq!(reports, expected.collect::<Vec<_>>());
}

#[test]
fn schema_is_up_to_date() {
    check_schema::<Options>(&here("options.schema.json")).unwrap();
}

#[track_caller]
fn refuse(options: Value, expected: &[(&str, &str)]) {
    check_refusal::<Pattern>(&options, expected).unwrap();
}

#[test]
fn wrong_options_are_reported_all_at_once() {
    refuse(
        json!({
            "field": "nowhere",
            "id_field": "timestamp",
            "group": "no.where",
            "depth": 2,
            "similarity": 1.5,
            "max_children": 1,
            "max_patterns": 0,
            "max_groups": 0,
            "max_bytes": 1,
            "delimiters": "=<",
            "custom_masks": [
                {"name": "A1", "regex": "(a"},
                {"name": "b", "regex": "a*"},
            ],
            "templates": [{"template": "blk_<*> x"}, {"template": " "}, {"template": "a 1"}, {"template": "a  2"}],
            "interval": "10ms",
        }),
        &[
            ("depth", "from 3 to 16"),
            ("max_children", "from 2"),
            ("max_patterns", "from 1"),
            ("max_groups", "from 1"),
            ("similarity", "from 0 to 1"),
            ("max_bytes", "from 16"),
            ("delimiters", "except `<`"),
            ("custom_masks[0].name", "lower-case"),
            ("custom_masks[0].regex", "unclosed group"),
            ("custom_masks[1].regex", "empty text"),
            ("templates[0].template", "`blk_<*>` has more"),
            ("templates[1].template", "at least one word"),
            ("templates[3].template", "`a <num>` is in the list twice"),
            ("interval", "at least 1 s"),
            ("field", "must begin with `body`"),
            ("group", "must begin with `body`"),
            ("id_field", "cannot hold the value"),
        ],
    );
    for root in ["attributes", "resource", "severity", "severity.text", "trace_id", "scope", "body"] {
        refuse(json!({"id_field": root}), &[("id_field", "cannot hold the value")]);
        refuse(json!({"template_field": root}), &[("template_field", "cannot hold the value")]);
    }
    refuse(json!({"learn": false}), &[("learn", "add `templates`")]);
    refuse(json!({"masks": ["numbers"]}), &[("masks[0]", "unknown variant")]);
}

#[test]
fn groups_are_keys_and_without_them_one_instance_sees_all() {
    let sharing = |options: Value| Native::<Pattern>::configure("n", &options.to_string()).unwrap().requested().clone();
    assert_eq!(sharing(json!({})).sharing, Sharing::Single);
    let by_group = sharing(json!({"group": "attributes.severity", "interval": "0s"}));
    assert_eq!(by_group.sharing, Sharing::Key(vec!["attributes.severity".into()]));
    assert_eq!(by_group.tick.map(|tick| tick.as_secs()), Some(60));
}

/// Drain, as simple as possible.
struct Model {
    levels: usize,
    similarity: f64,
    max_children: usize,
    max_patterns: usize,
    clusters: Vec<Cluster>,
    clock: u64,
}

struct Cluster {
    path: Vec<String>,
    words: Vec<String>,
    used: u64,
}

const WILD: &str = "<*>";

impl Model {
    fn children(&self, prefix: &[String]) -> BTreeSet<String> {
        let below = self.clusters.iter().filter(|c| c.path.len() > prefix.len() && c.path.starts_with(prefix));
        below.map(|c| c.path[prefix.len()].clone()).collect()
    }

    fn path(&self, words: &[String], is_new: bool) -> Option<Vec<String>> {
        let mut path = vec![words.len().to_string()];
        for word in words.iter().take(self.levels) {
            let children = self.children(&path);
            let is_variable = word.contains('<') || word.contains(|c: char| c.is_ascii_digit());
            let key = if !is_variable && children.contains(word) {
                word.clone()
            } else if children.contains(WILD) && !is_new {
                WILD.to_owned()
            } else if !is_new {
                return None;
            } else if is_variable {
                WILD.to_owned()
            } else {
                let reserved = usize::from(!children.contains(WILD));
                if children.len() + reserved < self.max_children { word.clone() } else { WILD.to_owned() }
            };
            path.push(key);
        }
        Some(path)
    }

    /// The template of a text.
    fn add(&mut self, text: &str) -> String {
        self.clock += 1;
        let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        let path = self.path(&words, false);
        let same = |c: &Cluster| c.words.iter().zip(&words).filter(|(t, w)| t == w && *t != WILD).count();
        let wild = |c: &Cluster| c.words.iter().filter(|t| *t == WILD).count();
        let mut best: Option<usize> = None;
        for (i, c) in self.clusters.iter().enumerate().filter(|(_, c)| Some(&c.path) == path.as_ref()) {
            if best.is_none_or(|b| (same(c), wild(c)) > (same(&self.clusters[b]), wild(&self.clusters[b]))) {
                best = Some(i);
            }
        }
        let is_similar = |c: &Cluster| same(c) as f64 / words.len() as f64 >= self.similarity;
        if let Some(i) = best.filter(|i| is_similar(&self.clusters[*i])) {
            for (template, word) in self.clusters[i].words.iter_mut().zip(&words) {
                if template != word {
                    *template = WILD.into();
                }
            }
            let template = self.clusters[i].words.clone();
            self.clusters[i].used = self.clock;
            if let Some(other) = (0..self.clusters.len()).find(|o| *o != i && self.clusters[*o].words == template) {
                self.clusters[other].used = self.clock;
                self.clusters.remove(i);
            }
            return template.join(" ");
        }
        if let Some(known) = self.clusters.iter_mut().find(|c| c.words == words) {
            known.used = self.clock;
            return words.join(" ");
        }
        if self.clusters.len() >= self.max_patterns {
            let oldest = (0..self.clusters.len()).min_by_key(|i| self.clusters[*i].used).unwrap();
            self.clusters.remove(oldest);
        }
        let path = self.path(&words, true).unwrap();
        self.clusters.push(Cluster { path, words: words.clone(), used: self.clock });
        words.join(" ")
    }
}

fn restarted(node: &Native<Pattern>, options: &Value) -> Native<Pattern> {
    let saved = node.save();
    let mut next = Native::<Pattern>::configure("n", &options.to_string()).unwrap();
    next.restore(vec![saved.clone()]).unwrap();
    assert_eq!(next.save(), saved, "a restored node saves the same state");
    next
}

fn process(node: &mut Native<Pattern>, events: &[Value]) -> Ran {
    let ports = node.info().ports.clone();
    let outcome = node.process(batch(events).unwrap()).unwrap();
    Ran::of(&ports, outcome, events.len()).unwrap()
}

fn tick(node: &mut Native<Pattern>, seconds: i64, is_last: bool) -> Vec<Value> {
    let ports = node.info().ports.clone();
    let ran = Ran::of(&ports, node.tick(seconds * SECOND, is_last).unwrap(), 0).unwrap();
    ran.ports.get("reports").cloned().unwrap_or_default()
}

proptest! {
    #[test]
    fn templates_are_those_of_a_simple_drain(
        texts in prop::collection::vec(prop::collection::vec("[a-d]|x1", 1..5), 1..60),
        depth in 3..7_usize,
        similarity in prop::sample::select(vec![0.0, 0.3, 0.5, 0.75, 1.0]),
        max_children in 2..5_usize,
        max_patterns in 1..8_usize,
        restarts in prop::collection::vec(any::<bool>(), 12),
    ) {
        let options = json!({
            "depth": depth, "similarity": similarity, "max_children": max_children, "max_patterns": max_patterns,
            "masks": [], "template_field": "attributes.t",
        });
        let mut model = Model {
            levels: depth - 3, similarity, max_children, max_patterns, clusters: Vec::new(), clock: 0,
        };
        let mut node = Native::<Pattern>::configure("n", &options.to_string()).unwrap();
        node.tick(0, false).unwrap();
        for (texts, restart) in texts.chunks(5).zip(restarts) {
            let texts: Vec<String> = texts.iter().map(|words| words.join(" ")).collect();
            let events: Vec<Value> = texts.iter().map(|text| json!({"body": text})).collect();
            let ran = process(&mut node, &events);
            for (event, text) in ran.ports["out"].iter().zip(&texts) {
                prop_assert_eq!(event["attributes"]["t"].as_str().unwrap(), model.add(text), "{}", text);
            }
            if restart {
                node = restarted(&node, &options);
            }
        }
    }

    #[test]
    fn restarts_change_nothing_and_counts_add_up(
        rows in prop::collection::vec(("[ab] [a-e]( [0-9]{1,3})?|", "[xy]?", 0..100_i64), 1..80),
        restarts in prop::collection::vec(any::<bool>(), 16),
        warm_up in 0..4_u64,
        grouped: bool,
    ) {
        let mut options = json!({"interval": "10s", "warm_up": warm_up, "max_patterns": 6, "max_groups": 2,
            "templates": [{"template": "a b <*>", "name": "seed"}]});
        if grouped {
            options["group"] = json!("attributes.g");
        }
        let new = || Native::<Pattern>::configure("n", &options.to_string()).unwrap();
        let (mut one, mut other) = (new(), new());
        let (mut reported, mut lost) = (0, 0);
        for (number, (rows, restart)) in rows.chunks(5).zip(&restarts).enumerate() {
            let now = i64::try_from(number).unwrap() * 4;
            let is_last = false;
            let (reports, same) = (tick(&mut one, now, is_last), tick(&mut other, now, is_last));
            prop_assert_eq!(&reports, &same);
            reported += events_in(&reports);
            let events: Vec<Value> = rows.iter().map(|(body, group, second)| json!({
                "body": body, "attributes": {"g": group},
                "timestamp": format!("2026-01-01T00:{:02}:{:02}Z", second / 60, second % 60),
            })).collect();
            let (ran, same) = (process(&mut one, &events), process(&mut other, &events));
            prop_assert_eq!(&ran, &same);
            lost += ran.counts.get("evicted-events").copied().unwrap_or(0);
            if *restart {
                other = restarted(&other, &options);
            }
        }
        reported += events_in(&tick(&mut one, 10_000, true));
        let total = rows.len() as u64;
        if grouped {
            // Groups that left for want of room took their counts with them.
            prop_assert!(reported <= total);
        } else {
            prop_assert_eq!(reported, total, "lost {}", lost);
        }
    }

    #[test]
    fn any_texts_pass(bodies in prop::collection::vec(any::<String>(), 0..20), delimiters in "[=,;:|]{0,3}") {
        let options = json!({"delimiters": delimiters, "max_bytes": 32, "template_field": "attributes.t",
            "custom_masks": [{"name": "x", "regex": "[a-f]+é?"}]});
        let mut node = Native::<Pattern>::configure("n", &options.to_string()).unwrap();
        let events: Vec<Value> = bodies.iter().map(|body| json!({"body": body})).collect();
        let ran = process(&mut node, &events);
        prop_assert_eq!(ran.ports.get("out").map_or(0, Vec::len), events.len());
        let saved = node.save();
        let mut next = Native::<Pattern>::configure("n", &options.to_string()).unwrap();
        next.restore(vec![saved]).unwrap();
        tick(&mut next, 1, true);
    }
}

#[test]
fn an_interval_continues_in_the_next_run() {
    let options = json!({"interval": "1m"});
    let mut node = learned(&options, &["hello"]);
    let mut all = Vec::new();
    for second in 1..=3 {
        all.extend(tick(&mut node, second, true));
        node = restarted(&node, &options);
        tick(&mut node, second, false);
        process(&mut node, &[json!({"body": "hello"})]);
    }
    all.extend(tick(&mut node, 60, false));
    let of_pattern = |event: &&Value| event["attributes"]["report"] == "pattern";
    let report = |event: &Value| {
        let body: Value = serde_json::from_str(event["body"].as_str().unwrap()).unwrap();
        (event["timestamp"].clone(), body["count"].as_u64().unwrap(), event["attributes"]["partial"] == "true")
    };
    let reports: Vec<_> = all.iter().filter(of_pattern).map(report).collect();
    let minute = json!("1970-01-01T00:01:00Z");
    let expected =
        [(1, true), (2, true), (3, true), (4, false)].map(|(count, partial)| (minute.clone(), count, partial));
    assert_eq!(reports, expected);
    let ids: BTreeSet<_> = all.iter().filter(of_pattern).map(|e| e["attributes"]["id"].to_string()).collect();
    assert_eq!(ids.len(), 1);
}

/// The number of events of the reports about coverage, which must be that of the patterns and of what they do not cover.
fn events_in(reports: &[Value]) -> u64 {
    let bodies: Vec<Value> =
        reports.iter().map(|event| serde_json::from_str(event["body"].as_str().unwrap()).unwrap()).collect();
    let sum = |kind: &str, key: &str| -> u64 {
        bodies.iter().filter(|body| body["report"] == kind).map(|body| body[key].as_u64().unwrap()).sum()
    };
    assert_eq!(sum("coverage", "events"), sum("pattern", "count") + sum("coverage", "uncovered"), "{bodies:#?}");
    let ids: BTreeSet<&str> = reports.iter().map(|event| event["attributes"]["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), reports.len());
    sum("coverage", "events")
}

fn learned(options: &Value, bodies: &[&str]) -> Native<Pattern> {
    let mut node = Native::<Pattern>::configure("n", &options.to_string()).unwrap();
    node.tick(0, false).unwrap();
    let events: Vec<Value> = bodies.iter().map(|body| json!({"body": body})).collect();
    process(&mut node, &events);
    node
}

fn counts(node: &mut Native<Pattern>) -> BTreeMap<String, u64> {
    let reports = tick(node, 60, false);
    let bodies = reports.iter().map(|event| serde_json::from_str::<Value>(event["body"].as_str().unwrap()).unwrap());
    let patterns = bodies.filter(|body| body["report"] == "pattern");
    patterns.map(|body| (body["template"].as_str().unwrap().to_owned(), body["count"].as_u64().unwrap())).collect()
}

#[test]
fn states_of_several_workers_are_merged() {
    let options = json!({});
    let one = learned(&options, &["job 1 started on alpha", "disk is full", "job 2 started on beta"]);
    let other = learned(&options, &["disk is full", "job 3 started on gamma", "job 4 started on delta", "hello"]);
    let mut merged = Native::<Pattern>::configure("n", &options.to_string()).unwrap();
    merged.restore(vec![one.save(), other.save()]).unwrap();
    let expected = [("disk is full", 2), ("hello", 1), ("job <num> started on <*>", 4)];
    assert_eq!(counts(&mut merged), expected.map(|(template, count)| (template.to_owned(), count)).into());
}

#[test]
fn a_state_survives_other_options() {
    let wide = learned(&json!({}), &["a b c d", "a b c e", "x y"]);
    for options in [json!({"depth": 3}), json!({"max_children": 2}), json!({"max_patterns": 1}), json!({"masks": []})] {
        let mut node = Native::<Pattern>::configure("n", &options.to_string()).unwrap();
        node.restore(vec![wide.save()]).unwrap();
        let known = counts(&mut node);
        assert!(known.contains_key("x y"), "{options}: {known:?}");
        assert_eq!(known.contains_key("a b c <*>"), options["max_patterns"] != 1, "{options}: {known:?}");
    }
}

#[test]
fn damaged_snapshots_are_refused_and_forged_ones_harmless() {
    let options = json!({"templates": [{"template": "seed <*>"}]});
    let saved = learned(&options, &["a b 1", "a c 2", "seed x", "", "other"]).save();
    check_damaged_snapshots::<Pattern>(&options, &saved).unwrap();
    let seal = |content: &[u8]| wattle_snapshot::hash(0, content).to_le_bytes();
    check_forged_snapshots::<Pattern>(&options, &saved, seal, |mut node| {
        process(&mut node, &[json!({"body": "a b 1"})]);
        tick(&mut node, 100, true);
    })
    .unwrap();
}

#[test]
fn a_leaf_keeps_the_patterns_used_last() {
    let options = json!({"masks": [], "similarity": 1.0});
    let mut node = Native::<Pattern>::configure("n", &options.to_string()).unwrap();
    node.tick(0, false).unwrap();
    let text = |number: u32| json!({"body": format!("same start {number}")});
    for number in 0..256 {
        process(&mut node, &[text(number)]);
    }
    // The first one is used again, so the second one makes room; on another leaf there is room.
    let ran = process(&mut node, &[text(0), text(256), json!({"body": "other start 1"})]);
    assert_eq!((ran.counts["evicted-patterns"], ran.counts["new-patterns"]), (1, 2));
    let mut node = restarted(&node, &options);
    assert_eq!(process(&mut node, &[text(0), text(2), text(256)]).counts.get("new-patterns"), None);
    let ran = process(&mut node, &[text(1)]);
    assert_eq!((ran.counts["evicted-patterns"], ran.counts["new-patterns"]), (1, 1));
    assert_eq!(process(&mut node, &[text(3)]).counts["new-patterns"], 1);
}

#[test]
fn memory_is_bounded_whatever_arrives() {
    let options = json!({"max_patterns": 50, "max_groups": 4, "group": "attributes.g", "masks": [], "max_bytes": 64});
    let mut node = Native::<Pattern>::configure("n", &options.to_string()).unwrap();
    node.tick(0, false).unwrap();
    let mut largest = 0;
    for round in 0..200_u32 {
        let event = |i: u32| {
            let long = format!("{i} ").repeat(40);
            json!({"body": format!("w{} {long}", i % 7), "attributes": {"g": format!("{}{i}", "g".repeat(300))}})
        };
        process(&mut node, &(0..50).map(|i| event(round * 50 + i)).collect::<Vec<_>>());
        largest = largest.max(node.save().bytes.len());
    }
    // 50 patterns with two texts of 64 bytes and a path, and 4 names.
    assert!(largest < 50 * 300 + 4 * 400, "{largest}");
}
