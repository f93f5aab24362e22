//! The program behind `cargo xtask chaos`: a table on the terminal, and a JSON file. It ends with
//! an error if an event was lost or repeated without reason, or if a fault was not contained or not
//! survived.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::ensure;
use clap::Parser;
use wattle_chaos::{Report, edges, evil, kill, s3, sinks, soak, sources, stateful};

/// Breaks things around a running agent. Called by `cargo xtask chaos`, which builds what this needs.
#[derive(Parser)]
struct Cli {
    /// Where the figures go
    #[arg(long, default_value = "target/chaos.json")]
    out: PathBuf,
    /// Fewer kills and shorter troubles: under five minutes
    #[arg(long)]
    quick: bool,
    /// Only these sections: kill, stateful, s3, edges, evil, sinks, sources, soak
    #[arg(long, value_delimiter = ',')]
    only: Vec<Section>,
    /// Decides every random choice; without it a new one is drawn
    #[arg(long)]
    seed: Option<u64>,
    /// Rounds of kill -9; 200, or 25 with --quick
    #[arg(long)]
    rounds: Option<u64>,
    /// How long to soak; without it 30m, and not at all with --quick unless --only asks for it
    #[arg(long, value_parser = duration)]
    soak: Option<Duration>,
}

fn duration(text: &str) -> Result<Duration, jiff::Error> {
    text.parse::<jiff::SignedDuration>()?.try_into()
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Section {
    Kill,
    Stateful,
    S3,
    Edges,
    Evil,
    Sinks,
    Sources,
    Soak,
}

/// The figures that the project has targets for.
const KEYS: &[&str] = &[
    "kill_rounds",
    "lost",
    "duplicated_outside_window",
    "stateful_kills",
    "stateful_swaps",
    "stateful_rollbacks",
    "stateful_lost",
    "stateful_repeated",
    "windows_missing",
    "windows_doubled_same_id",
    "windows_doubled_other_id",
    "dedup_lost",
    "dedup_doubled",
    "dedup_repeated",
    "s3_kills",
    "s3_objects",
    "s3_events",
    "s3_lost",
    "s3_early",
    "s3_doubled",
    "s3_repeated",
    "s3_sink_doubled",
    "s3_messages_left",
    "edges_kills",
    "edges_stops",
    "edges_reloads",
    "edges_restarts",
    "edges_rebalances",
    "edges_events",
    "edges_lost",
    "edges_repeated",
    "edges_doubled",
    "evil_nodes",
    "evil_nodes_contained",
    "evil_p99_ratio",
    "sink_faults",
    "sink_faults_survived",
    "source_faults",
    "source_faults_survived",
    "rss_slope_kb_per_min",
];

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let seed = cli.seed.unwrap_or_else(|| fastrand::u64(..1_000_000));
    println!("seed {seed}");
    let mut report = Report::default();
    let soak = cli.soak.is_some() || cli.only.contains(&Section::Soak) || (cli.only.is_empty() && !cli.quick);
    let runs = |section| match section {
        Section::Soak => soak,
        _ => cli.only.is_empty() || cli.only.contains(&section),
    };
    if runs(Section::Kill) {
        report.guard(|report| kill::section(report, seed, cli.rounds.unwrap_or(if cli.quick { 25 } else { 200 })));
    }
    if runs(Section::Stateful) {
        let size = if cli.quick { stateful::Size::quick() } else { stateful::Size::full() };
        report.guard(|report| stateful::section(report, seed, size));
    }
    if runs(Section::S3) {
        let size = if cli.quick { s3::Size::quick() } else { s3::Size::full() };
        report.guard(|report| s3::section(report, seed, size));
    }
    if runs(Section::Edges) {
        let size = if cli.quick { edges::Size::quick() } else { edges::Size::full() };
        report.guard(|report| edges::section(report, seed, size));
    }
    if runs(Section::Evil) {
        report.guard(evil::section);
    }
    if runs(Section::Sinks) {
        report.guard(|report| {
            sinks::section(report, seed, if cli.quick { sinks::Size::quick() } else { sinks::Size::full() })
        });
    }
    if runs(Section::Sources) {
        report.guard(|report| sources::section(report, seed));
    }
    if runs(Section::Soak) {
        let default = Duration::from_mins(if cli.quick { 1 } else { 30 });
        report.guard(|report| soak::section(report, seed, cli.soak.unwrap_or(default)));
    }
    println!();
    for key in KEYS {
        match report.figure(key) {
            Some(serde_json::Value::Null) => println!("  {key:<28} not known: a scenario came to no end"),
            Some(value) => println!("  {key:<28} {value}"),
            None => println!("  {key:<28} not run"),
        }
    }
    report.write(&cli.out, seed, KEYS)?;
    println!("\n  written to {}", cli.out.display());
    ensure!(report.bad() == 0, "{} scenarios went wrong; seed {seed}", report.bad());
    Ok(())
}
