//! Members of a group that are killed and that come later, under load.

use std::time::Duration;

use wattle_tests::{Agent, Folder};

use crate::server::Server;
use crate::{create, relay};

const MESSAGES: usize = 100_000;

#[test]
fn an_agent_that_is_killed_loses_nothing() {
    let (folder, server) = (Folder::new(), Server::start());
    create(&server, 4);
    let config = relay(&server, "", "");
    let mut agent = folder.start(&config);
    let counting = server.count("in", MESSAGES);
    let mut uncommitted = 0;
    for kill in 1..=3 {
        server.until_it_has("out", kill * 10_000);
        agent.kill();
        // The sum over all kills so far: what was read again is twice in `out`, and was committed once at most.
        uncommitted = server.uncommitted("out", "g", "in");
        agent = folder.start(&config);
    }
    counting.done();
    server.until_committed("g", "in");
    // How much that is depends on how long this server takes for a commit.
    let doubled = server.check("out", MESSAGES);
    println!("an agent killed 3 times: 0 of {MESSAGES} lost, {doubled} doubled of {uncommitted} not committed");
    assert!(doubled <= uncommitted);
    agent.stop();
}

#[test]
fn agents_that_come_and_go_in_a_group_lose_nothing() {
    let server = Server::start();
    create(&server, 6);
    let folders = [Folder::new(), Folder::new(), Folder::new()];
    let config = relay(&server, "", "");
    let start = |at: usize| -> Agent { folders[at].start(&config) };
    let (one, mut two) = (start(0), start(1));
    let counting = server.count("in", MESSAGES);
    server.until_it_has("out", 10_000);
    let mut three = start(2);
    // The third member has partitions when the first one is killed.
    three.wait_for("partitions assigned");
    server.until_it_has("out", 20_000);
    one.kill();
    two.wait_for("partitions revoked");
    counting.done();
    server.until_committed("g", "in");
    let doubled = server.check("out", MESSAGES);
    println!("two agents, one added, one killed: 0 of {MESSAGES} lost, {doubled} doubled");
    for agent in [two, three] {
        let ended = agent.stop();
        assert!(ended.summary().pipeline().delivered > 0, "{}", ended.log);
    }
}

#[test]
fn a_member_that_stops_hands_over_without_doubling() {
    let server = Server::start();
    create(&server, 4);
    let folders = [Folder::new(), Folder::new()];
    let config = relay(&server, "", "");
    let first = folders[0].start(&config);
    let counting = server.count("in", MESSAGES);
    server.until_it_has("out", 10_000);
    let mut second = folders[1].start(&config);
    second.wait_for("partitions assigned");
    std::thread::sleep(Duration::from_secs(1));
    let ended = first.stop();
    assert!(ended.summary().pipeline().delivered > 0, "{}", ended.log);
    counting.done();
    server.until_committed("g", "in");
    assert_eq!(server.check("out", MESSAGES), 0, "doubled");
    second.stop();
}
