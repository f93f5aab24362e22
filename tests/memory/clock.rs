//! A clock that jumps under load.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use wattle_tests::{Agent, Folder, wait_until};

use super::{append, config, folder, total};

const HOUR: i64 = 3_600_000_000_000;

/// The clock of an agent: that of the machine, moved by an offset.
struct Clock {
    library: PathBuf,
    offset: File,
}

impl Clock {
    fn new(folder: &Folder) -> Self {
        let source: PathBuf = [env!("CARGO_MANIFEST_DIR"), "memory/clock.c"].iter().collect();
        let library = folder.path("clock.so");
        // Rust links with the same program.
        let built = Command::new("cc").args(["-O1", "-shared", "-fPIC", "-o"]).args([&library, &source]).output();
        assert!(built.as_ref().is_ok_and(|built| built.status.success()), "{built:?}");
        folder.write("clock", 0_i64.to_ne_bytes());
        let offset = File::options().write(true).open(folder.path("clock")).unwrap();
        Self { library, offset }
    }

    fn set(&self, offset: i64) {
        self.offset.write_all_at(&offset.to_ne_bytes(), 0).unwrap();
    }

    fn start(&self, folder: &Folder, config: &str) -> Agent {
        folder.write("agent.toml", config);
        let mut wattle = folder.wattle();
        wattle.env("LD_PRELOAD", &self.library).env("WATTLE_TEST_CLOCK", folder.path("clock"));
        let mut agent = Agent::start(wattle.args(["run", "--config", "agent.toml"]));
        agent.wait_for("running");
        agent
    }
}

/// The sum of a member of the bodies of a file.
fn sum(folder: &Folder, file: &str, member: &str) -> u64 {
    let body = |event: &Value| serde_json::from_str::<Value>(event["body"].as_str().unwrap()).unwrap();
    folder.events(file).iter().map(|event| body(event)[member].as_u64().unwrap()).sum()
}

/// Also with `aggregate`, `to-metric` and `dedup`, whose windows, intervals and claims end by time.
#[test]
fn a_clock_that_jumps_under_load_loses_nothing_and_doubles_nothing() {
    let folder = folder();
    let clock = Clock::new(&folder);
    let text = config("", "")
        .pipeline("sums", &["lines"])
        .grants("clock = true\nseen = { max_keys = 100_000, max_age = \"30m\" }")
        .node("dedup", "builtin:dedup", &["input"])
        .with("options = { window = \"30m\" }")
        .node("aggregate", "builtin:aggregate", &["dedup"])
        .with("options = { window = \"100ms\", mode = \"pass\" }")
        .node("to-metric", "builtin:to-metric", &["aggregate"])
        .with("options = { interval = \"100ms\", metrics = [{ name = \"lines\", type = \"counter\" }] }")
        .output("passed", &["to-metric.out", "dedup.failed", "aggregate.failed", "to-metric.failed"])
        .output("windows", &["aggregate.windows"])
        .output("metrics", &["to-metric.metrics"])
        .file_sinks(&["passed", "windows", "metrics"])
        .text();
    let mut agent = clock.start(&folder, &text);
    let mut written = 0;
    for (hours, said) in [(0, ""), (26, "was set forward"), (2, "was set back"), (-700, "was set back"), (0, "")] {
        // The jump comes while lines arrive.
        append(&folder, written, 500);
        clock.set(hours * HOUR);
        append(&folder, written + 500, 500);
        written += 1000;
        // Windows end although the clock is behind.
        wait_until("the windows", || total(&folder) == written as u64);
        wait_until("the windows of aggregate", || sum(&folder, "windows.ndjson", "count") == written as u64);
        wait_until("the data points", || sum(&folder, "metrics.ndjson", "value") == written as u64);
        if !said.is_empty() {
            agent.wait_for(said);
        }
    }
    // Duplicates are known after all jumps: no claim ended.
    append(&folder, 0, written);
    wait_until("the windows of the duplicates", || total(&folder) == 2 * written as u64);
    let ended = agent.stop();
    let summary = ended.summary();
    let sums = &summary.pipelines["sums"];
    assert_eq!((sums.received, sums.dropped), (2 * written as u64, written as u64), "{summary:?}");
    assert_eq!(folder.events("passed.ndjson").len(), written);
    assert_eq!(sum(&folder, "windows.ndjson", "count"), written as u64);
    assert_eq!(sum(&folder, "metrics.ndjson", "value"), written as u64);
}

#[test]
fn a_window_that_began_in_what_is_the_future_after_a_kill_stays_open_until_then() {
    let folder = folder();
    let clock = Clock::new(&folder);
    clock.set(10 * HOUR);
    let text = config("window_ms = 1000", "state = { sharing = \"single\", snapshot_interval = \"20ms\" }").text();
    let agent = clock.start(&folder, &text);
    append(&folder, 0, 500);
    wait_until("a snapshot", || folder.path("data/state/main/count/0").is_file());
    agent.kill();
    clock.set(0);
    let agent = clock.start(&folder, &text);
    append(&folder, 500, 500);
    wait_until("a checkpoint of all lines", || {
        let size = folder.read("in.log").len();
        let text = folder.read("data/sources/lines/checkpoints.json");
        let checkpoint: Value = serde_json::from_slice(&text).unwrap_or_default();
        checkpoint["files"][0]["position"] == size
    });
    clock.set(11 * HOUR);
    wait_until("all rows", || total(&folder) >= 1000);
    let ended = agent.stop();
    ended.summary();
}
