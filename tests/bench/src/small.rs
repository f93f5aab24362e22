//! Small costs: a call by the number of rows, and a single record through all nodes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::json;
use wattle_batch::Batch;
use wattle_runtime::Process;

use crate::bench::Bench;
use crate::figures::{Report, Samples};
use crate::nodes::{Kind, Workbench, json_runner};
use crate::twin::{batch, make_all, pack_plan, step};

const ROWS: &[usize] = &[1, 10, 100, 1_000, 10_000];

/// The part of row 5 that runs within one process.
pub(crate) fn measure(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    report.section("Small things, in the sandbox");
    let workbench = Workbench::open(&bench.target, &bench.data_dir()?.join("cache"))?;
    let plan = pack_plan(bench, &workbench)?;
    let mut nodes = make_all(&workbench, &plan, Kind::Sandbox)?;
    single(bench, report, &mut nodes)?;
    calls(bench, report, &workbench)?;

    let text = std::fs::read_to_string(bench.corpus.records(30_000_000)?.path)?;
    let records: Vec<&str> = text.lines().collect();
    let names: Vec<String> =
        plan.pipelines.first().into_iter().flat_map(|p| &p.nodes).map(|node| node.name.clone()).collect();
    for &rows in ROWS {
        let some: Vec<&str> = records.iter().take(rows).copied().collect();
        let document = format!("{{\"Records\":[{}]}}", some.join(","));
        let mut batches = vec![batch([document])?];
        for (name, node) in names.iter().zip(&mut nodes) {
            let what = match name.as_str() {
                "mask-access-key-id" => "span edit (mask)",
                "unroll" => "split (unroll)",
                "extract" => "two fields (extract)",
                "route" => "route",
                _ => "",
            };
            if !what.is_empty() {
                let samples = time(bench, || run(&mut **node, &batches));
                report.row(&format!("{what}, {rows} rows"), &samples, "us", "");
            }
            batches = run(&mut **node, &batches);
        }
    }
    Ok(())
}

/// Calls that do nothing, and calls that only read the bodies.
fn calls(bench: &Bench, report: &mut Report, workbench: &Workbench) -> anyhow::Result<()> {
    let compiled = workbench.json_per_event()?;
    let text = std::fs::read_to_string(bench.corpus.records(30_000_000)?.path)?;
    for (what, option) in [("empty call", "nothing"), ("column read", "read")] {
        let made = json_runner(&compiled, "small", &json!(option), Arc::default());
        let mut node = made.map_err(|fault| anyhow::anyhow!(fault.message))?;
        for &rows in ROWS {
            let batch = batch(text.lines().take(rows))?;
            let note = format!("{} KB", batch.byte_len() / 1000);
            let samples = time(bench, || node.process(batch.share()));
            report.row(&format!("{what}, {rows} rows"), &samples, "us", &note);
        }
    }
    Ok(())
}

/// A document of one record through the seven nodes.
fn single(bench: &Bench, report: &mut Report, nodes: &mut [Box<dyn Process>]) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(bench.corpus.documents(2_000_000, 1)?.path)?;
    let documents: Vec<Batch> = text.lines().map(|line| batch([line])).collect::<anyhow::Result<_>>()?;
    let count = bench.size(2_000, 10_000);
    // Sort afterwards: sorting between the records would push their data out of the caches.
    let mut samples = Vec::with_capacity(count);
    for document in documents.iter().cycle().take(count) {
        let since = Instant::now();
        let mut batches = vec![document.share()];
        for node in nodes.iter_mut() {
            batches = batches.into_iter().flat_map(|batch| step(&mut **node, batch)).collect();
        }
        samples.push(micros(since.elapsed()));
        batches.first().context("the record must come out")?;
    }
    let median = Samples::from_iter([Samples::from_iter(samples).median()]);
    report.key("single_record_us", "a record by itself through seven nodes", &median, "us", "bar 25; median");
    Ok(())
}

fn run(node: &mut dyn Process, batches: &[Batch]) -> Vec<Batch> {
    batches.iter().flat_map(|batch| step(node, batch.share())).collect()
}

/// Times of a call in microseconds, each the mean over enough calls for the clock.
fn time<T>(bench: &Bench, mut call: impl FnMut() -> T) -> Samples {
    let budget = Duration::from_millis(bench.size(3, 20));
    let since = Instant::now();
    std::hint::black_box(call());
    let calls = (budget.as_nanos() / since.elapsed().as_nanos().max(1)).clamp(1, 10_000);
    let calls = u32::try_from(calls).unwrap_or(1);
    (0..7)
        .map(|_| {
            let since = Instant::now();
            for _ in 0..calls {
                std::hint::black_box(call());
            }
            micros(since.elapsed()) / f64::from(calls)
        })
        .collect()
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
