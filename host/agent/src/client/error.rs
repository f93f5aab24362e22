//! Why a request to an agent failed, and what the operator can do.

use std::fmt::Write as _;
use std::io;
use std::time::Duration;

use hyper::StatusCode;
use wattle_api::Problem;
use wattle_printable::Line;

use super::place::Place;
use crate::exit::{FAILED, Failure, UNAVAILABLE};

/// An error of the connection.
pub(crate) type Error = Box<dyn std::error::Error + Send + Sync>;

/// Why a request to an agent failed.
#[derive(Debug)]
pub(crate) enum ClientError {
    /// No place answers; each with the reason.
    Unavailable(Vec<(Place, Error)>),
    /// The agent did not respond in time.
    Timeout(Duration),
    /// The agent runs a version without the API, or the server is not an agent (without a version).
    NoApi { place: Place, version: Option<String> },
    /// The agent refuses the request.
    Refused { place: Place, status: StatusCode, problem: Problem },
    /// The response is not from an agent.
    NotAgent(String),
    /// A stream ended that the agent does not end.
    Lost(String),
}

impl ClientError {
    /// The connection to a place failed.
    pub(super) fn unavailable(place: &Place, error: impl Into<Error>) -> Self {
        Self::Unavailable(vec![(place.clone(), error.into())])
    }

    /// Whether the same request may succeed later, such as after a restart of the agent.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Unavailable(_) | Self::Timeout(_) | Self::Lost(_) => true,
            Self::Refused { status, .. } => status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS,
            Self::NoApi { .. } | Self::NotAgent(_) => false,
        }
    }

    /// The failure of a command, with what the operator can do. `otherwise` is advice about connections.
    pub(crate) fn failure(&self, otherwise: &str) -> Failure {
        let code = match self {
            Self::Unavailable(_) | Self::NoApi { .. } | Self::NotAgent(_) | Self::Lost(_) => UNAVAILABLE,
            Self::Timeout(_) | Self::Refused { .. } => FAILED,
        };
        let mut message = self.to_string();
        if let Self::Unavailable(tried) = self {
            let is_denied = tried.iter().any(|(_, error)| {
                error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
            });
            if is_denied {
                message.push_str("; only the user of the agent can open its control socket");
            } else {
                message.push_str("; is it running?");
            }
            if !otherwise.is_empty() {
                // Writing to a string does not fail.
                let _ = write!(message, "\n{otherwise}");
            }
        }
        Failure::with(code, message)
    }
}

impl std::fmt::Display for ClientError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unavailable(tried) => {
                f.write_str("no agent answers")?;
                for (index, (place, error)) in tried.iter().enumerate() {
                    let word = if index == 0 { " at" } else { ", nor at" };
                    write!(f, "{word} `{}`: {}", Line(place), Line(error))?;
                }
                Ok(())
            }
            Self::Timeout(limit) => {
                write!(f, "the agent did not answer within {limit:?}; it may still do what it was asked to")
            }
            Self::NoApi { place, version: Some(version) } => write!(
                f,
                "the agent at `{}` runs version {} without the API `/api/v1`; restart it with this version of \
                 `wattle` ({})",
                Line(place),
                Line(version),
                env!("CARGO_PKG_VERSION")
            ),
            Self::NoApi { place, version: None } => {
                write!(f, "the server at `{}` is not a Wattle agent; name the admin listener of one", Line(place))
            }
            Self::Refused { place, status, problem } => {
                if problem.error.is_empty() {
                    write!(f, "the agent at `{}` answers with {status}", Line(place))?;
                } else {
                    write!(f, "{}", Line(&problem.error))?;
                }
                problem
                    .diagnostics
                    .iter()
                    .try_for_each(|diagnostic| write!(f, "\n{}", wattle_printable::text(diagnostic)))
            }
            Self::NotAgent(error) => write!(f, "the response is not from an agent: {}", Line(error)),
            Self::Lost(reason) => write!(f, "the connection to the agent ended: {}", Line(reason)),
        }
    }
}
