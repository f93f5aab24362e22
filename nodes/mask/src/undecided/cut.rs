//! Text that begins in the middle of JSON, or of a literal of another language, so the keys of its
//! first values are unknown.

use memchr::{memchr, memchr2, memmem};

/// Whether a row lacks its beginning.
///
/// In a complete text, the first quote opens a string. In such a row it closes one, and is followed
/// by the text that follows a string in JSON. Lines of logs and of CSV have no such quotes.
pub(super) fn has_no_head(row: &[u8]) -> bool {
    let row = row.trim_ascii();
    match row.first() {
        // The value of a key, or text after a colon in a value.
        Some(b':') => opens(row.get(1..).unwrap_or_default()) || begins_in_value(row),
        Some(b'{' | b'[') | None => false,
        Some(b'"' | b'\'' | b'\\') => begins_with_value(row),
        Some(_) => begins_in_value(row),
    }
}

/// Whether a string or container begins here.
fn opens(text: &[u8]) -> bool {
    matches!(after_space(text).first(), Some(b'"' | b'\'' | b'\\' | b'{' | b'['))
}

/// Whether a row that begins with a string is an element or a value of a text that began earlier.
fn begins_with_value(row: &[u8]) -> bool {
    let open = row.iter().take_while(|b| **b == b'\\').count();
    let Some(&quote) = row.get(open).filter(|b| matches!(b, b'"' | b'\'')) else { return begins_in_value(row) };
    let mut at = open + 1;
    // The quote is the end of a key.
    let rest = after_space(row.get(at..).unwrap_or_default());
    if rest.first() == Some(&b':') && opens(rest.get(1..).unwrap_or_default()) {
        return true;
    }
    loop {
        let Some(next) = memchr(quote, row.get(at..).unwrap_or_default()) else { return false };
        let escapes = row.get(..at + next).unwrap_or_default().iter().rev().take_while(|b| **b == b'\\').count();
        at += next + 1;
        if escapes <= open {
            break;
        }
    }
    // A quote at the cut ends the earlier text.
    let is_whole = at > open + 1 + open + 1 || open == 0;
    let rest = row.get(at..).unwrap_or_default();
    match after_space(rest).first() {
        Some(b'}' | b']') => true,
        Some(b',') => is_whole && has_key(rest, quote),
        _ => false,
    }
}

/// A row whose first quote is not its first byte.
fn begins_in_value(row: &[u8]) -> bool {
    let Some(at) = memchr2(b'"', b'\'', row) else { return false };
    let quote = row.get(at).copied().unwrap_or_default();
    let before = row.get(..at).unwrap_or_default();
    let before =
        before.get(..before.len() - before.iter().rev().take_while(|b| **b == b'\\').count()).unwrap_or_default();
    if matches!(before.last(), Some(b' ' | b'\t' | b'(' | b',' | b':' | b'[' | b'{') | None) {
        return false;
    }
    let rest = after_space(row.get(at + 1..).unwrap_or_default());
    // It ends base64, or opens a string that is assigned.
    let assigns = before.last() == Some(&b'=');
    match rest.first() {
        Some(b'}' | b']') => !assigns || memchr(quote, rest).is_none() || has_key(rest, quote),
        Some(b':') if assigns => false,
        Some(b':') => opens(rest.get(1..).unwrap_or_default()) || quote == b'"',
        Some(b',') => has_key(rest, quote),
        _ => false,
    }
}

/// Whether a key follows that is not in a field of CSV, where quotes are doubled.
fn has_key(text: &[u8], quote: u8) -> bool {
    let mut keys = memmem::find_iter(
        text,
        match quote {
            b'"' => b"\":",
            _ => b"':",
        },
    );
    let spaced = memmem::find_iter(
        text,
        match quote {
            b'"' => b"\" :",
            _ => b"' :",
        },
    );
    keys.by_ref().chain(spaced).any(|at| at.checked_sub(1).and_then(|before| text.get(before)) != Some(&quote))
}

/// The text without leading white space, also if that is escaped.
fn after_space(mut text: &[u8]) -> &[u8] {
    loop {
        text = text.trim_ascii_start();
        let escapes = text.iter().take_while(|b| **b == b'\\').count();
        match text.get(escapes) {
            Some(b'n' | b'r' | b't') if escapes > 0 => text = text.get(escapes + 1..).unwrap_or_default(),
            _ => return text,
        }
    }
}
