//! Connections: syslog over TCP to a file, OTLP to OTLP, and lines of JSON over HTTP to a server of HTTP.
//!
//! The agent runs on one core; the clients and the server, threads of this process, on the other.

mod http;
mod payload;

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Child;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

use self::http::{Receiver, post};
use crate::bench::Bench;
use crate::figures::{Report, Samples, mega};
use crate::job::{cpu_seconds, status_bytes};

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
    /// The payload of `BATCH` events: the path of requests and their content type, or none for syslog.
    request: Option<(&'static str, &'static str)>,
    payload: fn(usize) -> Vec<u8>,
}

const EDGES: [Edge; 3] = [
    Edge {
        key: "syslog_to_file",
        what: "syslog over TCP -> file",
        note: "bar 500,000; messages of 300 bytes",
        source: "type = \"syslog\"\naddress = \"{in}\"\n",
        sink: "type = \"file\"\npath = \"{file}\"\nencoding.codec = \"text\"\nfsync = \"never\"\n",
        request: None,
        payload: payload::syslog,
    },
    Edge {
        key: "otlp_to_otlp",
        what: "OTLP -> OTLP, logs",
        note: "Protobuf over HTTP, 1,000 records in a request",
        source: "type = \"otlp\"\ngrpc_address = \"\"\nhttp_address = \"{in}\"\n",
        sink: "type = \"otlp\"\nuri = \"http://{out}\"\nprotocol = \"http\"\ncompression = \"none\"\n\
               proxy.enabled = false\nbatch.timeout = \"20ms\"\n",
        request: Some(("/v1/logs", "application/x-protobuf")),
        payload: payload::otlp,
    },
    Edge {
        key: "http_to_http",
        what: "HTTP -> HTTP, lines of JSON",
        note: "1,000 events in a request",
        source: "type = \"http\"\naddress = \"{in}\"\n",
        sink: "type = \"http\"\nuri = \"http://{out}/bulk\"\nproxy.enabled = false\nbatch.timeout = \"20ms\"\n",
        request: Some(("/", "application/x-ndjson")),
        payload: payload::ndjson,
    },
];

/// The rows about connections.
pub(crate) fn measure(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    report.section("Connections: events from clients to a file or server, on one core");
    let batches = bench.size(200, 1000);
    for edge in &EDGES {
        let (mut rate, mut speed, mut peak) = <(Samples, Samples, Samples)>::default();
        let payload = (edge.payload)(BATCH);
        #[expect(clippy::cast_precision_loss, reason = "figures for people")]
        let (events, megabytes) = ((batches * BATCH) as f64, mega((batches * payload.len()) as u64));
        for _ in 0..bench.rounds() {
            // Its threads, and only they, run on the other core.
            let (cpu_s, peak_mb) = std::thread::scope(|scope| {
                let run = scope.spawn(|| {
                    on_core(1)?;
                    run(bench, edge, &payload, batches)
                });
                run.join().map_err(|_| anyhow::anyhow!("the clients panicked"))?
            })?;
            rate.push(events / cpu_s);
            speed.push(megabytes / cpu_s);
            peak.push(peak_mb);
        }
        report.key(&format!("{}_per_cpu_s", edge.key), edge.what, &rate, "ev/CPU-s", edge.note);
        report.row("", &speed, "MB/CPU-s", "");
        report.row("", &peak, "MB", "peak memory");
    }
    Ok(())
}

fn on_core(core: usize) -> anyhow::Result<()> {
    let mut cores = rustix::thread::CpuSet::new();
    cores.set(core);
    Ok(rustix::thread::sched_setaffinity(None, &cores)?)
}

/// Sends batches through the agent. Returns its CPU seconds without start and end, and its peak memory in MB.
fn run(bench: &Bench, edge: &Edge, payload: &[u8], batches: usize) -> anyhow::Result<(f64, f64)> {
    let folder = bench.fresh("edge")?;
    let (file, receiver) = (folder.join("out.log"), Receiver::start()?);
    // The port is free now, and no other process here opens ports.
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let fill = |text: &str| {
        let text = text.replace("{in}", &address.to_string()).replace("{out}", &receiver.address.to_string());
        text.replace("{file}", &file.display().to_string())
    };
    let config = format!("[sources.in]\n{}\n[sinks.out]\ninputs = [\"in\"]\n{}", fill(edge.source), fill(edge.sink));
    let path = folder.join("agent.toml");
    std::fs::write(&path, config)?;
    let job = bench.agent()?.args(["run", "--quiet", "--no-watch", "--workers", "1", "--config"]).args([&path]);
    let mut agent = job.on_cores("0").spawn()?;
    let measured = send_all(edge, payload, batches, address, &agent, &receiver, &file);
    rustix::process::kill_process(rustix::process::Pid::from_child(&agent), rustix::process::Signal::TERM)?;
    let status = agent.wait()?;
    let measured = measured?;
    ensure!(status.success(), "the agent ended with {status}");
    Ok(measured)
}

fn send_all(
    edge: &Edge,
    payload: &[u8],
    batches: usize,
    address: SocketAddr,
    agent: &Child,
    receiver: &Receiver,
    file: &Path,
) -> anyhow::Result<(f64, f64)> {
    let since = Instant::now();
    while TcpStream::connect(address).is_err() {
        ensure!(since.elapsed() < PATIENCE, "the agent did not open {address}");
        std::thread::sleep(Duration::from_millis(10));
    }
    // The first events start what only runs once.
    send(edge, payload, 1, address)?;
    arrived(edge, payload, 1, receiver, file)?;
    let before = cpu_seconds(agent.id());
    std::thread::scope(|scope| {
        let share = batches / CLIENTS;
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(move || send(edge, payload, share, address))).collect();
        clients.into_iter().try_for_each(|client| client.join().map_err(|_| anyhow::anyhow!("a client panicked"))?)
    })?;
    arrived(edge, payload, 1 + batches / CLIENTS * CLIENTS, receiver, file)?;
    let cpu_s = cpu_seconds(agent.id()) - before;
    let peak = status_bytes(agent.id(), "VmHWM:").context("the agent must be running")?;
    Ok((cpu_s, mega(peak)))
}

/// Sends so many batches over one connection.
fn send(edge: &Edge, payload: &[u8], batches: usize, address: SocketAddr) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    for _ in 0..batches {
        match edge.request {
            None => stream.write_all(payload)?,
            Some((path, kind)) => post(&mut stream, path, kind, payload)?,
        }
    }
    Ok(())
}

/// Waits until so many batches are at their destination. Responses to requests come after that.
fn arrived(edge: &Edge, payload: &[u8], batches: usize, receiver: &Receiver, file: &Path) -> anyhow::Result<()> {
    if edge.request.is_some() {
        let lines = receiver.lines.load(Ordering::Relaxed);
        let is_lines = edge.key == "http_to_http";
        ensure!(!is_lines || lines >= (batches * BATCH) as u64, "{lines} lines arrived instead of {}", batches * BATCH);
        ensure!(receiver.bytes.load(Ordering::Relaxed) > 0, "nothing arrived");
        return Ok(());
    }
    let (wanted, since) = ((payload.len() * batches) as u64, Instant::now());
    loop {
        let size = std::fs::metadata(file).map_or(0, |metadata| metadata.len());
        if size >= wanted {
            return Ok(());
        }
        ensure!(since.elapsed() < PATIENCE, "{size} bytes of {wanted} arrived");
        std::thread::sleep(Duration::from_millis(5));
    }
}
