//! Files with variables for a configuration (`--env-file`), in the syntax of `EnvironmentFile=` of systemd.
//!
//! The variables belong to the process, like its environment: configurations are read in many places, and Rust cannot
//! change the environment of a program with threads. Each load reads the files again.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The files of this process.
static FILES: OnceLock<Vec<PathBuf>> = OnceLock::new();

/// A file of variables that cannot be used. The message has no value of it.
#[derive(Debug, thiserror::Error)]
pub enum EnvFileError {
    /// The file cannot be read.
    #[error("`{}` cannot be read: {error}", path.display())]
    Unreadable {
        /// Its path.
        path: PathBuf,
        /// The error.
        error: std::io::Error,
    },
    /// A line is wrong.
    #[error("{}:{line}: {problem}", path.display())]
    Line {
        /// Path of the file.
        path: PathBuf,
        /// Number of the line, from 1.
        line: usize,
        /// What is wrong.
        problem: &'static str,
    },
}

/// Sets the files of this process, at its start.
///
/// # Errors
///
/// A file cannot be read or has a wrong line.
pub fn set_env_files(files: Vec<PathBuf>) -> Result<(), EnvFileError> {
    for file in &files {
        read(file)?;
    }
    // A process calls it once.
    let _ = FILES.set(files);
    Ok(())
}

/// A variable of the files. A file that became wrong has no variables; what needs them reports that.
pub(crate) fn variable(name: &str) -> Option<String> {
    let files = FILES.get()?;
    files.iter().find_map(|file| {
        let all = read(file).inspect_err(|error| tracing::warn!(%error, "ignoring a file of variables")).ok()?;
        // As in systemd, the last line counts.
        all.into_iter().rev().find(|(key, _)| key == name).map(|(_, value)| value)
    })
}

fn read(path: &Path) -> Result<Vec<(String, String)>, EnvFileError> {
    let text =
        std::fs::read_to_string(path).map_err(|error| EnvFileError::Unreadable { path: path.to_owned(), error })?;
    parse(&text).map_err(|(line, problem)| EnvFileError::Line { path: path.to_owned(), line, problem })
}

/// Where the parser is in a value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before a value, and after a closing quote.
    Before,
    Bare,
    Single,
    Double,
}

/// Reads assignments as `parse_env_file` of systemd does.
fn parse(text: &str) -> Result<Vec<(String, String)>, (usize, &'static str)> {
    let mut all = Vec::new();
    let mut chars = text.chars().peekable();
    let mut line = 1;
    while let Some(first) = chars.next_if(|c| c.is_whitespace()).or_else(|| chars.peek().copied()) {
        if first.is_whitespace() {
            line += usize::from(first == '\n');
            continue;
        }
        if matches!(first, '#' | ';') {
            while let Some(c) = chars.next_if(|c| *c != '\n') {
                // A comment continues after a backslash as well.
                if c == '\\' && chars.next_if_eq(&'\n').is_some() {
                    line += 1;
                }
            }
            continue;
        }
        let mut key = String::new();
        while let Some(c) = chars.next_if(|c| !matches!(c, '=' | '\n')) {
            key.push(c);
        }
        if chars.next_if_eq(&'=').is_none() {
            return Err((line, "a line has the form NAME=VALUE"));
        }
        let key = key.trim().to_owned();
        let is_name = key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !is_name {
            return Err((line, "a name has letters, digits and `_`, without `export`"));
        }
        let begin = line;
        let (mut value, mut state) = (String::new(), State::Before);
        // Where blanks at the end of a bare value begin.
        let mut kept = 0;
        while let Some(c) = chars.next() {
            line += usize::from(c == '\n');
            match (state, c) {
                (State::Before | State::Bare, '\n') => break,
                (State::Before, '\'') => state = State::Single,
                (State::Before, '"') => state = State::Double,
                (State::Single, '\'') | (State::Double, '"') => state = State::Before,
                (State::Before, c) if c.is_whitespace() => {}
                (State::Before | State::Bare, '\\') => {
                    state = State::Bare;
                    match chars.next() {
                        Some('\n') => line += 1,
                        Some(c) => value.push(c),
                        None => {}
                    }
                    kept = value.len();
                }
                (State::Double, '\\') => match chars.next() {
                    Some('\n') => line += 1,
                    Some(c @ ('"' | '\\' | '`' | '$')) => value.push(c),
                    Some(c) => value.extend(['\\', c]),
                    None => {}
                },
                (_, c) => {
                    value.push(c);
                    if state == State::Before {
                        state = State::Bare;
                    }
                    if state == State::Bare && c.is_whitespace() {
                        continue;
                    }
                }
            }
            kept = kept.max(value.len());
        }
        if matches!(state, State::Single | State::Double) {
            return Err((begin, "the value has an opening quote and no closing one"));
        }
        value.truncate(kept);
        all.push((key, value));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_systemd_reads_them() {
        for (text, expected) in [
            ("A=1\nB = two words  \n", vec![("A", "1"), ("B", "two words")]),
            ("# A=1\n; B=2\n\n  C=3", vec![("C", "3")]),
            ("# A=1 \\\nB=2\nC=3", vec![("C", "3")]),
            ("A='it''s # $x \\n'", vec![("A", "its # $x \\n")]),
            ("A=\"x \\\"y\\\" \\$z \\q\"  ", vec![("A", "x \"y\" $z \\q")]),
            ("A=a\\\nb\nB=c\\ \\'d", vec![("A", "ab"), ("B", "c 'd")]),
            ("A='a\nb'\nB=x'y'", vec![("A", "a\nb"), ("B", "x'y'")]),
            ("A=\nB=\"\"\nA=2", vec![("A", ""), ("B", ""), ("A", "2")]),
            ("A=x\r\n", vec![("A", "x")]),
        ] {
            let expected: Vec<(String, String)> =
                expected.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
            assert_eq!(parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_wrong_line_is_an_error_with_its_number_and_without_its_value() {
        for (text, line) in [("A=1\nTOKEN", 2), ("export A=1", 1), ("\n\nA B=1", 3), ("A='x\ny", 1), ("1A=2", 1)] {
            assert_eq!(parse(text).map_err(|(line, _)| line), Err(line), "{text}");
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("env");
        std::fs::write(&path, "A='MARKER").unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains("env:1: ") && !error.contains("MARKER"), "{error}");
        assert!(read(&folder.path().join("missing")).is_err());
    }
}
