//! Values that the data model of OpenTelemetry limits: ids of traces and spans, numbers of severities.

/// Hexadecimal digits of the id of a trace.
pub const TRACE_ID: usize = 32;
/// Hexadecimal digits of the id of a span.
pub const SPAN_ID: usize = 16;

/// Whether a text is an id with this number of hexadecimal digits, in any case. An id of zeros is invalid.
pub fn is_id(text: &[u8], digits: usize) -> bool {
    text.len() == digits && text.iter().all(u8::is_ascii_hexdigit) && text.iter().any(|digit| *digit != b'0')
}

/// A `SeverityNumber`: from 1 (`TRACE`) to 24 (`FATAL4`).
pub fn severity_number(text: &[u8]) -> Option<u8> {
    std::str::from_utf8(text).ok()?.parse().ok().filter(|number| (1..=24).contains(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_all_their_digits_and_one_that_is_not_0() {
        assert!(is_id(b"b7ad6b7169203331", SPAN_ID) && is_id(b"B7AD6B7169203331", SPAN_ID));
        for text in ["b7ad6b716920333", "b7ad6b71692033311", "b7ad6b716920333g", "0000000000000000", ""] {
            assert!(!is_id(text.as_bytes(), SPAN_ID), "{text}");
        }
        assert!(!is_id(b"b7ad6b7169203331", TRACE_ID));
    }

    #[test]
    fn numbers_of_severities_are_1_to_24() {
        assert_eq!(["1", "24"].map(|text| severity_number(text.as_bytes())), [Some(1), Some(24)]);
        for text in ["0", "25", "280", "-1", "1.0", "x", ""] {
            assert_eq!(severity_number(text.as_bytes()), None, "{text}");
        }
    }
}
