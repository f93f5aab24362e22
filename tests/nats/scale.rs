//! The configuration of docs/SCALE.md: two agents at a consumer, two more under load, and one that is killed.

use serde_json::Value;
use wattle_tests::{Agent, Folder, scale_page, wait_until};

use crate::server::Server;

const MESSAGES: usize = 20_000;

/// The page's configuration, with this server and this folder.
fn config(server: &Server, folder: &Folder) -> String {
    scale_page("JetStream", folder, &[("nats://nats-1:4222,nats://nats-2:4222,nats://nats-3:4222", &server.url())])
}

#[test]
fn agents_that_are_killed_and_added_under_load_lose_and_double_nothing() {
    let folder = Folder::new();
    let server = Server::start(&folder);
    server.create("logs", &Value::Null);
    server.create("clean", &Value::Null);
    let folders: Vec<Folder> = (0..4).map(|_| Folder::new()).collect();
    let start = |at: usize| -> Agent { folders[at].start(&config(&server, &folders[at])) };
    let until = |count: u64| wait_until("messages arrive", || server.messages("clean") >= count);
    let (one, two) = (start(0), start(1));
    let mut producer = server.count("logs.a", 0..MESSAGES);
    until(1000);
    let (three, four) = (start(2), start(3));
    until(5000);
    one.kill();
    // Without ids, these would be doubled at most.
    let in_flight = server.consumer("logs", "wattle")["num_ack_pending"].as_u64().unwrap();
    assert!(producer.wait().unwrap().success());
    wait_until("everything is acknowledged", || {
        let consumer = server.consumer("logs", "wattle");
        consumer["num_pending"] == 0 && consumer["num_ack_pending"] == 0
    });
    let again = server.consumer("logs", "wattle")["delivered"]["consumer_seq"].as_u64().unwrap() - MESSAGES as u64;
    let arrived = server.values("clean");
    let lost = (0..MESSAGES).filter(|number| !arrived.contains_key(&number.to_string())).count();
    let doubled = arrived.values().sum::<u64>() - arrived.len() as u64;
    println!(
        "4 agents, one killed, two added: {lost} of {MESSAGES} lost, {doubled} doubled, {again} of {in_flight} in flight \
         delivered again"
    );
    assert_eq!((lost, doubled, arrived.len()), (0, 0, MESSAGES));
    assert!(again <= in_flight, "{again} delivered again, {in_flight} in flight");
    for (agent, folder) in [two, three, four].into_iter().zip(&folders[1..]) {
        let ended = agent.stop();
        assert!(ended.summary().pipeline().delivered > 0, "{}", ended.log);
        assert_eq!(folder.read("fails.ndjson"), b"");
    }
}
