//! Shared by all sections of the benchmark: paths, sizes, and configurations.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::corpus::{Corpus, Input};
use crate::job::{Job, Used};
use crate::nodes::Kind;

/// Names of the outputs of the pack.
pub(crate) const OUTPUTS: &[&str] = &["processed", "get_describe_list", "fails"];

/// The settings of this benchmark run.
pub(crate) struct Bench {
    /// The agent.
    pub(crate) wattle: PathBuf,
    /// The target folder, with the artifacts of nodes and guests.
    pub(crate) target: PathBuf,
    /// Folder for all files that the benchmark writes.
    pub(crate) work: PathBuf,
    pub(crate) corpus: Corpus,
    pub(crate) quick: bool,
}

impl Bench {
    /// Selects the size for `--quick` or for the whole benchmark.
    pub(crate) fn size<T>(&self, quick: T, full: T) -> T {
        if self.quick { quick } else { full }
    }

    /// Number of runs of each process.
    pub(crate) fn rounds(&self) -> usize {
        self.size(3, 5)
    }

    /// The corpus of row 1: documents of 200 records, one per line.
    pub(crate) fn documents(&self) -> anyhow::Result<Input> {
        self.corpus.documents(self.size(150_000_000, 300_000_000), 200)
    }

    /// Creates an empty folder.
    pub(crate) fn fresh(&self, name: &str) -> anyhow::Result<PathBuf> {
        let folder = self.work.join(name);
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| folder.display().to_string())?;
        }
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        Ok(folder)
    }

    /// The data folder of the measured agents: it keeps the compiled nodes from run to run, and
    /// nothing else.
    pub(crate) fn data_dir(&self) -> anyhow::Result<PathBuf> {
        let folder = self.work.join("data");
        for name in ["sources", "state", "seen"] {
            let kept = folder.join(name);
            if kept.exists() {
                fs::remove_dir_all(&kept).with_context(|| kept.display().to_string())?;
            }
        }
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        Ok(folder)
    }

    /// `wattle` with a quiet log and the data folder of the benchmark.
    pub(crate) fn agent(&self) -> anyhow::Result<Job> {
        Ok(Job::new(&self.wattle).env("WATTLE_DATA_DIR", self.data_dir()?).args(["--log", "error"]))
    }

    /// The whole job: standard input through the pack to one file per output.
    pub(crate) fn whole_job(&self, input: &Input, workers: usize, out: &Path) -> anyhow::Result<Job> {
        let job = self.agent()?.args(["run", "--pack", "cloudtrail@1.0.0", "--quiet", "--workers"]);
        Ok(job.args([workers.to_string()]).args(["--out"]).args([out]).stdin(&input.path))
    }

    /// Runs a configuration to its end, with one worker on one core or two on two.
    pub(crate) fn run_configuration(
        &self,
        configuration: &str,
        stdin: Option<&Input>,
        workers: usize,
    ) -> anyhow::Result<Used> {
        let path = self.work.join("agent.toml");
        fs::create_dir_all(&self.work).with_context(|| self.work.display().to_string())?;
        fs::write(&path, configuration).with_context(|| path.display().to_string())?;
        let job = self.agent()?.args(["run", "--once", "--no-watch", "--quiet", "--workers"]);
        let job = job.args([workers.to_string()]).args(["--config"]).args([&path]);
        let job = job.on_cores(if workers == 1 { "0" } else { "0,1" });
        match stdin {
            Some(input) => job.stdin(&input.path).run(),
            None => job.run(),
        }
    }

    /// Runs this program with the pack over standard input and nodes of a kind. Returns the CPU
    /// seconds from the start of the topology to the end of its drain, without reading the
    /// configuration and compiling.
    pub(crate) fn pipeline(&self, input: &Input, kind: Kind) -> anyhow::Result<f64> {
        let out = self.fresh("twin")?;
        let job = Job::new(std::env::current_exe()?).args(["--target"]).args([&self.target]);
        let job = job.args(["pipeline", "--nodes", kind.name(), "--work"]).args([&self.work]).args(["--out"]);
        let used = job.args([&out]).stdin(&input.path).on_cores("0").run()?;
        used.stdout.trim().parse().with_context(|| format!("`{}` is no number", used.stdout))
    }
}

/// A configuration: the pack between a source and sinks.
pub(crate) fn configuration(data_dir: &Path, source: &str, sinks: &str) -> String {
    format!(
        "[agent]\ndata_dir = \"{}\"\n\n[sources.in]\n{source}\n\n[pipelines.main]\ninputs = [\"in\"]\npack = \
         \"cloudtrail@1.0.0\"\n\n{sinks}",
        data_dir.display()
    )
}

/// A file sink for each output of the pack. They do not sync: by default they wait up to a second
/// to sync more data together, also at the end, which would hide the wall time of a short run.
pub(crate) fn file_sinks(folder: &Path) -> String {
    let sink = |output: &&str| {
        let path = folder.join(format!("{output}.ndjson"));
        format!(
            "[sinks.{output}]\ntype = \"file\"\ninputs = [\"main.{output}\"]\npath = \"{}\"\nencoding.codec = \"text\"\nfsync = \"never\"\n",
            path.display()
        )
    };
    OUTPUTS.iter().map(sink).collect()
}

/// A sink that writes nothing.
pub(crate) const BLACKHOLE: &str = "[sinks.none]\ntype = \"blackhole\"\ninputs = [\"*.*\"]\n";
