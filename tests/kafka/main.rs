//! The source and the sink `kafka` against a server and a client of others.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that cannot go on fails; clippy exempts only the test functions themselves"
)]

mod faults;
mod groups;
mod proxy;
mod scale;
mod security;
mod server;

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use fastrand::Rng;
use serde_json::{Value, json};
use wattle_tests::{Config, Folder};

use server::Server;

/// From the topic `in` to the topic `out`, through a sandboxed node. The source and the sink have these further options.
fn relay(server: &Server, source: &str, sink: &str) -> String {
    Config::new()
        .source("in", "kafka")
        .set("bootstrap_servers", server.address())
        .set("topics", vec!["in"])
        .with(
            "group_id = \"g\"\nauto_offset_reset = \"earliest\"\nsession_timeout = \"6s\"\ncommit_interval = \"200ms\"",
        )
        .with(source)
        .pipeline("p", &["in"])
        .node("keep", "builtin:filter", &["input"])
        .with("options = { drop = { field = \"attributes.never\", exists = true } }")
        .ok_and_fails("keep")
        .sink("out", "kafka", &["p.ok"])
        .set("bootstrap_servers", server.address())
        .with(
            "topic = \"out\"\nkey_field = \"attributes.kafka.key\"\nheaders_key = \"attributes.kafka.headers\"\n\
             encoding = { codec = \"text\" }\nbatch = { timeout = \"5ms\" }",
        )
        .with(sink)
        .drop_sink("none", &["p.fails"])
        .text()
}

fn create(server: &Server, partitions: usize) {
    server.create("in", partitions);
    server.create("out", partitions);
}

fn base64(bytes: impl AsRef<[u8]>) -> String {
    BASE64_STANDARD.encode(bytes)
}

/// Random bytes, half of the time a text with characters that JSON escapes.
fn bytes(random: &mut Rng, most: usize) -> Vec<u8> {
    let length = random.usize(0..=most);
    if random.bool() {
        (0..length).map(|_| random.u8(..)).collect()
    } else {
        let chars = ['a', '"', '\\', '\n', '\0', '\u{7f}', 'ä', '\u{2028}', '𝄞', '{', ':'];
        let text: String = (0..length).map(|_| chars[random.usize(..chars.len())]).collect();
        text.into_bytes()
    }
}

/// A message whose value begins with its number.
fn message(number: usize, random: &mut Rng) -> Value {
    let mut value = format!("{number}:").into_bytes();
    value.extend(bytes(random, 200));
    let mut message = json!({ "value": base64(value) });
    match random.u8(0..4) {
        0 => {}
        1 => message["key"] = base64(bytes(random, 20)).into(),
        // Many messages with the same key.
        _ => message["key"] = base64(format!("key {}", random.u8(0..20))).into(),
    }
    let mut header = || {
        let name = String::from_utf8_lossy(&bytes(random, 5)).replace('\0', "0");
        let value = (random.u8(0..5) > 0).then(|| base64(bytes(random, 30)));
        // The client takes no header without a name.
        json!([format!("h{name}"), value])
    };
    let headers: Vec<Value> = (0..number % 5).map(|_| header()).collect();
    message["headers"] = headers.into();
    message
}

/// The headers of a message by their names; only values of the same name have an order.
fn headers(message: &Value) -> BTreeMap<String, Vec<Value>> {
    let mut found: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for header in message["headers"].as_array().unwrap() {
        found.entry(header[0].as_str().unwrap().to_owned()).or_default().push(header[1].clone());
    }
    found
}

/// The number at the beginning of a value.
fn number(message: &Value) -> usize {
    let value = BASE64_STANDARD.decode(message["value"].as_str().unwrap()).unwrap();
    let digits = value.split(|byte| *byte == b':').next().unwrap();
    std::str::from_utf8(digits).unwrap().parse().unwrap()
}

/// The numbers of the messages with each key, in the order of the topic.
fn by_key(messages: &[Value]) -> BTreeMap<String, Vec<usize>> {
    let mut in_order: Vec<&Value> = messages.iter().collect();
    in_order.sort_by_key(|message| (message["partition"].as_u64(), message["offset"].as_u64()));
    let mut found: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for message in in_order {
        // The other client chooses any partition for an empty key.
        if let Some(key) = message["key"].as_str().filter(|key| !key.is_empty()) {
            found.entry(key.to_owned()).or_default().push(number(message));
        }
    }
    found
}

#[test]
fn ten_thousand_random_messages_arrive_as_they_were_sent() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = Rng::with_seed(seed);
    let (folder, server) = (Folder::new(), Server::start());
    create(&server, 5);
    let sent: Vec<Value> = (0..10_000).map(|number| message(number, &mut random)).collect();
    server.send("in", &sent);
    let agent = folder.start(&relay(&server, "", "compression = \"lz4\""));
    server.until_committed("g", "in");
    let ended = agent.stop();
    assert_eq!(ended.summary().pipeline().delivered, 10_000, "{}", ended.log);
    let (before, mut after) = (server.read("in"), server.read("out"));
    // The partitioner is that of the Java client, and librdkafka's differs, so only equal keys have equal partitions.
    let orders = by_key(&after);
    for (key, order) in by_key(&before) {
        assert_eq!(orders[&key], order, "{key}");
    }
    after.sort_by_key(number);
    assert_eq!(after.len(), sent.len());
    let times: BTreeMap<usize, &Value> = before.iter().map(|message| (number(message), &message["time"])).collect();
    for (at, (sent, arrived)) in sent.iter().zip(&after).enumerate() {
        assert_eq!((number(arrived), &arrived["value"]), (at, &sent["value"]));
        assert_eq!(arrived["key"], sent["key"], "{sent}");
        assert_eq!(headers(arrived), headers(sent), "{sent}");
        assert_eq!(&arrived["time"], times[&at]);
    }
}

#[test]
fn a_topic_that_does_not_exist_yet_is_waited_for() {
    let (folder, server) = (Folder::new(), Server::start());
    server.create("out", 1);
    let mut agent = folder.start(&relay(&server, "", ""));
    agent.wait_for("unknown topic `in`");
    server.create("in", 2);
    server.send("in", &[json!({ "value": base64("0") })]);
    server.until_it_has("out", 1);
    server.until_committed("g", "in");
    assert_eq!(server.check("out", 1), 0);
    agent.stop();
}
