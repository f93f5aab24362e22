//! `cargo xtask chaos`: builds the agent and the fault injector, and runs the injector.

use std::process::Command;

use crate::nodes;
use crate::process::{run, target_dir};
use crate::tools;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Run fewer kills and shorter faults, without soak: under five minutes after the build
    #[arg(long)]
    quick: bool,
    /// Run only these sections: kill, stateful, s3, edges, evil, sinks, sources, soak
    #[arg(long, value_name = "SECTIONS")]
    only: Option<String>,
    /// Seed of every random choice; default: a new one, which is printed
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Rounds of kill -9; default: 200, or 25 with --quick
    #[arg(long, value_name = "N")]
    rounds: Option<u64>,
    /// Duration of the soak, such as 30m
    #[arg(long, value_name = "TIME")]
    soak: Option<String>,
}

pub(crate) fn chaos(options: &Options) -> anyhow::Result<()> {
    nodes::build_all()?;
    let target = target_dir()?;
    let mut command = Command::new(target.join("release/wattle-chaos"));
    command.arg("--out").arg(target.join("chaos.json"));
    if options.quick {
        command.arg("--quick");
    }
    let number = |number: Option<u64>| number.map(|n| n.to_string());
    for (name, value) in [
        ("--only", options.only.clone()),
        ("--seed", number(options.seed)),
        ("--rounds", number(options.rounds)),
        ("--soak", options.soak.clone()),
    ] {
        if let Some(value) = value {
            command.args([name, &value]);
        }
    }
    if options.only.as_deref().is_none_or(|only| only.split(',').any(|section| section == "edges")) {
        command.env("WATTLE_NATS", tools::add_nats()?);
    }
    run(&mut command)
}
