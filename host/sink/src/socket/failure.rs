//! Why events could not be sent, with error texts that say how to fix it.

use std::io;
use std::time::Duration;

use wattle_tls::{TlsFailure, Words, system_error_text};

use super::address::Destination;
use crate::append::needs_operator;

/// How this sink names its address.
const WORDS: Words = Words { address: "address", without_tls: "remove `tls`" };

/// Why there is no connection, or why it ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("cannot resolve the name of `{at}` ({error}); check `address` and the DNS of this machine")]
    Name { at: String, error: String },
    #[error("nothing listens at `{0}` (connection refused)")]
    Refused(String),
    #[error("there is no socket at `{0}`; check `path`, and whether the server runs")]
    Missing(String),
    #[error("cannot connect to `{at}`: {error}")]
    Connect { at: String, error: String, needs_operator: bool },
    #[error("cannot connect to `{at}` within {} s", .limit.as_secs())]
    Timeout { at: String, limit: Duration },
    #[error("TLS with `{at}` failed: {reason}")]
    Tls { at: String, reason: String, needs_operator: bool },
    #[error("`{0}` closed the connection")]
    Closed(String),
    #[error("`{0}` reset the connection")]
    Reset(String),
    #[error("`{0}` has not acknowledged what was sent for 60 s")]
    Vanished(String),
    #[error("the connection to `{at}` failed: {error}")]
    Broken { at: String, error: String },
}

impl Failure {
    /// The name of the server has no address.
    pub(super) fn name(at: &Destination, error: &io::Error) -> Self {
        Self::Name { at: at.to_string(), error: system_error_text(error) }
    }

    /// There is no connection.
    pub(super) fn connect(at: &Destination, error: &io::Error) -> Self {
        let name = at.to_string();
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused(name),
            io::ErrorKind::NotFound => Self::Missing(name),
            // For network addresses, errors are temporary: an interface can be down.
            _ => Self::Connect {
                at: name,
                error: system_error_text(error),
                needs_operator: matches!(at, Destination::Path(_)) && needs_operator(error),
            },
        }
    }

    /// The TLS handshake failed.
    pub(super) fn tls(at: &Destination, error: &io::Error) -> Self {
        let (reason, needs_operator) = match TlsFailure::find(error) {
            Some(failure) => (failure.with_hint(WORDS), true),
            None if error.kind() == io::ErrorKind::UnexpectedEof => {
                ("the server closed the connection; check that it speaks TLS on this port".to_owned(), false)
            }
            None => (system_error_text(error), false),
        };
        Self::Tls { at: at.to_string(), reason, needs_operator }
    }

    /// An open connection, or a socket for datagrams, failed.
    pub(super) fn broken(at: &Destination, error: &io::Error) -> Self {
        // In TLS 1.3, the server refuses the certificate of a client after the handshake.
        if TlsFailure::find(error).is_some() {
            return Self::tls(at, error);
        }
        let at = at.to_string();
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused(at),
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Self::Reset(at),
            // A server that ends a TLS connection without saying so.
            io::ErrorKind::UnexpectedEof => Self::Closed(at),
            io::ErrorKind::TimedOut => Self::Vanished(at),
            _ => Self::Broken { at, error: system_error_text(error) },
        }
    }

    /// Whether attempts will fail until an operator acts.
    pub(super) fn needs_operator(&self) -> bool {
        matches!(self, Self::Tls { needs_operator: true, .. } | Self::Connect { needs_operator: true, .. })
    }
}
