//! How the time per megabyte changes when a size grows by factors of ten. Row 6 of the table.

use std::fmt::Write as _;

use crate::bench::{BLACKHOLE, Bench, configuration};
use crate::corpus::Input;
use crate::figures::{Report, Samples};

const STDIN: &str = "type = \"stdin\"";

/// The sizes that grow, with a configuration for each value.
pub(crate) fn measure(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    report.section("Growth: CPU milliseconds for a megabyte, start-up taken off");
    let data = bench.data_dir()?;
    let pack = configuration(&data, STDIN, BLACKHOLE);
    let total = bench.size(20_000_000, 100_000_000);

    for records in [160, 1_600, 16_000, 160_000].into_iter().take(bench.size(3, 4)) {
        let input = bench.corpus.documents(total, records)?;
        row(bench, report, &format!("documents of {:.2} MB", f64::from(records) * 0.00156), &pack, &input, 1.0)?;
    }
    let lines = bench.corpus.records(total)?;
    for kib in [2.5, 25.0, 250.0, 2_500.0] {
        let batch = format!("\n[agent.batch]\nmax_bytes = {}\n\n[sources.in]", kib * 1024.0);
        let configuration = pack.replacen("\n[sources.in]", &batch, 1);
        row(bench, report, &format!("records in batches of {kib} KiB"), &configuration, &lines, 1.0)?;
    }
    for nodes in [1, 10, 100] {
        let configuration = inline(&data, nodes, 1);
        row(bench, report, &format!("{nodes} nodes (time for a node)"), &configuration, &lines, f64::from(nodes))?;
    }
    for rules in [1, 10, 100] {
        row(bench, report, &format!("a mask of {rules} patterns"), &inline(&data, 1, rules), &lines, 1.0)?;
    }
    // A hundred pipelines do the work a hundred times.
    let lines = bench.corpus.records(20_000_000)?;
    for pipelines in [1, 10, 100].into_iter().take(bench.size(2, 3)) {
        let mut all = format!("[agent]\ndata_dir = \"{}\"\n\n[sources.in]\n{STDIN}\n\n{BLACKHOLE}", data.display());
        for index in 0..pipelines {
            // Writing to a string does not fail.
            let _ = writeln!(all, "[pipelines.p{index}]\ninputs = [\"in\"]\npack = \"cloudtrail@1.0.0\"\n");
        }
        let what = format!("{pipelines} pipelines (time for a pipeline)");
        row(bench, report, &what, &all, &lines, f64::from(pipelines))?;
    }
    for records in [1_600, 160, 16, 2] {
        let files = bench.corpus.plain_files(total / 2, records)?;
        let source = |folder: &str| {
            format!("type = \"file\"\ninclude = [\"{folder}/*.json\"]\nframing = \"document\"\nstable_after = \"0s\"")
        };
        let count = std::fs::read_dir(&files.path)?.count();
        let base = start_up(
            bench,
            &configuration(&data, &source(&bench.fresh("none")?.display().to_string()), BLACKHOLE),
            None,
        )?;
        let text = configuration(&data, &source(&files.path.display().to_string()), BLACKHOLE);
        let mut samples = Samples::default();
        for _ in 0..3 {
            bench.data_dir()?;
            samples.push(1e3 * (bench.run_configuration(&text, None, 1)?.cpu_s - base) / files.megabytes());
        }
        report.row(&format!("{count} files"), &samples, "ms/MB", "");
    }
    Ok(())
}

fn row(bench: &Bench, report: &mut Report, what: &str, text: &str, input: &Input, by: f64) -> anyhow::Result<()> {
    let base = start_up(bench, text, Some(&bench.corpus.single()?))?;
    let mut samples = Samples::default();
    for _ in 0..bench.size(2, 3) {
        let used = bench.run_configuration(text, Some(input), 1)?;
        samples.push(1e3 * (used.cpu_s - base) / input.megabytes() / by);
    }
    report.row(what, &samples, "ms/MB", "");
    Ok(())
}

/// CPU seconds of the same configuration with almost no input.
fn start_up(bench: &Bench, text: &str, input: Option<&Input>) -> anyhow::Result<f64> {
    let used: anyhow::Result<Samples> = (0..2).map(|_| Ok(bench.run_configuration(text, input, 1)?.cpu_s)).collect();
    Ok(used?.median())
}

/// A chain of masks with patterns that find nothing, or almost nothing.
fn inline(data: &std::path::Path, nodes: u32, rules: u32) -> String {
    let mut text = format!(
        "[agent]\ndata_dir = \"{}\"\n\n[sources.in]\n{STDIN}\n\n{BLACKHOLE}\n[pipelines.main]\ninputs = [\"in\"]\n",
        data.display()
    );
    let mut last = "input".to_owned();
    for node in 0..nodes {
        let rules: Vec<String> =
            (0..rules).map(|rule| format!("{{ pattern = \"secret{node}x{rule}=([a-z]+)\" }}")).collect();
        let _ = writeln!(
            text,
            "\n[pipelines.main.nodes.n{node}]\nartifact = \"builtin:mask\"\ninputs = [\"{last}\"]\noptions.rules = [{}]",
            rules.join(", ")
        );
        last = format!("n{node}");
    }
    let _ = writeln!(
        text,
        "\n[pipelines.main.outputs.out]\ninputs = [\"{last}\"]\n\n[pipelines.main.outputs.fails]\ninputs = [\"*.failed\"]"
    );
    text
}
