//! What the sink does when requests fail, and what is in the bucket then.

use wattle_batch::Disposition::{Delivered, GivenUp, Rejected};
use wattle_buffer::disk::Stored as _;

use super::*;
use crate::sink::Payload;

/// The first half of the SHA-256 of the time, 8 bytes of 0, and of the events.
const ONE_TWO: &str = "day=1970-01-01/19700101T000000Z-8f971f21aa5619ce77aa84e000a27e61.log";

fn error(status: u16, code: &str, count: usize) -> Vec<Reply> {
    vec![s3_error(status, code); count]
}

#[tokio::test]
async fn objects_are_named_after_their_events_and_acknowledged_when_they_are_written() {
    let fake = Fake::start().await;
    let options = json!({ "storage_class": "STANDARD_IA", "server_side_encryption": "aws:kms", "ssekms_key_id": "k",
        "tags": { "team": "a b" }, "acl": "bucket-owner-full-control", "batch": { "timeout": "100s" } });
    let sink = start_sink(&fake, options);
    sink.push(&["one"]);
    sink.push(&["two"]);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!((sink.rig.acks(), fake.operations().len()), (vec![], 0), "the object waits for more events");
    sink.rig.flush();
    sink.rig.wait(2).await;
    let rig = sink.finish().await;
    assert_eq!(rig.acks(), [Delivered; 2]);
    assert_eq!(rig.counts(), (2, 8, 0, 0));
    assert_eq!(fake.objects(), BTreeMap::from([(ONE_TWO.to_owned(), "one\ntwo\n".to_owned())]));
    let headers = fake.bucket.lock().headers[0].clone();
    for (name, value) in [
        ("content-type", "text/x-log"),
        ("x-amz-storage-class", "STANDARD_IA"),
        ("x-amz-server-side-encryption", "aws:kms"),
        ("x-amz-server-side-encryption-aws-kms-key-id", "k"),
        ("x-amz-tagging", "team=a%20b"),
        ("x-amz-acl", "bucket-owner-full-control"),
    ] {
        assert!(headers.contains(&(name.to_owned(), value.to_owned())), "{name}: {headers:?}");
    }
}

#[tokio::test]
async fn what_passes_is_retried_and_writes_the_same_object() {
    for replies in [error(503, "SlowDown", 2), error(500, "InternalError", 2), vec![Reply::Close; 2]] {
        let fake = Fake::start().await;
        fake.fault("put", replies.clone());
        let sink = start_sink(&fake, json!({}));
        sink.push(&["one", "two"]);
        sink.rig.wait(1).await;
        assert_eq!(sink.rig.context().stats.broken(Duration::ZERO), None);
        let rig = sink.finish().await;
        assert_eq!((rig.acks(), rig.counts()), (vec![Delivered], (2, 8, 0, 2)), "{replies:?}");
        assert_eq!(fake.keys(), [ONE_TWO; 3], "{replies:?}");
        assert_eq!(fake.objects().len(), 1);
    }
}

#[tokio::test]
async fn what_an_operator_must_fix_breaks_the_sink_until_it_is_fixed() {
    for (status, code, advice) in [
        (403, "AccessDenied", "IAM policy"),
        (403, "InvalidAccessKeyId", "check `auth`"),
        (404, "NoSuchBucket", "create the bucket"),
        (400, "InvalidStorageClass", "check the options"),
        (400, "KMS.DisabledException", "check the options"),
    ] {
        let fake = Fake::start().await;
        fake.fault("put", error(status, code, 1000));
        let sink = start_sink(&fake, json!({}));
        sink.push(&["one", "two"]);
        let stats = sink.rig.context().stats;
        sink.rig.until("a broken sink", || stats.broken(Duration::ZERO).is_some()).await;
        let broken = stats.broken(Duration::ZERO).unwrap();
        assert!(broken.contains(code) && broken.contains(advice), "{broken}");
        assert!(!broken.contains("geheim"), "{broken}");
        assert_eq!(sink.rig.acks(), []);
        fake.bucket.lock().faults.clear();
        sink.rig.wait(1).await;
        assert_eq!(stats.broken(Duration::ZERO), None);
        let rig = sink.finish().await;
        assert_eq!((rig.acks(), rig.counts().0, rig.counts().2), (vec![Delivered], 2, 0));
    }
}

#[tokio::test]
async fn what_is_rejected_for_good_goes_to_the_dead_letters() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dead.jsonl");
    for (more, ack, kept) in [(json!({}), Rejected, 0), (json!({ "dead_letter": path }), Delivered, 2)] {
        let fake = Fake::start().await;
        fake.fault("put", error(400, "KeyTooLongError", 1));
        let sink = start_sink(&fake, more);
        sink.push(&["one", "two"]);
        sink.rig.wait(1).await;
        sink.push(&["three"]);
        let rig = sink.finish().await;
        assert_eq!((rig.acks(), rig.counts()), (vec![ack, Delivered], (1, 6, 2, 0)));
        let lines = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(lines.lines().filter(|line| line.contains("KeyTooLongError")).count(), kept, "{lines}");
        assert_eq!(fake.objects().len(), 1);
    }
}

#[tokio::test]
async fn a_part_that_fails_is_sent_again_alone() {
    let fake = Fake::start().await;
    fake.fault("part 2", error(503, "SlowDown", 2));
    let sink = start_sink(&fake, json!({ "batch": { "max_bytes": "32MiB" } }));
    let text = "0123456789abcde\n".repeat(20 << 16);
    sink.rig.push(&text, 20 << 16);
    let rig = sink.finish().await;
    assert_eq!((rig.acks(), rig.counts().3), (vec![Delivered], 2));
    assert_eq!(fake.operations(), ["create", "part 1", "part 2", "part 2", "part 2", "part 3", "complete"]);
    assert!(fake.objects().into_values().eq([text]), "the object has all of its bytes");
    assert!(fake.bucket.lock().uploads.is_empty());
}

#[tokio::test]
async fn an_upload_that_is_given_up_is_aborted() {
    let fake = Fake::start().await;
    fake.fault("part 2", error(500, "InternalError", 2));
    let options = json!({ "batch": { "max_bytes": "32MiB" }, "request": { "retry_attempts": 1 } });
    let sink = start_sink(&fake, options);
    sink.rig.push(&"x".repeat(9 << 20), 1);
    let rig = sink.finish().await;
    assert_eq!(rig.acks(), [GivenUp]);
    assert_eq!(fake.operations(), ["create", "part 1", "part 2", "part 2", "abort"]);
    assert!(fake.objects().is_empty() && fake.bucket.lock().uploads.is_empty());
}

#[tokio::test]
async fn an_upload_that_is_gone_begins_again() {
    // The response to the first completion is lost, so the second one finds no upload.
    let fake = Fake::start().await;
    fake.bucket.lock().lost.push("complete".to_owned());
    let sink = start_sink(&fake, json!({ "batch": { "max_bytes": "32MiB" } }));
    sink.rig.push(&"x".repeat(9 << 20), 1);
    let rig = sink.finish().await;
    assert_eq!(rig.acks(), [Delivered]);
    let again = ["create", "part 1", "part 2", "complete"];
    assert_eq!(fake.operations(), [&again[..], &["complete"], &again].concat());
    assert_eq!(fake.objects().len(), 1);
}

#[tokio::test]
async fn the_same_events_overwrite_their_object_after_a_kill() {
    let fake = Fake::start().await;
    for is_written in [false, true] {
        // No response arrives until the kill, however often the sink sends its request again.
        match is_written {
            true => fake.bucket.lock().lost.extend((0..1000).map(|_| "put".to_owned())),
            false => fake.fault("put", (0..1000).map(|_| Reply::Silence)),
        }
        let sink = start_sink(&fake, json!({}));
        let before = fake.operations().len();
        sink.push(&["one", "two"]);
        sink.rig.until("a request", || fake.operations().len() > before).await;
        assert_eq!(sink.rig.acks(), []);
        sink.kill().await;
        assert_eq!(fake.objects().len(), usize::from(is_written));
        fake.bucket.lock().faults.clear();
        fake.bucket.lock().lost.clear();
    }
    let sink = start_sink(&fake, json!({}));
    sink.push(&["one", "two"]);
    assert_eq!(sink.finish().await.acks(), [Delivered]);
    assert!(fake.keys().iter().all(|key| key == ONE_TWO), "{:?}", fake.keys());
    assert_eq!(fake.objects().len(), 1);
}

#[tokio::test]
async fn payloads_from_a_disk_buffer_have_the_same_objects() {
    let fake = Fake::start().await;
    let sink = start_sink(&fake, json!({}));
    for payload in sink.encoder.encode(sink.rig.batch(&["one", "two"])) {
        let mut stored = Vec::new();
        payload.encode(&mut stored);
        let read = Payload::decode(stored, payload.events, sink.rig.ack()).unwrap();
        payload.ack.deliver();
        assert!(sink.rig.context().input.try_push(read).is_ok());
    }
    sink.finish().await;
    assert_eq!(fake.objects().into_keys().collect::<Vec<_>>(), [ONE_TWO]);
}

#[tokio::test]
async fn events_in_memory_are_bounded_and_the_queue_waits() {
    let fake = Fake::start().await;
    fake.fault("put", error(503, "SlowDown", 1000));
    let options = json!({ "batch": { "max_bytes": "1KiB", "timeout": "100s" }, "max_in_flight_bytes": "4KiB",
        "request": { "retry_max_backoff": "5ms", "concurrency": 2 } });
    let sink = start_sink(&fake, options);
    (0..100).for_each(|n| sink.push(&[&format!("{n:0255}")]));
    sink.rig.wait_for_retries(20).await;
    assert_eq!(sink.rig.context().input.usage().events, 100 - 16, "4 KiB are in memory");
    fake.bucket.lock().faults.clear();
    let rig = sink.finish().await;
    assert_eq!((rig.acks().len(), rig.counts().0), (100, 100));
    let sizes: Vec<usize> = fake.objects().values().map(String::len).collect();
    assert!(sizes.iter().all(|&size| size <= 1024), "{sizes:?}");
}

#[tokio::test]
async fn many_prefixes_do_not_exceed_the_memory_although_no_object_is_full() {
    let fake = Fake::start().await;
    let options = json!({ "batch": { "max_bytes": "3KiB", "timeout": "100s" }, "max_in_flight_bytes": "4KiB",
        "key_prefix": "p={{ body.p }}/", "encoding": { "codec": "text" } });
    let sink = start_sink(&fake, options);
    let bodies: Vec<String> = (0..8).map(|p| format!(r#"{{"p":{p},"x":"{}"}}"#, "x".repeat(1000))).collect();
    bodies.iter().for_each(|body| sink.push(&[body]));
    // Without the limit, all would wait for the timeout.
    sink.rig.wait(4).await;
    let rig = sink.finish().await;
    assert_eq!(rig.acks(), [Delivered; 8]);
    let prefixes: Vec<String> =
        fake.objects().keys().filter_map(|key| Some(key.split_once('/')?.0.to_owned())).collect();
    assert_eq!(prefixes, (0..8).map(|p| format!("p={p}")).collect::<Vec<_>>());
}
