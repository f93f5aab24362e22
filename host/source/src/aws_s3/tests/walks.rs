//! Listing and backfill.

use serde_json::json;

use super::deliver;
use super::fake::{Fake, announce};
use crate::stats::get;
use crate::testing::{Rig, texts};

#[tokio::test]
async fn requirement_12_listing_resumes_after_a_kill() {
    let (fake, folder) = (Fake::start().await, tempfile::tempdir().unwrap());
    let rig = Rig::new(folder.path());
    for key in ["a/1", "a/2", "a/3", "a/4", "b/1"] {
        fake.put(key, format!("{key}\n"));
    }
    let listing =
        json!({ "listing": { "bucket": "logs", "prefixes": ["a/"], "interval": "50ms", "start_after": "a/1" } });
    let running = rig.start("aws_s3", fake.storage_options(listing.clone()));
    let (first, second, third) = (rig.pop().await, rig.pop().await, rig.pop().await);
    let mut held = Vec::new();
    for batch in [first, second, third] {
        if texts(&batch) == ["a/3"] { held.push(batch) } else { deliver(batch) }
    }
    let file = folder.path().join("sources/in/listing/checkpoints.json");
    rig.until(|| {
        std::fs::read_to_string(&file).is_ok_and(|text| text.contains("\"last\":\"a/2\"") && text.contains("a/4"))
    })
    .await;
    running.kill().await;
    drop(held);
    fake.put("a/5", "a/5\n");
    let reads = fake.reads_of("a/4");
    let rig = Rig::new(folder.path());
    let running = rig.start("aws_s3", fake.storage_options(listing.clone()));
    let mut bodies = rig.take(2).await;
    bodies.sort();
    assert_eq!(bodies, ["a/3", "a/5"]);
    assert_eq!((fake.reads_of("a/4"), fake.reads_of("a/1"), fake.reads_of("b/1")), (reads, 0, 0));
    rig.until(|| std::fs::read_to_string(&file).is_ok_and(|text| text.contains("\"last\":\"a/5\""))).await;
    rig.stop();
    running.ended().await.unwrap();
    let rig = Rig::new(folder.path()).once();
    let running = rig.start("aws_s3", fake.storage_options(listing));
    let (bodies, ended) = rig.drain(running).await;
    ended.unwrap();
    assert!(bodies.is_empty(), "{bodies:?}");
}

#[tokio::test]
async fn an_object_that_cannot_be_read_is_tried_again_and_stops_no_other() {
    let (fake, folder) = (Fake::start().await, tempfile::tempdir().unwrap());
    let rig = Rig::new(folder.path());
    for key in ["1", "2", "3"] {
        fake.put(key, format!("{key}\n"));
    }
    fake.state.lock().denied.insert("2".to_owned());
    let listing = json!({ "listing": { "bucket": "logs", "interval": "50ms" } });
    let running = rig.start("aws_s3", fake.storage_options(listing));
    let mut bodies = rig.take(2).await;
    bodies.sort();
    assert_eq!(bodies, ["1", "3"]);
    rig.until(|| get(&rig.stats.queue.failed) > 0).await;
    let file = folder.path().join("sources/in/listing/checkpoints.json");
    rig.until(|| std::fs::read_to_string(&file).is_ok_and(|text| text.contains("\"stuck\":[\"2\"]"))).await;
    fake.state.lock().denied.clear();
    assert_eq!(rig.take(1).await, ["2"]);
    rig.stop();
    running.ended().await.unwrap();
    assert!(std::fs::read_to_string(&file).unwrap().contains("\"stuck\":[]"));
}

#[tokio::test]
async fn requirement_13_a_backfill_reads_its_time_range_once_next_to_the_queue() {
    let (fake, folder) = (Fake::start().await, tempfile::tempdir().unwrap());
    for (key, day) in [("h/1", 1), ("h/2", 2), ("h/3", 3), ("h/4", 4)] {
        fake.put_at(key, format!("{key}\n"), &format!("2026-01-0{day}T00:00:00.000Z"));
    }
    fake.put("live", "live\n");
    let backfill =
        json!({ "bucket": "logs", "prefixes": ["h/"], "from": "2026-01-02T00:00:00Z", "to": "2026-01-04T00:00:00Z" });
    for expected in [vec!["h/2", "h/3", "live"], vec!["live"]] {
        fake.send("m1", announce(&["live"]));
        let rig = Rig::new(folder.path()).once();
        let running = rig.start("aws_s3", fake.options(json!({ "backfill": backfill })));
        let (mut bodies, ended) = rig.drain(running).await;
        ended.unwrap();
        bodies.sort();
        assert_eq!(bodies, expected);
    }
    let text = std::fs::read_to_string(folder.path().join("sources/in/backfill/checkpoints.json")).unwrap();
    assert!(text.contains("\"finished\":true"), "{text}");
}
