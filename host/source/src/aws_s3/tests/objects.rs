//! How objects are read.

use std::time::Duration;

use serde_json::json;

use super::double::Reply;
use super::fake::{Fake, announce, etag};
use super::{deliver, lines};
use crate::stats::get;
use crate::testing::{Rig, gzip, texts};

#[tokio::test]
async fn requirement_14_objects_are_read_as_files_are() {
    let document = "{\"Records\":[{\"a\":1},{\"b\":2}]}";
    for (framing, body, expected) in [
        ("auto", gzip(document), vec![document]),
        ("auto", "{\"a\":1}\n{\n \"b\": 2\n}\n".into(), vec!["{\"a\":1}", "{\n \"b\": 2\n}"]),
        ("document", gzip("a\nb\n"), vec!["a\nb\n"]),
        ("document", "a\nb".into(), vec!["a\nb"]),
        ("lines", [gzip("a\nb"), gzip("c\nd")].concat(), vec!["a", "bc", "d"]),
        ("lines", zstd::encode_all(&b"a\nb"[..], 1).unwrap(), vec!["a", "b"]),
        ("lines", "\u{feff}a\r\nb".into(), vec!["a", "b"]),
    ] {
        let (fake, folder) = (Fake::start().await, tempfile::tempdir().unwrap());
        let rig = Rig::new(folder.path()).once();
        fake.put("a", body);
        fake.send("m1", announce(&["a"]));
        let running = rig.start("aws_s3", fake.options(json!({ "framing": framing })));
        let (bodies, ended) = rig.drain(running).await;
        ended.unwrap();
        assert_eq!(bodies, expected);
        assert!(fake.is_deleted("m1"));
    }
}

#[tokio::test]
async fn requirement_14_csv_objects_arrive_record_by_record() {
    let csv = "user,text\r\nanna,\"two\nlines\"\r\nbob,\"a \"\"word\"\"\"\r\n";
    let records = ["user,text", "anna,\"two\nlines\"", "bob,\"a \"\"word\"\"\""];
    let lines = ["user,text", "anna,\"two", "lines\"", "bob,\"a \"\"word\"\"\""];
    for (framing, body, expected) in [
        ("csv", csv.into(), &records[..]),
        ("csv", gzip(csv), &records[..]),
        ("auto", csv.into(), &lines[..]),
        ("lines", csv.into(), &lines[..]),
    ] {
        let (fake, folder) = (Fake::start().await, tempfile::tempdir().unwrap());
        let rig = Rig::new(folder.path()).once();
        // Each object has a line with the names of its columns.
        fake.put("a.csv", body);
        fake.put("b.csv", "user,text\ncarl,x\n");
        fake.send("m1", announce(&["a.csv", "b.csv"]));
        let running = rig.start("aws_s3", fake.options(json!({ "framing": framing })));
        let (bodies, ended) = rig.drain(running).await;
        ended.unwrap();
        let expected: Vec<&str> = expected.iter().copied().chain(["user,text", "carl,x"]).collect();
        assert_eq!(bodies, expected, "{framing}");
        assert!(fake.is_deleted("m1"));
    }
}

#[tokio::test]
async fn an_empty_object_has_no_events() {
    let (fake, folder) = (Fake::start().await, tempfile::tempdir().unwrap());
    let rig = Rig::new(folder.path()).once();
    fake.put("a", "");
    fake.send("m1", announce(&["a"]));
    let running = rig.start("aws_s3", fake.options(json!({})));
    let (bodies, ended) = rig.drain(running).await;
    ended.unwrap();
    assert!(bodies.is_empty() && fake.is_deleted("m1"));
}

#[tokio::test]
async fn requirement_19_the_first_batch_leaves_before_the_object_is_complete() {
    let (fake, folder) = (Fake::start().await, tempfile::tempdir().unwrap());
    let mut rig = Rig::new(folder.path());
    rig.limits.max_events = 100;
    let half = lines(0..50_000);
    // More than what is kept of the start for the detection of formats.
    fake.state.lock().faults.insert("a".to_owned(), Reply::Stalled(1 << 30, half.clone().into()));
    fake.send("m1", announce(&["a"]));
    let running = rig.start("aws_s3", fake.options(json!({})));
    let batch = rig.pop().await;
    assert_eq!((texts(&batch)[0].as_str(), batch.rows()), ("line 000000", 100));
    assert!(!fake.is_deleted("m1"));
    running.kill().await;
}

#[tokio::test]
async fn reading_waits_while_too_many_bytes_are_undelivered() {
    let (fake, folder) = (Fake::start().await, tempfile::tempdir().unwrap());
    let mut rig = Rig::new(folder.path());
    rig.limits.max_events = 100;
    fake.put("a", lines(0..1000));
    fake.send("m1", announce(&["a"]));
    // A batch has 1,100 bytes, which are two units of 1 KiB.
    let running = rig.start("aws_s3", fake.options(json!({ "max_in_flight_bytes": "4KiB" })));
    let held = [rig.pop().await, rig.pop().await];
    rig.expect_quiet(Duration::from_millis(300)).await;
    held.into_iter().for_each(deliver);
    assert_eq!(rig.take(800).await.len(), 800);
    rig.until(|| fake.is_deleted("m1")).await;
    rig.stop();
    running.ended().await.unwrap();
}

#[tokio::test]
async fn a_broken_connection_continues_at_its_position_in_the_same_object() {
    let (fake, folder) = (Fake::start().await, tempfile::tempdir().unwrap());
    let rig = Rig::new(folder.path()).once();
    let body = lines(0..1000);
    fake.put("a", body.clone());
    let cut = Reply::Raw(
        [
            format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\netag: {}\r\n\r\n", body.len(), etag(body.as_bytes()))
                .as_bytes(),
            &body.as_bytes()[..5000],
        ]
        .concat(),
    );
    fake.state.lock().faults.insert("a".to_owned(), cut);
    fake.send("m1", announce(&["a"]));
    let running = rig.start("aws_s3", fake.options(json!({})));
    let (bodies, ended) = rig.drain(running).await;
    ended.unwrap();
    assert_eq!(bodies.len(), 1000);
    assert!(bodies.windows(2).all(|pair| pair[0] < pair[1]), "no line twice or cut");
    let ranges: Vec<_> = fake.state.lock().reads.iter().map(|(_, range)| range.clone()).collect();
    assert_eq!(ranges, [None, Some("bytes=5000-".to_owned())]);
    assert!(fake.is_deleted("m1"));
}

#[tokio::test]
async fn an_object_that_is_overwritten_midway_is_read_again_from_its_start() {
    let (fake, folder) = (Fake::start().await, tempfile::tempdir().unwrap());
    let mut rig = Rig::new(folder.path());
    rig.limits.max_events = 100;
    let cut = Reply::Raw(
        [b"HTTP/1.1 200 OK\r\ncontent-length: 99999\r\netag: \"old\"\r\n\r\n".as_slice(), lines(0..200).as_bytes()]
            .concat(),
    );
    fake.put("a", "new\n");
    fake.state.lock().faults.insert("a".to_owned(), cut);
    fake.send("m1", announce(&["a"]));
    let running = rig.start("aws_s3", fake.options(json!({})));
    assert_eq!(rig.take(200).await.len(), 200);
    rig.until(|| !fake.changes_of("m1").is_empty()).await;
    let (_, failure) = rig.stats.last_failure.lock().clone().unwrap();
    assert!(failure.contains("overwritten"), "{failure}");
    fake.expire("m1");
    assert_eq!(rig.take(1).await, ["new"]);
    rig.until(|| fake.is_deleted("m1")).await;
    rig.stop();
    running.ended().await.unwrap();
}

#[tokio::test]
async fn requirement_19_broken_objects_are_counted_and_their_events_delivered_once() {
    let bomb = gzip(vec![b'\n'; 40 << 20]);
    // All lines can be read, but nothing says that they are all.
    let mut damaged = gzip("one\ntwo\nthree\n");
    damaged.truncate(damaged.len() - 9);
    let long = format!("one\n{}\ntwo\n", "x".repeat(5000));
    let followed = |tail: Vec<u8>| [gzip("one\ntwo"), tail].concat();
    let after = "other data after its compressed data";
    for (body, wanted, reason) in [
        (bomb, &["other"][..], "raise `max_decompression_ratio`"),
        (followed(b"lost\n".to_vec()), &["one", "other", "two"], after),
        (followed(zstd::encode_all(&b"lost\n"[..], 1).unwrap()), &["one", "other", "two"], after),
        ([zstd::encode_all(&b"one\n"[..], 1).unwrap(), gzip("lost\n")].concat(), &["one", "other"], after),
        (damaged, &["one", "other", "three", "two"], "ends too early"),
        (long.into_bytes(), &["one", "other", "two"], "longer than `max_line_bytes`"),
    ] {
        let (fake, folder) = (Fake::start().await, tempfile::tempdir().unwrap());
        let rig = Rig::new(folder.path());
        fake.put("a", body);
        fake.put("b", "other\n");
        fake.send("m1", announce(&["a"]));
        fake.send("m2", announce(&["b"]));
        let options = json!({ "max_line_bytes": "1KiB", "max_decompression_ratio": 100 });
        let running = rig.start("aws_s3", fake.options(options));
        let mut bodies = rig.take(wanted.len()).await;
        bodies.sort();
        assert_eq!(bodies, wanted);
        rig.until(|| !fake.changes_of("m1").is_empty()).await;
        rig.until(|| fake.is_deleted("m2")).await;
        let (_, failure) = rig.stats.last_failure.lock().clone().unwrap();
        assert!(failure.contains(reason), "{failure}");
        let reads = fake.reads_of("a");
        fake.expire("m1");
        rig.until(|| fake.changes_of("m1").len() == 2).await;
        assert_eq!((fake.reads_of("a"), get(&rig.stats.queue.failed)), (reads, 1), "it is not read again");
        assert!(!fake.is_deleted("m1"));
        rig.stop();
        running.ended().await.unwrap();
    }
    let (fake, folder) = (Fake::start().await, tempfile::tempdir().unwrap());
    let rig = Rig::new(folder.path()).once();
    fake.put("a", [gzip("one\n"), b"\x1f\x8b\x08damage".to_vec()].concat());
    fake.send("m1", announce(&["a"]));
    let running = rig.start("aws_s3", fake.options(json!({ "on_broken": "delete" })));
    let (bodies, ended) = rig.drain(running).await;
    ended.unwrap();
    assert_eq!((bodies, fake.is_deleted("m1")), (vec!["one".to_owned()], true));
}

#[tokio::test]
async fn batches_have_the_position_of_their_first_event_and_are_the_same_when_read_again() {
    let read = async || {
        let (fake, folder) = (Fake::start().await, tempfile::tempdir().unwrap());
        let mut rig = Rig::new(folder.path());
        rig.limits.max_events = 100;
        fake.put("a", gzip(lines(0..250)));
        fake.send("m1", announce(&["a"]));
        let running = rig.start("aws_s3", fake.options(json!({})));
        let mut found = Vec::new();
        for _ in 0..3 {
            let batch = rig.pop().await;
            found.push((batch.position(), texts(&batch)));
        }
        running.kill().await;
        found
    };
    let first = read().await;
    let positions: Vec<_> = first.iter().map(|(position, rows)| (*position, rows.len())).collect();
    assert_eq!(positions, [(Some(0), 100), (Some(1200), 100), (Some(2400), 50)]);
    assert_eq!(read().await, first);
}
