//! Nodes that return other ports each time they are configured.

use std::time::{SystemTime, UNIX_EPOCH};

use wattle_tests::{Config, Folder, built, wait_until};

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn config(agent: &str, after: u64) -> String {
    Config::new()
        .agent("workers = 1")
        .with(agent)
        .file_source("lines", "in*.log")
        .set("glob_interval", "50ms")
        .pipeline("main", &["lines"])
        .grants("clock = true")
        .node("n", "shifty.wasm", &["input"])
        .with(format_args!("options = {{ after = {after} }}"))
        .output("all", &["n.a", "n.failed"])
        .file_sinks(&["all"])
        .text()
}

/// Ports that change after validation: every later generation checks the ports of its instances
/// again.
#[test]
fn a_reload_with_a_node_whose_ports_changed_is_refused_and_events_continue() {
    let folder = Folder::new();
    folder.write("shifty.wasm", std::fs::read(built("guests/shifty.wasm")).unwrap());
    folder.write("in.log", "first\n");
    let after = now() + 4;
    let mut agent = folder.start(&config("", after));
    wait_until("the first event", || folder.events("all.ndjson").len() == 1);
    wait_until("the node answers differently", || now() > after);
    folder.write("agent.toml", config("batch.max_events = 500", after));
    let reload = folder.run(&["reload", "--config", "agent.toml"]);
    assert_ne!(reload.code, 0, "{}{}", reload.text(), reload.log);
    let said = format!("{}{}", reload.text(), reload.log);
    assert!(said.contains("has the output ports a, b, c now and had a"), "{said}");
    folder.write("in2.log", "second\nthird\n");
    wait_until("events after the refused reload", || folder.events("all.ndjson").len() == 3);
    assert!(agent.is_running());
    let summary = agent.stop().summary();
    assert_eq!(summary.pipelines["main"].delivered, 3);
}
