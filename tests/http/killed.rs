//! A kill at any moment loses nothing: unacknowledged events come again.

use std::collections::BTreeSet;

use wattle_tests::{Agent, Config, Folder, Trail, event_id, wait_until};

const FILES: u64 = 60;
const RECORDS: u32 = 50;

fn config() -> String {
    Config::new()
        .file_source("logs", "in/*.json")
        .set("stable_after", "1ms")
        .set("glob_interval", "20ms")
        .pack("main", &["logs"], "cloudtrail@1.1.0")
        .file_sink("all", &["main.*"], "all.ndjson")
        .set("fsync_interval", "20ms")
        .text()
}

fn start(folder: &Folder) -> Agent {
    let mut agent = Agent::start(folder.wattle().args(["run", "--config", "agent.toml"]));
    agent.wait_for("running");
    agent
}

/// The ids in the output, without a line that a kill cut off.
fn ids(folder: &Folder) -> Vec<String> {
    let written = String::from_utf8_lossy(&folder.read("all.ndjson")).into_owned();
    let events = written.lines().filter_map(|line| serde_json::from_str(line).ok());
    events.map(|event: serde_json::Value| event_id(&event)).collect()
}

#[test]
fn an_agent_that_is_killed_repeatedly_loses_nothing() {
    let folder = Folder::new();
    folder.write("agent.toml", config());
    let mut trail = Trail::new(41, RECORDS);
    let documents: Vec<Vec<u8>> = (0..FILES).map(|_| trail.document()).collect();
    let expected: BTreeSet<String> = Trail::new(41, RECORDS).ids(FILES).into_iter().collect();
    let mut agent = start(&folder);
    // Kill it while there is always more to read than it has written.
    for (round, documents) in documents.chunks(15).enumerate() {
        let before = folder.read("all.ndjson").len();
        for (index, document) in documents.iter().enumerate() {
            folder.write(format!("in/{round}-{index:02}.json"), document);
        }
        wait_until("some of the new events", || folder.read("all.ndjson").len() > before);
        agent.kill();
        agent = start(&folder);
    }
    wait_until("every event", || ids(&folder).into_iter().collect::<BTreeSet<_>>().is_superset(&expected));
    agent.stop();
    let all = ids(&folder);
    let distinct: BTreeSet<String> = all.iter().cloned().collect();
    assert_eq!(distinct, expected, "no event that was never there");
    println!("{} events, {} of them twice or more", all.len(), all.len() - distinct.len());

    // Everything is acknowledged now, so another start repeats nothing.
    let again = folder.run(&["run", "--once", "--config", "agent.toml"]);
    assert_eq!(again.code, 0, "{}", again.log);
    assert_eq!(ids(&folder).len(), all.len(), "acknowledged files came again");
}
