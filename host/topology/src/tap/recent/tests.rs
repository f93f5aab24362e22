//! Recent events of real pipelines.

use super::*;
use crate::testing::{NodeSketch, Rig, pipeline, plan};
use wattle_plan::AdminSettings;

fn granting(mut plan: Plan, tap: TapPolicy, recent_bytes: u64) -> Plan {
    plan.agent.admin = Some(AdminSettings { tap, recent_bytes, ..AdminSettings::default() });
    plan
}

/// Masks, and tags behind the mask.
fn masks_first(name: &str) -> PipelinePlan {
    let nodes: &[NodeSketch<'_>] = &[("mask", "mask", &[("out", &["tag"])]), ("tag", "pass", &[("out", &["good"])])];
    pipeline(name, &["mask"], nodes, &["good", "fails"])
}

/// Has a node with the same name and the same port before the mask.
fn masks_last(name: &str) -> PipelinePlan {
    let nodes: &[NodeSketch<'_>] = &[("tag", "pass", &[("out", &["mask"])]), ("mask", "mask", &[("out", &["good"])])];
    pipeline(name, &["tag"], nodes, &["good", "fails"])
}

fn masks_nothing(name: &str) -> PipelinePlan {
    let nodes: &[NodeSketch<'_>] = &[("tag", "pass", &[("out", &["good"])])];
    pipeline(name, &["tag"], nodes, &["good", "fails"])
}

fn masked(pipelines: Vec<PipelinePlan>) -> Plan {
    granting(plan(pipelines), TapPolicy::Masked, 1 << 20)
}

fn bodies(recent: &[RecentEvents]) -> Vec<String> {
    let texts = recent.iter().flat_map(|events| events.batch.body().iter());
    texts.map(|body| String::from_utf8(body.to_vec()).unwrap()).collect()
}

/// Bytes that a ring holds, and the number of its events.
fn size(taps: &Taps, pipeline: &str) -> (usize, usize) {
    let layout = taps.registry.lock().layout.clone();
    let kept = layout.rings.get(pipeline).unwrap().kept.lock();
    assert_eq!(kept.bytes, kept.events.iter().map(|(_, bytes)| bytes).sum::<usize>());
    (kept.bytes, kept.events.iter().map(|(events, _)| events.batch.rows()).sum())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_newest_events_are_kept_as_they_leave_the_last_mask() {
    let mut rig = Rig::start(1, masked(vec![masks_first("p")])).await;
    let taps = rig.topology.observer().taps().clone();
    assert_eq!(taps.recent_pipelines(), ["p"]);
    rig.feed(["one SECRET", "unmaskable SECRET", "two"]);
    rig.ended().await;
    let recent = taps.recent("p").unwrap().list();
    assert_eq!(bodies(&recent), ["one *****", "two"]);
    let entry = Entry::Port { node: "mask".into(), port: "out".into() };
    assert_eq!((&recent[0].entry, recent[0].generation, recent[0].entry.to_string()), (&entry, 1, "mask.out".into()));
    assert_eq!(entry.find(&masks_last("p")), Ok(Some((1, 0))));
    assert_eq!(entry.find(&masks_nothing("p")), Err(NoEntry));
    assert_eq!(taps.recent("q").unwrap_err(), RecentError::NoPipeline("q".into()));
    assert_eq!(rig.unbalanced("p").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ring_is_bounded_and_the_oldest_events_leave_first() {
    let max_bytes = 64 << 10;
    let plan = granting(plan(vec![masks_first("p")]), TapPolicy::Masked, max_bytes as u64);
    let mut rig = Rig::start(1, plan).await;
    let taps = rig.topology.observer().taps().clone();
    for round in 0..40 {
        rig.feed([format!("{round} {}", "x".repeat(4000))]);
    }
    rig.feed(["y".repeat(max_bytes)]);
    rig.ended().await;
    let (bytes, events) = size(&taps, "p");
    assert!(bytes <= max_bytes && bytes > max_bytes / 2, "{bytes}");
    let kept = bodies(&taps.recent("p").unwrap().list());
    let rounds: Vec<usize> = kept.iter().map(|body| body.split(' ').next().unwrap().parse().unwrap()).collect();
    assert_eq!(rounds, (40 - events..40).collect::<Vec<_>>(), "an event that does not fit leaves the others");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_pipeline_takes_nothing_from_a_quiet_one_and_copies_a_bounded_number() {
    let mut quiet = masks_first("quiet");
    quiet.sources.clear();
    quiet.inputs = vec![(0, 0)];
    let route: &[NodeSketch<'_>] = &[("route", "route", &[("out", &["busy"]), ("other", &["calm"])])];
    let first = pipeline("first", &["route"], route, &["calm", "busy", "fails"]);
    let mut busy = masks_first("busy");
    busy.sources.clear();
    busy.inputs = vec![(0, 1)];
    let mut rig = Rig::start(2, masked(vec![first, quiet, busy])).await;
    let taps = rig.topology.observer().taps().clone();
    assert_eq!(taps.recent_pipelines(), ["busy", "quiet"]);
    assert_eq!(taps.recent("first").unwrap_err(), RecentError::Hidden("first".into()));
    rig.feed(["Describe once"]);
    rig.ended().await;
    let before = taps.shared.now();
    for _ in 0..200 {
        rig.feed((0..100).map(|row| format!("event {row} {}", "x".repeat(2000))));
    }
    let ends = rig.ended().await;
    assert!(ends.iter().all(|end| *end == wattle_batch::Disposition::Delivered));
    assert_eq!(bodies(&taps.recent("quiet").unwrap().list()), ["Describe once"]);
    let ring = taps.registry.lock().layout.rings.get("busy").unwrap().clone();
    let seconds = (taps.shared.now() - before) / 1_000_000_000 + 2;
    // More would be left of the burst and of what was refilled.
    assert!(ring.rate.available(taps.shared.now()) < BYTES_PER_SECOND / 2);
    let (bytes, events) = size(&taps, "busy");
    assert!(bytes <= 512 << 10 && events > 0 && events as u64 <= seconds * EVENTS_PER_SECOND / 2, "{bytes} {events}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_swap_forgets_what_other_masks_let_pass_and_other_reloads_keep_the_events() {
    let two = |first: PipelinePlan, second: PipelinePlan| masked(vec![first, second]);
    let mut rig = Rig::start(1, two(masks_first("p"), masks_first("q"))).await;
    let taps = rig.topology.observer().taps().clone();
    rig.feed(["a SECRET"]);
    rig.ended().await;
    let kept = |name: &str| taps.recent(name).map(|recent| bodies(&recent.list()));
    assert_eq!((kept("p").unwrap(), kept("q").unwrap()), (vec!["a *****".to_owned()], vec!["a *****".to_owned()]));
    let ring = |name: &str| taps.registry.lock().layout.rings.get(name).unwrap().clone();
    let former = ring("p");
    rig.swap(two(masks_last("p"), masks_first("q"))).await;
    assert_eq!((kept("p").unwrap().len(), kept("q").unwrap().len()), (0, 1), "only the changed pipeline begins again");
    assert!(former.kept.lock().is_closed && former.kept.lock().events.is_empty());
    rig.swap(two(masks_nothing("p"), masks_first("q"))).await;
    assert_eq!(kept("p").unwrap_err(), RecentError::Hidden("p".into()));
    // The part of each pipeline is another one now.
    assert!(kept("q").unwrap().is_empty());
    rig.feed(["b SECRET"]);
    rig.ended().await;
    assert_eq!(kept("q").unwrap(), ["b *****"]);
    for (policy, bytes) in [(TapPolicy::Off, 1 << 20), (TapPolicy::Masked, 0)] {
        rig.swap(granting(plan(vec![masks_first("p")]), policy, bytes)).await;
        rig.feed(["c SECRET"]);
        rig.ended().await;
        assert_eq!(kept("p").unwrap_err(), RecentError::Off);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_unmasked_event_is_ever_in_a_ring_while_versions_and_policies_are_swapped() {
    let versions = [masks_first, masks_last, masks_nothing];
    let mut rig = Rig::start(2, masked(vec![masks_first("p")])).await;
    let taps = rig.topology.observer().taps().clone();
    let (mut seen, mut unmasked) = (0, 0);
    for round in 0..60 {
        for _ in 0..5 {
            rig.feed((0..20).map(|row| format!("event {row} SECRET")).chain(["unmaskable SECRET".to_owned()]));
        }
        // While workers still process the former generation.
        let is_all = round % 7 == 6;
        let policy = if is_all { TapPolicy::All } else { TapPolicy::Masked };
        rig.swap(granting(plan(vec![versions[round % 3]("p")]), policy, 1 << 20)).await;
        for _ in 0..3 {
            let recent = taps.recent("p").map(|recent| bodies(&recent.list())).unwrap_or_default();
            seen += recent.len();
            let leaked = recent.iter().filter(|body| body.contains("SECRET")).count();
            unmasked += leaked;
            assert!(is_all || leaked == 0, "round {round}: {recent:?}");
            tokio::task::yield_now().await;
        }
        if round % 4 == 0 {
            rig.ended().await;
            let recent = taps.recent("p").map(|recent| bodies(&recent.list())).unwrap_or_default();
            seen += recent.len();
            unmasked += recent.iter().filter(|body| body.contains("SECRET")).count();
            assert!(is_all || !recent.iter().any(|body| body.contains("SECRET")), "round {round}: {recent:?}");
        }
    }
    rig.ended().await;
    assert!(seen > 100, "{seen}");
    assert!(unmasked > 0, "the test would not see an unmasked event");
    assert_eq!(rig.unbalanced("p").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_input_is_kept_where_every_event_may_be_shown_and_a_stricter_policy_forgets_it() {
    let mut rig = Rig::start(1, granting(plan(vec![masks_last("p")]), TapPolicy::All, 1 << 20)).await;
    let taps = rig.topology.observer().taps().clone();
    rig.feed(["a SECRET"]);
    rig.ended().await;
    let recent = taps.recent("p").unwrap().list();
    assert_eq!((bodies(&recent), &recent[0].entry), (vec!["a SECRET".to_owned()], &Entry::Input));
    taps.set_policy(TapPolicy::Masked);
    assert!(taps.recent("p").unwrap().list().is_empty() && size(&taps, "p").1 == 0);
    rig.feed(["b SECRET"]);
    rig.ended().await;
    assert!(taps.recent("p").unwrap().list().is_empty());
}
