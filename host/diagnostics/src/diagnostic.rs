//! One problem of a configuration: its code, where it is, and how to mend it.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

mod render;

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The configuration is refused.
    Error,
    /// The configuration runs, but hardly as it was meant.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// The line of a file that a diagnostic is about, as it can be shown: no control characters, no secrets, not too long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Excerpt {
    /// The line, or the part of a long line around the place.
    pub text: String,
    /// Where in `text` the place begins, in characters from 0.
    pub start: usize,
}

/// One problem with its place.
///
/// `line` and `column` count from 1, columns and `length` in characters; all three are 0 where the problem has no place
/// inside the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// Whether the configuration is refused.
    pub severity: Severity,
    /// Stable code; [`crate::codes::find`] explains it.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// The file as the caller or a configuration named it.
    pub file: PathBuf,
    /// Line of the place.
    pub line: usize,
    /// Column of the place.
    pub column: usize,
    /// Characters of the place that are in its first line.
    pub length: usize,
    /// How to mend it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// What else helps to understand it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// The line of the place.
    #[serde(skip)]
    pub excerpt: Option<Excerpt>,
}

/// Why a configuration is refused, and which files would have to change.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{} in the configuration", self.summary())]
pub struct Invalid {
    /// Every problem, errors and warnings, in the order of the files.
    pub diagnostics: Vec<Diagnostic>,
    /// Files and folders that were read or looked for, so that a watcher can wait for the mended ones.
    pub files: std::collections::BTreeSet<PathBuf>,
}

impl Invalid {
    fn summary(&self) -> String {
        let errors = self.diagnostics.iter().filter(|d| d.severity == Severity::Error).count();
        if errors == 1 { "1 error".to_owned() } else { format!("{errors} errors") }
    }
}
