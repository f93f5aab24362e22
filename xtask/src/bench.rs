//! `cargo xtask bench`: builds the agent and the benchmark, and runs the benchmark.

use std::process::Command;

use crate::nodes;
use crate::process::{run, target_dir};
use crate::tools;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Use a small corpus and fewer repetitions: under two minutes after the build
    #[arg(long)]
    quick: bool,
    /// File for the figures; default: target/bench.json
    #[arg(long, value_name = "FILE")]
    out: Option<std::path::PathBuf>,
    /// Run only these sections: whole, memory, twin, start, small, copies, growth, stateful, shared, s3, edges, page, flame
    #[arg(long, value_name = "SECTIONS")]
    only: Option<String>,
}

pub(crate) fn bench(options: &Options) -> anyhow::Result<()> {
    nodes::build_all()?;
    let target = target_dir()?;
    let mut command = Command::new(target.join("release/wattle-bench"));
    command.arg("--target").arg(&target);
    if options.quick {
        command.arg("--quick");
    }
    if let Some(out) = &options.out {
        command.arg("--out").arg(out);
    }
    if let Some(only) = &options.only {
        command.arg("--only").arg(only);
        // Without the request nothing is installed, and the browser is measured if it is there.
        if only.split(',').any(|section| section == "page") {
            command.env("WATTLE_BROWSER", tools::add_chromium()?);
        }
    }
    run(&mut command)
}
