//! Dedup in front of sinks that fail: no event is lost because its key was seen before.
//!
//! Lines of a file go through two pipelines: `dedup` with a node after it whose calls fault, and a guest
//! whose calls fault after they claimed keys. A test knows all ids, and which of them arrived how often.
//! A receiver that stores events by id has each exactly once if all ids arrived.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::Duration;

use serde_json::Value;
use wattle_tests::{ALL_GRANTS, Config, Endpoint, Folder, Metrics, built, free_address, get, send, wait_until};

/// Lines that the source gets in a round.
const LINES: usize = 200;
const ROUNDS: usize = 12;
/// Every fifth line repeats one of the lines before it, at most this far back.
const FAR: usize = 60;
/// Every so many lines, a row makes calls fault.
const POISON: usize = 100;
/// `batch.max_events` of the agent.
const BATCH: usize = 40;

/// What happens while events are delivered. The server is down in every third round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    /// The server answers 503 for a while.
    Outage,
    /// A reload replaces the sinks meanwhile, which give their events back to the source.
    Returns,
    /// A kill meanwhile.
    Kills,
}

/// How often each id arrived.
#[derive(Debug, Default)]
struct Figures {
    ids: usize,
    /// Of `dedup`, and of the guest that marks the first event of each key.
    lost: [usize; 2],
    /// Arrivals after the first one of an id.
    repeated: [usize; 2],
    duplicates_dropped: u64,
    /// Batches that the source sent again. The counts of a pipeline do not have them: they left it
    /// before a sink returned them.
    returned: u64,
    refused: usize,
    /// Rows on which calls faulted.
    failed: u64,
}

/// The lines of the test and the ids that they have.
struct Lines {
    random: fastrand::Rng,
    written: Vec<usize>,
}

impl Lines {
    fn more(&mut self) -> String {
        let mut text = String::new();
        for _ in 0..LINES {
            let line = self.written.len();
            let far = FAR.min(line);
            let id = if line % 5 == 4 { self.written[line - self.random.usize(1..=far)] } else { line };
            self.written.push(id);
            text += &if id.is_multiple_of(POISON) { "poison\n".to_owned() } else { format!("{{\"id\":{id}}}\n") };
        }
        text
    }

    /// The ids that must arrive.
    fn ids(&self) -> Vec<usize> {
        let mut ids: Vec<usize> = self.written.iter().copied().filter(|id| !id.is_multiple_of(POISON)).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }
}

fn config(folder: &Folder, endpoint: std::net::SocketAddr, change: usize) -> String {
    for guest in ["faulty", "capable"] {
        let name = format!("{guest}.wasm");
        if folder.read(&name).is_empty() {
            folder.write(&name, std::fs::read(built(&format!("guests/{name}"))).unwrap());
        }
    }
    let seen = "seen = { max_keys = 100_000, max_age = \"1h\", durable = true }";
    let grants: String = ALL_GRANTS
        .lines()
        .map(|grant| if grant.starts_with("seen") { seen } else { grant })
        .fold(String::new(), |all, grant| all + grant + "\n");
    let mut config = Config::new()
        // After a kill, one agent can get the lines of all rounds at once, with so many faults that its circuit would open.
        .agent(&format!(
            "workers = 2\nbatch.max_events = {BATCH}\nsink_handover_timeout = \"100ms\"\ncircuit.fault_percent = 100"
        ))
        .file_source("lines", "in.log")
        .set("glob_interval", "20ms")
        .pipeline("main", &["lines"])
        .grants(seen)
        .node("dedup", "builtin:dedup", &["input"])
        .with("options = { key = \"body.id\" }")
        .node("faulty", "faulty.wasm", &["dedup"])
        .with("options = { fault = \"panic\" }")
        .output("ok", &["faulty"])
        .output("fails", &["dedup.failed", "faulty.failed"])
        .pipeline("claims", &["lines"])
        .grants(&grants)
        .node("claim", "capable.wasm", &["input"])
        .with("options = { mode = \"claim\", poison = \"poison\" }")
        .ok_and_fails("claim")
        .drop_sink("fails", &["main.fails", "claims.fails"]);
    for name in ["main", "claims"] {
        config = config
            .http_sink(name, &[&format!("{name}.ok")], &format!("http://{endpoint}/{name}"))
            .set("batch.timeout", "10ms")
            .set("request.retry_initial_backoff", "20ms")
            .set("request.retry_max_backoff", "50ms")
            .set("request.timeout", format!("{}s", 5 + change % 2));
    }
    config.text()
}

/// Whether an event comes from the guest, and its id; `None` for a duplicate that the guest marked.
fn read(event: &Value) -> Option<(usize, usize)> {
    let body: Value = serde_json::from_str(event["body"].as_str().unwrap()).unwrap();
    let id = usize::try_from(body["id"].as_u64().unwrap()).unwrap();
    match event["attributes"]["answer"].as_str() {
        None => Some((0, id)),
        Some("new") => Some((1, id)),
        Some(_) => None,
    }
}

fn arrived(endpoint: &Endpoint) -> [BTreeMap<usize, usize>; 2] {
    let mut arrived = [BTreeMap::new(), BTreeMap::new()];
    for (pipeline, id) in endpoint.events().iter().filter_map(read) {
        *arrived[pipeline].entry(id).or_default() += 1;
    }
    arrived
}

/// Runs all rounds, and lets the agent finish.
fn run(trouble: Trouble) -> Figures {
    let folder = Folder::new();
    let address = free_address();
    let endpoint = Endpoint::listen(address);
    let mut lines = Lines { random: fastrand::Rng::with_seed(5), written: Vec::new() };
    let mut figures = Figures::default();
    // Appends: a file that is written from its beginning again looks like another one.
    let mut input = std::fs::File::create(folder.path("in.log")).unwrap();
    let mut agent = folder.start(&config(&folder, address, 0));
    for round in 0..ROUNDS {
        let is_down = round % 3 == 1;
        endpoint.answer(if is_down { 503 } else { 200 });
        input.write_all(lines.more().as_bytes()).unwrap();
        std::thread::sleep(Duration::from_millis(lines.random.u64(50..150)));
        match trouble {
            Trouble::Returns if is_down => {
                folder.replace("agent.toml", config(&folder, address, round));
                agent.wait_for("reloaded");
                // Longer than the handover of the sinks.
                std::thread::sleep(Duration::from_millis(300));
            }
            Trouble::Kills => {
                agent.kill();
                agent = folder.start(&config(&folder, address, round));
            }
            _ => {}
        }
    }
    endpoint.answer(200);
    let ids = lines.ids();
    let lost = |endpoint: &Endpoint| {
        let arrived = arrived(endpoint);
        [0, 1].map(|of| ids.iter().filter(|id| !arrived[of].contains_key(id)).count())
    };
    wait_until("every id", || lost(&endpoint) == [0, 0]);
    // What would arrive once more does so before the agent has ended.
    let ended = agent.stop();
    let summary = ended.summary();
    figures.lost = lost(&endpoint);
    figures.repeated = arrived(&endpoint).map(|of| of.values().map(|times| times - 1).sum());
    figures.ids = ids.len();
    figures.refused = endpoint.refused();
    figures.returned = summary.sent_again.values().sum();
    for pipeline in summary.pipelines.values() {
        figures.duplicates_dropped += pipeline.dropped;
        figures.failed += pipeline.failed;
    }
    println!("{trouble:?}: {figures:?}");
    figures
}

#[test]
fn dedup_passes_every_id_exactly_once_through_an_outage_and_faults() {
    let figures = run(Trouble::Outage);
    assert!(figures.refused > 0 && figures.duplicates_dropped > 0 && figures.failed > 0, "{figures:?}");
    assert_eq!((figures.lost, figures.repeated), ([0, 0], [0, 0]), "{figures:?}");
}

#[test]
fn dedup_passes_again_what_sinks_give_back() {
    let figures = run(Trouble::Returns);
    assert!(figures.refused > 0 && figures.returned > 0, "{figures:?}");
    assert_eq!(figures.lost, [0, 0], "{figures:?}");
    // A batch is returned as a whole, with the events that another sink has.
    for repeated in figures.repeated {
        assert!(repeated as u64 <= figures.returned * BATCH as u64, "{figures:?}");
    }
}

#[test]
fn dedup_loses_no_id_at_a_kill() {
    let figures = run(Trouble::Kills);
    assert_eq!(figures.lost, [0, 0], "{figures:?}");
}

/// A client that keeps its events until the agent has answered 200.
#[test]
fn dedup_passes_an_event_that_its_client_sends_again_after_a_sink_gave_up() {
    let folder = Folder::new();
    let (listen, admin, to) = (free_address(), free_address(), free_address());
    let endpoint = Endpoint::listen(to);
    let text = Config::new()
        .admin(admin)
        .http_source("in", listen)
        .pipeline("main", &["in"])
        .grants("seen = { max_keys = 1000, max_age = \"1h\" }")
        .node("dedup", "builtin:dedup", &["input"])
        .with("options = { key = \"body.id\" }")
        .output("ok", &["dedup", "dedup.failed"])
        .http_sink("ok", &["main.ok"], &format!("http://{to}/"))
        .set("batch.timeout", "10ms")
        .set("request.retry_attempts", 2)
        .set("request.retry_initial_backoff", "10ms")
        .text();
    let agent = folder.start(&text);
    let body: String = (0..50).map(|id| format!("{{\"id\":{id}}}\n")).collect();
    let post = || send(listen, &[("content-type", "application/x-ndjson")], body.as_bytes()).status;
    let keys = || Metrics::read(&get(admin, "/metrics").unwrap().text).sum("wattle_seen_keys", &[]);
    endpoint.answer(503);
    for _ in 0..3 {
        assert_eq!(post(), 503);
        assert!(keys().abs() < 0.5, "a claim of an event that was given up is removed: {}", keys());
    }
    endpoint.answer(200);
    assert_eq!(post(), 200);
    assert_eq!(post(), 200);
    let arrived = arrived(&endpoint);
    assert_eq!((arrived[0].len(), arrived[0].values().sum::<usize>()), (50, 50), "each exactly once");
    let ended = agent.stop();
    assert_eq!(ended.summary().pipeline().dropped, 50, "the duplicates of the last request");
}

#[test]
fn a_grant_for_a_shorter_time_than_the_window_is_a_warning() {
    let run = |max_age: &str| {
        let folder = Folder::new();
        folder.write("in.log", "{\"id\":1}\n{\"id\":2}\n");
        let config = Config::new()
            .file_source("lines", "in.log")
            .pipeline("main", &["lines"])
            .grants(&format!("seen = {{ max_keys = 10, max_age = \"{max_age}\" }}"))
            .node("dedup", "builtin:dedup", &["input"])
            .with("options = { key = \"body.id\", window = \"1h\" }")
            .ok_and_fails("dedup")
            .drop_sink("none", &["main.ok", "main.fails"]);
        folder.once(&config.text()).log
    };
    let warning = "raise `max_age` of the grant `seen`";
    let log = run("2s");
    assert_eq!(log.matches(warning).count(), 1, "{log}");
    assert!(log.contains("wanted=3600s max_age=2s"), "{log}");
    let log = run("1h");
    assert!(!log.contains(warning), "{log}");
}
