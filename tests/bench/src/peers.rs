//! Other tools on the same corpus, if they are on the PATH. Their configurations are in `peers/`.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::bench::{Bench, OUTPUTS};
use crate::corpus::Input;
use crate::figures::{Report, Samples};
use crate::job::{Job, on_path};

/// Published MB per CPU second of jq on another machine.
const PUBLISHED_JQ: f64 = 31.0;

/// A tool, its configurations with descriptions, and the best published figure.
struct Peer {
    name: &'static str,
    program: &'static str,
    args: &'static [&'static str],
    configurations: &'static [(&'static str, &'static str)],
    /// Beginning of the names of its outputs.
    files: &'static str,
    published: f64,
}

const PEERS: &[Peer] = &[
    Peer {
        name: "Vector",
        program: "vector",
        args: &["--quiet", "--threads", "1", "--config"],
        configurations: &[
            ("vector-tmpl-file.yaml", "masks on the document, templated file sink"),
            ("vector-literal-file.yaml", "masks on each record's text"),
        ],
        files: "v",
        published: 33.1,
    },
    Peer {
        name: "Fluent Bit",
        program: "fluent-bit",
        args: &["-q", "-c"],
        configurations: &[("fluent-bit-pathsnull-thr-file.yaml", "tail and Lua, masks by known paths")],
        files: "fb",
        published: 39.7,
    },
];

/// CPU seconds of jq for the unrolling alone, on one core.
pub(crate) fn jq(program: &Path, input: &Input) -> anyhow::Result<f64> {
    // Through a shell, which discards the output.
    let job = Job::new("sh").args(["-c", "exec \"$0\" -c '.Records[]' > /dev/null"]).args([program]);
    Ok(job.stdin(&input.path).on_cores("0").run()?.cpu_s)
}

/// A configuration of a peer on the PATH, and what it needed in each round.
struct Entry {
    peer: &'static Peer,
    program: PathBuf,
    configuration: &'static str,
    what: &'static str,
    rate: Samples,
    peak: Samples,
    /// Records in each output.
    records: [u64; OUTPUTS.len()],
}

/// Measures the peers on the PATH in turns with the agent; for the others it shows published figures.
pub(crate) fn measure(bench: &Bench, report: &mut Report, input: &Input) -> anyhow::Result<()> {
    let mut entries = Vec::new();
    for peer in PEERS {
        let Some(program) = on_path(peer.program) else {
            report.remark(&format!(
                "{} is not on the PATH. Not measured here: elsewhere it had {:.1} MB per CPU second where jq had {PUBLISHED_JQ}, \
                 so {:.2} times jq",
                peer.name,
                peer.published,
                peer.published / PUBLISHED_JQ
            ));
            continue;
        };
        entries.extend(peer.configurations.iter().map(|(configuration, what)| Entry {
            peer,
            program: program.clone(),
            configuration,
            what,
            rate: Samples::default(),
            peak: Samples::default(),
            records: Default::default(),
        }));
    }
    if entries.is_empty() {
        return Ok(());
    }
    let mut rate = Samples::default();
    let out = bench.work.join("one");
    for _ in 0..bench.rounds() {
        let used = bench.whole_job(input, 1, &bench.fresh("one")?)?.on_cores("0").run()?;
        rate.push(input.megabytes() / used.cpu_s);
        for entry in &mut entries {
            let path = prepare(bench, input, entry.configuration)?;
            let job = Job::new(&entry.program).args(entry.peer.args).args([&path]);
            let used = job.stdin(&input.path).on_cores("0").run()?;
            entry.rate.push(input.megabytes() / used.cpu_s);
            entry.peak.push(used.peak_mb);
            let folder = path.parent().context("the folder of the configuration")?;
            entry.records = [
                lines(&folder.join(format!("{}-other.json", entry.peer.files)))?,
                lines(&folder.join(format!("{}-read.json", entry.peer.files)))?,
                lines(&folder.join(format!("{}-bad.json", entry.peer.files)))?,
            ];
        }
    }
    let mut ours = [0; OUTPUTS.len()];
    for (records, output) in ours.iter_mut().zip(OUTPUTS) {
        *records = lines(&out.join(format!("{output}.ndjson")))?;
    }
    report.row("whole job, in turns with these tools", &rate, "MB/CPU-s", &format!("records {}", shown(&ours)));
    let mut best = 0.0_f64;
    for entry in &entries {
        best = best.max(entry.rate.median());
        report.row(entry.peer.name, &entry.rate, "MB/CPU-s", entry.what);
        report.row("", &entry.peak, "MB", "peak memory");
        let lost: u64 = ours.iter().zip(&entry.records).map(|(ours, theirs)| ours.saturating_sub(*theirs)).sum();
        #[expect(clippy::cast_precision_loss, reason = "figures for people")]
        let lost = Samples::from_iter([lost as f64]);
        report.row("", &lost, "lost", &format!("records {}", shown(&entry.records)));
    }
    let ratio = Samples::from_iter([rate.median() / best]);
    report.key("whole_job_over_peers", "whole job / the best of them", &ratio, "times", "");
    Ok(())
}

/// Number of lines of a file; none without the file.
fn lines(path: &Path) -> anyhow::Result<u64> {
    if !path.exists() {
        return Ok(0);
    }
    let mut lines = 0;
    let mut file = BufReader::with_capacity(1 << 20, fs::File::open(path)?);
    loop {
        let text = file.fill_buf()?;
        if text.is_empty() {
            return Ok(lines);
        }
        lines += text.iter().filter(|byte| **byte == b'\n').count() as u64;
        let length = text.len();
        file.consume(length);
    }
}

/// Numbers of records, as in `1 + 2 + 3`.
fn shown(records: &[u64]) -> String {
    records.iter().map(u64::to_string).collect::<Vec<_>>().join(" + ")
}

/// Copies a configuration and the files beside it, and fills in folders.
pub(crate) fn prepare(bench: &Bench, input: &Input, configuration: &str) -> anyhow::Result<PathBuf> {
    let folder = bench.fresh("peer")?;
    fs::create_dir_all(folder.join("vdata"))?;
    let from: PathBuf = [env!("CARGO_MANIFEST_DIR"), "peers"].iter().collect();
    for beside in ["parsers.conf", "table.lua"] {
        fs::copy(from.join(beside), folder.join(beside)).with_context(|| beside.to_owned())?;
    }
    let corpus = input.path.display().to_string();
    let text = fs::read_to_string(from.join(configuration)).with_context(|| configuration.to_owned())?;
    let text = text.replace("IN/corpus.ndjson", &corpus).replace("OUT", &folder.display().to_string());
    let path = folder.join(configuration);
    fs::write(&path, text)?;
    Ok(path)
}
