//! Starting, idling and swapping.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use wattle_topology::{Topology, TopologySettings};

use crate::bench::{BLACKHOLE, Bench, configuration, file_sinks};
use crate::figures::{Report, Samples, mega};
use crate::job::{cpu_seconds, status_bytes};
use crate::nodes::{Kind, Workbench};

/// The part of row 5 that measures processes.
pub(crate) fn measure(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    report.section("Start, idling, swap");
    let (mut cold, mut warm) = <(Samples, Samples)>::default();
    for _ in 0..bench.size(2, 5) {
        let data = bench.data_dir()?;
        fs::remove_dir_all(data.join("cache")).unwrap_or_default();
        cold.push(first_event_ms(bench)?);
    }
    for _ in 0..bench.size(11, 31) {
        warm.push(first_event_ms(bench)?);
    }
    let note = "bar 60; process start to the first event on standard output, nodes compiled before";
    report.key("warm_start_ms", "warm start", &warm, "ms", note);
    report.row("cold start", &cold, "ms", "the same, nodes compiled now");
    idle(bench, report)?;
    swap(bench, report)
}

fn first_event_ms(bench: &Bench) -> anyhow::Result<f64> {
    let job = bench.agent()?.args(["run", "--pack", "cloudtrail@1.0.0", "--quiet"]);
    let job = job.stdin(&bench.corpus.single()?.path);
    let since = Instant::now();
    let mut child = job.spawn()?;
    let mut line = String::new();
    let pipe = child.stdout.take().context("standard output is a pipe")?;
    BufReader::new(pipe).read_line(&mut line)?;
    let time = since.elapsed();
    let status = child.wait()?;
    ensure!(status.success() && line.starts_with('{'), "the agent ended with {status} and wrote `{line}`");
    Ok(time.as_secs_f64() * 1e3)
}

/// An agent that waits for files.
fn idle(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    let watched = bench.fresh("watched")?;
    let source = format!("type = \"file\"\ninclude = [\"{}/*.json.gz\"]", watched.display());
    let path = bench.work.join("idle.toml");
    fs::write(&path, configuration(&bench.data_dir()?, &source, &file_sinks(&bench.fresh("one")?)))?;
    let (mut memory, mut cpu) = <(Samples, Samples)>::default();
    for _ in 0..bench.size(1, 3) {
        let mut agent = bench.agent()?.args(["run", "--quiet", "--config"]).args([&path]).spawn()?;
        std::thread::sleep(Duration::from_secs(2));
        let (before, since) = (cpu_seconds(agent.id()), Instant::now());
        std::thread::sleep(Duration::from_secs(3));
        let rss = status_bytes(agent.id(), "VmRSS:").context("the agent must be running")?;
        memory.push(mega(rss));
        cpu.push(100.0 * (cpu_seconds(agent.id()) - before) / since.elapsed().as_secs_f64());
        Command::new("kill").arg(agent.id().to_string()).status()?;
        let status = agent.wait()?;
        ensure!(status.success(), "the idle agent ended with {status}");
    }
    report.key("idle_rss_mb", "memory of an agent that waits for files", &memory, "MB", "bar 40; all workers ready");
    report.row("its CPU", &cpu, "%", "of one core");
    Ok(())
}

/// Swaps from one version of the pack to the next and back, including the creation of instances.
fn swap(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    let data_dir = bench.data_dir()?;
    let workbench = Workbench::open(&bench.target, &data_dir.join("cache"))?;
    let source = "type = \"demo\"\nseed = 1\nrate = 100\nrecords_per_document = 50";
    let old = configuration(&data_dir, source, BLACKHOLE);
    let plans = [workbench.plan(&old)?, workbench.plan(&old.replace("cloudtrail@1.0.0", "cloudtrail@1.1.0"))?];
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let settings = TopologySettings { data_dir, workers: 2, once: false, keeps_state: false };
    let samples = runtime.block_on(async {
        let [first, _] = &plans;
        let mut topology = Topology::start(first, settings, workbench.make(Kind::Sandbox)?).await?;
        let mut samples = Samples::default();
        for plan in plans.iter().cycle().skip(1).take(bench.size(11, 41)) {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let since = Instant::now();
            topology.swap(plan).await?;
            samples.push(since.elapsed().as_secs_f64() * 1e3);
        }
        ensure!(topology.drain(Duration::from_secs(30)).await.is_clean, "the topology did not drain");
        Ok(samples)
    })?;
    report.row("swap of the pack's version under load", &samples, "ms", "new instances for 2 workers included");
    Ok(())
}
