//! Errors of libraries in words for operators.

use std::io;

use serde_json::error::Category;

/// Why JSON from a registry or a file cannot be read.
pub(crate) fn json_reason(error: &serde_json::Error) -> String {
    let place = format!("line {}, column {}", error.line(), error.column());
    match error.classify() {
        Category::Eof => "its JSON ends too early; it may be incomplete".to_owned(),
        Category::Syntax => format!("it is not JSON ({place})"),
        Category::Io => "it cannot be read".to_owned(),
        Category::Data => {
            let text = error.to_string();
            let (text, _) = text.split_once(" at line ").unwrap_or((&text, ""));
            format!("its JSON has another structure ({text}; {place})")
        }
    }
}

/// Why a layer cannot be unpacked.
pub(crate) fn layer_reason(error: &io::Error) -> String {
    match error.kind() {
        // The kinds that the decoder reports for data that is not gzip.
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => "its gzip is damaged".to_owned(),
        io::ErrorKind::UnexpectedEof => "its gzip ends too early; it may be incomplete".to_owned(),
        _ => format!("it cannot be read ({error})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    struct Sample {
        #[allow(dead_code, reason = "only the errors of reading it matter")]
        name: String,
    }

    #[test]
    fn an_error_in_json_has_the_place_and_the_reason() {
        let reason = |text: &str| json_reason(&serde_json::from_str::<Sample>(text).unwrap_err());
        assert_eq!(reason("<html>"), "it is not JSON (line 1, column 1)");
        assert_eq!(reason("{\"name\": "), "its JSON ends too early; it may be incomplete");
        assert_eq!(reason("{}"), "its JSON has another structure (missing field `name`; line 1, column 2)");
    }

    #[test]
    fn damaged_gzip_is_named_as_such() {
        use std::io::Read as _;
        let mut sink = Vec::new();
        let mut read = |bytes: &[u8]| flate2::bufread::GzDecoder::new(bytes).read_to_end(&mut sink).unwrap_err();
        assert_eq!(layer_reason(&read(b"this is not gzip")), "its gzip is damaged");
        assert_eq!(
            layer_reason(&read(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3])),
            "its gzip ends too early; it may be incomplete"
        );
    }
}
