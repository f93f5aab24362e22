//! Without JetStream.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use serde_json::{Value, json};
use wattle_tests::{Config, Folder, Metrics, free_address, get, wait_until};

use crate::server::Server;
use crate::{base64, message};

#[test]
fn messages_pass_from_subject_to_subject() {
    let folder = Folder::new();
    let server = Server::start(&folder);
    let config = Config::new()
        .source("in", "nats")
        .set("url", server.url())
        .with("jetstream = false\nsubjects = [\"in.>\", \"other\"]\nqueue_group = \"g\"")
        .pipeline("p", &["in"])
        .node("keep", "builtin:filter", &["input"])
        .with("options = { drop = { field = \"attributes.never\", exists = true } }")
        .ok_and_fails("keep")
        .sink("out", "nats", &["p.ok"])
        .set("url", server.url())
        .with(
            "jetstream = false\nsubject = \"out.{{ attributes.nats.subject }}\"\nencoding = { codec = \"text\" }\n\
             headers_key = \"attributes.nats.headers\"",
        )
        .drop_sink("none", &["p.fails"])
        .text();
    let agent = folder.start(&config);
    wait_until("the source subscribes", || subscriptions(&server) >= 2);
    let mut listener = server.client("listen", &["out.>", "3"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(listener.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "{}");
    server.send_core(&[
        message("in.a", "one"),
        json!({ "subject": "in.b", "value": base64("two"), "headers": { "X": "1" } }),
        message("other", b"\xff"),
        message("elsewhere", "no"),
    ]);
    let mut found: Vec<Value> = lines.map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
    found.sort_by_key(|message| message["subject"].as_str().unwrap().to_owned());
    let expected = [
        json!({ "subject": "out.in.a", "value": base64("one"), "headers": {} }),
        json!({ "subject": "out.in.b", "value": base64("two"), "headers": { "X": "1" } }),
        json!({ "subject": "out.other", "value": base64(b"\xff"), "headers": {} }),
    ];
    assert_eq!(found, expected);
    assert!(listener.wait().unwrap().success());
    assert_eq!(agent.stop().summary().pipeline().delivered, 3);
}

#[test]
fn what_comes_faster_than_it_is_delivered_is_dropped_and_counted() {
    let folder = Folder::new();
    let server = Server::start(&folder);
    let admin = free_address();
    let config = Config::new()
        .admin(admin)
        .source("in", "nats")
        .set("url", server.url())
        .with("jetstream = false\nsubjects = [\"in\"]\nmax_in_flight_bytes = \"100KB\"")
        .pipeline("p", &["in"])
        .node("keep", "builtin:filter", &["input"])
        .with("options = { drop = { field = \"attributes.never\", exists = true } }")
        .ok_and_fails("keep")
        // Nothing listens there.
        .http_sink("out", &["p.ok"], &format!("http://{}/", free_address()))
        .drop_sink("none", &["p.fails"])
        .agent("drain_timeout = \"1s\"")
        .text();
    let mut agent = folder.start(&config);
    wait_until("the source subscribes", || subscriptions(&server) >= 1);
    server.send_core(&(0..1000).map(|_| message("in", "x".repeat(1000))).collect::<Vec<_>>());
    agent.wait_for("dropped messages");
    let metrics = || Metrics::read(&get(admin, "/metrics").unwrap().text);
    let count = |name: &str| metrics().sum(name, &[("source", "in")]);
    wait_until("all messages are read or dropped", || {
        count("wattle_source_dropped_messages_total") + count("wattle_source_received_events_total") >= 1000.0
    });
    let (dropped, events) =
        (count("wattle_source_dropped_messages_total"), count("wattle_source_received_events_total"));
    assert_eq!(dropped + events, 1000.0);
    assert!((50.0..=120.0).contains(&events), "{events}");
    // They cannot be sent again.
    agent.signal("TERM");
    assert_eq!(agent.ended().code, 1);
}

/// Number of subscriptions of the agent.
fn subscriptions(server: &Server) -> usize {
    server.agents().iter().map(|agent| agent["subscriptions_list"].as_array().map_or(0, Vec::len)).sum()
}
