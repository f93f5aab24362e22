//! The table of sources and sinks that this agent knows.

use serde_json::Value;
use wattle_pack::{ComponentKind, Components, OptionError};

/// Built-in sources and sinks.
pub(crate) struct Builtin;

impl Components for Builtin {
    fn types(&self, kind: ComponentKind) -> Vec<&str> {
        match kind {
            ComponentKind::Source => wattle_source::TYPES.to_vec(),
            ComponentKind::Sink => wattle_sink::TYPES.to_vec(),
        }
    }

    fn check(&self, kind: ComponentKind, type_name: &str, options: &Value) -> Result<(), Vec<OptionError>> {
        match kind {
            ComponentKind::Source => wattle_source::check(type_name, options)
                .map_err(|all| all.into_iter().map(|e| OptionError { path: e.path, message: e.message }).collect()),
            ComponentKind::Sink => wattle_sink::check(type_name, options)
                .map_err(|all| all.into_iter().map(|e| OptionError { path: e.path, message: e.message }).collect()),
        }
    }
}
