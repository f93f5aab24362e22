//! Buffers of sinks: events that a source is done with are safe on disk, and stay there until the
//! sink has delivered them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that cannot go on fails; clippy exempts only the test functions themselves"
)]

mod bounds;

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use wattle_tests::{Agent, Config, Endpoint, Folder, free_address, wait_until};

/// Sends lines of a file to an endpoint, without nodes.
fn config(to: SocketAddr, buffer: &str) -> String {
    Config::new()
        .file_source("lines", "in/*.log")
        .set("glob_interval", "20ms")
        .pipeline("main", &["lines"])
        .output("all", &["input"])
        .http_sink("out", &["main.all"], &format!("http://{to}/ingest"))
        .set("batch.timeout", "20ms")
        .set("request.retry_initial_backoff", "50ms")
        .set("request.retry_max_backoff", "100ms")
        .set("request.timeout", "5s")
        .set("request.concurrency", 1)
        .with(buffer)
        .text()
}

const DISK: &str = "buffer = { type = \"disk\", max_size = \"64MiB\" }";

fn lines(range: std::ops::Range<usize>, width: usize) -> String {
    range.map(|index| format!("line {index:06} {}\n", "x".repeat(width))).collect()
}

/// Numbers of the received lines, in order.
fn numbers(endpoint: &Endpoint) -> Vec<usize> {
    let number = |event: serde_json::Value| event["body"].as_str().unwrap()[5..11].parse().unwrap();
    endpoint.events().into_iter().map(number).collect()
}

/// Checks that these lines arrived, each at least once, with first arrivals in order.
#[track_caller]
fn assert_came(numbers: &[usize], count: usize) {
    let mut seen = std::collections::BTreeSet::new();
    let first: Vec<usize> = numbers.iter().copied().filter(|number| seen.insert(*number)).collect();
    assert!(first.iter().copied().eq(0..count), "{} of {count} came, or not in order", first.len());
}

fn segments(folder: &Folder, sink: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder.path(format!("data/buffer/{sink}"))) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "segment"));
    paths.sort();
    paths
}

fn bytes_on_disk(folder: &Folder, sink: &str) -> u64 {
    segments(folder, sink).iter().map(|path| fs::metadata(path).map_or(0, |metadata| metadata.len())).sum()
}

/// Waits until the source is done with a file: its checkpoint is at the end of the file.
fn wait_until_taken(folder: &Folder, name: &str) {
    let size = fs::metadata(folder.path(name)).unwrap().len();
    wait_until("the source is done with its file", || {
        let text = folder.read("data/sources/lines/checkpoints.json");
        let checkpoints: serde_json::Value = serde_json::from_slice(&text).unwrap_or_default();
        let mut files = checkpoints["files"].as_array().into_iter().flatten();
        files.any(|file| file["path"].as_str().unwrap().ends_with(name) && file["position"] == size)
    });
}

#[test]
fn events_on_disk_at_a_kill_are_delivered_in_order_by_the_next_start() {
    let folder = Folder::new();
    let to = free_address();
    let text = lines(0..5000, 50);
    folder.write("in/a.log", &text);
    let agent = folder.start(&config(to, DISK));
    wait_until_taken(&folder, "in/a.log");
    agent.kill();
    // Remove the only copy that the source could read.
    fs::remove_file(folder.path("in/a.log")).unwrap();
    let endpoint = Endpoint::listen(to);
    let mut agent = folder.start(&config(to, DISK));
    wait_until("all lines", || numbers(&endpoint).len() >= 5000);
    assert_came(&numbers(&endpoint), 5000);
    assert!(agent.is_running());
    let ended = agent.stop();
    assert!(!ended.log.contains("wait in the disk buffer"), "{}", ended.log);
    assert_eq!(bytes_on_disk(&folder, "out"), 0, "what is delivered is removed");
}

#[test]
fn a_stop_leaves_undelivered_events_on_disk() {
    let folder = Folder::new();
    let to = free_address();
    let text = lines(0..2000, 50);
    folder.write("in/a.log", &text);
    let agent = folder.start(&config(to, DISK));
    wait_until_taken(&folder, "in/a.log");
    let since = std::time::Instant::now();
    let ended = agent.stop();
    assert!(since.elapsed().as_secs() < 30, "a drain does not wait for a server that is down");
    assert!(ended.log.contains("2000 wait in the disk buffer"), "{}", ended.log);
    let endpoint = Endpoint::listen(to);
    let agent = folder.start(&config(to, DISK));
    wait_until("all lines", || numbers(&endpoint).len() >= 2000);
    assert_came(&numbers(&endpoint), 2000);
    agent.stop();
}

#[test]
fn a_torn_tail_and_damage_are_reported_and_everything_else_is_delivered() {
    let folder = Folder::new();
    let to = free_address();
    let mut expected = Vec::new();
    for (round, name) in ["a", "b"].into_iter().enumerate() {
        let text = lines(round * 100..(round + 1) * 100, 50);
        let name = format!("in/{name}.log");
        folder.write(&name, &text);
        let agent = folder.start(&config(to, DISK));
        wait_until_taken(&folder, &name);
        agent.kill();
        expected.extend(round * 100..(round + 1) * 100);
    }
    let segments = segments(&folder, "out");
    assert!(segments.len() >= 2, "{segments:?}");
    let torn = segments.last().unwrap();
    let mut bytes = fs::read(torn).unwrap();
    bytes.extend(b"WREC and the rest never came");
    fs::write(torn, bytes).unwrap();
    // Change a byte in the first record of the first segment; the other records stay intact.
    let mut bytes = fs::read(&segments[0]).unwrap();
    bytes[100] ^= 1;
    fs::write(&segments[0], bytes).unwrap();
    let endpoint = Endpoint::listen(to);
    let mut agent = folder.start(&config(to, DISK));
    agent.wait_for("events in the disk buffer cannot be read");
    assert!(agent.log().contains("torn tail"), "{}", agent.log());
    wait_until("the second file", || numbers(&endpoint).last() == Some(&199));
    let came = numbers(&endpoint);
    assert!(came.is_sorted() && came.iter().all(|number| expected.contains(number)), "{came:?}");
    let damaged = PathBuf::from(format!("{}.damaged", segments[0].display()));
    wait_until("the damaged file is kept", || damaged.exists());
    let ended = agent.stop();
    assert!(ended.log.contains("bytes of the disk buffer unreadable"), "{}", ended.log);
}

#[test]
fn a_changed_sink_delivers_the_events_that_its_predecessor_left_on_disk() {
    let folder = Folder::new();
    let (wrong, right) = (free_address(), free_address());
    let text = lines(0..3000, 50);
    folder.write("in/a.log", &text);
    let mut agent = folder.start(&config(wrong, DISK));
    wait_until_taken(&folder, "in/a.log");
    let endpoint = Endpoint::listen(right);
    // To another address, and to a buffer in memory: events on disk go first.
    folder.replace("agent.toml", config(right, ""));
    agent.wait_for("reloaded");
    let more = lines(3000..3500, 50);
    folder.write("in/b.log", &more);
    wait_until("all lines", || numbers(&endpoint).len() >= 3500);
    assert_came(&numbers(&endpoint), 3500);
    assert_eq!(agent.stop().summary().pipeline().delivered, 3500);
}

#[test]
fn the_buffer_of_a_removed_sink_is_kept_and_named() {
    let folder = Folder::new();
    let to = free_address();
    let text = lines(0..100, 50);
    folder.write("in/a.log", &text);
    let agent = folder.start(&config(to, DISK));
    wait_until_taken(&folder, "in/a.log");
    agent.kill();
    folder.write("agent.toml", config(to, DISK).replace("sinks.out", "sinks.other"));
    let mut agent = Agent::start(folder.wattle().args(["run", "--config", "agent.toml"]));
    let line = agent.wait_for("keeping the disk buffer of a sink that is not configured");
    assert!(line.contains("data/buffer/out"), "{line}");
    agent.wait_for("running");
    agent.stop();
    assert!(bytes_on_disk(&folder, "out") > 0);
}

/// A run that ends by itself does not retry forever if only an operator can repair the buffer.
#[test]
fn a_run_whose_disk_buffer_cannot_be_opened_ends_with_an_error() {
    let folder = Folder::new();
    folder.write("in/a.log", lines(0..10, 10));
    // A folder in place of the file stops every user, including root.
    folder.write("data/buffer/out/position/occupied", "");
    let ended = folder.once_in_part(&config(free_address(), DISK));
    assert!(ended.log.contains("sink `out`: disk buffer: "), "{}", ended.log);
}
