//! The flame graph: where the whole job spends its time, including functions of sandboxed nodes by
//! name.

use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use inferno::collapse::Collapse as _;
use inferno::{collapse::perf::Folder, flamegraph};

use crate::bench::Bench;
use crate::job::on_path;

/// Samples per second.
const FREQUENCY: &str = "1999";

/// Records the whole job with `perf`, 1 worker on 1 core, and draws it to `flamegraph.svg` in the
/// target folder.
pub(crate) fn draw(bench: &Bench) -> anyhow::Result<()> {
    let perf = on_path("perf").context("perf is not on the PATH; it is in the package linux-perf")?;
    let input = bench.documents()?;
    let (data, stacks) = (bench.work.join("perf.data"), bench.work.join("perf.stacks"));
    bench.whole_job(&input, 1, &bench.fresh("one")?)?.run()?;
    let job = bench.whole_job(&input, 1, &bench.fresh("one")?)?;
    job.under(&perf, &["record", "--quiet", "--freq", FREQUENCY, "-g", "--output"], &data).on_cores("0").run()?;
    let status = Command::new(&perf)
        .args(["script", "--input"])
        .arg(&data)
        .stdout(File::create(&stacks)?)
        .stderr(Stdio::null())
        .status()?;
    ensure!(status.success(), "perf script ended with {status}");
    let mut folded = Vec::new();
    Folder::default().collapse(BufReader::new(File::open(&stacks)?), &mut folded)?;
    let svg = bench.target.join("flamegraph.svg");
    let mut options = flamegraph::Options::default();
    options.title = "CloudTrail pack 1.0.0, one worker: samples of CPU time by thread".into();
    options.min_width = 0.2;
    flamegraph::from_reader(&mut options, &*folded, BufWriter::new(File::create(&svg)?))?;
    println!("flame graph: {}", svg.display());
    Ok(())
}
