//! Options of the commands that read the API of a running agent.

use clap::{Args, ValueEnum};

use super::AgentPlace;

/// Which agent, for commands that read only.
#[derive(Args)]
pub(crate) struct AgentAddress {
    /// Address of the agent's admin listener, such as http://127.0.0.1:9598
    #[arg(short, long, value_name = "URL")]
    pub(crate) url: Option<String>,
    #[command(flatten)]
    pub(crate) place: AgentPlace,
}

#[derive(Args)]
#[command(
    after_help = "Without --url, the command asks the control socket in the data folder. If that does not answer, it\n\
                        asks the admin listener of the configuration, or 127.0.0.1:9598 without --config and --data-dir.\n\n\
                        Exit codes: 0 ready, 1 not ready, 69 no agent answers, 78 the configuration cannot be read."
)]
pub(crate) struct StatusOptions {
    #[command(flatten)]
    pub(crate) agent: AgentAddress,
    /// Print the whole status as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// How `wattle tap` writes events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TapFormat {
    /// A block of lines for people
    Pretty,
    /// The event with its point and time as one line of JSON
    Json,
    /// The event alone as one line of JSON
    Ndjson,
}

#[derive(Args)]
#[command(after_help = "Points:\n  \
                        main                a pipeline: all its outputs\n  \
                        main.processed      an output\n  \
                        main/parse.ok       the events that leave a node on a port\n  \
                        main/input          the events of the sources\n\n\
                        Filters:\n  \
                        attributes.eventName=GetObject    the field has this value\n  \
                        attributes.eventName!=GetObject   it has another one, or none\n  \
                        body~denied                       it contains the text\n  \
                        attributes.error                  the event has the field\n\n\
                        An agent shows only events that have passed the masking nodes, unless its configuration has\n\
                        `[admin] tap = \"all\"`. The figures at the end go to standard error.\n\n\
                        Exit codes: 0 the limit is reached or Ctrl-C, 1 the agent refuses, 69 no agent answers, 78 the\n\
                        configuration cannot be read.")]
pub(crate) struct TapOptions {
    /// Where to look at events. The default is all outputs that may be shown
    #[arg(value_name = "POINT")]
    pub(crate) points: Vec<String>,
    #[command(flatten)]
    pub(crate) agent: AgentAddress,
    /// Show only events whose field has this value; can be repeated, and all must hold
    #[arg(short, long = "filter", value_name = "FILTER")]
    pub(crate) filters: Vec<String>,
    /// Format of the events. The default is pretty on a terminal, else ndjson
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub(crate) format: Option<TapFormat>,
    /// End after this number of events
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) limit: Option<u64>,
    /// Maximum number of events a second
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub(crate) rate: u64,
    /// End when the connection to the agent ends
    #[arg(long)]
    pub(crate) no_reconnect: bool,
    /// Print no figures at the end
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

#[derive(Args)]
#[command(
    after_help = "Keys: q quit, arrows or j k move, Tab or 1-4 change the panel, Enter shows details, t shows events of\n\
                        an output, e all problems, s changes the order, p pauses, ? help.\n\n\
                        Without --url, the command asks the control socket in the data folder. If that does not answer, it\n\
                        asks the admin listener of the configuration, or 127.0.0.1:9598 without --config and --data-dir.\n\n\
                        Exit codes: 0 success, 1 not a terminal, 69 no agent answers, 78 the configuration cannot be read."
)]
pub(crate) struct TopOptions {
    #[command(flatten)]
    pub(crate) agent: AgentAddress,
    /// Print one screen as plain text, with the rates of one interval, and exit
    #[arg(long)]
    pub(crate) once: bool,
    /// Seconds between two screens
    #[arg(short, long, value_name = "SECONDS", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=3600))]
    pub(crate) interval: u16,
}
