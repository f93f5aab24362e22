//! The log of the agent on standard error, as text or JSON.

use std::borrow::Cow;
use std::io::{self, Write};

use tracing_subscriber::EnvFilter;
use wattle_printable as printable;

use crate::cli::{Cli, LogFormat};
use crate::exit;
use crate::waiting::clear_line;

/// Clients that report each step and each attempt, and their level. Sources and sinks say what matters of that, once, with
/// their names; what `krafka` says only in its log, they read there.
const CLIENTS: [(&str, &str); 2] = [("krafka", "off"), ("async_nats", "off")];

/// Sets up logging for the process.
pub(crate) fn init(cli: &Cli) {
    let quiet = |filter: &str| {
        let unnamed = CLIENTS.iter().filter(|(client, _)| !filter.contains(client));
        unnamed.fold(filter.to_owned(), |all, (client, level)| format!("{all},{client}={level}"))
    };
    let filter = EnvFilter::try_new(quiet(&cli.log)).unwrap_or_else(|error| {
        exit::say(&format!("wattle: invalid log filter `{}` ({error}); using info", cli.log));
        EnvFilter::new(quiet("info"))
    });
    let builder = tracing_subscriber::fmt().with_env_filter(filter);
    match (&cli.log_format, cli.use_color()) {
        (LogFormat::Text, is_colored) => {
            let escape = if is_colored { printable::styled } else { printable::text };
            let builder = builder.with_ansi(is_colored).with_target(false).compact();
            builder.with_writer(move || Escaped { escape }).init();
        }
        (LogFormat::Json, _) => {
            builder.json().flatten_event(true).with_writer(|| Escaped { escape: printable::json }).init();
        }
    }
}

/// Standard error. The subscriber escapes control characters in fields; this also escapes
/// bidirectional and invisible characters.
struct Escaped {
    escape: for<'a> fn(&'a str) -> Cow<'a, str>,
}

impl Write for Escaped {
    /// Writes one event; the subscriber makes one call per event.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let line = String::from_utf8_lossy(bytes);
        // If the log cannot be written, because the disk is full or its reader ended, events must
        // continue. The subscriber would report the error on standard error again, and panic.
        let _ = io::stderr().write_all([clear_line(), &(self.escape)(&line)].concat().as_bytes());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
