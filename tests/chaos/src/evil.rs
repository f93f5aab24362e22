//! Nodes that misbehave, each in a pipeline beside a healthy one that must not be affected.
//!
//! The healthy pipeline answers requests, so the duration of a request is the time through the
//! whole pipeline. Measurements alternate between quiet turns and turns with the evil node, in the
//! same agent. Circuits are off, so the node is called all the time.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use wattle_tests::evil::{EVIL, Evil, LINES, folder, pipeline, row};
use wattle_tests::{Agent, Config, Folder, free_address, send, wait_until};

use crate::report::{Outcome, Report};

/// Rows of a batch of poison; one of them is poisonous.
const ROWS: usize = 8;
/// Batches of poison that wait at a time: more than the number of workers.
const WAITING: usize = 6;
/// Requests per turn: enough that the p99 is not the slowest one.
const REQUESTS: usize = 150;
/// Turns of each kind. Each quiet turn is followed by a loud one, and their p99s are compared. The
/// ratio is the median over all turns, so other load on the machine spoils a turn and not the
/// figure.
const TURNS: usize = 5;
/// A faster request was not delayed, whatever the ratio: a busy machine takes this long.
const UNFELT: Duration = Duration::from_millis(5);
/// Time limit of a call of a node that never returns.
const SPIN: &str = "50ms";

/// Runs every way to misbehave, and records the figures.
pub fn section(report: &mut Report) {
    report.section("Evil nodes: each beside a healthy pipeline");
    let mut worst = 0.0_f64;
    for evil in EVIL {
        report.add("evil_nodes", 1);
        let mut ratio = 0.0;
        let outcome = report.run(evil.fault, || if evil.runs() { run(evil, &mut ratio) } else { refuse(evil) });
        worst = worst.max(ratio);
        report.add("evil_nodes_contained", u64::from(outcome.as_ref().is_some_and(Outcome::is_good)));
        report.count_lost(outcome.as_ref());
    }
    report.set("evil_p99_ratio", (worst * 100.0).round() / 100.0);
}

fn healthy(address: SocketAddr) -> String {
    Config::new()
        .agent("workers = 2")
        .http_source("requests", address)
        .pipeline("healthy", &["requests"])
        .node("parse", "builtin:parse", &["input"])
        .with("options = { field = \"body\", format = \"json\" }")
        .output("ok", &["parse", "parse.failed"])
        .file_sink("healthy", &["healthy.ok"], "healthy")
        .set("encoding.codec", "text")
        .set("fsync", "never")
        .text()
}

fn evil_pipeline(evil: &Evil) -> String {
    let lines = LINES.replace("follow = false", "glob_interval = \"20ms\"");
    lines + &pipeline(evil.fault, &evil.limits(SPIN), "circuit = { fault_percent = 100 }")
}

/// Sends requests, and records the duration of each.
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

fn p99(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[(times.len() * 99).div_ceil(100) - 1]
}

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_unstable_by(f64::total_cmp);
    of[of.len() / 2]
}

/// Counts the lines of a growing file, without reading any of it twice.
struct Counter {
    path: PathBuf,
    offset: u64,
    lines: usize,
}

impl Counter {
    fn lines(&mut self) -> usize {
        let Ok(mut file) = File::open(&self.path) else { return self.lines };
        file.seek(SeekFrom::Start(self.offset)).unwrap();
        let mut more = Vec::new();
        self.offset += file.read_to_end(&mut more).unwrap() as u64;
        self.lines += more.iter().filter(|b| **b == b'\n').count();
        self.lines
    }
}

fn start(folder: &Folder, config: &str, address: SocketAddr) -> Agent {
    let agent = folder.start(config);
    wait_until("the http source", || std::net::TcpStream::connect(address).is_ok());
    agent
}

/// Runs one way to misbehave during processing. The ratio compares the p99 of the healthy pipeline
/// beside it to that of a quiet turn.
pub fn run(evil: &Evil, ratio: &mut f64) -> Outcome {
    let (folder, address) = (folder(0, &[]), free_address());
    let mut agent = start(&folder, &(healthy(address) + &evil_pipeline(evil)), address);
    let mut rows = File::options().append(true).open(folder.path("in.log")).unwrap();
    let (mut fed, mut sent) = (0, 0);
    let mut counters = ["ok", "fails"].map(|output| {
        let path = folder.path(format!("{}-{output}.ndjson", evil.fault));
        Counter { path, offset: 0, lines: 0 }
    });
    let mut through = || counters.iter_mut().map(Counter::lines).sum::<usize>();
    // The first requests open files and connections.
    requests(address, &mut sent, &mut Vec::new());
    let mut p99s = Vec::new();
    for _ in 0..TURNS {
        let (mut quiet, mut loud) = (Vec::new(), Vec::new());
        requests(address, &mut sent, &mut quiet);
        std::thread::scope(|scope| {
            let (done, over) = std::sync::mpsc::channel::<()>();
            let (fed, rows, through) = (&mut fed, &mut rows, &mut through);
            // There is poison for every worker until the turn ends; then the rest is awaited.
            scope.spawn(move || {
                while matches!(over.try_recv(), Err(std::sync::mpsc::TryRecvError::Empty)) {
                    if through() + WAITING * ROWS > *fed {
                        let batch = (*fed..*fed + ROWS).map(|index| row(index, index.is_multiple_of(ROWS)) + "\n");
                        rows.write_all(batch.collect::<String>().as_bytes()).unwrap();
                        *fed += ROWS;
                    }
                    std::thread::sleep(Duration::from_millis(10));
                }
                wait_until("the rows of the evil pipeline", || through() >= *fed);
            });
            // The first batch must be in progress before the measurement.
            std::thread::sleep(Duration::from_millis(30));
            requests(address, &mut sent, &mut loud);
            drop(done);
        });
        p99s.push((p99(quiet).as_secs_f64(), p99(loud).as_secs_f64()));
    }
    assert!(agent.is_running(), "the agent died");
    agent.stop().summary();
    let healthy = String::from_utf8(folder.read("healthy")).unwrap();
    let expected: Vec<String> = (0..sent).map(|request| format!("{{\"request\":{request}}}")).collect();
    assert!(healthy.lines().eq(&expected), "the healthy pipeline delivers each request once, in order");
    let poison: Vec<usize> = (0..fed).step_by(ROWS).collect();
    let lost = evil.lost(&folder, fed, &poison) as u64;
    if lost == 0 {
        evil.assert_contained(&folder, fed, &poison);
    }
    let unfelt = UNFELT.as_secs_f64();
    *ratio = median(p99s.iter().map(|(quiet, loud)| loud.max(unfelt) / quiet.max(unfelt)).collect());
    let plain = median(p99s.iter().map(|(quiet, loud)| loud / quiet).collect());
    let note = format!(
        "{fed} rows, {} -> {}; healthy p99 {:.1} ms quiet, {:.1} ms beside it, {plain:.2} times; ratio {ratio:.2}",
        poison.len(),
        evil.code,
        median(p99s.iter().map(|(quiet, _)| quiet * 1e3).collect()),
        median(p99s.iter().map(|(_, loud)| loud * 1e3).collect()),
    );
    let felt = (*ratio > 2.0).then(|| format!("the healthy pipeline is held up, {ratio:.1} times its quiet p99"));
    Outcome { lost, broken: felt, ..Outcome::new(note) }
}

/// A node that misbehaves in `configure` never runs: the running configuration stays.
fn refuse(evil: &Evil) -> Outcome {
    let (folder, address) = (folder(0, &[]), free_address());
    let good = healthy(address);
    let mut agent = start(&folder, &good, address);
    let (mut sent, mut times) = (0, Vec::new());
    requests(address, &mut sent, &mut times);
    folder.replace("agent.toml", good + &evil_pipeline(evil));
    agent.wait_for("the running one stays");
    requests(address, &mut sent, &mut times);
    assert!(agent.is_running(), "the agent died");
    let ended = agent.stop();
    for text in [evil.code, evil.message] {
        assert!(ended.log.contains(text), "the reason is in the log, `{text}`: {}", ended.log);
    }
    assert_eq!(ended.summary().pipelines["healthy"].delivered, sent as u64);
    Outcome::new(format!("refused; {sent} requests before and after it"))
}
