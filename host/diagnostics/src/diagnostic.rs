//! A diagnostic: one problem in a configuration, with its code, its place, and a fix.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

mod render;

/// Severity of a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The agent refuses the configuration.
    Error,
    /// The configuration runs, but probably not as intended.
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

/// The line that a diagnostic points at, safe to display: shortened, and without control characters
/// and secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Excerpt {
    /// The line, or the part of a long line around the place.
    pub text: String,
    /// Start of the place in `text`, in characters from 0.
    pub start: usize,
}

/// One problem with its place.
///
/// `line` and `column` count from 1, columns and `length` in characters; all three are 0 where the
/// problem has no place inside the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// Whether the agent refuses the configuration.
    pub severity: Severity,
    /// Stable code; [`crate::codes::find`] explains it.
    pub code: &'static str,
    /// Description of the problem.
    pub message: String,
    /// Path of the file as the caller or a configuration gave it.
    pub file: PathBuf,
    /// Line of the place.
    pub line: usize,
    /// Column of the place.
    pub column: usize,
    /// Length of the place in its first line, in characters.
    pub length: usize,
    /// How to fix it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Further facts that help to understand it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// The line of the place.
    #[serde(skip)]
    pub excerpt: Option<Excerpt>,
}

/// The errors of a refused configuration, and the files to watch for a correction.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{} in the configuration", self.summary())]
pub struct Invalid {
    /// Every problem, errors and warnings, in the order of the files.
    pub diagnostics: Vec<Diagnostic>,
    /// Files and folders that were read or looked for, so that a watcher can wait for corrections.
    pub files: std::collections::BTreeSet<PathBuf>,
}

impl Invalid {
    /// All problems as text without colors, as [`Diagnostic::render`] writes each.
    pub fn text(&self) -> String {
        let all: Vec<String> = self.diagnostics.iter().map(|diagnostic| diagnostic.render(false)).collect();
        all.join("\n")
    }

    fn summary(&self) -> String {
        let errors = self.diagnostics.iter().filter(|d| d.severity == Severity::Error).count();
        if errors == 1 { "1 error".to_owned() } else { format!("{errors} errors") }
    }
}
