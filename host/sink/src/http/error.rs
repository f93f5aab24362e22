//! Why a request of a sink got no usable response.

use std::io;

use wattle_http_client::RequestError as ClientError;

/// Why a request got no usable response.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("the response is not from a bulk API; check the address in the options: {0}")]
    NotBulk(serde_json::Error),
    #[error("the response has {found} events and the request had {expected}")]
    BulkItems { found: usize, expected: usize },
    #[error("the response is not from an HTTP Event Collector: {0}")]
    NotCollector(serde_json::Error),
    #[error("cannot compress events: {0}")]
    Compression(io::Error),
}

impl RequestError {
    /// The text of the error for a sink whose option with the address has this name.
    pub(super) fn with_option(&self, option: &str) -> String {
        match self {
            Self::Client(error) => error.with_option(option),
            other => other.to_string(),
        }
    }
}
