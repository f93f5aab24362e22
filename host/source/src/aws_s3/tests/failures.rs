//! What happens when S3 does not respond, refuses, or is slow.

use std::time::{Duration, Instant};

use serde_json::json;

use super::double::Reply;
use super::fake::{Fake, announce};
use crate::stats::get;
use crate::testing::Rig;

#[tokio::test]
async fn requirement_10_silence_fails_an_object_in_time_and_stops_no_other() {
    let (fake, folder) = (Fake::start().await, tempfile::tempdir().unwrap());
    let rig = Rig::new(folder.path());
    fake.put("whole", "x\n");
    {
        let mut state = fake.state.lock();
        state.broken.insert("silent".to_owned(), Reply::Silence);
        state.broken.insert("stalled".to_owned(), Reply::Stalled(9, Vec::new()));
    }
    for (id, key) in [("m1", "silent"), ("m2", "stalled"), ("m3", "whole")] {
        fake.send(id, announce(&[key]));
    }
    let begun = Instant::now();
    let limits = json!({ "first_byte_timeout": "100ms", "idle_timeout": "100ms" });
    let running = rig.start("aws_s3", fake.options(limits));
    let mut bodies = rig.take(1).await;
    rig.until(|| fake.is_deleted("m3")).await;
    rig.until(|| !fake.changes_of("m1").is_empty() && !fake.changes_of("m2").is_empty()).await;
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert!(!fake.is_deleted("m1") && !fake.is_deleted("m2"));
    bodies.sort();
    assert_eq!((bodies, get(&rig.stats.queue.failed)), (vec!["x".to_owned()], 2));
    let (_, failure) = rig.stats.last_failure.lock().clone().unwrap();
    assert!(failure.contains("within 100ms"), "{failure}");
    rig.stop();
    running.ended().await.unwrap();
}

#[tokio::test]
async fn requirement_10_an_object_that_pauses_is_continued_over_a_new_connection() {
    let (fake, folder) = (Fake::start().await, tempfile::tempdir().unwrap());
    let rig = Rig::new(folder.path()).once();
    fake.put("a", "one\ntwo\n");
    fake.state.lock().faults.insert("a".to_owned(), Reply::Stalled(8, b"one\nt".to_vec()));
    fake.send("m1", announce(&["a"]));
    let running = rig.start("aws_s3", fake.options(json!({ "idle_timeout": "100ms" })));
    let (bodies, ended) = rig.drain(running).await;
    ended.unwrap();
    assert_eq!(bodies, ["one", "two"]);
    assert!(fake.is_deleted("m1"));
    let ranges: Vec<_> = fake.state.lock().reads.iter().map(|(_, range)| range.clone()).collect();
    assert_eq!(ranges, [None, Some("bytes=5-".to_owned())]);
}

#[tokio::test]
async fn requirement_10_a_slow_object_is_read_to_its_end() {
    let (fake, folder) = (Fake::start().await, tempfile::tempdir().unwrap());
    let rig = Rig::new(folder.path()).once();
    let slow = Reply::Dripping(Duration::from_millis(50), b"a slow\nobject\n".to_vec());
    fake.state.lock().faults.insert("a".to_owned(), slow);
    fake.send("m1", announce(&["a"]));
    let begun = Instant::now();
    let limits = json!({ "first_byte_timeout": "400ms", "idle_timeout": "400ms" });
    let running = rig.start("aws_s3", fake.options(limits));
    let (bodies, ended) = rig.drain(running).await;
    ended.unwrap();
    assert_eq!((bodies, fake.reads_of("a")), (vec!["a slow".to_owned(), "object".to_owned()], 1));
    assert!(begun.elapsed() > Duration::from_millis(600));
}
