//! Timestamps as nanoseconds since the Unix epoch, written as RFC 3339.

use jiff::Timestamp;

/// Writes nanoseconds since the epoch as RFC 3339 in UTC, with as many fraction digits as needed.
pub fn format_rfc3339(nanoseconds: i64) -> String {
    Timestamp::from_nanosecond(i128::from(nanoseconds)).map_or_else(|_| String::new(), |t| t.to_string())
}

/// Reads RFC 3339, such as `2023-10-17T04:53:21Z`, to nanoseconds since the epoch.
pub fn parse_rfc3339(text: &str) -> Option<i64> {
    let timestamp: Timestamp = text.parse().ok()?;
    i64::try_from(timestamp.as_nanosecond()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips() {
        for text in ["2023-10-17T04:53:21Z", "1969-12-31T23:59:59.5Z", "2023-10-17T04:53:21.123456789Z"] {
            assert_eq!(format_rfc3339(parse_rfc3339(text).unwrap()), text);
        }
        assert_eq!(parse_rfc3339("2023-10-17T06:53:21+02:00"), parse_rfc3339("2023-10-17T04:53:21Z"));
        assert_eq!(parse_rfc3339("yesterday"), None);
        assert_eq!(parse_rfc3339("9999-12-31T23:59:59Z"), None, "beyond the range of 64 bits of nanoseconds");
    }
}
