//! What happens when S3 does not respond, refuses, or is slow.

use std::time::{Duration, Instant};

use serde_json::json;

use super::Log;
use super::double::{Reply, s3_error};
use super::fake::{Fake, announce};
use crate::stats::get;
use crate::testing::{Rig, gzip};

#[tokio::test]
async fn requirement_08_objects_that_cannot_be_read_stop_no_other() {
    let (fake, folder) = (Fake::start().await, tempfile::tempdir().unwrap());
    let rig = Rig::new(folder.path());
    let mut damaged = gzip(super::lines(0..100));
    damaged.truncate(damaged.len() / 2);
    fake.put("damaged", [damaged, vec![b'x'; 100]].concat());
    fake.put("denied", "x\n");
    fake.state.lock().denied.insert("denied".to_owned());
    // They come first, and there is one object at a time.
    let bad = ["damaged", "denied", "missing"];
    for (number, key) in bad.iter().enumerate() {
        fake.send(&format!("a{number}"), announce(&[key]));
    }
    for number in 0..5 {
        fake.put(&number.to_string(), format!("good {number}\n"));
        fake.send(&format!("b{number}"), announce(&[&number.to_string()]));
    }
    let options = fake.options(json!({ "max_objects": 1, "max_in_flight": 1 }));
    let running = rig.start("aws_s3", options);
    let mut good = Vec::new();
    while good.len() < 5 {
        let batch = rig.pop().await;
        good.extend(crate::testing::texts(&batch).into_iter().filter(|text| text.starts_with("good")));
        super::deliver(batch);
    }
    good.sort();
    assert_eq!(good, ["good 0", "good 1", "good 2", "good 3", "good 4"]);
    rig.until(|| fake.state.lock().deleted.len() == 5).await;
    // The others come again later.
    for number in 0..bad.len() {
        let changes = fake.changes_of(&format!("a{number}"));
        assert!(matches!(changes[..], [5..=10]), "{changes:?}");
    }
    assert_eq!((get(&rig.stats.queue.failed), get(&rig.stats.queue.missing)), (2, 1));
    rig.stop();
    running.ended().await.unwrap();
}

#[tokio::test]
async fn requirement_09_an_outage_of_the_queue_causes_few_requests_and_names_its_cause() {
    let (log, _guard) = Log::collect();
    let (fake, folder) = (Fake::start().await, tempfile::tempdir().unwrap());
    let rig = Rig::new(folder.path());
    let denied = b"{\"__type\":\"AWS.SimpleQueueService.NonExistentQueue\",\"message\":\"no such queue\"}".to_vec();
    for (outage, cause) in [
        (Reply::Full(503, Vec::new(), Vec::new()), "503"),
        (Reply::Close, "closed the connection"),
        (Reply::Full(400, Vec::new(), denied), "no such queue"),
    ] {
        fake.state.lock().outage = Some(outage);
        fake.state.lock().receives = 0;
        let running = rig.start("aws_s3", fake.options(json!({})));
        tokio::time::sleep(Duration::from_millis(2500)).await;
        // After 0 s, then after 0.5 to 1 s, then after 1 to 2 s more.
        let requests = fake.state.lock().receives;
        assert!((1..=4).contains(&requests), "{cause}: {requests}");
        let lines = log.fields("cannot receive messages; retrying");
        let line = lines.last().unwrap();
        assert!(line["error"].as_str().unwrap().contains(cause), "{line}");
        assert!(line["error"].as_str().unwrap().contains("events"), "the line names the queue: {line}");
        running.kill().await;
    }
    assert_eq!(get(&rig.stats.queue.retried_requests), log.fields("cannot receive messages; retrying").len() as u64);
}

#[tokio::test]
async fn requirement_09_a_store_that_rejects_requests_is_not_flooded() {
    let (fake, folder) = (Fake::start().await, tempfile::tempdir().unwrap());
    let rig = Rig::new(folder.path());
    fake.state.lock().broken.insert("slow".to_owned(), s3_error(503, "SlowDown"));
    fake.send("a", announce(&["slow"]));
    let running = rig.start("aws_s3", fake.options(json!({})));
    rig.until(|| !fake.changes_of("a").is_empty()).await;
    let (_, failure) = rig.stats.last_failure.lock().clone().unwrap();
    assert!(failure.contains("s3://logs/slow") && failure.contains("SlowDown"), "{failure}");
    // Some attempts with pauses, then a pause of the message, with jitter.
    assert_eq!((fake.reads_of("slow"), get(&rig.stats.queue.retried_requests)), (4, 3));
    assert!((5..=10).contains(&fake.changes_of("a")[0]));
    // A wrong permission for all objects: what one receiver does in three seconds without pauses is all of them.
    for number in 0..1000 {
        fake.state.lock().denied.insert(number.to_string());
        fake.send(&format!("m{number}"), announce(&[&number.to_string()]));
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    let reads = fake.state.lock().reads.len();
    assert!((20..=120).contains(&reads), "{reads}");
    rig.stop();
    running.ended().await.unwrap();
}

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
