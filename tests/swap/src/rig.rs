//! One run: an agent under load whose pack is swapped over and over, and the results.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use wattle_tests::{Agent, Folder, built, free_address, wait_until, workspace};

use crate::far::{Far, Tails};
use crate::feed::{Feed, Sample};
use crate::ledger::Ledger;
use crate::load::OUTPUTS;
use crate::stats::{ms, quantile, split};

pub use crate::ledger::Wrong;

/// Files, and clients that post.
const FILES: usize = 2;
const CLIENTS: usize = 2;
/// Milliseconds between a response and the next request of a client, with little load.
const LITTLE_LOAD_MS: u64 = 10;
/// Pause after a swap, so quiet latencies can be measured in the middle of it.
const PAUSE: Duration = Duration::from_millis(400);

/// The amount of work.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Swaps under full load.
    pub swaps: usize,
    /// Swaps with little load; after each, the time to the first event is measured again.
    pub quiet_swaps: usize,
    /// Swaps to artifacts that were never compiled.
    pub cold_swaps: usize,
}

/// The results.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// Swaps under full load.
    pub swaps: usize,
    /// Input events.
    pub events: u64,
    /// Time under full load.
    pub loaded: Duration,
    /// The errors of both kinds of sinks together.
    pub wrong: Wrong,
    /// 99th percentile of the latency of requests in progress during a swap, in milliseconds.
    pub near_p99_ms: f64,
    /// The same for requests in progress during an equal time between two swaps.
    pub quiet_p99_ms: f64,
    /// Requests during a swap, and during an equal time between two.
    pub samples: (usize, usize),
    /// Milliseconds from saving the file to the first event through the new version: under full
    /// load.
    pub effect_loaded_ms: Vec<f64>,
    /// The same if the version had to pass its own tests first.
    pub effect_first_ms: Vec<f64>,
    /// The same with little load.
    pub effect_quiet_ms: Vec<f64>,
    /// The same with little load, if the file was written in place instead of renamed.
    pub effect_in_place_ms: Vec<f64>,
    /// The same with artifacts that had to be compiled.
    pub effect_cold_ms: Vec<f64>,
}

impl Figures {
    /// By how much the latency is higher near a swap.
    pub fn added_p99_ms(&self) -> f64 {
        self.near_p99_ms - self.quiet_p99_ms
    }

    /// The median of some times.
    pub fn median(times: &[f64]) -> f64 {
        quantile(times, 0.5)
    }
}

struct Rig {
    folder: Folder,
    agent: Agent,
    posts: std::net::SocketAddr,
    far: Far,
    /// Whether the running pack is version 1.1.0, or derived from it.
    is_newer: bool,
    /// Artifacts that have been optimized so far.
    optimized: usize,
}

/// Artifacts of the pack, in either version.
const ARTIFACTS: [&str; 5] = ["extract", "mask", "parse", "route", "unroll"];

/// The log message for each of them.
const OPTIMIZED: &str = "optimized code is ready";

/// How a file is saved.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Save {
    Rename,
    InPlace,
}

impl Rig {
    fn start(ledger: Arc<Ledger>) -> Self {
        let (folder, posts, far) = (Folder::new(), free_address(), Far::listen(ledger));
        // A separate data folder, so no other run compiled anything.
        fs::remove_file(folder.path("data/cache")).unwrap();
        fs::create_dir(folder.path("in")).unwrap();
        let agent = folder.start(&config("cloudtrail@1.0.0", posts, far.address));
        let mut rig = Self { folder, agent, posts, far, is_newer: false, optimized: 0 };
        rig.wait_optimized();
        rig
    }

    /// Waits until the artifacts of one more pack are optimized: the agent's work after a cold swap
    /// must not count as part of the next.
    fn wait_optimized(&mut self) {
        self.optimized += ARTIFACTS.len();
        while self.agent.log().matches(OPTIMIZED).count() < self.optimized {
            self.agent.wait_for(OPTIMIZED);
        }
    }

    /// Changes to the other version with this pack. Returns when the file was saved, when the agent
    /// reported the swap, and when the first event of the new version came out.
    fn swap(&mut self, pack: &str, save: Save) -> (Instant, Instant, Instant) {
        self.is_newer = !self.is_newer;
        let output = usize::from(!self.is_newer);
        let text = config(pack, self.posts, self.far.address);
        self.far.ledger.watch_version();
        let saved = match save {
            Save::Rename => {
                let new = self.folder.write("agent.toml.new", text);
                let saved = Instant::now();
                fs::rename(new, self.folder.path("agent.toml")).unwrap();
                saved
            }
            Save::InPlace => {
                let saved = Instant::now();
                fs::write(self.folder.path("agent.toml"), text).unwrap();
                saved
            }
        };
        self.agent.wait_for("reloaded");
        let done = Instant::now();
        let mut effect = None;
        wait_until("an event through the new version", || {
            effect = self.far.ledger.seen_in(output);
            effect.is_some()
        });
        (saved, done, effect.unwrap())
    }

    fn version(&self) -> &'static str {
        if self.is_newer { "1.0.0" } else { "1.1.0" }
    }

    /// Swaps to built-in versions.
    fn swap_builtin(&mut self, save: Save) -> (Instant, Instant, Instant) {
        let pack = format!("cloudtrail@{}", self.version());
        self.swap(&pack, save)
    }

    /// A copy of a version whose artifacts are not compiled yet.
    fn cold_pack(&self, number: usize) -> String {
        let from = workspace().join("packs/cloudtrail").join(self.version());
        let name = format!("cold-{number}");
        self.folder.copy(&from, &name);
        let manifest = fs::read_to_string(self.folder.path(&name).join("pack.toml")).unwrap();
        for node in ARTIFACTS {
            self.folder.write(Path::new(&name).join(format!("{node}.wasm")), unique(node, number));
        }
        let mut own = String::new();
        for line in manifest.lines() {
            match line.strip_prefix("artifact = \"builtin:").and_then(|rest| rest.strip_suffix('"')) {
                Some(node) => own += &format!("artifact = \"{node}.wasm\"\n"),
                None => own += &format!("{line}\n"),
            }
        }
        assert!(own.contains("mask.wasm"));
        self.folder.write(Path::new(&name).join("pack.toml"), own);
        format!("./{name}")
    }
}

/// A built-in artifact with an additional custom section, which changes only its digest.
fn unique(node: &str, number: usize) -> Vec<u8> {
    let mut artifact = fs::read(built(&format!("nodes/{node}.wasm"))).unwrap();
    let content = format!("\u{4}swap{number:08}-{}", std::process::id());
    artifact.extend([0, u8::try_from(content.len()).unwrap()]);
    artifact.extend(content.as_bytes());
    artifact
}

fn config(pack: &str, posts: std::net::SocketAddr, far: std::net::SocketAddr) -> String {
    let mut config = format!(
        r#"
[sources.files]
type = "file"
include = ["in/*.ndjson"]
glob_interval = "20ms"
[sources.posts]
type = "http"
address = "{posts}"
framing = "document"
[pipelines.main]
inputs = ["files", "posts"]
pack = "{pack}"
[sinks.fails]
type = "file"
inputs = ["main.fails"]
path = "out/fails.ndjson"
"#
    );
    for output in OUTPUTS {
        config += &format!(
            r#"
[sinks.{output}_file]
type = "file"
inputs = ["main.{output}"]
path = "out/{output}.ndjson"
encoding.codec = "text"
fsync = "never"
buffer = {{ type = "memory", max_size = "256KiB", when_full = "block" }}
[sinks.{output}_http]
type = "http"
inputs = ["main.{output}"]
uri = "http://{far}/{output}"
encoding.codec = "text"
batch.timeout = "1ms"
request.concurrency = 1
buffer = {{ type = "memory", max_size = "256KiB", when_full = "block" }}
"#
        );
    }
    config
}

/// Runs all of it.
pub fn run(size: Size) -> Figures {
    let books = [Arc::new(Ledger::new(FILES + CLIENTS)), Arc::new(Ledger::new(FILES + CLIENTS))];
    let mut rig = Rig::start(books[0].clone());
    let tails = Tails::follow(&books[1], OUTPUTS.map(|output| rig.folder.path(format!("out/{output}.ndjson"))));
    let samples: Arc<Mutex<Vec<Sample>>> = Arc::default();
    let pause = Arc::new(AtomicU64::new(0));
    let client = |stream| Feed::client(&books, stream, rig.posts, &samples, &pause);
    let clients: Vec<Feed> = (FILES..FILES + CLIENTS).map(client).collect();
    let files: Vec<Feed> =
        (0..FILES).map(|n| Feed::file(&books, n, rig.folder.path(format!("in/{n}.ndjson")))).collect();
    let mut figures = Figures { swaps: size.swaps, ..Figures::default() };
    let effect = |(saved, _, effect): (Instant, Instant, Instant)| ms(effect.saturating_duration_since(saved));

    // Neither version has passed its tests yet.
    figures.effect_first_ms.push(effect(rig.swap_builtin(Save::Rename)));
    figures.effect_first_ms.push(effect(rig.swap_builtin(Save::Rename)));
    samples.lock().unwrap().clear();
    let began = Instant::now();
    let mut spans = Vec::new();
    for _ in 0..size.swaps {
        std::thread::sleep(PAUSE);
        let swap = rig.swap_builtin(Save::Rename);
        spans.push((swap.0, swap.1.max(swap.2)));
        figures.effect_loaded_ms.push(effect(swap));
    }
    std::thread::sleep(PAUSE);
    figures.loaded = began.elapsed();
    let (near, quiet) = split(&samples.lock().unwrap(), &spans);
    figures.samples = (near.len(), quiet.len());
    (figures.near_p99_ms, figures.quiet_p99_ms) = (quantile(&near, 0.99), quantile(&quiet, 0.99));

    files.into_iter().for_each(Feed::end);
    wait_until("everything of the files", || books.iter().all(|book| (0..FILES).all(|n| book.open(n) == 0)));
    pause.store(LITTLE_LOAD_MS, Ordering::Relaxed);
    for _ in 0..size.quiet_swaps {
        std::thread::sleep(PAUSE);
        figures.effect_quiet_ms.push(effect(rig.swap_builtin(Save::Rename)));
        std::thread::sleep(PAUSE);
        figures.effect_in_place_ms.push(effect(rig.swap_builtin(Save::InPlace)));
    }
    for number in 0..size.cold_swaps {
        let pack = rig.cold_pack(number);
        std::thread::sleep(PAUSE);
        figures.effect_cold_ms.push(effect(rig.swap(&pack, Save::Rename)));
        rig.wait_optimized();
    }

    clients.into_iter().for_each(Feed::end);
    let Rig { folder, agent, far, .. } = rig;
    let ended = agent.stop();
    tails.end();
    // The agent's own count must be conserved as well.
    let failed = ended.summary().pipeline().failed;
    assert_eq!(failed, 0, "{}", String::from_utf8_lossy(&folder.read("out/fails.ndjson")));
    drop(far);
    for wrong in books.iter().map(|book| book.audit()) {
        figures.wrong.lost += wrong.lost;
        figures.wrong.doubled += wrong.doubled;
        figures.wrong.misordered += wrong.misordered;
        figures.wrong.misplaced += wrong.misplaced;
    }
    figures.events = books[0].events();
    figures
}
