//! Where a batch came from, and why rows of it failed.

use std::sync::Arc;

/// What every event of a batch has in common: its source and the time it was seen. A batch never mixes origins.
#[derive(Clone, Debug)]
pub struct Origin {
    /// Name of the source in the configuration.
    pub source: Arc<str>,
    /// What the source says about its events, a JSON object such as `{"source":{"name":"in","type":"file"}}`.
    pub resource: Arc<str>,
    /// When the agent saw the events, in nanoseconds since 1970-01-01T00:00:00Z.
    pub observed: i64,
}

/// Why a row left on a failure port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Name of the node in the graph.
    pub node: Arc<str>,
    /// Type and version of the node, such as `parse@1.0.0`.
    pub version: Arc<str>,
    /// Code in kebab-case, such as `not-json`.
    pub code: Arc<str>,
    /// A sentence for people.
    pub message: Arc<str>,
}

impl Failure {
    /// Longest code in bytes; a longer one is cut.
    pub const MAX_CODE_BYTES: usize = 64;
    /// Longest message in bytes; a longer one is cut. Each row that failed is written with it.
    pub const MAX_MESSAGE_BYTES: usize = 1024;

    /// A code and a message as rows carry them: cut to their bounds.
    pub fn reason(code: &str, message: &str) -> (Arc<str>, Arc<str>) {
        let code = cut(code, Self::MAX_CODE_BYTES).into();
        match cut(message, Self::MAX_MESSAGE_BYTES) {
            whole if whole.len() == message.len() => (code, message.into()),
            part => (code, format!("{part} [...]").into()),
        }
    }
}

/// The beginning of a text, at most so many bytes and whole characters.
pub(crate) fn cut(text: &str, max_bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(max_bytes)).unwrap_or_default()
}
