//! Errors that prevent a sink from starting, or that end it. Callers know the sink's name, so no text repeats it.

use std::io;

use tokio::task::JoinError;
use wattle_http_client::{ProxyError, ServerError};
use wattle_options::{OptionError, summary};
use wattle_tls::TlsConfigError;

/// Why a sink cannot be built, or why it ended although its queue is open.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// The options are not valid. Holds every error that was found.
    #[error("{}", summary(.0))]
    Options(Vec<OptionError>),
    /// Standard output or standard error cannot be opened.
    #[error("cannot open the console: {0}")]
    Console(io::Error),
    /// The certificates that the options name cannot be used.
    #[error("{}", named(.0))]
    Tls(TlsConfigError),
    /// The proxy that the options or the environment name cannot be used.
    #[error(transparent)]
    Proxy(ProxyError),
    /// Another program listens on the address.
    #[error("address `{0}` is in use; stop the program that listens there or set another `address`")]
    AddressInUse(String),
    /// The system does not allow listening on the address.
    #[error("cannot listen on address `{address}`: {error}")]
    Listen {
        /// The address as configured.
        address: String,
        /// The error of the system.
        error: io::Error,
    },
    /// A task or thread of the sink panicked or was cancelled.
    #[error("{task} stopped unexpectedly: {error}")]
    Task {
        /// What stopped, such as `the thread that writes files`.
        task: &'static str,
        /// How it ended.
        error: JoinError,
    },
}

/// The text of a TLS error after the option that it is about.
fn named(error: &TlsConfigError) -> String {
    error.option().map_or_else(|| error.to_string(), |option| format!("option `{option}`: {error}"))
}

impl From<ServerError> for SinkError {
    fn from(error: ServerError) -> Self {
        match error {
            ServerError::Proxy(error) => Self::Proxy(error),
            ServerError::Tls(error) => Self::Tls(error),
        }
    }
}

impl SinkError {
    pub(crate) fn listen(address: &str, error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::AddrInUse => Self::AddressInUse(address.to_owned()),
            _ => Self::Listen { address: address.to_owned(), error },
        }
    }

    /// An error for a task that did not run to its end.
    pub fn task(task: &'static str, error: JoinError) -> Self {
        Self::Task { task, error }
    }
}
