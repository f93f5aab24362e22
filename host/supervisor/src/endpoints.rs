//! The table of sources and sinks that this agent knows.

use std::path::PathBuf;

use serde_json::Value;
use wattle_manifest::{EndpointKind, Endpoints};
use wattle_options::{OptionError, Use};

/// Built-in sources and sinks.
pub(crate) struct Builtin;

impl Endpoints for Builtin {
    fn types(&self, kind: EndpointKind) -> Vec<&str> {
        match kind {
            EndpointKind::Source => wattle_source::TYPES.types(),
            EndpointKind::Sink => wattle_sink::TYPES.types(),
        }
    }

    fn check(&self, kind: EndpointKind, type_name: &str, options: &Value) -> Result<(), Vec<OptionError>> {
        match kind {
            EndpointKind::Source => wattle_source::TYPES.check(type_name, options),
            EndpointKind::Sink => wattle_sink::TYPES.check(type_name, options),
        }
    }

    fn files(&self, kind: EndpointKind, type_name: &str, options: &Value) -> Vec<PathBuf> {
        match kind {
            EndpointKind::Source => wattle_source::TYPES.files(type_name, options),
            EndpointKind::Sink => wattle_sink::TYPES.files(type_name, options),
        }
    }

    fn uses(&self, kind: EndpointKind, type_name: &str, options: &Value) -> Vec<Use> {
        match kind {
            EndpointKind::Source => wattle_source::TYPES.uses(type_name, options),
            EndpointKind::Sink => wattle_sink::TYPES.uses(type_name, options),
        }
    }
}
