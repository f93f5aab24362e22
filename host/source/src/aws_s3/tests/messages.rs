//! What happens to messages.

use std::time::Duration;

use serde_json::json;

use super::fake::{Fake, announce};
use super::{deliver, lines, source};
use crate::stats::get;
use crate::testing::{Rig, gzip, resource, texts};

const QUIET: Duration = Duration::from_millis(300);

#[tokio::test]
async fn requirement_04_a_message_is_deleted_after_the_delivery_of_its_object() {
    let (fake, folder) = (Fake::start().await, tempfile::tempdir().unwrap());
    let rig = Rig::new(folder.path());
    fake.put("a/1.log.gz", gzip("one\ntwo\n"));
    fake.send("m1", announce(&["a/1.log.gz"]));
    let running = rig.start("aws_s3", fake.options(json!({})));
    let batch = rig.pop().await;
    assert_eq!(texts(&batch), ["one", "two"]);
    let expected =
        json!({ "name": "in", "type": "aws_s3", "bucket": "logs", "key": "a/1.log.gz", "region": "eu-west-1" });
    assert_eq!(resource(&batch), expected);
    rig.expect_quiet(QUIET).await;
    assert!(!fake.is_deleted("m1"));
    assert_eq!(get(&rig.stats.queue.in_flight), 1);
    deliver(batch);
    rig.until(|| fake.is_deleted("m1")).await;
    rig.stop();
    running.ended().await.unwrap();
    let queue = &rig.stats.queue;
    assert_eq!([&queue.received, &queue.deleted, &queue.returned, &queue.objects].map(get), [1, 1, 0, 1]);
    assert!(queue.delays.snapshot().count == 1 && get(&queue.in_flight) == 0);
    assert_eq!(fake.reads_of("a/1.log.gz"), 1);
}

#[tokio::test]
async fn with_once_the_source_ends_with_the_queue() {
    let (fake, folder) = (Fake::start().await, tempfile::tempdir().unwrap());
    let rig = Rig::new(folder.path()).once();
    for number in 0..40 {
        fake.put(&format!("{number}"), format!("event {number}\n"));
        fake.send(&format!("m{number:02}"), announce(&[&number.to_string()]));
    }
    let running = rig.start("aws_s3", fake.options(json!({})));
    let (bodies, ended) = rig.drain(running).await;
    ended.unwrap();
    assert_eq!((bodies.len(), fake.state.lock().deleted.len()), (40, 40));
}

#[tokio::test]
async fn requirement_04_rejected_events_are_not_read_again() {
    let (fake, folder) = (Fake::start().await, tempfile::tempdir().unwrap());
    let mut rig = Rig::new(folder.path());
    rig.limits.max_events = 10;
    fake.put("a", lines(0..30));
    fake.send("m1", announce(&["a"]));
    let running = rig.start("aws_s3", fake.options(json!({})));
    let (first, second, third) = (rig.pop().await, rig.pop().await, rig.pop().await);
    deliver(first);
    deliver(third);
    rig.expect_quiet(QUIET).await;
    assert!(!fake.is_deleted("m1"), "a part is not delivered");
    // The sink has written them to its dead letters, or counted them as lost.
    second.into_ack().reject(1);
    rig.until(|| fake.is_deleted("m1")).await;
    assert_eq!((fake.reads_of("a"), get(&rig.stats.retries)), (1, 0));
    rig.stop();
    running.ended().await.unwrap();
}

#[tokio::test]
async fn requirement_03_thousands_of_small_objects_are_in_flight_and_each_ends_alone() {
    let (fake, folder) = (Fake::start().await, tempfile::tempdir().unwrap());
    let rig = Rig::new(folder.path());
    for number in 0..3000 {
        fake.put(&number.to_string(), format!("{number}\n"));
        fake.send(&format!("m{number}"), announce(&[&number.to_string()]));
    }
    let running = rig.start("aws_s3", fake.options(json!({ "max_in_flight": 2500 })));
    let mut held = Vec::new();
    for _ in 0..2500 {
        held.push(rig.pop().await);
    }
    // None of them waited for the delivery of another one, and no more were received.
    rig.expect_quiet(QUIET).await;
    assert_eq!((get(&rig.stats.queue.in_flight), fake.state.lock().deleted.len()), (2500, 0));
    // Messages end in the order of their delivery.
    for index in [2499, 1200, 0] {
        let batch = held.remove(index);
        let message = format!("m{}", texts(&batch)[0]);
        deliver(batch);
        rig.until(|| fake.is_deleted(&message)).await;
    }
    assert_eq!(fake.state.lock().deleted.len(), 3);
    held.into_iter().for_each(deliver);
    assert_eq!(rig.take(500).await.len(), 500);
    rig.until(|| fake.state.lock().messages.is_empty()).await;
    rig.stop();
    running.ended().await.unwrap();
    let most = [&rig.stats.queue.received, &rig.stats.queue.deleted, &rig.stats.queue.objects].map(get);
    assert_eq!((most, fake.state.lock().reads.len()), ([3000; 3], 3000));
}

#[tokio::test]
async fn undelivered_events_are_read_again_from_the_first_of_them() {
    let (fake, folder) = (Fake::start().await, tempfile::tempdir().unwrap());
    let mut rig = Rig::new(folder.path());
    rig.limits.max_events = 10;
    fake.put("a", lines(0..30));
    fake.send("m1", announce(&["a"]));
    let running = rig.start("aws_s3", fake.options(json!({})));
    deliver(rig.pop().await);
    // Dropped: returned undelivered.
    drop(rig.pop().await);
    deliver(rig.pop().await);
    let again = rig.pop().await;
    assert!(again.is_redelivered());
    assert_eq!(texts(&again)[0], "line 000010");
    deliver(again);
    assert!(!fake.is_deleted("m1"));
    deliver(rig.pop().await);
    rig.until(|| fake.is_deleted("m1")).await;
    assert!(fake.changes_of("m1").is_empty(), "the message stayed with this source");
    rig.stop();
    running.ended().await.unwrap();
}

#[tokio::test]
async fn requirement_05_finished_objects_of_a_message_are_not_read_again() {
    let (fake, folder) = (Fake::start().await, tempfile::tempdir().unwrap());
    let rig = Rig::new(folder.path());
    for key in ["a", "b", "c"] {
        fake.put(key, format!("{key}\n"));
    }
    fake.state.lock().denied.insert("b".to_owned());
    fake.send("m1", announce(&["a", "b", "c"]));
    let running = rig.start("aws_s3", fake.options(json!({})));
    let mut first = rig.take(2).await;
    first.sort();
    assert_eq!(first, ["a", "c"], "requirement 8: `b` does not stop the others");
    rig.until(|| !fake.changes_of("m1").is_empty()).await;
    let pause = fake.changes_of("m1")[0];
    assert!((5..=10).contains(&pause), "with jitter: {pause}");
    assert!(!fake.is_deleted("m1"));
    let (_, failure) = rig.stats.last_failure.lock().clone().unwrap();
    assert!(failure.contains("s3://logs/b") && failure.contains("AccessDenied"), "{failure}");
    fake.state.lock().denied.clear();
    fake.expire("m1");
    assert_eq!(rig.take(1).await, ["b"]);
    rig.until(|| fake.is_deleted("m1")).await;
    assert_eq!(["a", "b", "c"].map(|key| fake.reads_of(key)), [1, 2, 1]);
    rig.stop();
    running.ended().await.unwrap();
}

#[tokio::test]
async fn pauses_grow_with_each_delivery() {
    let (fake, folder) = (Fake::start().await, tempfile::tempdir().unwrap());
    let rig = Rig::new(folder.path());
    fake.send("m1", announce(&["gone"]));
    let running = rig.start("aws_s3", fake.options(json!({})));
    for (number, (low, high)) in [(5, 10), (10, 20), (20, 40)].into_iter().enumerate() {
        rig.until(|| fake.changes_of("m1").len() == number + 1).await;
        let pause = fake.changes_of("m1")[number];
        assert!((low..=high).contains(&pause), "{pause}");
        fake.expire("m1");
    }
    rig.stop();
    running.ended().await.unwrap();
    assert!(get(&rig.stats.queue.missing) >= 3);
}

#[tokio::test]
async fn requirement_07_a_missing_object_has_a_policy() {
    let (fake, folder) = (Fake::start().await, tempfile::tempdir().unwrap());
    let rig = Rig::new(folder.path());
    fake.send("m1", announce(&["gone"]));
    let running = rig.start("aws_s3", fake.options(json!({ "on_missing": "delete" })));
    rig.until(|| fake.is_deleted("m1")).await;
    // A bucket that does not exist is a wrong option rather than a missing object.
    fake.state.lock().faults.insert("x".to_owned(), super::double::s3_error(404, "NoSuchBucket"));
    fake.send("m2", announce(&["x"]));
    rig.until(|| !fake.changes_of("m2").is_empty()).await;
    assert!(!fake.is_deleted("m2"));
    rig.stop();
    running.ended().await.unwrap();
    assert_eq!(get(&rig.stats.queue.missing), 1);
}

#[tokio::test]
async fn requirement_06_other_messages_are_deleted_or_left_to_the_redrive_policy() {
    let (fake, folder) = (Fake::start().await, tempfile::tempdir().unwrap());
    let rig = Rig::new(folder.path());
    fake.put("a b", "x\n");
    fake.send("test", json!({ "Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "logs", "Time": "t" }));
    let mut removed = announce(&["a"]);
    removed["Records"][0]["eventName"] = "ObjectRemoved:Delete".into();
    fake.send("removed", removed);
    fake.send("garbage", "<not json>");
    let mut mixed = announce(&["a+b", "c"]);
    mixed["Records"][1]["s3"]["object"]["key"] = json!(5);
    fake.state.lock().objects.insert("a%20b".to_owned(), ("valid\n".into(), String::new()));
    fake.send("mixed", mixed);
    let running = rig.start("aws_s3", fake.options(json!({})));
    assert_eq!(rig.take(1).await, ["valid"]);
    rig.until(|| fake.is_deleted("test") && fake.is_deleted("removed")).await;
    rig.until(|| !fake.changes_of("garbage").is_empty() && !fake.changes_of("mixed").is_empty()).await;
    rig.stop();
    running.ended().await.unwrap();
    assert!(!fake.is_deleted("garbage") && !fake.is_deleted("mixed"));
    let queue = &rig.stats.queue;
    assert_eq!([&queue.received, &queue.deleted, &queue.ignored, &queue.invalid].map(get), [4, 2, 1, 2]);
}

#[tokio::test]
async fn objects_that_the_options_exclude_are_counted() {
    let (fake, folder) = (Fake::start().await, tempfile::tempdir().unwrap());
    let rig = Rig::new(folder.path());
    fake.put("in/a", "a\n");
    fake.send("m1", announce(&["out/b", "in/a"]));
    fake.send("m2", announce(&["out/c"]));
    let running = rig.start("aws_s3", fake.options(json!({ "include": ["in/**"], "buckets": ["log?"] })));
    assert_eq!(rig.take(1).await, ["a"]);
    rig.until(|| fake.is_deleted("m1") && fake.is_deleted("m2")).await;
    rig.stop();
    running.ended().await.unwrap();
    assert_eq!((get(&rig.stats.queue.filtered), fake.state.lock().reads.len()), (2, 1));
}

#[tokio::test]
async fn requirement_02_no_more_messages_are_received_than_can_begin() {
    let (fake, folder) = (Fake::start().await, tempfile::tempdir().unwrap());
    let rig = Rig::new(folder.path());
    for number in 0..20 {
        fake.put(&number.to_string(), "x\n");
        fake.send(&format!("m{number:02}"), announce(&[&number.to_string()]));
    }
    let running = rig.start("aws_s3", fake.options(json!({ "max_objects": 2, "max_in_flight": 3 })));
    let held = [rig.pop().await, rig.pop().await, rig.pop().await];
    rig.expect_quiet(QUIET).await;
    held.into_iter().for_each(deliver);
    assert_eq!(rig.take(17).await.len(), 17);
    rig.until(|| fake.state.lock().messages.is_empty()).await;
    assert_eq!(fake.state.lock().most_hidden, 3);
    rig.stop();
    running.ended().await.unwrap();
}

#[tokio::test]
async fn requirement_01_messages_in_work_stay_hidden() {
    let (fake, folder) = (Fake::start().await, tempfile::tempdir().unwrap());
    let rig = Rig::new(folder.path());
    fake.put("a", "x\n");
    fake.send("m1", announce(&["a"]));
    let options = fake.options(json!({}));
    let running = rig.start_source(source(options, |settings| settings.visibility = Duration::from_secs(2)));
    let batch = rig.pop().await;
    rig.until(|| fake.changes_of("m1").len() >= 3).await;
    assert_eq!(fake.changes_of("m1"), [2; 3]);
    assert_eq!(fake.state.lock().messages["m1"].deliveries, 1, "no other receiver got it");
    assert!(rig.stats.queue.oldest_seconds() > 0);
    deliver(batch);
    rig.until(|| fake.is_deleted("m1")).await;
    rig.stop();
    running.ended().await.unwrap();
}

#[tokio::test]
async fn a_message_that_comes_twice_is_read_once_and_deleted_by_its_newest_receipt() {
    let (fake, folder) = (Fake::start().await, tempfile::tempdir().unwrap());
    let rig = Rig::new(folder.path());
    fake.put("a", "x\n");
    fake.send("m1", announce(&["a"]));
    let running = rig.start("aws_s3", fake.options(json!({})));
    let batch = rig.pop().await;
    fake.expire("m1");
    rig.until(|| get(&rig.stats.queue.received) == 2).await;
    rig.expect_quiet(QUIET).await;
    deliver(batch);
    rig.until(|| fake.is_deleted("m1")).await;
    assert_eq!(fake.reads_of("a"), 1);
    rig.stop();
    running.ended().await.unwrap();
}

#[tokio::test]
async fn requirement_11_a_stop_gives_back_what_is_not_read_and_finishes_the_rest() {
    let (fake, folder) = (Fake::start().await, tempfile::tempdir().unwrap());
    let rig = Rig::new(folder.path());
    fake.put("whole", "x\n");
    fake.put("stalled", "");
    let stalled = super::double::Reply::Stalled(1 << 20, b"half of".to_vec());
    fake.state.lock().faults.insert("stalled".to_owned(), stalled);
    fake.send("m1", announce(&["whole"]));
    fake.send("m2", announce(&["stalled"]));
    let running = rig.start("aws_s3", fake.options(json!({})));
    let batch = rig.pop().await;
    rig.until(|| fake.reads_of("stalled") == 1).await;
    rig.stop();
    rig.until(|| fake.changes_of("m2") == [0]).await;
    assert!(!running.is_ended(), "it waits for the delivery of the other object");
    deliver(batch);
    running.ended().await.unwrap();
    assert!(fake.is_deleted("m1") && !fake.is_deleted("m2"));
    assert_eq!(rig.queue.byte_len(), 0, "half an object is no event");
}

#[tokio::test]
async fn a_dropped_source_gives_back_its_messages_and_loses_nothing() {
    let (fake, folder) = (Fake::start().await, tempfile::tempdir().unwrap());
    let rig = Rig::new(folder.path());
    fake.put("a", "x\n");
    fake.send("m1", announce(&["a"]));
    let running = rig.start("aws_s3", fake.options(json!({})));
    drop(rig.pop().await);
    running.kill().await;
    rig.until(|| fake.changes_of("m1") == [0]).await;
    let running = rig.start("aws_s3", fake.options(json!({})));
    assert_eq!(rig.take(1).await, ["x"]);
    rig.until(|| fake.is_deleted("m1")).await;
    rig.stop();
    running.ended().await.unwrap();
}
