//! The interface through which validation checks sources and sinks.

use std::fmt;
use std::path::PathBuf;

use serde_json::Value as Json;
use wattle_options::{OptionError, Use};

/// The two kinds of endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndpointKind {
    /// Where events enter the agent.
    Source,
    /// Where events leave the agent.
    Sink,
}

impl fmt::Display for EndpointKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Source => "source",
            Self::Sink => "sink",
        })
    }
}

/// The sources and sinks that this agent has.
pub trait Endpoints {
    /// Lists the types of a kind.
    fn types(&self, kind: EndpointKind) -> Vec<&str>;
    /// Checks the options of a type from [`Endpoints::types`] and returns every error.
    fn check(&self, kind: EndpointKind, type_name: &str, options: &Json) -> Result<(), Vec<OptionError>>;
    /// Lists the files that options name and whose contents are part of the configuration:
    /// certificates, keys, secrets.
    fn files(&self, _kind: EndpointKind, _type_name: &str, _options: &Json) -> Vec<PathBuf> {
        Vec::new()
    }
    /// Lists what an endpoint with these options uses outside of the agent: addresses, files, topics.
    fn uses(&self, _kind: EndpointKind, _type_name: &str, _options: &Json) -> Vec<Use> {
        Vec::new()
    }
}
