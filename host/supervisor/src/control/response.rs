//! The response to a command.

use serde::{Deserialize, Serialize};
use wattle_diagnostics::Diagnostic;

use crate::outcome::Outcome;

/// Result of a command.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Response {
    /// Whether it took effect.
    pub outcome: Outcome,
    /// The running generation.
    pub generation: u64,
    /// The error, if the command failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Errors and warnings of the configuration.
    #[serde(default)]
    pub diagnostics: Vec<serde_json::Value>,
    /// The same as text.
    #[serde(default)]
    pub rendered: Vec<String>,
    /// Nodes that started without the state of their predecessors.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub emptied: Vec<String>,
    /// Sentences about parts of the configuration that did not take effect, and about replaced
    /// versions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Duration in milliseconds.
    pub ms: u64,
}

impl Response {
    /// Adds diagnostics in both forms.
    pub fn with(mut self, diagnostics: &[Diagnostic]) -> Self {
        self.rendered = diagnostics.iter().map(|d| d.render(false)).collect();
        let json = diagnostics.iter().map(|d| serde_json::to_value(d).unwrap_or_default());
        self.diagnostics = json.collect();
        self
    }
}
