//! The benchmark behind `cargo xtask bench`: a table on the terminal and a JSON file. It does not
//! use the network.
//!
//! Ratios compare figures of one run, from alternating measurements. CPU time is preferred over
//! wall time. The sections follow the rows that docs/PERFORMANCE.md explains.

mod bench;
mod corpus;
mod edges;
mod figures;
mod flame;
mod growth;
mod job;
mod memory;
mod nodes;
mod page;
mod peers;
mod s3;
mod small;
mod start;
mod stateful;
mod twin;
mod whole;

use std::path::PathBuf;
use std::time::Instant;

use clap::{Parser, Subcommand};

use crate::bench::Bench;
use crate::corpus::Corpus;
use crate::figures::{Report, machine};
use crate::nodes::Kind;

/// Measures the agent. Called by `cargo xtask bench`, which builds what this needs.
#[derive(Parser)]
struct Cli {
    /// The target folder, with the agent, the nodes and the guests
    #[arg(long, default_value = "target")]
    target: PathBuf,
    /// Where the figures go; `bench.json` in the target folder without it
    #[arg(long)]
    out: Option<PathBuf>,
    /// A small corpus and fewer repetitions: under two minutes
    #[arg(long)]
    quick: bool,
    /// Only these sections: whole, memory, twin, start, small, copies, growth, stateful, shared, s3, edges, page; and `flame`,
    /// which draws a flame graph
    #[arg(long, value_delimiter = ',')]
    only: Vec<Section>,
    #[command(subcommand)]
    part: Option<Part>,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Section {
    Whole,
    Memory,
    Twin,
    Start,
    Small,
    Copies,
    Growth,
    Stateful,
    Shared,
    S3,
    Edges,
    Page,
    Flame,
}

/// Steps that the benchmark runs in separate processes.
#[derive(Subcommand)]
enum Part {
    /// Runs the pack over standard input and prints the CPU seconds
    Pipeline {
        /// How nodes are made
        #[arg(long)]
        nodes: Kind,
        /// The folder that the benchmark works in
        #[arg(long)]
        work: PathBuf,
        /// Where the outputs go
        #[arg(long)]
        out: PathBuf,
    },
}

/// As in the agent.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    if let Some(Part::Pipeline { nodes, work, out }) = &cli.part {
        // As in the agent, but not for the whole benchmark: the other tools that it starts would
        // inherit the setting.
        rustix::thread::disable_transparent_huge_pages(std::env::var_os("MIMALLOC_ALLOW_THP").is_none())?;
        return twin::pipeline(&cli.target, work, out, *nodes);
    }
    let target = std::path::absolute(&cli.target)?;
    let bench = Bench {
        wattle: target.join("release/wattle"),
        work: target.join("bench"),
        corpus: Corpus::new(target.join("bench-corpus")),
        target: target.clone(),
        quick: cli.quick,
    };
    let since = Instant::now();
    let machine = machine();
    println!("{machine}\nMedians, and the least and the most of what was measured.");
    let mut report = Report::default();
    let wanted = |section: Section| cli.only.is_empty() || cli.only.contains(&section);
    if wanted(Section::Whole) {
        whole::measure(&bench, &mut report)?;
    }
    if wanted(Section::Memory) {
        memory::measure(&bench, &mut report)?;
    }
    if wanted(Section::Twin) {
        twin::measure(&bench, &mut report)?;
    }
    if wanted(Section::Start) {
        start::measure(&bench, &mut report)?;
    }
    if wanted(Section::Small) {
        small::measure(&bench, &mut report)?;
    }
    if wanted(Section::Copies) {
        whole::copies(&bench, &mut report)?;
    }
    if wanted(Section::Growth) {
        growth::measure(&bench, &mut report)?;
    }
    if wanted(Section::Stateful) {
        stateful::measure(&bench, &mut report)?;
    }
    if wanted(Section::Shared) {
        stateful::shared(&bench, &mut report)?;
    }
    if wanted(Section::S3) {
        s3::measure(&bench, &mut report)?;
    }
    if wanted(Section::Edges) {
        edges::measure(&bench, &mut report)?;
    }
    if wanted(Section::Page) {
        page::measure(&bench, &mut report)?;
    }
    // A picture and not a figure, and it needs perf: only on request.
    if cli.only.contains(&Section::Flame) {
        flame::draw(&bench)?;
    }
    let out = cli.out.unwrap_or_else(|| target.join("bench.json"));
    report.write(&out, &machine)?;
    println!("\n{} s; all figures are in {}", since.elapsed().as_secs(), out.display());
    Ok(())
}
