//! The command line.

pub(crate) mod cloudtrail;
mod config_file;
mod control;
pub(crate) mod node;
pub(crate) mod pack;
pub(crate) mod registry;
pub(crate) mod try_pack;
mod watch;

use std::io::IsTerminal as _;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use wattle_options::Size;

pub(crate) use self::config_file::{ConfigFile, config_paths};
pub(crate) use self::control::{AgentPlace, HistoryOptions, ReloadOptions, RollbackOptions, ShadowOptions};
pub(crate) use self::watch::{AgentAddress, StatusOptions, TapFormat, TapOptions, TopOptions};

/// An edge telemetry agent. Every pipeline node is a sandboxed WebAssembly component.
#[derive(Parser)]
#[command(
    version,
    after_help = "Exit codes: 0 success, 1 failure, 2 wrong usage, 69 no agent answers, 78 invalid configuration\n\
                  or pack.\n\n\
                  Try: wattle generate | wattle run --pack cloudtrail --out out"
)]
pub(crate) struct Cli {
    /// Log level on standard error: off, error, warn, info, debug, trace, or a filter such as wattle_source=debug
    #[arg(long, global = true, env = "WATTLE_LOG", default_value = "info", value_name = "FILTER")]
    pub(crate) log: String,
    /// Format of the log
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
    /// When to use colors
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto)]
    pub(crate) color: Color,
    /// File with variables for `${NAME}` in the configuration, as EnvironmentFile= of systemd; can be repeated. Variables
    /// of the process and of earlier files take precedence
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) env_file: Vec<PathBuf>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Cli {
    /// Whether output on standard error has colors.
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
    /// Whether output has colors, on a terminal or elsewhere.
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
    /// Readable text
    Text,
    /// One JSON object per line
    Json,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Run the agent
    Run(RunOptions),
    /// Show the status of a running agent: sources, pipelines, sinks, faults
    Status(StatusOptions),
    /// Watch the rates and costs of a running agent in the terminal
    Top(TopOptions),
    /// Show events of a running agent as they pass outputs and nodes
    Tap(TapOptions),
    /// Reload the configuration of a running agent and report the result
    Reload(ReloadOptions),
    /// Roll a pipeline of a running agent back to its previous version
    Rollback(RollbackOptions),
    /// Show the reports of the shadows of a running agent
    Shadow(ShadowOptions),
    /// Show which generations an agent ran, and why each one started
    History(HistoryOptions),
    /// Check a configuration and report all errors
    Validate(ValidateOptions),
    /// Show what the files of a configuration are together
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Create, test, compare, install and upgrade packs
    Pack {
        #[command(subcommand)]
        command: pack::PackCommand,
    },
    /// Show what a pack does to a file, and how another version differs
    Try(try_pack::TryOptions),
    /// Draw the graph of a pack or of the pipelines of a configuration
    Graph(GraphOptions),
    /// Show the imports, exports and options of an artifact
    Inspect(InspectOptions),
    /// Create, build, test and measure nodes
    Node {
        #[command(subcommand)]
        command: node::NodeCommand,
    },
    /// Generate sample data; the same seed gives the same data
    Generate(GenerateOptions),
    /// Verify CloudTrail log files
    Cloudtrail {
        #[command(subcommand)]
        command: cloudtrail::CloudtrailCommand,
    },
    /// Print the JSON schema of a file, for editors
    #[command(after_help = "For an editor with Taplo, write the schema to a file and name it in the first line:\n  \
                            wattle schema agent > agent.schema.json\n  #:schema ./agent.schema.json")]
    Schema {
        /// The file
        #[arg(value_enum)]
        file: SchemaFile,
    },
    /// Show, retry or drop events that a masking node could not process
    Quarantine {
        #[command(subcommand)]
        command: QuarantineCommand,
    },
    /// Explain a diagnostic code such as E0203, or list all codes
    Explain {
        /// The code
        code: Option<String>,
    },
    /// Show the version, the commit, and what this program was built with
    Version(VersionOptions),
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

#[derive(Args)]
#[command(after_help = "Signals: SIGTERM and SIGINT drain and exit (a second one exits at once), SIGHUP reloads.\n\n\
                        Examples:\n  wattle run agent.toml\n  wattle run agent.toml --once\n  \
                        zcat *.json.gz | wattle run --pack cloudtrail@1.2.0 --out out")]
pub(crate) struct RunOptions {
    #[command(flatten)]
    pub(crate) config: ConfigFile,
    /// Run standard input through this pack (name, name@version, or a folder), without a configuration. Its nodes may use
    /// all capabilities except `lookup` and `http-client`, which need settings
    #[arg(short, long, value_name = "PACK", conflicts_with = "file")]
    pub(crate) pack: Option<String>,
    /// Parameter of the pack; can be repeated
    #[arg(long = "param", value_name = "NAME=VALUE", requires = "pack", conflicts_with = "file")]
    pub(crate) params: Vec<String>,
    /// Write each output of the pack to <DIR>/<output>.ndjson, one JSON value per line: whole events for `fails`, `findings`
    /// and `metrics`, else bodies. Without this option, a terminal shows the first 5 events of each output, and a pipe gets
    /// all events
    #[arg(short, long, value_name = "DIR", requires = "pack", conflicts_with = "file")]
    pub(crate) out: Option<PathBuf>,
    /// How to split standard input into events
    #[arg(long, value_enum, default_value_t = Framing::Auto, requires = "pack", conflicts_with = "file")]
    pub(crate) framing: Framing,
    /// Maximum length of a line on standard input, such as 8MiB; longer lines are skipped and counted, and the command
    /// fails. The default is 1MiB
    #[arg(long, value_name = "SIZE", requires = "pack", conflicts_with = "file")]
    pub(crate) max_line_bytes: Option<Size>,
    /// Number of worker threads; overrides the configuration
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) workers: Option<u16>,
    /// Run only packs that are pinned in the wattle.lock next to the configuration
    #[arg(long, conflicts_with = "pack")]
    pub(crate) locked: bool,
    /// Process the events that the sources hold now, deliver them, and exit
    #[arg(long)]
    pub(crate) once: bool,
    /// Do not reload when a file of the configuration changes
    #[arg(long)]
    pub(crate) no_watch: bool,
    /// Print no summary at the end
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

impl RunOptions {
    /// Whether a terminal shows the first events of each output instead of all.
    pub(crate) fn previews(&self) -> bool {
        self.pack.is_some() && self.out.is_none() && std::io::stdout().is_terminal()
    }
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Framing {
    /// Each JSON document is an event, on one line or many, and so is each line that is not JSON
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
    /// With an excerpt of the file
    Text,
    /// One line each
    Short,
    /// One JSON object each
    Json,
}

#[derive(Args)]
#[command(after_help = "Without FILE and --config, the command checks `agent.toml` in the current folder.")]
pub(crate) struct ValidateOptions {
    #[command(flatten)]
    pub(crate) config: ConfigFile,
    /// Format of the diagnostics
    #[arg(long, value_enum, default_value_t = DiagnosticFormat::Text)]
    pub(crate) format: DiagnosticFormat,
    /// Refuse packs that are not pinned in wattle.lock
    #[arg(long)]
    pub(crate) locked: bool,
}

#[derive(Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print the merged configuration without secrets, and where each table comes from
    Show(ConfigShowOptions),
}

#[derive(Args)]
#[command(after_help = "References such as `${NAME}` are printed as they are, and secrets as `***`. Without FILE and \
                        --config, the command reads `agent.toml` in the current folder.")]
pub(crate) struct ConfigShowOptions {
    #[command(flatten)]
    pub(crate) config: ConfigFile,
    /// Format of the output
    #[arg(long, value_enum, default_value_t = ConfigFormat::Toml)]
    pub(crate) format: ConfigFormat,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ConfigFormat {
    /// With a comment for each table
    Toml,
    /// One object with `configuration` and `from`
    Json,
}

#[derive(Args)]
pub(crate) struct VersionOptions {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum GraphFormat {
    /// Mermaid
    Mermaid,
    /// Graphviz
    Dot,
    /// An image for websites, as the page of the agent draws it
    Svg,
}

#[derive(Args)]
pub(crate) struct GraphOptions {
    /// A pack (name, name@version, folder), or a configuration (`.toml` files, or folders with them)
    #[arg(value_name = "PACK", required = true)]
    pub(crate) packs: Vec<String>,
    /// Format of the drawing
    #[arg(long, value_enum, default_value_t = GraphFormat::Mermaid)]
    pub(crate) format: GraphFormat,
}

#[derive(Args)]
pub(crate) struct InspectOptions {
    /// A `.wasm` file, or the name of a built-in node such as mask
    #[arg(value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) artifact: String,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum GenerateShape {
    /// `{"Records":[...]}`, as S3 delivers
    Records,
    /// A bare array
    Array,
    /// One record per line
    Ndjson,
    /// A CloudWatch Logs subscription, records as strings
    Cloudwatch,
}

#[derive(Args)]
pub(crate) struct GenerateOptions {
    /// What to generate; the built-in pack of the same name reads it
    #[arg(value_enum, default_value_t = GenerateKind::Cloudtrail)]
    pub(crate) kind: GenerateKind,
    /// Number of documents, or of lines of other kinds
    #[arg(short = 'n', long, default_value_t = 100)]
    pub(crate) documents: u64,
    /// Records in each document. By default as in real log files, with a median of 6
    #[arg(short, long)]
    pub(crate) records: Option<u32>,
    /// Seed of the generator
    #[arg(short, long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Shape of the documents
    #[arg(long, value_enum, default_value_t = GenerateShape::Records)]
    pub(crate) shape: GenerateShape,
    /// Pretty-print the documents
    #[arg(long)]
    pub(crate) pretty: bool,
    /// Write a gzip file for each document to this folder, as `--layout` says, instead of lines to standard output
    #[arg(short, long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Names of the files in the folder
    #[arg(long, value_enum, default_value_t = GenerateLayout::S3, requires = "out")]
    pub(crate) layout: GenerateLayout,
    /// Also write digests of all hours, with their signatures and the public key, for `wattle cloudtrail verify`; ten
    /// minutes pass between two documents
    #[arg(long, requires = "out")]
    pub(crate) digests: bool,
}

/// How generated files are named.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum GenerateLayout {
    /// As AWS names the objects of a bucket: AWSLogs/ACCOUNT/CloudTrail/REGION/YEAR/MONTH/DAY/...
    S3,
}

/// What `wattle generate` writes.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum GenerateKind {
    /// Documents of AWS CloudTrail
    Cloudtrail,
    /// Access and error logs of nginx
    Nginx,
    /// Messages of sshd, sudo, su and other programs in syslog
    SyslogAuth,
    /// Flow logs of AWS VPC with a header
    VpcFlow,
    /// Access logs of AWS Application Load Balancers
    Alb,
    /// Lines that a Kubernetes runtime writes for containers
    KubernetesContainers,
}

/// Where a quarantine is.
#[derive(Args)]
pub(crate) struct QuarantinePlace {
    /// Configuration of the agent; names its data folder; can be repeated
    #[arg(short, long, env = "WATTLE_CONFIG", value_name = "FILE")]
    pub(crate) config: Vec<PathBuf>,
    /// Data folder of the agent
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
}

/// The events that a command selects.
#[derive(Args)]
pub(crate) struct QuarantineSelection {
    /// The pipeline
    pub(crate) pipeline: String,
    /// Ids of events; `list` shows them
    #[arg(value_name = "ID", required_unless_present = "all", conflicts_with = "all")]
    pub(crate) ids: Vec<String>,
    /// All events of the pipeline
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Subcommand)]
pub(crate) enum QuarantineCommand {
    /// List the pipelines with events in quarantine, or the events of one pipeline
    List {
        /// The pipeline
        pipeline: Option<String>,
        #[command(flatten)]
        place: QuarantinePlace,
    },
    /// Print events unmasked
    Show {
        /// The pipeline
        pipeline: String,
        /// Ids of events; `list` shows them
        #[arg(value_name = "ID", required = true)]
        ids: Vec<String>,
        #[command(flatten)]
        place: QuarantinePlace,
    },
    /// Send events through the pipeline again, from the node that failed
    ///
    /// Stop the agent of the data folder first. The command removes an event after every sink has it. An event that fails
    /// again gets a new id.
    Retry {
        #[command(flatten)]
        selection: QuarantineSelection,
        /// Configuration in which the node is fixed; can be repeated
        #[arg(short, long, env = "WATTLE_CONFIG", value_name = "FILE", required = true)]
        config: Vec<PathBuf>,
    },
    /// Drop events permanently
    Drop {
        #[command(flatten)]
        selection: QuarantineSelection,
        /// Do not ask for confirmation
        #[arg(short, long)]
        yes: bool,
        #[command(flatten)]
        place: QuarantinePlace,
    },
}
