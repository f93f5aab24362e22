//! Options of commands to a running agent, and about what it ran.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

/// Which agent.
#[derive(Args)]
pub(crate) struct AgentPlace {
    /// The configuration of the agent, which names its data folder
    #[arg(short, long, env = "WATTLE_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The data folder itself
    #[arg(long, value_name = "DIR", conflicts_with = "config")]
    pub(crate) data_dir: Option<PathBuf>,
}

#[derive(Args)]
#[command(
    after_help = "Exit codes: 0 the configuration runs, 1 it could not be built or there was no answer in time,\n\
                        69 no agent answers, 78 the configuration is invalid. Unless it is 0, what ran before runs on."
)]
pub(crate) struct ReloadOptions {
    #[command(flatten)]
    pub(crate) place: AgentPlace,
    /// How long to wait for the outcome
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = duration)]
    pub(crate) timeout: Duration,
    /// Prints the outcome as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
#[command(after_help = "What was rolled back stays so until the configuration asks for another version.\n\n\
                        Exit codes: 0 done, 1 nothing to go back to, 69 no agent answers.")]
pub(crate) struct RollbackOptions {
    /// The pipeline; without it all that ran in another version before, or have a canary
    pub(crate) pipeline: Option<String>,
    #[command(flatten)]
    pub(crate) place: AgentPlace,
    /// How long to wait for the outcome
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = duration)]
    pub(crate) timeout: Duration,
    /// Prints the outcome as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct ShadowOptions {
    #[command(flatten)]
    pub(crate) place: AgentPlace,
    /// Prints JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct HistoryOptions {
    #[command(flatten)]
    pub(crate) place: AgentPlace,
    /// Prints the last so many entries
    #[arg(short = 'n', long, value_name = "N")]
    pub(crate) last: Option<usize>,
    /// Prints a JSON object a line
    #[arg(long)]
    pub(crate) json: bool,
}

fn duration(text: &str) -> Result<Duration, String> {
    wattle_pack::parse_duration(text).map_err(|error| error.to_string())
}
