//! `wattle completions`: prints completions for a shell.

use clap::CommandFactory as _;

use crate::cli::Cli;
use crate::exit::Done;

pub(crate) fn completions(shell: clap_complete::Shell) -> Done {
    clap_complete::generate(shell, &mut Cli::command(), "wattle", &mut std::io::stdout());
    Ok(())
}
