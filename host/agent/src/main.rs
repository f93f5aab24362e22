//! `wattle`: the agent and its tools.

mod allocator;
mod builtin;
mod cli;
mod client;
mod commands;
mod compiler;
mod configuration;
mod exit;
mod io_threads;
mod logging;
mod progress;
mod signals;
mod summary;
mod waiting;

use std::process::ExitCode;

use clap::Parser as _;
// Only for its symbols, which the linker takes instead of those of musl.
#[cfg(target_env = "musl")]
use wattle_mem as _;

use crate::cli::{Cli, Command};
use crate::exit::Failure;

fn main() -> ExitCode {
    allocator::configure();
    if let Some(code) = compiler::serve() {
        return code;
    }
    allocator::fit_address_space();
    compiler::install();
    let cli = Cli::parse();
    logging::init(&cli);
    if let Err(error) = wattle_supervisor::set_env_files(cli.env_file.clone()) {
        exit::say(&format!("wattle: {error}"));
        return ExitCode::from(exit::CONFIG);
    }
    let color = cli.use_color();
    let done = match cli.command {
        Command::Run(options) => commands::run::run(&options, color),
        Command::Status(options) => commands::status::status(&options, cli.color),
        Command::Top(options) => commands::top::top(&options, cli.color),
        Command::Tap(options) => commands::tap::tap(&options, cli.color),
        Command::Reload(options) => commands::reload::reload(&options),
        Command::Rollback(options) => commands::rollback::rollback(&options),
        Command::Shadow(options) => commands::shadow::shadow(&options),
        Command::History(options) => commands::history::history(&options),
        Command::Validate(options) => commands::validate::validate(&options, color),
        Command::Config { command } => commands::config::config(&command, color),
        Command::Pack { command } => commands::pack::pack(&command, color),
        Command::Try(options) => commands::try_pack::try_pack(&options, cli.color),
        Command::Graph(options) => commands::graph::graph(&options, color),
        Command::Inspect(options) => commands::inspect::inspect(&options),
        Command::Node { command } => commands::node::node(&command, cli.color),
        Command::Generate(options) => commands::generate::generate(&options),
        Command::Cloudtrail { command } => commands::cloudtrail::cloudtrail(&command),
        Command::Schema { file } => commands::schema::schema(file),
        Command::Quarantine { command } => commands::quarantine::quarantine(&command),
        Command::Explain { code } => commands::explain::explain(code.as_deref()),
        Command::Version(options) => commands::version::version(&options),
        Command::Completions { shell } => commands::completions::completions(shell),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { code, message, is_styled }) => {
            let say = if is_styled { exit::say_styled } else { exit::say };
            if !message.is_empty() {
                say(&format!("wattle: {message}"));
            }
            ExitCode::from(code)
        }
    }
}
