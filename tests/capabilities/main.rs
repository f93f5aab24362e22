//! Capabilities end to end: a node with a missing grant does not start, and granted capabilities
//! stay within their limits while healthy rows continue.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that cannot go on fails; clippy exempts only the test functions themselves"
)]

mod durable;
mod granted;
mod limits;
mod project;
mod shadow;

use std::io::Write as _;
use std::net::SocketAddr;

use wattle_tests::{ALL_GRANTS as ALL, Folder, Metrics, built, capable_config, get};

/// A folder with the guest and these lines in `in.log`.
fn folder(lines: &[&str]) -> Folder {
    let folder = Folder::new();
    folder.write("capable.wasm", std::fs::read(built("guests/capable.wasm")).unwrap());
    folder.write("in.log", lines.iter().map(|line| format!("{line}\n")).collect::<String>());
    folder
}

/// Appends a line to `in.log`.
fn append(folder: &Folder, line: &str) {
    let mut file = std::fs::File::options().append(true).open(folder.path("in.log")).unwrap();
    file.write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// Creates a pack `probe`, in a folder of this name, whose node `cap` is the guest and requests
/// every capability.
fn pack(folder: &Folder, name: &str, version: &str, options: &str) {
    let asks = ["log", "metrics", "clock", "random", "host", "lookup", "kv", "http-client", "seen"];
    let asked: String =
        asks.iter().map(|name| format!("[capabilities.{name}]\nreason = \"to test {name}\"\n")).collect();
    folder.write(format!("{name}/capable.wasm"), folder.read("capable.wasm"));
    folder.write(
        format!("{name}/pack.toml"),
        format!(
            r#"
            [pack]
            name = "probe"
            version = "{version}"
            contract = "0.1.0"
            description = "A probe."
            [input]
            description = "Lines."
            {asked}
            [nodes.cap]
            artifact = "capable.wasm"
            inputs = ["input"]
            options = {{ {options} }}
            [outputs.all]
            inputs = ["cap", "cap.failed"]
            description = "All."
            "#
        ),
    );
}

/// A configuration in which lines go through the guest `capable` as the node `cap` of the pipeline
/// `main`.
fn config(options: &str, grants: &str, follow: bool) -> String {
    capable_config("", &format!("follow = {follow}"), grants, options)
}

/// [`ALL`] with these grants replaced by name.
fn all_but(grants: &[(&str, &str)]) -> String {
    let lines = ALL.lines().map(|line| {
        let name = line.split(" = ").next().unwrap();
        grants
            .iter()
            .find(|(other, _)| *other == name)
            .map_or_else(|| line.to_owned(), |(name, v)| format!("{name} = {v}"))
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The answer of the guest for each row that arrived.
fn answers(folder: &Folder) -> Vec<String> {
    let text = |event: &serde_json::Value| event["attributes"]["answer"].as_str().unwrap_or_default().to_owned();
    folder.events("all.ndjson").iter().map(text).collect()
}

/// Codes and messages of the rows that failed.
fn failures(folder: &Folder) -> Vec<String> {
    let text = |event: &serde_json::Value| {
        let failure = &event["failure"];
        format!("{}: {}", failure["code"].as_str().unwrap_or_default(), failure["message"].as_str().unwrap_or_default())
    };
    folder.events("fails.ndjson").iter().map(text).collect()
}

/// A scrape.
#[track_caller]
fn scrape(address: SocketAddr) -> Metrics {
    Metrics::read(&get(address, "/metrics").unwrap().text)
}
