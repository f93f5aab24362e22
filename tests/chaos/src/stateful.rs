//! Nodes with memory under kills, swaps, rollbacks and stops at random instants: no line misses its
//! window, and a window comes again only with its id.
//!
//! All pipelines read the same files. The guest `memory`, with each sharing of its state, and `aggregate`
//! make windows that list the numbers of their lines; `pattern` passes and counts lines; `to-metric` has a
//! series for each line and for each key; `dedup` drops the fifth of the lines that repeat others. `model.rs` compares.

mod model;
mod setup;

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use wattle_tests::{Agent, Ended, Folder, Summary};

use crate::report::{Outcome, Report};
use crate::server::{Mode, Server};
use model::{Arrived, DedupTally, Event, Lines, Tally};
use setup::{KINDS, Node, SICK, Versions, config, write_packs};

/// Interval between inputs, and the most lines of one.
const TICK: Duration = Duration::from_millis(10);
const LINES: usize = 12;
/// Share of the lines that a version that faults faults on.
const POISON: usize = 40;
/// Maximum time from a start to the kill, and for a life in which a version faults.
const MAX_LIFE_MS: u64 = 1500;
const SICK_LIFE_MS: u64 = 3000;

/// Minimum numbers of a run.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Kills; 0 for a run that stops the agent instead.
    pub kills: u64,
    /// Reloads that the agent applied.
    pub swaps: u64,
    /// Returns to the version before, by command or because the new one faulted.
    pub rollbacks: u64,
}

impl Size {
    /// The size that the project has targets for.
    pub const fn full() -> Self {
        Self { kills: 200, swaps: 200, rollbacks: 20 }
    }

    /// A tenth of it.
    pub const fn quick() -> Self {
        Self { kills: 20, swaps: 20, rollbacks: 2 }
    }
}

/// What happened in a run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    kills: u64,
    stops: u64,
    swaps: u64,
    rollbacks: u64,
    tally: Tally,
    dedup: DedupTally,
}

/// Runs with and without kills, and records the figures.
pub fn section(report: &mut Report, seed: u64, size: Size) {
    report.section("Stateful: windows through kills, swaps and rollbacks at random instants");
    let half = Size { kills: 0, swaps: size.swaps / 2, rollbacks: size.rollbacks / 2 };
    for (name, size) in [("kills, swaps, rollbacks", size), ("swaps, rollbacks, stops", half)] {
        let mut figures = Figures::default();
        let outcome = report.run(name, || run(seed, size, &mut figures));
        report.count_lost(outcome.as_ref());
        let Figures { kills, swaps, rollbacks, tally, dedup, .. } = figures;
        for (key, figure) in [
            ("stateful_kills", kills),
            ("stateful_swaps", swaps),
            ("stateful_rollbacks", rollbacks),
            ("stateful_lost", tally.lost),
            ("stateful_repeated", tally.repeated),
            ("windows_missing", tally.missing),
            ("windows_doubled_same_id", tally.same_id),
            ("windows_doubled_other_id", tally.other_id),
            ("dedup_lost", dedup.lost),
            ("dedup_doubled", dedup.doubled),
            ("dedup_repeated", dedup.repeated),
        ] {
            report.add(key, figure);
            if outcome.is_none() {
                report.unknown(key);
            }
        }
    }
}

/// A file that a sink appends to, read without reading any of it twice.
struct Follower {
    path: PathBuf,
    offset: u64,
    rest: Vec<u8>,
}

impl Follower {
    /// The complete lines since the last call.
    fn read(&mut self) -> Vec<String> {
        let Ok(mut file) = File::open(&self.path) else { return Vec::new() };
        file.seek(SeekFrom::Start(self.offset)).unwrap();
        self.offset += file.read_to_end(&mut self.rest).unwrap() as u64;
        let end = self.rest.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        let lines: Vec<u8> = self.rest.drain(..end).collect();
        String::from_utf8(lines).unwrap().lines().map(str::to_owned).collect()
    }
}

/// The output of a pipeline.
struct Output {
    windows: Follower,
    fails: Follower,
    arrived: Arrived,
    /// Lines that a kill cut off.
    broken: u64,
}

struct Run {
    random: fastrand::Rng,
    folder: Folder,
    server: Server,
    lines: Lines,
    versions: Versions,
    outputs: Vec<Output>,
    figures: Figures,
    warned: u64,
    /// Commands that run.
    commands: Vec<Child>,
}

/// The number of a line of the input.
fn number(line: &str) -> Option<usize> {
    let line: Value = serde_json::from_str(line).ok()?;
    usize::try_from(line["n"].as_u64()?).ok()
}

impl Run {
    fn new(seed: u64) -> Self {
        let folder = Folder::new();
        write_packs(&folder);
        for name in ["in", "out"] {
            std::fs::create_dir_all(folder.path(name)).unwrap();
        }
        let follower = |name: String| Follower { path: folder.path(name), offset: 0, rest: Vec::new() };
        let output = |kind: &setup::Kind| Output {
            windows: follower(format!("out/{}", kind.name)),
            fails: follower(format!("out/{}-fails", kind.name)),
            arrived: Arrived::default(),
            broken: 0,
        };
        let run = Self {
            random: fastrand::Rng::with_seed(seed),
            server: Server::of(|line| String::from_utf8(line.to_vec()).ok()),
            lines: Lines::default(),
            versions: Versions::default(),
            outputs: KINDS.iter().map(output).collect(),
            figures: Figures::default(),
            warned: 0,
            commands: Vec::new(),
            folder,
        };
        // Compiles the nodes, so that no short life does it.
        run.folder.once(&config(run.versions, &run.server));
        run
    }

    fn configure(&self) {
        self.folder.replace("agent.toml", config(self.versions, &self.server));
    }

    fn start(&self) -> Agent {
        self.configure();
        Agent::start(self.folder.wattle().args(["run", "--config", "agent.toml"]))
    }

    /// Runs a command without waiting for it.
    fn command(&mut self, arguments: &[&str]) {
        let mut command: Command = self.folder.wattle();
        let command = command.args(arguments).args(["--config", "agent.toml"]);
        self.commands.push(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    }

    /// Writes some lines.
    fn write(&mut self, file: &mut File, number: u64, end: &mut u64) {
        let mut text = String::new();
        for _ in 0..self.random.usize(..LINES) {
            let line = self.lines.len();
            let key = if line.is_multiple_of(POISON) { "poison".into() } else { format!("k{}", line % 7) };
            let original = self.lines.original(&mut self.random);
            let line = format!("{{\"k\":\"{key}\",\"n\":{line},\"d\":{original}}}\n");
            *end += line.len() as u64;
            self.lines.add(original, number, *end);
            text += &line;
        }
        file.write_all(text.as_bytes()).unwrap();
    }

    /// Reads the checkpoints on disk.
    fn acknowledge(&mut self) {
        let checkpoint = std::fs::read(self.folder.path("data/sources/lines/checkpoints.json")).unwrap_or_default();
        let checkpoint: Value = serde_json::from_slice(&checkpoint).unwrap_or_default();
        let files = checkpoint["files"].as_array().into_iter().flatten();
        let position = |entry: &Value| {
            let path = PathBuf::from(entry["path"].as_str().unwrap());
            (path.file_stem().unwrap().to_str().unwrap().parse().unwrap(), entry["position"].as_u64().unwrap())
        };
        let positions: HashMap<u64, u64> = files.map(position).collect();
        self.lines.acknowledge(&positions);
    }

    /// Reads what arrived.
    fn collect(&mut self) {
        for (kind, output) in KINDS.iter().zip(&mut self.outputs) {
            let lines = if kind.is_http { self.server.take(kind.name) } else { output.windows.read() };
            let events: Vec<Event> = lines.iter().filter_map(|line| Event::read(line, kind.node)).collect();
            output.broken += (lines.len() - events.len()) as u64;
            output.arrived.take(events);
            let failed = output.fails.read();
            let numbers: Vec<usize> = failed.iter().filter_map(|line| number(line)).collect();
            output.broken += (failed.len() - numbers.len()) as u64;
            output.arrived.take_failed(numbers);
        }
    }

    /// One random change of the running agent.
    fn change(&mut self, wants_sick: bool) {
        match self.random.u8(..10) {
            0 | 1 => {
                let kind = &KINDS[self.random.usize(..KINDS.len())];
                self.command(&["rollback", kind.name]);
            }
            2 => self.server.set(Mode::Refuse(503, None)),
            3 => self.server.set(Mode::CutAnswer),
            _ => {
                self.server.set(Mode::Take);
                if wants_sick && !self.versions.has_sick() && self.random.bool() {
                    // What is not acknowledged now, and what comes while it runs.
                    self.acknowledge();
                    let memory: Vec<usize> =
                        (0..KINDS.len()).filter(|kind| KINDS[*kind].node == Node::Memory).collect();
                    self.versions.running[memory[self.random.usize(..memory.len())]] = SICK;
                } else {
                    self.versions.heal();
                    self.versions.change(&mut self.random);
                }
                self.configure();
            }
        }
    }

    /// One life of the agent.
    fn life(&mut self, number: u64, kills: bool) {
        let mut agent = self.start();
        let wants_sick = self.random.u8(..5) == 0;
        let life = if wants_sick { SICK_LIFE_MS } else { MAX_LIFE_MS };
        let until = Instant::now() + Duration::from_millis(self.random.u64(1..life));
        let mut file = File::create(self.folder.path(format!("in/{number}.log"))).unwrap();
        let (mut end, mut has_sick) = (0, false);
        while Instant::now() < until {
            self.write(&mut file, number, &mut end);
            if self.random.u8(..25) == 0 {
                self.change(wants_sick);
                has_sick |= self.versions.has_sick();
            }
            if has_sick {
                self.lines.loosen();
            }
            std::thread::sleep(TICK.min(until.saturating_duration_since(Instant::now())));
        }
        self.server.set(Mode::Take);
        if kills {
            let ended = agent.kill();
            self.figures.kills += 1;
            self.note(&ended);
            self.server.wait_until_left_alone();
            self.acknowledge();
            self.lines.send_again(number);
        } else {
            // Before that, the signal ends the agent like a kill.
            agent.wait_for("running");
            let ended = agent.stop();
            self.figures.stops += 1;
            self.note(&ended);
            self.acknowledge();
        }
        self.commands.drain(..).for_each(|mut command| _ = command.wait());
        self.versions.heal();
        self.collect();
    }

    fn note(&mut self, ended: &Ended) {
        let count = |text: &str| ended.log.matches(text).count() as u64;
        self.warned += count("adding a line break after it");
        self.figures.rollbacks += count("rolled back");
        self.figures.swaps += count("reloaded");
        for bad in [
            "thread '",
            "are lost",
            "state is corrupt",
            "cannot restore the state",
            "state is discarded",
            "reload failed",
            "is invalid;",
        ] {
            assert!(!ended.log.contains(bad), "`{bad}`: {}", ended.log);
        }
    }
}

/// Runs until everything happened often enough, then lets the agent finish, and compares.
pub fn run(seed: u64, size: Size, figures: &mut Figures) -> Outcome {
    let mut run = Run::new(seed);
    let mut number = 0;
    // Enough lives for a rollback also on a loaded machine, where a life has few changes.
    let most = 10 * size.kills.max(size.swaps);
    let is_done = |f: &Figures| f.kills >= size.kills && f.swaps >= size.swaps && f.rollbacks >= size.rollbacks;
    while !is_done(&run.figures) && number < most {
        let kills = size.kills > 0 && run.random.u8(..10) > 0;
        run.life(number, kills);
        number += 1;
    }
    let mut agent = run.start();
    agent.wait_for("running");
    // Not forever: lost lines never arrive, and are counted below.
    let until = Instant::now() + Duration::from_secs(60);
    let has_all =
        |run: &Run| KINDS.iter().zip(&run.outputs).all(|(kind, output)| output.arrived.has_all(&run.lines, kind.node));
    while !has_all(&run) && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(50));
        run.collect();
    }
    let ended = agent.stop();
    run.note(&ended);
    Summary::read(&ended.log);
    run.collect();
    *figures = run.figures;
    let (mut places, mut broken) = (Vec::new(), 0);
    for (kind, output) in KINDS.iter().zip(&run.outputs) {
        broken += output.broken;
        if kind.node == Node::Dedup {
            figures.dedup = output.arrived.tally_dedup(&run.lines);
            continue;
        }
        let tally = output.arrived.tally(&run.lines, kind.merges());
        if !tally.is_good() {
            places.push(format!("; {}: {tally:?}", kind.name));
        }
        figures.tally.add(tally);
    }
    let Figures { kills, stops, swaps, rollbacks, tally, dedup } = *figures;
    let note = format!(
        "{} lines through {} pipelines, {kills} kills, {stops} stops, {swaps} swaps, {rollbacks} rollbacks, {} \
         windows again with their id, {} lines repeated; dedup: {} lost, {} doubled, {} repeated{}",
        run.lines.len(),
        KINDS.len(),
        tally.same_id,
        tally.repeated,
        dedup.lost,
        dedup.doubled,
        dedup.repeated,
        places.concat(),
    );
    let mut outcome =
        Outcome { lost: tally.lost + dedup.lost, duplicated: tally.other_id + dedup.doubled, ..Outcome::new(note) };
    if broken > run.warned {
        outcome.broken = Some(format!("{broken} broken lines, of which the agent reported {}", run.warned));
    } else if tally.missing + tally.wrong > 0 {
        outcome.broken = Some(format!("{} windows missing, {} with unknown lines", tally.missing, tally.wrong));
    } else if !is_done(&run.figures) {
        outcome.broken = Some("too few kills, swaps or rollbacks".into());
    }
    outcome
}
