//! How the program ends: its exit codes, and writing to the terminal.
//!
//! Everything that commands print goes through the functions here, and [`print`] and [`say`] escape what a terminal would
//! execute. Text inside a line is escaped where the line is built (`printable::line`), so that it cannot begin another.

use std::io::Write as _;

use wattle_printable as printable;

use crate::waiting::clear_line;

/// Something could not be done, or did not come out well.
pub(crate) const FAILED: u8 = 1;
/// The command line is wrong, as clap ends the program.
pub(crate) const USAGE: u8 = 2;
/// No agent answers (`EX_UNAVAILABLE` of sysexits.h).
pub(crate) const UNAVAILABLE: u8 = 69;
/// A configuration or a pack is invalid (`EX_CONFIG` of sysexits.h, as Vector uses it).
pub(crate) const CONFIG: u8 = 78;

/// Why the program ends with another code than 0.
pub(crate) struct Failure {
    pub(crate) code: u8,
    /// Printed to standard error; empty if everything has been said.
    pub(crate) message: String,
    /// Whether the message has styles of a terminal in it. Foreign text in it was escaped when it was rendered.
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

    /// An exit code, after everything has been printed.
    pub(crate) fn silent(code: u8) -> Self {
        Self::with(code, "")
    }

    /// Rendered diagnostics, which can have styles of a terminal in them.
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

/// Writes a line to standard error. Control characters are escaped. A closed terminal is not an error.
pub(crate) fn say(text: &str) {
    say_styled(&printable::text(text));
}

/// Writes a line with styles of a terminal to standard error. The caller has escaped foreign text in it.
pub(crate) fn say_styled(text: &str) {
    let _ = writeln!(std::io::stderr(), "{}{text}", clear_line());
}

/// Writes a line to standard output. Control characters are escaped. A closed pipe (`| head`) ends the program quietly.
pub(crate) fn print(text: &str) -> Done {
    print_styled(&printable::text(text))
}

/// Writes a JSON document to standard output. Control characters in its strings get JSON's escapes.
pub(crate) fn print_json(document: &str) -> Done {
    print_styled(&printable::json(document))
}

/// Writes a line with styles of a terminal to standard output. The caller has escaped foreign text in it.
pub(crate) fn print_styled(text: &str) -> Done {
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Err(Failure::silent(0)),
        other => Ok(other?),
    }
}
