//! Logs of the agent itself: to standard error, for people or as JSON.

use tracing_subscriber::EnvFilter;

use crate::cli::{Cli, LogFormat};
use crate::exit;

/// Sets up logging for the process.
pub(crate) fn init(cli: &Cli) {
    let filter = EnvFilter::try_new(&cli.log).unwrap_or_else(|error| {
        exit::say(&format!("wattle: log filter `{}` is not understood ({error}); using info", cli.log));
        EnvFilter::new("info")
    });
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match cli.log_format {
        LogFormat::Text => builder.with_ansi(cli.use_color()).with_target(false).compact().init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
}
