//! Trials of native nodes, so that each test decides what they do.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};
use wattle_api::trial::{OutputDifference, TriedPack};
use wattle_batch::{Batch, Column, Ended, Failure, Outcome};
use wattle_plan::{
    Artifact, CircuitSettings, Grants, NodeLimits, NodePlan, NodeShape, OnFault, OnStateMismatch, Origin, OutputPlan,
    PipelinePlan, PortPlan, StateSettings, Target,
};
use wattle_runtime::{NodeStats, Process};
use wattle_topology::{NodeFactory, NodeScope};

use super::*;

/// What a node does with a row, by its body.
type Decide = fn(&[u8]) -> Fate;

/// What happens to a row.
enum Fate {
    Out,
    Drop,
    Fail,
    Hold,
    /// The row leaves, and a clone of it on the second port.
    Copy,
}

struct Native(Decide);

/// Reports the end of a row that is followed, as the runtime does for a guest.
fn end(outcome: &mut Outcome, batch: &Batch, row: u32, how: &str) {
    let marks = batch.mark(row as usize);
    if marks != 0 {
        outcome.ended.push(Ended { marks, how: how.to_owned() });
    }
}

impl Process for Native {
    fn process(&mut self, batch: Batch) -> Vec<Outcome> {
        let mut outcome = Outcome::default();
        let (mut out, mut second, mut failed) = (Vec::new(), Vec::new(), Vec::new());
        let (mut dropped, mut held) = (0, 0);
        for (row, body) in (0_u32..).zip(batch.body().iter()) {
            match (self.0)(body) {
                Fate::Out => out.push(row),
                Fate::Drop => {
                    dropped += 1;
                    end(&mut outcome, &batch, row, "unwanted");
                }
                Fate::Fail => failed.push(row),
                Fate::Hold => {
                    held += 1;
                    end(&mut outcome, &batch, row, "held");
                }
                Fate::Copy => {
                    out.push(row);
                    second.push(row);
                    outcome.copied += 1;
                }
            }
        }
        for (port, rows) in [(0, out), (1, second)] {
            if !rows.is_empty() {
                outcome.emitted.push((port, batch.select(&rows)));
            }
        }
        if !failed.is_empty() {
            let failure = Failure {
                node: "work".into(),
                version: "native@1.0.0".into(),
                code: "bad".into(),
                message: "the body is bad".into(),
            };
            outcome.failed = Some(batch.select(&failed).with_failures(vec![failure; failed.len()]));
        }
        if dropped > 0 {
            outcome.dropped.push(("unwanted".into(), dropped));
        }
        outcome.held = held;
        batch.into_ack().deliver();
        vec![outcome]
    }
}

/// A pipeline with the node `work`, whose ports `out`, `second` and `failed` lead to the outputs `all`, `second` and
/// `fails`.
fn plan() -> PipelinePlan {
    let port = |name: &str, output: usize| PortPlan { name: name.into(), targets: vec![Target::Output(output)] };
    let node = NodePlan {
        name: "work".into(),
        artifact: Arc::new(Artifact::new("native", b"none".as_slice(), Origin::Builtin)),
        options: "{}".into(),
        limits: NodeLimits::default(),
        grants: Arc::new(Grants::default()),
        circuit: CircuitSettings::default(),
        on_fault: OnFault::default(),
        on_state_mismatch: OnStateMismatch::default(),
        state: StateSettings::default(),
        shape: NodeShape {
            ports: vec!["out".into(), "second".into()],
            name: "native".into(),
            version: "1.0.0".into(),
            summary: String::new(),
            masks: false,
            is_stateful: false,
            capabilities: Vec::new(),
            state: StateSettings::default(),
        },
        ports: vec![port("out", 0), port("second", 1), port("failed", 2)],
    };
    let output =
        |name: &str| OutputPlan { name: name.into(), title: name.into(), description: String::new(), discard: false };
    PipelinePlan {
        name: "main".into(),
        pack: None,
        sources: Vec::new(),
        inputs: Vec::new(),
        entry: vec![Target::Node(0)],
        nodes: vec![node],
        outputs: ["all", "second", "fails"].map(output).into(),
        reference: None,
        parameters: serde_json::Map::new(),
        shadow: None,
        canary: None,
    }
}

fn version(decide: Decide) -> Version {
    of_nodes(move || Box::new(Native(decide)))
}

fn of_nodes(node: impl Fn() -> Box<dyn Process> + Send + Sync + 'static) -> Version {
    let make: Arc<NodeFactory> = Arc::new(move |_: &NodePlan, _: &NodeScope<'_>, _: Arc<NodeStats>| Ok(node()));
    Version { name: "main".into(), plan: plan(), make, now: 0 }
}

/// Decides by the first letter.
fn by_letter(body: &[u8]) -> Fate {
    match body.first() {
        Some(b'd') => Fate::Drop,
        Some(b'f') => Fate::Fail,
        Some(b'h') => Fate::Hold,
        Some(b'c') => Fate::Copy,
        _ => Fate::Out,
    }
}

fn pass(_: &[u8]) -> Fate {
    Fate::Out
}

fn tried(input: &[u8], settings: &TrialSettings) -> Tried {
    run(input, &version(by_letter), None, settings).unwrap()
}

/// The output with this name: events, failed events, bytes and the bodies of its samples.
fn output(pack: &TriedPack, name: &str) -> (u64, u64, u64, Vec<String>) {
    let output = pack.outputs.iter().find(|output| output.name == name).unwrap();
    let bodies = output.sample.iter().map(|event| event["body"].as_str().unwrap().to_owned());
    (output.events, output.failed_events, output.bytes, bodies.collect())
}

#[track_caller]
fn assert_closed(pack: &TriedPack) {
    let of = &pack.balance;
    let came = of.received as i64 + of.split + (of.copied + of.made) as i64;
    assert_eq!(came, (of.delivered + of.failed + of.dropped + of.held + of.returned) as i64, "{of:?}");
    assert_eq!(of.unbalanced, 0);
    let left: u64 = pack.outputs.iter().map(|output| output.events).sum();
    assert_eq!(left, of.delivered + of.failed, "outputs have every event that left");
}

#[test]
fn every_event_is_at_its_output_or_has_a_reason() {
    for traces in [0, 3, 100] {
        let settings = TrialSettings { traces, ..TrialSettings::default() };
        let tried = tried(b"one\ndrop\nfail\nhold\ncopy\ntwo\nfine\n", &settings);
        let pack = &tried.result;
        assert_eq!((pack.events, pack.bytes), (7, 26));
        assert_eq!(output(pack, "all"), (3, 0, 10, vec!["one".into(), "copy".into(), "two".into()]));
        assert_eq!(output(pack, "second"), (1, 0, 4, vec!["copy".into()]));
        assert_eq!(output(pack, "fails"), (2, 2, 8, vec!["fail".into(), "fine".into()]));
        assert_eq!((pack.dropped_events, pack.held_events), (1, 1));
        let node = &pack.nodes[0];
        assert_eq!((node.received_events, &node.dropped["unwanted"], &node.failed["bad"]), (7, &1, &2));
        assert_eq!(node.type_name, "native@1.0.0");
        let failures = &pack.failures[0];
        assert_eq!((failures.code.as_str(), failures.events, failures.samples.len()), ("bad", 2, 2));
        assert_eq!(failures.samples[0].message, "the body is bad");
        assert_eq!(failures.samples[0].event.as_ref().unwrap()["body"], "fail");
        assert!((pack.outputs[0].share - 10.0 / 26.0).abs() < 1e-9);
        assert_eq!((pack.ended_early.as_ref(), pack.traces.len()), (None, traces.min(7)));
        assert_closed(pack);
    }
}

#[test]
fn a_trace_has_every_point_in_order_and_says_where_an_event_ended() {
    let tried = tried(b"copy\ndrop\nhold\nfail\n", &TrialSettings::default());
    let points = |number: usize| {
        let steps = &tried.result.traces[number].steps;
        steps.iter().map(|step| (step.point.as_str(), step.ended.as_deref())).collect::<Vec<_>>()
    };
    assert_eq!(
        points(0),
        [
            ("main/input", None),
            ("main/work.out", None),
            ("main.all", None),
            ("main/work.second", None),
            ("main.second", None)
        ]
    );
    assert_eq!(points(1), [("main/input", None), ("main/work", Some("unwanted"))]);
    assert_eq!(points(2), [("main/input", None), ("main/work", Some("held"))]);
    assert_eq!(points(3), [("main/input", None), ("main/work.failed", None), ("main.fails", None)]);
    let failed = &tried.result.traces[3].steps[1];
    assert_eq!(failed.failure.as_ref().unwrap().message, "the body is bad");
    assert_eq!(failed.event.as_ref().unwrap()["body"], "fail");
}

/// Name of an output; numbers of events that are the same, changed, added and missing; bodies of the first pairs.
type Compared = (String, [u64; 4], Vec<(String, String)>);

/// Differences of `result` from `against`.
fn compared(input: &str, result: Decide, against: Decide) -> (Tried, Vec<Compared>) {
    let tried = run(input.as_bytes(), &version(result), Some(&version(against)), &TrialSettings::default()).unwrap();
    let body =
        |event: &Option<Value>| event.as_ref().map_or("-".to_owned(), |e| e["body"].as_str().unwrap().to_owned());
    let found = tried.differences.iter().map(|(name, found)| {
        let OutputDifference { same, changed, added, missing, first, .. } = found;
        let first = first.iter().map(|(before, after)| (body(before), body(after))).collect();
        (name.clone(), [*same, *changed, *added, *missing], first)
    });
    let found = found.collect();
    (tried, found)
}

#[test]
fn versions_are_compared_event_by_event() {
    let (tried, found) = compared("one\ndrop\ntwo\nfail\n", by_letter, pass);
    let pair = |before: &str, after: &str| (before.to_owned(), after.to_owned());
    assert_eq!(
        found,
        [
            ("all".to_owned(), [2, 0, 0, 2], vec![pair("drop", "-"), pair("fail", "-")]),
            ("fails".to_owned(), [0, 0, 1, 0], vec![pair("-", "fail")]),
        ]
    );
    assert_closed(&tried.result);
    assert_closed(tried.against.as_ref().unwrap());
    let (_, same) = compared("one\ndrop\n", by_letter, by_letter);
    assert_eq!(same, [("all".to_owned(), [1, 0, 0, 0], vec![])]);
}

#[test]
fn events_of_large_inputs_are_compared_too_and_only_the_first_are_kept() {
    let input: String =
        (0..30_000).map(|n| if n % 100 == 0 { format!("drop {n}\n") } else { format!("line {n}\n") }).collect();
    let (tried, found) = compared(&input, by_letter, pass);
    let (name, counts, first) = &found[0];
    assert_eq!((name.as_str(), *counts, first.len()), ("all", [29_700, 0, 0, 300], 20));
    assert_eq!(tried.result.outputs[0].sample.len(), 20);
    assert_eq!(tried.result.traces.len(), 20);
    assert_closed(&tried.result);
}

#[test]
fn hostile_input_is_read_like_a_source_reads_it() {
    let settings = TrialSettings {
        input: InputSettings { max_decompressed_bytes: 4 << 20, max_event_bytes: 2 << 20, ..InputSettings::default() },
        ..TrialSettings::default()
    };
    let empty = tried(b"", &settings).result;
    assert_eq!((empty.events, empty.ended_early.as_ref()), (0, None));
    assert_eq!(empty.outputs[0].share, 0.0);

    let invalid = tried(b"x\xff\xfe\n\xc3\x28", &settings).result;
    assert_eq!(invalid.events, 2);
    assert_closed(&invalid);

    // A document that never ends, 4 MiB of it, is too long or lines; it is counted in any case.
    let brackets = tried("[".repeat(4 << 20).as_bytes(), &settings).result;
    assert_eq!(brackets.events + brackets.skipped_events, 1, "{brackets:?}");
    assert_closed(&brackets);

    let long = tried(format!("\"{}\"\n", "y".repeat(4 << 20)).as_bytes(), &settings).result;
    assert_eq!((long.events, long.skipped_events), (0, 1));

    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    bomb.write_all(&b"line of a bomb\n".repeat(1 << 20)).unwrap();
    let bomb = tried(&bomb.finish().unwrap(), &settings).result;
    assert_eq!(bomb.ended_early.as_deref(), Some("the input contains more than 4194304 decompressed bytes"));
    assert!(bomb.events > 0);
    assert_closed(&bomb);
}

#[test]
fn a_long_event_is_cut_where_it_is_shown_and_counts_whole() {
    let body = "z".repeat(900 << 10);
    let pack = tried(format!("{body}\n").as_bytes(), &TrialSettings::default()).result;
    assert_eq!((pack.outputs[0].events, pack.outputs[0].bytes), (1, 900 << 10));
    let Value::String(shown) = &pack.outputs[0].sample[0] else { panic!("not cut") };
    assert_eq!(shown.len(), 16 << 10);
    assert!(matches!(&pack.traces[0].steps[0].event, Some(Value::String(text)) if text.len() == 64 << 10));
}

#[test]
fn a_trial_ends_after_its_bytes() {
    let settings = TrialSettings { max_bytes: Some(10), traces: 100, ..TrialSettings::default() };
    let pack = tried("line\n".repeat(50).as_bytes(), &settings).result;
    assert_eq!((pack.events, pack.ended_early.as_deref()), (3, Some(MAX_BYTES_REACHED)));
    assert_closed(&pack);
}

/// A node whose third call lasts until the time limit is over.
struct Slow {
    calls: Arc<AtomicU64>,
    limit: Duration,
    since: Option<Instant>,
}

impl Process for Slow {
    fn process(&mut self, batch: Batch) -> Vec<Outcome> {
        // The trial began before.
        let since = *self.since.get_or_insert_with(Instant::now);
        if self.calls.fetch_add(1, Ordering::Relaxed) == 2 {
            while since.elapsed() < self.limit {
                std::thread::yield_now();
            }
        }
        Native(pass).process(batch)
    }
}

#[test]
fn a_trial_ends_at_its_time_limit_and_no_node_is_called_after_it() {
    let calls = Arc::new(AtomicU64::new(0));
    let limit = Duration::from_millis(200);
    let node = {
        let calls = calls.clone();
        move || Box::new(Slow { calls: calls.clone(), limit, since: None }) as Box<dyn Process>
    };
    let settings = TrialSettings { time_limit: Some(limit), traces: 100, ..TrialSettings::default() };
    let pack = run(&b"a\n".repeat(50)[..], &of_nodes(node), None, &settings).unwrap().result;
    // Fewer on a machine that is too busy for two calls in that time.
    assert!(pack.events <= 3 && calls.load(Ordering::Relaxed) <= pack.events, "{pack:?}");
    assert_eq!(pack.ended_early.as_deref(), Some("the time limit of 200ms was reached"));
    assert_closed(&pack);
}

#[test]
fn rows_that_reach_a_node_after_the_time_limit_are_dropped_with_a_reason() {
    let meter = wattle_topology::Meter::new(Some(Duration::ZERO));
    let make = meter.measure(version(pass).make);
    let planned = plan();
    let scope = NodeScope { pipeline: "main", is_dry: true };
    let mut node = make(&planned.nodes[0], &scope, Arc::default()).unwrap();
    let origin = wattle_batch::Origin { source: "try".into(), resource: "{}".into(), observed: 0 };
    let rows = Column::from_rows(["a", "b"]).unwrap();
    let outcomes = node.process(Batch::new(rows, Arc::new(origin), wattle_batch::Ack::none()));
    assert_eq!(outcomes[0].dropped, [(wattle_topology::TIME_LIMIT.to_owned(), 2)]);
    assert!(outcomes.len() == 1 && outcomes[0].emitted.is_empty());
}

#[test]
fn rows_that_a_mask_failed_leave_without_their_contents_and_nothing_is_stored() {
    let mut version = version(by_letter);
    version.plan.nodes[0].shape.masks = true;
    let pack = run(&b"fail secret\nok\n"[..], &version, None, &TrialSettings::default()).unwrap().result;
    assert_eq!(pack.failures[0].events, 1);
    assert!(!json!([pack.outputs, pack.failures]).to_string().contains("secret"));
    assert!(!std::path::Path::new("quarantine").exists(), "the folder of the test has no quarantine");
}
