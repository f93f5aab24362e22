//! Other tools on the same corpus, if they are on the PATH. Their configurations are in `peers/`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::bench::Bench;
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
        published: 33.1,
    },
    Peer {
        name: "Fluent Bit",
        program: "fluent-bit",
        args: &["-c"],
        configurations: &[("fluent-bit-pathsnull-thr-file.yaml", "tail and Lua, masks by known paths")],
        published: 39.7,
    },
];

/// CPU seconds of jq for the unrolling alone, on one core.
pub(crate) fn jq(program: &Path, input: &Input) -> anyhow::Result<f64> {
    // Through a shell, which discards the output.
    let job = Job::new("sh").args(["-c", "exec \"$0\" -c '.Records[]' > /dev/null"]).args([program]);
    Ok(job.stdin(&input.path).on_cores("0").run()?.cpu_s)
}

/// Measures the peers on the PATH; for the others it shows published figures.
pub(crate) fn measure(bench: &Bench, report: &mut Report, input: &Input) -> anyhow::Result<()> {
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
        for (configuration, what) in peer.configurations {
            let mut rate = Samples::default();
            for _ in 0..bench.rounds() {
                let path = prepare(bench, input, configuration)?;
                let used = Job::new(&program).args(peer.args).args([&path]).stdin(&input.path).on_cores("0").run()?;
                rate.push(input.megabytes() / used.cpu_s);
            }
            report.row(peer.name, &rate, "MB/CPU-s", what);
            if let Some(ours) = report.value("whole_job_mb_per_cpu_s") {
                report.row("whole job / it", &Samples::from_iter([ours / rate.median()]), "times", "");
            }
        }
    }
    Ok(())
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
