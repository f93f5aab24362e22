//! Reads files as text.

use std::path::Path;

use crate::codes;
use crate::findings::{Findings, Place};

/// Reads a file as text, or reports why it cannot be.
pub fn read_text(path: &Path, findings: &mut Findings) -> Option<String> {
    let read = std::fs::read(path);
    bytes_to_text(path, read, findings)
}

/// Makes text of the bytes that were read from a file, or reports why there is none.
pub fn bytes_to_text(path: &Path, read: std::io::Result<Vec<u8>>, findings: &mut Findings) -> Option<String> {
    let problem = match read.map(String::from_utf8) {
        Ok(Ok(text)) => return Some(text),
        Ok(Err(error)) => format!("not UTF-8 at byte {}", error.utf8_error().valid_up_to()),
        Err(error) => in_words(&error),
    };
    let file = Place::file(findings.add_manifest(path, ""));
    findings.report(codes::UNREADABLE.at(file, format!("`{}` cannot be read: {problem}", path.display())));
    None
}

/// What an error of the system means, in words that are the same everywhere.
pub fn in_words(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
        std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        std::io::ErrorKind::IsADirectory => "it is a folder".to_owned(),
        _ => error.to_string(),
    }
}
