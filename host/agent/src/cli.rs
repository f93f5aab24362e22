//! The command line.

mod config_file;
mod control;
pub(crate) mod node;
pub(crate) mod pack;
pub(crate) mod registry;

use std::io::IsTerminal as _;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use self::config_file::ConfigFile;
pub(crate) use self::control::{AgentPlace, HistoryOptions, ReloadOptions, RollbackOptions, ShadowOptions};

/// An edge telemetry agent whose every pipeline node is a sandboxed WebAssembly component.
#[derive(Parser)]
#[command(
    version,
    after_help = "Exit codes: 0 success, 1 something failed, 2 wrong usage, 69 no agent answers, 78 invalid\n\
                  configuration or pack.\n\n\
                  Try: wattle generate | wattle run --pack cloudtrail --out out"
)]
pub(crate) struct Cli {
    /// How much to log to standard error: off, error, warn, info, debug, trace, or a filter such as wattle_source=debug
    #[arg(long, global = true, env = "WATTLE_LOG", default_value = "info", value_name = "FILTER")]
    pub(crate) log: String,
    /// Form of the log lines
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
    /// When to use colours
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto)]
    pub(crate) color: Color,
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Cli {
    /// Whether to colour what goes to standard error.
    pub(crate) fn use_color(&self) -> bool {
        self.color.wanted(std::io::stderr().is_terminal())
    }
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// Only on a terminal
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

impl Color {
    /// Whether to colour what goes to a terminal, or to something else.
    pub(crate) fn wanted(self, is_terminal: bool) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => is_terminal && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Runs the agent
    Run(RunOptions),
    /// Shows what a running agent does: sources, pipelines, sinks, faults
    Status(StatusOptions),
    /// Has a running agent load its configuration, and tells how that ended
    Reload(ReloadOptions),
    /// Has a running agent go back to the version of a pipeline that ran before
    Rollback(RollbackOptions),
    /// Shows what the shadows of a running agent found
    Shadow(ShadowOptions),
    /// Shows what an agent ran when, and why it changed
    History(HistoryOptions),
    /// Checks a configuration and reports everything that is wrong with it
    Validate(ValidateOptions),
    /// Makes, tests, compares, installs and upgrades packs
    Pack {
        #[command(subcommand)]
        command: pack::PackCommand,
    },
    /// Draws the graph of a pack or of a configuration's pipelines
    Graph(GraphOptions),
    /// Shows what an artifact imports, exports and takes as options
    Inspect(InspectOptions),
    /// Writes, builds, tests and measures nodes of one's own
    Node {
        #[command(subcommand)]
        command: node::NodeCommand,
    },
    /// Generates sample data, the same for the same seed
    Generate(GenerateOptions),
    /// Prints the JSON schema of a file, for editors
    #[command(
        after_help = "For an editor that knows Taplo, write the schema to a file and name it in the first line:\n  \
                            wattle schema agent > agent.schema.json\n  #:schema ./agent.schema.json"
    )]
    Schema {
        /// The file
        #[arg(value_enum)]
        file: SchemaFile,
    },
    /// Shows, sends again or drops events that a masking node could not process
    Quarantine {
        #[command(subcommand)]
        command: QuarantineCommand,
    },
    /// Explains a diagnostic code such as E0203, or lists all
    Explain {
        /// The code
        code: Option<String>,
    },
    /// Prints completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

#[derive(Args)]
#[command(after_help = "Signals: SIGTERM and SIGINT drain and end (a second one ends at once), SIGHUP reloads.\n\n\
                        Examples:\n  wattle run agent.toml\n  wattle run agent.toml --once\n  \
                        zcat *.json.gz | wattle run --pack cloudtrail@1.2.0 --out out")]
pub(crate) struct RunOptions {
    #[command(flatten)]
    pub(crate) config: ConfigFile,
    /// Without a configuration: runs standard input through this pack (name, name@version, or a folder)
    #[arg(short, long, value_name = "PACK", conflicts_with = "file")]
    pub(crate) pack: Option<String>,
    /// A parameter of that pack, as NAME=VALUE; may be repeated
    #[arg(long = "param", value_name = "NAME=VALUE", requires = "pack")]
    pub(crate) params: Vec<String>,
    /// Write each output of that pack to <DIR>/<output>.ndjson, one JSON value a line. Without it a terminal shows the
    /// first 5 events of each output, and a pipe gets all events
    #[arg(short, long, value_name = "DIR", requires = "pack")]
    pub(crate) out: Option<PathBuf>,
    /// How standard input becomes events
    #[arg(long, value_enum, default_value_t = Framing::Auto, requires = "pack")]
    pub(crate) framing: Framing,
    /// Number of worker threads, in place of the configuration's
    #[arg(long, value_name = "N")]
    pub(crate) workers: Option<usize>,
    /// Runs only packs that wattle.lock beside the configuration pins
    #[arg(long, conflicts_with = "pack")]
    pub(crate) locked: bool,
    /// Takes what the sources hold now, delivers it, and ends
    #[arg(long)]
    pub(crate) once: bool,
    /// Does not reload when a file of the configuration changes
    #[arg(long)]
    pub(crate) no_watch: bool,
    /// Prints no summary at the end
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

impl RunOptions {
    /// Whether a person is to see a few events of each output instead of all of them.
    pub(crate) fn previews(&self) -> bool {
        self.pack.is_some() && self.out.is_none() && std::io::stdout().is_terminal()
    }
}

#[derive(Args)]
#[command(
    after_help = "Without --url the control socket in the data folder answers, and where that cannot be reached the\n\
                        admin listener of the configuration, or 127.0.0.1:9598.\n\n\
                        Exit codes: 0 ready, 1 not ready, 69 no agent answers, 78 the configuration cannot be read."
)]
pub(crate) struct StatusOptions {
    /// Address of the agent's admin listener, such as http://127.0.0.1:9598
    #[arg(short, long, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// The agent's configuration, which names its data folder and its admin listener
    #[arg(short, long, env = "WATTLE_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The agent's data folder
    #[arg(long, value_name = "DIR", conflicts_with = "config")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Prints all that the agent says of itself, as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Framing {
    /// Each JSON document is an event, wherever its lines end, and each line that is not JSON
    Auto,
    /// Each line is an event
    Lines,
    /// The whole input is one event
    Document,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SchemaFile {
    /// `agent.toml`
    Agent,
    /// `pack.toml`
    Pack,
    /// `node.toml`
    Node,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DiagnosticFormat {
    /// With the place in the file
    Text,
    /// A line each
    Short,
    /// A JSON object each
    Json,
}

#[derive(Args)]
#[command(after_help = "Without FILE and --config, `agent.toml` in the current folder is checked.")]
pub(crate) struct ValidateOptions {
    #[command(flatten)]
    pub(crate) config: ConfigFile,
    /// Form of the diagnostics
    #[arg(long, value_enum, default_value_t = DiagnosticFormat::Text)]
    pub(crate) format: DiagnosticFormat,
    /// Refuses packs that wattle.lock does not pin
    #[arg(long)]
    pub(crate) locked: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum GraphFormat {
    /// Mermaid
    Mermaid,
    /// Graphviz
    Dot,
}

#[derive(Args)]
pub(crate) struct GraphOptions {
    /// A pack (name, name@version, folder) or a configuration (a `.toml` file)
    pub(crate) pack: String,
    /// Language of the drawing
    #[arg(long, value_enum, default_value_t = GraphFormat::Mermaid)]
    pub(crate) format: GraphFormat,
}

#[derive(Args)]
pub(crate) struct InspectOptions {
    /// A `.wasm` file, or the name of a built-in node such as mask
    pub(crate) artifact: String,
    /// Prints JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum GenerateShape {
    /// `{"Records":[...]}`, as S3 delivers
    Records,
    /// A bare array
    Array,
    /// A record a line
    Ndjson,
    /// A CloudWatch Logs subscription, records as strings
    Cloudwatch,
}

#[derive(Args)]
pub(crate) struct GenerateOptions {
    /// Number of documents
    #[arg(short = 'n', long, default_value_t = 100)]
    pub(crate) documents: u64,
    /// Records in each document; without it as in real log files, 6 in the median
    #[arg(short, long)]
    pub(crate) records: Option<u32>,
    /// Seed; the same seed gives the same bytes
    #[arg(short, long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Shape of the documents
    #[arg(long, value_enum, default_value_t = GenerateShape::Records)]
    pub(crate) shape: GenerateShape,
    /// Pretty-prints the documents
    #[arg(long)]
    pub(crate) pretty: bool,
    /// Writes a gzip file for each document to this folder, named as CloudTrail names them, instead of lines to
    /// standard output
    #[arg(short, long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
}

/// Where a quarantine is.
#[derive(Args)]
pub(crate) struct QuarantinePlace {
    /// The configuration whose data folder it is in
    #[arg(short, long, env = "WATTLE_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The data folder itself
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
}

/// Which events a command is about.
#[derive(Args)]
pub(crate) struct QuarantineSelection {
    /// The pipeline
    pub(crate) pipeline: String,
    /// Ids of events, as `list` shows them
    #[arg(value_name = "ID", required_unless_present = "all", conflicts_with = "all")]
    pub(crate) ids: Vec<String>,
    /// All events of the pipeline
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Subcommand)]
pub(crate) enum QuarantineCommand {
    /// Lists the pipelines with events in quarantine, or the events of one
    List {
        /// The pipeline
        pipeline: Option<String>,
        #[command(flatten)]
        place: QuarantinePlace,
    },
    /// Prints events as they are, which is in clear
    Show {
        /// The pipeline
        pipeline: String,
        /// Ids of events, as `list` shows them
        #[arg(value_name = "ID", required = true)]
        ids: Vec<String>,
        #[command(flatten)]
        place: QuarantinePlace,
    },
    /// Sends events through the pipeline again, from the node that failed, to its sinks
    ///
    /// No agent may run on the data folder meanwhile. An event is taken out when every sink has it; one that fails again
    /// comes back under a new id.
    Retry {
        #[command(flatten)]
        selection: QuarantineSelection,
        /// The configuration, with the node mended
        #[arg(short, long, env = "WATTLE_CONFIG", value_name = "FILE")]
        config: PathBuf,
    },
    /// Drops events for ever
    Drop {
        #[command(flatten)]
        selection: QuarantineSelection,
        /// Does not ask
        #[arg(short, long)]
        yes: bool,
        #[command(flatten)]
        place: QuarantinePlace,
    },
}
