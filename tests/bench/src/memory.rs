//! Memory under documents of 16 MB: one at a time, and as fast as the agent takes them.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

use crate::bench::{Bench, configuration, file_sinks};
use crate::corpus::Input;
use crate::figures::{Report, Samples, mega};
use crate::job::status_bytes;

/// Time for the agent to open its port.
const START: Duration = Duration::from_secs(30);

/// The rows about memory under load.
pub(crate) fn measure(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    let input = bench.corpus.documents(bench.size(96_000_000, 320_000_000), 10_500)?;
    let (mut single, mut one, mut two) = <(Samples, Samples, Samples)>::default();
    for _ in 0..bench.rounds() {
        single.push(one_at_a_time(bench, &input)?);
        one.push(bench.whole_job(&input, 1, &bench.fresh("one")?)?.run()?.peak_mb);
        two.push(bench.whole_job(&input, 2, &bench.fresh("two")?)?.run()?.peak_mb);
    }
    let note = "bar 150; peak, posted one after the other, each when the one before is acknowledged";
    report.key("load_rss_mb", "memory with one document of 16 MB at a time, 1 worker", &single, "MB", note);
    report.row("the same on standard input, which is read ahead", &one, "MB", "peak");
    report.row("and with 2 workers", &two, "MB", "peak");
    Ok(())
}

/// Posts each document after the response to the previous one, and returns the peak memory.
fn one_at_a_time(bench: &Bench, input: &Input) -> anyhow::Result<f64> {
    // The port is free now, and no other process here opens ports.
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let source = format!("type = \"http\"\naddress = \"{address}\"\nframing = \"document\"");
    let path = bench.work.join("posted.toml");
    fs::write(&path, configuration(&bench.data_dir()?, &source, &file_sinks(&bench.fresh("one")?)))?;
    let job = bench.agent()?.args(["run", "--quiet", "--no-watch", "--workers", "1", "--config"]).args([&path]);
    let mut agent = job.spawn()?;
    let since = Instant::now();
    while TcpStream::connect(address).is_err() {
        ensure!(since.elapsed() < START, "the agent did not open {address}");
        std::thread::sleep(Duration::from_millis(10));
    }
    let mut documents = BufReader::new(fs::File::open(&input.path)?);
    let mut document = Vec::new();
    while documents.read_until(b'\n', &mut document)? > 0 {
        let mut stream = TcpStream::connect(address)?;
        write!(
            stream,
            "POST / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            document.len()
        )?;
        stream.write_all(&document)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        ensure!(answer.starts_with("HTTP/1.1 200"), "the agent answered `{answer}`");
        document.clear();
    }
    let peak = status_bytes(agent.id(), "VmHWM:").context("the agent must be running")?;
    Command::new("kill").arg(agent.id().to_string()).status()?;
    let status = agent.wait()?;
    ensure!(status.success(), "the agent ended with {status}");
    Ok(mega(peak))
}
