//! Messages that a server or a stream refuses, and limits of the source.

use serde_json::{Value, json};
use wattle_tests::{Agent, Folder, wait_until};

use crate::server::Server;
use crate::{Relay, base64, check, message, relay, until_written, wait_for_acks};

#[test]
fn a_message_that_is_too_large_goes_to_the_dead_letters_and_the_others_arrive() {
    let folder = Folder::new();
    let server = Server::start(&folder);
    server.create("in", &Value::Null);
    server.create("out", &json!({ "max_msg_size": 500 }));
    let large = "x".repeat(1000);
    server.send(&[message("in.a", "one"), message("in.a", &large), message("in.a", "two")]);
    let config = Relay { source: "", sink: "dead_letter = \"dead.jsonl\"" }.text(&server);
    let agent = folder.start(&config);
    until_written(&server, 2);
    wait_for_acks(&server);
    let ended = agent.stop();
    let letters = folder.events("dead.jsonl");
    assert_eq!((letters.len(), &letters[0]["event"]), (1, &json!(large)));
    assert!(letters[0]["reason"].as_str().unwrap().contains("exceeds maximum"), "{}", letters[0]["reason"]);
    assert_eq!(server.values("out").into_keys().collect::<Vec<_>>(), ["one", "two"]);
    assert!(ended.log.contains("server rejected events"), "{}", ended.log);
}

#[test]
fn a_message_beyond_the_payload_of_the_server_is_rejected_without_sending_it() {
    let folder = Folder::new();
    let server = Server::with(&folder, "max_payload: 2000");
    crate::streams(&server);
    // With codec `json`, events become longer than they came.
    server.send(&[message("in.a", "x".repeat(1900)), message("in.a", "short")]);
    let config = Relay { source: "", sink: "dead_letter = \"dead.jsonl\"" }.text(&server);
    let agent = folder.start(&config.replace("codec = \"text\"", "codec = \"json\""));
    until_written(&server, 1);
    wait_for_acks(&server);
    let letters = folder.events("dead.jsonl");
    assert_eq!(letters.len(), 1);
    assert!(letters[0]["reason"].as_str().unwrap().contains("`max_payload`"), "{}", letters[0]["reason"]);
    assert_eq!(server.messages("out"), 1);
    agent.stop();
}

#[test]
fn a_stream_that_is_full_holds_the_sink_until_there_is_room() {
    let folder = Folder::new();
    let server = Server::start(&folder);
    server.create("in", &Value::Null);
    let limits = json!({ "max_msgs": 50, "discard": "new" });
    server.create("out", &limits);
    server.send(&(0..200).map(|number| message("in.a", number.to_string())).collect::<Vec<_>>());
    let mut agent = folder.start(&relay(&server));
    let line = agent.wait_for("cannot write to NATS until an operator acts");
    assert!(line.contains("maximum messages exceeded"), "{line}");
    assert_eq!(server.messages("out"), 50);
    let mut config = json!({ "name": "out", "subjects": ["out.>"], "storage": "file" });
    config["max_msgs"] = json!(1000);
    server.api("STREAM.UPDATE.out", &config);
    until_written(&server, 200);
    wait_for_acks(&server);
    assert_eq!(check(&server, 200), 0);
    agent.stop();
}

#[test]
fn the_source_holds_no_more_than_its_limits() {
    for (limit, most) in [("max_in_flight = 70", 70), ("max_in_flight_bytes = \"100KiB\"", 120)] {
        let folder = Folder::new();
        let server = Server::start(&folder);
        server.create("in", &Value::Null);
        server.send(&(0..400).map(|_| message("in.a", "x".repeat(1000))).collect::<Vec<_>>());
        // There is no stream for the sink, so the source holds what it reads.
        let agent = folder.start(&Relay { source: limit, sink: "" }.text(&server));
        wait_until("messages are held", || server.consumer("in", "c")["num_ack_pending"].as_u64().unwrap_or(0) > 20);
        std::thread::sleep(std::time::Duration::from_secs(2));
        let held = server.consumer("in", "c")["num_ack_pending"].as_u64().unwrap();
        assert!((20..=most).contains(&held), "{limit}: {held}");
        server.create("out", &Value::Null);
        until_written(&server, 400);
        wait_for_acks(&server);
        agent.stop();
    }
}

#[test]
fn a_message_larger_than_all_room_comes_alone_and_one_beyond_the_longest_event_is_ended() {
    let folder = Folder::new();
    let server = Server::start(&folder);
    crate::streams(&server);
    let mut messages: Vec<Value> = (0..50).map(|number| message("in.a", number.to_string())).collect();
    messages.insert(20, message("in.a", "y".repeat(50_000)));
    messages.insert(30, message("in.a", "z".repeat(200_000)));
    server.send(&messages);
    let limits = "max_in_flight_bytes = \"4KiB\"\nmax_event_bytes = \"100KB\"";
    let agent = folder.start(&Relay { source: limits, sink: "" }.text(&server));
    until_written(&server, 51);
    wait_for_acks(&server);
    assert_eq!(server.values("out").len(), 51);
    let ended = agent.stop();
    assert!(ended.log.contains("max_event_bytes"), "{}", ended.log);
}

#[test]
fn a_consumer_that_exists_is_used_as_it_is_and_must_be_of_the_right_kind() {
    let folder = Folder::new();
    let server = Server::start(&folder);
    crate::streams(&server);
    let create = |config: Value| server.api("CONSUMER.CREATE.in.c", &json!({ "stream_name": "in", "config": config }));
    create(json!({ "durable_name": "c", "ack_policy": "none" }));
    folder.write("agent.toml", relay(&server));
    // The line can come before that of the start.
    let mut agent = Agent::start(folder.wattle().args(["run", "--config", "agent.toml"]));
    let line = agent.wait_for("cannot use the consumer until an operator acts");
    assert!(line.contains("`none`"), "{line}");
    server.api("CONSUMER.DELETE.in.c", &Value::Null);
    let own = json!({ "durable_name": "c", "ack_policy": "explicit", "ack_wait": 7_000_000_000_u64, "max_batch": 3, "max_expires": 2_000_000_000_u64 });
    create(own);
    server.send(&[json!({ "subject": "in.a", "value": base64("x") })]);
    until_written(&server, 1);
    wait_for_acks(&server);
    let config = server.consumer("in", "c")["config"].clone();
    assert_eq!((&config["ack_wait"], &config["max_batch"]), (&json!(7_000_000_000_u64), &json!(3)));
    agent.stop();
}
