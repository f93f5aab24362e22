//! What is read again after a crash.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use wattle_batch::Batch;

use super::deliver;
use super::fake::{Fake, announce, etag};
use super::lines;
use crate::testing::{Rig, Running, gzip, texts};

fn rig(folder: &Path) -> Rig {
    let mut rig = Rig::new(folder);
    rig.limits.max_events = 100;
    rig
}

/// The saved positions, by key.
fn saved(folder: &Path) -> Vec<(String, u64)> {
    let Ok(text) = std::fs::read_to_string(folder.join("sources/in/objects/checkpoints.json")) else {
        return Vec::new();
    };
    let value: Value = serde_json::from_str(&text).unwrap();
    let entries = value["files"].as_array().unwrap().iter();
    entries.map(|e| (e["key"].as_str().unwrap().to_owned(), e["position"].as_u64().unwrap())).collect()
}

/// Delivers three batches of an object of ten, holds the others, and kills the source when the position is saved.
async fn killed_in_the_middle(rig: &Rig, running: Running, folder: &Path) {
    for _ in 0..3 {
        deliver(rig.pop().await);
    }
    let held = rig.pop().await;
    assert_eq!(texts(&held)[0], "line 000300");
    rig.until(|| saved(folder) == [("a".to_owned(), 3600)]).await;
    running.kill().await;
}

/// The first batch of the next run. The last request of a killed source can still receive the message, and hide it.
async fn first_batch(rig: &Rig, fake: &Fake) -> Batch {
    loop {
        fake.expire("m1");
        tokio::select! {
            batch = rig.pop() => return batch,
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
    }
}

#[tokio::test]
async fn requirement_17_a_large_object_is_continued_after_a_crash() {
    for (how, body) in [
        ("queue", lines(0..1000).into_bytes()),
        ("queue", gzip(lines(0..1000))),
        ("queue", zstd::encode_all(lines(0..1000).as_bytes(), 1).unwrap()),
        ("listing", gzip(lines(0..1000))),
    ] {
        let (fake, folder) = (Fake::start().await, tempfile::tempdir().unwrap());
        fake.put("a", body.clone());
        fake.send("m1", announce(&["a"]));
        let options = match how {
            "queue" => fake.options(json!({})),
            _ => fake.storage_options(json!({ "listing": { "bucket": "logs", "interval": "50ms" } })),
        };
        let first = rig(folder.path());
        let running = first.start("aws_s3", options.clone());
        killed_in_the_middle(&first, running, folder.path()).await;
        // Another run, with the same state.
        let second = rig(folder.path());
        let running = second.start("aws_s3", options);
        let batch = first_batch(&second, &fake).await;
        assert!(batch.is_redelivered());
        assert_eq!((texts(&batch)[0].as_str(), batch.position()), ("line 000300", Some(3600)), "{how}");
        deliver(batch);
        assert_eq!(second.take(600).await.last().unwrap(), "line 000999");
        // Its position is forgotten.
        second.until(|| saved(folder.path()).is_empty()).await;
        if how == "queue" {
            second.until(|| fake.is_deleted("m1")).await;
        }
        second.stop();
        running.ended().await.unwrap();
    }
}

#[tokio::test]
async fn requirement_17_an_object_that_is_stopped_after_its_first_batch_is_continued() {
    for how in ["queue", "listing"] {
        let (fake, folder) = (Fake::start().await, tempfile::tempdir().unwrap());
        fake.put("a", gzip(lines(0..1000)));
        fake.send("m1", announce(&["a"]));
        let options = match how {
            "queue" => fake.options(json!({})),
            _ => fake.storage_options(json!({ "listing": { "bucket": "logs", "interval": "50ms" } })),
        };
        let first = rig(folder.path());
        let running = first.start("aws_s3", options.clone());
        deliver(first.pop().await);
        first.stop();
        // What was sent before the stop returns undelivered.
        let mut ended = std::pin::pin!(running.ended());
        loop {
            tokio::select! {
                result = &mut ended => break result.unwrap(),
                batch = first.pop() => drop(batch),
            }
        }
        assert_eq!(saved(folder.path()), [("a".to_owned(), 1200)], "{how}");
        let second = rig(folder.path());
        let running = second.start("aws_s3", options);
        let batch = first_batch(&second, &fake).await;
        assert_eq!((texts(&batch)[0].as_str(), batch.position()), ("line 000100", Some(1200)), "{how}");
        deliver(batch);
        assert_eq!(second.take(800).await.last().unwrap(), "line 000999");
        second.stop();
        running.ended().await.unwrap();
    }
}

#[tokio::test]
async fn requirement_17_another_object_with_the_key_is_read_from_its_start() {
    let (fake, folder) = (Fake::start().await, tempfile::tempdir().unwrap());
    fake.put("a", lines(0..1000));
    fake.send("m1", announce(&["a"]));
    let first = rig(folder.path());
    let running = first.start("aws_s3", fake.options(json!({})));
    killed_in_the_middle(&first, running, folder.path()).await;
    let other = lines(0..1001);
    assert_ne!(etag(other.as_bytes()), etag(lines(0..1000).as_bytes()));
    fake.put("a", other);
    let second = rig(folder.path());
    let running = second.start("aws_s3", fake.options(json!({})));
    let batch = first_batch(&second, &fake).await;
    assert_eq!((texts(&batch)[0].as_str(), batch.position()), ("line 000000", Some(0)));
    deliver(batch);
    assert_eq!(second.take(901).await.last().unwrap(), "line 001000");
    second.until(|| fake.is_deleted("m1") && saved(folder.path()).is_empty()).await;
    second.stop();
    running.ended().await.unwrap();
}

#[tokio::test]
async fn requirement_17_an_object_that_is_announced_twice_is_read_twice() {
    let (fake, folder) = (Fake::start().await, tempfile::tempdir().unwrap());
    fake.put("a", lines(0..1000));
    fake.send("m1", announce(&["a"]));
    fake.send("m2", announce(&["a"]));
    let rig = rig(folder.path()).once();
    let running = rig.start("aws_s3", fake.options(json!({})));
    let (bodies, ended) = rig.drain(running).await;
    ended.unwrap();
    assert_eq!((bodies.len(), fake.reads_of("a")), (2000, 2));
}
