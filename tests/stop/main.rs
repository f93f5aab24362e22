//! Stops and handovers: parts that a reload replaces, signals, and outputs that are closed or
//! cannot be written. No event is lost, nothing hangs, and undelivered events are named.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that cannot go on fails; clippy exempts only the test functions themselves"
)]

mod end;
mod handover;
mod notify;
mod output;
mod signal;
mod watched;

use std::collections::BTreeSet;
use std::net::SocketAddr;

use wattle_tests::{Config, Folder};

/// Lines of files, without nodes, for the sinks that follow.
fn head(agent: &str) -> String {
    Config::new()
        .agent(agent)
        .file_source("lines", "in/*.log")
        .set("glob_interval", "20ms")
        .pipeline("main", &["lines"])
        .output("all", &["input"])
        .text()
}

/// A sink that sends lines to a server.
fn http(name: &str, to: SocketAddr, more: &str) -> String {
    Config::new()
        .http_sink(name, &["main.all"], &format!("http://{to}/"))
        .set("encoding.codec", "text")
        .set("request.retry_initial_backoff", "20ms")
        .set("request.retry_max_backoff", "50ms")
        .set("request.concurrency", 1)
        .with(more)
        .text()
}

/// A sink that writes lines to a file.
fn file(name: &str, path: &str) -> String {
    Config::new().file_sink(name, &["main.all"], path).set("encoding.codec", "text").text()
}

/// Lines that begin with their numbers.
fn lines(range: std::ops::Range<usize>, width: usize) -> String {
    range.map(|number| format!("{number:06} {}\n", "x".repeat(width))).collect()
}

/// The numbers of lines, in their order.
fn numbers(text: &str) -> Vec<usize> {
    text.lines().filter_map(|line| line.get(..6)?.parse().ok()).collect()
}

fn text(folder: &Folder, name: &str) -> String {
    String::from_utf8(folder.read(name)).unwrap()
}

/// Checks that these lines arrived, each at least once, with first arrivals in order.
#[track_caller]
fn assert_in_order(numbers: &[usize], count: usize) {
    let mut seen = BTreeSet::new();
    let first: Vec<usize> = numbers.iter().copied().filter(|number| seen.insert(*number)).collect();
    assert!(first.iter().copied().eq(0..count), "{} of {count} came, or not in order", first.len());
}

/// Appends lines to a followed file.
fn append(folder: &Folder, name: &str, text: &str) {
    use std::io::Write as _;
    let mut file = std::fs::File::options().create(true).append(true).open(folder.path(name)).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}
