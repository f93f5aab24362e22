//! A server that is killed, slow or cut off, and options that change, under load.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use wattle_tests::{Config, Folder, wait_until};

use crate::proxy::{Proxy, State};
use crate::server::Server;
use crate::{base64, create, relay};

const MESSAGES: usize = 30_000;

#[test]
fn a_server_that_is_killed_and_restarted_is_read_without_loss() {
    let (folder, mut server) = (Folder::new(), Server::durable());
    server.create("in", 3);
    // Not to the server: when tansu is killed, it loses messages of idempotent producers that it has acknowledged, also
    // those of librdkafka.
    let config = Config::new()
        .source("in", "kafka")
        .set("bootstrap_servers", server.address())
        .set("topics", vec!["in"])
        .with("group_id = \"g\"\nauto_offset_reset = \"earliest\"\ncommit_interval = \"200ms\"")
        .pipeline("p", &["in"])
        .output("out", &["input"])
        .file_sink("out", &["p.out"], "out.txt")
        .with("encoding = { codec = \"text\" }");
    let agent = folder.start(&config.text());
    let counting = server.count("in", 2 * MESSAGES);
    let lines = || String::from_utf8(folder.read("out.txt")).unwrap().lines().map(str::to_owned).collect::<Vec<_>>();
    for kill in 0..3 {
        wait_until("messages arrive", || lines().len() >= 5000 + kill * 15_000);
        server.kill();
        std::thread::sleep(Duration::from_secs(2));
        server.restart();
    }
    counting.done();
    server.until_committed("g", "in");
    agent.stop();
    let arrived = lines();
    let different: BTreeSet<usize> = arrived.iter().map(|line| line.parse().unwrap()).collect();
    assert_eq!(different, (0..2 * MESSAGES).collect());
    // The other client sends some again, since it does not know what the server had stored.
    let again = arrived.len() - server.values("in").values().sum::<usize>();
    println!("a server killed 3 times: 0 of {} lost, {again} doubled", different.len());
    assert!(again < 10_000, "{again}");
}

#[test]
fn a_slow_server_and_a_network_that_fails_lose_nothing() {
    let proxy = Proxy::start(None);
    let (folder, server) = (Folder::new(), Server::behind(&proxy, None));
    create(&server, 3);
    let mut agent = folder.start(&relay(&server, "request_timeout = \"5s\"", "request_timeout = \"5s\""));
    let counting = server.count("in", MESSAGES);
    server.until_it_has("out", 3000);
    proxy.set(State::Slow(Duration::from_millis(100)));
    std::thread::sleep(Duration::from_secs(5));
    for _ in 0..2 {
        proxy.set(State::Cut);
        agent.wait_for("trying again");
        std::thread::sleep(Duration::from_secs(3));
        proxy.set(State::Open);
        // Says that reading works again.
        agent.wait_for("failed_for=");
    }
    counting.done();
    server.until_committed("g", "in");
    let doubled = server.check("out", MESSAGES);
    println!("a slow server, cut off twice: 0 of {MESSAGES} lost, {doubled} doubled");
    assert!(doubled < 10_000, "{doubled}");
    agent.stop();
}

/// From the topic `in` to the file `out.txt`.
fn to_file(server: &Server, reset: &str) -> String {
    Config::new()
        .source("in", "kafka")
        .set("bootstrap_servers", server.address())
        .set("topics", vec!["in"])
        .set("auto_offset_reset", reset)
        .with("group_id = \"g\"\nsession_timeout = \"6s\"\ncommit_interval = \"200ms\"")
        .pipeline("p", &["in"])
        .output("out", &["input"])
        .file_sink("out", &["p.out"], "out.txt")
        .with("encoding = { codec = \"text\" }")
        .text()
}

#[test]
fn what_the_retention_deleted_before_it_was_read_is_counted_and_the_rest_is_read() {
    let (folder, faults) = (Folder::new(), Folder::new());
    let server = Server::with_faults(&faults.path("."));
    server.create("in", 1);
    server.count("in", 1000).done();
    let agent = folder.start(&to_file(&server, "earliest"));
    server.until_committed("g", "in");
    agent.stop();
    server.count("in", 5000).done();
    faults.write("low", "1500");
    let mut agent = folder.start(&to_file(&server, "latest"));
    agent.wait_for("messages are lost");
    let lines = || String::from_utf8(folder.read("out.txt")).unwrap().lines().count();
    wait_until("the rest is read", || lines() >= 1000 + 4500);
    let ended = agent.stop();
    assert_eq!(lines(), 1000 + 4500, "{}", ended.log);
    assert!(ended.log.contains("lost=500") && ended.log.contains("500 messages were deleted"), "{}", ended.log);
    assert_eq!(server.committed("g", "in"), [6000]);
}

#[test]
fn partitions_that_cannot_be_read_are_reported_until_they_can() {
    let (folder, faults) = (Folder::new(), Folder::new());
    let server = Server::with_faults(&faults.path("."));
    server.create("in", 1);
    let mut agent = folder.start(&to_file(&server, "earliest"));
    agent.wait_for("partitions assigned");
    // The file is created with the first message.
    let lines = || std::fs::read_to_string(folder.path("out.txt")).unwrap_or_default().lines().count();
    for (sent, (error, said)) in [
        ("29", "TopicAuthorizationFailed"),
        ("56", "KafkaStorageException"),
        ("2", "CorruptMessage"),
        ("87", "InvalidRecord"),
        ("-1", "UnknownServerError"),
        ("3", "UnknownTopicOrPartition"),
        ("777", "Unknown(777)"),
        // Without any error.
        ("empty", "no message was returned for 10 s"),
    ]
    .into_iter()
    .enumerate()
    {
        faults.write("error", error);
        server.send("in", &[json!({ "value": base64(error) })]);
        agent.wait_for(said);
        faults.write("error", "0");
        agent.wait_for("messages are read again");
        wait_until("the message arrives", || lines() > sent);
    }
    let ended = agent.stop();
    assert_eq!(lines(), 8, "{}", ended.log);
}

#[test]
fn options_that_change_under_load_lose_and_double_nothing() {
    let (folder, server) = (Folder::new(), Server::start());
    create(&server, 3);
    let mut agent = folder.start(&relay(&server, "", ""));
    agent.wait_for("partitions assigned");
    // Enough that they are still being sent at the last change.
    let messages = 150_000;
    let counting = server.count("in", messages);
    let mut before = "";
    for (change, (source, sink)) in [
        ("max_in_flight_bytes = \"1MiB\"", "compression = \"gzip\""),
        ("max_in_flight_bytes = \"1MiB\"", "compression = \"snappy\""),
        ("drain_timeout = \"2s\"", "compression = \"snappy\""),
    ]
    .into_iter()
    .enumerate()
    {
        server.until_it_has("out", (change + 1) * 5000);
        folder.replace("agent.toml", relay(&server, source, sink));
        agent.signal("HUP");
        agent.wait_for("reloaded");
        // A source that changed joins the group again. This server waits for a member that left while it joined, until
        // its session has expired.
        if source != std::mem::replace(&mut before, source) {
            agent.wait_for("partitions assigned");
        }
    }
    counting.done();
    server.until_committed("g", "in");
    assert_eq!(server.check("out", messages), 0, "doubled");
    agent.stop();
}

#[test]
fn memory_stays_bounded_while_events_cannot_be_written() {
    let (folder, server) = (Folder::new(), Server::start());
    server.create("in", 2);
    // 200 MB.
    let body = "x".repeat(100_000);
    let messages: Vec<Value> = (0..2000).map(|number| json!({ "value": base64(format!("{number} {body}")) })).collect();
    server.send("in", &messages);
    let limit = "max_in_flight_bytes = \"4MiB\"";
    let mut agent = folder.start(&relay(&server, limit, limit));
    agent.wait_for("create the topic, or check its name");
    // As long as the session of a member that does not poll.
    std::thread::sleep(Duration::from_secs(10));
    let peak = agent.peak_memory() >> 20;
    println!("200 MB wait in Kafka, and the agent has used {peak} MiB");
    assert!(peak < 160, "{peak}");
    server.create("out", 2);
    server.until_committed("g", "in");
    let found = server.values("out");
    assert_eq!((found.len(), found.values().sum::<usize>()), (2000, 2000));
    let ended = agent.stop();
    assert_eq!(ended.log.matches("partitions assigned").count(), 1, "it stays a member: {}", ended.log);
    assert!(!ended.log.contains("do not acknowledge"), "the reason is the topic: {}", ended.log);
}
