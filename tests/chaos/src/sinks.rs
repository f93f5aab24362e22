//! Servers and disks that fail for a while: no event is lost, memory stays within its bound, and
//! the agent recovers without help.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use wattle_tests::{Agent, Config, Folder, SmallDisk};

use crate::load::{Known, Load, OUTPUTS};
use crate::outputs::{Tail, tally};
use crate::report::{Outcome, Report};
use crate::server::{Mode, Server};

/// Maximum memory of the agent while its sinks accept nothing: two workers with their instances,
/// and the queues and batches on the way to three sinks, which are limited in bytes. Memory that
/// grew with the backlog would exceed it.
const MEMORY_BOUND: u64 = 192 << 20;
/// Records per generated document; each record is one input line.
const RECORDS: u32 = 500;

/// The amount of work.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Duration of a fault.
    pub trouble: Duration,
    /// How long the server is down.
    pub down: Duration,
    /// Documents of 500 events each that arrive meanwhile.
    pub documents: usize,
}

impl Size {
    /// For `--quick`.
    pub fn quick() -> Self {
        Self { trouble: Duration::from_secs(4), down: Duration::from_secs(6), documents: 200 }
    }

    /// The size for the promises of the project.
    pub fn full() -> Self {
        Self { trouble: Duration::from_secs(30), down: Duration::from_secs(600), documents: 400 }
    }
}

/// A fault of a sink.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// No server listens.
    Down,
    /// The server behaves like this.
    Server(&'static str),
    /// The disk is full.
    DiskFull,
    /// The folder cannot be written to.
    ReadOnly,
}

/// Every fault.
pub const FAULTS: &[(&str, Fault)] = &[
    ("down", Fault::Down),
    ("slow", Fault::Server("slow")),
    ("429 with Retry-After", Fault::Server("429")),
    ("500", Fault::Server("500")),
    ("hanging", Fault::Server("hang")),
    ("reset in mid-request", Fault::Server("cut-request")),
    ("reset in mid-answer", Fault::Server("cut-answer")),
    ("full disk", Fault::DiskFull),
    ("read-only folder", Fault::ReadOnly),
];

/// Runs every fault, and records the figures.
pub fn section(report: &mut Report, seed: u64, size: Size) {
    report.section(&format!("Sinks: trouble of {:?}, down for {:?}", size.trouble, size.down));
    for (name, fault) in FAULTS {
        report.add("sink_faults", 1);
        let outcome = report.run(name, || run(*fault, seed, size));
        report.add("sink_faults_survived", u64::from(outcome.as_ref().is_some_and(Outcome::is_good)));
        report.count_lost(outcome.as_ref());
    }
}

/// Runs one fault.
pub fn run(fault: Fault, seed: u64, size: Size) -> Outcome {
    match fault {
        Fault::Down => down(seed, size),
        Fault::Server(what) => trouble(what, seed, size),
        Fault::DiskFull => disk_full(seed, size),
        Fault::ReadOnly => read_only(seed, size),
    }
}

fn source() -> Config {
    Config::new()
        .file_source("lines", "in")
        .set("glob_interval", "50ms")
        .pack("main", &["lines"], "cloudtrail@1.0.0")
        .file_sink("fails", &["main.fails"], "fails")
}

fn http(server: &Server) -> String {
    let mut config = source();
    for output in OUTPUTS {
        config = config
            .http_sink(output, &[&format!("main.{output}")], &format!("http://{}/{output}", server.address))
            .set("encoding.codec", "text")
            .set("batch.timeout", "50ms")
            .set("request.timeout", "1s")
            .set("request.retry_initial_backoff", "50ms")
            .set("request.retry_max_backoff", "500ms");
    }
    config.text()
}

fn files(folder: &str) -> String {
    let mut config = source();
    for output in OUTPUTS {
        config = config
            .file_sink(output, &[&format!("main.{output}")], &format!("{folder}/{output}"))
            .set("encoding.codec", "text")
            .set("fsync_interval", "50ms");
    }
    config.text()
}

/// The input: a file of lines that grows.
struct Input {
    load: Load,
    known: Vec<Known>,
    path: PathBuf,
}

impl Input {
    fn new(folder: &Folder, seed: u64) -> Self {
        Self { load: Load::new(seed, RECORDS), known: Vec::new(), path: folder.write("in", "") }
    }

    fn grow(&mut self, documents: usize) {
        let mut file = std::fs::File::options().append(true).open(&self.path).unwrap();
        for _ in 0..documents {
            let mut text = String::new();
            for (line, known) in self.load.lines() {
                text += &line;
                self.known.push(known);
            }
            std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
        }
    }
}

/// Watches the memory of the agent for a while; returns the maximum.
fn watch(agent: &Agent, time: Duration) -> u64 {
    let until = Instant::now() + time;
    let mut most = 0;
    while Instant::now() < until {
        most = most.max(agent.memory());
        std::thread::sleep(Duration::from_millis(50));
    }
    most
}

/// Waits until all events arrived, or none arrived for a long time.
fn wait_for_events(known: usize, mut count: impl FnMut() -> usize) -> Duration {
    let since = Instant::now();
    let (mut seen, mut moved) = (0, since);
    loop {
        let now = count();
        if now > seen {
            (seen, moved) = (now, Instant::now());
        }
        if now >= known || moved.elapsed() > Duration::from_secs(30) {
            return since.elapsed();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

struct Watched {
    before: u64,
    most: u64,
    recovered: Duration,
}

/// Ends a scenario: all events arrived, and memory stayed within its limit.
fn finish(
    folder: &Folder,
    agent: Agent,
    input: &Input,
    found: &[Vec<String>],
    watched: &Watched,
    extra: &str,
) -> Outcome {
    let ended = agent.stop();
    ended.summary();
    assert!(folder.read("fails").is_empty(), "events failed: {:.300}", String::from_utf8_lossy(&folder.read("fails")));
    let grown = watched.most.saturating_sub(watched.before);
    let size = std::fs::metadata(&input.path).unwrap().len();
    let mut outcome = Outcome::of(
        tally(&input.known, found),
        format!(
            "{} events of {} MB, memory {} + {} MB, all there {:.1} s after{extra}",
            input.known.len(),
            size / 1_000_000,
            watched.before / 1_000_000,
            grown / 1_000_000,
            watched.recovered.as_secs_f64()
        ),
    );
    if watched.most > MEMORY_BOUND {
        outcome.broken = Some(format!("memory grew to {} MB", watched.most / 1_000_000));
    }
    outcome
}

fn from_server(server: &Server) -> [Vec<String>; 2] {
    OUTPUTS.map(|output| server.take(output))
}

/// Starts with some load and without faults, so memory has a level to compare with.
fn warm_up(folder: &Folder, config: &str, input: &mut Input, server: &Server) -> (Agent, u64) {
    let agent = folder.start(config);
    input.grow(20);
    wait_for_events(input.known.len(), || server.len());
    let before = agent.memory();
    (agent, before)
}

fn down(seed: u64, size: Size) -> Outcome {
    let (folder, mut server) = (Folder::new(), Server::start());
    let mut input = Input::new(&folder, seed);
    let (agent, before) = warm_up(&folder, &http(&server), &mut input, &server);
    server.down();
    input.grow(size.documents);
    let most = watch(&agent, size.down);
    server.up();
    let recovered = wait_for_events(input.known.len(), || server.len());
    finish(&folder, agent, &input, &from_server(&server), &Watched { before, most, recovered }, "")
}

fn trouble(what: &str, seed: u64, size: Size) -> Outcome {
    let (folder, server) = (Folder::new(), Server::start());
    let mut input = Input::new(&folder, seed);
    let (agent, before) = warm_up(&folder, &http(&server), &mut input, &server);
    server.set(match what {
        "slow" => Mode::Slow(Duration::from_millis(700)),
        "429" => Mode::Refuse(429, Some(1)),
        "500" => Mode::Refuse(500, None),
        "hang" => Mode::Hang,
        "cut-request" => Mode::CutRequest,
        _ => Mode::CutAnswer,
    });
    input.grow(size.documents);
    let most = watch(&agent, size.trouble);
    let troubled = server.troubled();
    assert!(troubled > 0, "no request met the fault");
    server.set(Mode::Take);
    let recovered = wait_for_events(input.known.len(), || {
        if what == "cut-answer" {
            // Events of a broken response are sent again, so a plain count is not useful.
            let mut ids: Vec<String> = server.peek();
            ids.sort_unstable();
            ids.dedup();
            return ids.len();
        }
        server.len()
    });
    let extra = format!(", {troubled} requests met it");
    finish(&folder, agent, &input, &from_server(&server), &Watched { before, most, recovered }, &extra)
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|out| out.stdout == b"0\n")
}

fn command(program: &str, arguments: &[&str]) -> bool {
    Command::new(program).args(arguments).output().is_ok_and(|out| out.status.success())
}

fn tails(folder: &Path) -> [Tail; 2] {
    OUTPUTS.map(|output| Tail::new(folder.join(output)))
}

fn collect(tails: &mut [Tail; 2], found: &mut [Vec<String>; 2]) -> usize {
    for (tail, found) in tails.iter_mut().zip(found.iter_mut()) {
        found.extend(tail.read());
    }
    found.iter().map(Vec::len).sum()
}

fn disk_full(seed: u64, size: Size) -> Outcome {
    let folder = Folder::new();
    let mut input = Input::new(&folder, seed);
    let out = folder.path("out");
    let mount = SmallDisk::mount(out.clone(), "size=8m");
    std::fs::create_dir_all(&out).unwrap();
    // Without permission to mount, a limit on the size of files replaces the small disk. Its signal
    // must be ignored, as by a service manager.
    folder.write("agent.toml", files("out"));
    let mut agent = if mount.is_some() {
        folder.start(&files("out"))
    } else {
        let wattle = folder.wattle();
        let mut shell = Command::new("sh");
        shell.args(["-c", "trap '' XFSZ; ulimit -S -f 8192; exec \"$0\" run --config agent.toml"]);
        shell.arg(wattle.get_program()).current_dir(folder.path(""));
        shell.env("WATTLE_DATA_DIR", folder.path("data"));
        let mut agent = Agent::start(&mut shell);
        agent.wait_for("running");
        agent
    };
    let before = agent.memory();
    input.grow(size.documents);
    agent.wait_for("cannot write to the file");
    let most = watch(&agent, size.trouble);
    match &mount {
        Some(mount) => mount.remount("size=4g"),
        None => assert!(command("prlimit", &["--pid", &agent.id().to_string(), "--fsize=unlimited"])),
    }
    let (mut tails, mut found) = (tails(&out), [Vec::new(), Vec::new()]);
    let recovered = wait_for_events(input.known.len(), || collect(&mut tails, &mut found));
    let extra = if mount.is_some() { ", tmpfs of 8 MiB" } else { ", files of at most 4 MiB" };
    finish(&folder, agent, &input, &found, &Watched { before, most, recovered }, extra)
}

fn read_only(seed: u64, size: Size) -> Outcome {
    let folder = Folder::new();
    let mut input = Input::new(&folder, seed);
    let out = folder.path("out");
    let mount = SmallDisk::mount(out.clone(), "size=4g,ro");
    std::fs::create_dir_all(&out).unwrap();
    let chmod = |mode: &str| assert!(command("chmod", &[mode, out.to_str().unwrap()]));
    if mount.is_none() {
        assert!(!is_root(), "root writes where it likes, and may not mount here: this cannot be shown");
        chmod("0555");
    }
    let mut agent = folder.start(&files("out"));
    let before = agent.memory();
    input.grow(size.documents);
    agent.wait_for("cannot write to the file");
    let most = watch(&agent, size.trouble);
    match &mount {
        Some(mount) => mount.remount("rw"),
        None => chmod("0755"),
    }
    let (mut tails, mut found) = (tails(&out), [Vec::new(), Vec::new()]);
    let recovered = wait_for_events(input.known.len(), || collect(&mut tails, &mut found));
    finish(&folder, agent, &input, &found, &Watched { before, most, recovered }, "")
}
