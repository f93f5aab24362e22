//! `kill -9` at random instants under load: what was acknowledged is there and does not come again,
//! all else comes.
//!
//! The window in which an event may come twice is known exactly: it is closed by the checkpoint on
//! disk at the kill. An event before that position, or in a file that was deleted because all of it
//! was delivered, must be in its output already, and may never come again. Within one life of the
//! agent nothing comes twice.

pub mod large;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;
use wattle_tests::{Agent, Config, Folder, Summary};

use crate::load::{Known, Load, OUTPUTS, gzip};
use crate::outputs::{Tail, ids_in_folder, ids_in_gzip, tally, tear_end};
use crate::report::{Outcome, Report};
use crate::server::Server;

const RECORDS: u32 = 20;
/// Maximum time from a start to the kill.
const MAX_LIFE_MS: u64 = 1200;
/// Interval between inputs.
const TICK: Duration = Duration::from_millis(10);

/// Runs the rounds, and records the figures.
pub fn section(report: &mut Report, seed: u64, rounds: u64) {
    report.section(&format!("Kill: {rounds} rounds of kill -9 at random instants"));
    report.set("kill_rounds", rounds);
    let outcome = report.run("kill", || run(seed, rounds));
    report.count_lost(outcome.as_ref());
    match outcome {
        Some(outcome) => report.add("duplicated_outside_window", outcome.duplicated),
        None => report.unknown("duplicated_outside_window"),
    }
    let outcome = report.run("kill in a large write", || large::run(10));
    report.count_lost(outcome.as_ref());
}

fn config(server: &Server) -> String {
    let processed = ["main.processed", "main.get_describe_list"];
    let mut config = Config::new()
        .file_source("documents", "in/documents/*.json.gz")
        .set("stable_after", "1ms")
        .set("glob_interval", "20ms")
        .set("when_finished", "delete")
        .file_source("lines", "in/lines/*.ndjson")
        .set("glob_interval", "20ms")
        .pack("main", &["documents", "lines"], "cloudtrail@1.0.0")
        .file_sink("compressed", &processed, "gz/all.ndjson.gz")
        .set("compression", "gzip")
        .set("encoding.codec", "text")
        .set("fsync_interval", "20ms")
        .file_sink("rotated", &processed, "rotated/all")
        .set("rotate_bytes", "256KiB")
        .set("encoding.codec", "text")
        .set("fsync_interval", "20ms")
        .file_sink("fails", &["main.fails"], "out/fails");
    for output in OUTPUTS {
        let input: &[&str] = &[&format!("main.{output}")];
        config = config
            .file_sink(&format!("file-{output}"), input, &format!("out/{output}"))
            .set("encoding.codec", "text")
            .set("fsync_interval", "20ms")
            .http_sink(&format!("http-{output}"), input, &format!("http://{}/{output}", server.address))
            .set("encoding.codec", "text")
            .set("batch.timeout", "20ms");
    }
    config.text()
}

/// The input, and how much of it the agent has acknowledged.
struct Inputs {
    load: Load,
    known: Vec<Known>,
    /// Events of files that are not acknowledged yet, by file name: the end of each in the file,
    /// and its index.
    open: BTreeMap<String, Vec<(u64, usize)>>,
    acked: HashSet<usize>,
}

impl Inputs {
    fn note(&mut self, file: &str, end: u64, known: Known) {
        self.open.entry(file.to_owned()).or_default().push((end, self.known.len()));
        self.known.push(known);
    }

    fn add_document(&mut self, folder: &Folder, number: u64) {
        let (document, events) = self.load.document();
        let name = format!("{number:06}.json.gz");
        for known in events {
            self.note(&name, 1, known);
        }
        // Put in place at once, like a log delivery.
        let new = folder.write("new", gzip(&document));
        std::fs::rename(new, folder.path(format!("in/documents/{name}"))).unwrap();
    }

    /// Adds lines to a file and cuts the last one in the middle; the rest of the previous cut line
    /// comes first.
    fn add_lines(&mut self, file: &mut File, name: &str, cut: &mut Vec<u8>, end: &mut u64, random: &mut fastrand::Rng) {
        let mut bytes = std::mem::take(cut);
        for (line, known) in self.load.lines() {
            bytes.extend_from_slice(line.as_bytes());
            *end += line.len() as u64;
            self.note(name, *end, known);
        }
        *cut = bytes.split_off(bytes.len() - random.usize(..100));
        file.write_all(&bytes).unwrap();
    }

    /// Reads the checkpoints on disk, and returns the events that they newly cover.
    fn acknowledge(&mut self, folder: &Folder) -> Vec<usize> {
        let checkpoint = std::fs::read(folder.path("data/sources/lines/checkpoints.json")).unwrap_or_default();
        let checkpoint: Value = serde_json::from_slice(&checkpoint).unwrap_or_default();
        let mut positions = HashMap::new();
        for entry in checkpoint["files"].as_array().into_iter().flatten() {
            let path = Path::new(entry["path"].as_str().unwrap());
            positions.insert(path.file_name().unwrap().to_str().unwrap(), entry["position"].as_u64().unwrap());
        }
        let mut new = Vec::new();
        for (name, events) in &mut self.open {
            let position = if name.ends_with(".gz") {
                u64::from(!folder.path(format!("in/documents/{name}")).exists())
            } else {
                positions.get(name.as_str()).copied().unwrap_or(0)
            };
            events.retain(|(end, event)| {
                let acked = *end <= position;
                new.extend(acked.then_some(*event));
                !acked
            });
        }
        self.open.retain(|_, events| !events.is_empty());
        self.acked.extend(&new);
        new
    }
}

/// The output of a sink.
struct Seen {
    name: String,
    output: usize,
    /// How often each event arrived.
    counts: HashMap<usize, u64>,
    outside: u64,
    inside: u64,
    misplaced: u64,
}

impl Seen {
    /// Takes the output of one life of the agent. `acked` contains the events acknowledged before
    /// that life began.
    fn take(&mut self, ids: &[String], index: &HashMap<String, usize>, known: &[Known], acked: &HashSet<usize>) {
        let mut life = HashSet::new();
        for id in ids {
            let Some(event) = index.get(id).copied().filter(|event| known[*event].output == self.output) else {
                self.misplaced += 1;
                continue;
            };
            let count = self.counts.entry(event).or_default();
            *count += 1;
            if !life.insert(event) || acked.contains(&event) {
                self.outside += 1;
            } else if *count > 1 {
                self.inside += 1;
            }
        }
    }
}

/// Runs the rounds.
pub fn run(seed: u64, rounds: u64) -> Outcome {
    let mut random = fastrand::Rng::with_seed(seed);
    let folder = Folder::new();
    let server = Server::start();
    folder.write("agent.toml", config(&server));
    for name in ["in/documents", "in/lines"] {
        std::fs::create_dir_all(folder.path(name)).unwrap();
    }
    let mut inputs =
        Inputs { load: Load::new(seed, RECORDS), known: Vec::new(), open: BTreeMap::new(), acked: HashSet::new() };
    let mut index: HashMap<String, usize> = HashMap::new();
    let mut tails = OUTPUTS.map(|output| Tail::new(folder.path(format!("out/{output}"))));
    let mut seen: Vec<Seen> = ["file", "http"]
        .iter()
        .flat_map(|kind| OUTPUTS.iter().enumerate().map(move |(output, name)| (format!("{kind} {name}"), output)))
        .map(|(name, output)| Seen { name, output, counts: HashMap::new(), outside: 0, inside: 0, misplaced: 0 })
        .collect();
    let (mut missing, mut documents, mut warned, mut torn) = (0, 0, 0, 0);
    for round in 0..rounds {
        let before = inputs.acked.clone();
        let agent = Agent::start(folder.wattle().args(["run", "--config", "agent.toml"]));
        let kill_at = Instant::now() + Duration::from_millis(random.u64(1..MAX_LIFE_MS));
        let name = format!("{round:06}.ndjson");
        let mut file = File::create(folder.path(format!("in/lines/{name}"))).unwrap();
        let (mut cut, mut end) = (Vec::new(), 0);
        while Instant::now() < kill_at {
            inputs.add_lines(&mut file, &name, &mut cut, &mut end, &mut random);
            if random.bool() {
                inputs.add_document(&folder, documents);
                documents += 1;
            }
            std::thread::sleep(TICK.min(kill_at.saturating_duration_since(Instant::now())));
        }
        let ended = agent.kill();
        warned += ended.log.matches("adding a line break after it").count() as u64;
        file.write_all(&cut).unwrap();
        server.wait_until_left_alone();
        let first = index.len();
        index.extend(inputs.known.iter().enumerate().skip(first).map(|(at, known)| (known.id.clone(), at)));
        let covered = inputs.acknowledge(&folder);
        // A kill keeps all written bytes; a crash of the machine keeps only a part of the bytes
        // that were not synced.
        let is_safe = |id: &str| index.get(id).is_some_and(|event| inputs.acked.contains(event));
        torn += tails.iter().map(|tail| u64::from(random.bool() && tail.tear(&mut random, is_safe))).sum::<u64>();
        torn += u64::from(random.bool() && tear_end(&folder.path("rotated/all"), &mut random));
        for (at, seen) in seen.iter_mut().enumerate() {
            let ids = match at.checked_sub(OUTPUTS.len()) {
                None => tails[at].read_after_kill(),
                Some(output) => server.take(OUTPUTS[output]),
            };
            seen.take(&ids, &index, &inputs.known, &before);
        }
        for event in covered {
            let places = seen.iter().filter(|seen| seen.output == inputs.known[event].output);
            missing += places.filter(|seen| !seen.counts.contains_key(&event)).count() as u64;
        }
    }
    finish(&folder, &server, &inputs, &index, &mut tails, &mut seen, missing, (warned, torn))
}

/// Lets the agent finish, counts, and checks that another start repeats nothing.
#[expect(clippy::too_many_arguments, reason = "the state of the run, taken apart once")]
fn finish(
    folder: &Folder,
    server: &Server,
    inputs: &Inputs,
    index: &HashMap<String, usize>,
    tails: &mut [Tail],
    seen: &mut [Seen],
    missing: u64,
    (mut warned, torn): (u64, u64),
) -> Outcome {
    let mut agent = Agent::start(folder.wattle().args(["run", "--config", "agent.toml"]));
    agent.wait_for("running");
    let mut collect = |inputs: &Inputs| {
        let mut done = true;
        for (at, seen) in seen.iter_mut().enumerate() {
            let ids = match at.checked_sub(OUTPUTS.len()) {
                None => tails[at].read(),
                Some(output) => server.take(OUTPUTS[output]),
            };
            seen.take(&ids, index, &inputs.known, &inputs.acked);
            done &= seen.counts.len() == inputs.known.iter().filter(|known| known.output == seen.output).count();
        }
        done
    };
    // Not forever: lost events never arrive, and are counted below.
    let until = Instant::now() + Duration::from_secs(60);
    while !collect(inputs) && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(50));
    }
    let ended = agent.stop();
    warned += ended.log.matches("adding a line break after it").count() as u64;
    Summary::read(&ended.log);
    collect(inputs);
    let compressed = ids_in_gzip(&folder.path("gz"));
    let events = inputs.known.len() as u64;
    let everything: Vec<Known> = inputs.known.iter().map(|known| Known { output: 0, ..known.clone() }).collect();
    let in_gzip = tally(&everything, &[compressed]);
    let (rotated, broken_in_rotated) = ids_in_folder(&folder.path("rotated"));
    let rotations = std::fs::read_dir(folder.path("rotated")).unwrap().count() - 1;
    let in_rotated = tally(&everything, &[rotated]);
    let again = folder.run(&["run", "--once", "--config", "agent.toml"]);
    assert_eq!(again.code, 0, "{}", again.log);
    let received: u64 = again.summary().pipelines["main"].received;
    assert_eq!(received, 0, "a start after the end reads {received} events again");
    assert!(
        folder.read("out/fails").is_empty(),
        "events failed: {:.500}",
        String::from_utf8_lossy(&folder.read("out/fails"))
    );
    let broken = tails.iter().map(|tail| tail.broken).sum::<u64>() + broken_in_rotated;
    assert!(broken <= warned, "{broken} broken lines, of which the agent reported {warned}");
    let mut lost = missing + in_gzip.lost + in_gzip.misplaced + in_rotated.lost + in_rotated.misplaced;
    let (mut outside, mut inside, mut places) = (0, 0, Vec::new());
    for seen in seen.iter() {
        let expected = inputs.known.iter().filter(|known| known.output == seen.output).count() as u64;
        let gone = expected - seen.counts.len() as u64 + seen.misplaced;
        if gone + seen.outside > 0 {
            places.push(format!("{}: {gone} lost or misplaced, {} outside of the window", seen.name, seen.outside));
        }
        lost += gone;
        outside += seen.outside;
        inside += seen.inside;
    }
    let note = format!(
        "{events} events, {inside} repeated within the window (compressed: {}, rotated: {}), {rotations} rotations, \
         {torn} outputs torn, {broken} torn lines closed{}{}",
        in_gzip.repeated,
        in_rotated.repeated,
        if missing > 0 { format!(", {missing} acknowledged but not there at the kill") } else { String::new() },
        places.iter().map(|place| format!("; {place}")).collect::<String>(),
    );
    Outcome { lost, duplicated: outside, note, broken: None }
}
