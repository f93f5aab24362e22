//! `cargo xtask upgrade`: runs the suite `upgrade` with an older agent, such as that of the last release.

use std::path::PathBuf;

use anyhow::ensure;

use crate::nodes;
use crate::process::{cargo, run};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// The older agent
    #[arg(long, value_name = "BINARY")]
    from: PathBuf,
    /// How often each case is repeated
    #[arg(long, value_name = "N", default_value_t = 3)]
    rounds: u32,
}

pub(crate) fn upgrade(options: &Options) -> anyhow::Result<()> {
    ensure!(options.from.is_file(), "`{}` is not a file", options.from.display());
    nodes::build_all()?;
    let mut command = cargo();
    // The whole workspace is selected, because cargo unifies features per selection of packages.
    command.args(["test", "--release", "--workspace", "--test", "upgrade", "--", "--nocapture"]);
    // One case at a time, so that the kills are at the times that the figures say.
    command.arg("--test-threads=1");
    command.env("WATTLE_UPGRADE_FROM", options.from.canonicalize()?);
    run(command.env("WATTLE_UPGRADE_ROUNDS", options.rounds.to_string()))
}
