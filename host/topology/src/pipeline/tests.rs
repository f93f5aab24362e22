//! The balance of each batch, whatever happens to it.

use wattle_batch::Disposition;
use wattle_plan::{OnFault, PipelinePlan};

use crate::testing::{NodeSketch, Rig, pipeline, plan, share};

fn everything() -> PipelinePlan {
    let nodes: &[NodeSketch<'_>] = &[
        ("split", "split", &[("out", &["quiet", "copy"])]),
        ("quiet", "drop", &[("out", &["keep"])]),
        ("keep", "hold", &[("out", &["wild"])]),
        ("wild", "fault", &[("out", &["mask"])]),
        ("mask", "mask", &[("out", &["route"])]),
        ("route", "route", &[("out", &["good"]), ("other", &["nowhere"])]),
    ];
    pipeline("p", &["split"], nodes, &["good", "copy", "nowhere", "fails"])
}

fn document(names: &[&str]) -> String {
    let records: Vec<String> = names.iter().map(|name| format!(r#"{{"n":"{name}"}}"#)).collect();
    format!(r#"{{"Records":[{}]}}"#, records.join(","))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_batch_adds_up_through_faults_drops_splits_copies_and_shared_nodes() {
    for shared in [&[][..], &["quiet", "wild"], &["mask", "route", "keep"]] {
        let mut planned = everything();
        shared.iter().for_each(|node| share(&mut planned, node));
        let mut rig = Rig::start(3, plan(vec![planned])).await;
        for _ in 0..50 {
            rig.feed([document(&["a", "noise", "keep", "Describe", "unmaskable"]), "no document".to_owned()]);
            rig.feed([document(&["b", "poison"]), document(&[])]);
        }
        assert!(rig.ended().await.iter().all(|end| *end == Disposition::Delivered));
        assert_eq!(rig.unbalanced("p").await, 0, "{shared:?}");
        assert_eq!(rig.topology.observer().counts().bugs().count(), 0);
        let counts = rig.topology.observer().counts().pipeline("p").snapshot();
        assert!(counts.failed > 0 && counts.held > 0 && counts.dropped > 0 && counts.copied > 0, "{counts:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_returns_adds_up() {
    // A quarantine without room returns batches, together with what waits for the shared node.
    for shared in [&[][..], &["route"], &["mask", "route"]] {
        let mut planned = everything();
        shared.iter().for_each(|node| share(&mut planned, node));
        let mut plan = plan(vec![planned]);
        plan.agent.quarantine.max_bytes = 1;
        let mut rig = Rig::start(2, plan).await;
        rig.feed([document(&["a", "Describe"]), document(&["b", "unmaskable", "noise"])]);
        assert_eq!(rig.ended().await, [Disposition::Retry]);
        assert_eq!(rig.unbalanced("p").await, 0, "{shared:?}");
        assert!(rig.topology.observer().counts().pipeline("p").snapshot().returned > 0);
    }
    let mut planned = everything();
    planned.nodes.iter_mut().for_each(|node| node.on_fault = OnFault::Stop);
    let mut rig = Rig::start(1, plan(vec![planned])).await;
    rig.feed([document(&["poison"])]);
    rig.ended().await;
    assert_eq!(rig.unbalanced("p").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_does_not_add_up_is_found() {
    let nodes: &[NodeSketch<'_>] = &[("lose", "lose", &[("out", &["good"])])];
    let mut rig = Rig::start(1, plan(vec![pipeline("p", &["lose"], nodes, &["good", "fails"])])).await;
    rig.feed(["a", "b"]);
    rig.ended().await;
    assert_eq!((rig.unbalanced("p").await, rig.topology.observer().counts().bugs().count()), (0, 0));
    rig.feed(["lost", "x", "y"]);
    rig.feed(["c"]);
    assert_eq!(rig.ended().await, [Disposition::Delivered, Disposition::Retry, Disposition::Delivered]);
    assert_eq!((rig.unbalanced("p").await, rig.topology.observer().counts().bugs().count()), (3, 1));
}
