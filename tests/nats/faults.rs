//! Kills and restarts, of the server and of agents.

use std::time::Duration;

use wattle_tests::{Agent, Folder, wait_until};

use crate::server::Server;
use crate::{IDS, Relay, check, message, relay, server, until_written, wait_for_acks};

const COUNT: usize = 20_000;

fn with_ids(server: &Server) -> String {
    Relay { source: "ack_wait = \"3s\"", sink: IDS }.text(server)
}

#[test]
fn a_server_that_is_killed_under_load_loses_nothing() {
    let folder = Folder::new();
    let mut server = server(&folder);
    let mut agent = folder.start(&with_ids(&server));
    let mut producer = server.count("in.a", 0..COUNT);
    for round in 1..=3 {
        until_written(&server, 1000 * round);
        server.kill();
        agent.wait_for("cannot");
        std::thread::sleep(Duration::from_millis(500));
        server.restart();
    }
    assert!(producer.wait().unwrap().success());
    until_written(&server, COUNT as u64);
    wait_for_acks(&server);
    let doubled = check(&server, COUNT);
    println!("server killed three times under load: 0 of {COUNT} lost, {doubled} doubled");
    assert_eq!(doubled, 0, "messages have ids");
    agent.stop();
}

#[test]
fn an_agent_that_is_killed_loses_nothing_and_with_ids_doubles_nothing() {
    for sink in ["", IDS] {
        let folder = Folder::new();
        let server = server(&folder);
        let config = Relay { source: "ack_wait = \"2s\"", sink }.text(&server);
        let mut agent = folder.start(&config);
        let mut producer = server.count("in.a", 0..COUNT);
        for round in 1..=3 {
            until_written(&server, 1000 * round);
            agent.kill();
            agent = folder.start(&config);
        }
        assert!(producer.wait().unwrap().success());
        wait_for_acks(&server);
        let doubled = check(&server, COUNT);
        println!("agent killed three times, ids {}: 0 of {COUNT} lost, {doubled} doubled", !sink.is_empty());
        assert!(sink.is_empty() || doubled == 0);
        agent.stop();
    }
}

#[test]
fn agents_that_come_and_go_at_one_consumer_lose_nothing() {
    let server_folder = Folder::new();
    let server = server(&server_folder);
    let folders = [Folder::new(), Folder::new(), Folder::new()];
    let start = |at: usize| -> Agent { folders[at].start(&with_ids(&server)) };
    let (one, two) = (start(0), start(1));
    let mut producer = server.count("in.a", 0..COUNT);
    until_written(&server, 500);
    let three = start(2);
    until_written(&server, 2000);
    one.kill();
    assert!(producer.wait().unwrap().success());
    wait_for_acks(&server);
    let doubled = check(&server, COUNT);
    println!("two agents, one added, one killed: 0 of {COUNT} lost, {doubled} doubled");
    assert_eq!(doubled, 0);
    for agent in [two, three] {
        let ended = agent.stop();
        assert!(ended.summary().pipeline().delivered > 0, "{}", ended.log);
    }
}

#[test]
fn a_server_that_answers_late_costs_only_time() {
    let folder = Folder::new();
    let server = server(&folder);
    let agent = folder.start(&with_ids(&server));
    let mut producer = server.count("in.a", 0..5000);
    until_written(&server, 500);
    for _ in 0..3 {
        // Longer than `request_timeout` and `ack_wait`.
        server.signal("STOP");
        std::thread::sleep(Duration::from_secs(4));
        server.signal("CONT");
        std::thread::sleep(Duration::from_secs(1));
    }
    assert!(producer.wait().unwrap().success());
    until_written(&server, 5000);
    wait_for_acks(&server);
    let doubled = check(&server, 5000);
    println!("server stopped for 4 s three times: 0 of 5000 lost, {doubled} doubled");
    assert_eq!(doubled, 0);
    agent.stop();
}

#[test]
fn a_consumer_that_is_deleted_is_made_again_and_continues() {
    let folder = Folder::new();
    let server = server(&folder);
    let mut agent = folder.start(&relay(&server));
    let mut producer = server.count("in.a", 0..5000);
    for round in 1..=2 {
        until_written(&server, 1000 * round);
        // The source knows since a moment ago up to where everything is acknowledged.
        std::thread::sleep(Duration::from_secs(6));
        server.api("CONSUMER.DELETE.in.c", &serde_json::Value::Null);
        agent.wait_for("the consumer was deleted");
        agent.wait_for("created the consumer");
    }
    assert!(producer.wait().unwrap().success());
    wait_until("all arrive", || server.values("out").len() >= 5000);
    wait_for_acks(&server);
    let doubled = check(&server, 5000);
    println!("consumer deleted twice: 0 of 5000 lost, {doubled} doubled");
    // How many are sent again depends on the speed of the machine. The first ones were acknowledged long before.
    let once = server.values("out").values().filter(|times| **times == 1).count();
    assert!(once >= 500, "it began at the first message again: {once} messages arrived once");
    agent.stop();
}

#[test]
fn a_stream_and_a_consumer_that_come_later_are_waited_for() {
    let folder = Folder::new();
    let server = Server::start(&folder);
    let mut agent = folder.start(&relay(&server));
    let line = agent.wait_for("cannot use the consumer");
    assert!(line.contains("stream not found") && line.contains("create the stream"), "{line}");
    server.create("in", &serde_json::Value::Null);
    server.send(&[message("in.a", "late")]);
    let line = agent.wait_for("cannot write to NATS");
    assert!(line.contains("no stream takes this subject"), "{line}");
    server.create("out", &serde_json::Value::Null);
    until_written(&server, 1);
    wait_for_acks(&server);
    assert_eq!(check(&server, 1), 0);
    agent.stop();
}

#[test]
fn messages_that_are_held_longer_than_their_lease_come_once() {
    let folder = Folder::new();
    let server = Server::start(&folder);
    server.create("in", &serde_json::Value::Null);
    server.send(&(0..100).map(|number| message("in.a", number.to_string())).collect::<Vec<_>>());
    // There is no stream for the sink, so the source holds the messages.
    let agent = folder.start(&Relay { source: "ack_wait = \"1s\"", sink: "" }.text(&server));
    wait_until("all messages are held", || server.consumer("in", "c")["num_ack_pending"] == 100);
    std::thread::sleep(Duration::from_secs(6));
    let consumer = server.consumer("in", "c");
    assert_eq!(
        (&consumer["num_redelivered"], &consumer["delivered"]["consumer_seq"]),
        (&0.into(), &100.into()),
        "{consumer}"
    );
    server.create("out", &serde_json::Value::Null);
    until_written(&server, 100);
    wait_for_acks(&server);
    assert_eq!(check(&server, 100), 0);
    agent.stop();
}
