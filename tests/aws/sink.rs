//! The agent writes objects: every event is in the bucket once, whatever happened to the agent.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};

use serde_json::{Value, json};
use wattle_tests::{Config, Folder, wait_until};

use super::moto::Moto;
use super::put_objects;

const BUCKET: &str = "lake";

/// A sink that writes to moto.
fn to_bucket(config: Config, moto: &Moto, inputs: &[&str]) -> Config {
    config
        .sink("lake", "aws_s3", inputs)
        .set("bucket", BUCKET)
        .set("endpoint", moto.address())
        .set("auth.access_key_id", "AKIDEXAMPLE")
        .set("auth.secret_access_key", "secret-of-test")
        .set("encoding.codec", "ndjson")
        .set("compression", "gzip")
}

/// The events of all objects, by the key of their object.
fn events(moto: &Moto) -> BTreeMap<String, Vec<Value>> {
    let read = |key: &String| {
        let mut text = String::new();
        flate2::read::MultiGzDecoder::new(&moto.get(BUCKET, key)[..]).read_to_string(&mut text).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    moto.keys(BUCKET).into_iter().map(|key| (key.clone(), read(&key))).collect()
}

/// The sorted ids of all events in the bucket.
fn ids(moto: &Moto) -> Vec<String> {
    let events = events(moto).into_values().flatten();
    let mut ids: Vec<String> = events.map(|event| event["eventID"].as_str().unwrap().to_owned()).collect();
    ids.sort();
    ids
}

#[test]
fn events_of_a_file_are_in_partitions_of_their_own_time() {
    let (moto, folder) = (Moto::start(), Folder::new());
    moto.create_bucket(BUCKET);
    let mut file = Vec::new();
    for number in 0..3000 {
        let day = 1 + number % 3;
        let region = ["eu-west-1", "us-east-1"][number % 2];
        let event = json!({ "eventID": format!("{number:04}"), "eventTime": format!("2026-01-{day:02}T10:00:00Z"),
            "awsRegion": region });
        writeln!(file, "{event}").unwrap();
    }
    folder.write("in.ndjson", &file);
    let config = Config::new()
        .file_source("in", "in.ndjson")
        .pipeline("p", &["in"])
        .node("time", "builtin:timestamp", &["input"])
        .with("options = { from = \"body.eventTime\" }")
        .ok_and_fails("time");
    let config = to_bucket(config, &moto, &["p.ok"])
        .set("key_prefix", "year=%Y/month=%m/day=%d/region={{ body.awsRegion }}/")
        .set("batch.max_events", 200)
        .set("batch.timeout", "2s")
        .file_sink("fails", &["p.fails"], "fails.ndjson")
        .text();
    let ended = folder.once(&config);
    assert_eq!(ended.code, 0, "{}", ended.log);
    assert!(!ended.log.contains("secret-of-test"), "{}", ended.log);
    assert_eq!(ids(&moto), (0..3000).map(|number| format!("{number:04}")).collect::<Vec<_>>());
    let objects = events(&moto);
    assert!(objects.len() >= 18, "{:?}", objects.keys());
    for (key, events) in &objects {
        let name = key.rsplit('/').next().unwrap();
        assert!(name.ends_with(".ndjson.gz"), "{key}");
        for event in events {
            let (time, region) = (event["eventTime"].as_str().unwrap(), event["awsRegion"].as_str().unwrap());
            let day = &time[8..10];
            assert!(
                key.starts_with(&format!("year=2026/month=01/day={day}/region={region}/202601{day}T100000Z-")),
                "{key}"
            );
        }
    }
}

#[test]
fn a_kill_doubles_nothing_if_objects_derive_from_those_of_the_source() {
    let (moto, folder) = (Moto::start(), Folder::new());
    moto.create_bucket(BUCKET);
    moto.redrive_after(20);
    moto.notify();
    put_objects(&moto, 0..150);
    let config = to_bucket(moto.config("10s"), &moto, &["p.out"])
        .set("key_prefix", "trail/")
        .set("object_per", "source_object")
        .text();
    // Kills while objects are read, written, and acknowledged, until one of them is between the last two.
    for written in (10..140).step_by(15) {
        let agent = folder.start(&config);
        wait_until("some objects are written", || moto.keys(BUCKET).len() >= written);
        agent.kill();
        if written >= 40 && moto.puts(BUCKET) > moto.keys(BUCKET).len() {
            break;
        }
    }
    assert_ne!(moto.messages("events"), (0, 0), "the agent was killed before it was done");
    let agent = folder.start(&config);
    wait_until("the queue is empty", || moto.messages("events") == (0, 0));
    let ended = agent.stop();
    assert!(!ended.log.contains("ERROR"), "{}", ended.log);
    let mut expected: Vec<String> =
        (0..150).flat_map(|object| (0..super::LINES).map(move |line| format!("{object}-{line}"))).collect();
    expected.sort();
    assert_eq!(ids(&moto), expected, "every event is in the bucket once");
    assert_eq!(moto.keys(BUCKET).len(), 150);
    assert!(moto.puts(BUCKET) > 150, "some objects were written again");
}
