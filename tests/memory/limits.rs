//! Nodes that break limits with their memory.

use std::time::Duration;

use wattle_tests::{Config, Metrics, free_address, get, wait_until};

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
fn a_node_whose_state_stays_too_large_starts_without_it_and_gets_on() {
    for sharing in ["worker", "single", "key"] {
        let folder = folder();
        let address = free_address();
        let options = format!("misbehave = \"grow\", window_ms = 600000, sharing = \"{sharing}\"");
        let text = config(&options, "limits = { state = \"1MiB\" }").admin(address).text();
        let mut agent = folder.start(&text);
        append(&folder, 0, 100);
        agent.wait_for("the state is too large to save; the node starts without state");
        // The windows are open for ten minutes, so only the node that is relieved makes them.
        wait_until("all rows", || total(&folder) == 100);
        let unsaved = || {
            let metrics = Metrics::read(&get(address, "/metrics").unwrap().text);
            metrics.sum("wattle_node_unsaved_events", &[("pipeline", "main"), ("node", "count")])
        };
        wait_until("the acknowledgements", || unsaved() == 0.0);
        let ended = agent.stop();
        assert_eq!(ended.summary().pipeline().received, 100, "{sharing}: {}", ended.log);
        let ended = folder.once(&text);
        assert_eq!((ended.summary().pipeline().received, total(&folder)), (0, 100), "{sharing}: {}", ended.text());
    }
}

#[test]
fn joined_events_leave_when_they_exceed_what_a_snapshot_may_have() {
    let folder = folder();
    let text = Config::new()
        .agent("workers = 2\nbatch.max_bytes = \"64KiB\"")
        .file_source("lines", "in.log")
        .set("glob_interval", "20ms")
        .pipeline("main", &["lines"])
        .node("join", "builtin:join", &["input"])
        .with(
            "options = { id = '^\\w+', timeout = \"1h\", max_memory = \"64MiB\", resource_field = \"\" }\n\
             limits = { state = \"1MiB\" }\n\
             state = { sharing = \"single\" }",
        )
        .output("ok", &["join", "join.failed"])
        .file_sink("ok", &["main.ok"], "ok.ndjson")
        .text();
    // Open events of 3 MiB, each of which has its lines at both ends of the input.
    let (keys, rounds) = (300, 10);
    let lines =
        (0..rounds).flat_map(|round| (0..keys).map(move |key| format!("k{key} {round} {}\n", "x".repeat(1000))));
    folder.write("in.log", lines.collect::<String>());
    let mut agent = folder.start(&text);
    let warning = agent.wait_for("the node makes all that it holds");
    assert!(warning.contains("limits.state"), "{warning}");
    let parts = || {
        let mut parts: Vec<String> = Vec::new();
        for event in folder.events("ok.ndjson") {
            let lines = event["body"].as_str().unwrap().lines();
            parts.extend(lines.map(|line| line.trim_end_matches('x').to_owned()));
        }
        parts
    };
    wait_until("most lines", || parts().len() > keys * rounds / 2);
    agent.stop();
    // What is left fits, so it is in the state, and nothing was read twice.
    let ended = folder.once(&text);
    let mut all = parts();
    all.sort();
    let mut expected: Vec<String> =
        (0..keys).flat_map(|key| (0..rounds).map(move |round| format!("k{key} {round} "))).collect();
    expected.sort();
    assert_eq!(all, expected, "{}", ended.text());
    assert_eq!(ended.summary().pipeline().received, 0);
    assert!(folder.events("ok.ndjson").len() < keys * rounds / 2, "the events are joined");
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
