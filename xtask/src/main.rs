//! Commands for development: `cargo xtask <command>`. Each command installs and builds what it needs.

mod bench;
mod chaos;
mod demo;
mod deny;
mod dist;
mod fuzz;
mod interpreter;
mod languages;
mod nodes;
mod package;
mod picture;
mod process;
mod remap;
mod swap;
mod test;
mod tools;
mod upgrade;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Build, demonstrate, test and measure Wattle")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build the built-in nodes and the test guests as WebAssembly components
    Nodes,
    /// Build the agent with its nodes and packs: target/release/wattle, with symbols in wattle.debug
    Build,
    /// Run the CloudTrail pack on generated logs and swap its version under load
    Demo(demo::Options),
    /// Render the demo's `wattle run` to docs/demo.svg, or the page to docs/see-*.webp
    Picture(picture::Options),
    /// Install the tools and run all tests
    Test,
    /// Measure speed, memory and start-up, and write target/bench.json
    Bench(bench::Options),
    /// Inject faults around a running agent, account for every event, and write target/chaos.json
    Chaos(chaos::Options),
    /// Swap the version of a pack under full load, verify that no event is lost, and write target/swap.json
    Swap(swap::Options),
    /// Upgrade from another agent and go back, under load and with kills, and verify that no event is lost
    Upgrade(upgrade::Options),
    /// Fuzz every parser of untrusted input
    Fuzz(fuzz::Options),
    /// Build, check and measure nodes in every available language, and write target/languages.json
    Languages(languages::Options),
    /// Write the packages for Debian and RPM to target/packages
    Package(package::Options),
    /// Write a release to target/dist: static binaries, packages, the image, SBOM, provenance and signed digests
    Dist(dist::Options),
    /// Build an agent that interprets nodes to target/interpreter/release/wattle, and check it
    Interpreter,
    /// Check licences, sources, advisories and the audit trail of all dependencies
    Deny,
    /// Check formatting and lints
    Lint,
}

fn main() -> anyhow::Result<()> {
    let command = Cli::parse().command;
    process::enter_root()?;
    match command {
        Command::Nodes => nodes::build(),
        Command::Build => nodes::build_agent().map(drop),
        Command::Demo(options) => demo::run(&options),
        Command::Picture(options) => picture::picture(&options),
        Command::Test => test::test(),
        Command::Bench(options) => bench::bench(&options),
        Command::Chaos(options) => chaos::chaos(&options),
        Command::Swap(options) => swap::swap(&options),
        Command::Upgrade(options) => upgrade::upgrade(&options),
        Command::Fuzz(options) => fuzz::fuzz(&options),
        Command::Languages(options) => languages::languages(&options),
        Command::Package(options) => package::package(&options),
        Command::Dist(options) => dist::dist(&options),
        Command::Interpreter => interpreter::interpreter(),
        Command::Deny => deny::deny(),
        Command::Lint => test::lint(),
    }
}
