//! Nodes with memory: windows, held rows, events without a parent, sharing of state, dedup, and what a
//! crash, a full disk and a clock that jumps leave.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails; clippy exempts only the test functions themselves"
)]

mod clock;
mod crash;
mod dedup;
mod joined;
mod limits;
mod redelivered;
mod removed;
mod sharing;
mod waits;
mod windows;

use std::collections::BTreeMap;
use std::io::Write as _;

use wattle_tests::{Config, Folder, built};

/// A pipeline that counts the lines of `in.log` by key with the guest `memory`, in windows of 100 ms
/// unless the options say otherwise.
fn config(options: &str, node: &str) -> Config {
    pipeline(options, node).file_sink("summary", &["main.summary"], "summary.ndjson")
}

/// The same without a sink for the windows.
fn pipeline(options: &str, node: &str) -> Config {
    let window = if options.contains("window_ms") { "" } else { "window_ms = 100, " };
    Config::new()
        .agent("workers = 2")
        .file_source("lines", "in.log")
        .set("glob_interval", "20ms")
        .pipeline("main", &["lines"])
        .node("count", "memory.wasm", &["input"])
        .with(format!("options = {{ tick_ms = 20, {window}{options} }}"))
        .with(node)
        .output("out", &["count.out"])
        .output("summary", &["count.summary"])
        .output("fails", &["count.failed"])
        .file_sink("out", &["main.out"], "out.ndjson")
        .file_sink("fails", &["main.fails"], "fails.ndjson")
}

/// A folder with the guest and an empty log.
fn folder() -> Folder {
    let folder = Folder::new();
    folder.write("memory.wasm", std::fs::read(built("guests/memory.wasm")).unwrap());
    folder.write("in.log", "");
    folder
}

/// Appends lines to the log, spread over ten keys.
fn append(folder: &Folder, from: usize, lines: usize) {
    let mut text = Vec::new();
    for line in from..from + lines {
        writeln!(text, "k{} line {line}", line % 10).unwrap();
    }
    std::fs::File::options().append(true).open(folder.path("in.log")).unwrap().write_all(&text).unwrap();
}

/// The counts of all windows by the id of the event. If an event arrived twice, the larger count: the
/// later one continues from the same snapshot.
fn windows(folder: &Folder) -> BTreeMap<String, u64> {
    windows_of(folder.events("summary.ndjson"))
}

fn windows_of(events: Vec<serde_json::Value>) -> BTreeMap<String, u64> {
    let mut windows = BTreeMap::new();
    for event in events {
        let body: serde_json::Value = serde_json::from_str(event["body"].as_str().unwrap()).unwrap();
        let id = event["attributes"]["id"].as_str().unwrap().to_owned();
        let count = windows.entry(id).or_insert(0);
        *count = body["count"].as_u64().unwrap().max(*count);
    }
    windows
}

/// The sum of all windows.
fn total(folder: &Folder) -> u64 {
    windows(folder).values().sum()
}
