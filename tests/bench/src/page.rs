//! The page of the admin listener: its first paint in a browser, and what those who watch cost a loaded agent.
//!
//! For the first paint the agent processes 100 documents a second. For the watchers, it runs with one worker on one core, at
//! full load from its own generator. The watchers are on the other core:
//! clients that send the requests of open pages and read at once, pages in Chromium, and clients that stop reading.
//! Nobody is measured in the same way, which shows the noise. The last rows are about the memory for recent events.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use crate::bench::{BLACKHOLE, Bench, configuration};
use crate::edges::on_core;
use crate::figures::{Report, Samples};
use crate::job::cpu_seconds_of;

/// Pages that are open at the same time, each with a tap at the rate that the page proposes.
const PAGES: usize = 10;
const RATE: usize = 10;
/// The rate that clients ask for that stop reading.
const MAX_RATE: usize = 1000;
/// The watched output.
const POINT: &str = "main.processed";
const PATIENCE: Duration = Duration::from_secs(30);
/// Time between the start of the watchers and the measurement.
const WARM: Duration = Duration::from_millis(700);
/// The same for clients that stop reading: until then, the kernel takes what the agent sends them.
const FILLED: Duration = Duration::from_secs(5);
/// The receive buffer of these clients in bytes. By default it grows to several MB, which takes longer to fill.
const STOPPED_BUFFER: usize = 16 << 10;
/// A block is the median of windows of this length, so that a burst of other work on the machine spoils only a few of them.
const WINDOW: Duration = Duration::from_millis(400);

/// The rows about the page.
pub(crate) fn measure(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    report.section("The page: first paint, and what those who watch cost");
    first_paint(bench, report)?;
    let agent = Agent::start(bench, "", "")?;
    let mut browser = Browser::start(bench, agent.admin, 0)?;
    let mut kinds = vec![Kind::Nobody, Kind::Reading];
    if let Some(browser) = &mut browser {
        browser.loads()?;
        kinds.push(Kind::Pages);
    }
    kinds.push(Kind::Stopped);
    let mut kinds: Vec<(Kind, Costs)> = kinds.into_iter().map(|kind| (kind, Costs::default())).collect();
    let mut alone = agent.block(bench)?;
    report.row(
        "events of a worker without watchers",
        &Samples::from_iter(alone.into_iter().take(1).map(|rate| rate / 1e3)),
        "k/CPU-s",
        "",
    );
    for _ in 0..bench.size(3, 7) {
        for (kind, costs) in &mut kinds {
            let watched = {
                let _watchers = Watchers::start(*kind, agent.admin, browser.as_mut())?;
                std::thread::sleep(if *kind == Kind::Stopped { FILLED } else { WARM });
                agent.block(bench)?
            };
            std::thread::sleep(WARM);
            let after = agent.block(bench)?;
            costs.push(alone, watched, after);
            alone = after;
        }
    }
    for (kind, costs) in &kinds {
        let (key, what, note) = kind.row();
        costs.report(report, key, what, note);
    }
    drop(browser);
    agent.end()?;
    recent(bench, report)
}

/// What it costs to keep recent events: agents with and without it, in turns.
fn recent(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    let block = |admin: &str| {
        let agent = Agent::start(bench, "", admin)?;
        std::thread::sleep(WARM);
        let block = agent.block(bench)?;
        agent.end()?;
        anyhow::Ok(block)
    };
    let (mut costs, mut noise) = <(Costs, Costs)>::default();
    let mut without = block("")?;
    for _ in 0..bench.size(2, 7) {
        let with = block("recent = \"8MiB\"\n")?;
        let after = block("")?;
        costs.push(without, with, after);
        noise.push(without, after, without);
        without = after;
    }
    costs.report(report, "page_recent_cost", "cost of `recent = \"8MiB\"`", "");
    noise.report(report, "page_recent_noise", "two agents without it differ by", "");
    Ok(())
}

/// What watchers cost in percent of the rates of a block, in its order.
#[derive(Default)]
struct Costs([Samples; 3]);

impl Costs {
    /// A block with watchers between two without, so that a drift of the machine cancels out.
    fn push(&mut self, before: [f64; 3], watched: [f64; 3], after: [f64; 3]) {
        for (((costs, before), watched), after) in self.0.iter_mut().zip(before).zip(watched).zip(after) {
            costs.push(100.0 * (1.0 - 2.0 * watched / (before + after)));
        }
    }

    fn report(&self, report: &mut Report, key: &str, what: &str, note: &str) {
        let [worker, all, wall] = &self.0;
        let note = format!("of the events per CPU second of the worker{note}");
        report.key(&format!("{key}_percent"), what, worker, "%", &note);
        report.key(&format!("{key}_all_percent"), "", all, "%", "per CPU second of all threads of the agent");
        report.key(
            &format!("{key}_wall_percent"),
            "",
            wall,
            "%",
            "per second, which other work on the machine disturbs",
        );
    }
}

fn first_paint(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    let agent = Agent::start(bench, "\nrate = 100", "")?;
    let Some(mut browser) = Browser::start(bench, agent.admin, bench.size(7, 21))? else {
        report.remark("the browser is not measured; `cargo xtask bench --only page` installs it");
        return agent.end();
    };
    let (mut empty, mut paint, mut content, mut graph) = <(Samples, Samples, Samples, Samples)>::default();
    for times in browser.loads()? {
        let time = |key: &str| times.get(key).and_then(Value::as_f64).with_context(|| format!("`{key}` is missing"));
        empty.push(time("empty")?);
        paint.push(time("first_paint")?);
        content.push(time("content")?);
        graph.push(time("graph")?);
    }
    let note = "bar 100; from the start of the navigation, new tabs of a warm browser";
    report.key("page_first_paint_ms", "first paint", &paint, "ms", note);
    report.key(
        "page_empty_paint_ms",
        "first paint of a page of one word",
        &empty,
        "ms",
        "in turns; the browser's own time",
    );
    report.row("first paint with contents", &content, "ms", "");
    report.row("the graph is built", &graph, "ms", "with its figures, which are three requests later");
    drop(browser);
    agent.end()
}

/// Who watches.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Nobody,
    Reading,
    Pages,
    Stopped,
}

impl Kind {
    /// Key, title and note of the row.
    fn row(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Nobody => ("page_noise", "cost of nobody", "; the noise"),
            Self::Reading => {
                ("page_requests_cost", "cost of the streams of 10 pages with taps", "; bar 3; read at once")
            }
            Self::Pages => ("page_open_cost", "cost of 10 open pages with taps in Chromium", "; bar 3"),
            Self::Stopped => ("page_stopped_cost", "cost of 10 clients that stop reading", "; bar 0, within the noise"),
        }
    }
}

/// Watchers, until they are dropped.
struct Watchers<'a> {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    /// Connections that are not read.
    _stopped: Vec<TcpStream>,
    browser: Option<&'a mut Browser>,
}

impl<'a> Watchers<'a> {
    fn start(kind: Kind, admin: SocketAddr, browser: Option<&'a mut Browser>) -> anyhow::Result<Self> {
        let mut watchers = Self { stop: Arc::default(), threads: Vec::new(), _stopped: Vec::new(), browser: None };
        if kind == Kind::Nobody {
            return Ok(watchers);
        }
        if kind == Kind::Pages {
            let browser = browser.context("there is a browser")?;
            browser.say("open", "open")?;
            watchers.browser = Some(browser);
            return Ok(watchers);
        }
        let rate = if kind == Kind::Stopped { MAX_RATE } else { RATE };
        for _ in 0..PAGES {
            for path in ["/api/v1/stream".to_owned(), format!("/api/v1/tap?point={POINT}&rate={rate}")] {
                let stream = get(admin, &path)?;
                if kind == Kind::Stopped {
                    socket2::SockRef::from(&stream).set_recv_buffer_size(STOPPED_BUFFER)?;
                    watchers._stopped.push(stream);
                } else {
                    let stop = watchers.stop.clone();
                    watchers.threads.push(std::thread::spawn(move || drain(stream, &stop)));
                }
            }
        }
        Ok(watchers)
    }
}

impl Drop for Watchers<'_> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
        if let Some(browser) = self.browser.take()
            && let Err(error) = browser.say("close", "closed")
        {
            eprintln!("the pages were not closed: {error}");
        }
    }
}

/// Sends a request and reads the head of its response.
fn get(admin: SocketAddr, path: &str) -> anyhow::Result<TcpStream> {
    let mut stream = TcpStream::connect(admin)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {admin}\r\nconnection: close\r\n\r\n")?;
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.extend(byte);
    }
    ensure!(head.starts_with(b"HTTP/1.1 200"), "{path}: {}", String::from_utf8_lossy(&head));
    Ok(stream)
}

/// Reads what comes on the second core, as a page does, until the watchers end.
fn drain(mut stream: TcpStream, stop: &AtomicBool) {
    let mut buffer = vec![0; 64 << 10];
    let is_set = on_core(1).is_ok() && stream.set_read_timeout(Some(Duration::from_millis(100))).is_ok();
    while is_set && !stop.load(Ordering::Relaxed) {
        match stream.read(&mut buffer) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {}
            Err(_) => return,
        }
    }
}

/// The loaded agent; ends with this.
struct Agent {
    child: Child,
    admin: SocketAddr,
    started: Instant,
}

impl Agent {
    /// Starts the agent and waits until it processes events, with further options of its source and its listener.
    fn start(bench: &Bench, options: &str, admin_options: &str) -> anyhow::Result<Self> {
        // The port is free now, and no other process here opens ports.
        let admin = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let source = format!("type = \"demo\"\nseed = 1\nrecords_per_document = 200{options}");
        let text =
            configuration(&bench.data_dir()?, &source, BLACKHOLE).replace("cloudtrail@1.0.0", "cloudtrail@1.2.0");
        let path = bench.fresh("page")?.join("agent.toml");
        std::fs::write(&path, format!("[admin]\nlisten = \"{admin}\"\n{admin_options}\n{text}"))?;
        let job = bench.agent()?.args(["run", "--quiet", "--no-watch", "--workers", "1", "--config"]).args([&path]);
        let since = Instant::now();
        let agent = Self { child: job.on_cores("0").spawn()?, admin, started: since };
        while agent.received().unwrap_or(0.0) < 10_000.0 {
            ensure!(since.elapsed() < PATIENCE, "the agent does not process events");
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(agent)
    }

    /// Records that the nodes have received.
    fn received(&self) -> anyhow::Result<f64> {
        let mut text = String::new();
        get(self.admin, "/api/v1/status")?.read_to_string(&mut text)?;
        let status: Value = serde_json::from_str(&text).context("the status")?;
        let nodes =
            status.pointer("/pipelines/0/nodes").and_then(Value::as_array).context("the nodes of the status")?;
        let last =
            nodes.iter().find(|node| node.get("name") == Some(&json!("extract"))).context("the node `extract`")?;
        last.get("received_events").and_then(Value::as_f64).context("the events of the node")
    }

    /// CPU seconds of the worker and of all threads, seconds since the start, and received events.
    fn counts(&self) -> anyhow::Result<([f64; 3], f64)> {
        let cpu = |threads| cpu_seconds_of(self.child.id(), threads);
        let spent = [cpu("wattle-worker"), cpu(""), self.started.elapsed().as_secs_f64()];
        Ok((spent, self.received()?))
    }

    /// Events per CPU second of the worker, per CPU second of all threads, and per second: medians of several windows.
    fn block(&self, bench: &Bench) -> anyhow::Result<[f64; 3]> {
        let mut rates = <[Samples; 3]>::default();
        let mut before = self.counts()?;
        for _ in 0..bench.size(5, 9) {
            std::thread::sleep(WINDOW);
            let now = self.counts()?;
            let events = now.1 - before.1;
            for ((rates, now), before) in rates.iter_mut().zip(now.0).zip(before.0) {
                ensure!(now > before && events > 0.0, "the agent processes no events");
                rates.push(events / (now - before));
            }
            before = now;
        }
        Ok(rates.map(|rates| rates.median()))
    }

    fn end(mut self) -> anyhow::Result<()> {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), rustix::process::Signal::TERM)?;
        let status = self.child.wait()?;
        ensure!(status.success(), "the agent ended with {status}");
        Ok(())
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It has ended already unless something failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `tests/page/paint.mjs` with Chromium, on the second core.
struct Browser {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Browser {
    /// Starts Chromium and begins with this number of loads. `None` if there is no browser.
    fn start(bench: &Bench, admin: SocketAddr, runs: usize) -> anyhow::Result<Option<Self>> {
        let modules =
            std::env::var_os("WATTLE_BROWSER").map_or_else(|| bench.target.join("tools/browser"), PathBuf::from);
        if !modules.join("node_modules/puppeteer-core").is_dir() {
            return Ok(None);
        }
        let spec = json!({
            "url": format!("http://{admin}/"), "modules": modules, "runs": runs, "pages": PAGES, "point": POINT,
        });
        let path = bench.work.join("paint.json");
        std::fs::write(&path, spec.to_string())?;
        let script: PathBuf = [env!("CARGO_MANIFEST_DIR"), "../page/paint.mjs"].iter().collect();
        let mut node = Command::new("taskset");
        node.args(["-c", "1", "node"]).arg(script).arg(path);
        let mut child = node.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("taskset and node")?;
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().context("standard output is a pipe")?);
        Ok(Some(Self { child, stdin, stdout }))
    }

    fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        ensure!(self.stdout.read_line(&mut line)? > 0, "the browser ended");
        Ok(line.trim_end().to_owned())
    }

    /// The times of each load.
    fn loads(&mut self) -> anyhow::Result<Vec<Value>> {
        let mut found = Vec::new();
        loop {
            let line = self.line()?;
            if line == "measured" {
                return Ok(found);
            }
            found.push(serde_json::from_str(&line)?);
        }
    }

    fn say(&mut self, what: &str, answer: &str) -> anyhow::Result<()> {
        let stdin = self.stdin.as_mut().context("standard input is a pipe")?;
        writeln!(stdin, "{what}")?;
        let line = self.line()?;
        ensure!(line == answer, "the browser said `{line}` instead of `{answer}`");
        Ok(())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It ends with its input.
        drop(self.stdin.take());
        let _ = self.child.wait();
    }
}
