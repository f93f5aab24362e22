//! The source and the sink `nats` against the server and a client of others.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that cannot go on fails; clippy exempts only the test functions themselves"
)]

mod core;
mod faults;
mod limits;
mod scale;
mod security;
mod server;

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use wattle_tests::{Config, Folder, wait_until};

use server::Server;

/// What comes after the address of the server in the source and in the sink.
#[derive(Default)]
struct Relay<'r> {
    source: &'r str,
    sink: &'r str,
}

impl Relay<'_> {
    /// From the stream `in` to the stream `out`, through a sandboxed node.
    fn text(&self, server: &Server) -> String {
        Config::new()
            .source("in", "nats")
            .set("url", server.url())
            .with("stream = \"in\"\nconsumer = \"c\"\nrequest_timeout = \"2s\"")
            .with(self.source)
            .pipeline("p", &["in"])
            .node("keep", "builtin:filter", &["input"])
            .with("options = { drop = { field = \"attributes.never\", exists = true } }")
            .ok_and_fails("keep")
            .sink("out", "nats", &["p.ok"])
            .set("url", server.url())
            .with(
                "encoding = { codec = \"text\" }\nheaders_key = \"attributes.nats.headers\"\nrequest_timeout = \"2s\"",
            )
            .with(if self.sink.contains("subject =") { "" } else { "subject = \"out.all\"" })
            .with(self.sink)
            .drop_sink("none", &["p.fails"])
            .text()
    }
}

/// Ids that derive from the message that was read.
const IDS: &str = "message_id = \"{{ resource.source.stream }}-{{ attributes.nats.sequence }}\"";

fn relay(server: &Server) -> String {
    Relay::default().text(server)
}

/// A server with both streams.
fn server(folder: &Folder) -> Server {
    let server = Server::start(folder);
    streams(&server);
    server
}

fn streams(server: &Server) {
    server.create("in", &Value::Null);
    server.create("out", &Value::Null);
}

fn base64(bytes: impl AsRef<[u8]>) -> String {
    BASE64_STANDARD.encode(bytes)
}

fn message(subject: &str, value: impl AsRef<[u8]>) -> Value {
    json!({ "subject": subject, "value": base64(value) })
}

/// Waits until the consumer has delivered everything in the stream, and nothing is unacknowledged.
fn wait_for_acks(server: &Server) {
    wait_until("everything is acknowledged", || {
        let consumer = server.consumer("in", "c");
        consumer["num_pending"] == 0 && consumer["num_ack_pending"] == 0
    });
}

/// Checks that every value of the one stream is in the other, and nothing else; returns how many are there more often.
#[track_caller]
fn check(server: &Server, least: usize) -> u64 {
    let (sent, arrived) = (server.values("in"), server.values("out"));
    assert!(sent.len() >= least, "{}", sent.len());
    let lost: Vec<&String> = sent.keys().filter(|value| !arrived.contains_key(*value)).collect();
    assert!(lost.is_empty(), "{} of {} lost: {:?}", lost.len(), sent.len(), &lost[..lost.len().min(5)]);
    assert_eq!(arrived.len(), sent.len());
    arrived.iter().map(|(value, times)| times.saturating_sub(sent[value])).sum()
}

fn until_written(server: &Server, count: u64) {
    wait_until("messages arrive", || server.messages("out") >= count);
}

#[test]
fn subjects_and_headers_arrive_as_they_were_sent() {
    let folder = Folder::new();
    let server = server(&folder);
    let messages = [
        message("in.plain", "plain"),
        message("in.binary", b"\xfe binary\n"),
        message("in.a.b.c", "{\"a\": 1}\n"),
        json!({ "subject": "in.headers", "value": base64("headers"),
            "headers": { "X-One": "1", "x-two": "two words", "Empty": "", "Umlaut": "ä\"" } }),
        json!({ "subject": "in.id", "value": base64("with an id"), "headers": { "Nats-Msg-Id": "mine" } }),
    ];
    server.send(&messages);
    let agent = folder
        .start(&Relay { sink: "subject = \"out.{{ attributes.nats.subject }}\"", ..Relay::default() }.text(&server));
    until_written(&server, messages.len() as u64);
    wait_for_acks(&server);
    let sorted = |stream: &str, prefix: &str| {
        let mut found = server.read(stream);
        for message in &mut found {
            let headers = message["headers"].as_object_mut().unwrap();
            headers.remove("Nats-Msg-Id");
            let subject = message["subject"].as_str().unwrap().trim_start_matches(prefix).to_owned();
            message["subject"] = subject.into();
        }
        found.sort_by_key(|message| message["subject"].as_str().unwrap().to_owned());
        found
    };
    assert_eq!(sorted("out", "out."), sorted("in", ""));
    let ended = agent.stop();
    assert_eq!(ended.summary().pipeline().delivered, messages.len() as u64);
}

#[test]
fn events_have_what_jetstream_says_about_their_message() {
    let folder = Folder::new();
    let server = server(&folder);
    server.send(&[message("in.a", "one\ntwo\n"), message("in.b", ""), message("in.skip", "x")]);
    let config = Config::new()
        .source("in", "nats")
        .set("url", server.url())
        .with("stream = \"in\"\nconsumer = \"c\"\nsubjects = [\"in.a\", \"in.b\"]\nframing = \"lines\"")
        .pipeline("p", &["in"])
        .node("keep", "builtin:filter", &["input"])
        .with("options = { drop = { field = \"attributes.never\", exists = true } }")
        .ok_and_fails("keep")
        .file_sink("ok", &["p.ok"], "ok.ndjson")
        .drop_sink("none", &["p.fails"])
        .text();
    let agent = folder.start(&config);
    wait_until("events", || folder.events("ok.ndjson").len() >= 2);
    wait_for_acks(&server);
    let events = folder.events("ok.ndjson");
    assert_eq!(events.len(), 2);
    for (event, body) in events.iter().zip(["one", "two"]) {
        assert_eq!(event["body"], body);
        assert_eq!(event["attributes"]["nats"], json!({ "subject": "in.a", "sequence": 1, "deliveries": 1 }));
        let source = json!({ "name": "in", "type": "nats", "stream": "in", "consumer": "c" });
        assert_eq!(event["resource"]["source"], source);
        assert!(event["timestamp"].is_string(), "{event}");
    }
    let consumer = server.consumer("in", "c")["config"].clone();
    assert_eq!(consumer["filter_subjects"], json!(["in.a", "in.b"]));
    assert_eq!((&consumer["ack_policy"], &consumer["ack_wait"]), (&json!("explicit"), &json!(30_000_000_000_u64)));
    agent.stop();
}

#[test]
fn once_reads_what_is_there_and_ends() {
    let folder = Folder::new();
    let server = server(&folder);
    let messages: Vec<Value> = (0..2500).map(|number| message("in.a", number.to_string())).collect();
    server.send(&messages);
    let ended = folder.once(&relay(&server));
    assert_eq!(ended.summary().pipeline().delivered, 2500);
    assert_eq!(check(&server, 2500), 0);
    assert_eq!(server.consumer("in", "c")["num_ack_pending"], 0);
}

#[test]
fn options_that_change_under_load_lose_and_double_nothing() {
    let folder = Folder::new();
    let server = server(&folder);
    let mut agent = folder.start(&Relay { sink: IDS, ..Relay::default() }.text(&server));
    let mut producer = server.count("in.a", 0..20_000);
    for (swap, source) in
        ["max_in_flight = 100", "max_in_flight_bytes = \"64KiB\"", "", "max_in_flight = 5000"].iter().enumerate()
    {
        until_written(&server, 500 * (swap as u64 + 1));
        let sink = format!("{IDS}\nmax_in_flight = {}", 100 * (swap + 1));
        folder.replace("agent.toml", Relay { source, sink: &sink }.text(&server));
        agent.wait_for("reloaded");
    }
    assert!(producer.wait().unwrap().success());
    until_written(&server, 20_000);
    wait_for_acks(&server);
    let doubled = check(&server, 20_000);
    println!("four reloads under load: 0 of 20000 lost, {doubled} doubled");
    assert_eq!(doubled, 0);
    agent.stop();
}

#[test]
fn a_stop_gives_back_what_is_not_delivered_at_once() {
    let folder = Folder::new();
    let server = server(&folder);
    // The sink cannot deliver, so everything that is read waits.
    server.send(&(0..300).map(|number| message("in.a", number.to_string())).collect::<Vec<_>>());
    let config = Relay { source: "ack_wait = \"5m\"", sink: "subject = \"nowhere\"" }.text(&server);
    let agent = folder.start(&format!("{config}\n[agent]\ndrain_timeout = \"1s\"\n"));
    wait_until("all messages are held", || server.consumer("in", "c")["num_ack_pending"] == 300);
    agent.signal("TERM");
    let ended = agent.ended();
    assert!(ended.code == 1 && ended.log.contains("giving them back to the server"), "{}", ended.log);
    let other = Folder::new();
    let begun = std::time::Instant::now();
    let agent = other.start(&relay(&server));
    until_written(&server, 300);
    assert!(begun.elapsed() < Duration::from_secs(60), "long before `ack_wait`");
    wait_for_acks(&server);
    assert_eq!(check(&server, 300), 0);
    agent.stop();
}
