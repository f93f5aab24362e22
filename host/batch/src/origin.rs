//! The origin of a batch, and the reason why a row failed.

use std::sync::Arc;

/// The common facts about all events of a batch: its source and the time when they were read. A
/// batch never mixes origins.
#[derive(Clone, Debug)]
pub struct Origin {
    /// Name of the source in the configuration.
    pub source: Arc<str>,
    /// Facts about the source, as a JSON object such as `{"source":{"name":"in","type":"file"}}`.
    pub resource: Arc<str>,
    /// When the agent read the events, in nanoseconds since 1970-01-01T00:00:00Z.
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
    /// Explanation for the operator.
    pub message: Arc<str>,
}

impl Failure {
    /// Maximum length of a code in bytes; a longer one is cut.
    pub const MAX_CODE_BYTES: usize = 64;
    /// Maximum length of a message in bytes; a longer one is cut, because each failed row is
    /// written with it.
    pub const MAX_MESSAGE_BYTES: usize = 1024;

    /// Cuts a code and a message to their limits.
    pub fn reason(code: &str, message: &str) -> (Arc<str>, Arc<str>) {
        let code = cut(code, Self::MAX_CODE_BYTES).into();
        match cut(message, Self::MAX_MESSAGE_BYTES) {
            whole if whole.len() == message.len() => (code, message.into()),
            part => (code, format!("{part} [...]").into()),
        }
    }
}

/// The beginning of a text: at most `max_bytes`, cut between characters.
pub(crate) fn cut(text: &str, max_bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(max_bytes)).unwrap_or_default()
}
