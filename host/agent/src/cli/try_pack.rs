//! The command line of `wattle try`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use wattle_options::Size;

use super::Framing;
use super::pack::LibraryOption;

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TryFormat {
    /// Tables and differences
    Pretty,
    /// One JSON object, as `POST /api/v1/try` returns it
    Json,
}

#[derive(Args)]
#[command(
    after_help = "The pack runs in scratch instances with all limits and without effects: no state, no quarantine, no\n\
                        request. Its nodes have every capability as in `wattle pack test`; tables and responses come from\n\
                        `--mocks`.\n\n\
                        Exit codes: 0 it ran, also with failed events; 1 the input cannot be read, the agent refuses, or with\n\
                        `--exit-code` the versions differ; 69 no agent answers; 78 a pack or its parameters are invalid.\n\n\
                        Examples:\n  wattle try trail.json.gz --pack cloudtrail@1.2.0 --against cloudtrail@1.1.0\n  \
                        wattle generate | wattle try - --pack cloudtrail --output evidence\n  \
                        wattle try --recent --pack cloudtrail@1.2.0 --against cloudtrail@1.1.0"
)]
pub(crate) struct TryOptions {
    /// The input, compressed or not; `-` is standard input
    #[arg(required_unless_present = "recent", conflicts_with = "recent")]
    pub(crate) file: Option<PathBuf>,
    /// The pack: name, name@version, or a folder. With `--recent`, the default is the version that runs
    #[arg(short, long, value_name = "PACK", required_unless_present = "recent")]
    pub(crate) pack: Option<String>,
    /// Another version: compare the pack with it, as the version before
    #[arg(short, long, value_name = "PACK")]
    pub(crate) against: Option<String>,
    /// Parameter of both packs; can be repeated
    #[arg(long = "param", value_name = "NAME=VALUE")]
    pub(crate) params: Vec<String>,
    /// Mocks of capabilities: a TOML file with `[mocks]`, such as the `case.toml` of a test of the pack
    #[arg(long, value_name = "FILE")]
    pub(crate) mocks: Option<PathBuf>,
    /// How to split the input into events
    #[arg(long, value_enum, default_value_t = Framing::Auto)]
    pub(crate) framing: Framing,
    /// Maximum length of a line, such as 8MiB; longer lines are skipped and counted. The default is 1MiB
    #[arg(long, value_name = "SIZE")]
    pub(crate) max_line_bytes: Option<Size>,
    /// Stop after this many bytes of events, such as 64MiB. The default is no limit
    #[arg(long, value_name = "SIZE")]
    pub(crate) max_bytes: Option<Size>,
    /// Show only this output, with its first events
    #[arg(short, long, value_name = "NAME")]
    pub(crate) output: Option<String>,
    /// Number of events, and of differences, to show of each output
    #[arg(short = 'n', long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(..=1000))]
    pub(crate) limit: u16,
    /// Show what each of the first N events was at each point of the graph
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u16).range(..=1000))]
    pub(crate) trace: u16,
    /// Count the WebAssembly instructions of each node. Compiles the nodes once more, and makes them slower
    #[arg(long)]
    pub(crate) fuel: bool,
    /// Format of the result
    #[arg(long, value_enum, default_value_t = TryFormat::Pretty)]
    pub(crate) format: TryFormat,
    /// Exit with 1 if the versions differ
    #[arg(long, requires = "against")]
    pub(crate) exit_code: bool,
    #[command(flatten)]
    pub(crate) library: LibraryOption,
    #[command(flatten)]
    pub(crate) recent: RecentOptions,
}

/// Where recent events enter the pack.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RecentWhere {
    /// Where the agent took them, behind the last mask; the nodes before do not run
    Taken,
    /// At the input; the nodes before process them once more
    Input,
}

/// Options of a trial on recent events.
#[derive(Args)]
#[group(skip)]
pub(crate) struct RecentOptions {
    /// Use the newest events of a pipeline of a running agent, which its configuration grants with `[admin] recent`. The
    /// agent runs the trial, with packs of its library and with the parameters of the pipeline
    #[arg(
        long,
        value_enum,
        value_name = "WHERE",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "taken",
        conflicts_with_all = ["params", "mocks", "max_line_bytes", "max_bytes", "fuel", "library"]
    )]
    pub(crate) recent: Option<RecentWhere>,
    /// The pipeline whose recent events to use. The default is the only one
    #[arg(long, value_name = "NAME", requires = "recent")]
    pub(crate) pipeline: Option<String>,
    /// Address of the agent's admin listener, such as http://127.0.0.1:9598
    #[arg(short, long, value_name = "URL", requires = "recent")]
    pub(crate) url: Option<String>,
    /// Data folder of the agent
    #[arg(long, value_name = "DIR", requires = "recent", conflicts_with = "config")]
    pub(crate) data_dir: Option<PathBuf>,
}
