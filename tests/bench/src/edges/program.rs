//! The agent, and the other tools that do the same if they are on the PATH.

use std::path::{Path, PathBuf};
use std::process::Child;

use anyhow::{Context as _, ensure};

use super::{Edge, Ends, From, NDJSON, NDJSON_AS_JSON};
use crate::bench::Bench;
use crate::figures::{Report, mega};
use crate::job::{Job, cpu_seconds, on_path, status_bytes};

const FLUENT_BIT: &str = "fluent-bit";

/// A program that does the jobs.
pub(super) enum Program {
    /// Ours.
    Wattle,
    /// Another tool.
    Peer(Peer),
}

/// Another tool, as its own documentation configures it.
pub(super) struct Peer {
    pub(super) name: &'static str,
    path: PathBuf,
    args: &'static [&'static str],
    /// Beginning of the names of its configurations.
    files: &'static str,
}

impl Program {
    /// The programs that are here, ours first. Says in the report which are not.
    pub(super) fn found(report: &mut Report) -> Vec<Self> {
        let mut programs = vec![Self::Wattle];
        for (name, program, args) in [
            ("Vector", "vector", &["--quiet", "--threads", "1", "--config"][..]),
            ("Fluent Bit", FLUENT_BIT, &["-q", "-c"][..]),
        ] {
            match on_path(program) {
                Some(path) => programs.push(Self::Peer(Peer { name, path, args, files: program })),
                None => report.remark(&format!("{name} is not on the PATH, so it is not measured.")),
            }
        }
        programs
    }

    /// Whether there is a configuration for a job.
    pub(super) fn does(&self, edge: &Edge) -> bool {
        match self {
            Self::Wattle => true,
            Self::Peer(peer) => peer.configuration(edge).is_file(),
        }
    }

    /// How a job sends events to this program.
    pub(super) fn adapt(&self, from: From) -> From {
        match self {
            Self::Peer(peer) if peer.files == FLUENT_BIT && from == NDJSON => NDJSON_AS_JSON,
            _ => from,
        }
    }

    /// Starts the program on the first core.
    pub(super) fn start(&self, bench: &Bench, edge: &Edge, ends: &Ends, folder: &Path) -> anyhow::Result<Running> {
        let (job, text, name) = match self {
            Self::Wattle => (
                bench.agent()?.args(["run", "--quiet", "--no-watch", "--workers", "1", "--config"]),
                format!("[sources.in]\n{}\n[sinks.out]\ninputs = [\"in\"]\n{}", edge.source, edge.sink),
                "agent.toml",
            ),
            Self::Peer(peer) => {
                let path = peer.configuration(edge);
                let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
                (Job::new(&peer.path).args(peer.args), text, "peer.yaml")
            }
        };
        let path = folder.join(name);
        std::fs::write(&path, ends.fill(&text))?;
        Ok(Running(job.args([&path]).on_cores("0").spawn()?))
    }
}

impl Peer {
    fn configuration(&self, edge: &Edge) -> PathBuf {
        [env!("CARGO_MANIFEST_DIR"), "peers", &format!("{}-{}.yaml", self.files, edge.key)].iter().collect()
    }
}

/// A running program.
pub(super) struct Running(Child);

impl Running {
    /// CPU seconds so far.
    pub(super) fn cpu_s(&self) -> f64 {
        cpu_seconds(self.0.id())
    }

    /// Peak memory in MB.
    pub(super) fn peak_mb(&self) -> anyhow::Result<f64> {
        Ok(mega(status_bytes(self.0.id(), "VmHWM:").context("the program must be running")?))
    }

    /// Stops the program and passes on what was measured.
    pub(super) fn stop<T>(mut self, measured: anyhow::Result<T>) -> anyhow::Result<T> {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.0), rustix::process::Signal::TERM)?;
        let status = self.0.wait()?;
        let measured = measured?;
        ensure!(status.success(), "the program ended with {status}");
        Ok(measured)
    }
}
