//! The command line of `wattle node`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

#[derive(Subcommand)]
pub(crate) enum NodeCommand {
    /// Begins a project for a node: code, options, cases, one command to build it
    New(NewOptions),
    /// Builds the node of a project with the tools of its language
    Build(BuildOptions),
    /// Runs the cases of a project on the real sandbox
    Test(TestOptions),
    /// Measures what a node costs: time by size of batch, fuel, memory, size, start
    Bench(BenchOptions),
    /// Builds and runs a node again whenever its code is saved, and shows what became of the same events
    Dev(DevOptions),
    /// Checks that a component keeps the contract, whatever it does
    Conformance(ConformanceOptions),
    /// Makes a component of a core module that was written to the contract
    Wrap(WrapOptions),
}

/// A language with an SDK.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Language {
    /// Rust
    Rust,
    /// C
    C,
    /// JavaScript
    Js,
    /// TypeScript
    Ts,
    /// Python
    Python,
    /// Go
    Go,
}

#[derive(Args)]
#[command(
    after_help = "Examples:\n  wattle node new --lang rust shout\n  cd shout && wattle node build && wattle node test"
)]
pub(crate) struct NewOptions {
    /// Name of the node, in kebab-case; the folder is made here
    pub(crate) name: String,
    /// Language
    #[arg(short, long, value_enum)]
    pub(crate) lang: Language,
    /// Works on columns instead of one event at a time: faster, and somewhat more to write
    #[arg(long)]
    pub(crate) columns: bool,
}

#[derive(Args)]
pub(crate) struct BuildOptions {
    /// The project
    #[arg(default_value = ".", value_name = "DIR")]
    pub(crate) project: PathBuf,
}

#[derive(Args)]
pub(crate) struct TestOptions {
    /// Runs only cases whose name holds this text
    #[arg(value_name = "FILTER", default_value = "")]
    pub(crate) filter: String,
    /// The project
    #[arg(short, long, default_value = ".", value_name = "DIR")]
    pub(crate) project: PathBuf,
}

#[derive(Args)]
pub(crate) struct ComponentOptions {
    /// A component, or a project whose node is built
    #[arg(default_value = ".", value_name = "FILE.wasm|DIR")]
    pub(crate) component: PathBuf,
    /// Options of the node, a JSON object; a project has its own in `node.toml`
    #[arg(long, value_name = "JSON")]
    pub(crate) options: Option<String>,
    /// Prints JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct BenchOptions {
    #[command(flatten)]
    pub(crate) component: ComponentOptions,
    /// Events to measure with, one a line, repeated as often as needed; a log line of 180 bytes if not given
    #[arg(long, value_name = "FILE")]
    pub(crate) input: Option<PathBuf>,
    /// Does not compile the node a second time to count its fuel
    #[arg(long)]
    pub(crate) no_fuel: bool,
}

#[derive(Args)]
pub(crate) struct DevOptions {
    /// The project
    #[arg(default_value = ".", value_name = "DIR")]
    pub(crate) project: PathBuf,
    /// Events to show, one a line; the inputs of the cases if not given
    #[arg(long, value_name = "FILE")]
    pub(crate) input: Option<PathBuf>,
    /// How many events to show
    #[arg(long, default_value_t = 5, value_name = "N")]
    pub(crate) events: usize,
}

#[derive(Args)]
pub(crate) struct ConformanceOptions {
    #[command(flatten)]
    pub(crate) component: ComponentOptions,
    /// The component is the example nodes: checks that they do what they do in every language
    #[arg(long)]
    pub(crate) examples: bool,
}

#[derive(Args)]
pub(crate) struct WrapOptions {
    /// The core module
    #[arg(value_name = "MODULE.wasm")]
    pub(crate) module: PathBuf,
    /// Where the component goes
    #[arg(short, long, value_name = "FILE.wasm")]
    pub(crate) out: PathBuf,
}
