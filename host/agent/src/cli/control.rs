//! Options of commands to a running agent, and of its history.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use wattle_options::{Period, QuantityError};

/// Which agent.
#[derive(Args)]
pub(crate) struct AgentPlace {
    /// Configuration of the agent; names its data folder and admin listener; can be repeated
    #[arg(short, long, env = "WATTLE_CONFIG", value_name = "FILE")]
    pub(crate) config: Vec<PathBuf>,
    /// Data folder of the agent
    #[arg(long, value_name = "DIR", conflicts_with = "config")]
    pub(crate) data_dir: Option<PathBuf>,
}

#[derive(Args)]
#[command(
    after_help = "Exit codes: 0 the configuration runs, 1 it cannot be built or the agent did not answer in time,\n\
                        69 no agent answers, 78 the configuration is invalid. Unless 0, the running generation stays."
)]
pub(crate) struct ReloadOptions {
    #[command(flatten)]
    pub(crate) place: AgentPlace,
    /// How long to wait for the result
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = duration)]
    pub(crate) timeout: Duration,
    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
#[command(after_help = "A rollback lasts until the configuration names another version or the agent restarts.\n\n\
                        Exit codes: 0 done, 1 there is no previous version, 69 no agent answers.")]
pub(crate) struct RollbackOptions {
    /// Pipeline to roll back. The default is all pipelines with a previous version or a canary
    pub(crate) pipeline: Option<String>,
    #[command(flatten)]
    pub(crate) place: AgentPlace,
    /// How long to wait for the result
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = duration)]
    pub(crate) timeout: Duration,
    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct ShadowOptions {
    #[command(flatten)]
    pub(crate) place: AgentPlace,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct HistoryOptions {
    #[command(flatten)]
    pub(crate) place: AgentPlace,
    /// Print only the last N entries
    #[arg(short = 'n', long, value_name = "N")]
    pub(crate) last: Option<usize>,
    /// Print one JSON object per line
    #[arg(long)]
    pub(crate) json: bool,
}

fn duration(text: &str) -> Result<Duration, QuantityError> {
    text.parse::<Period>().map(|period| period.0)
}
