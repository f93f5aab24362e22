//! Connections: syslog over TCP to a file, OTLP to OTLP, lines of JSON over HTTP to a server of HTTP and to a bulk API, and
//! Kafka to Kafka.
//!
//! The agent runs on one core; the clients and the server, threads of this process, on the other. Vector and Fluent Bit do
//! the same if they are on the PATH, with the configurations in `peers/`.

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

/// Time limit for a start, and for the last events to arrive.
const PATIENCE: Duration = Duration::from_secs(60);

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

/// The rows about connections.
pub(crate) fn measure(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    report.section("Connections: events from clients to a file or server, on one core");
    let batches = bench.size(200, 1000);
    let programs = Program::found(report);
    for edge in &EDGES {
        let payload = (edge.payload)(BATCH);
        #[expect(clippy::cast_precision_loss, reason = "figures for people")]
        let (events, megabytes) = ((batches * BATCH) as f64, mega((batches * payload.len()) as u64));
        let mut figures: Vec<(&Program, [Samples; 3])> =
            programs.iter().filter(|program| program.does(edge)).map(|program| (program, Default::default())).collect();
        // In turns, so that what else the machine does slows all of them.
        for _ in 0..bench.rounds() {
            for (program, [rate, speed, peak]) in &mut figures {
                // Its threads, and only they, run on the other core.
                let (cpu_s, peak_mb) = std::thread::scope(|scope| {
                    let run = scope.spawn(|| {
                        on_core(1)?;
                        run(bench, edge, program, &payload, batches)
                    });
                    run.join().map_err(|_| anyhow::anyhow!("the clients panicked"))?
                })?;
                rate.push(events / cpu_s);
                speed.push(megabytes / cpu_s);
                peak.push(peak_mb);
            }
        }
        let ours = figures.first().map_or(0.0, |(_, [rate, ..])| rate.median());
        for (program, [rate, speed, peak]) in &figures {
            match program {
                Program::Wattle => {
                    report.key(&format!("{}_per_cpu_s", edge.key), edge.what, rate, "ev/CPU-s", edge.note)
                }
                Program::Peer(peer) => {
                    report.row(peer.name, rate, "ev/CPU-s", "");
                    report.row("ours / it", &Samples::from_iter([ours / rate.median()]), "times", "bar 3");
                }
            }
            report.row("", speed, "MB/CPU-s", "");
            report.row("", peak, "MB", "peak memory");
        }
    }
    Ok(())
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
    fn start(edge: &Edge, folder: &Path, payload: &[u8]) -> anyhow::Result<Self> {
        Ok(Self {
            from: edge.from,
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

    /// Waits until so many batches are at their destination.
    fn wait(&self, batches: usize) -> anyhow::Result<()> {
        let events = (batches * BATCH) as u64;
        let since = Instant::now();
        loop {
            let (found, wanted) = match (&self.broker, self.from) {
                (Some(broker), _) => (broker.arrived(), events),
                // Requests of OTLP are not counted in events; their responses come after the delivery.
                (None, From::Requests(_, "application/x-protobuf")) => (self.receiver.requests(), 1),
                (None, From::Requests(..)) => (self.receiver.documents(), events),
                (None, _) => {
                    (std::fs::metadata(&self.file).map_or(0, |file| file.len()), self.batch_bytes * batches as u64)
                }
            };
            if found >= wanted {
                return Ok(());
            }
            ensure!(since.elapsed() < PATIENCE, "{found} of {wanted} arrived");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Sends batches through a program. Returns its CPU seconds without start and end, and its peak memory in MB.
fn run(bench: &Bench, edge: &Edge, program: &Program, payload: &[u8], batches: usize) -> anyhow::Result<(f64, f64)> {
    let folder = bench.fresh("edge")?;
    let ends = Ends::start(edge, &folder, payload)?;
    let running = program.start(bench, edge, &ends, &folder)?;
    let measured = send_all(&ends, payload, batches, &running);
    running.stop(measured)
}

fn send_all(ends: &Ends, payload: &[u8], batches: usize, running: &Running) -> anyhow::Result<(f64, f64)> {
    let since = Instant::now();
    while ends.broker.is_none() && TcpStream::connect(ends.address).is_err() {
        ensure!(since.elapsed() < PATIENCE, "nothing listens at {}", ends.address);
        std::thread::sleep(Duration::from_millis(10));
    }
    // The first events start what only runs once.
    ends.send(payload, 1)?;
    ends.wait(1)?;
    let before = running.cpu_s();
    std::thread::scope(|scope| {
        let share = batches / CLIENTS;
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(move || ends.send(payload, share))).collect();
        clients.into_iter().try_for_each(|client| client.join().map_err(|_| anyhow::anyhow!("a client panicked"))?)
    })?;
    ends.wait(1 + batches / CLIENTS * CLIENTS)?;
    let cpu_s = running.cpu_s() - before;
    Ok((cpu_s, running.peak_mb()?))
}
