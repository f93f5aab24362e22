//! The source `kubernetes_logs` on a node under load: many pods, logs that a kubelet rotates, an agent that is killed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that cannot go on fails; clippy exempts only the test functions themselves"
)]

mod kubelet;
mod peers;

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use wattle_tests::{Config, Folder};

use kubelet::{Load, Node};

/// The load of the replay: 50 MB/s in total, in lines of the size of usual logs.
const REPLAY: Load = Load { pods: 100, bytes_per_second: 50_000_000, seconds: 10, rotate_at: 1 << 20, max_files: 5 };

/// The sink has everything when it did not grow for this long.
const QUIET: Duration = Duration::from_secs(10);

/// How long the agent may take after the last line was written.
const PATIENCE: Duration = Duration::from_secs(180);

fn config(folder: &Folder) -> String {
    Config::new()
        .source("in", "kubernetes_logs")
        .set("directory", folder.path("pods").display().to_string())
        .set("metadata", "path")
        .with("glob_interval = \"500ms\"")
        .pipeline("p", &["in"])
        .node("keep", "builtin:filter", &["input"])
        .with("options = { drop = { field = \"attributes.never\", exists = true } }")
        .ok_and_fails("keep")
        .file_sink("out", &["p.ok"], "out.log")
        .with("fsync = \"never\"\nencoding = { codec = \"text\" }")
        .drop_sink("none", &["p.fails"])
        .text()
}

/// What arrived.
#[derive(Debug, Default)]
struct Arrived {
    /// How often each message of each pod arrived.
    counts: Vec<Vec<u8>>,
    /// Lines that no pod wrote.
    foreign: u64,
}

impl Arrived {
    /// Reads the bodies of events: each begins with the numbers of its pod and its message, and ends with its length.
    fn read(path: &Path, written: &[u64]) -> Self {
        let mut counts: Vec<Vec<u8>> = written.iter().map(|count| vec![0; usize::try_from(*count).unwrap()]).collect();
        let mut foreign = 0;
        let mut lines = BufReader::with_capacity(1 << 20, File::open(path).unwrap());
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).unwrap() > 0 {
            let count = kubelet::parse(line.strip_suffix(b"\n").unwrap_or(&line))
                .and_then(|(pod, number)| counts.get_mut(pod)?.get_mut(number));
            match count {
                Some(count) => *count = count.saturating_add(1),
                None => foreign += 1,
            }
            line.clear();
        }
        Self { counts, foreign }
    }

    fn lost(&self) -> usize {
        self.counts.iter().flatten().filter(|count| **count == 0).count()
    }

    fn doubled(&self) -> u64 {
        self.counts.iter().flatten().map(|count| u64::from(count.saturating_sub(1))).sum()
    }
}

/// Waits until the sink does not grow any more.
fn wait_for_quiet(path: &Path) {
    let until = Instant::now() + PATIENCE;
    let (mut size, mut since) = (0, Instant::now());
    while since.elapsed() < QUIET {
        assert!(Instant::now() < until, "the sink still grows: {size} bytes");
        std::thread::sleep(Duration::from_millis(200));
        let now = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
        if now != size {
            (size, since) = (now, Instant::now());
        }
    }
}

/// The load takes the whole machine, so one test runs at a time.
static MACHINE: Mutex<()> = Mutex::new(());

/// Writes the load while the agent runs. With `is_killed`, the agent is killed in the middle and started again.
fn replay(load: Load, is_killed: bool) -> (u64, Arrived) {
    let _machine = MACHINE.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = Folder::new();
    let node = Node::new(&folder.path("pods"), load);
    let config = config(&folder);
    let mut agent = folder.start(&config);
    let writing = node.begin();
    if is_killed {
        std::thread::sleep(Duration::from_secs(load.seconds / 2));
        agent.kill();
        agent = folder.start(&config);
    }
    let written = writing.join();
    wait_for_quiet(&folder.path("out.log"));
    let total: u64 = written.messages.iter().sum();
    println!(
        "{} pods, {:.1} MB/s for {:.1} s, {} rotations, {} messages; peak memory {} MiB",
        load.pods,
        written.bytes as f64 / written.seconds / 1e6,
        written.seconds,
        written.rotations,
        total,
        agent.peak_memory() >> 20
    );
    agent.stop();
    (total, Arrived::read(&folder.path("out.log"), &written.messages))
}

#[test]
fn a_node_under_load_loses_and_repeats_nothing() {
    let (total, arrived) = replay(REPLAY, false);
    println!("{} of {total} lost, {} doubled", arrived.lost(), arrived.doubled());
    assert_eq!((arrived.lost(), arrived.doubled(), arrived.foreign), (0, 0, 0));
}

/// What other tools lose of the same load. It is only reported: the test fails if a tool does not do the job at all.
#[test]
fn peers_under_the_same_load() {
    let _machine = MACHINE.lock().unwrap_or_else(PoisonError::into_inner);
    for peer in peers::found() {
        let folder = Folder::new();
        let node = Node::new(&folder.path("pods"), REPLAY);
        let mut running = peer.start(&folder);
        let written = node.begin().join();
        wait_for_quiet(&folder.path("out.log"));
        assert!(running.is_alive(), "{} ended", peer.name);
        drop(running);
        let total: u64 = written.messages.iter().sum();
        let arrived = Arrived::read(&folder.path("out.log"), &written.messages);
        println!(
            "{}: {} of {total} did not arrive whole, {} doubled, {} lines are parts of messages; {} rotations",
            peer.name,
            arrived.lost(),
            arrived.doubled(),
            arrived.foreign,
            written.rotations
        );
        assert!((arrived.lost() as u64) < total, "{} delivered nothing", peer.name);
    }
}

#[test]
fn an_agent_that_is_killed_under_load_loses_nothing() {
    let (total, arrived) = replay(REPLAY, true);
    println!("agent killed: {} of {total} lost, {} doubled", arrived.lost(), arrived.doubled());
    assert_eq!(arrived.lost(), 0);
    // What was in flight, and what was delivered since the last save of positions: less than the load of a second.
    assert!(arrived.doubled() <= total / REPLAY.seconds, "{} of {total} doubled", arrived.doubled());
    // The sink may have written a part of a line when it was killed.
    assert!(arrived.foreign <= 1, "{}", arrived.foreign);
}
