//! How the program ends: its exit codes, and writing to the terminal.

use std::io::Write as _;

/// Something could not be done, or did not come out well.
pub(crate) const FAILED: u8 = 1;
/// No agent answers (`EX_UNAVAILABLE` of sysexits.h).
pub(crate) const UNAVAILABLE: u8 = 69;
/// A configuration or a pack is invalid (`EX_CONFIG` of sysexits.h, as Vector uses it).
pub(crate) const CONFIG: u8 = 78;

/// Why the program ends with another code than 0.
pub(crate) struct Failure {
    pub(crate) code: u8,
    /// Printed to standard error; empty if everything has been said.
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { code: FAILED, message: message.into() }
    }

    pub(crate) fn config(message: impl Into<String>) -> Self {
        Self { code: CONFIG, message: message.into() }
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::new(error.to_string())
    }
}

pub(crate) type Done = Result<(), Failure>;

/// Writes a line to standard error. A closed terminal is nobody's fault.
pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Writes a line to standard output; a closed pipe (`| head`) ends the program quietly.
pub(crate) fn print(text: &str) -> Done {
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            Err(Failure { code: 0, message: String::new() })
        }
        other => Ok(other?),
    }
}
