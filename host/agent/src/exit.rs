//! Exit codes, and output to the terminal.
//!
//! All output of commands goes through these functions. [`print`] and [`say`] escape control
//! sequences of terminals. Code that builds a line escapes the text in it (`printable::line`), so
//! the text cannot start another line.

use std::io::Write as _;

use wattle_printable as printable;

use crate::waiting::clear_line;

/// The command failed.
pub(crate) const FAILED: u8 = 1;
/// The command line is wrong; clap uses the same code.
pub(crate) const USAGE: u8 = 2;
/// No agent answers (`EX_UNAVAILABLE` of sysexits.h).
pub(crate) const UNAVAILABLE: u8 = 69;
/// A configuration or a pack is invalid (`EX_CONFIG` of sysexits.h, as Vector uses it).
pub(crate) const CONFIG: u8 = 78;

/// An error with its exit code.
pub(crate) struct Failure {
    pub(crate) code: u8,
    /// Goes to standard error; empty if the command has printed everything.
    pub(crate) message: String,
    /// Whether the message contains terminal styles. Then the foreign text in it is already
    /// escaped.
    pub(crate) is_styled: bool,
}

impl Failure {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self::with(FAILED, message)
    }

    pub(crate) fn config(message: impl Into<String>) -> Self {
        Self::with(CONFIG, message)
    }

    pub(crate) fn with(code: u8, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), is_styled: false }
    }

    /// An exit code without a message.
    pub(crate) fn silent(code: u8) -> Self {
        Self::with(code, "")
    }

    /// Rendered diagnostics, which can contain terminal styles.
    pub(crate) fn diagnostics(rendered: impl Into<String>) -> Self {
        Self { is_styled: true, ..Self::config(rendered) }
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::new(error.to_string())
    }
}

pub(crate) type Done = Result<(), Failure>;

/// Writes a line to standard error and escapes control characters. A closed terminal is not an
/// error.
pub(crate) fn say(text: &str) {
    say_styled(&printable::text(text));
}

/// Writes a line with terminal styles to standard error. The caller has escaped foreign text in it.
pub(crate) fn say_styled(text: &str) {
    let _ = writeln!(std::io::stderr(), "{}{text}", clear_line());
}

/// Writes a line to standard output and escapes control characters. A closed pipe (`| head`) ends
/// the program quietly.
pub(crate) fn print(text: &str) -> Done {
    print_styled(&printable::text(text))
}

/// Writes a JSON document to standard output. Control characters in its strings become JSON
/// escapes.
pub(crate) fn print_json(document: &str) -> Done {
    print_styled(&printable::json(document))
}

/// Writes a line with terminal styles to standard output. The caller has escaped foreign text in it.
pub(crate) fn print_styled(text: &str) -> Done {
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Err(Failure::silent(0)),
        other => Ok(other?),
    }
}
