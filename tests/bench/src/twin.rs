//! Compares the sandbox with the same nodes linked natively, and with one JSON text per event.
//!
//! All three run in this program on the same host, alternating in separate processes, so a
//! disturbance of the machine affects all of them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use cpu_time::{ProcessTime, ThreadTime};
use wattle_batch::{Ack, Batch, Column, Origin};
use wattle_plan::Plan;
use wattle_runtime::{NodeStats, Process};
use wattle_topology::{NodeScope, Topology, TopologySettings};

use crate::bench::{Bench, configuration, file_sinks};
use crate::figures::{Report, Samples};
use crate::nodes::{Kind, Workbench};

/// Runs the pack over standard input and prints the CPU seconds of it.
pub(crate) fn pipeline(target: &Path, work: &Path, out: &Path, kind: Kind) -> anyhow::Result<()> {
    let bench = Workbench::open(target, &work.join("data/cache"))?;
    let plan = bench.plan(&configuration(&work.join("data"), "type = \"stdin\"", &file_sinks(out)))?;
    let make = bench.make(kind)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let settings = TopologySettings { data_dir: work.join("data"), workers: 1, once: true, keeps_state: false };
    let spent = runtime.block_on(async {
        let since = ProcessTime::now();
        let mut topology = Topology::start(&plan, settings, make).await?;
        let errors = topology.finished(false).await;
        let counts = topology.observer().counts().clone();
        ensure!(
            topology.drain(Duration::from_secs(600)).await.is_clean && errors.is_empty(),
            "not all was delivered: {errors:?}"
        );
        let spent = since.elapsed();
        let failed = counts.pipelines().values().map(|p| p.failed.count()).sum::<u64>();
        ensure!(failed == 0, "{failed} events failed");
        Ok(spent)
    })?;
    println!("{}", spent.as_secs_f64());
    Ok(())
}

/// Rows 2 and 3 of the table.
pub(crate) fn measure(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    report.section("The price of the sandbox: the same pipeline on the same host, CPU time of both in turns");
    let input = bench.documents()?;
    let small = bench.corpus.documents(bench.size(20_000_000, 50_000_000), 200)?;
    let (mut sandbox, mut native, mut ratio) = (Samples::default(), Samples::default(), Samples::default());
    let (mut json, mut over_json) = (Samples::default(), Samples::default());
    for _ in 0..bench.rounds() {
        let (boxed, linked) = (bench.pipeline(&input, Kind::Sandbox)?, bench.pipeline(&input, Kind::Native)?);
        sandbox.push(input.megabytes() / boxed);
        native.push(input.megabytes() / linked);
        ratio.push(boxed / linked);
        let (per_event, boxed) = (bench.pipeline(&small, Kind::JsonPerEvent)?, bench.pipeline(&small, Kind::Sandbox)?);
        json.push(small.megabytes() / per_event);
        over_json.push(per_event / boxed);
    }
    report.row("nodes in the sandbox", &sandbox, "MB/CPU-s", "");
    report.row("nodes linked natively", &native, "MB/CPU-s", "");
    report.key("sandbox_over_native", "sandbox / native", &ratio, "times", "bar 1.4, wanted 1.25");
    nodes(bench, report)?;

    report.section("One JSON text per event and node, as plugins usually have it, on the same engine");
    report.row("one JSON text per event", &json, "MB/CPU-s", "");
    report.key("over_json_per_event", "columns and decisions are faster by", &over_json, "times", "bar 10");
    Ok(())
}

/// The plan of the pack, for its nodes.
pub(crate) fn pack_plan(bench: &Bench, workbench: &Workbench) -> anyhow::Result<Plan> {
    workbench.plan(&configuration(&bench.data_dir()?, "type = \"stdin\"", crate::bench::BLACKHOLE))
}

/// The nodes of the pack in their order.
pub(crate) fn make_all(workbench: &Workbench, plan: &Plan, kind: Kind) -> anyhow::Result<Vec<Box<dyn Process>>> {
    let make = workbench.make(kind)?;
    let pipeline = plan.pipelines.first().context("a pipeline")?;
    let scope = NodeScope { pipeline: &pipeline.name, is_dry: true };
    let made =
        pipeline.nodes.iter().map(|node| make(node, &scope, Arc::<NodeStats>::default()).map_err(anyhow::Error::from));
    made.collect()
}

/// A batch of these bodies.
pub(crate) fn batch<R: AsRef<[u8]>>(bodies: impl IntoIterator<Item = R>) -> anyhow::Result<Batch> {
    let origin = Origin { source: "bench".into(), resource: r#"{"source":{"name":"bench"}}"#.into(), observed: 0 };
    Ok(Batch::new(Column::from_rows(bodies)?, Arc::new(origin), Ack::none()))
}

/// The output of a node for a batch; children in pieces, as in a pipeline.
pub(crate) fn step(node: &mut dyn Process, batch: Batch) -> Vec<Batch> {
    let mut out = Vec::new();
    for outcome in node.process(batch) {
        out.extend(outcome.emitted.into_iter().map(|(_, batch)| batch));
        for (_, mut children) in outcome.children {
            while let Some(batch) = children.next_batch(256 << 10) {
                out.push(batch);
            }
        }
    }
    out
}

/// Each node separately, on the batches that reach it in the pipeline.
fn nodes(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    let workbench = Workbench::open(&bench.target, &bench.data_dir()?.join("cache"))?;
    let plan = pack_plan(bench, &workbench)?;
    let names = plan.pipelines.first().into_iter().flat_map(|p| &p.nodes).map(|node| node.name.clone());
    let mut sandboxed = make_all(&workbench, &plan, Kind::Sandbox)?;
    let mut native = make_all(&workbench, &plan, Kind::Native)?;
    let text = std::fs::read_to_string(bench.corpus.documents(8_000_000, 200)?.path)?;
    let mut batches: Vec<Batch> = text.lines().map(|line| batch([line])).collect::<anyhow::Result<_>>()?;
    for (name, (boxed, linked)) in names.zip(sandboxed.iter_mut().zip(&mut native)) {
        let (mut ratio, mut in_box, mut outside) = (Samples::default(), Samples::default(), Samples::default());
        // The first round warms up and does not count.
        for round in 0..=bench.size(7, 21) {
            let (a, b) = (pass(&mut **boxed, &batches), pass(&mut **linked, &batches));
            if round > 0 {
                ratio.push(a / b);
                in_box.push(a * 1e6 / mega_of(&text));
                outside.push(b * 1e6 / mega_of(&text));
            }
        }
        let note = format!("{:.0} us/MB in the sandbox, {:.0} native", in_box.median(), outside.median());
        report.row(&format!("{name}: sandbox / native"), &ratio, "times", &note);
        batches = batches.iter().flat_map(|batch| step(&mut **linked, batch.share())).collect();
    }
    Ok(())
}

fn mega_of(text: &str) -> f64 {
    crate::figures::mega(text.len() as u64)
}

/// CPU seconds of this thread for all batches through a node.
fn pass(node: &mut dyn Process, batches: &[Batch]) -> f64 {
    let since = ThreadTime::now();
    for batch in batches {
        std::hint::black_box(step(node, batch.share()));
    }
    since.elapsed().as_secs_f64()
}
