//! The whole job as a process, compared with the available tools: rows 1 and 4 of the table.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::time::Instant;

use anyhow::ensure;
use cpu_time::ThreadTime;
use flate2::bufread::GzDecoder;

use crate::bench::{Bench, OUTPUTS, configuration, file_sinks};
use crate::corpus::Input;
use crate::figures::{Report, Samples, mega};
use crate::job::{Job, Used, on_path};
use crate::peers;

/// Rows 1 and 4.
pub(crate) fn measure(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    report.section("The whole job: documents on standard input -> pack cloudtrail 1.0.0 -> three files");
    let input = bench.documents()?;
    let (one_out, two_out) = (bench.work.join("one"), bench.work.join("two"));
    // Fill the cache of compiled nodes and of the file system.
    bench.whole_job(&input, 1, &bench.fresh("one")?)?.run()?;
    let (mut rate, mut per_gb, mut peak, mut speed) = <(Samples, Samples, Samples, Samples)>::default();
    let (mut over_jq, mut jq_rate) = <(Samples, Samples)>::default();
    let (mut two_over_one, mut two_over_one_whole, mut ceiling) = <(Samples, Samples, Samples)>::default();
    let (mut unsynced, mut unsynced_peak) = <(Samples, Samples)>::default();
    let (nothing, mut start) = (bench.corpus.single()?, Samples::default());
    let jq = on_path("jq");
    for _ in 0..bench.rounds() {
        let used = bench.whole_job(&input, 1, &bench.fresh("one")?)?.on_cores("0").run()?;
        rate.push(input.megabytes() / used.cpu_s);
        per_gb.push(1e3 * used.cpu_s / input.megabytes());
        peak.push(used.peak_mb);
        start.push(1e3 * bench.whole_job(&nothing, 1, &bench.fresh("one")?)?.on_cores("0").run()?.cpu_s);
        let idle = (on_workers(bench, &nothing, 1, "one")?.wall_s, on_workers(bench, &nothing, 2, "two")?.wall_s);
        let one = on_workers(bench, &input, 1, "one")?;
        let two = on_workers(bench, &input, 2, "two")?;
        same_outputs(&one_out, &two_out)?;
        unsynced.push(input.megabytes() / one.cpu_s);
        unsynced_peak.push(one.peak_mb);
        speed.push(input.megabytes() / two.wall_s);
        two_over_one.push((one.wall_s - idle.0) / (two.wall_s - idle.1));
        two_over_one_whole.push(one.wall_s / two.wall_s);
        let beside =
            side_by_side(bench, &input, |data, out| configuration(data, "type = \"stdin\"", &file_sinks(out)))?;
        ceiling.push(2.0 * one.wall_s / beside);
        if let Some(jq) = &jq {
            let unrolled = peers::jq(jq, &input)?;
            jq_rate.push(input.megabytes() / unrolled);
            over_jq.push(unrolled / used.cpu_s);
        }
    }
    let records = records_in(&one_out)?;
    report.key("whole_job_mb_per_cpu_s", "1 worker, 1 core", &rate, "MB/CPU-s", "");
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    let records_rate = rate.median() / input.megabytes() * records as f64;
    report.row("", &Samples::from_iter([records_rate / 1e3]), "k rec/s", "records per CPU second");
    report.row("", &per_gb, "CPU-s/GB", "");
    report.row("", &peak, "MB", "peak memory");
    report.row("", &start, "CPU-ms", "of it to start and to end, whatever the input");
    report.row("the same, files not synced (as other tools)", &unsynced, "MB/CPU-s", "");
    report.row("", &unsynced_peak, "MB", "peak memory");
    report.row("2 workers, 2 cores, files not synced", &speed, "MB/s", "on the wall");
    let note = "bar 1.85; time on the wall without start and end, outputs byte for byte the same";
    report.key("workers_2_over_1", "2 workers on 2 cores / 1 on 1", &two_over_one, "times", note);
    report.row("", &two_over_one_whole, "times", "with start and end, which one thread does");
    report.row(
        "2 processes side by side / 1",
        &ceiling,
        "times",
        "what this machine gives to work that shares nothing",
    );
    other_inputs(bench, report)?;

    report.section("Tools at hand, on one core");
    if jq.is_some() {
        report.row("jq -c '.Records[]' (only the unrolling)", &jq_rate, "MB/CPU-s", "");
        report.key("whole_job_over_jq", "whole job / jq", &over_jq, "times", "bar 8.5");
    } else {
        report.remark("jq is not on the PATH; whole_job_over_jq is left out");
    }
    peers::measure(bench, report, &input)
}

/// The whole job by a configuration.
fn on_workers(bench: &Bench, input: &Input, workers: usize, out: &str) -> anyhow::Result<Used> {
    let sinks = file_sinks(&bench.fresh(out)?);
    bench.run_configuration(&configuration(&bench.data_dir()?, "type = \"stdin\"", &sinks), Some(input), workers)
}

/// Wall time of two processes that each run a configuration on a separate core. `config` gets their data folder and
/// a folder for outputs.
pub(crate) fn side_by_side(
    bench: &Bench,
    input: &Input,
    config: impl Fn(&Path, &Path) -> String,
) -> anyhow::Result<f64> {
    let mut jobs = Vec::new();
    for core in ["0", "1"] {
        let out = bench.fresh(&format!("side-{core}"))?;
        let data = bench.fresh(&format!("data-{core}"))?;
        // The nodes are already compiled.
        std::os::unix::fs::symlink(bench.work.join("data/cache"), data.join("cache"))?;
        let path = bench.work.join(format!("side-{core}.toml"));
        fs::write(&path, config(&data, &out))?;
        let job = bench.agent()?.env("WATTLE_DATA_DIR", &data);
        let job = job.args(["run", "--once", "--no-watch", "--quiet", "--workers", "1", "--config"]);
        jobs.push(job.args([&path]).on_cores(core).stdin(&input.path));
    }
    let since = Instant::now();
    let children = jobs.iter().map(Job::spawn).collect::<anyhow::Result<Vec<_>>>()?;
    for mut child in children {
        let status = child.wait()?;
        ensure!(status.success(), "an agent ended with {status}");
    }
    Ok(since.elapsed().as_secs_f64())
}

/// Records, one per line, and gzip files.
fn other_inputs(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    let records = bench.corpus.records(bench.size(30_000_000, 300_000_000))?;
    let gzips = bench.corpus.gzips(bench.size(60_000_000, 300_000_000))?;
    let (mut lines, mut rate, mut beyond, mut inflate) = <(Samples, Samples, Samples, Samples)>::default();
    let (mut zlib, mut beyond_zlib) = <(Samples, Samples)>::default();
    for _ in 0..bench.rounds() {
        let used = bench.whole_job(&records, 1, &bench.fresh("one")?)?.on_cores("0").run()?;
        lines.push(records.megabytes() / used.cpu_s);
        let source = format!(
            "type = \"file\"\ninclude = [\"{}/*.json.gz\"]\nframing = \"document\"\nstable_after = \"0s\"",
            gzips.path.display()
        );
        let config = configuration(&bench.data_dir()?, &source, &file_sinks(&bench.fresh("one")?));
        let used = bench.run_configuration(&config, None, 1)?;
        let alone =
            inflate_all(&gzips, &mut |packed, out| Ok(libdeflater::Decompressor::new().gzip_decompress(packed, out)?))?;
        rate.push(gzips.megabytes() / used.cpu_s);
        inflate.push(gzips.megabytes() / alone);
        beyond.push((used.cpu_s - alone) / alone);
        let usual = inflate_all(&gzips, &mut |packed, out| read_all(GzDecoder::new(packed), out))?;
        zlib.push(gzips.megabytes() / usual);
        beyond_zlib.push((used.cpu_s - alone) / usual);
    }
    report.row("records, one a line, 1 worker, 1 core", &lines, "MB/CPU-s", "");
    report.row(".json.gz files, 1 worker, 1 core", &rate, "MB/CPU-s", "of decompressed bytes");
    report.row("decompression alone (libdeflate)", &inflate, "MB/CPU-s", "");
    report.key("gz_over_inflate", "time beyond it / it", &beyond, "times", "bar 2");
    report.row("decompression by zlib-rs (as most tools)", &zlib, "MB/CPU-s", "");
    report.key("gz_over_zlib", "time beyond libdeflate's / zlib-rs's", &beyond_zlib, "times", "");
    Ok(())
}

/// CPU seconds of decompressing all files of a folder.
fn inflate_all(gzips: &Input, inflate: &mut Inflate) -> anyhow::Result<f64> {
    let mut out = vec![0; 64 << 20];
    let mut total = 0;
    let mut seconds = 0.0;
    for entry in fs::read_dir(&gzips.path)? {
        let packed = fs::read(entry?.path())?;
        let since = ThreadTime::now();
        total += inflate(&packed, &mut out)? as u64;
        seconds += since.elapsed().as_secs_f64();
    }
    ensure!(total == gzips.bytes, "{total} bytes came out of the gzip files, not {}", gzips.bytes);
    Ok(seconds)
}

/// Decompresses the first buffer into the second, and returns the length.
type Inflate = dyn FnMut(&[u8], &mut [u8]) -> anyhow::Result<usize>;

/// Reads to the end, and returns the length.
fn read_all(mut from: impl Read, out: &mut [u8]) -> anyhow::Result<usize> {
    let mut filled = 0;
    loop {
        match from.read(out.get_mut(filled..).unwrap_or_default())? {
            0 => return Ok(filled),
            n => filled += n,
        }
    }
}

/// Two workers must write the same as one, in the same order.
fn same_outputs(one: &Path, two: &Path) -> anyhow::Result<()> {
    for output in OUTPUTS {
        let name = format!("{output}.ndjson");
        let (a, b) = (one.join(&name), two.join(&name));
        let same = match (a.exists(), b.exists()) {
            (true, true) => Job::new("cmp").args(["--silent"]).args([&a, &b]).run().is_ok(),
            (a, b) => a == b,
        };
        ensure!(same, "2 workers did not write the same {output} as 1");
    }
    Ok(())
}

fn records_in(folder: &Path) -> anyhow::Result<usize> {
    let mut lines = 0;
    for output in OUTPUTS {
        let path = folder.join(format!("{output}.ndjson"));
        if path.exists() {
            let text = fs::read(&path)?;
            lines += text.iter().filter(|byte| **byte == b'\n').count();
        }
    }
    Ok(lines)
}

/// Megabytes that functions and the kernel copy per megabyte of input.
pub(crate) fn copies(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    let source: std::path::PathBuf = [env!("CARGO_MANIFEST_DIR"), "copies.c"].iter().collect();
    fs::create_dir_all(&bench.work)?;
    let library = bench.work.join("copies.so");
    let job = Job::new("cc").args(["-shared", "-fPIC", "-O2", "-fno-builtin", "-o"]).args([&library]);
    if let Err(error) = job.args([&source]).run() {
        report.remark(&format!("bytes copied are not counted: {error}"));
        return Ok(());
    }
    let counted = bench.work.join("copies.txt");
    let count = |input: &Input| -> anyhow::Result<u64> {
        let job = bench.whole_job(input, 1, &bench.fresh("one")?)?;
        job.env("LD_PRELOAD", &library).env("COPIES_TO", &counted).run()?;
        let text = fs::read_to_string(&counted)?;
        Ok(text.split_whitespace().filter_map(|number| number.parse::<u64>().ok()).sum())
    };
    let (input, nothing) = (bench.corpus.documents(30_000_000, 200)?, bench.corpus.single()?);
    let bytes = count(&input)?.saturating_sub(count(&nothing)?);
    let per_byte = Samples::from_iter([mega(bytes) / input.megabytes()]);
    let note = "bar 12; memcpy, memmove and what the kernel copied, reading and writing included";
    report.key("copied_bytes_per_byte", "bytes copied for each byte of input", &per_byte, "times", note);
    Ok(())
}
