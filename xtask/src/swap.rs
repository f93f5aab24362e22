//! `cargo xtask swap`: builds the agent and the test that swaps its packs, and runs the test.

use std::process::Command;

use crate::nodes;
use crate::process::{run, target_dir};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Run a hundred swaps instead of a thousand: under two minutes after the build
    #[arg(long)]
    quick: bool,
    /// Number of swaps
    #[arg(long, value_name = "N")]
    swaps: Option<u64>,
}

pub(crate) fn swap(options: &Options) -> anyhow::Result<()> {
    nodes::build_all()?;
    let target = target_dir()?;
    let mut command = Command::new(target.join("release/wattle-swap"));
    command.arg("--out").arg(target.join("swap.json"));
    if options.quick {
        command.arg("--quick");
    }
    if let Some(swaps) = options.swaps {
        command.args(["--swaps", &swaps.to_string()]);
    }
    run(&mut command)
}
