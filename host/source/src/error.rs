//! Errors of sources.

use std::io;
use std::path::PathBuf;
use wattle_options::{OptionError, summary};

/// An error of a source, while it is built or while it runs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The options do not pass the check of [`TYPES`](crate::TYPES).
    #[error("options of a `{type_name}` source are wrong: {}", summary(errors))]
    Options {
        /// Type of the source.
        type_name: String,
        /// All errors of the options.
        errors: Vec<OptionError>,
    },
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
    /// The input failed before its end.
    #[error("source `{name}`: {error}")]
    Input {
        /// Name of the source.
        name: String,
        /// The error of the input.
        error: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A file or folder with saved positions failed.
    #[error("cannot {action} `{}`: {error}", path.display())]
    Positions {
        /// What failed, as a verb with its object, such as `read positions from`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The error of the system.
        error: io::Error,
    },
    /// A thread cannot be started.
    #[error("cannot start thread `{name}`: {error}")]
    Thread {
        /// Name of the thread.
        name: String,
        /// The error of the system.
        error: io::Error,
    },
    /// A thread panicked.
    #[error("thread `{0}` panicked; this is a bug")]
    ThreadPanicked(String),
    /// A source that another crate implements failed.
    #[error(transparent)]
    External(Box<dyn std::error::Error + Send + Sync>),
}

impl SourceError {
    pub(crate) fn listen(address: &str, error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::AddrInUse => Self::AddressInUse(address.to_owned()),
            _ => Self::Listen { address: address.to_owned(), error },
        }
    }

    pub(crate) fn positions(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |error| Self::Positions { action, path, error }
    }
}
