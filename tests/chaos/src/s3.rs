//! Two agents on one queue, killed at random instants, with a store that injects faults: no event is lost, a message is
//! deleted only after its events arrived, and an event comes again only if its message did.
//!
//! One run sends the events to an `http` endpoint, which sees every double. The other writes them to a bucket by
//! `object_per = "source_object"`, where nothing may be doubled in the end. `model.rs` compares.

mod load;
mod model;

use std::time::{Duration, Instant};

use wattle_store::{Faults, Settings, Store};
use wattle_tests::{Agent, Config, Folder, Summary};

use crate::report::{Outcome, Report};
use load::Objects;
use model::Model;

const SOURCE: &str = "trail";
const LAKE: &str = "lake";

/// Maximum time between two kills.
const MAX_LIFE_MS: u64 = 1500;
/// Interval between looks at what happened.
const TICK: Duration = Duration::from_millis(50);
/// A whole number of seconds that is not the pause of a source after a failure, so that the store can distinguish a
/// heartbeat from a message that is given back. A kill hides the messages in work for so long.
const VISIBILITY: &str = "12s";
/// How long nothing may happen before the rest counts as lost.
const PATIENCE: Duration = Duration::from_secs(90);

/// Numbers of a run.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Objects, of 1 to 600 events.
    pub objects: usize,
    /// Kills of one of the agents.
    pub kills: usize,
}

impl Size {
    /// The size that the project has targets for.
    pub const fn full() -> Self {
        Self { objects: 20_000, kills: 200 }
    }

    /// A tenth of it.
    pub const fn quick() -> Self {
        Self { objects: 2000, kills: 20 }
    }
}

/// Where the events go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// An `http` sink, whose server keeps every event.
    Http,
    /// A sink `aws_s3`, into another bucket of the same server.
    Bucket,
}

/// What happened in a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    kills: u64,
    objects: u64,
    events: u64,
    /// Events that never arrived.
    lost: u64,
    /// Messages that were deleted before all of their events had arrived.
    early: u64,
    /// Events that arrived more often than their messages were delivered, or twice although no message came again.
    doubled: u64,
    /// Other events that arrived again.
    repeated: u64,
    /// Events that are in the bucket more than once.
    sink_doubled: u64,
    messages_left: u64,
}

/// Runs both, and records the figures.
pub fn section(report: &mut Report, seed: u64, size: Size) {
    report.section(&format!("S3: two agents on one queue, {} kills -9 each, with faults of the server", size.kills));
    for (name, target) in [("queue to http", Target::Http), ("queue to bucket", Target::Bucket)] {
        let mut figures = Figures::default();
        let outcome = report.run(name, || run(seed, size, target, &mut figures));
        report.count_lost(outcome.as_ref());
        let Figures { kills, objects, events, lost, early, doubled, repeated, sink_doubled, messages_left } = figures;
        for (key, figure) in [
            ("s3_kills", kills),
            ("s3_objects", objects),
            ("s3_events", events),
            ("s3_lost", lost),
            ("s3_early", early),
            ("s3_doubled", doubled),
            ("s3_repeated", repeated),
            ("s3_sink_doubled", sink_doubled),
            ("s3_messages_left", messages_left),
        ] {
            report.add(key, figure);
            if outcome.is_none() {
                report.unknown(key);
            }
        }
    }
}

fn config(store: &Store, target: Target) -> String {
    let config = Config::new()
        // So that objects of many lines are several batches, which a kill can part.
        .agent("workers = 1\nbatch.max_events = 100")
        .source("queue", "aws_s3")
        .set("queue_url", store.queue_url())
        .set("endpoint", store.address())
        .set("auth.access_key_id", "AKIDEXAMPLE")
        .set("auth.secret_access_key", "secret-of-test")
        .set("visibility_timeout", VISIBILITY)
        .set("wait_time", "1s")
        .pack("main", &["queue"], "cloudtrail@1.0.0")
        .file_sink("fails", &["main.fails"], "fails");
    let processed = ["main.processed", "main.get_describe_list"];
    let config = match target {
        Target::Http => {
            config.http_sink("out", &processed, &format!("{}/collect", store.address())).set("batch.timeout", "20ms")
        }
        Target::Bucket => config
            .sink("out", "aws_s3", &processed)
            .set("bucket", LAKE)
            .set("endpoint", store.address())
            .set("auth.access_key_id", "AKIDEXAMPLE")
            .set("auth.secret_access_key", "secret-of-test")
            .set("key_prefix", "date=%F/")
            .set("object_per", "source_object")
            .set("compression", "gzip")
            .set("request.retry_initial_backoff", "50ms"),
    };
    config.set("encoding.codec", "text").text()
}

/// An agent and its folder.
struct Node {
    folder: Folder,
    /// `None` while it is down.
    agent: Option<Agent>,
}

impl Node {
    fn new(config: &str) -> Self {
        let folder = Folder::new();
        folder.write("agent.toml", config);
        Self { folder, agent: None }
    }

    fn start(&mut self) {
        self.agent = Some(Agent::start(self.folder.wattle().args(["run", "--config", "agent.toml"])));
    }

    fn kill(&mut self) {
        if let Some(agent) = self.agent.take() {
            check(&agent.kill().log);
        }
    }
}

#[track_caller]
fn check(log: &str) {
    for bad in ["thread '", "which is a bug", "secret-of-test"] {
        assert!(!log.contains(bad), "`{bad}`: {log}");
    }
}

/// Adds objects and kills agents, then lets the agents finish, and compares.
pub fn run(seed: u64, size: Size, target: Target, figures: &mut Figures) -> Outcome {
    let mut random = fastrand::Rng::with_seed(seed);
    let store = Store::start(Settings { faults: Faults::all(), seed, log: true, core: None });
    let config = config(&store, target);
    let mut nodes = [Node::new(&config), Node::new(&config)];
    let (mut objects, mut model) = (Objects::new(seed), Model::default());
    for node in &mut nodes {
        node.start();
        // Only this time: later starts may be killed at once.
        node.agent.as_mut().expect("it was started").wait_for("running");
    }
    for kill in 0..size.kills {
        let until = Instant::now() + Duration::from_millis(random.u64(1..MAX_LIFE_MS));
        let count = size.objects * (kill + 1) / size.kills - size.objects * kill / size.kills;
        objects.add(count, &store, &mut model);
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            std::thread::sleep(TICK.min(left));
            model.take(store.take_log());
        }
        let node = &mut nodes[random.usize(..2)];
        node.kill();
        node.start();
    }
    figures.kills = size.kills as u64;
    // Not forever: lost events never arrive, and are counted below.
    let mut last = Instant::now();
    while !(model.has_all() && store.messages() == 0) && last.elapsed() < PATIENCE {
        std::thread::sleep(TICK);
        let log = store.take_log();
        if !log.is_empty() {
            last = Instant::now();
        }
        model.take(log);
    }
    let mut failed = Vec::new();
    for node in &mut nodes {
        let ended = node.agent.take().expect("it was started").stop();
        check(&ended.log);
        Summary::read(&ended.log);
        failed.extend(node.folder.read("fails"));
    }
    model.take(store.take_log());
    compare(&store, &model, target, figures, &failed)
}

fn compare(store: &Store, model: &Model, target: Target, figures: &mut Figures, failed: &[u8]) -> Outcome {
    let tally = model.tally();
    figures.objects = tally.objects;
    figures.events = tally.events;
    figures.early = tally.early;
    figures.messages_left = store.messages() as u64;
    let mut note = format!(
        "{} kills, {} objects in {} messages, {} events, {} messages came again ({} after their timeout, {} given back, {} \
         twice at once)",
        figures.kills,
        tally.objects,
        tally.messages,
        tally.events,
        tally.again.iter().sum::<u64>(),
        tally.again[0],
        tally.again[1],
        tally.again[2],
    );
    match target {
        Target::Http => {
            (figures.lost, figures.doubled, figures.repeated) = (tally.lost, tally.doubled, tally.repeated);
            note += &format!(", {} events repeated", tally.repeated);
        }
        Target::Bucket => {
            let kept = store.objects(LAKE);
            let (lost, doubled) = model.tally_bucket(&kept);
            (figures.lost, figures.sink_doubled) = (lost, doubled);
            note += &format!(", {} objects written {} times", kept.len(), tally.puts);
        }
    }
    let met: Vec<String> = store.met().iter().map(|(name, count)| format!("{name} {count}")).collect();
    note += &format!("; faults: {}", met.join(", "));
    let mut outcome =
        Outcome { lost: figures.lost, duplicated: figures.doubled + figures.sink_doubled, ..Outcome::new(note) };
    outcome.broken = if tally.unknown > 0 {
        Some(format!("{} lines are no events", tally.unknown))
    } else if figures.early > 0 {
        Some(format!("{} messages deleted before their events arrived", figures.early))
    } else if figures.messages_left > 0 {
        Some(format!("{} messages left", figures.messages_left))
    } else if !failed.is_empty() {
        Some(format!("events failed: {:.300}", String::from_utf8_lossy(failed)))
    } else {
        None
    };
    outcome
}
