//! A model of log rotation: writers, rotation, disks, sinks and restarts in random order. The
//! source must read each line exactly once or count its bytes as lost.
//!
//! The model knows where every written line is: in a live log, in a rotated file, compressed,
//! copied, or deleted. Before each step that destroys data, the source has checked the files, so it
//! must count all data that it cannot have read. The reader runs in the thread of the test with
//! simulated time, and the model acts whenever the reader waits, so a seed always gives the same
//! result. `WATTLE_MODEL_SEQUENCES` sets the number of sequences; `WATTLE_MODEL_SEED` runs one
//! sequence and prints its steps and the delivered lines.

mod logs;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;
use wattle_batch::Batch;

use logs::Log;

use super::*;
use crate::file::checkpoint::{Entry, Saved};
use crate::file::clock::fake;
use crate::file::options::Settings;
use crate::file::reader::Reader;
use crate::file::track::Tracker;

/// Number of steps in a sequence.
const STEPS: usize = 40;

/// Maximum number of waits until everything is delivered.
const PATIENCE: u64 = 20_000;

/// Number of waits at the end without any step; a duplicate would arrive in this time.
const QUIET: u64 = 200;

/// A reproducible pseudo-random generator.
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Phase {
    Steps,
    /// The source is stopped or killed, and starts again.
    Restart {
        is_kill: bool,
    },
    /// All steps are done; deliver everything.
    Deliver,
    Done,
}

struct Model {
    world: World,
    tracker: Arc<Tracker>,
    batches: Option<mpsc::Receiver<Batch>>,
    /// Batches that the sink received and has not acknowledged.
    flight: VecDeque<Batch>,
    /// Number of batches that the sink receives before it acknowledges the first.
    depth: usize,
    saved: Vec<u8>,
    device: Arc<AtomicU64>,
    dice: Dice,
    logs: Vec<Log>,
    options: Value,
    /// Written lines, and how often each was delivered.
    written: BTreeMap<String, u32>,
    /// Lines that no file contains any more, although the source may not have read them.
    destroyed: BTreeSet<String>,
    /// Destroyed lines that were undelivered when the source was killed; it could not count them.
    forgiven: BTreeSet<String>,
    /// Lines that may be delivered twice.
    doubtful: BTreeSet<String>,
    /// Lines delivered since positions were last saved.
    unsaved: BTreeSet<String>,
    /// Bytes and events that earlier readers counted as lost.
    lost: (u64, u64),
    /// Whether the sink sometimes returns batches.
    returns: bool,
    is_blocked: bool,
    phase: Phase,
    taken: usize,
    looks: u64,
    waits: u64,
    quiet: u64,
    steps: Vec<String>,
    /// Whether to print each step.
    is_verbose: bool,
}

impl Model {
    fn new(seed: u64) -> Self {
        let mut world = World::new();
        let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        dice.below(2);
        world.rig.limits.max_events = 1 + dice.below(5) as usize;
        let open = [1, 3, 256][dice.below(3) as usize];
        let logs = (0..=dice.below(2)).map(|_| Log::default()).collect();
        let options = json!({
            "include": [world.path("**").to_str().unwrap()],
            "stable_after": "0s",
            "max_open_files": open,
            "rotate_wait": "60ms",
            "glob_interval": "10ms",
        });
        Self {
            tracker: Arc::new(Tracker::new(world.rig.stats.clone())),
            world,
            batches: None,
            flight: VecDeque::new(),
            depth: dice.below(4) as usize,
            saved: Vec::new(),
            device: Arc::default(),
            dice,
            logs,
            options,
            written: BTreeMap::new(),
            destroyed: BTreeSet::new(),
            forgiven: BTreeSet::new(),
            doubtful: BTreeSet::new(),
            unsaved: BTreeSet::new(),
            lost: (0, 0),
            returns: seed % 4 == 3,
            is_blocked: false,
            phase: Phase::Steps,
            taken: 0,
            looks: 0,
            waits: 0,
            quiet: 0,
            steps: Vec::new(),
            is_verbose: std::env::var_os("WATTLE_MODEL_SEED").is_some(),
        }
    }

    /// Starts a reader with the saved state of the previous one.
    fn start(&mut self) -> Reader {
        let mut settings = Settings::new(serde_json::from_value(self.options.clone()).unwrap()).unwrap();
        settings.device_shift = self.device.clone();
        let stats = self.world.rig.stats.clone();
        self.tracker = Arc::new(Tracker::new(stats));
        let saved = match serde_json::from_slice::<Vec<Entry>>(&self.saved) {
            Ok(entries) => Saved::Entries(entries),
            Err(_) => Saved::Never,
        };
        let (output, batches) = mpsc::channel(1);
        self.batches = Some(batches);
        let context = Arc::new(self.world.rig.context());
        let reader = Reader::new(settings, context, self.tracker.clone(), output, &saved);
        self.tracker.restore(if let Saved::Entries(entries) = saved { entries } else { Vec::new() });
        reader
    }

    fn note(&mut self, step: impl Into<String>) {
        let step = step.into();
        if self.is_verbose {
            println!("{:?}: {step}", fake::passed());
        }
        self.steps.push(step);
    }

    /// Runs one step while the reader waits.
    fn act(&mut self) {
        self.sink();
        if self.dice.below(4) == 0 {
            self.save();
        }
        // Rotations are minutes apart, so let the source check all files first.
        if get(&self.world.rig.stats.looks) < self.looks {
            self.waits += 1;
            assert!(self.waits < PATIENCE, "the source does not check its files any more: {:#?}", self.steps);
            return;
        }
        match self.phase {
            Phase::Steps if self.taken == STEPS => {
                self.phase = Phase::Deliver;
                self.is_blocked = false;
                self.waits = 0;
            }
            Phase::Steps => {
                self.taken += 1;
                self.waits = 0;
                self.step();
                self.looks = get(&self.world.rig.stats.looks) + 1;
            }
            Phase::Deliver => {
                self.waits += 1;
                self.quiet = if self.missing().is_empty() && self.tracker.is_done() { self.quiet + 1 } else { 0 };
                if self.quiet > QUIET || self.waits > PATIENCE {
                    self.phase = Phase::Done;
                    self.tracker.stop();
                }
            }
            Phase::Restart { .. } | Phase::Done => {}
        }
    }

    /// The sink receives batches, unless it is blocked, and acknowledges them in order.
    fn sink(&mut self) {
        if self.is_blocked {
            return;
        }
        let came = self.batches.as_mut().and_then(|batches| batches.try_recv().ok());
        let is_idle = came.is_none();
        self.flight.extend(came);
        while let Some(batch) = self.flight.pop_front_if(|_| is_idle) {
            self.answer(batch);
        }
        while self.flight.len() > self.depth {
            let batch = self.flight.pop_front().unwrap();
            self.answer(batch);
        }
    }

    fn answer(&mut self, batch: Batch) {
        if self.returns && self.dice.below(30) == 0 {
            // All later lines of the file are read again, delivered or not.
            self.doubtful.extend(self.written.keys().cloned());
            self.note("a batch is returned");
            return;
        }
        self.deliver(batch);
    }

    fn deliver(&mut self, batch: Batch) {
        let lines = texts(&batch);
        if self.is_verbose {
            println!("    delivered {lines:?} of {}", resource(&batch)["path"]);
        }
        for line in lines {
            *self.written.get_mut(&line).unwrap_or_else(|| panic!("`{line}` was never written")) += 1;
            self.unsaved.insert(line);
        }
        batch.into_ack().deliver();
    }

    fn save(&mut self) {
        if let Some(entries) = self.tracker.snapshot() {
            self.saved = serde_json::to_vec(&entries).unwrap();
            self.unsaved.clear();
        }
    }

    fn step(&mut self) {
        let log = self.dice.below(self.logs.len() as u64) as usize;
        match self.dice.below(24) {
            0..8 => self.append(log),
            8..10 => self.rotate(log),
            10..12 => self.copytruncate(log),
            12..14 => self.gzip(log),
            14 => self.move_rotated(log),
            15 => self.delete(log),
            16 => self.truncate(log),
            17 => {
                self.device.fetch_add(1, Ordering::Relaxed);
                self.note("remount");
            }
            18 => {
                let is_kill = self.dice.below(3) == 0;
                self.note(if is_kill { "kill" } else { "stop" });
                if is_kill {
                    // The reader's counts after a kill are ignored.
                    self.lost = self.lost_until_now();
                }
                self.phase = Phase::Restart { is_kill };
                self.tracker.stop();
            }
            19 => {
                self.is_blocked = !self.is_blocked;
                self.note(format!("sink blocked: {}", self.is_blocked));
            }
            _ => {
                self.looks += 3;
                self.note("wait");
            }
        }
    }

    /// Handles the end of the reader, and what happens until the next one starts.
    fn restart(&mut self, is_kill: bool) {
        if is_kill {
            self.doubtful.append(&mut self.unsaved);
            let unread = self.destroyed.iter().filter(|line| self.written[*line] == 0);
            self.forgiven.extend(unread.cloned());
            self.flight.clear();
        } else {
            self.batches = None;
            for _ in 0..self.dice.below(self.flight.len() as u64 + 1) {
                let batch = self.flight.pop_front().unwrap();
                self.deliver(batch);
            }
            // The sink returns undelivered batches.
            self.flight.clear();
            self.lost = self.lost_until_now();
            self.save();
        }
        self.is_blocked = false;
        let limits = self.world.rig.limits;
        self.world.rig = Rig::new(&self.world.folder.path().join("data"));
        self.world.rig.limits = limits;
        if self.dice.below(2) == 0 {
            self.device.fetch_add(1, Ordering::Relaxed);
            self.note("reboot: another device number");
        }
        for _ in 0..self.dice.below(4) {
            self.note("while away:");
            let log = self.dice.below(self.logs.len() as u64) as usize;
            match self.dice.below(8) {
                0..3 => self.append(log),
                3 => self.rotate(log),
                4 | 5 => self.copytruncate(log),
                6 => self.gzip(log),
                _ => self.move_rotated(log),
            }
        }
        self.phase = Phase::Steps;
        self.looks = 1;
    }

    /// Lines that were not delivered although a file still contains them.
    fn missing(&self) -> Vec<&String> {
        let lines = self.written.iter().filter(|(line, times)| **times == 0 && !self.destroyed.contains(*line));
        lines.map(|(line, _)| line).collect()
    }

    /// Bytes and events that were counted as lost so far.
    fn lost_until_now(&self) -> (u64, u64) {
        let stats = &self.world.rig.stats;
        (self.lost.0 + stats.lost_bytes.total(), self.lost.1 + get(&stats.lost))
    }

    /// Checks the end state; returns the number of written lines and the bytes counted as lost.
    fn verdict(&self) -> Result<(usize, u64), String> {
        let missing = self.missing();
        if !missing.is_empty() {
            return Err(format!("LOST ALTHOUGH READABLE {missing:?}"));
        }
        let is_doubled = |(line, times): &(&String, &u32)| **times > 1 && !self.doubtful.contains(*line);
        let doubled: Vec<&String> = self.written.iter().filter(is_doubled).map(|(line, _)| line).collect();
        if !doubled.is_empty() {
            return Err(format!("DELIVERED TWICE {doubled:?}"));
        }
        let (lost, events) = self.lost;
        let size = |line: &String| line.len() as u64 + 1;
        let unread = self.destroyed.iter().filter(|line| self.written[*line] == 0);
        let (forgiven, unread): (Vec<&String>, Vec<&String>) = unread.partition(|line| self.forgiven.contains(*line));
        let mut sizes: Vec<u64> = unread.iter().copied().map(size).collect();
        sizes.sort_unstable();
        // Returned batches are counted in events, and may have contained the longest lines.
        let least: u64 = sizes.iter().rev().skip(events as usize).sum();
        if lost < least {
            return Err(format!(
                "LOST AND NOT COUNTED {lost} bytes and {events} events counted of {least}: {unread:?}"
            ));
        }
        // A killed source does not know which lines it delivered since the last save. If these are
        // destroyed before it reads them again, it counts them as lost.
        let is_forgotten = |line: &&String| self.written[*line] > 0 && self.doubtful.contains(*line);
        let forgotten: Vec<&String> = self.destroyed.iter().filter(is_forgotten).collect();
        let excused = forgiven.iter().chain(&forgotten).copied();
        let most: u64 = sizes.iter().sum::<u64>() + excused.map(size).sum::<u64>();
        let most_events = unread.len() + forgiven.len() + forgotten.len();
        if !self.returns && (lost > most || events as usize > most_events) {
            return Err(format!("OVERCOUNTED {lost} bytes of {most} and {events} events of {most_events}: {unread:?}"));
        }
        Ok((self.written.len(), lost))
    }
}

/// Runs one sequence; returns the number of written lines and the bytes counted as lost, or the
/// error.
fn run(seed: u64) -> Result<(usize, u64), String> {
    let model = Rc::new(RefCell::new(Model::new(seed)));
    loop {
        let reader = model.borrow_mut().start();
        let acting = model.clone();
        fake::run(move || acting.borrow_mut().act(), || reader.run());
        let mut model = model.borrow_mut();
        match model.phase {
            Phase::Restart { is_kill } => model.restart(is_kill),
            _ => break,
        }
    }
    let mut model = model.borrow_mut();
    model.lost = model.lost_until_now();
    model.verdict().map_err(|error| format!("{error} after {:#?}", model.steps))
}

#[test]
fn every_line_is_delivered_once_or_counted_as_lost() {
    let number = |name: &str| std::env::var(name).ok().and_then(|n| n.parse::<u64>().ok());
    let seeds = match number("WATTLE_MODEL_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("WATTLE_MODEL_SEQUENCES").unwrap_or(200),
    };
    let next = AtomicU64::new(seeds.start);
    let outcomes = std::sync::Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        break;
                    }
                    // A separate thread, because simulated time is per thread.
                    let outcome = std::thread::spawn(move || run(seed)).join();
                    let outcome = outcome.unwrap_or_else(|_| Err("PANICKED".to_owned()));
                    outcomes.lock().unwrap().insert(seed, outcome);
                }
            });
        }
    });
    let outcomes = outcomes.into_inner().unwrap();
    let (mut lines, mut lost, mut failed) = (0, 0, Vec::new());
    for (seed, outcome) in &outcomes {
        match outcome {
            Ok((more_lines, more_lost)) => (lines, lost) = (lines + more_lines, lost + more_lost),
            Err(error) => failed.push(format!("seed {seed}: {error}")),
        }
    }
    println!("{} sequences, {lines} lines, {lost} bytes counted as lost", outcomes.len());
    assert!(failed.is_empty(), "{} sequences failed:\n{}", failed.len(), failed.join("\n"));
}
