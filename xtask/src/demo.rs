//! `cargo xtask demo`: the CloudTrail pack on generated CloudTrail, then a swap of its version under load.
//!
//! With `--s3`, also from a bucket of S3 into Parquet in another one. All figures come from the agent's output. The demo fails if one is wrong.

use std::collections::HashSet;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;

use crate::nodes;
use crate::process::target_dir;

mod s3;

/// Keys whose values must be masked.
const SECRETS: &[&str] = &["accessKeyId", "assumedRoleId", "sessionToken"];
const OUTPUTS: &[&str] = &["processed", "get_describe_list", "fails"];

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Number of log files to generate
    #[arg(long, default_value_t = 300)]
    files: u32,
    /// Seconds of load on each side of the swap
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// Also read a trail from S3, check its digests, and write Parquet to S3; installs moto, DuckDB and pyarrow from PyPI
    #[arg(long)]
    s3: bool,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    say(
        "The demo builds the nodes and the agent, which takes several minutes the first time (later: seconds). Then it",
    );
    say("runs the CloudTrail pack on generated logs and swaps its version under load, in about half a minute.");
    step("Building the nodes as WebAssembly components, and the agent that contains them");
    let wattle = nodes::build_agent()?;
    let root = target_dir()?.join("demo");
    let _ = fs::remove_dir_all(&root);
    fs::create_dir_all(&root)?;
    files(&wattle, &root, options.files)?;
    swap(&wattle, &root, Duration::from_secs(options.seconds))?;
    if options.s3 {
        s3::run(&wattle, &root)?;
    }
    step("Done");
    say(&format!("All files are in {}, with each agent.toml that was used.", root.display()));
    Ok(())
}

/// Runs generated log files through the pack once.
fn files(wattle: &Path, root: &Path, count: u32) -> anyhow::Result<()> {
    step(&format!("Generating {count} CloudTrail log files, gzip, named as AWS names them"));
    let logs = root.join("logs");
    let status = Command::new(wattle)
        .args(["generate", "--documents", &count.to_string(), "--seed", "7", "--out"])
        .arg(&logs)
        .status()?;
    ensure!(status.success(), "wattle generate ended with {status}");
    fs::write(logs.join("broken.json"), r#"{"Records":[{"eventName":"Cut","userIdentity":{"accessKeyId":"AKIA"#)?;

    step("Running them through the pack cloudtrail 1.0.0: mask, unroll, parse, extract, route");
    let folder = root.join("files");
    let source = format!("type = \"file\"\ninclude = [\"{}/**/*.json*\"]\nframing = \"document\"", logs.display());
    let config = configuration(&folder, &source, "1.0.0")?;
    let status = Command::new(wattle).args(["--log", "warn", "run", "--once", "--config"]).arg(&config).status()?;
    ensure!(status.success(), "wattle run ended with {status}");

    step("Results");
    let mut masked = 0;
    for output in OUTPUTS {
        let events = read_events(&folder.join(format!("{output}.ndjson")))?;
        for event in &events {
            masked += check_masked(event)?;
        }
        say(&format!("{output:<18} {:>6} events", events.len()));
    }
    ensure!(masked > 0, "nothing was masked");
    say(&format!("{masked} values of {} are masked, none is readable.", SECRETS.join(", ")));
    let fails = fs::read_to_string(folder.join("fails.ndjson"))?;
    let broken = fails.lines().next().context("the broken file must be among the fails")?;
    let broken: Value = serde_json::from_str(broken)?;
    say(&format!("The broken file is in `fails`, with its reason: {}", broken.get("failure").unwrap_or(&Value::Null)));
    let processed = fs::read_to_string(folder.join("processed.ndjson"))?;
    let (before, after) = processed.split_once("\"accessKeyId\":\"***").context("a masked event")?;
    let start = before.rfind("\"arn\"").context("the identity's arn")?;
    let end = after.find('}').unwrap_or(after.len());
    let (shown, rest) = (before.get(start..).unwrap_or_default(), after.get(..end).unwrap_or_default());
    say(&format!("Masked, and nothing else changed: ...{shown}\"accessKeyId\":\"***{rest}..."));
    Ok(())
}

/// Swaps the version of the pack while events flow.
fn swap(wattle: &Path, root: &Path, load: Duration) -> anyhow::Result<()> {
    step("Swapping pack 1.0.0 for 1.1.0 under load");
    say(
        "1.0.0 routes every Get, List and Describe to a separate output; 1.1.0 keeps those that are evidence, such as errors.",
    );
    let folder = root.join("swap");
    let source = "type = \"demo\"\nseed = 11\nrate = 200\nrecords_per_document = 50";
    let config = configuration(&folder, source, "1.0.0")?;
    let mut agent = Command::new(wattle)
        .args(["--color", "never", "run", "--config"])
        .arg(&config)
        .stderr(Stdio::piped())
        .spawn()
        .context("could not start the agent")?;
    let log = agent.stderr.take().context("the agent's log")?;
    let (sender, lines) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(log).lines().map_while(Result::ok) {
            println!("    agent: {line}");
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    let done = (|| {
        wait_for(&lines, "running")?;
        std::thread::sleep(load);
        let text = fs::read_to_string(&config)?;
        say("Writing pack = \"cloudtrail@1.1.0\" to agent.toml ...");
        let since = Instant::now();
        fs::write(&config, text.replace("cloudtrail@1.0.0", "cloudtrail@1.1.0"))?;
        wait_for(&lines, "reloaded")?;
        say(&format!("The new version runs {} ms after the file was saved.", since.elapsed().as_millis()));
        std::thread::sleep(load);
        anyhow::Ok(())
    })();
    terminate(&mut agent)?;
    done?;

    let mut ids = HashSet::new();
    let mut count = 0;
    for output in OUTPUTS {
        for event in read_events(&folder.join(format!("{output}.ndjson")))? {
            count += 1;
            check_masked(&event)?;
            let id = event.pointer("/Record/eventID").and_then(Value::as_str).context("an event without eventID")?;
            ensure!(ids.insert(id.to_owned()), "event {id} was written twice");
        }
    }
    let aside = read_events(&folder.join("get_describe_list.ndjson"))?;
    let is_error = |event: &Value| event.pointer("/Record/errorCode").is_some_and(|c| !c.is_null());
    let last = aside.iter().rposition(is_error).context("1.0.0 must have routed errors aside")?;
    ensure!(last + 1 < aside.len() / 4 * 3, "1.1.0 must not route errors aside");
    say(&format!("{count} events, each exactly once, none lost and none twice."));
    let errors = aside.iter().filter(|e| is_error(e)).count();
    say(&format!(
        "get_describe_list: {errors} errors among its first {} events, none among the {} after the swap.",
        last + 1,
        aside.len() - last - 1
    ));
    Ok(())
}

/// Writes an agent.toml from a source through the pack to one file per output.
fn configuration(folder: &Path, source: &str, version: &str) -> anyhow::Result<PathBuf> {
    fs::create_dir_all(folder)?;
    let mut text = format!(
        "[agent]\ndata_dir = \"{}\"\n\n[sources.trail]\n{source}\n\n[pipelines.trail]\ninputs = [\"trail\"]\npack = \
         \"cloudtrail@{version}\"\n",
        folder.join("data").display()
    );
    for output in OUTPUTS {
        // Processed events are written unchanged, failed events with the reason.
        let codec = if *output == "fails" { "json" } else { "text" };
        text.push_str(&format!(
            "\n[sinks.{output}]\ntype = \"file\"\ninputs = [\"trail.{output}\"]\npath = \
             \"{}\"\nencoding.codec = \"{codec}\"\n",
            folder.join(format!("{output}.ndjson")).display()
        ));
    }
    let path = folder.join("agent.toml");
    fs::write(&path, text)?;
    Ok(path)
}

fn read_events(path: &Path) -> anyhow::Result<Vec<Value>> {
    // An output that never got an event has no file.
    let text = if path.exists() { fs::read_to_string(path)? } else { String::new() };
    text.lines().map(|line| serde_json::from_str(line).with_context(|| format!("{}: {line}", path.display()))).collect()
}

/// Counts masked values, at any depth and in JSON inside of strings; a readable one is an error.
fn check_masked(value: &Value) -> anyhow::Result<usize> {
    let mut masked = 0;
    match value {
        Value::Array(items) => {
            for item in items {
                masked += check_masked(item)?;
            }
        }
        Value::Object(members) => {
            for (key, value) in members {
                match value.as_str().filter(|_| SECRETS.contains(&key.as_str())) {
                    Some(text) if text.starts_with("****") => masked += 1,
                    Some("" | "HIDDEN_DUE_TO_SECURITY_REASONS" | "<sensitiveDataRemoved>") => {}
                    Some(text) => bail!("{key} is readable: {text}"),
                    None => masked += check_masked(value)?,
                }
            }
        }
        Value::String(text) if text.contains('{') => {
            if let Ok(inner) = serde_json::from_str::<Value>(text) {
                masked += check_masked(&inner)?;
            }
        }
        _ => {}
    }
    Ok(masked)
}

fn wait_for(lines: &std::sync::mpsc::Receiver<String>, part: &str) -> anyhow::Result<()> {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let left = until.saturating_duration_since(Instant::now());
        match lines.recv_timeout(left) {
            Ok(line) if line.contains(part) => return Ok(()),
            Ok(_) => {}
            Err(_) => bail!("the agent did not say `{part}`"),
        }
    }
}

/// Asks the agent to drain, and waits for its end.
fn terminate(agent: &mut Child) -> anyhow::Result<()> {
    Command::new("kill").arg(agent.id().to_string()).status()?;
    let status = agent.wait()?;
    ensure!(status.success(), "the agent ended with {status}");
    Ok(())
}

fn step(text: &str) {
    println!("\n==> {text}");
}

fn say(text: &str) {
    println!("    {text}");
}
