//! The scenarios.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write as _;
use std::time::{Duration, Instant};

use serde_json::Value;
use wattle_tests::{Config, free_address};

use super::agents::{Agents, Fault};
use super::clients::Clients;
use super::servers::{Broker, Nats};
use super::{Arrived, Figures, Size, outcome};
use crate::report::Outcome;
use crate::server::{Mode, Server};

/// Interval between inputs, and the most events of one.
const TICK: Duration = Duration::from_millis(10);
const EVENTS: u64 = 40;
/// Maximum time between two faults, and of a restart.
const MAX_PAUSE_MS: u64 = 1200;
const MAX_DOWN_MS: u64 = 800;
/// How long nothing may arrive before the rest counts as lost.
const PATIENCE: Duration = Duration::from_secs(60);
/// Partitions of a topic.
const PARTITIONS: i32 = 6;

/// The load, and the instants of faults.
struct Load {
    random: fastrand::Rng,
    next: u64,
}

impl Load {
    fn new(seed: u64) -> Self {
        Self { random: fastrand::Rng::with_seed(seed), next: 0 }
    }

    /// Sends events for a random time.
    fn run(&mut self, mut send: impl FnMut(std::ops::Range<u64>)) {
        let until = Instant::now() + Duration::from_millis(self.random.u64(1..MAX_PAUSE_MS));
        while Instant::now() < until {
            let first = self.next;
            self.next += self.random.u64(..EVENTS);
            send(first..self.next);
            std::thread::sleep(TICK.min(until.saturating_duration_since(Instant::now())));
        }
    }

    fn down(&mut self) -> Duration {
        Duration::from_millis(self.random.u64(1..MAX_DOWN_MS))
    }

    fn fault(&mut self) -> Fault {
        Fault::ALL[self.random.usize(..Fault::ALL.len())]
    }
}

/// Waits until everything has arrived, or nothing arrives any more.
fn wait(sent: &HashMap<String, u64>, mut look: impl FnMut() -> Arrived) -> Arrived {
    let (mut last, mut found) = (Instant::now(), 0);
    loop {
        let arrived = look();
        if arrived.has_all(sent) || last.elapsed() > PATIENCE {
            return arrived;
        }
        if arrived.0.len() > found {
            (last, found) = (Instant::now(), arrived.0.len());
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// A source `kafka` of the topic `in`. Each version is another one.
fn kafka_source(broker: &str, version: usize) -> Config {
    Config::new()
        .source("in", "kafka")
        .set("bootstrap_servers", broker)
        .set("topics", vec!["in"])
        .with(
            "group_id = \"g\"\nauto_offset_reset = \"earliest\"\nsession_timeout = \"6s\"\ncommit_interval = \"200ms\"",
        )
        .set("max_in_flight_bytes", format!("{}MiB", 2 + version % 3))
}

/// From Kafka by two agents to JetStream, by two others to documents. Both sinks have ids that derive from the place of the
/// event in the server before.
pub(super) fn ids(seed: u64, size: Size, figures: &mut Figures) -> Outcome {
    let mut load = Load::new(seed);
    let (broker, mut nats) = (Broker::start(&["in"], PARTITIONS), Nats::start());
    nats.create("mid");
    let documents = Server::bulk(read_bulk);
    let (from, to) = (broker.address(), nats.url());
    let mut first = Agents::start(2, move |version| {
        kafka_source(&from, version)
            .sink("out", "nats", &["in"])
            .set("url", to.as_str())
            .with("subject = \"mid.all\"\nencoding = { codec = \"text\" }\nrequest_timeout = \"2s\"")
            .set(
                "message_id",
                "{{ resource.source.topic }}-{{ resource.source.partition }}-{{ attributes.kafka.offset }}",
            )
            .set("max_in_flight", i64::try_from(500 + version % 7).unwrap())
            .text()
    });
    let (from, to) = (nats.url(), documents.address);
    let mut second = Agents::start(2, move |version| {
        Config::new()
            .source("in", "nats")
            .set("url", from.as_str())
            .with("stream = \"mid\"\nconsumer = \"c\"\nrequest_timeout = \"2s\"\nack_wait = \"3s\"")
            .set("max_in_flight", i64::try_from(2000 + version % 7).unwrap())
            .sink("out", "elasticsearch", &["in"])
            .set("endpoint", format!("http://{to}"))
            .set("bulk.index", "logs")
            .set("id_key", "attributes.nats.sequence")
            .with("encoding = { codec = \"text\" }\nbatch = { timeout = \"10ms\", max_events = 500 }")
            .with("request = { retry_initial_backoff = \"50ms\", retry_max_backoff = \"200ms\" }")
            .text()
    });
    let body = |number: u64| format!("{{\"n\":\"{number}\"}}");
    for _ in 0..size.faults {
        load.run(|numbers| broker.send("in", numbers.map(body)));
        let down = load.down();
        match load.random.u8(..8) {
            0 => {
                figures.restarts += 1;
                nats.restart(down);
            }
            1 => {
                figures.restarts += 1;
                broker.crash(down);
            }
            2 => {
                figures.restarts += 1;
                documents.set(if load.random.bool() { Mode::Refuse(503, None) } else { Mode::CutAnswer });
                std::thread::sleep(down);
                documents.set(Mode::Take);
            }
            3..=5 => first.meet(load.fault(), &mut load.random, figures),
            _ => second.meet(load.fault(), &mut load.random, figures),
        }
    }
    broker.flush();
    let sent = numbers(&broker.values("in"));
    figures.events = sent.values().sum();
    // The id of each document, and its event.
    let (mut kept, mut writes) = (HashMap::new(), 0);
    let arrived = wait(&sent, || {
        for pair in documents.take("_bulk").chunks_exact(2) {
            writes += 1;
            kept.insert(pair[0].clone(), pair[1].clone());
        }
        let mut arrived = Arrived::default();
        arrived.add(kept.values().cloned());
        arrived
    });
    first.end(figures);
    second.end(figures);
    let (lost, doubled, unknown) = arrived.compare(&sent);
    let messages = nats.messages("mid");
    figures.lost = lost;
    // In the stream, and in the index.
    figures.doubled = doubled + messages.saturating_sub(figures.events);
    figures.repeated = writes - kept.len() as u64;
    outcome(figures, unknown, &format!(" documents, {messages} messages in the stream"))
}

/// The numbers in bodies.
fn numbers(bodies: &HashMap<String, u64>) -> HashMap<String, u64> {
    let number = |body: &String| serde_json::from_str::<Value>(body).unwrap()["n"].as_str().unwrap().to_owned();
    bodies.iter().map(|(body, times)| (number(body), *times)).collect()
}

/// A line of a request to the bulk API: the id of the action, or the number of the document.
fn read_bulk(line: &[u8]) -> Option<String> {
    let line: Value = serde_json::from_slice(line).ok()?;
    let id = line["index"]["_id"].as_str();
    id.or_else(|| line["n"].as_str()).map(str::to_owned)
}

/// From one topic to another one by agents of a group. Without ids, events can come again.
pub(super) fn topics(seed: u64, size: Size, figures: &mut Figures) -> Outcome {
    let mut load = Load::new(seed.wrapping_add(1));
    let broker = Broker::start(&["in", "out"], PARTITIONS);
    let address = broker.address();
    let mut agents = Agents::start(2, move |version| {
        kafka_source(&address, version)
            .sink("out", "kafka", &["in"])
            .set("bootstrap_servers", address.as_str())
            .with("topic = \"out\"\nkey_field = \"attributes.kafka.key\"\nencoding = { codec = \"text\" }")
            .set("batch.timeout", format!("{}ms", 5 + version % 7))
            .text()
    });
    for _ in 0..size.faults {
        load.run(|numbers| broker.send("in", numbers.map(|number| number.to_string())));
        if load.random.u8(..6) == 0 {
            figures.restarts += 1;
            broker.crash(load.down());
        } else {
            agents.meet(load.fault(), &mut load.random, figures);
        }
    }
    broker.flush();
    let sent = broker.values("in");
    wait(&sent, || Arrived(broker.values("out")));
    agents.end(figures);
    finish(&Arrived(broker.values("out")), &sent, figures, "")
}

fn finish(arrived: &Arrived, sent: &HashMap<String, u64>, figures: &mut Figures, note: &str) -> Outcome {
    let (lost, repeated, unknown) = arrived.compare(sent);
    (figures.lost, figures.repeated, figures.events) = (lost, repeated, sent.len() as u64);
    outcome(figures, unknown, note)
}

/// Two agents, of which the first one reads a file.
struct Pair {
    input: File,
    first: Agents,
    second: Agents,
}

impl Pair {
    /// `sink` and `source` belong to each other; events of the source go to the server.
    fn start(server: &Server, sink: Config, source: impl Fn(usize) -> Config + 'static) -> Self {
        let to = server.address;
        let second = Agents::start(1, move |version| {
            source(version)
                .http_sink("out", &["in"], &format!("http://{to}/events"))
                .with("encoding = { codec = \"text\" }\nbatch = { timeout = \"10ms\" }")
                .with("request = { retry_initial_backoff = \"50ms\", retry_max_backoff = \"200ms\" }")
                .text()
        });
        let sink = sink.text();
        let first = Agents::start(1, move |version| {
            let source = Config::new().file_source("in", "in.log").set("glob_interval", "20ms").text();
            let retry = "request = { retry_initial_backoff = \"20ms\", retry_max_backoff = \"100ms\" }";
            format!("{source}{sink}{retry}\n[agent]\nbatch.max_events = {}\n", 100 + version)
        });
        let input = File::create(first.folder(0).path("in.log")).unwrap();
        Self { input, first, second }
    }

    fn send(&mut self, lines: impl Iterator<Item = String>) {
        let text: String = lines.map(|line| line + "\n").collect();
        self.input.write_all(text.as_bytes()).unwrap();
    }
}

/// The last word of a line: the number of the event.
fn last_word(line: &[u8]) -> Option<String> {
    std::str::from_utf8(line).ok()?.rsplit(' ').next().map(str::to_owned)
}

/// From a file to an agent over OTLP, and on to a server. Both agents are killed.
pub(super) fn otlp(seed: u64, size: Size, figures: &mut Figures) -> Outcome {
    let mut load = Load::new(seed.wrapping_add(2));
    let (server, between) = (Server::of(last_word), free_address());
    let sink = Config::new().sink("out", "otlp", &["in"]).set("uri", format!("http://{between}"));
    let sink = sink.with("batch = { timeout = \"10ms\" }");
    let source = move |version: usize| {
        let source = Config::new().source("in", "otlp").set("grpc_address", between.to_string());
        source.set("max_connections", i64::try_from(100 + version).unwrap())
    };
    let mut pair = Pair::start(&server, sink, source);
    for _ in 0..size.faults {
        load.run(|numbers| pair.send(numbers.map(|number| format!("event {number}"))));
        let fault = load.fault();
        match load.random.u8(..5) {
            0 => trouble(&server, &mut load, figures),
            1 | 2 => pair.first.meet(fault, &mut load.random, figures),
            _ => pair.second.meet(fault, &mut load.random, figures),
        }
    }
    let sent = (0..load.next).map(|number| (number.to_string(), 1)).collect();
    let mut arrived = Arrived::default();
    let mut look = || {
        arrived.add(server.take("events"));
        arrived.clone()
    };
    wait(&sent, &mut look);
    pair.first.end(figures);
    pair.second.end(figures);
    finish(&look(), &sent, figures, "")
}

/// Lets the server refuse requests, or break its responses, for a while.
fn trouble(server: &Server, load: &mut Load, figures: &mut Figures) {
    figures.restarts += 1;
    server.set(if load.random.bool() { Mode::Refuse(503, None) } else { Mode::CutAnswer });
    std::thread::sleep(load.down());
    server.set(Mode::Take);
}

/// From a file, and from other clients, to an agent over syslog, and on to a server. The receiver is stopped and reloaded,
/// but not killed: no sender of syslog can know what a program had not delivered.
pub(super) fn syslog(seed: u64, size: Size, figures: &mut Figures) -> Outcome {
    let mut load = Load::new(seed.wrapping_add(3));
    let (server, between) = (Server::of(last_word), free_address());
    let sink = Config::new().sink("out", "syslog", &["in"]).set("address", between.to_string());
    let source = move |version: usize| {
        let source = Config::new().source("in", "syslog").set("address", between.to_string());
        // So few that some clients wait in the backlog.
        source.set("framing", "octet_counting").set("max_connections", i64::try_from(3 + version % 2).unwrap())
    };
    let mut pair = Pair::start(&server, sink, source);
    let clients = Clients::start(6, seed, between);
    for _ in 0..size.faults {
        load.run(|numbers| pair.send(numbers.map(|number| format!("<13>1 - - - - - - {number}"))));
        let fault = load.fault();
        match load.random.u8(..6) {
            0 => trouble(&server, &mut load, figures),
            1 | 2 => pair.first.meet(fault, &mut load.random, figures),
            _ if fault == Fault::Kill => pair.second.meet(Fault::Stop, &mut load.random, figures),
            _ => pair.second.meet(fault, &mut load.random, figures),
        }
    }
    let mut sent = clients.end();
    sent.extend((0..load.next).map(|number| (number.to_string(), 1)));
    let mut arrived = Arrived::default();
    let mut look = || {
        arrived.add(server.take("events"));
        arrived.clone()
    };
    wait(&sent, &mut look);
    pair.first.end(figures);
    pair.second.end(figures);
    assert!(!pair.second.has_lost(), "the receiver says that it lost events");
    finish(&look(), &sent, figures, "")
}
