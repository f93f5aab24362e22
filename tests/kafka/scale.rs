//! The configuration of docs/SCALE.md: two agents of a group, two more under load, and one that is killed.

use wattle_tests::{Agent, Folder, scale_page};

use crate::server::Server;

const MESSAGES: usize = 100_000;
const PARTITIONS: usize = 8;

/// The page's configuration, with this server and this folder.
fn config(server: &Server, folder: &Folder) -> String {
    scale_page("Kafka", folder, &[("kafka-1:9092,kafka-2:9092,kafka-3:9092", server.address())])
}

#[test]
fn agents_that_are_killed_and_added_under_load_lose_nothing_and_double_what_was_in_flight() {
    let server = Server::start();
    server.create("logs", PARTITIONS);
    server.create("clean", PARTITIONS);
    let folders: Vec<Folder> = (0..4).map(|_| Folder::new()).collect();
    let start = |at: usize| -> Agent { folders[at].start(&config(&server, &folders[at])) };
    let (one, mut two) = (start(0), start(1));
    let counting = server.count("logs", MESSAGES);
    server.until_it_has("clean", 10_000);
    let (mut three, mut four) = (start(2), start(3));
    for agent in [&mut three, &mut four] {
        agent.wait_for("partitions assigned");
    }
    server.until_it_has("clean", 25_000);
    // The killed agent can have delivered messages between what is committed before and what is there after the kill.
    let committed = server.committed("wattle", "logs");
    one.kill();
    let ends = server.ends("logs");
    let in_flight: i64 = ends.iter().zip(&committed).map(|(end, from)| end - (*from).max(0)).sum();
    two.wait_for("partitions assigned");
    counting.done();
    server.until_committed("wattle", "logs");
    let doubled = server.check("clean", MESSAGES);
    println!("4 agents, one killed, two added: 0 of {MESSAGES} lost, {doubled} doubled, {in_flight} in flight");
    assert!(i64::try_from(doubled).unwrap() <= in_flight, "{doubled} doubled, {in_flight} in flight");
    for (agent, folder) in [two, three, four].into_iter().zip(&folders[1..]) {
        let ended = agent.stop();
        assert!(ended.summary().pipeline().delivered > 0, "{}", ended.log);
        assert_eq!(folder.read("fails.ndjson"), b"");
    }
}
