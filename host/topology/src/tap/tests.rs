//! Taps and traces of real pipelines.

use std::collections::BTreeSet;

use super::*;
use crate::testing::{NodeSketch, Rig, pipeline, plan};
use wattle_plan::{AdminSettings, PipelinePlan, Plan};

fn options(points: &[&str]) -> TapOptions {
    TapOptions {
        points: points.iter().map(|point| (*point).to_owned()).collect(),
        filters: Vec::new(),
        rate: MAX_RATE,
        limit: None,
    }
}

fn filtered(points: &[&str], filter: &str) -> TapOptions {
    TapOptions { filters: vec![Filter::parse(filter).unwrap()], ..options(points) }
}

/// Masks before it passes events on.
fn masks_first() -> PipelinePlan {
    let nodes: &[NodeSketch<'_>] = &[("mask", "mask", &[("out", &["tag"])]), ("tag", "pass", &[("out", &["good"])])];
    pipeline("p", &["mask"], nodes, &["good", "fails"])
}

/// Has the mask at the end, so that `p/tag.out` is unmasked.
fn masks_last() -> PipelinePlan {
    let nodes: &[NodeSketch<'_>] = &[("tag", "pass", &[("out", &["mask"])]), ("mask", "mask", &[("out", &["good"])])];
    pipeline("p", &["tag"], nodes, &["good", "fails"])
}

fn secrets(count: usize) -> Vec<String> {
    (0..count).map(|row| format!("event {row} SECRET")).collect()
}

/// Takes what waits for a subscriber.
fn waiting(subscription: &mut Subscription) -> Vec<Tapped> {
    use futures_now::now;
    std::iter::from_fn(|| now(subscription.next()).flatten()).collect()
}

fn waiting_traces(subscription: &mut Subscription) -> Vec<Trace> {
    use futures_now::now;
    std::iter::from_fn(|| now(subscription.next_trace()).flatten()).collect()
}

mod futures_now {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    /// The result of a future that is ready.
    pub(super) fn now<F: Future>(future: F) -> Option<F::Output> {
        match pin!(tokio::task::coop::unconstrained(future)).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        }
    }
}

fn text(json: &[u8]) -> &str {
    std::str::from_utf8(json).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_unmasked_leaves_at_any_point_while_versions_are_swapped() {
    for (policy, is_safe) in [(TapPolicy::Masked, true), (TapPolicy::All, false)] {
        let allowing = |pipeline: PipelinePlan| {
            let mut plan = plan(vec![pipeline]);
            plan.agent.admin = Some(AdminSettings { tap: policy, ..AdminSettings::default() });
            plan
        };
        let mut rig = Rig::start(2, allowing(masks_first())).await;
        let taps = rig.topology.observer().taps().clone();
        assert_eq!(taps.policy(), policy);
        let mut tap = taps.subscribe(&options(&["p/tag.out", "p/mask.out", "p.good"])).unwrap();
        let mut searching = taps.subscribe(&filtered(&["p/tag.out"], "body~SECRET")).unwrap();
        let mut trace = taps.trace(&options(&[])).unwrap();
        let mut blind = taps.trace(&filtered(&["p/tag.out"], "body~SECRET")).unwrap();
        let (mut events, mut found, mut traces, mut blindly) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        // Where a filter may find them, samples must have met such events, which takes some rounds.
        for round in 0..2000 {
            if round >= 40 && (is_safe || !found.is_empty()) {
                break;
            }
            for _ in 0..5 {
                rig.feed(secrets(20).into_iter().chain(["unmaskable SECRET".to_owned()]));
            }
            rig.swap(allowing(if round % 2 == 0 { masks_last() } else { masks_first() })).await;
            events.append(&mut waiting(&mut tap));
            found.append(&mut waiting(&mut searching));
            traces.append(&mut waiting_traces(&mut trace));
            blindly.append(&mut waiting_traces(&mut blind));
        }
        rig.ended().await;
        events.append(&mut waiting(&mut tap));
        traces.append(&mut waiting_traces(&mut trace));
        let points: BTreeSet<&str> = events.iter().map(|event| &*event.point).collect();
        assert!(points.contains("p/tag.out") && points.contains("p/mask.out"), "{points:?}");
        assert!(!traces.is_empty());
        let shown = events.iter().map(|event| event.json.as_slice());
        let steps = traces.iter().flat_map(|trace| &trace.steps);
        let messages = steps.clone().filter_map(|step| step.failure.as_ref()).map(|failure| failure.message.as_bytes());
        let samples: Vec<FailedSample> = taps.failures().into_iter().flat_map(|failed| failed.samples).collect();
        let kept = samples.iter().filter_map(|sample| sample.json.as_deref());
        let all = shown.chain(steps.clone().filter_map(|step| step.json.as_deref())).chain(messages).chain(kept);
        let leaked = all.clone().filter(|text| text.windows(6).any(|part| part == b"SECRET")).count();
        assert!(all.count() > 100);
        assert_eq!(leaked == 0, is_safe, "{leaked} with {policy:?}");
        assert_eq!(found.is_empty() && blindly.is_empty(), is_safe, "a filter on unmasked events reveals them");
        assert_eq!(rig.unbalanced("p").await, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stricter_policy_also_hides_what_waits_already() {
    let mut rig = Rig::start(1, plan(vec![masks_last()])).await;
    let taps = rig.topology.observer().taps().clone();
    taps.set_policy(TapPolicy::All);
    let mut tap = taps.subscribe(&options(&["p/tag.out", "p.good"])).unwrap();
    let mut trace = taps.trace(&options(&["p"])).unwrap();
    rig.feed(secrets(10));
    rig.feed(["[unmaskable SECRET"]);
    rig.ended().await;
    taps.set_policy(TapPolicy::Masked);
    assert_eq!(tap.report().hidden, ["p/tag.out"]);
    let events = waiting(&mut tap);
    assert!(events.len() == 10 && events.iter().all(|event| &*event.point == "p.good"), "{events:?}");
    for step in waiting_traces(&mut trace).iter().flat_map(|trace| &trace.steps) {
        let is_masked = matches!(&*step.point, "p/mask.out" | "p.good");
        assert_eq!(step.json.is_some(), is_masked, "{step:?}");
    }
    taps.set_policy(TapPolicy::Off);
    rig.feed(secrets(10));
    rig.ended().await;
    assert!(waiting(&mut tap).is_empty());
    assert_eq!(taps.subscribe(&options(&["p.good"])).err(), Some(TapError::Off));
    assert!(taps.failures().iter().flat_map(|failed| &failed.samples).all(|sample| sample.json.is_none()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn points_that_do_not_exist_or_may_not_be_shown_are_refused_with_the_reason() {
    let rig = Rig::start(1, plan(vec![masks_last()])).await;
    let taps = rig.topology.observer().taps().clone();
    let refused = |options: &TapOptions| taps.subscribe(options).err().unwrap().to_string();
    let unknown = refused(&options(&["p/tga.out"]));
    assert!(unknown.contains("no point `p/tga.out`: did you mean `p/tag.out`?"), "{unknown}");
    assert!(refused(&options(&["elsewhere"])).contains("the pipelines are `p`"));
    let hidden = refused(&options(&["p/tag.out"]));
    assert!(hidden.contains("before the masking node `p/mask`") && hidden.contains("tap = \"all\""), "{hidden}");
    let blind = taps.trace(&filtered(&["p/input"], "body~SECRET")).err().unwrap();
    assert!(matches!(blind, TapError::Hidden { .. }), "{blind}");
    assert!(taps.trace(&options(&["p/input"])).is_ok());
    assert!(taps.trace(&filtered(&["p"], "body~event")).is_ok(), "begins behind the mask");

    let all: Vec<Subscription> =
        std::iter::from_fn(|| taps.subscribe(&options(&["p"])).ok()).take(2 * MAX_SUBSCRIPTIONS).collect();
    assert_eq!(all.len(), MAX_SUBSCRIPTIONS);
    assert_eq!(taps.subscribe(&options(&["p"])).err(), Some(TapError::TooMany));
    drop(all);
    assert!(taps.subscribe(&options(&["p"])).is_ok(), "a subscription ends when it is dropped");
    assert!(taps.registry.lock().entries.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rate_and_the_limit_hold_and_what_is_skipped_is_counted() {
    let mut rig = Rig::start(1, plan(vec![masks_first()])).await;
    let taps = rig.topology.observer().taps().clone();
    let mut slow = taps.subscribe(&TapOptions { rate: 10, ..options(&["p.good"]) }).unwrap();
    let mut some = taps.subscribe(&TapOptions { limit: Some(3), ..options(&["p.good"]) }).unwrap();
    let mut matching = taps.subscribe(&filtered(&["p.good"], "body~event 7")).unwrap();
    rig.feed(secrets(1000));
    rig.ended().await;
    let events = waiting(&mut slow);
    let report = slow.report();
    assert_eq!((report.passed, report.shown, report.skipped), (1000, 10, 990));
    let rows: Vec<usize> = events
        .iter()
        .map(|event| text(&event.json).split_once("event ").unwrap().1.split(' ').next().unwrap().parse().unwrap())
        .collect();
    assert!((0..10).all(|part| (part * 100..part * 100 + 100).contains(&rows[part])), "not spread: {rows:?}");
    assert_eq!(waiting(&mut some).len(), 3);
    assert!(some.next().await.is_none(), "it ends after its limit");
    let events = waiting(&mut matching);
    let report = matching.report();
    assert_eq!((events.len(), report.searched, report.skipped), (111, 1000, 0));
    assert!(events.iter().all(|event| text(&event.json).contains("event 7")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filter_is_compared_with_a_bounded_part_of_a_batch() {
    let mut rig = Rig::start(1, plan(vec![masks_first()])).await;
    let taps = rig.topology.observer().taps().clone();
    let never = taps.subscribe(&filtered(&["p.good"], "body=never")).unwrap();
    rig.feed(secrets(20_000));
    rig.feed((0..50).map(|row| format!("{row} {}", "x".repeat(100_000))));
    rig.ended().await;
    let report = never.report();
    assert_eq!(report.passed, 20_050);
    assert!((1001..1010).contains(&report.searched), "{report:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscribers_that_never_read_delay_nothing_and_hold_little() {
    let mut rig = Rig::start(2, plan(vec![masks_first()])).await;
    let taps = rig.topology.observer().taps().clone();
    let stalled: Vec<Subscription> = (0..20).map(|_| taps.subscribe(&options(&["p", "p/mask.out"])).unwrap()).collect();
    let traces: Vec<Subscription> = (0..4).map(|_| taps.trace(&options(&[])).unwrap()).collect();
    for _ in 0..300 {
        rig.feed((0..50).map(|row| format!("event {row} {}", "x".repeat(1000))));
    }
    let ends = rig.ended().await;
    assert!(ends.len() == 300 && ends.iter().all(|end| *end == wattle_batch::Disposition::Delivered));
    for tap in stalled {
        let (report, queued) = (tap.report(), tap.queue.len() as u64);
        assert_eq!((report.passed, report.shown), (30_000, 0));
        assert_eq!(report.skipped + queued, 30_000, "every event is counted");
        assert!(tap.tap.queued_bytes.load(Ordering::Relaxed) <= 512 << 10);
    }
    assert!(traces.iter().all(|trace| trace.queue.len() <= 1024));
    assert_eq!(rig.unbalanced("p").await, 0);
    let all: u64 = taps.shared.budget.available(taps.shared.now());
    assert!(all <= BUDGET_BURST_BYTES);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_events_are_cut() {
    let mut rig = Rig::start(1, plan(vec![masks_first()])).await;
    let taps = rig.topology.observer().taps().clone();
    let mut tap = taps.subscribe(&options(&["p"])).unwrap();
    rig.feed(["short".to_owned(), "x".repeat(1 << 20)]);
    rig.ended().await;
    let events = waiting(&mut tap);
    assert_eq!(events.iter().map(|event| event.is_cut).collect::<Vec<_>>(), [false, true]);
    assert!(events[1].json.len() <= 64 << 10 && events[1].bytes > 1 << 20);
    assert!(text(&events[1].json).starts_with("{\"timestamp\""));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_survives_versions_without_its_points() {
    let mut rig = Rig::start(1, plan(vec![masks_first()])).await;
    let taps = rig.topology.observer().taps().clone();
    let mut tap = taps.subscribe(&options(&["p/tag.out", "p"])).unwrap();
    let other = || {
        let nodes: &[NodeSketch<'_>] = &[("mask", "mask", &[("out", &["better"])])];
        plan(vec![pipeline("p", &["mask"], nodes, &["better", "fails"])])
    };
    rig.swap(other()).await;
    assert_eq!(tap.report().missing, ["p/tag.out"]);
    rig.feed(["a"]);
    rig.ended().await;
    let points = |tap: &mut Subscription| -> Vec<String> {
        waiting(tap).iter().map(|event| format!("{}@{}", event.point, event.generation)).collect()
    };
    assert_eq!(points(&mut tap), ["p.better@2"], "a pipeline stands for the outputs that it has now");
    rig.swap(plan(vec![masks_first()])).await;
    assert!(tap.report().missing.is_empty());
    rig.feed(["b"]);
    rig.ended().await;
    assert_eq!(points(&mut tap), ["p/tag.out@3", "p.good@3"]);
    drop(tap);
    rig.swap(other()).await;
    // The worker leaves the former generation before it takes a batch.
    rig.feed(["c"]);
    rig.ended().await;
    rig.swap(other()).await;
    let names: Vec<String> = taps.registry.lock().states.keys().map(ToString::to_string).collect();
    assert_eq!(names, ["p.better", "p.fails", "p/input", "p/mask.failed", "p/mask.out"], "others are forgotten");
}

/// Splits documents, drops noise, masks, and routes. Failures leave unmasked.
fn trail() -> Plan {
    let nodes: &[NodeSketch<'_>] = &[
        ("split", "split", &[("out", &["quiet"])]),
        ("quiet", "drop", &[("out", &["check"])]),
        ("check", "hold", &[("out", &["mask"])]),
        ("mask", "mask", &[("out", &["route"])]),
        ("route", "route", &[("out", &["events", "copy"]), ("other", &["nowhere"])]),
    ];
    plan(vec![pipeline("audit", &["split"], nodes, &["events", "copy", "nowhere", "fails"])])
}

fn steps(trace: &Trace) -> Vec<String> {
    let line = |step: &TraceStep| {
        let mut line = step.point.to_string();
        if let Some(json) = &step.json {
            let event: serde_json::Value = serde_json::from_slice(json).unwrap();
            line += &format!(" {}", event["body"].as_str().unwrap());
        }
        if let Some(failure) = &step.failure {
            line += &format!(" failed {} {} `{}`", failure.node, failure.code, failure.message);
        }
        if let Some(ended) = &step.ended {
            line += &format!(" ended {ended}");
        }
        line
    };
    trace.steps.iter().map(line).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trace_follows_one_event_through_split_masks_route_failure_and_drop() {
    let mut rig = Rig::start(1, trail()).await;
    let taps = rig.topology.observer().taps().clone();
    let mut trace = taps.trace(&options(&[])).unwrap();
    let record = |name: &str| format!(r#"{{"eventName":"{name}","key":"SECRET"}}"#);
    let records = ["GetObject", "noise", "keep", "DescribeStacks"].map(record).join(",");
    rig.feed([format!(r#"{{"Records":[{records}]}}"#)]);
    rig.ended().await;
    let traces = waiting_traces(&mut trace);
    assert_eq!(traces.len(), 1);
    let (get, describe) =
        (record("GetObject").replace("SECRET", "*****"), record("DescribeStacks").replace("SECRET", "*****"));
    let expected = vec![
        "audit/input".to_owned(),
        "audit/split.out".into(),
        "audit/split.out".into(),
        "audit/split.out".into(),
        "audit/split.out".into(),
        "audit/quiet ended noise".into(),
        "audit/quiet.out".into(),
        "audit/quiet.out".into(),
        "audit/quiet.out".into(),
        "audit/check ended held".into(),
        "audit/check.out".into(),
        "audit/check.out".into(),
        format!("audit/mask.out {get}"),
        format!("audit/mask.out {describe}"),
        format!("audit/route.out {get}"),
        format!("audit.events {get}"),
        format!("audit.copy {get}"),
        format!("audit/route.other {describe}"),
        format!("audit.nowhere {describe}"),
        "audit.nowhere ended discarded".into(),
    ];
    assert_eq!(steps(&traces[0]), expected);
    assert!(!traces[0].is_cut);

    rig.feed(["SECRET but not a document"]);
    rig.ended().await;
    let expected =
        ["audit/input", "audit/split.failed failed split no-records ``", "audit.fails failed split no-records ``"];
    assert_eq!(steps(&waiting_traces(&mut trace)[0]), expected);

    let many: Vec<String> = (0..50).map(|_| record("GetObject")).collect();
    rig.feed([format!(r#"{{"Records":[{}]}}"#, many.join(","))]);
    rig.ended().await;
    let traces = waiting_traces(&mut trace);
    let children = steps(&traces[0]).iter().filter(|step| step.starts_with("audit/split.out")).count();
    assert!(children == 4 && traces[0].is_cut && traces[0].steps.len() <= 64, "only the first children");

    drop(trace);
    let mut behind = taps.trace(&filtered(&["audit"], "body.eventName=GetObject")).unwrap();
    rig.feed([format!(r#"{{"Records":[{records}]}}"#)]);
    rig.ended().await;
    let traces = waiting_traces(&mut behind);
    assert_eq!(steps(&traces[0])[0], format!("audit/mask.out {get}"), "begins where events may be shown");
    assert_eq!(rig.unbalanced("audit").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_failures_are_kept_by_code() {
    let nodes: &[NodeSketch<'_>] =
        &[("parse", "parse", &[("out", &["mask"])]), ("mask", "mask", &[("out", &["good"])])];
    let mut rig = Rig::start(1, plan(vec![pipeline("p", &["parse"], nodes, &["good", "fails"])])).await;
    let taps = rig.topology.observer().taps().clone();
    for round in 0..10 {
        rig.feed([format!("plain {round} SECRET"), r#"{"a":"unmaskable SECRET"}"#.to_owned(), "{}".to_owned()]);
        rig.ended().await;
    }
    let failures = taps.failures();
    let found: Vec<(&str, &str, usize)> =
        failures.iter().map(|failed| (&*failed.node, &*failed.code, failed.samples.len())).collect();
    assert_eq!(found, [("mask", "no-mask", 5), ("parse", "not-json", 5)]);
    let samples = || taps.failures().into_iter().flat_map(|failed| failed.samples);
    assert!(samples().all(|sample| sample.json.is_none() && sample.message.is_none()));
    taps.set_policy(TapPolicy::All);
    assert!(samples().all(|sample| sample.json.is_none() && sample.message.is_some()), "events were not kept");
    rig.feed(["plain SECRET", r#"{"a":"unmaskable SECRET"}"#]);
    rig.ended().await;
    let last = |node: usize| taps.failures()[node].samples[4].clone();
    assert!(last(0).message.unwrap().contains("in quarantine") && !text(&last(0).json.unwrap()).contains("SECRET"));
    assert!(text(&last(1).json.unwrap()).contains("plain SECRET"));
    taps.set_policy(TapPolicy::Masked);
    assert!(samples().all(|sample| sample.json.is_none() && sample.message.is_none()));
    let nodes: &[NodeSketch<'_>] = &[("mask", "mask", &[("out", &["good"])])];
    rig.swap(plan(vec![pipeline("p", &["mask"], nodes, &["good", "fails"])])).await;
    assert_eq!(taps.failures().len(), 1, "samples of nodes that are removed are forgotten");
}

#[test]
fn a_point_without_a_subscription_takes_no_lock_and_marks_nothing() {
    let taps = Taps::default();
    let point = taps.point("p/input", 1, true);
    let mut batch = wattle_batch::Batch::new(
        wattle_batch::Column::from_rows(["a"]).unwrap(),
        Arc::new(wattle_batch::Origin { source: "in".into(), resource: "{}".into(), observed: 0 }),
        wattle_batch::Ack::none(),
    );
    let mut traces = Traces::default();
    // Without a lock: the registry is locked here.
    let _locked = taps.registry.lock();
    point.pass(&mut batch, &mut traces);
    assert!(!batch.is_marked());
}
