//! Connections: syslog over TCP to a file, OTLP to OTLP, lines of JSON over HTTP to a server of HTTP and to a bulk API, and
//! Kafka to Kafka.
//!
//! The agent runs on one core; the clients and the server, threads of this process, on the other. Vector and Fluent Bit do
//! the same if they are on the PATH, with the configurations in `peers/`. Events are counted at their destination: peers
//! may respond to a client before they deliver, and lose events. The agent may not.

mod http;
mod kafka;
mod payload;
mod program;

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::ensure;

use self::http::{Receiver, post};
use self::kafka::Broker;
use self::program::{Program, Running};
use crate::bench::Bench;
use crate::figures::{Report, Samples, mega};

/// Connections of clients.
const CLIENTS: usize = 4;

/// Events in a request, and in a piece that a client of syslog writes at once.
const BATCH: usize = 1000;

/// Time limit for a start.
const PATIENCE: Duration = Duration::from_secs(60);

/// Events that are still missing after this long without an arrival are lost.
const QUIET: Duration = Duration::from_secs(10);

/// A job from a source to a sink.
struct Edge {
    key: &'static str,
    what: &'static str,
    note: &'static str,
    source: &'static str,
    sink: &'static str,
    from: From,
    payload: fn(usize) -> Vec<u8>,
}

/// How events get to the agent, and how their number at the destination is known.
#[derive(Clone, Copy, PartialEq, Eq)]
enum From {
    /// A stream of lines to a file.
    Lines,
    /// Requests with this path and content type. The agent responds when their events are delivered.
    Requests(&'static str, &'static str),
    /// Messages of a topic to another topic.
    Topic,
}

const NDJSON: From = From::Requests("/", "application/x-ndjson");

/// The same for a peer that knows lines of JSON only under this content type.
const NDJSON_AS_JSON: From = From::Requests("/", "application/json");

const EDGES: [Edge; 5] = [
    Edge {
        key: "syslog_to_file",
        what: "syslog over TCP -> file",
        note: "bar 500,000; messages of 300 bytes",
        source: "type = \"syslog\"\naddress = \"{in}\"\n",
        sink: "type = \"file\"\npath = \"{file}\"\nencoding.codec = \"text\"\nfsync = \"never\"\n",
        from: From::Lines,
        payload: payload::syslog,
    },
    Edge {
        key: "otlp_to_otlp",
        what: "OTLP -> OTLP, logs",
        note: "Protobuf over HTTP, 1,000 records in a request",
        source: "type = \"otlp\"\ngrpc_address = \"\"\nhttp_address = \"{in}\"\n",
        sink: "type = \"otlp\"\nuri = \"http://{out}\"\nprotocol = \"http\"\ncompression = \"none\"\n\
               proxy.enabled = false\nbatch.timeout = \"20ms\"\n",
        from: From::Requests("/v1/logs", "application/x-protobuf"),
        payload: payload::otlp,
    },
    Edge {
        key: "http_to_http",
        what: "HTTP -> HTTP, lines of JSON",
        note: "1,000 events in a request",
        source: "type = \"http\"\naddress = \"{in}\"\n",
        sink: "type = \"http\"\nuri = \"http://{out}/\"\nproxy.enabled = false\nbatch.timeout = \"20ms\"\n",
        from: NDJSON,
        payload: payload::ndjson,
    },
    Edge {
        key: "http_to_bulk",
        what: "HTTP -> bulk API, lines of JSON",
        note: "1,000 events in a request",
        source: "type = \"http\"\naddress = \"{in}\"\n",
        sink: "type = \"elasticsearch\"\nendpoint = \"http://{out}\"\nmode = \"data_stream\"\nproxy.enabled = false\n\
               batch.timeout = \"20ms\"\n",
        from: NDJSON,
        payload: payload::ndjson,
    },
    Edge {
        key: "kafka_to_kafka",
        what: "Kafka -> Kafka",
        note: "lines of JSON of 300 bytes, each a message; 4 partitions of a broker in this process",
        source: "type = \"kafka\"\nbootstrap_servers = \"{out}\"\ntopics = [\"in\"]\ngroup_id = \"g\"\n\
                 auto_offset_reset = \"earliest\"\n",
        sink: "type = \"kafka\"\nbootstrap_servers = \"{out}\"\ntopic = \"out\"\nencoding.codec = \"text\"\n\
               batch.timeout = \"20ms\"\n",
        from: From::Topic,
        payload: payload::ndjson,
    },
];

/// What a program needed for a job, in each round.
#[derive(Default)]
struct Figures {
    events_per_cpu_s: Samples,
    mb_per_cpu_s: Samples,
    peak_mb: Samples,
    lost: Samples,
}

/// The rows about connections.
pub(crate) fn measure(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    report.section("Connections: events from clients to a file or server, on one core");
    let batches = bench.size(200, 1000);
    let programs = Program::found(report);
    for edge in &EDGES {
        let payload = (edge.payload)(BATCH);
        let mut figures: Vec<(&Program, Figures)> =
            programs.iter().filter(|program| program.does(edge)).map(|program| (program, Figures::default())).collect();
        // In turns, so that what else the machine does slows all of them.
        for _ in 0..bench.rounds() {
            let mut failed = Vec::new();
            for (index, (program, figures)) in figures.iter_mut().enumerate() {
                match (round(bench, edge, program, &payload, batches, figures), program) {
                    (Ok(()), _) => {}
                    (Err(error), Program::Wattle) => return Err(error.context(edge.key)),
                    (Err(error), Program::Peer(peer)) => {
                        report.remark(&format!("{}: {} failed: {error:#}", edge.what, peer.name));
                        failed.push(index);
                    }
                }
            }
            for index in failed.into_iter().rev() {
                figures.remove(index);
            }
        }
        show(report, edge, &figures);
    }
    Ok(())
}

/// Runs a program once. Its threads, and only they, run on the first core.
fn round(
    bench: &Bench,
    edge: &Edge,
    program: &Program,
    payload: &[u8],
    batches: usize,
    figures: &mut Figures,
) -> anyhow::Result<()> {
    let measured = std::thread::scope(|scope| {
        let run = scope.spawn(|| {
            on_core(1)?;
            run(bench, edge, program, payload, batches)
        });
        run.join().map_err(|_| anyhow::anyhow!("the clients panicked"))?
    })?;
    let lost = measured.sent - measured.arrived;
    if let Program::Wattle = program {
        ensure!(lost == 0, "{lost} of {} events did not arrive", measured.sent);
    }
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    let (arrived, sent, lost) = (measured.arrived as f64, measured.sent as f64, lost as f64);
    figures.events_per_cpu_s.push(arrived / measured.cpu_s);
    figures.mb_per_cpu_s.push(arrived / sent * mega((batches * payload.len()) as u64) / measured.cpu_s);
    figures.peak_mb.push(measured.peak_mb);
    figures.lost.push(100.0 * lost / sent);
    Ok(())
}

/// Adds the rows of a job to the report.
fn show(report: &mut Report, edge: &Edge, figures: &[(&Program, Figures)]) {
    let (mut ours, mut best) = (0.0, 0.0_f64);
    for (program, figures) in figures {
        let rate = &figures.events_per_cpu_s;
        match program {
            Program::Wattle => {
                ours = rate.median();
                report.key(&format!("{}_per_cpu_s", edge.key), edge.what, rate, "ev/CPU-s", edge.note);
            }
            Program::Peer(peer) => {
                best = best.max(rate.median());
                report.row(peer.name, rate, "ev/CPU-s", "");
            }
        }
        report.row("", &figures.mb_per_cpu_s, "MB/CPU-s", "");
        report.row("", &figures.peak_mb, "MB", "peak memory");
        report.row("", &figures.lost, "%", "of the events lost");
    }
    if best > 0.0 {
        let ratio = Samples::from_iter([ours / best]);
        report.key(&format!("{}_over_peers", edge.key), "ours / the better peer", &ratio, "times", "bar 3");
    }
}

/// Binds the calling thread to a core.
pub(crate) fn on_core(core: usize) -> anyhow::Result<()> {
    let mut cores = rustix::thread::CpuSet::new();
    cores.set(core);
    Ok(rustix::thread::sched_setaffinity(None, &cores)?)
}

/// Where the events of a run come from and go to.
struct Ends {
    from: From,
    /// Where the agent listens.
    address: SocketAddr,
    receiver: Receiver,
    broker: Option<Broker>,
    file: PathBuf,
    /// Bytes of a batch at its destination, if that is a file.
    batch_bytes: u64,
}

impl Ends {
    fn start(edge: &Edge, program: &Program, folder: &Path, payload: &[u8]) -> anyhow::Result<Self> {
        Ok(Self {
            from: program.adapt(edge.from),
            // The port is free now, and no other process here opens ports.
            address: TcpListener::bind("127.0.0.1:0")?.local_addr()?,
            receiver: Receiver::start()?,
            broker: if edge.from == From::Topic { Some(Broker::start()?) } else { None },
            file: folder.join("out.log"),
            batch_bytes: payload.len() as u64,
        })
    }

    /// Where the agent delivers to.
    fn to(&self) -> SocketAddr {
        self.broker.as_ref().map_or(self.receiver.address, |broker| broker.address)
    }

    /// Fills in a configuration.
    fn fill(&self, text: &str) -> String {
        let file = self.file.display().to_string();
        let folder = self.file.parent().unwrap_or(&self.file).display().to_string();
        let ports = [self.address.port(), self.to().port()].map(|port| port.to_string());
        [
            ("{in}", self.address.to_string()),
            ("{out}", self.to().to_string()),
            ("{in_port}", ports[0].clone()),
            ("{out_port}", ports[1].clone()),
            ("{file}", file),
            ("{folder}", folder),
        ]
        .iter()
        .fold(text.to_owned(), |text, (name, value)| text.replace(name, value))
    }

    /// Sends so many batches over one connection.
    fn send(&self, payload: &[u8], batches: usize) -> anyhow::Result<()> {
        if let Some(broker) = &self.broker {
            return broker.send(payload, batches);
        }
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_nodelay(true)?;
        for _ in 0..batches {
            match self.from {
                From::Requests(path, kind) => post(&mut stream, path, kind, payload)?,
                From::Lines | From::Topic => stream.write_all(payload)?,
            }
        }
        Ok(())
    }

    /// Number of events at the destination.
    fn arrived(&self) -> u64 {
        match (&self.broker, self.from) {
            (Some(broker), _) => broker.arrived(),
            (None, From::Requests(..)) => self.receiver.events(),
            // All lines of a batch have the same length.
            (None, _) => std::fs::metadata(&self.file).map_or(0, |file| file.len()) * BATCH as u64 / self.batch_bytes,
        }
    }

    /// Waits until so many events are at their destination, or no more arrive. Returns their number, and the CPU seconds
    /// of the program at the last arrival.
    fn wait(&self, wanted: u64, running: &Running) -> (u64, f64) {
        let (mut last, mut cpu_s, mut since) = (0, running.cpu_s(), Instant::now());
        loop {
            let arrived = self.arrived();
            if arrived > last {
                (last, cpu_s, since) = (arrived, running.cpu_s(), Instant::now());
            }
            if last >= wanted || since.elapsed() > QUIET {
                return (last, cpu_s);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// The result of a run.
struct Measured {
    sent: u64,
    arrived: u64,
    /// Without start and end.
    cpu_s: f64,
    peak_mb: f64,
}

/// Sends batches through a program.
fn run(bench: &Bench, edge: &Edge, program: &Program, payload: &[u8], batches: usize) -> anyhow::Result<Measured> {
    let folder = bench.fresh("edge")?;
    let ends = Ends::start(edge, program, &folder, payload)?;
    let running = program.start(bench, edge, &ends, &folder)?;
    let measured = send_all(&ends, payload, batches, &running);
    let measured = running.stop(measured)?;
    // Events that a program sends again, which it may do until it ends, would hide those that it loses.
    let (arrived, sent) = (ends.arrived(), BATCH as u64 + measured.sent);
    ensure!(arrived <= sent, "{arrived} events arrived, but only {sent} were sent");
    Ok(measured)
}

fn send_all(ends: &Ends, payload: &[u8], batches: usize, running: &Running) -> anyhow::Result<Measured> {
    let since = Instant::now();
    while ends.broker.is_none() && TcpStream::connect(ends.address).is_err() {
        ensure!(since.elapsed() < PATIENCE, "nothing listens at {}", ends.address);
        std::thread::sleep(Duration::from_millis(10));
    }
    // The first events start what only runs once.
    let first = BATCH as u64;
    ends.send(payload, 1)?;
    let (arrived, before) = ends.wait(first, running);
    ensure!(arrived >= first, "{arrived} of the first {first} events arrived");
    let share = batches / CLIENTS;
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(move || ends.send(payload, share))).collect();
        clients.into_iter().try_for_each(|client| client.join().map_err(|_| anyhow::anyhow!("a client panicked"))?)
    })?;
    let sent = (share * CLIENTS * BATCH) as u64;
    let (arrived, cpu_s) = ends.wait(first + sent, running);
    Ok(Measured { sent, arrived: sent.min(arrived - first), cpu_s: cpu_s - before, peak_mb: running.peak_mb()? })
}
