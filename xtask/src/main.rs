//! The project's own commands: `cargo xtask <command>`. Everything that a command needs, it sets up itself.

mod bench;
mod chaos;
mod demo;
mod deny;
mod fuzz;
mod languages;
mod nodes;
mod process;
mod swap;
mod test;
mod tools;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Builds, shows, tests and measures Wattle")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Builds the nodes that are built into the agent, and the test guests, as WebAssembly components
    Nodes,
    /// Builds the agent with its nodes and packs inside: target/release/wattle, and its symbols in wattle.debug
    Build,
    /// Runs the CloudTrail pack on generated CloudTrail and swaps its version under load
    Demo(demo::Options),
    /// Sets everything up and passes all tests
    Test,
    /// Measures speed, memory and start-up, and writes target/bench.json
    Bench(bench::Options),
    /// Breaks things around a running agent, counts what became of every event, and writes target/chaos.json
    Chaos(chaos::Options),
    /// Swaps a pack's version under full load, proves that nothing was lost, and writes target/swap.json
    Swap(swap::Options),
    /// Feeds made-up bytes to everything that reads what others wrote
    Fuzz(fuzz::Options),
    /// Builds, checks and measures nodes in every language whose tools can be had, and writes target/languages.json
    Languages(languages::Options),
    /// Checks licences, sources and advisories of all dependencies
    Deny,
    /// Formatting and lints, as the landing gate checks them
    Lint,
}

fn main() -> anyhow::Result<()> {
    let command = Cli::parse().command;
    process::enter_root()?;
    match command {
        Command::Nodes => nodes::build(),
        Command::Build => nodes::build_agent().map(drop),
        Command::Demo(options) => demo::run(&options),
        Command::Test => test::test(),
        Command::Bench(options) => bench::bench(&options),
        Command::Chaos(options) => chaos::chaos(&options),
        Command::Swap(options) => swap::swap(&options),
        Command::Fuzz(options) => fuzz::fuzz(&options),
        Command::Languages(options) => languages::languages(&options),
        Command::Deny => deny::deny(),
        Command::Lint => test::lint(),
    }
}
