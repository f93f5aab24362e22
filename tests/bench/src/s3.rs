//! Objects of S3 that a queue announces: how many, how large, and the whole job from bucket to bucket.
//!
//! The agent runs on one core, and the store on the other.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, ensure};
use wattle_store::{Settings, Store};

use crate::bench::{Bench, OUTPUTS, configuration};
use crate::corpus::Input;
use crate::figures::{Report, Samples, mega};
use crate::job::Used;

const SOURCE: &str = "trail";
const LAKE: &str = "lake";

/// Compressed bytes of the large object.
const LARGE: u64 = 50_000_000;

/// The rows about S3.
pub(crate) fn measure(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    report.section("S3: objects that a queue announces, as large as those of CloudTrail, on one core");
    let store = Store::start(Settings { core: Some(1), ..Settings::default() });
    let trail = bench.corpus.trail(bench.size(150_000_000, 600_000_000))?;
    let keys = fill(&store, &trail.path)?;
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    let objects = keys.len() as f64;
    let (mut rate, mut speed, mut peak) = <(Samples, Samples, Samples)>::default();
    let (mut packed, mut packed_speed, mut packed_peak) = <(Samples, Samples, Samples)>::default();
    let (mut bucket, mut disk, mut ratio, mut bucket_peak) = <(Samples, Samples, Samples, Samples)>::default();
    // Fills the cache of compiled nodes.
    from_queue(bench, &store, keys.get(..1).context("the corpus is empty")?, &to_disk(&bench.fresh("lake")?))?;
    for _ in 0..bench.rounds() {
        let used = pass(bench, &store, &keys)?;
        rate.push(objects / used.cpu_s);
        speed.push(trail.megabytes() / used.cpu_s);
        peak.push(used.peak_mb);
        let used = from_queue(bench, &store, &keys, &to_nothing())?;
        packed.push(objects / used.cpu_s);
        packed_speed.push(trail.megabytes() / used.cpu_s);
        packed_peak.push(used.peak_mb);
        let used = from_queue(bench, &store, &keys, &to_bucket(&store))?;
        ensure!(!store.objects(LAKE).is_empty(), "the agent wrote no objects");
        store.clear(LAKE);
        let from_disk = from_disk(bench, &trail)?;
        bucket.push(trail.megabytes() / used.cpu_s);
        bucket_peak.push(used.peak_mb);
        disk.push(trail.megabytes() / from_disk.cpu_s);
        ratio.push(from_disk.cpu_s / used.cpu_s);
    }
    let note =
        format!("bar 2000; {objects} objects of {:.0} KB in the mean, to no sink", 1e3 * trail.megabytes() / objects);
    report.key("s3_objects_per_cpu_s", "queue -> events", &rate, "obj/CPU-s", &note);
    report.key("s3_mb_per_cpu_s", "", &speed, "MB/CPU-s", "before compression");
    report.key("s3_peak_mb", "", &peak, "MB", "bar 100 (96 MiB); peak memory");
    report.row("queue -> pack cloudtrail 1.0.0", &packed, "obj/CPU-s", "to no sink");
    report.row("", &packed_speed, "MB/CPU-s", "");
    report.row("", &packed_peak, "MB", "peak memory");
    report.key("s3_to_s3_mb_per_cpu_s", "bucket -> pack -> bucket", &bucket, "MB/CPU-s", "gzip both");
    report.key("s3_to_s3_peak_mb", "", &bucket_peak, "MB", "peak memory");
    report.row("disk -> pack -> disk", &disk, "MB/CPU-s", "the same files, gzip both");
    report.key("s3_to_s3_over_disk", "bucket to bucket / disk to disk", &ratio, "times", "bar 0.5");
    large(bench, report)
}

/// One object of many lines.
fn large(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    let input = bench.corpus.gzip_of_lines(LARGE)?;
    let store = Store::start(Settings { core: Some(1), ..Settings::default() });
    let body = fs::read(&input.path)?;
    let compressed = mega(body.len() as u64);
    store.put(SOURCE, "large.json.gz", body);
    let (mut peak, mut speed) = <(Samples, Samples)>::default();
    for _ in 0..bench.size(1, 3) {
        let used = pass(bench, &store, &["large.json.gz".to_owned()])?;
        peak.push(used.peak_mb);
        speed.push(input.megabytes() / used.cpu_s);
    }
    let note =
        format!("bar 100 (96 MiB); peak memory; {compressed:.0} MB of gzip, {:.0} MB of lines", input.megabytes());
    report.key("s3_large_peak_mb", "one large object", &peak, "MB", &note);
    report.row("", &speed, "MB/CPU-s", "before compression");
    Ok(())
}

/// Puts the files of a folder into the bucket, and returns their keys.
fn fill(store: &Store, folder: &Path) -> anyhow::Result<Vec<String>> {
    let mut keys = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let key = path.file_name().and_then(|name| name.to_str()).context("the corpus has UTF-8 names")?.to_owned();
        store.put(SOURCE, &key, fs::read(&path)?);
        keys.push(key);
    }
    keys.sort();
    Ok(keys)
}

/// Announces these objects.
fn announce(store: &Store, keys: &[String]) {
    for key in keys {
        let notification = serde_json::json!({ "Records": [{ "eventVersion": "2.1", "eventSource": "aws:s3",
            "awsRegion": "us-east-1", "eventTime": "2026-01-31T00:00:00.000Z", "eventName": "ObjectCreated:Put",
            "s3": { "bucket": { "name": SOURCE }, "object": { "key": key } } }] });
        store.send(notification.to_string());
    }
}

fn source(store: &Store) -> String {
    format!("type = \"aws_s3\"\nqueue_url = \"{}\"\n{}", store.queue_url(), access(store))
}

fn access(store: &Store) -> String {
    let credentials = "auth.access_key_id = \"AKIDEXAMPLE\"\nauth.secret_access_key = \"secret\"\n";
    format!("endpoint = \"{}\"\n{credentials}", store.address())
}

fn inputs() -> String {
    OUTPUTS.iter().map(|output| format!("\"main.{output}\",")).collect()
}

/// A sink that writes nothing.
fn to_nothing() -> String {
    format!("[sinks.none]\ntype = \"blackhole\"\ninputs = [{}]\n", inputs())
}

fn to_bucket(store: &Store) -> String {
    format!(
        "[sinks.lake]\ntype = \"aws_s3\"\ninputs = [{}]\nbucket = \"{LAKE}\"\nobject_per = \"source_object\"\n\
         encoding.codec = \"text\"\ncompression = \"gzip\"\n{}",
        inputs(),
        access(store)
    )
}

fn to_disk(folder: &Path) -> String {
    format!(
        "[sinks.lake]\ntype = \"file\"\ninputs = [{}]\npath = \"{}\"\nencoding.codec = \"text\"\ncompression = \"gzip\"\n\
         fsync = \"never\"\n",
        inputs(),
        folder.join("all.ndjson.gz").display()
    )
}

/// Reads these objects without a pack.
fn pass(bench: &Bench, store: &Store, keys: &[String]) -> anyhow::Result<Used> {
    let text = format!(
        "[agent]\ndata_dir = \"{}\"\n\n[sources.in]\n{}\n[pipelines.main]\ninputs = [\"in\"]\noutputs.all.inputs = \
         [\"input\"]\n\n[sinks.none]\ntype = \"blackhole\"\ninputs = [\"main.all\"]\n",
        bench.data_dir()?.display(),
        source(store)
    );
    run(bench, store, keys, &text)
}

/// Reads these objects with the pack.
fn from_queue(bench: &Bench, store: &Store, keys: &[String], sink: &str) -> anyhow::Result<Used> {
    let text = configuration(&bench.data_dir()?, &source(store), sink);
    run(bench, store, keys, &text)
}

fn run(bench: &Bench, store: &Store, keys: &[String], text: &str) -> anyhow::Result<Used> {
    announce(store, keys);
    let used = bench.run_configuration(text, None, 1)?;
    ensure!(store.messages() == 0, "the agent left {} messages", store.messages());
    Ok(used)
}

fn from_disk(bench: &Bench, trail: &Input) -> anyhow::Result<Used> {
    let source = format!("type = \"file\"\ninclude = [\"{}/*.json.gz\"]", trail.path.display());
    let sink = to_disk(&bench.fresh("lake")?);
    bench.run_configuration(&configuration(&bench.data_dir()?, &source, &sink), None, 1)
}
