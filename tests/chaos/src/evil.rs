//! Nodes that misbehave, each in a pipeline beside a healthy one that must not feel it.
//!
//! The healthy pipeline answers requests, so the time that a request takes is the time through the whole of it. It is
//! measured in turns, quiet and with the evil node at work, in the same agent.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::Value;
use wattle_tests::{Agent, Folder, built, free_address, send, wait_until};

use crate::report::{Outcome, Report};

/// One way to misbehave.
#[derive(Clone, Copy, Debug)]
pub struct Mode {
    /// What the guest's option `fault` is called.
    pub fault: &'static str,
    /// The code of the rows that fail.
    pub code: &'static str,
    /// The whole batch fails, not only its poisonous rows.
    pub whole_batch: bool,
}

/// Every way in which the guest `faulty` misbehaves while it processes.
pub fn evil_modes() -> Vec<Mode> {
    let rows = |fault, code| Mode { fault, code, whole_batch: false };
    vec![
        rows("panic", "trap"),
        rows("spin", "time-limit"),
        rows("grow-memory", "memory-limit"),
        rows("recurse", "stack-overflow"),
        rows("flood", "output-limit"),
        rows("call-host", "host-call-limit"),
        rows("bad-span", "invalid-decision"),
        rows("bad-offsets", "invalid-decision"),
        rows("bad-port", "invalid-decision"),
        rows("bad-json", "invalid-decision"),
        rows("bad-row", "invalid-decision"),
        rows("bad-field", "invalid-decision"),
        Mode { fault: "error", code: "node-error", whole_batch: true },
    ]
}

/// Rows of a batch of poison; one of them is poisonous.
const ROWS: usize = 8;
/// Batches of poison that wait at a time: more than there are workers.
const WAITING: usize = 6;
/// Requests that a turn measures.
const REQUESTS: usize = 60;
/// Turns of each kind.
const TURNS: usize = 3;
/// A request that takes no longer than this was not held up, whatever the ratio: it is what a busy machine does.
const UNFELT: Duration = Duration::from_millis(5);

/// Runs every mode, and notes the figures.
pub fn section(report: &mut Report) {
    report.section("Evil nodes: each beside a healthy pipeline");
    let mut worst = 0.0_f64;
    for mode in evil_modes() {
        report.add("evil_nodes", 1);
        let mut ratio = 0.0;
        let outcome = report.run(mode.fault, || run(mode, &mut ratio));
        worst = worst.max(ratio);
        contained(report, outcome);
    }
    report.add("evil_nodes", 1);
    let outcome = report.run("panic-on-configure", on_configure);
    contained(report, outcome);
    report.set("evil_p99_ratio", (worst * 100.0).round() / 100.0);
}

fn contained(report: &mut Report, outcome: Option<Outcome>) {
    report.add("evil_nodes_contained", u64::from(outcome.as_ref().is_some_and(Outcome::is_good)));
    report.add("lost", outcome.map_or(0, |outcome| outcome.lost));
}

fn healthy(address: SocketAddr) -> String {
    format!(
        r#"
[agent]
workers = 2
[sources.requests]
type = "http"
address = "{address}"
[pipelines.healthy]
inputs = ["requests"]
[pipelines.healthy.nodes.parse]
artifact = "builtin:parse"
inputs = ["input"]
options = {{ field = "body", format = "json" }}
[pipelines.healthy.outputs.ok]
inputs = ["parse", "parse.failed"]
[sinks.healthy]
type = "file"
inputs = ["healthy.ok"]
path = "healthy"
encoding.codec = "text"
fsync = "never"
"#
    )
}

fn evil(fault: &str) -> String {
    // Only what never comes back may meet the limit of time: on a busy machine the others take long, too.
    let time = if fault == "spin" { "50ms" } else { "10s" };
    format!(
        r#"
[sources.rows]
type = "file"
include = ["rows"]
glob_interval = "20ms"
[pipelines.evil]
inputs = ["rows"]
[pipelines.evil.nodes.faulty]
artifact = "faulty.wasm"
inputs = ["input"]
options = {{ fault = "{fault}" }}
limits = {{ memory = "32MiB", time = "{time}" }}
[pipelines.evil.outputs.ok]
inputs = ["faulty"]
[pipelines.evil.outputs.fails]
inputs = ["faulty.failed"]
[sinks.evil-ok]
type = "file"
inputs = ["evil.ok"]
path = "ok"
encoding.codec = "text"
fsync = "never"
[sinks.evil-fails]
type = "file"
inputs = ["evil.fails"]
path = "fails"
fsync = "never"
"#
    )
}

fn folder() -> Folder {
    let folder = Folder::new();
    folder.write("faulty.wasm", std::fs::read(built("guests/faulty.wasm")).unwrap());
    folder.write("rows", "");
    folder
}

fn row(index: usize) -> String {
    let kind = if index.is_multiple_of(ROWS) { "poison" } else { "healthy" };
    format!("{{\"row\":{index},\"kind\":\"{kind}\"}}")
}

/// Sends requests, and gives the time that each took.
fn requests(address: SocketAddr, sent: &mut usize, times: &mut Vec<Duration>) {
    for _ in 0..REQUESTS {
        let body = format!("{{\"request\":{sent}}}\n");
        let since = Instant::now();
        let answer = send(address, &[("content-type", "application/x-ndjson")], body.as_bytes());
        times.push(since.elapsed());
        assert_eq!(answer.status, 200, "a healthy request: {}", answer.text);
        *sent += 1;
    }
}

fn p99(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[(times.len() * 99).div_ceil(100) - 1]
}

fn start(folder: &Folder, config: &str, address: SocketAddr) -> Agent {
    let agent = folder.start(config);
    wait_until("the http source", || std::net::TcpStream::connect(address).is_ok());
    agent
}

/// Runs one mode.
pub fn run(mode: Mode, ratio: &mut f64) -> Outcome {
    let (folder, address) = (folder(), free_address());
    let mut agent = start(&folder, &(healthy(address) + &evil(mode.fault)), address);
    let mut rows = File::options().append(true).open(folder.path("rows")).unwrap();
    let (mut fed, mut sent) = (0, 0);
    let out = |name: &str| folder.read(name).iter().filter(|b| **b == b'\n').count();
    // The first requests open files and such.
    requests(address, &mut sent, &mut Vec::new());
    let (mut quiet, mut loud) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        requests(address, &mut sent, &mut quiet);
        std::thread::scope(|scope| {
            let (done, over) = std::sync::mpsc::channel::<()>();
            let (fed, rows, out) = (&mut fed, &mut rows, &out);
            // There is always poison for every worker, until the turn ends; then what is left of it is waited for.
            scope.spawn(move || {
                while matches!(over.try_recv(), Err(std::sync::mpsc::TryRecvError::Empty)) {
                    if out("ok") + out("fails") + WAITING * ROWS > *fed {
                        let batch: String = (*fed..*fed + ROWS).map(|index| row(index) + "\n").collect();
                        rows.write_all(batch.as_bytes()).unwrap();
                        *fed += ROWS;
                    }
                    std::thread::sleep(Duration::from_millis(10));
                }
                wait_until("the rows of the evil pipeline", || out("ok") + out("fails") >= *fed);
            });
            // The first batch is under way before anything is measured.
            std::thread::sleep(Duration::from_millis(30));
            requests(address, &mut sent, &mut loud);
            drop(done);
        });
    }
    assert!(agent.is_running(), "the agent died");
    let ended = agent.stop();
    ended.summary();
    let healthy = String::from_utf8(folder.read("healthy")).unwrap();
    let expected: Vec<String> = (0..sent).map(|request| format!("{{\"request\":{request}}}")).collect();
    assert!(healthy.lines().eq(&expected), "the healthy pipeline delivers each request once, in order");
    let lost = check_rows(&folder, mode, fed);
    let (quiet, loud) = (p99(&mut quiet), p99(&mut loud));
    *ratio = loud.max(UNFELT).as_secs_f64() / quiet.max(UNFELT).as_secs_f64();
    let note = format!(
        "{fed} rows, {} -> {}; healthy p99 {:.1} ms quiet, {:.1} ms beside it",
        fed / ROWS,
        mode.code,
        quiet.as_secs_f64() * 1e3,
        loud.as_secs_f64() * 1e3,
    );
    let felt = (*ratio > 2.0).then(|| format!("the healthy pipeline is held up, {ratio:.1} times its quiet p99"));
    Outcome { lost, broken: felt, ..Outcome::new(note) }
}

/// Every row is in the one output where it belongs; answers with how many are not.
fn check_rows(folder: &Folder, mode: Mode, fed: usize) -> u64 {
    let ok = String::from_utf8(folder.read("ok")).unwrap();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    ok.lines().for_each(|line| *places.entry(line.to_owned()).or_default() += 1);
    for index in (0..fed).filter(|index| mode.whole_batch || index.is_multiple_of(ROWS)) {
        assert!(!places.contains_key(&row(index)), "row {index} must fail");
    }
    for event in folder.events("fails") {
        let Value::Object(failure) = &event["failure"] else { panic!("a row on `fails` without a reason: {event}") };
        assert_eq!(failure["code"], mode.code, "{event}");
        let body = event["body"].as_str().unwrap();
        assert!(mode.whole_batch || body.contains("poison"), "a healthy row failed: {event}");
        *places.entry(body.to_owned()).or_default() += 1;
    }
    let wrong = (0..fed).filter(|index| places.get(&row(*index)) != Some(&1)).count();
    wrong as u64
}

/// A node that traps while it is configured never gets to run: the running configuration stays.
fn on_configure() -> Outcome {
    let (folder, address) = (folder(), free_address());
    let good = healthy(address);
    let mut agent = start(&folder, &good, address);
    let (mut sent, mut times) = (0, Vec::new());
    requests(address, &mut sent, &mut times);
    folder.replace("agent.toml", good + &evil("panic-on-configure"));
    agent.wait_for("the running one stays");
    requests(address, &mut sent, &mut times);
    assert!(agent.is_running(), "the agent died");
    let ended = agent.stop();
    assert!(ended.log.contains("configured to panic"), "the reason is in the log: {}", ended.log);
    assert_eq!(ended.summary().pipelines["healthy"].delivered, sent as u64);
    Outcome::new(format!("refused; {sent} requests before and after it"))
}
