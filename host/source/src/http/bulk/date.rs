//! Times as documents have them in `@timestamp`.

use wattle_batch::parse_rfc3339;
use wattle_json::Kind;

/// Reads a time in the default format of Elasticsearch, `strict_date_optional_time||epoch_millis`, to nanoseconds since
/// 1970: ISO 8601 with or without time and offset, or milliseconds. `None` for any other value.
pub(super) fn nanoseconds(kind: Kind, text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?.trim();
    if let Some(milliseconds) = milliseconds(text) {
        return Some(milliseconds);
    }
    if kind != Kind::String {
        return None;
    }
    let time = text.find('T');
    // Without an offset, a time is one of UTC.
    parse_rfc3339(text).or_else(|| match time {
        Some(_) => parse_rfc3339(&format!("{text}Z")),
        None => parse_rfc3339(&format!("{text}T00:00:00Z")),
    })
}

fn milliseconds(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) || whole.trim_start_matches('-').len() < 5 {
        // A year is not a number of milliseconds.
        return None;
    }
    let whole = whole.parse::<i64>().ok()?.checked_mul(1_000_000)?;
    let digits = format!("{fraction:0<6}");
    let fraction: i64 = digits.get(..6)?.parse().ok()?;
    if text.starts_with('-') { whole.checked_sub(fraction) } else { whole.checked_add(fraction) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_the_formats_of_the_default_mapping() {
        for (kind, text, expected) in [
            (Kind::String, "2026-01-02T03:04:05.123456789Z", Some(1_767_323_045_123_456_789)),
            (Kind::String, "2026-01-02T03:04:05Z", Some(1_767_323_045_000_000_000)),
            (Kind::String, "2026-01-02T03:04:05.5", Some(1_767_323_045_500_000_000)),
            (Kind::String, "2026-01-02T04:04:05+01:00", Some(1_767_323_045_000_000_000)),
            (Kind::String, "2026-01-02", Some(1_767_312_000_000_000_000)),
            (Kind::Number, "1767323045123", Some(1_767_323_045_123_000_000)),
            (Kind::String, "1767323045123", Some(1_767_323_045_123_000_000)),
            (Kind::Number, "1767323045123.25", Some(1_767_323_045_123_250_000)),
            (Kind::Number, "-10000.5", Some(-10_000_500_000)),
            (Kind::Number, "99999999999999999999", None),
            (Kind::String, "yesterday", None),
            (Kind::String, "2026", None),
            (Kind::Object, "{}", None),
            (Kind::Bool, "true", None),
        ] {
            assert_eq!(nanoseconds(kind, text.as_bytes()), expected, "{text}");
        }
    }
}
