//! The agent reads objects of S3 that an SQS queue announces, and writes objects: nothing is lost, and nothing stays behind.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that cannot go on fails; clippy exempts only the test functions themselves"
)]

mod clients;
mod commands;
mod documented;
mod moto;
mod parquet;
mod scale;
mod signed;
mod sink;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::time::{Duration, Instant};

use moto::Moto;
use serde_json::{Value, json};
use wattle_tests::{Endpoint, Folder, free_address, wait_until};

const LINES: usize = 20;

/// Objects of JSON lines with ids, compressed as CloudTrail does.
fn put_objects(moto: &Moto, objects: std::ops::Range<usize>) {
    for object in objects {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        for line in 0..LINES {
            writeln!(gzip, "{}", json!({ "eventID": format!("{object}-{line}") })).unwrap();
        }
        moto.put(
            &format!("AWSLogs/a b+{object}.json.gz").replace(' ', "%20").replace('+', "%2B"),
            &gzip.finish().unwrap(),
        );
    }
}

fn to_file(moto: &Moto, visibility: &str) -> String {
    let config = moto.config(visibility).file_sink("out", &["p.out"], "out.ndjson").set("fsync", "never");
    config.set("encoding.codec", "text").text()
}

/// The ids of events: lines as they were, or events with a body.
fn ids(events: &[Value]) -> BTreeSet<String> {
    let id = |event: &Value| {
        let body = event["body"].as_str().map(|body| serde_json::from_str(body).unwrap());
        body.unwrap_or_else(|| event.clone())["eventID"].as_str().unwrap().to_owned()
    };
    events.iter().map(id).collect()
}

fn is_empty(moto: &Moto) -> bool {
    moto.messages("events") == (0, 0)
}

#[test]
fn every_announced_object_arrives_once_and_its_message_is_deleted() {
    let (moto, folder) = (Moto::start(), Folder::new());
    moto.notify();
    put_objects(&moto, 0..60);
    let begun = Instant::now();
    let agent = folder.start(&to_file(&moto, "30s"));
    wait_until("all objects are read", || folder.events("out.ndjson").len() >= 60 * LINES);
    wait_until("the queue is empty", || is_empty(&moto));
    println!("60 objects in {:?}", begun.elapsed());
    let ended = agent.stop();
    let events = folder.events("out.ndjson");
    assert_eq!((events.len(), ids(&events).len()), (60 * LINES, 60 * LINES));
    assert_eq!(moto.messages("dead"), (0, 0));
    assert!(!ended.log.contains("secret-of-test"), "{}", ended.log);
    // On a busy machine, moto sometimes fails a request that comes together with another one. The agent repeats it.
    let is_reported = |line: &&str| line.contains("WARN") || line.contains("ERROR");
    let reported = ended.log.lines().filter(is_reported).find(|line| !line.contains("responded with status 500"));
    assert_eq!(reported, None, "{}", ended.log);
}

#[test]
fn a_kill_loses_nothing() {
    let (moto, folder) = (Moto::start(), Folder::new());
    moto.notify();
    put_objects(&moto, 0..150);
    let config = to_file(&moto, "10s");
    let agent = folder.start(&config);
    wait_until("some objects are read", || folder.events("out.ndjson").len() >= 100);
    agent.kill();
    assert!(!is_empty(&moto), "the agent was killed before it was done");
    let agent = folder.start(&config);
    wait_until("all objects are read", || ids(&folder.events("out.ndjson")).len() == 150 * LINES);
    wait_until("the queue is empty", || is_empty(&moto));
    agent.stop();
    assert_eq!(moto.messages("dead"), (0, 0));
}

#[test]
fn messages_stay_until_the_sink_has_their_events_and_come_back_at_a_stop() {
    let (moto, folder) = (Moto::start(), Folder::new());
    moto.notify();
    put_objects(&moto, 0..10);
    let to = free_address();
    let endpoint = Endpoint::listen(to);
    endpoint.answer(503);
    let config = moto
        .config("10m")
        .http_sink("out", &["p.out"], &format!("http://{to}/"))
        .set("batch.timeout", "20ms")
        .set("request.retry_initial_backoff", "50ms")
        .set("request.retry_max_backoff", "200ms")
        .text();
    let agent = folder.start(&config);
    wait_until("the sink is asked", || endpoint.refused() >= 3);
    wait_until("all messages are in work", || moto.messages("events") == (0, 10));
    // The test event is gone, and nothing else.
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(moto.messages("events"), (0, 10));
    agent.signal("TERM");
    let ended = agent.ended();
    assert!(ended.log.contains("giving them back") || ended.log.contains("undelivered"), "{}", ended.log);
    // The server goes on with a request for messages whose client is gone: it would hide some of them for 10 minutes.
    wait_until("all messages are given back", || moto.messages("events") == (10, 0));
    endpoint.answer(200);
    let agent = folder.start(&config);
    wait_until("the queue is empty", || is_empty(&moto));
    agent.stop();
    assert_eq!(ids(&endpoint.events()).len(), 10 * LINES);
}

#[test]
fn what_cannot_be_read_reaches_the_dead_letters_and_stops_nothing() {
    let (moto, folder) = (Moto::start(), Folder::new());
    moto.notify();
    let record = |key: &str| {
        json!({ "eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "us-east-1", "eventName": "ObjectCreated:Put",
            "eventTime": "2026-01-31T00:00:00Z", "s3": { "bucket": { "name": "trail" }, "object": { "key": key } } })
    };
    moto.send("garbage");
    put_objects(&moto, 0..3);
    // One message with a good object and one that does not exist.
    moto.send(&json!({ "Records": [record("AWSLogs/a+b%2B0.json.gz"), record("gone")] }).to_string());
    let agent = folder.start(&to_file(&moto, "30s"));
    wait_until("the good objects are read", || folder.events("out.ndjson").len() >= 4 * LINES);
    wait_until("both messages are dead letters", || moto.messages("dead").0 == 2);
    wait_until("the queue is empty", || is_empty(&moto));
    let ended = agent.stop();
    assert_eq!(folder.events("out.ndjson").len(), 4 * LINES, "the good object of the message was read once");
    assert!(ended.log.contains("NoSuchKey") && ended.log.contains("gone"), "{}", ended.log);
}
