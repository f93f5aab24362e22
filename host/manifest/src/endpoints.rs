//! What validation asks about sources and sinks.

use std::fmt;
use std::path::PathBuf;

use serde_json::Value as Json;
use wattle_plan::OptionError;

/// The two kinds of endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndpointKind {
    /// Where events begin.
    Source,
    /// Where events end.
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

/// Knows the types of sources and sinks.
pub trait Endpoints {
    /// Names the types of a kind.
    fn types(&self, kind: EndpointKind) -> Vec<&str>;
    /// Checks the options of a type that is among [`Endpoints::types`]; every error is given.
    fn check(&self, kind: EndpointKind, type_name: &str, options: &Json) -> Result<(), Vec<OptionError>>;
    /// Names the files that options name, whose contents are part of the configuration: certificates, keys, secrets.
    fn files(&self, _kind: EndpointKind, _type_name: &str, _options: &Json) -> Vec<PathBuf> {
        Vec::new()
    }
}
