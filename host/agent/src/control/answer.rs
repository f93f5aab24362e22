//! What a command is answered with.

use serde::{Deserialize, Serialize};
use wattle_pack::Diagnostic;

/// How a command ended.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Answer {
    /// `applied`, `unchanged`, `invalid` or `failed`.
    pub(crate) outcome: String,
    /// The generation that runs now.
    pub(crate) generation: u64,
    /// Why nothing changed, if something was wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
    /// Everything that is wrong with the configuration, and warnings.
    #[serde(default)]
    pub(crate) diagnostics: Vec<serde_json::Value>,
    /// The same for people.
    #[serde(default)]
    pub(crate) rendered: Vec<String>,
    /// Nodes that began with nothing instead of the state of their predecessors.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) emptied: Vec<String>,
    /// Sentences for people about what did not take effect and why, and about what replaced what.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) notes: Vec<String>,
    /// How long it took, in milliseconds.
    pub(crate) ms: u64,
}

impl Answer {
    /// Adds diagnostics in both forms.
    pub(crate) fn with(mut self, diagnostics: &[Diagnostic]) -> Self {
        self.rendered = diagnostics.iter().map(|d| d.render(false)).collect();
        let json = diagnostics.iter().map(|d| serde_json::to_value(d).unwrap_or_default());
        self.diagnostics = json.collect();
        self
    }
}
