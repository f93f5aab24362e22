//! An upgrade of the agent and the way back, under load, with events in its disk buffer: none is lost.
//!
//! `WATTLE_UPGRADE_FROM` names the other agent (`cargo xtask upgrade --from BINARY` sets it). Without it the agent under
//! test takes both parts, so that the test itself is tested. `WATTLE_UPGRADE_ROUNDS` repeats each case.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that cannot go on fails; clippy exempts only the test functions themselves"
)]

use std::collections::HashMap;
use std::fs::File;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;
use wattle_tests::{Agent, Config, Endpoint, Folder, binary, free_address, wait_until};

/// Lines that arrive while each agent runs without its destination.
const LINES_PER_STEP: usize = 3000;
/// Bytes of a line behind its number.
const WIDTH: usize = 200;
/// All bytes of a line: the number, a blank, and the line break.
const LINE_BYTES: usize = 8 + 1 + WIDTH + 1;
/// Lines in the requests that a sink has in flight at most.
const REQUEST_LINES: usize = 5000;

/// How an agent ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Stop,
    Kill,
}

/// A program that logs to a file until it is dropped.
struct Load {
    written: Arc<AtomicUsize>,
    stopped: Arc<AtomicBool>,
    writer: Option<JoinHandle<()>>,
}

impl Load {
    fn start(folder: &Folder) -> Self {
        let mut file = File::create(folder.write("in/a.log", "")).unwrap();
        let (written, stopped) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (count, end) = (written.clone(), stopped.clone());
        let writer = std::thread::spawn(move || {
            while !end.load(Ordering::SeqCst) {
                let first = count.load(Ordering::SeqCst);
                let lines: String = (first..first + 50).map(|n| format!("{n:08} {}\n", "x".repeat(WIDTH))).collect();
                file.write_all(lines.as_bytes()).unwrap();
                count.store(first + 50, Ordering::SeqCst);
                // The rate of the load: some 5,000 lines a second.
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        Self { written, stopped, writer: Some(writer) }
    }

    fn written(&self) -> usize {
        self.written.load(Ordering::SeqCst)
    }

    fn wait_for_more(&self, lines: usize) {
        let until = self.written() + lines;
        wait_until("more lines", || self.written() >= until);
    }

    fn end(mut self) -> usize {
        self.stopped.store(true, Ordering::SeqCst);
        self.writer.take().unwrap().join().unwrap();
        self.written()
    }
}

fn config(to: SocketAddr) -> String {
    Config::new()
        .agent("drain_timeout = \"2s\"")
        .file_source("lines", "in/*.log")
        .set("glob_interval", "50ms")
        .pipeline("main", &["lines"])
        .output("all", &["input"])
        .http_sink("out", &["main.all"], &format!("http://{to}/"))
        .set("encoding.codec", "text")
        .set("request.retry_initial_backoff", "20ms")
        .set("request.retry_max_backoff", "100ms")
        .with("buffer = { type = \"disk\", max_size = \"256MiB\" }")
        .text()
}

/// Bytes of events in the disk buffer.
fn buffered(folder: &Folder) -> u64 {
    let segments = std::fs::read_dir(folder.path("data/buffer/out")).into_iter().flatten().flatten();
    segments.filter_map(|entry| Some(entry.metadata().ok()?.len())).sum()
}

/// Lines that the source would read again if the agent were killed now: those behind its saved position.
fn unsaved(folder: &Folder, written: usize) -> usize {
    let positions: Value =
        serde_json::from_slice(&folder.read("data/sources/lines/checkpoints.json")).unwrap_or_default();
    let position = positions["files"][0]["position"].as_u64().unwrap_or_default();
    written - usize::try_from(position).unwrap() / LINE_BYTES
}

/// What a sequence of agents delivered.
#[derive(Debug)]
struct Figures {
    events: usize,
    lost: usize,
    doubled: usize,
    /// How many events may be doubled: what was in flight when an agent was killed.
    in_flight: usize,
    /// Largest buffer that an agent took over from another, in bytes.
    taken_over: u64,
}

fn start(program: &PathBuf, folder: &Folder) -> Agent {
    let mut command = Command::new(program);
    command.current_dir(folder.path(".")).env("WATTLE_DATA_DIR", folder.path("data")).env_remove("WATTLE_CONFIG");
    let mut agent = Agent::start(command.args(["run", "--config", "agent.toml"]));
    agent.wait_for("running");
    agent
}

/// Runs each agent in turn on one data folder: the first ones without a destination, the last one with it. All but the last
/// end as `end` says, while events are in the buffer.
fn relay(agents: &[PathBuf], end: End) -> Figures {
    let folder = Folder::new();
    // Each agent has another version of compiled code, so the shared cache must not be used.
    std::fs::remove_file(folder.path("data/cache")).unwrap();
    let to = free_address();
    folder.write("agent.toml", config(to));
    let load = Load::start(&folder);
    let (last, others) = agents.split_last().unwrap();
    let mut server = None;
    let (mut taken_over, mut in_flight) = (0, 0);
    for (number, program) in others.iter().enumerate() {
        let before = buffered(&folder);
        let agent = start(program, &folder);
        load.wait_for_more(LINES_PER_STEP);
        wait_until("events in the buffer", || buffered(&folder) > before + (LINES_PER_STEP * WIDTH / 4) as u64);
        if number + 1 == others.len() && end == End::Kill {
            // The last one before the end is killed in the middle of its delivery.
            let endpoint = server.insert(Endpoint::listen(to));
            wait_until("the delivery", || !endpoint.text().is_empty());
        }
        match end {
            End::Stop => {
                agent.signal("TERM");
                let ended = agent.ended();
                // It stops with events in its buffer, which stay there.
                assert!(matches!(ended.code, 0 | 1), "{}", ended.log);
                in_flight += if ended.code == 0 { 0 } else { LINES_PER_STEP };
            }
            End::Kill => {
                drop(agent.kill());
                // The position is saved once a second. What the server accepted of the buffer without a record of it is
                // some requests.
                in_flight += unsaved(&folder, load.written()) + REQUEST_LINES;
            }
        }
        taken_over = taken_over.max(buffered(&folder));
    }
    let server = server.unwrap_or_else(|| Endpoint::listen(to));
    let agent = start(last, &folder);
    load.wait_for_more(LINES_PER_STEP);
    let written = load.end();
    let count = || {
        let mut counts: HashMap<usize, usize> = HashMap::new();
        for line in server.text().lines() {
            *counts.entry(line[..8].parse().unwrap()).or_default() += 1;
        }
        counts
    };
    let since = Instant::now();
    while count().len() < written && since.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(100));
    }
    drop(agent.stop());
    let counts = count();
    let history = folder.read("data/history.ndjson");
    let starts = String::from_utf8(history).unwrap().lines().filter(|line| line.contains("\"started\"")).count();
    assert_eq!(starts, agents.len(), "each agent continues the history");
    Figures {
        events: written,
        lost: (0..written).filter(|n| !counts.contains_key(n)).count(),
        doubled: counts.values().map(|count| count - 1).sum(),
        in_flight,
        taken_over,
    }
}

fn check(what: &str, agents: &[PathBuf], end: End) {
    let rounds = std::env::var("WATTLE_UPGRADE_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(1);
    for round in 1..=rounds {
        let Figures { events, lost, doubled, in_flight, taken_over } = relay(agents, end);
        println!(
            "{what}, {end:?}, round {round}: {events} events, {lost} lost, {doubled} doubled of at most {in_flight} in flight, {} KiB in the buffer taken over",
            taken_over >> 10
        );
        assert_eq!(lost, 0, "{what}, {end:?}");
        let least = (LINES_PER_STEP * WIDTH / 8) as u64;
        assert!(taken_over > least, "{what}, {end:?}: the buffer that was taken over had {taken_over} bytes");
        assert!(doubled <= in_flight, "{what}, {end:?}: {doubled} doubled");
    }
}

fn from() -> PathBuf {
    std::env::var_os("WATTLE_UPGRADE_FROM").map_or_else(binary, PathBuf::from)
}

#[test]
fn no_event_is_lost_by_an_upgrade_that_stops_the_old_agent() {
    check("upgrade", &[from(), binary()], End::Stop);
}

#[test]
fn no_event_is_lost_by_an_upgrade_that_kills_the_old_agent() {
    check("upgrade", &[from(), binary()], End::Kill);
}

#[test]
fn no_event_is_lost_by_the_way_back() {
    check("downgrade", &[binary(), from()], End::Stop);
    check("downgrade", &[binary(), from()], End::Kill);
}

#[test]
fn no_event_is_lost_by_going_back_and_forth() {
    let (old, new) = (from(), binary());
    let agents = [old.clone(), new.clone(), old.clone(), new.clone(), old, new];
    check("back and forth", &agents, End::Kill);
}

/// Lines `from..to`, each `line N`.
fn append(folder: &Folder, from: usize, to: usize) {
    let lines: String = (from..to).map(|number| format!("line {number}\n")).collect();
    File::options().append(true).open(folder.path("in/a.log")).unwrap().write_all(lines.as_bytes()).unwrap();
}

/// The sum of the counts of all windows.
fn counted(folder: &Folder) -> u64 {
    let count = |event: Value| {
        let body: Value = serde_json::from_str(event["body"].as_str().unwrap()).unwrap();
        body["count"].as_u64().unwrap()
    };
    folder.events("windows.ndjson").into_iter().map(count).sum()
}

/// `dedup` must know what passed another agent, and `aggregate` must count what waits in a window of another agent.
fn carry_state(agents: &[PathBuf]) {
    let folder = Folder::new();
    std::fs::remove_file(folder.path("data/cache")).unwrap();
    folder.write("in/a.log", "");
    let text = Config::new()
        .file_source("lines", "in/*.log")
        .set("glob_interval", "20ms")
        .pipeline("main", &["lines"])
        .grants("clock = true\nseen = { max_keys = 100_000, max_age = \"30m\", durable = true }")
        .node("dedup", "builtin:dedup", &["input"])
        .with("options = { window = \"30m\" }")
        .node("aggregate", "builtin:aggregate", &["dedup"])
        .with("options = { window = \"2s\", mode = \"pass\" }")
        .output("passed", &["aggregate.out", "dedup.failed", "aggregate.failed"])
        .output("windows", &["aggregate.windows"])
        .file_sinks(&["passed", "windows"])
        .text();
    folder.write("agent.toml", text);
    let mut written = 0;
    for program in agents {
        let agent = start(program, &folder);
        // Everything again, and some new lines.
        append(&folder, 0, written + 1000);
        written += 1000;
        wait_until("the new lines", || folder.events("passed.ndjson").len() >= written);
        let ended = agent.stop();
        assert_eq!(ended.code, 0, "{}", ended.log);
    }
    let agent = start(agents.last().unwrap(), &folder);
    wait_until("the windows", || counted(&folder) >= written as u64);
    agent.stop();
    let mut passed: Vec<String> =
        folder.events("passed.ndjson").iter().map(|event| event["body"].as_str().unwrap().to_owned()).collect();
    let delivered = passed.len();
    passed.sort();
    passed.dedup();
    println!("{} agents: {written} lines, {delivered} passed, {} counted", agents.len(), counted(&folder));
    assert_eq!((passed.len(), delivered, counted(&folder)), (written, written, written as u64));
}

#[test]
fn claims_and_windows_survive_an_upgrade_and_the_way_back() {
    let (old, new) = (from(), binary());
    carry_state(&[old.clone(), new.clone(), old, new]);
}
