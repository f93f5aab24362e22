//! What nodes learn about events that their source offers again.

use std::fs::File;
use std::io::Write as _;

use wattle_tests::{Config, Endpoint, Folder, built, free_address, wait_until};

/// The value of the attribute `set` of each event: what the node read.
fn marks(endpoint: &Endpoint) -> Vec<String> {
    endpoint.events().iter().map(|event| event["attributes"]["set"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_node_learns_that_a_file_source_offers_events_again_after_a_kill() {
    let folder = Folder::new();
    folder.write("examples.wasm", std::fs::read(built("guests/examples.wasm")).unwrap());
    let lines = "line\n".repeat(50);
    folder.write("in.log", &lines);
    let address = free_address();
    let text = Config::new()
        .file_source("lines", "in.log")
        .set("glob_interval", "20ms")
        .pipeline("main", &["lines"])
        .grants("kv = true\nseen = true")
        .node("ask", "examples.wasm", &["input"])
        .with("options = { node = \"decisions\", face = \"columns\", decision = \"redelivered\" }")
        .output("out", &["ask.out", "ask.other", "ask.failed"])
        .http_sink("out", &["main.out"], &format!("http://{address}/"))
        .text();
    // Nothing listens, so no event is acknowledged.
    let agent = folder.start(&text);
    let offered = format!("\"offered\":{}", lines.len());
    let positions = folder.path("data/sources/lines/checkpoints.json");
    wait_until("a saved position", || std::fs::read_to_string(&positions).is_ok_and(|text| text.contains(&offered)));
    agent.kill();
    let endpoint = Endpoint::listen(address);
    let agent = folder.start(&text);
    wait_until("the events", || marks(&endpoint).len() >= 50);
    assert_eq!(marks(&endpoint), vec!["true"; 50]);
    File::options().append(true).open(folder.path("in.log")).unwrap().write_all(b"new\n").unwrap();
    wait_until("the new event", || marks(&endpoint).len() > 50);
    assert_eq!(marks(&endpoint).split_off(50), ["false"]);
    agent.stop();
}
