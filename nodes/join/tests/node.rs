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
use wattle_node_join::{Join, Options};

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[test]
fn cases_hold() {
    run_timed_cases::<Join>(&here("tests/cases")).unwrap();
}

#[test]
fn schema_is_up_to_date() {
    check_schema::<Options>(&here("options.schema.json")).unwrap();
}

#[test]
fn the_readme_shows_the_options_of_its_case_and_valid_examples() {
    check_readme::<Join, _>(&here(""), |text| toml::from_str(text)).unwrap();
}

#[test]
fn wrong_options_are_reported_all_at_once() {
    let refuse = |options: Value, expected: &[(&str, &str)]| check_refusal::<Join>(&options, expected).unwrap();
    refuse(json!({}), &[("", "needs `preset`")]);
    refuse(json!({"preset": "java", "start": "x"}), &[("", "exclude each other")]);
    refuse(json!({"preset": ["cri", "java"]}), &[("preset", "write `preset = \"cri\"`, and a second node `join`")]);
    refuse(json!({"preset": ["java", "auditd"]}), &[("preset", "In a list can be `java`, `javascript`, `python`")]);
    refuse(json!({"preset": ["java", "go", "java"]}), &[("preset", "listed twice")]);
    refuse(json!({"preset": []}), &[("preset", "at least one preset is needed: `java`, `javascript`")]);
    let names = "expected one of `java`, `javascript`, `python`, `go`, `dotnet`, `ruby`, `cri`, `auditd`";
    refuse(json!({"preset": "jva"}), &[("preset", names)]);
    refuse(json!({"preset": ["java", "jva"]}), &[("preset[1]", names)]);
    refuse(
        json!({"preset": "cri", "as": "array", "separator": ""}),
        &[("separator", "no effect"), ("as", "remove `as`")],
    );
    refuse(
        json!({"rules": [{"from": "a", "pattern": "(", "to": "start"}, {"from": [], "pattern": "", "to": "b"}]}),
        &[
            ("rules[0].pattern", ""),
            ("rules[0].to", "cannot return to `start`"),
            ("rules[1].from", "at least one state"),
            ("rules", "would ever begin"),
        ],
    );
    refuse(json!({"start": {"field": "body", "regexp": "x"}}), &[("start.regexp", "unknown field `regexp`")]);
    refuse(
        json!({
            "start": "(", "end": {"field": "body"}, "field": "resource.x", "id": "[", "key": ["body", "nowhere"],
            "timeout": "0s", "max_events": 1, "max_bytes": "much", "max_memory": "0", "count_field": "body.n",
            "resource_field": "nowhere", "separator": "x", "as": "array",
        }),
        &[
            ("start", ""),
            ("end", "needs a test"),
            ("id", ""),
            ("key[1]", "must begin with `body`"),
            ("timeout", "`0s` is not a duration"),
            ("max_bytes", "`much` is not a size"),
            ("max_memory", "`0` is not a size"),
            ("max_events", "at least 2"),
            ("field", "below `body` or `attributes`"),
            ("resource_field", "not a field below `attributes`"),
            ("count_field", "not a field below `attributes`"),
            ("separator", "no effect"),
        ],
    );
}

#[test]
fn the_state_is_shared_by_key_and_the_timer_depends_on_the_timeout() {
    let requested = |options: Value| Native::<Join>::configure("n", &options.to_string()).unwrap().requested().clone();
    let of = requested(json!({"start": "x"}));
    assert_eq!(of.sharing, Sharing::Key(vec!["resource".into()]));
    assert_eq!(of.tick, Some(std::time::Duration::from_millis(100)));
    assert_eq!(requested(json!({"start": "x", "timeout": "1h"})).tick, Some(std::time::Duration::from_secs(1)));
}

/// A node under test, and everything that it has given so far.
struct Run {
    node: Native<Join>,
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
        self.all.add(Ran::of(&["out".into()], outcome, events.len()).unwrap());
    }

    fn tick(&mut self, now: i64, is_last: bool) {
        let outcome = self.node.tick(now, is_last).unwrap();
        self.all.add(Ran::of(&["out".into()], outcome, 0).unwrap());
    }

    fn restart(&mut self) {
        let saved = self.node.save();
        self.node = Native::configure("n", &self.options).unwrap();
        self.node.restore(vec![saved]).unwrap();
    }

    fn out(&self) -> Vec<Value> {
        self.all.ports.get("out").cloned().unwrap_or_default()
    }
}

/// One event: its key, whether it starts a joined event, continues one, or ends it.
fn line(key: char, kind: char, number: usize) -> Value {
    json!({"body": format!("{kind}{number}"), "attributes": {"k": key.to_string()}})
}

/// The joined events of a sequence of lines, each on its own.
fn model(lines: &[(char, char)], max_events: usize) -> Vec<Vec<usize>> {
    let (mut done, mut open): (Vec<Vec<usize>>, BTreeMap<char, Vec<usize>>) = Default::default();
    for (number, &(key, kind)) in lines.iter().enumerate() {
        match kind {
            's' => done.extend(open.insert(key, vec![number])),
            'e' | 'c' if open.contains_key(&key) => {
                let group = open.get_mut(&key).unwrap();
                if group.len() >= max_events {
                    done.push(std::mem::replace(group, vec![number]));
                } else {
                    group.push(number);
                }
                if kind == 'e' {
                    done.extend(open.remove(&key));
                }
            }
            _ => {
                done.extend(open.remove(&key));
                done.push(vec![number]);
            }
        }
    }
    done.extend(open.into_values());
    done.sort();
    done
}

proptest! {
    #[test]
    fn events_are_joined_as_by_one_pass_however_they_are_batched(
        lines in prop::collection::vec(("[ab]", "[scceo]"), 0..60),
        cuts in prop::collection::vec((1..12_usize, 0..4_u8), 1..12),
        max_events in 2..6_usize,
    ) {
        let lines: Vec<(char, char)> =
            lines.iter().map(|(k, c)| (k.chars().next().unwrap(), c.chars().next().unwrap())).collect();
        let options = json!({
            "start": "^s", "continue": "^c", "end": "^e", "key": "attributes.k", "max_events": max_events,
            "separator": " ", "resource_field": "",
        });
        let mut run = Run::new(&options);
        let (mut at, mut cut) = (0, cuts.iter().cycle());
        while at < lines.len() {
            let &(size, restarts) = cut.next().unwrap();
            let end = (at + size).min(lines.len());
            let events: Vec<Value> = (at..end).map(|n| line(lines[n].0, lines[n].1, n)).collect();
            run.events(&events);
            if restarts == 0 {
                run.restart();
            }
            at = end;
        }
        run.tick(1, true);
        let mut joined: Vec<Vec<usize>> = run.out().iter().map(|event| {
            event["body"].as_str().unwrap().split(' ').map(|part| part.trim_start_matches(char::is_alphabetic).parse().unwrap()).collect()
        }).collect();
        joined.sort();
        prop_assert_eq!(joined, model(&lines, max_events));
    }

    #[test]
    fn equal_runs_have_equal_results_and_snapshots(
        lines in prop::collection::vec(("[a-f]", "[sceo]"), 0..40),
    ) {
        let of = || {
            let mut run = Run::new(&json!({"start": "^s", "end": "^e", "key": "attributes.k", "timeout": "1s"}));
            for (n, (key, kind)) in lines.iter().enumerate() {
                run.events(&[line(key.chars().next().unwrap(), kind.chars().next().unwrap(), n)]);
            }
            let saved = run.node.save();
            run.tick(1, true);
            (saved, run.out())
        };
        prop_assert_eq!(of(), of());
    }
}

/// A node with open groups, and its snapshot.
fn saved() -> (Value, Snapshot) {
    let options = json!({"start": "^s", "key": "attributes.k"});
    let mut run = Run::new(&options);
    run.events(&[line('a', 's', 0), line('b', 's', 1), line('a', 'c', 2)]);
    let snapshot = run.node.save();
    (options, snapshot)
}

#[test]
fn every_damaged_snapshot_is_refused() {
    let (options, snapshot) = saved();
    check_damaged_snapshots::<Join>(&options, &snapshot).unwrap();
}

#[test]
fn states_of_several_instances_are_merged_without_loss() {
    let (options, snapshot) = saved();
    let mut run = Run::new(&options);
    run.node.restore(vec![snapshot.clone(), snapshot]).unwrap();
    run.restart();
    run.events(&[line('a', 'c', 3)]);
    run.tick(1, true);
    let mut bodies = run.all.bodies("out");
    bodies.sort();
    assert_eq!(bodies, ["s0\nc2", "s0\nc2\nc3", "s1", "s1"]);
}

#[test]
fn rows_that_come_again_from_before_the_open_event_do_not_join_it() {
    let lines = |lines: &str| -> Vec<Value> { lines.split(' ').map(|line| json!({"body": line})).collect() };
    let bodies_after = |again: &str, cuts: &[usize]| {
        let mut run = Run::new(&json!({"start": "^s"}));
        run.events(&lines("s1 a b"));
        run.events(&lines("c s2 d"));
        run.restart();
        let again = lines(again);
        let mut rest = again.as_slice();
        for cut in cuts {
            let (now, later) = rest.split_at(*cut);
            run.events(now);
            rest = later;
        }
        run.events(rest);
        run.tick(1, true);
        let repeated = run.all.counts.get("repeated").copied().unwrap_or(0);
        let mut bodies = run.all.bodies("out");
        bodies.sort();
        (bodies.join(", ").replace('\n', "+"), repeated)
    };
    // The snapshot has all up to `d`; the source goes back to some line before.
    assert_eq!(bodies_after("e s3", &[]), ("s1+a+b+c, s2+d+e, s3".to_owned(), 0));
    assert_eq!(bodies_after("c s2 d e s3", &[]), ("c, s1+a+b+c, s2+d, s2+d+e, s3".to_owned(), 1));
    assert_eq!(bodies_after("c s2 d e s3", &[3]), ("c, s1+a+b+c, s2+d, s2+d+e, s3".to_owned(), 1));
    assert_eq!(bodies_after("s2 d e s3", &[]), ("s1+a+b+c, s2+d, s2+d+e, s3".to_owned(), 0));
    let (bodies, repeated) = bodies_after("s1 a b c s2 d e s3", &[]);
    assert_eq!((bodies.matches("s2+d+e").count(), repeated), (1, 1), "{bodies}");
    assert!(!bodies.contains("d+a"), "{bodies}");
}

#[test]
fn the_node_restores_snapshots_of_the_version_before() {
    let (options, mut snapshot) = saved();
    // The last rows are the end of the content, before its checksum.
    let rows = 3;
    let content = snapshot.bytes.len() - 8 - 8 * rows - 1;
    snapshot.bytes.truncate(content);
    let checksum = wattle_snapshot::hash(0, &snapshot.bytes).to_le_bytes();
    snapshot.bytes.extend(checksum);
    snapshot.version = 1;
    let mut run = Run::new(&options);
    run.node.restore(vec![snapshot]).unwrap();
    run.tick(1, true);
    let mut bodies = run.all.bodies("out");
    bodies.sort();
    assert_eq!(bodies, ["s0\nc2", "s1"]);
}

#[test]
fn a_group_of_other_options_leaves_as_it_is() {
    let (_, snapshot) = saved();
    let mut run = Run::new(&json!({"preset": "java"}));
    run.node.restore(vec![snapshot]).unwrap();
    run.tick(0, false);
    assert_eq!(run.all.bodies("out"), ["s0\nc2", "s1"]);
}

#[test]
fn made_events_have_ids_that_depend_only_on_their_content() {
    let ids = |restarts: bool| {
        let mut run = Run::new(&json!({"start": "^s", "key": "attributes.k"}));
        let time = "2024-05-01T00:00:00Z";
        for (number, key) in ['a', 'b', 'a'].into_iter().enumerate() {
            let mut event = line(key, 's', number / 3);
            event["timestamp"] = json!(time);
            run.events(&[event]);
            if restarts {
                run.restart();
            }
        }
        run.tick(1, true);
        run.out().iter().map(|event| event["attributes"]["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let all = ids(false);
    assert_eq!(all, ids(true));
    assert!(all.iter().all(|id| id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit())), "{all:?}");
    assert_ne!(all[0], all[1]);
}

#[test]
fn the_oldest_groups_leave_when_the_memory_is_full() {
    let mut run = Run::new(&json!({"id": "^\\w", "max_memory": "4KiB", "max_bytes": "1MiB", "resource_field": ""}));
    let big = |letter: char| json!({"body": letter.to_string() + &"x".repeat(2000)});
    run.events(&[big('a'), big('b')]);
    assert_eq!(run.out().len(), 1);
    run.events(&[json!({"body": "c".to_owned() + &"x".repeat(100_000)})]);
    assert_eq!(run.out().len(), 3);
    assert_eq!(run.all.counts["evicted"], 3);
    assert!(run.node.save().bytes.len() < 100);
}

#[test]
fn a_call_makes_a_part_of_the_events_and_the_next_ones_the_others() {
    let line = |key: usize, tag: char, text: &str| {
        let body = format!("2024-05-01T00:00:0{key}Z stdout {tag} {text}");
        json!({"body": body, "attributes": {"k": key}})
    };
    let mut run = Run::new(&json!({"preset": "cri", "key": "attributes.k", "resource_field": ""}));
    let long = "x".repeat(300 << 10);
    run.events(&[line(0, 'P', &long), line(1, 'P', &long), line(2, 'P', &long)]);
    run.events(&[line(0, 'F', "y"), line(1, 'F', "y"), line(2, 'F', "y")]);
    assert_eq!(run.out().len(), 1);
    run.restart();
    run.tick(1, false);
    assert_eq!(run.out().len(), 2);
    run.tick(2, true);
    assert_eq!(run.out().len(), 3);
    assert!(run.all.bodies("out").iter().all(|body| body.contains(" stdout F x") && body.ends_with("xy")));
}

#[test]
fn a_snapshot_with_any_content_is_refused_or_harmless() {
    let (options, snapshot) = saved();
    let seal = |content: &[u8]| wattle_snapshot::hash(0, content).to_le_bytes();
    check_forged_snapshots::<Join>(&options, &snapshot, seal, |node| {
        let mut run = Run { node, ..Run::new(&options) };
        run.events(&[line('a', 'c', 3), line('b', 's', 4)]);
        run.restart();
        run.tick(i64::MAX, true);
    })
    .unwrap();
}
