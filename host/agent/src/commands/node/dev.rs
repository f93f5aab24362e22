//! `wattle node dev`: builds and swaps a node when its code is saved.
//!
//! An agent runs in a child process with the `agent.toml` of the project. It watches its files like
//! any other agent, so it swaps the artifact by itself. The output for the sample events comes from
//! an instance in this process, event by event, so that it can be compared with the output before.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};
use wattle_cases::{Ran, Subject as _};

use crate::cli::node::DevOptions;
use crate::exit::{Done, Failure, print};
use wattle_supervisor::Watch;

use super::build::build_project;
use super::component::{read_text, subject};
use super::project::Project;
use crate::commands::changes::{member, string};

/// How long the agent may take to compile and swap an artifact.
const TIMEOUT: Duration = Duration::from_mins(2);
/// Maximum number of characters in a line.
const MAX_WIDTH: usize = 160;

pub(crate) fn dev(options: &DevOptions) -> Done {
    let project = Project::open(&options.project)?;
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio.block_on(async {
        // Watch before the first build, so no change is missed.
        let watch = Watch::new(std::slice::from_ref(&project.root));
        let mut watch = watch.map_err(|error| Failure::new(format!("cannot watch files: {error}")))?;
        watch.set(&watched(&project));
        build_project(&project)?;
        let events = sample(&project, options)?;
        let mut shown = show(&project, &events, None)?;
        let agent = Agent::start(&project)?;
        agent.wait_for("running")?;
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        print(&format!("watching {}; stop with ctrl-c", watched_names(&project)))?;
        loop {
            tokio::select! {
                _ = watch.changed() => {}
                _ = interrupt.recv() => return Ok(()),
                _ = terminate.recv() => return Ok(()),
            }
            // The project may have new folders.
            watch.set(&watched(&project));
            let since = Instant::now();
            let before = fs_err::read(project.artifact())?;
            match build_project(&project) {
                Err(failure) => print(&format!("build failed, the running node stays: {}", failure.message))?,
                Ok(_) if fs_err::read(project.artifact())? == before => print("built, unchanged")?,
                Ok(_) => {
                    let built_in = since.elapsed();
                    let said = agent.wait_for("reload")?;
                    print(&format!(
                        "built in {:.1} s, swapped {} ms later: {said}",
                        built_in.as_secs_f64(),
                        since.elapsed().saturating_sub(built_in).as_millis()
                    ))?;
                    match show(&project, &events, Some(&shown)) {
                        Ok(now) => shown = now,
                        Err(failure) => print(&failure.message)?,
                    }
                }
            }
        }
    })
}

/// All files and folders whose change starts a build, with all subfolders.
fn watched(project: &Project) -> BTreeSet<PathBuf> {
    fn add(path: PathBuf, all: &mut BTreeSet<PathBuf>) {
        let below = std::fs::read_dir(&path).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
        below.filter(|path| path.is_dir()).for_each(|path| add(path, all));
        all.insert(path);
    }
    let mut all = BTreeSet::new();
    project.manifest.build.watch.iter().for_each(|path| add(project.root.join(path), &mut all));
    all
}

fn watched_names(project: &Project) -> String {
    let names: Vec<String> = project.manifest.build.watch.iter().map(|path| path.display().to_string()).collect();
    names.join(", ")
}

/// The events to show: lines of a file, or the inputs of the cases.
fn sample(project: &Project, options: &DevOptions) -> Result<Vec<Value>, Failure> {
    let wrong = |path: &Path, error: &dyn std::fmt::Display| Failure::new(format!("`{}`: {error}", path.display()));
    let mut events = Vec::new();
    if let Some(path) = &options.input {
        let text = read_text(path)?;
        events.extend(String::from_utf8_lossy(&text).lines().map(|line| json!({ "body": line })));
    } else {
        let entries = std::fs::read_dir(project.cases()).map_err(|error| wrong(&project.cases(), &error))?;
        let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        paths.sort();
        for path in paths {
            let text = std::fs::read_to_string(&path).map_err(|error| wrong(&path, &error))?;
            let case: Value = serde_json::from_str(&text).map_err(|error| wrong(&path, &error))?;
            events.extend(case.get("input").and_then(Value::as_array).cloned().unwrap_or_default());
        }
    }
    events.truncate(options.events);
    Ok(events)
}

/// Shows the output for each event, and the previous output if it differs.
fn show(project: &Project, events: &[Value], before: Option<&[String]>) -> Result<Vec<String>, Failure> {
    let mut subject = subject(project)?;
    let ports = subject.configure(&project.options()?).map_err(|refusal| Failure::new(refusal.to_string()))?;
    let mut shown = Vec::new();
    for (index, event) in events.iter().enumerate() {
        let batch = wattle_cases::batch(std::slice::from_ref(event)).map_err(Failure::new)?;
        let now = match subject.process(batch) {
            Err(fault) => format!("fault {}", fault.message),
            Ok(outcome) => {
                // Texts, since not every event fits a tree of JSON values.
                let ran = Ran::converted(&ports, outcome, 1, |batch| Ok(wattle_cases::texts(batch)));
                describe(&ran.map_err(Failure::new)?)
            }
        };
        let body = event.get("body").map(|b| b.as_str().map_or_else(|| b.to_string(), str::to_owned));
        print(&format!("  {}", cut(&body.unwrap_or_default())))?;
        match before.and_then(|before| before.get(index)).filter(|before| **before != now) {
            Some(before) => print(&format!("    - {}\n    + {}", cut(before), cut(&now)))?,
            None => print(&format!("    = {}", cut(&now)))?,
        }
        shown.push(now);
    }
    project.report_missing_mocks();
    Ok(shown)
}

/// The port and the contents of an output event.
fn describe(ran: &Ran<String>) -> String {
    let part = |event: &str, key: &str| member(event, key).map(|(text, kind)| (text.to_owned(), kind));
    let shown = |event: &String| {
        let parts = ["body", "attributes"].into_iter().filter_map(|key| Some((key, part(event, key)?)));
        let parts = parts.filter(|(_, (_, kind))| *kind != wattle_json::Kind::Null);
        format!("{{{}}}", parts.map(|(key, (text, _))| format!("\"{key}\":{text}")).collect::<Vec<_>>().join(","))
    };
    let mut all: Vec<String> = Vec::new();
    for (port, events) in &ran.ports {
        all.extend(events.iter().map(|event| format!("{port} {}", shown(event))));
    }
    let failure = |event: &String, key: &str| {
        let failure = part(event, "failure").map(|(failure, _)| failure).unwrap_or_default();
        member(&failure, key).map(|(text, _)| string(text)).unwrap_or_default()
    };
    all.extend(
        ran.failed.iter().map(|event| format!("failed {}: {}", failure(event, "code"), failure(event, "message"))),
    );
    all.extend(ran.dropped.keys().map(|code| format!("dropped {code}")));
    all.join("; ")
}

/// The beginning of a text, on one line.
fn cut(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let cut: String = line.chars().take(MAX_WIDTH).collect();
    if cut.len() < line.len() { format!("{cut}...") } else { cut }
}

/// The agent in a child process.
struct Agent {
    child: Child,
    lines: Receiver<String>,
}

impl Agent {
    fn start(project: &Project) -> Result<Self, Failure> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["--color", "never", "--log", "info", "run", "--config", "agent.toml"])
            .current_dir(&project.root)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let (sender, lines) = channel();
        if let Some(log) = child.stderr.take() {
            std::thread::spawn(move || {
                for line in BufReader::new(log).lines().map_while(Result::ok) {
                    if sender.send(line).is_err() {
                        return;
                    }
                }
            });
        }
        Ok(Self { child, lines })
    }

    /// Waits for a log line that contains a text, and prints all lines before it.
    fn wait_for(&self, text: &str) -> Result<String, Failure> {
        let until = Instant::now() + TIMEOUT;
        loop {
            match self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) if line.contains(text) => return Ok(line),
                Ok(line) => print(&format!("  agent: {line}"))?,
                Err(RecvTimeoutError::Timeout) => {
                    return Err(Failure::new(format!("the agent did not log `{text}` within {TIMEOUT:?}")));
                }
                Err(RecvTimeoutError::Disconnected) => return Err(Failure::new("the agent ended")),
            }
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
