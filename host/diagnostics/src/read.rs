//! Reads files as text.

use std::path::Path;

use crate::codes;
use crate::findings::{Findings, Place};

/// Reads a file as text, or reports the error.
pub fn read_text(path: &Path, findings: &mut Findings) -> Option<String> {
    let read = std::fs::read(path);
    bytes_to_text(path, read, findings)
}

/// Converts the bytes of a file to text, or reports the error.
pub fn bytes_to_text(path: &Path, read: std::io::Result<Vec<u8>>, findings: &mut Findings) -> Option<String> {
    let mut hint = None;
    let problem = match read.map(String::from_utf8) {
        // UTF-16 of ASCII is valid UTF-8 with NULs, which no text has.
        Ok(Ok(text)) if !is_utf16(text.as_bytes()) => return Some(text),
        Ok(text) => {
            let (at, bytes) = match text {
                Ok(text) => (0, text.into_bytes()),
                Err(error) => (error.utf8_error().valid_up_to(), error.into_bytes()),
            };
            if is_utf16(&bytes) {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                hint = Some(format!(
                    "save it as UTF-8, in the editor or by `iconv -f UTF-16 -t UTF-8 {name} > new-{name}`"
                ));
                "it is UTF-16 text".to_owned()
            } else {
                hint = Some("save it as UTF-8".to_owned());
                format!("not UTF-8 at byte {at}")
            }
        }
        Err(error) => in_words(&error),
    };
    let file = Place::file(findings.add_manifest(path, ""));
    let message = format!("`{}` cannot be read: {problem}", path.display());
    findings.report(codes::UNREADABLE.at(file, message).hint_if(hint));
    None
}

/// Whether bytes look like UTF-16: a byte order mark, or a NUL in each of the first characters.
fn is_utf16(bytes: &[u8]) -> bool {
    let start = bytes.get(..8.min(bytes.len())).unwrap_or_default();
    let has_nuls = |first: usize| start.len() >= 4 && start.iter().skip(first).step_by(2).all(|byte| *byte == 0);
    start.starts_with(b"\xff\xfe") || start.starts_with(b"\xfe\xff") || (has_nuls(0) != has_nuls(1))
}

/// Describes an error of the operating system in the same words on every platform.
pub fn in_words(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
        std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        std::io::ErrorKind::IsADirectory => "it is a folder".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<String, String> {
        let mut findings = Findings::default();
        let text = bytes_to_text(Path::new("d/agent.toml"), Ok(bytes.to_owned()), &mut findings);
        let line = |invalid: crate::Invalid| invalid.diagnostics.iter().map(crate::Diagnostic::render_line).collect();
        findings.finish(text).map(|(text, _, _)| text).map_err(line)
    }

    #[test]
    fn utf_16_is_named_and_can_be_converted() {
        let units: Vec<u16> = "[agent]\nä = 1\n".encode_utf16().collect();
        let little: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
        let big: Vec<u8> = units.iter().flat_map(|unit| unit.to_be_bytes()).collect();
        for bytes in [[b"\xff\xfe", little.as_slice()].concat(), [b"\xfe\xff", big.as_slice()].concat(), little, big] {
            let error = read(&bytes).unwrap_err();
            assert!(
                error.contains("it is UTF-16 text; save it as UTF-8, in the editor or by `iconv -f UTF-16"),
                "{error}"
            );
        }
        assert!(read(b"a = \"\xe4\"").unwrap_err().contains("not UTF-8 at byte 5; save it as UTF-8"));
        assert_eq!(read("ä = 1".as_bytes()), Ok("ä = 1".to_owned()));
        assert_eq!(read(b""), Ok(String::new()));
    }
}
