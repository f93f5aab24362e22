//! The response to a command.

use serde::{Deserialize, Serialize};
use wattle_pack::Diagnostic;

/// How a command ended.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Response {
    /// `applied`, `unchanged`, `invalid` or `failed`.
    pub outcome: String,
    /// The generation that runs now.
    pub generation: u64,
    /// Why nothing changed, if something was wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Everything that is wrong with the configuration, and warnings.
    #[serde(default)]
    pub diagnostics: Vec<serde_json::Value>,
    /// The same for people.
    #[serde(default)]
    pub rendered: Vec<String>,
    /// Nodes that began with nothing instead of the state of their predecessors.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub emptied: Vec<String>,
    /// Sentences for people about what did not take effect and why, and about what replaced what.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// How long it took, in milliseconds.
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
