//! The command line of `wattle node`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

#[derive(Subcommand)]
pub(crate) enum NodeCommand {
    /// Create a project for a node, with code, options, and test cases
    New(NewOptions),
    /// Build the node of a project with the tools of its language
    Build(BuildOptions),
    /// Run the test cases of a project in the sandbox
    Test(TestOptions),
    /// Run events through a node, and show what each step changes
    Run(RunOptions),
    /// Measure a node: time by batch size, fuel, memory, size, startup
    Bench(BenchOptions),
    /// Rebuild and rerun a node when its code is saved, and compare its output on the same events
    Dev(DevOptions),
    /// Check that a component complies with the contract
    Conformance(ConformanceOptions),
    /// Convert a core module that implements the contract to a component
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
    /// Name of the node in kebab-case, and of the new folder
    pub(crate) name: String,
    /// Language
    #[arg(short, long, value_enum)]
    pub(crate) lang: Language,
    /// Process columns instead of single events: faster, with somewhat more code
    #[arg(long)]
    pub(crate) columns: bool,
}

#[derive(Args)]
pub(crate) struct BuildOptions {
    /// Folder of the project
    #[arg(default_value = ".", value_name = "DIR")]
    pub(crate) project: PathBuf,
}

#[derive(Args)]
pub(crate) struct TestOptions {
    /// Run only cases whose name contains this text
    #[arg(value_name = "FILTER", default_value = "")]
    pub(crate) filter: String,
    /// Folder of the project
    #[arg(short, long, default_value = ".", value_name = "DIR")]
    pub(crate) project: PathBuf,
}

#[derive(Args)]
pub(crate) struct ComponentOptions {
    /// A component, a project with a built node, or a built-in node such as builtin:edit
    #[arg(default_value = ".", value_name = "FILE.wasm|DIR|builtin:NAME")]
    pub(crate) component: PathBuf,
    /// Options of the node: a JSON object, or a file in TOML or JSON, with the options or with a block `[nodes.NAME]` as in
    /// packs. The default is those in `node.toml` of the project
    #[arg(long, value_name = "JSON|FILE")]
    pub(crate) options: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
#[command(
    after_help = "Options with a list `steps`, such as those of builtin:edit, show the changes of each step.\n\n\
                        Examples:\n  wattle node run builtin:edit --options edit.toml < lines.ndjson\n  \
                        wattle node run builtin:parse --options '{\"format\": \"nginx\"}' --input access.log\n\n\
                        Exit codes: 0 success, 1 the node cannot run, 78 the options are invalid."
)]
pub(crate) struct RunOptions {
    #[command(flatten)]
    pub(crate) component: ComponentOptions,
    /// File with the events. The default is standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) input: Option<PathBuf>,
    /// Each line is an event with body, attributes and timestamp, as the codec `json` of sinks writes it. Without this
    /// option, each line is the body of an event
    #[arg(long)]
    pub(crate) events: bool,
    /// TOML file with the tables `grants` and `mocks`, as in `node.toml`. The default grants every capability
    #[arg(long, value_name = "FILE")]
    pub(crate) grants: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct BenchOptions {
    #[command(flatten)]
    pub(crate) component: ComponentOptions,
    /// Events to measure with, one per line, repeated as often as needed. The default is a log line of 180 bytes
    #[arg(long, value_name = "FILE")]
    pub(crate) input: Option<PathBuf>,
    /// Do not count fuel, which compiles the node a second time
    #[arg(long)]
    pub(crate) no_fuel: bool,
}

#[derive(Args)]
pub(crate) struct DevOptions {
    /// Folder of the project
    #[arg(default_value = ".", value_name = "DIR")]
    pub(crate) project: PathBuf,
    /// Events to show, one per line. The default is the inputs of the test cases
    #[arg(long, value_name = "FILE")]
    pub(crate) input: Option<PathBuf>,
    /// Number of events to show
    #[arg(long, default_value_t = 5, value_name = "N")]
    pub(crate) events: usize,
}

#[derive(Args)]
pub(crate) struct ConformanceOptions {
    #[command(flatten)]
    pub(crate) component: ComponentOptions,
    /// The component holds the example nodes: check that they behave as in every other language
    #[arg(long)]
    pub(crate) examples: bool,
}

#[derive(Args)]
pub(crate) struct WrapOptions {
    /// The core module
    #[arg(value_name = "MODULE.wasm")]
    pub(crate) module: PathBuf,
    /// File to write the component to
    #[arg(short, long, value_name = "FILE.wasm")]
    pub(crate) out: PathBuf,
}
