//! `cargo xtask demo --s3`: a trail in a bucket, announced by a queue, through the pack into Parquet in another bucket.

use std::collections::HashSet;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::Value;

use super::{read_events, say, step};
use crate::tools;

/// Number of log files.
const FILES: u32 = 60;
/// The scripts, which use the Python of moto and of DuckDB.
const BUCKET: &str = include_str!("s3.py");
const QUERY: &str = include_str!("query.py");

/// The server of S3 and SQS; it ends with this.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(super) fn run(wattle: &Path, root: &Path) -> anyhow::Result<()> {
    step("Starting a server of S3 and SQS: moto");
    let (moto, readers) = (tools::add_moto()?, tools::add_parquet_readers()?);
    let (trail, lake) = (root.join("trail"), root.join("lake"));
    let (server, endpoint) = start(&moto, root)?;
    say(&format!("It listens on {endpoint}"));

    step(&format!("Putting a trail of {FILES} log files with signed digests into the bucket `trail`"));
    let mut generate = Command::new(wattle);
    let count = FILES.to_string();
    let status =
        generate.args(["generate", "cloudtrail", "-n", &count, "--seed", "7", "--digests", "--out"]).arg(&trail);
    ensure!(status.status()?.success(), "wattle generate failed");
    // An attacker removes a record from a log file before the agent reads it.
    let altered = altered(&trail)?;
    say(&format!("One file is altered afterwards: {altered}"));
    let put: Value = serde_json::from_str(&python(&moto, BUCKET, &["put", &endpoint, path(&trail)?])?)?;
    let queue = put.get("queue").and_then(Value::as_str).context("the address of the queue")?;
    say(&format!("{} objects, each announced to the queue {queue}", put.get("objects").unwrap_or(&Value::Null)));

    step(
        "Reading the objects that the queue announces, through the pack cloudtrail 2.0.0 into Parquet in the bucket `lake`",
    );
    let folder = root.join("s3");
    fs::create_dir_all(&folder)?;
    let config = folder.join("agent.toml");
    fs::write(&config, configuration(&folder, &trail, queue, &endpoint))?;
    let status = Command::new(wattle).args(["--log", "error", "run", "--once", "--config"]).arg(&config).status()?;
    ensure!(status.success(), "wattle run ended with {status}");

    step("What the digests of AWS prove");
    let digests = read_events(&folder.join("digests.ndjson"))?;
    let results = digests.iter().filter_map(|digest| digest.pointer("/resource/source/integrity"));
    let with =
        |wanted: &str| results.clone().filter(|r| r.get("result").is_some_and(|result| result == wanted)).count();
    say(&format!("{} digests: {} verified, {} failed", digests.len(), with("verified"), with("failed")));
    ensure!(with("failed") == 1 && with("verified") + 1 == digests.len(), "one digest must fail");
    let problems = results.clone().filter_map(|result| result.pointer("/problems/0")).next().context("a problem")?;
    ensure!(problems.get("key").is_some_and(|key| key == altered.as_str()), "{problems} must be about {altered}");
    say(&format!("The failed one: {problems}"));

    step("Querying the Parquet files with DuckDB");
    python(&moto, BUCKET, &["get", &endpoint, path(&lake)?])?;
    drop(server);
    let answer = python(&readers, QUERY, &[path(&lake)?])?;
    let (rows, services) = answer.split_once('\n').context("an answer of DuckDB")?;
    services.lines().for_each(say);
    let files = files(&lake)?.len();
    say(&format!("{rows} rows in {files} files below {}", lake.display()));
    // The pack sends each record to one of its outputs, and one record was removed.
    let records = records(&trail)?;
    ensure!(rows.trim() == records.to_string(), "{records} different records were read");
    Ok(())
}

/// The files below a folder, in their order.
fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?.path();
        if entry.is_dir() { found.extend(files(&entry)?) } else { found.push(entry) }
    }
    found.sort();
    Ok(found)
}

fn log_files(trail: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = files(trail)?;
    found.retain(|file| file.to_string_lossy().contains("_CloudTrail_"));
    Ok(found)
}

fn read_log_file(file: &Path) -> anyhow::Result<Value> {
    let output = Command::new("gzip").args(["--decompress", "--stdout"]).arg(file).output()?;
    serde_json::from_slice(&output.stdout).with_context(|| format!("{} is not JSON", file.display()))
}

/// The number of different records in the log files.
fn records(trail: &Path) -> anyhow::Result<usize> {
    let mut ids = HashSet::new();
    for file in log_files(trail)? {
        let document = read_log_file(&file)?;
        let records = document.get("Records").and_then(Value::as_array).context("records")?;
        ids.extend(records.iter().filter_map(|record| record.get("eventID")).map(ToString::to_string));
    }
    Ok(ids.len())
}

fn start(moto: &Path, root: &Path) -> anyhow::Result<(Server, String)> {
    // Free as long as nothing else takes it before the server does.
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port().to_string();
    let log = fs::File::create(root.join("moto.log"))?;
    let mut command = Command::new(moto.join("moto_server"));
    command.args(["--host", "127.0.0.1", "--port", &port]).stdout(log.try_clone()?).stderr(log).stdin(Stdio::null());
    let server =
        Server(command.spawn().context("cannot start moto; `cargo xtask demo --s3` needs python3 with venv and PyPI")?);
    let until = Instant::now() + Duration::from_secs(60);
    while TcpStream::connect(format!("127.0.0.1:{port}")).is_err() {
        ensure!(Instant::now() < until, "moto does not listen; see {}", root.join("moto.log").display());
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok((server, format!("http://127.0.0.1:{port}")))
}

/// Removes the last record of a log file. Returns its key.
fn altered(trail: &Path) -> anyhow::Result<String> {
    let file = log_files(trail)?.into_iter().next().context("a log file")?;
    let mut document = read_log_file(&file)?;
    let records = document.get_mut("Records").and_then(Value::as_array_mut).context("records")?;
    records.pop();
    let plain = file.with_extension("");
    fs::write(&plain, document.to_string())?;
    let status = Command::new("gzip").arg("--force").arg(&plain).status()?;
    ensure!(status.success(), "gzip ended with {status}");
    Ok(file.strip_prefix(trail)?.display().to_string())
}

fn configuration(folder: &Path, trail: &Path, queue: &str, endpoint: &str) -> String {
    let (folder, keys) = (folder.display(), trail.join("public-keys.json"));
    format!(
        r#"[agent]
data_dir = "{folder}/data"

[sources.trail]
type = "aws_s3"
queue_url = "{queue}"
region = "us-east-1"
endpoint = "{endpoint}"
auth = {{ access_key_id = "demo", secret_access_key = "demo" }}
integrity = {{ public_keys = ["{keys}"] }}

[pipelines.cloudtrail]
inputs = ["trail"]
pack = "cloudtrail@2.0.0"

[pipelines.cloudtrail.grants]
seen = {{ max_keys = 1_000_000, max_age = "366d", durable = true }}

[sinks.lake]
type = "aws_s3"
inputs = ["cloudtrail.processed", "cloudtrail.get_describe_list", "cloudtrail.log_delivery"]
bucket = "lake"
key_prefix = "cloudtrail/day=%Y-%m-%d/"
region = "us-east-1"
endpoint = "{endpoint}"
auth = {{ access_key_id = "demo", secret_access_key = "demo" }}
encoding = {{ codec = "parquet", schema = {{ preset = "cloudtrail" }} }}
batch.timeout = "2s"

[sinks.digests]
type = "file"
inputs = ["cloudtrail.digests"]
path = "{folder}/digests.ndjson"

[sinks.others]
type = "file"
inputs = ["cloudtrail.fails", "cloudtrail.metrics", "cloudtrail.findings"]
path = "{folder}/others.ndjson"
"#,
        keys = keys.display()
    )
}

/// Runs a script with the Python of these programs. Returns what it prints.
fn python(programs: &Path, script: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let mut command = Command::new(programs.join("python3"));
    command.args(["-c", script]).args(arguments).stderr(Stdio::inherit());
    let output = command.output().context("the Python that was installed from PyPI cannot be started")?;
    ensure!(output.status.success(), "a script of the demo ended with {}", output.status);
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

fn path(path: &Path) -> anyhow::Result<&str> {
    path.to_str().context("the target folder has a name that is not UTF-8")
}
