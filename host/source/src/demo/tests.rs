//! What the source `demo` sends, at which rate, and when it ends.

use super::*;
use crate::stats::get;
use crate::testing::{Rig, resource};
use serde_json::{Value, json};
use wattle_batch::Batch;

fn bodies(batches: &[String]) -> Vec<Value> {
    batches.iter().map(|body| serde_json::from_str(body).unwrap()).collect()
}

async fn all(options: Value) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let rig = Rig::new(folder.path());
    let running = rig.start("demo", options);
    let (bodies, ended) = rig.drain(running).await;
    ended.unwrap();
    assert_eq!(get(&rig.stats.events), bodies.len() as u64);
    bodies
}

#[tokio::test]
async fn the_same_seed_gives_the_same_documents() {
    let options = json!({ "documents": "20", "records_per_document": [2, 4], "seed": 5 });
    let first = all(options.clone()).await;
    assert_eq!(first.len(), 20);
    for document in bodies(&first) {
        let records = document["Records"].as_array().unwrap().len();
        assert!((2..=4).contains(&records), "{records}");
    }
    assert_eq!(all(options).await, first);
    assert_ne!(all(json!({ "documents": 20, "records_per_document": [2, 4], "seed": 6 })).await, first);
}

#[tokio::test]
async fn every_shape_and_form_is_json() {
    for (shape, form, events, key) in [
        ("records", "compact", 3, "Records"),
        ("records", "pretty", 3, "Records"),
        ("array", "compact", 3, ""),
        ("ndjson", "compact", 6, "eventName"),
        ("cloudwatch", "compact", 3, "logEvents"),
    ] {
        let options = json!({ "documents": 3, "records_per_document": "2", "shape": shape, "form": form });
        let sent = all(options).await;
        assert_eq!(sent.len(), events, "{shape}");
        for event in bodies(&sent) {
            assert!(if key.is_empty() { event.is_array() } else { event.get(key).is_some() }, "{shape}: {event}");
        }
        assert_eq!(sent[0].contains('\n'), form == "pretty");
    }
}

#[tokio::test]
async fn batches_are_closed_by_bytes_and_memory_stays_bounded_without_a_consumer() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::new(folder.path());
    rig.queue = wattle_buffer::Queue::new(1 << 20, None, None);
    let running = rig.start("demo", json!({ "records_per_document": 5 }));
    rig.until(|| rig.queue.byte_len() >= 1 << 20).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(get(&rig.stats.read_bytes) < 3 << 20, "the source generates only what fits into the queue");
    let batch = rig.pop().await;
    assert!((256 << 10..300 << 10).contains(&batch.byte_len()), "{}", batch.byte_len());
    assert_eq!(resource(&batch), json!({ "name": "in", "type": "demo" }));
    batch.into_ack().deliver();
    rig.stop();
    rig.drain(running).await.1.unwrap();
}

#[tokio::test]
async fn respects_the_rate_and_sends_batches_at_their_maximum_age() {
    let folder = tempfile::tempdir().unwrap();
    let rig = Rig::new(folder.path());
    let start = std::time::Instant::now();
    let running = rig.start("demo", json!({ "documents": 6, "interval": "50ms", "records_per_document": 1 }));
    let first = rig.pop().await;
    assert_eq!(first.rows(), 1);
    assert!(start.elapsed() < Duration::from_millis(200), "{:?}", start.elapsed());
    first.into_ack().deliver();
    assert_eq!(rig.drain(running).await.0.len(), 5);
    assert!(start.elapsed() >= Duration::from_millis(250), "{:?}", start.elapsed());
}

#[tokio::test]
async fn ends_when_stopped_and_after_a_hundred_documents_with_once() {
    let folder = tempfile::tempdir().unwrap();
    let rig = Rig::new(folder.path());
    let running = rig.start("demo", json!({ "interval": "1h" }));
    rig.take(1).await;
    rig.stop();
    running.ended().await.unwrap();

    let rig = Rig::new(folder.path()).once();
    let running = rig.start("demo", json!({ "records_per_document": 1 }));
    assert_eq!(rig.drain(running).await.0.len(), 100);
}

#[tokio::test]
async fn returned_batches_are_sent_again_and_lost_only_after_a_stop() {
    let folder = tempfile::tempdir().unwrap();
    let rig = Rig::new(folder.path());
    let running = rig.start("demo", json!({ "documents": 1 }));
    let body = |batch: &Batch| batch.body().row(0).to_vec();
    let first = rig.pop().await;
    let sent = body(&first);
    drop(first);
    let again = rig.pop().await;
    assert_eq!(body(&again), sent);
    assert_eq!(get(&rig.stats.retries), 1);
    assert!(!running.is_ended());
    rig.stop();
    drop(again);
    running.ended().await.unwrap();
    assert_eq!(get(&rig.stats.lost), 1);
}
