//! From an empty folder to a node that is swapped while the agent runs, by the commands that the
//! docs give.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};

use super::{Bench, Language};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_mins(5);

impl Bench {
    /// The whole way; answers with the seconds of each step.
    pub(super) fn journey(&self, language: &Language) -> anyhow::Result<Value> {
        let name = format!("{}-node", language.name);
        let (_, new) = self.run(&self.folder, &["node", "new", "--lang", language.name, &name])?;
        let project = self.folder.join(&name);
        let (_, build) = self.run(&project, &["node", "build"])?;
        let (_, test) = self.run(&project, &["node", "test"])?;
        let (_, run) = self.run(&project, &["run", "--quiet", "--once", "--config", "agent.toml"])?;
        let out = project.join("out/shouted.ndjson");
        let first = fs::read_to_string(&out).with_context(|| out.display().to_string())?;
        ensure!(first.contains("HELLO"), "the node did not shout: {first}");

        let mut agent = self.command(&project, &["--color", "never", "run", "--config", "agent.toml"]);
        let mut agent = Agent(agent.stdin(Stdio::null()).stderr(Stdio::piped()).spawn()?);
        let log = agent.lines()?;
        wait_for(&log, "running")?;
        let source = project.join(language.source);
        let code = fs::read_to_string(&source)?;
        ensure!(code.contains(language.edit.0), "the template of {} has changed", language.name);
        let since = Instant::now();
        fs::write(&source, code.replace(language.edit.0, language.edit.1))?;
        let (_, rebuild) = self.run(&project, &["node", "build"])?;
        wait_for(&log, "reloaded")?;
        let swap = since.elapsed().as_secs_f64();
        println!("{swap:>7.1} s  from saving the code to the node that runs");
        let mut events = fs::OpenOptions::new().append(true).open(project.join("events.log"))?;
        events.write_all(b"{\"message\":\"again\"}\n")?;
        let until = Instant::now() + PATIENCE;
        while !fs::read_to_string(&out)?.contains("AGAIN!") {
            ensure!(Instant::now() < until, "the new code never ran");
            std::thread::sleep(Duration::from_millis(20));
        }
        // What is measured is the template.
        fs::write(&source, code)?;
        self.run(&project, &["node", "build"])?;
        Ok(json!({ "new": new, "build": build, "test": test, "run": run, "rebuild": rebuild, "edit_to_swapped": swap }))
    }
}

/// An agent that goes with the journey.
struct Agent(Child);

impl Agent {
    fn lines(&mut self) -> anyhow::Result<Receiver<String>> {
        let log = self.0.stderr.take().context("the agent's log")?;
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            BufReader::new(log).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        Ok(lines)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn wait_for(lines: &Receiver<String>, text: &str) -> anyhow::Result<()> {
    let until = Instant::now() + PATIENCE;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        match lines.recv_timeout(left) {
            Ok(line) if line.contains(text) => return Ok(()),
            Ok(_) => {}
            Err(_) => bail!("the agent never said `{text}`"),
        }
    }
}
