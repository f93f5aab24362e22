//! Nodes that break limits with their memory.

use std::time::Duration;

use wattle_tests::{Metrics, free_address, get, wait_until};

use super::{append, config, folder, total};

#[test]
fn a_tick_that_spins_floods_or_fails_is_contained_and_its_rows_are_not_acknowledged() {
    for (misbehave, kind) in [("spin", "time-limit"), ("flood", "output-limit"), ("trap", "node-error")] {
        let folder = folder();
        let options = format!("misbehave = \"{misbehave}\"");
        let text = config(&options, "limits = { time = \"20ms\" }").text();
        let mut agent = folder.start(&text);
        append(&folder, 0, 100);
        agent.wait_for("the timer of the node faulted");
        std::thread::sleep(Duration::from_millis(200));
        assert!(agent.is_running(), "{misbehave}");
        let log = agent.log().to_owned();
        assert!(log.contains(kind), "{misbehave}: {log}");
        // The well-behaved version gets every row.
        folder.replace("agent.toml", config("", "").text());
        agent.wait_for("reloaded");
        wait_until("all rows", || total(&folder) >= 100);
        agent.stop();
    }
}

#[test]
fn state_beyond_its_limit_is_reported_and_loses_nothing() {
    let folder = folder();
    let text = config("misbehave = \"grow\"", "limits = { state = \"1MiB\" }").text();
    let mut agent = folder.start(&text);
    append(&folder, 0, 100);
    agent.wait_for("cannot save the state");
    folder.replace("agent.toml", config("", "").text());
    agent.wait_for("reloaded");
    wait_until("all rows", || total(&folder) >= 100);
    agent.stop();
}

#[test]
fn a_poisonous_row_does_not_take_the_rows_before_it_with_it() {
    let folder = folder();
    append(&folder, 0, 100);
    let mut log = folder.read("in.log");
    log.extend_from_slice(b"poison\n");
    folder.write("in.log", log);
    let mut agent = folder.start(&config("misbehave = \"poison\"", "").text());
    append(&folder, 100, 100);
    wait_until("the poisonous row", || !folder.events("fails.ndjson").is_empty());
    wait_until("all rows", || total(&folder) >= 200);
    assert!(agent.is_running());
    let ended = agent.stop();
    ended.summary();
    assert!(total(&folder) >= 200);
}

#[test]
fn state_that_cannot_be_written_holds_its_events_back() {
    let folder = folder();
    // A file where the folder should be.
    folder.write("data/state/main/count", "in the way");
    let address = free_address();
    let text = config("", "state = { snapshot_interval = \"20ms\" }").admin(address).text();
    let mut agent = folder.start(&text);
    append(&folder, 0, 100);
    agent.wait_for("cannot write the state of a node");
    let unsaved = || {
        let metrics = Metrics::read(&get(address, "/metrics").unwrap().text);
        metrics.sum("wattle_node_unsaved_events", &[("pipeline", "main"), ("node", "count")])
    };
    wait_until("all rows in the node", || unsaved() == 100.0);
    std::fs::remove_file(folder.path("data/state/main/count")).unwrap();
    wait_until("a snapshot", || folder.path("data/state/main/count").is_dir());
    wait_until("all rows", || total(&folder) >= 100);
    wait_until("the acknowledgements", || unsaved() == 0.0);
    agent.stop();
}

#[test]
fn corrupt_state_is_set_aside_and_counted() {
    let folder = folder();
    let text = config("window_ms = 600000", "state = { snapshot_interval = \"20ms\" }").text();
    let agent = folder.start(&text);
    append(&folder, 0, 100);
    wait_until("a snapshot", || folder.path("data/state/main/count/0").is_file());
    agent.kill();
    for entry in std::fs::read_dir(folder.path("data/state/main/count")).unwrap() {
        std::fs::write(entry.unwrap().path(), "damaged").unwrap();
    }
    let agent = folder.start(&text);
    assert!(agent.log().contains("saved state is corrupt and was set aside"), "{}", agent.log());
    agent.stop();
}
