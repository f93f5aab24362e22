//! Adapts places that were found without knowledge of JSON to JSON: an escape is masked completely
//! or not at all, and a bare number gets quotes.

use std::ops::Range;

use crate::json_key::quotes::{backslashes_after, backslashes_before, depth_of, length_of};
use crate::span::Place;

/// Whether a row looks like JSON, judged by its first byte.
pub(crate) fn looks_like_json(row: &[u8]) -> bool {
    matches!(row.trim_ascii_start().first(), Some(b'{' | b'[' | b'"'))
}

/// Fits a place into the JSON text of a row. Returns `None` if nothing of it is left.
///
/// `deep` means that the value never begins with a letter after a backslash, so in `\\nAKIA` the
/// `n` belongs to an escape, although two backslashes could also be one literal backslash.
pub(crate) fn fit(row: &[u8], found: Range<usize>, deep: bool) -> Option<(Range<usize>, Place)> {
    let mut start = match escape_over(row, found.start) {
        Some(escape) => escape.end,
        None => found.start,
    };
    if deep && start == found.start && start > 0 && row.get(start - 1) == Some(&b'\\') {
        start += escape_length(row, start - 1)? - 1;
    }
    let end = escape_over(row, found.end).map_or(found.end, |escape| {
        let run = backslashes_before(row, 0, escape.start + 1) + backslashes_after(row, escape.start + 1);
        match row.get(escape.start + 1) {
            // Exclude all backslashes of the quote.
            Some(b'"') => escape.start + 1 - length_of(depth_of(run)),
            _ => escape.start,
        }
    });
    if start >= end {
        return None;
    }
    Some(bare_number(row, start..end).unwrap_or((start..end, Place::Text)))
}

/// The escape that begins before a place and ends after it.
fn escape_over(row: &[u8], at: usize) -> Option<Range<usize>> {
    (at.saturating_sub(5)..at).find_map(|start| {
        let is_escape = row.get(start) == Some(&b'\\') && backslashes_before(row, 0, start).is_multiple_of(2);
        let end = start + escape_length(row, start).filter(|_| is_escape)?;
        (end > at).then_some(start..end)
    })
}

/// Length of the escape whose backslash is here: 6 for `\u` and digits, else 2.
fn escape_length(row: &[u8], backslash: usize) -> Option<usize> {
    match row.get(backslash + 1)? {
        b'u' if row.get(backslash + 2..backslash + 6).is_some_and(|d| d.iter().all(u8::is_ascii_hexdigit)) => Some(6),
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(2),
        // Not an escape, so nothing is cut.
        _ => Some(1),
    }
}

/// The complete number around a place, if it is the value of a key and has no quotes.
fn bare_number(row: &[u8], found: Range<usize>) -> Option<(Range<usize>, Place)> {
    let is_number = |b: &u8| b.is_ascii_digit() || matches!(b, b'-' | b'+' | b'.' | b'e' | b'E');
    if !row.get(found.clone())?.iter().all(is_number) {
        return None;
    }
    let (before, rest) = row.split_at_checked(found.start)?;
    let start = found.start - before.iter().rev().take_while(|b| is_number(b)).count();
    let end = found.start + rest.iter().take_while(|b| is_number(b)).count();
    let key = row.get(..start)?.trim_ascii_end().strip_suffix(b":")?.trim_ascii_end().strip_suffix(b"\"")?;
    let followed = row.get(end).is_none_or(|b| matches!(b, b',' | b'}' | b' ' | b'\n' | b'\r' | b'\t' | b'\\'));
    followed.then(|| (start..end, Place::Bare(depth_of(backslashes_before(key, 0, key.len())))))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::string_slice, reason = "a slice at a wrong place fails the test, as it should")]

    use super::*;

    #[test]
    fn places_do_not_cut_escapes_or_unquote_numbers() {
        /// The angle brackets mark the place.
        #[track_caller]
        fn check(marked: &str, deep: bool, expected: &str) {
            let (start, end) = (marked.find('‹').unwrap(), marked.find('›').unwrap() - '‹'.len_utf8());
            let row = marked.replace(['‹', '›'], "");
            let fitted = fit(row.as_bytes(), start..end, deep);
            let shown = match fitted {
                None => "none".to_owned(),
                Some((range, Place::Bare(depth))) => format!("{depth}:{}", &row[range]),
                Some((range, _)) => row[range].to_owned(),
            };
            assert_eq!(shown, expected, "{marked}");
        }
        check(r#"{"a":"‹secret›"}"#, false, "secret");
        check(r#"{"a":"\‹nbob›"}"#, false, "bob");
        check(r#"{"a":"\‹u003cbob›"}"#, false, "bob");
        check(r#"{"a":"\u0‹03cbob›"}"#, false, "bob");
        check(r#"{"a":"\u‹0041›"}"#, false, "none");
        check(r#"{"a":"x‹y\u00›41"}"#, false, "y");
        // A backslash and a letter, or a line feed one string deeper.
        check(r#"{"a":"\\‹nbob›"}"#, false, "nbob");
        check(r#"{"a":"\\‹nbob›"}"#, true, "bob");
        check(r#"{"a":"\\‹u003cbob›"}"#, true, "bob");
        check(r#"{"a":"\\‹xbob›"}"#, true, "xbob");
        // The quote that ends an embedded string.
        check(r#"{"a":"{\"b\":\"‹c\›"}"}"#, false, "c");
        check(r#"{"a":"\\\"b\\\":\\\"‹c\\\›"}"#, false, "c");
        check(r#"{"a":"\\\"b\\\":\\\"‹c\›\\"}"#, false, "c");
        // Numbers, whole.
        check(r#"{"a":‹41›}"#, false, "0:41");
        check(r#"{"a": 1‹2›3,"b":1}"#, false, "0:123");
        check(r#"{"a":"{\"b\":‹12›}"}"#, false, "1:12");
        check(r#"{"a":"‹12›"}"#, false, "12");
        check(r#"{"a":[‹12›]}"#, false, "12");
        check(r#"{"a":"b:‹12›,"}"#, false, "12");
    }

    #[test]
    fn rows_are_judged_by_their_first_byte() {
        assert!(looks_like_json(b" \n{"));
        assert!(looks_like_json(b"[1]"));
        assert!(!looks_like_json(b"INFO {"));
        assert!(!looks_like_json(b""));
    }
}
