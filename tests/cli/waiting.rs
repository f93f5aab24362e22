//! Work that takes longer than a second is shown.

use wattle_tests::{Config, Folder, free_address, wait_until};

#[test]
fn a_build_that_takes_longer_than_a_second_is_shown_and_a_short_one_is_not() {
    let folder = Folder::new();
    let project = |seconds: &str| {
        format!(
            "name = \"own\"\nartifact = \"own.wasm\"\n[build]\noutput = \"made.wasm\"\nwatch = []\n\
             steps = [{{ run = [\"sleep\", \"{seconds}\"] }}]\n"
        )
    };
    folder.write("own/node.toml", project("1.5"));
    let slow = folder.run(&["--color", "never", "node", "build", "own"]);
    assert!(slow.log.contains("building what=\"sleep 1.5\""), "{}", slow.log);
    folder.write("own/node.toml", project("0"));
    let quick = folder.run(&["node", "build", "own"]);
    assert!(!quick.log.contains("building"), "{}", quick.log);
}

#[test]
fn a_drain_names_the_sinks_that_it_waits_for() {
    let folder = Folder::new();
    folder.write("in.log", "one\ntwo\n");
    let server = free_address();
    let agent = folder.start(
        &Config::new()
            .agent("drain_timeout = \"3s\"")
            .file_source("lines", "in.log")
            .set("framing", "lines")
            .pipeline("main", &["lines"])
            .node("parse", "builtin:parse", &["input"])
            .set("options.format", "json")
            .output("all", &["parse.*"])
            .http_sink("down", &["main.all"], &format!("http://{server}/"))
            .text(),
    );
    let backlog = || folder.run(&["status", "--data-dir", "data", "--json"]).text().contains("\"retries\":");
    wait_until("the agent answers", backlog);
    agent.signal("TERM");
    let ended = agent.ended();
    assert_eq!(ended.code, 1, "{}", ended.log);
    let line = ended.log.lines().find(|line| line.contains("draining")).unwrap_or_else(|| panic!("{}", ended.log));
    assert!(line.contains("sink `down` has 2 events left; exits in "), "{line}");
}
